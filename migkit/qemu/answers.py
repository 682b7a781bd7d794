"""What QEMU's monitor answers, as far as it is read: checked where it arrives, so that readers need not.

The forms are those of QEMU 2.1 to 11.1, in the files migration, machine, run-state, pci and introspect of its qapi.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["EVENT", "GREETING", "fault"]

EVENT: Final = "event"
GREETING: Final = "greeting"

_NUMBER: Final = (int, float)
_COUNT: Final = (int,)
_TEXT: Final = (str,)
_SWITCH: Final = (bool,)
_STATES_OF_RATE: Final = ("unstarted", "measuring", "measured")
_LARGEST: Final = 2**64
_KINDS: Final = {_NUMBER: "a number", _COUNT: "a whole number", _TEXT: "a string", _SWITCH: "true or false"}

# A tuple holds the types of a value, a list the form of each element, a mapping those of members. A member whose name
# ends in "?" may be missing; the form of "*" is that of all other members.
_ENTITY: Final = {
    "name": _TEXT,
    "meta-type": _TEXT,
    **dict.fromkeys(("ret-type?", "arg-type?", "element-type?"), _TEXT),
    "members?": [{"name?": _TEXT, "type?": _TEXT}],
    "values?": [_TEXT],
}
_DEVICE: Final[dict[str, Any]] = {"id": {"vendor": _COUNT}}
_BUS: Final[dict[str, Any]] = {"devices?": [_DEVICE]}
_DEVICE["pci_bridge?"] = _BUS
_FORMS: Final[Mapping[str, Any]] = {
    "query-status": {"status": _TEXT, "running": _SWITCH},
    "query-kvm": {"enabled": _SWITCH},
    "query-memory-size-summary": {"base-memory": _COUNT, "plugged-memory?": _COUNT},
    "query-migrate": {
        **{"status?": _TEXT, "error-desc?": _TEXT},
        **dict.fromkeys(("total-time?", "downtime?", "expected-downtime?", "setup-time?"), _NUMBER),
        **{part: {"*": _NUMBER} for part in ("ram?", "xbzrle-cache?")},
    },
    "query-migrate-parameters": {"max-bandwidth?": _COUNT, "downtime-limit?": _COUNT},
    "query-migrate-capabilities": [{"capability": _TEXT, "state": _SWITCH}],
    "query-dirty-rate": {"status": _TEXT, "dirty-rate?": _NUMBER},
    "query-pci": [_BUS],
    "query-qmp-schema": [_ENTITY],
    "human-monitor-command": _TEXT,
    EVENT: {"event": _TEXT, "data?": {}, "timestamp?": dict.fromkeys(("seconds?", "microseconds?"), _COUNT)},
    GREETING: {"qemu?": dict.fromkeys(("major?", "minor?", "micro?"), _COUNT)},
}


def fault(command: str, answer: Any) -> str | None:
    """Return in which way an answer is none that QEMU gives to a command, None when it is one.

    So is an event judged, and the version in a greeting.

    Examples
    --------
    >>> fault("query-kvm", {"enabled": "yes", "present": True})
    'enabled is not true or false'
    >>> fault("query-migrate", {"status": "active", "ram": {"normal": [1]}})
    'ram.normal is not a number'
    >>> fault("query-pci", [{"devices": [{"id": {}}]}])
    '0.devices.0.id.vendor is missing'
    >>> fault("query-kvm", {"enabled": True, "present": True})
    """
    if command not in _FORMS:
        return None
    found = next(_faults(_FORMS[command], answer, ""), None)
    return found or (_fault_of_rate(answer) if command == "query-dirty-rate" else None)


def _fault_of_rate(answer: Mapping[str, Any]) -> str | None:
    if answer["status"] not in _STATES_OF_RATE:
        return f"status is not one of {', '.join(_STATES_OF_RATE)}"
    return "dirty-rate is missing" if answer["status"] == "measured" and "dirty-rate" not in answer else None


def _faults(form: Any, value: Any, where: str) -> Iterator[str]:
    if isinstance(form, tuple):
        if not isinstance(value, form) or (isinstance(value, bool) and form != _SWITCH):
            yield f"{where or 'it'} is not {_KINDS[form]}"
        elif not isinstance(value, str) and not abs(value) < _LARGEST:
            yield f"{where or 'it'} is not a number below 2^64"
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield f"{where or 'it'} is not a list"
            return
        for at, element in enumerate(value):
            yield from _faults(form[0], element, _at(where, at))
    elif isinstance(value, Mapping):
        yield from _faults_of_members(form, value, where)
    else:
        yield f"{where or 'it'} is not an object"


def _faults_of_members(form: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in value if "*" in form else ():
        yield from _faults(form["*"], value[name], _at(where, name))
    for name, inner in form.items():
        member = name.removesuffix("?")
        if member in value:
            yield from _faults(inner, value[member], _at(where, member))
        elif name == member != "*":
            yield f"{_at(where, member)} is missing"


def _at(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)
