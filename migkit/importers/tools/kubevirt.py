"""The status of a migration in Kubernetes: KubeVirt's ``migrationState`` as YAML, JSON or a description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Setting
from migkit.importers.glossary import NO_LIMIT
from migkit.importers.names import Name
from migkit.importers.reading.numbers import quantity, words

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
_KIND: Final = "VirtualMachineInstanceMigration"
_PHASES: Final = {"Succeeded": "completed", "Failed": "failed"}
_RATE: Final = Name("max_bandwidth_bytes_per_s", "B/s")


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit what the status says if ``value`` has a ``migrationState``; return whether it has."""
    held = value.get("status")
    status = held if isinstance(held, Mapping) else value
    state = status.get("migrationState")
    phase = _PHASES.get(str(status.get("phase"))) if value.get("kind") == _KIND else None
    if not isinstance(state, Mapping) and phase is None:
        return False
    spec, meta = (part if isinstance(part := value.get(key), Mapping) else {} for key in ("spec", "metadata"))
    vm = spec.get("vmiName") or meta.get("name") or context.vm
    if not isinstance(state, Mapping):
        emit(Event(**Context(context.line, words(vm), context.stamp).item(_FAMILY), what="state", status=phase))
        return True
    fields = {_plain(key): one for key, one in state.items()}
    inner = state.get("migrationConfiguration")
    fields |= {_plain(key): one for key, one in inner.items()} if isinstance(inner, Mapping) else {}
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
    _VM: Final = re.compile(r"\s*(?:vmiName|Vmi Name):\s*(\S{1,64})\s*|  name: (\S{1,64})\s*")
    _PHASE: Final = re.compile(r"  (?:phase|Phase):\s+(Succeeded|Failed)\s*")
    _OBJECT: Final = re.compile(r"(?:kind|Kind):\s+(VirtualMachineInstance(?:Migration)?)\s*")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._kind = self._vm = ""
        self._told = False
        self._fields: dict[str, Any] | None = None
        self._context = Context(0)
        self._indent = 0

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a status; return whether it is."""
        of = self._OBJECT.fullmatch(text)
        if of:
            self.end()
            self._kind, self._vm, self._told = of[1], "", False
            return True
        machine, start, phase = (p.fullmatch(text) for p in (self._VM, self._START, self._PHASE))
        if machine and (machine[1] or (self._kind and not self._vm)):  # the name of the object, unless it names a VM
            self._vm = words(machine[1] or machine[2])
        if start:
            self.end()
            self._fields, self._context, self._indent = {}, context, len(start[1])
            return True
        line = self._LINE.fullmatch(text)
        if self._fields is None or line is None or len(line[1]) <= self._indent:
            self.end()
            return self._ended(phase, context)
        if _plain(line[2]) in {*_FIELDS, "bandwidthpermigration"}:
            self._fields[_plain(line[2])] = line[3].strip().strip("\"'")
        return True

    def _ended(self, phase: re.Match[str] | None, context: Context) -> bool:
        """Take the phase of an object that says no more of its migration."""
        if phase is None or self._kind != _KIND or self._told:
            return False
        inner = Context(context.line, self._vm or context.vm, context.stamp)
        self._emit(Event(**inner.item(_FAMILY), what="state", status=_PHASES[phase[1]]))
        return True

    def end(self) -> None:
        """Emit the status under way."""
        fields, self._fields = self._fields, None
        if fields and fields.keys() & _FIELDS:
            self._told = True
            vm = self._vm or self._context.vm
            _tell(fields, Context(self._context.line, vm, self._context.stamp), self._emit)
