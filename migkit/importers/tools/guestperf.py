"""Reports of QEMU's guestperf: a history of progress, the scenario, and what the guest saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Sample, Setting
from migkit.importers.names import Name
from migkit.importers.reading.numbers import number, scaled, words
from migkit.importers.reading.stamps import UNIX, Stamp
from migkit.importers.tools.qmp import flat, measured
from migkit.units import MIB

__all__ = ["take"]

_SETTINGS: Final = {
    "downtime": Name("downtime_limit_s", "ms", 1e-3),
    "bandwidth": Name("max_bandwidth_bytes_per_s", "MiB/s", MIB),
}
_DONE: Final = ("completed", "failed", "cancelled")


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit the readings of a report if ``value`` is one; return whether it is."""
    history = value.get("progress_history")
    if not isinstance(history, list):
        return False
    scenario = value.get("scenario")
    name = scenario.get("name") if isinstance(scenario, Mapping) else None
    context = Context(context.line, words(name) if isinstance(name, str) else context.vm, context.stamp)
    emit(Event(**context.item("guestperf"), what="request", begins=True))
    if isinstance(scenario, Mapping):
        for key, held in list(scenario.items())[:200]:
            name, amount = _SETTINGS.get(key), number(held)
            known = name is not None and amount is not None
            said = scaled(amount, name.factor) if name is not None and amount is not None else words(held)
            emit(Setting(**context.item("guestperf"), name=name.ours if name and known else words(key), value=said))
    for entry in history:
        if isinstance(entry, Mapping):
            _reading(entry, context, emit)
    return True


def _reading(entry: Mapping[str, Any], context: Context, emit: Emit) -> None:
    status = entry.get("status")
    fields = ((key, held) for key, held in flat(entry, ("ram",)) if key not in ("status", "now"))
    values, unknown = measured(fields, "guestperf")
    if status not in _DONE and not values.get("downtime_s"):
        values.pop("downtime_s", None)  # guestperf writes 0 for what QEMU has not said yet
    if not values.get("expected_downtime_s"):
        values.pop("expected_downtime_s", None)
    now = number(entry.get("now"))
    stamp = Stamp(now, UNIX) if now is not None else context.stamp
    context = Context(context.line, context.vm, stamp)
    said = words(status) if isinstance(status, str) else None
    emit(Sample(**context.item("guestperf"), status=said, values=values, unknown=unknown))
