"""The readings of real QEMU runs that ship with migkit, as records like those of a log."""

from __future__ import annotations

from typing import Any, Final

from migkit.errors import TraceError
from migkit.importers.assemble import Migration
from migkit.importers.build import migration_log
from migkit.importers.findings import Log, Sample
from migkit.importers.names import MEGABIT
from migkit.traces.data import reference_runs, reference_timelines

__all__ = ["read_reference"]

_NAMES: Final = {
    "t_s": ("t_s", 1.0),
    "dirty_sync_count": ("iteration", 1.0),
    "remaining_bytes": ("remaining_bytes", 1.0),
    "transferred_bytes": ("sent_bytes", 1.0),
    "dirty_pages_rate": ("dirtied_pages_per_s", 1.0),
    "mbps": ("bandwidth_bytes_per_s", MEGABIT),
    "throttle_percent": ("throttle", 1e-2),
}
_ABOUT: Final[dict[str, Any]] = {"form": "CSV", "encoding": "UTF-8", "notes": []}


def read_reference(run: str) -> Log:
    """Return the readings of a reference run; ``meta["run"]`` is its row of ``reference_runs.csv``.

    Raises
    ------
    TraceError
        There are no readings of that run.

    Examples
    --------
    >>> log = read_reference("a1-q7-0")
    >>> int(log.frame["iteration"].iloc[-1]), log.meta["outcome"], log.meta["run"]["total_time_s"]
    (7, 'completed', 5.513)
    """
    lines = reference_timelines()
    if run not in lines:
        raise TraceError(f"reference run {run!r}: no readings of it; use one of {', '.join(lines)}")
    samples = [
        Sample(family="qmp", line=at, status=row["status"], values=_values(row)) for at, row in enumerate(lines[run])
    ]
    facts = next(row for row in reference_runs() if row["run"] == run)
    about = _ABOUT | {"file": run, "lines": len(samples), "run": dict(facts)}
    return migration_log(Migration("qmp", "", samples), about)


def _values(row: dict[str, Any]) -> dict[str, float]:
    return {ours: row[theirs] * factor for theirs, (ours, factor) in _NAMES.items() if row.get(theirs) is not None}
