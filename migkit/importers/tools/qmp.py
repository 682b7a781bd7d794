"""QEMU's monitor protocol: answers of query-migrate and its relatives, commands and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Sample, Setting
from migkit.importers.meanings import PHASES, SINCE
from migkit.importers.names import LISTS, TABLES, Name
from migkit.importers.reading.numbers import number, scaled, words
from migkit.importers.reading.parameters import SETTINGS

__all__ = ["flat", "measured", "take"]

_PARTS: Final = ("ram", "disk", "vfio", "xbzrle-cache", "compression")
_TEXTS: Final = ("error-desc", "blocked", "blocked-reasons", "socket-address", "id")
_COUNTERS: Final = frozenset(name.partition(".")[2] for name in TABLES["qmp"] if name.startswith("ram."))
_TOP: Final = frozenset(name for name in TABLES["qmp"] if "." not in name) | {*_PARTS, *_TEXTS, "status"}
_COMMANDS: Final = {
    "migrate": ("request", True),
    "migrate-start-postcopy": ("post-copy asked for", False),
    "migrate_cancel": ("cancel asked for", False),
    "migrate-continue": ("continue asked for", False),
    "migrate-pause": ("pause asked for", False),
    "migrate-recover": ("recovery asked for", False),
}
_EVENTS: Final = {
    "STOP": "guest stopped",
    "RESUME": "guest runs",
    "MIGRATION_PASS": "pass",
    "UNPLUG_PRIMARY": "primary device unplugged",
}


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit what ``value`` says if it is an answer, a command or an event about migration; return whether it is."""
    return any(
        reader(value, context, emit) for reader in (_answer, _event, _command, _parameters, _version, _accelerator)
    )


def take_list(values: list[Any], context: Context, emit: Emit) -> bool:
    """Emit capabilities if ``values`` is an answer of query-migrate-capabilities."""
    if not values or not all(isinstance(v, Mapping) and {"capability", "state"} <= v.keys() for v in values):
        return False
    for pair in values[:1000]:
        emit(
            Setting(
                **context.item("qmp"), name=f"capability {words(pair['capability'])}", value=pair["state"] is True
            )
        )
    return True


def flat(value: Mapping[str, Any], parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an answer, those of its ``parts`` as ``part.field``."""
    for key, held in value.items():
        if key in parts and isinstance(held, Mapping):
            yield from ((f"{key}.{inner}", v) for inner, v in held.items())
        else:
            yield str(key), held


def measured(fields: Iterator[tuple[str, Any]], family: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of foreign names under ours, in our units, and what no table names or no one can believe."""
    table, values, unknown = TABLES[family], {}, {}
    for theirs, value in fields:
        name = table.get(theirs)
        amount = _amount(value, name) if name is not None else None
        if name is not None and amount is not None:
            values[name.ours] = _in_ours(amount, name.factor)
        elif value is not None or name is None:
            unknown[words(theirs)] = words(value) + (" (no usable number)" if name is not None else "")
    return values, unknown


def _in_ours(amount: float | list[float], factor: float) -> float | list[float]:
    return [scaled(v, factor) for v in amount] if isinstance(amount, list) else scaled(amount, factor)


def _amount(value: Any, name: Name) -> float | list[float] | None:
    if name.ours in LISTS and isinstance(value, list) and len(value) <= 4096:
        amounts = [number(v) for v in value]
        kept = [v for v in amounts if v is not None]
        return kept if kept and len(kept) == len(amounts) else None
    return number(value)


def _answer(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    status = value.get("status")
    if not isinstance(status, str) or not _is_answer(value, status):
        return False
    fields = [(key, held) for key, held in flat(value, _PARTS) if key not in ("status", *_TEXTS)]
    values, unknown = measured(iter(fields), "qmp")
    texts = {key: words(value[key]) for key in _TEXTS if key in value and key != "id"}
    marks = tuple(mark for mark in (*(key for key, _ in fields), status) if mark in SINCE or mark in _OLD)
    emit(
        Sample(**context.item("qmp"), status=words(status), values=values, unknown=unknown, texts=texts, marks=marks)
    )
    return True


_OLD: Final = ("ram.skipped", "disk.total")


def _is_answer(value: Mapping[str, Any], status: str) -> bool:
    """Return whether it counts memory as query-migrate does, or is a bare state of a migration with its fields."""
    ram = value.get("ram")
    if isinstance(ram, Mapping) and len(_COUNTERS & ram.keys()) >= 1:
        return True
    return status in PHASES and status != "running" and value.keys() <= _TOP


def _event(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    name, data = value.get("event"), value.get("data")
    if not isinstance(name, str):
        return False
    data = data if isinstance(data, Mapping) else {}
    inner = context.at(value.get("timestamp"))
    if name == "MIGRATION" and isinstance(data.get("status"), str):
        emit(Event(**inner.item("qmp"), what="state", status=words(data["status"])))
    elif name == "MIGRATION":
        return False  # of another hypervisor, whose fields are others
    elif name in _EVENTS:
        what = f"pass {words(data.get('pass'))}" if name == "MIGRATION_PASS" else _EVENTS[name]
        emit(Event(**inner.item("qmp"), what=what))
    return True


def _command(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    name, arguments = value.get("execute"), value.get("arguments")
    if not isinstance(name, str):
        return False
    if name in _COMMANDS:
        what, begins = _COMMANDS[name]
        emit(Event(**context.item("qmp"), what=what, begins=begins))
    elif name == "migrate-set-parameters" and isinstance(arguments, Mapping):
        _settings(arguments, context, emit)
    elif name == "migrate-set-capabilities" and isinstance(arguments, Mapping):
        asked = arguments.get("capabilities")
        take_list(asked if isinstance(asked, list) else [], context, emit)
    return True


def _parameters(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    if len(value.keys() & SETTINGS.keys()) < 2 and not {"downtime-limit", "max-bandwidth"} & value.keys():
        return False
    _settings(value, context, emit)
    return True


def _settings(value: Mapping[str, Any], context: Context, emit: Emit) -> None:
    for theirs, said in list(value.items())[:1000]:
        name, amount = SETTINGS.get(theirs), number(said)
        known = name is not None and amount is not None
        emit(
            Setting(
                **context.item("qmp"),
                name=name.ours if name is not None and known else words(theirs),
                value=scaled(amount, name.factor) if name is not None and amount is not None else words(said),
            )
        )


def _version(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    found = value.get("qemu")
    if not isinstance(found, Mapping) or not {"major", "minor"} <= found.keys():
        return False
    numbers = [number(found.get(part)) for part in ("major", "minor", "micro")]
    if numbers[0] is None or numbers[1] is None:
        return False
    emit(
        Setting(**context.item("qmp"), name="version", value=".".join(str(int(n)) for n in numbers if n is not None))
    )
    return True


def _accelerator(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit what runs the guest, if ``value`` is an answer of query-kvm."""
    if value.keys() != {"enabled", "present"}:
        return False
    emit(Setting(**context.item("qmp"), name="accelerator", value="kvm" if value["enabled"] is True else "tcg"))
    return True
