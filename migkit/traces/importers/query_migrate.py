"""Logs of QEMU's ``query-migrate``: one reading a line, as a monitor prints them.

Names and units of QEMU's migration API (qapi/migration.json) are mapped in one table: times there are
milliseconds, ``mbps`` is 1e6 bit/s, ``ram`` counts bytes and pages.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import TraceError
from migkit.traces.data import reference_runs, reference_timelines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "read_query_migrate", "read_reference"]

COLUMNS: Final[Mapping[str, tuple[str, float]]] = {
    "total-time": ("t_s", 1e-3),
    "ram.dirty-sync-count": ("iteration", 1),
    "ram.remaining": ("remaining_bytes", 1),
    "ram.transferred": ("sent_bytes", 1),
    "ram.dirty-pages-rate": ("dirtied_pages_per_s", 1),
    "ram.mbps": ("bandwidth_bytes_per_s", 1e6 / 8),
    "cpu-throttle-percentage": ("throttle", 1e-2),
}
_META: Final[Mapping[str, tuple[str, float]]] = {
    "total-time": ("total_time_s", 1e-3),
    "downtime": ("downtime_s", 1e-3),
    "setup-time": ("setup_s", 1e-3),
    "ram.transferred": ("transferred_bytes", 1),
    "ram.normal": ("normal_pages", 1),
    "ram.duplicate": ("zero_pages", 1),
    "ram.page-size": ("page_bytes", 1),
    "ram.dirty-sync-count": ("iterations", 1),
    "ram.postcopy-requests": ("postcopy_faults", 1),
}
_PHASES: Final = {
    "setup": "setup",
    "wait-unplug": "setup",
    "active": "precopy",
    "pre-switchover": "stopcopy",
    "device": "stopcopy",
    "postcopy-active": "postcopy",
    "postcopy-paused": "postcopy",
    "postcopy-recover": "postcopy",
    "completed": "done",
    "cancelling": "done",
    "cancelled": "done",
    "failed": "done",
}
_MAX_LOG_BYTES: Final = 1 << 28
_TIMELINE: Final = {
    "t_s": "t_s",
    "dirty_sync_count": "iteration",
    "remaining_bytes": "remaining_bytes",
    "transferred_bytes": "sent_bytes",
    "dirty_pages_rate": "dirtied_pages_per_s",
}


def read_query_migrate(path: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a log of ``query-migrate`` answers.

    Parameters
    ----------
    path
        JSON Lines (or gzip of it), each line the answer itself or the whole QMP response ``{"return": ...}``;
        lines of other commands and events are passed over.

    Returns
    -------
    frame
        One row an answer that counts RAM: ``t_s`` since the request, ``phase``, ``iteration``, ``remaining_bytes``,
        ``sent_bytes``, ``dirtied_pages_per_s``, ``bandwidth_bytes_per_s``, ``throttle`` (a share).
    meta
        ``status`` of the last answer and its totals: ``total_time_s``, ``downtime_s``, ``setup_s``,
        ``transferred_bytes``, ``normal_pages``, ``zero_pages``, ``page_bytes``, ``iterations``, ``postcopy_faults``.

    Raises
    ------
    TraceError
        The file cannot be read, a line is no JSON, or no line is such an answer.
    """
    import pandas as pd

    path = Path(path)
    answers = [answer for answer in _answers(path) if isinstance(answer.get("ram"), dict)]
    if not answers:
        raise TraceError(f"log {path}: no line is an answer of query-migrate with RAM counters; give such a log")
    rows = [{"phase": _phase(answer, path)} | _named(answer, COLUMNS, path) for answer in answers]
    frame = pd.DataFrame(rows, columns=["t_s", "phase", *(name for name, _ in list(COLUMNS.values())[1:])])
    if frame["t_s"].isna().any() or not frame["t_s"].is_monotonic_increasing:
        raise TraceError(f"log {path}: total-time is missing or runs backwards; a log must hold one migration")
    return frame, {"status": answers[-1]["status"]} | _named(answers[-1], _META, path)


def read_reference(run: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the readings of a reference run that ships with migkit, in the columns of a log, and what it came to.

    Raises
    ------
    TraceError
        There are no readings of that run.

    Examples
    --------
    >>> frame, meta = read_reference("a1-q7-0")
    >>> int(frame["iteration"].iloc[-1]), meta["status"], meta["total_time_s"]
    (7, 'completed', 5.513)
    """
    import pandas as pd

    lines = reference_timelines()
    if run not in lines:
        raise TraceError(f"reference run {run!r}: no readings of it; use one of {', '.join(lines)}")
    rows = [
        {name: row[key] for key, name in _TIMELINE.items()}
        | {
            "phase": _PHASES[row["status"]],
            "bandwidth_bytes_per_s": (row["mbps"] or 0.0) * 1e6 / 8,
            "throttle": (row["throttle_percent"] or 0) / 100,
        }
        for row in lines[run]
    ]
    meta = next(row for row in reference_runs() if row["run"] == run)
    return pd.DataFrame(rows), dict(meta)


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TraceError(
                f"log {path}: line {number} is no JSON; give one answer of query-migrate a line"
            ) from error
        answer = message.get("return", message) if isinstance(message, dict) else None
        if isinstance(answer, dict) and isinstance(answer.get("status"), str):
            yield answer


def _lines(path: Path) -> Iterable[str]:
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            raw = stream.read(_MAX_LOG_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"log {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(raw) > _MAX_LOG_BYTES:
        raise TraceError(f"log {path}: larger than 256 MiB; split it by migration")
    return raw.decode("utf-8", errors="replace").splitlines()


def _phase(answer: Mapping[str, Any], path: Path) -> str:
    if answer["status"] not in _PHASES:
        raise TraceError(f"log {path}: status {answer['status']!r} is not known; this migkit knows QEMU 7.2 to 10.0")
    return _PHASES[answer["status"]]


def _named(answer: Mapping[str, Any], table: Mapping[str, tuple[str, float]], path: Path) -> dict[str, Any]:
    """Return the values of QEMU's names under ours, in our units; what is absent is None."""
    record: dict[str, Any] = {}
    for theirs, (ours, factor) in table.items():
        value: Any = answer
        for key in theirs.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TraceError(f"log {path}: {theirs} is {value!r}, not a number; give a log of query-migrate")
        record[ours] = None if value is None else value * factor
    return record
