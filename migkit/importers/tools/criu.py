"""Statistics of CRIU (stats-dump and stats-restore) as crit decodes them: totals in microseconds and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Sample
from migkit.importers.names import TABLES
from migkit.importers.tools.qmp import flat, measured
from migkit.units import PAGE_BYTES

__all__ = ["Printed", "take"]

_PARTS: Final = ("dump", "restore")
_LEAST: Final = 2

# What criu prints with --display-stats, under the names of its images.
_PRINTED: Final = {
    "Freezing time": "dump.freezing_time",
    "Frozen time": "dump.frozen_time",
    "Memory dump time": "dump.memdump_time",
    "Memory write time": "dump.memwrite_time",
    "IRMAP resolve time": "dump.irmap_resolve",
    "Memory pages scanned": "dump.pages_scanned",
    "Memory pages skipped from parent": "dump.pages_skipped_parent",
    "Memory pages written": "dump.pages_written",
    "Lazy memory pages": "dump.pages_lazy",
    "Pages compared": "restore.pages_compared",
    "Pages skipped COW": "restore.pages_skipped_cow",
    "Pages restored": "restore.pages_restored",
    "Restore time": "restore.restore_time",
    "Forking time": "restore.forking_time",
}


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit the totals if ``value`` is an entry of CRIU's statistics; return whether it is."""
    parts = {part: value[part] for part in _PARTS if isinstance(value.get(part), Mapping)}
    return _tell(dict(flat(parts, _PARTS)), context, emit)


def _tell(fields: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    if len(TABLES["criu"].keys() & fields.keys()) < _LEAST:
        return False
    values, unknown = measured(iter(fields.items()), "criu")
    if "frozen_s" in values:
        values["downtime_s"] = values.get("freezing_s", 0.0) + values["frozen_s"]
    if "normal_pages" in values:
        values["page_bytes"] = float(PAGE_BYTES)
    emit(Sample(**context.item("criu"), status="completed", values=values, unknown=unknown))
    return True


class Printed:
    """What criu prints with ``--display-stats``."""

    whole = False  # it sees lines without their stamps
    _START: Final = re.compile(r"Displaying (?:dump|restore) stats:\s*")
    _FIELD: Final = re.compile(r"\s*([A-Z][A-Za-z ]{3,40}): (\d{1,18})(?: us| \(0x[0-9a-f]{1,16}\))?\s*")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._fields: dict[str, Any] = {}
        self._context: Context | None = None

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such statistics; return whether it is."""
        if self._START.fullmatch(text):
            self.end()
            self._context = context
            return True
        field = self._FIELD.fullmatch(text)
        if self._context is None or field is None:
            self.end()
            return False
        self._fields[_PRINTED.get(field[1], field[1])] = int(field[2])
        return True

    def end(self) -> None:
        """Emit the statistics under way."""
        if self._context is not None:
            _tell(self._fields, self._context, self._emit)
        self._fields, self._context = {}, None
