"""libvirt's job statistics as typed parameters: what jobStats() of its bindings returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Sample
from migkit.importers.names import TABLES
from migkit.importers.tools.qmp import measured

__all__ = ["STATUS", "take"]

STATUS: Final = {0: "none", 1: "bounded", 2: "active", 3: "completed", 4: "failed", 5: "cancelled"}
_OTHER: Final = ("type", "operation", "success", "errmsg")
_LEAST: Final = 3


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit a reading if ``value`` holds libvirt's job statistics; return whether it does."""
    if len(TABLES["jobstats"].keys() & value.keys()) < _LEAST:
        return False
    fields = ((key, held) for key, held in value.items() if key not in _OTHER)
    values, unknown = measured(fields, "jobstats")
    kind = value.get("type")
    status = STATUS.get(kind) if isinstance(kind, int) else None
    if status not in (None, "active", "bounded"):
        values.pop("expected_downtime_s", None)
    elif "downtime_s" in values:  # while the job runs, libvirt's downtime is the one that QEMU expects
        values["expected_downtime_s"] = values.pop("downtime_s")
    emit(Sample(**context.item("jobstats"), status=status, values=values, unknown=unknown))
    return True
