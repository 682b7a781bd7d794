"""The status of a migration in Kubernetes: KubeVirt's ``migrationState`` as YAML, JSON or a description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Setting
from migkit.importers.glossary import NO_LIMIT
from migkit.importers.names import Name
from migkit.importers.reading.numbers import number, quantity, words

__all__ = ["Status", "take"]

_FAMILY: Final = "kubevirt-status"
_SETTINGS: Final = {
    "allowautoconverge": "allowAutoConverge",
    "allowpostcopy": "allowPostCopy",
    "completiontimeoutpergib": "completionTimeoutPerGiB",
    "progresstimeout": "progressTimeout",
    "mode": "mode",
    "sourcenode": "sourceNode",
    "targetnode": "targetNode",
}
_FIELDS: Final = frozenset(
    (*_SETTINGS, "starttimestamp", "endtimestamp", "completed", "failed", "failurereason", "abortstatus")
)
_RATE: Final = Name("max_bandwidth_bytes_per_s", "B/s")


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit what the status says if ``value`` has a ``migrationState``; return whether it has."""
    status = value.get("status") if isinstance(value.get("status"), Mapping) else value
    state = status.get("migrationState") if isinstance(status, Mapping) else None
    if not isinstance(state, Mapping):
        return False
    spec, meta = (part if isinstance(part := value.get(key), Mapping) else {} for key in ("spec", "metadata"))
    vm = spec.get("vmiName") or meta.get("name") or context.vm
    fields = {_plain(key): held for key, held in state.items()}
    inner = state.get("migrationConfiguration")
    fields |= {_plain(key): held for key, held in inner.items()} if isinstance(inner, Mapping) else {}
    _tell(fields, Context(context.line, words(vm), context.stamp), emit)
    return True


def _plain(key: Any) -> str:
    return re.sub(r"[^a-z]", "", str(key).lower())


def _true(value: Any) -> bool:
    return str(value).strip().lower() == "true"


def _tell(fields: Mapping[str, Any], context: Context, emit: Emit) -> None:
    """Emit the beginning, the settings and the end; its times are whole seconds."""
    begun = context.at(fields.get("starttimestamp"))
    emit(Event(**begun.item(_FAMILY), what="request", begins=True))
    for theirs, name in _SETTINGS.items():
        if fields.get(theirs) not in (None, ""):
            emit(Setting(**begun.item(_FAMILY), name=name, value=words(fields[theirs])))
    cap = quantity(str(fields.get("bandwidthpermigration", "")), "kubevirt", _RATE)
    if cap is not None:
        emit(Setting(**begun.item(_FAMILY), name=_RATE.ours, value=cap.value or NO_LIMIT))  # 0 is none
    ended = context.at(fields.get("endtimestamp"))
    reason = words(fields.get("failurereason") or "")
    if _true(fields.get("failed")):
        what = "failed" + (f": {reason}" if reason else "")
        emit(Event(**ended.item(_FAMILY), what=what, status="failed"))
    elif _true(fields.get("completed")):
        emit(Event(**ended.item(_FAMILY), what="state", status="completed"))


class Status:
    """The same in lines: YAML of ``kubectl get -o yaml``, or what ``kubectl describe`` prints."""

    whole = True
    _START: Final = re.compile(r"(\s*)(?:- )?(?:migrationState|Migration State):\s*")
    _LINE: Final = re.compile(r"(\s*)([A-Za-z][A-Za-z ]{1,40}):\s*(.*)")
    _VM: Final = re.compile(r"\s*(?:vmiName|Vmi Name):\s*(\S{1,64})\s*")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._vm = ""
        self._fields: dict[str, Any] | None = None
        self._context = Context(0)
        self._indent = 0

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a status; return whether it is."""
        machine, start = self._VM.fullmatch(text), self._START.fullmatch(text)
        if machine:
            self._vm = words(machine[1])
        if start:
            self.end()
            self._fields, self._context, self._indent = {}, context, len(start[1])
            return True
        line = self._LINE.fullmatch(text)
        if self._fields is None or line is None or len(line[1]) <= self._indent:
            self.end()
            return False
        if _plain(line[2]) in {*_FIELDS, "bandwidthpermigration"}:
            self._fields[_plain(line[2])] = line[3].strip().strip("\"'")
        return True

    def end(self) -> None:
        """Emit the status under way."""
        fields, self._fields = self._fields, None
        if fields and number(len(fields.keys() & _FIELDS)):
            vm = self._vm or self._context.vm
            _tell(fields, Context(self._context.line, vm, self._context.stamp), self._emit)
