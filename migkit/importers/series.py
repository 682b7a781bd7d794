"""The frame of a migration: one row a reading, in our columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.importers.assemble import Migration
from migkit.importers.findings import Rate, Sample
from migkit.importers.glossary import COLUMNS, RATE_COLUMNS
from migkit.importers.meanings import PHASES
from migkit.importers.reading.stamps import UNIX, Stamp
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALWAYS", "clock_of", "columns_of", "framed", "rate_frame", "request_of", "rows_of"]

ALWAYS: Final = (
    "t_s",
    "phase",
    "status",
    "iteration",
    "remaining_bytes",
    "sent_bytes",
    "normal_pages",
    "zero_pages",
    "dirtied_pages_per_s",
    "bandwidth_bytes_per_s",
    "throttle",
    "postcopy_faults",
)
_WORDS: Final = ("phase", "status", "mode")
_COUNTERS: Final = ("sent_bytes", "remaining_bytes", "total_bytes", "normal_pages", "t_s", "iteration", "done")


def clock_of(stamps: Sequence[Stamp | None]) -> str | None:
    """Return the clock that most stamps are on."""
    clocks = [stamp.clock for stamp in stamps if stamp is not None]
    return max(set(clocks), key=lambda clock: (clocks.count(clock), clock == UNIX, clock)) if clocks else None


def request_of(migration: Migration, clock: str | None) -> float | None:
    """Return when the migration was asked for, by the log's clock: the last request before the first reading."""
    first = migration.samples[0].line if migration.samples else math.inf
    stamped = [e for e in migration.events if e.stamp is not None and e.stamp.clock == clock and e.line <= first]
    for what in ("request", "prepared"):
        asked = [event.stamp.seconds for event in stamped if event.what == what and event.stamp is not None]
        if asked:
            return asked[-1]
    return None


def rows_of(migration: Migration, clock: str | None) -> list[dict[str, Any]]:
    """Return a row for each reading; what a tool writes on a line of its own joins the reading that it belongs to."""
    rows: list[dict[str, Any]] = []
    for sample in migration.samples:
        row = _row(sample, clock)
        if (
            rows
            and not any(name in sample.values for name in _COUNTERS)
            and sample.status in (None, rows[-1]["status"])
        ):
            rows[-1].update({name: value for name, value in row.items() if name not in ("status", "phase")})
        else:
            rows.append(row)
    _add_end(rows, migration, clock)
    _add_times(rows, migration, clock)
    if migration.family == "cloud-hypervisor":
        _add_remaining(rows)
    return rows


def _row(sample: Sample, clock: str | None) -> dict[str, Any]:
    values = {name: value for name, value in sample.values.items() if not isinstance(value, list)}
    page = values.get("page_bytes") or PAGE_BYTES
    if "dirtied_bytes_per_s" in values and "dirtied_pages_per_s" not in values:
        values["dirtied_pages_per_s"] = values["dirtied_bytes_per_s"] / page
    stamp = sample.stamp
    if stamp is not None and stamp.clock == clock:
        values["logged_s"] = stamp.seconds
    return {"status": sample.status, "phase": _phase(sample, values)} | values


def _phase(sample: Sample, values: Mapping[str, Any]) -> str:
    phase = PHASES.get(sample.status, "other") if sample.status else ""
    if phase == "precopy" and sample.family in ("virsh", "jobstats", "kubevirt") and values.get("postcopy_faults"):
        return "postcopy"  # these have no state of its own for it
    return phase or ("precopy" if any(name in values for name in _COUNTERS) else "other")


def _add_end(rows: list[dict[str, Any]], migration: Migration, clock: str | None) -> None:
    """Add a row for the end where a log tells it by an event only; of several ends the last one is its state."""
    told: dict[str, Any] = {}
    for event in migration.events:
        if PHASES.get(event.status or "") != "done":
            continue
        if rows and rows[-1]["phase"] == "done":
            told["status"] = event.status
            continue
        late = not migration.samples or event.line >= migration.samples[-1].line
        if late and rows:
            row: dict[str, Any] = {"status": event.status, "phase": "done"}
            if event.stamp is not None and event.stamp.clock == clock:
                row["logged_s"] = event.stamp.seconds
            told = row
            rows.append(row)


def _add_times(rows: list[dict[str, Any]], migration: Migration, clock: str | None) -> None:
    """Fill ``t_s`` where the source counts no time: by the log's clock, since the request or the first line."""
    counted = [row["logged_s"] - row["t_s"] for row in rows if "t_s" in row and "logged_s" in row]
    stamped = [row["logged_s"] for row in rows if "logged_s" in row]
    request = request_of(migration, clock)
    told = [row["request_s"] for row in rows if row.get("request_s")]
    origin = min(counted) if counted else request
    if origin is None and told and clock == UNIX:
        origin = told[-1]
    if origin is None and stamped and not any("t_s" in row for row in rows):
        origin = stamped[0]
    if origin is None:
        return
    for row in rows:
        if "t_s" not in row and "logged_s" in row:
            row["t_s"] = max(0.0, row["logged_s"] - origin)


def _add_remaining(rows: list[dict[str, Any]]) -> None:
    """After a pass of Cloud Hypervisor there remains what the next pass had to send."""
    for row, later in itertools.pairwise(rows):
        if "round_bytes" in later:
            row.setdefault("remaining_bytes", later["round_bytes"])


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the columns that are always there and those that the log fills, as arrays."""
    said = {name for row in rows for name in row}
    return _columns(rows, [name for name in COLUMNS if name in ALWAYS or name in said])


def framed(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return columns as a frame."""
    import pandas as pd

    return pd.DataFrame(columns, copy=False)


def rate_frame(rates: Sequence[Rate], clock: str | None) -> pd.DataFrame:
    """Return readings of dirty rates as a frame: one row for the guest and one for each of its processors."""
    rows = []
    for rate in rates:
        stamped = rate.stamp is not None and rate.stamp.clock == clock
        row = {"vcpu": -1, "logged_s": rate.stamp.seconds if rate.stamp and stamped else None} | dict(rate.values)
        rows.append(row)
        rows += [row | {"vcpu": at, "dirtied_bytes_per_s": value} for at, value in sorted(rate.vcpus.items())]
    return framed(_columns(rows, list(RATE_COLUMNS)))


def _columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, np.ndarray]:
    data: dict[str, np.ndarray] = {}
    for name in names:
        said = [row.get(name) for row in rows]
        if name in _WORDS:
            data[name] = np.array([value or "" for value in said], dtype=object)
        else:
            data[name] = np.array([math.nan if value is None else value for value in said], dtype=float)
    return data
