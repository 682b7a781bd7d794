"""Statistics of CRIU (stats-dump and stats-restore) as crit decodes them: totals in microseconds and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Sample
from migkit.importers.names import TABLES
from migkit.importers.tools.qmp import flat, measured
from migkit.units import PAGE_BYTES

__all__ = ["take"]

_PARTS: Final = ("dump", "restore")
_LEAST: Final = 2


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit the totals if ``value`` is an entry of CRIU's statistics; return whether it is."""
    parts = {part: value[part] for part in _PARTS if isinstance(value.get(part), Mapping)}
    fields = dict(flat(parts, _PARTS))
    if len(TABLES["criu"].keys() & fields.keys()) < _LEAST:
        return False
    values, unknown = measured(iter(fields.items()), "criu")
    if "frozen_s" in values:
        values["downtime_s"] = values.get("freezing_s", 0.0) + values["frozen_s"]
    if "normal_pages" in values:
        values["page_bytes"] = float(PAGE_BYTES)
    emit(Sample(**context.item("criu"), status="completed", values=values, unknown=unknown))
    return True
