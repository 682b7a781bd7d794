"""Records as files, and traces of migkit as records: the same sealed Parquet files that traces are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import TraceError
from migkit.importers.findings import Log
from migkit.importers.glossary import COLUMNS, RATE_COLUMNS
from migkit.importers.meanings import SOURCES
from migkit.traces import io
from migkit.traces.provenance import provenance
from migkit.traces.schema import SAMPLE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from migkit.traces import Trace

__all__ = ["from_parquet", "of_trace", "write"]

_PHASES: Final = {"converges": "completed", "aborted": "cancelled"}


def write(log: Log, path: Path | str, *, force: bool = False) -> Path:
    """Write ``log`` as one sealed Parquet file; :func:`migkit.importers.read` reads it back.

    The frame is its rows. What a trace must have and a log lacks (a scenario, exact sums, rounds) is not made up: the
    file is of the kind ``imported``, and :func:`migkit.traces.read` says so.

    Raises
    ------
    UsageError
        The file exists (without ``force``), or its folder does not.
    RunError
        It cannot be written.
    """
    import pyarrow as pa

    manifest = {
        "kind": io.IMPORTED,
        "record": log.kind,
        "meta": dict(log.meta),
        "unknown": dict(log.unknown),
        "cannot_tell": list(log.cannot_tell),
        "next_time": list(log.next_time),
        "provenance": provenance(),
    }
    table = pa.Table.from_pandas(log.frame, preserve_index=False)
    return io.write_table(table, manifest, path, force=force)


def from_parquet(raw: bytes, name: str) -> list[Log]:
    """Return the record in a file that :func:`write` wrote, or that a trace of migkit amounts to.

    Raises
    ------
    TraceError
        It is neither, or truncated or altered.
    """
    try:
        table, manifest = io.read_table(raw, (*COLUMNS, *RATE_COLUMNS, *SAMPLE_COLUMNS))
        if manifest.get("kind") == io.IMPORTED:
            return [_imported(table.to_pandas(), manifest)]
        return [of_trace(io.decode(raw), name)]
    except TraceError as error:
        raise TraceError(f"log {name}{str(error).removeprefix('trace')}") from error


def _imported(frame: pd.DataFrame, manifest: Mapping[str, Any]) -> Log:
    try:
        kind, meta, unknown = manifest["record"], manifest["meta"], manifest["unknown"]
        told = [tuple(str(line) for line in manifest[name]) for name in ("cannot_tell", "next_time")]
    except (KeyError, TypeError) as error:
        raise TraceError(f"trace: its manifest is not of an imported log ({error}); import the log anew") from error
    wanted = COLUMNS if kind == "migration" else RATE_COLUMNS
    if not isinstance(meta, dict) or not isinstance(unknown, dict) or not set(frame.columns) <= set(wanted):
        raise TraceError("trace: its columns are not those of an imported log; import the log anew")
    return Log(kind=str(kind), frame=frame, meta=meta, unknown=unknown, cannot_tell=told[0], next_time=told[1])


def of_trace(trace: Trace, name: str = "trace") -> Log:
    """Return a trace of migkit as a record, so that both can be fitted alike.

    Examples
    --------
    >>> from migkit.traces import data, io
    >>> log = of_trace(io.read(data.shipped_traces()[0]))
    >>> log.meta["outcome"], "remaining_bytes" in log.frame
    ('completed', True)
    """
    samples, outcome = trace.samples.to_pandas(), trace.outcome
    rounds = trace.rounds.to_pandas()
    frame = samples[["iteration", "sent_bytes", "remaining_bytes", "phase"]].copy()
    frame.insert(0, "t_s", (samples["monotonic_ns"] - samples["monotonic_ns"].iloc[0]) / 1e9)
    frame["status"] = frame["phase"]
    frame["total_bytes"] = float(trace.scenario.guest.memory_bytes)
    for column in ("normal_pages", "zero_pages", "dirtied_pages_per_s", "bandwidth_bytes_per_s", "throttle"):
        frame[column] = float("nan")
    frame["postcopy_faults"] = float("nan")
    totals = {
        "total_time_s": outcome.total_time_s,
        "downtime_s": outcome.downtime_s,
        "sent_bytes": outcome.transferred_bytes,
        "iteration": outcome.iterations,
        "total_bytes": trace.scenario.guest.memory_bytes,
        "normal_pages": int(rounds["normal_pages"].sum()),
        "zero_pages": int(rounds["zero_pages"].sum()),
    }
    policy = trace.scenario.policy
    meta: dict[str, Any] = {
        "file": name,
        "form": "Parquet",
        "source": SOURCES["trace"],
        "family": "trace",
        "vm": None,
        "version": None,
        "outcome": _PHASES.get(outcome.verdict, outcome.verdict),
        "postcopy": bool((frame["phase"] == "postcopy").any()),
        "totals": totals,
        "settings": {
            "downtime_limit_s": policy.downtime_limit_s,
            "max_bandwidth_bytes_per_s": policy.max_bandwidth_bytes_per_s,
        },
        "capabilities": {},
        "events": [],
        "texts": {"reason": outcome.reason},
        "clock": None,
        "started": None,
        "ended": None,
        "zone": None,
        "resolution_bytes": {},
        "meanings": {},
        "notes": [],
    }
    ordered = frame[[column for column in COLUMNS if column in frame]]
    return Log(kind="migration", frame=ordered, meta=meta, unknown={}, cannot_tell=(), next_time=())
