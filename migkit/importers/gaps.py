"""What a log cannot tell, and what to log next time so that it can, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.importers.meanings import TIMED_OUT
from migkit.units import PAGE_BYTES, format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RATE_MEANING", "Columns", "cannot_tell", "next_time", "rate_cannot_tell", "rate_next_time"]

RATE_MEANING: Final = (
    "unique memory dirtied in the window, in MiB/s whatever the unit printed: a page counts once however often it is "
    "written, so a longer window gives a lower rate"
)
_SELDOM_S: Final = 1.0
_LATE_S: Final = 0.1
_QEMU: Final = (
    "qmp",
    "hmp",
    "virsh",
    "jobstats",
    "proxmox",
    "nova",
    "kubevirt",
    "vdsm",
    "metrics",
    "progress",
    "guestperf",
    "trace-events",
)
_NONE: Final = np.empty(0)

Columns = Mapping[str, np.ndarray]
"""The columns of a frame as arrays; NaN where the log is silent."""


def cannot_tell(columns: Columns, meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the log does not say, one sentence each."""
    said: list[str] = []
    if meta["family"] == "criu":
        return ("It holds totals only, of one dump or restore: nothing of how memory was dirtied meanwhile.",)
    if not _said(columns, "remaining_bytes"):
        said.append(
            "It does not say how much remained to be sent, so it cannot show whether the migration converged."
        )
    if not _counts(columns):
        said.append(
            "It has no counts of pages sent in full and as zero pages: dirtied pages cannot be counted from it."
        )
    if _readings(columns) == 0:
        said.append("It has no reading of counters: nothing of how the migration went.")
    elif _readings(columns) == 1:
        said.append("It has a single reading: nothing of how the migration went.")
    elif _step_s(columns) > _SELDOM_S:
        said.append(f"It was read every {format_duration(_step_s(columns))}: what happened in between is not in it.")
    if "total_bytes" not in meta["totals"] and not _said(columns, "total_bytes"):
        said.append("It does not say how much memory the guest has.")
    said += _about_time(columns, meta)
    if meta["outcome"] in ("under way", "not said"):
        said.append("It stops while the migration is under way: total time, downtime and outcome are not in it.")
    elif meta["outcome"] == "ended":
        said.append(
            "Its last reading knows no job any more: total time, downtime and outcome are not in it; "
            "`virsh domjobinfo VM --completed` tells them afterwards."
        )
    elif meta["outcome"] == TIMED_OUT:
        said.append(
            "It stops at the completion timeout: whether Nova aborted the migration there, as "
            "live_migration_timeout_action = abort has it, or forced its end is not in it."
        )
    elif meta["outcome"] == "completed" and "downtime_s" not in meta["totals"]:
        said.append("It does not say how long the guest stood still.")
    said += _about_end(columns, meta)
    said += _about_settings(meta)
    return tuple(said)


def _about_end(columns: Columns, meta: Mapping[str, Any]) -> list[str]:
    """Say how long before the end the counters were last read, if they were not read at the end."""
    total = meta["totals"].get("total_time_s")
    counted = columns["t_s"][~np.isnan(columns["sent_bytes"]) & ~np.isnan(columns["t_s"])]
    if meta["outcome"] == "under way" or total is None or not counted.size or total - counted[-1] < _LATE_S:
        return []
    return [f"Its counters end {format_duration(total - counted[-1])} before the migration: more was sent."]


def _about_time(columns: Columns, meta: Mapping[str, Any]) -> list[str]:
    said = []
    if not _said(columns, "t_s") and meta["clock"] is None:
        said.append("It has neither time stamps nor a time since the request: no rates follow from it.")
    elif meta["clock"] is None:
        said.append("It is not stamped: when the migration ran is not in it.")
    rounded = meta["resolution_bytes"].items()
    name, step = max(rounded, key=lambda pair: pair[1], default=("", 0.0))
    if step > PAGE_BYTES:  # kbytes are exact where pages are counted
        said.append(f"Sizes were rounded when they were printed ({name} to {format_size(step)}).")
    if meta["family"] == "progress":
        said.append(
            "It says how much is done, but not whether that counts each page once or every byte sent: what "
            "remained is left open."
        )
    return said


def _about_settings(meta: Mapping[str, Any]) -> list[str]:
    wanted = {"downtime_limit_s": "the downtime limit", "max_bandwidth_bytes_per_s": "the bandwidth cap"}
    missing = [words for name, words in wanted.items() if name not in meta["settings"]]
    if not missing or meta["family"] not in _QEMU:
        return []
    return [f"It does not show {' and '.join(missing)} in force."]


def next_time(columns: Columns, meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what to log next time, one sentence each; nothing if the log holds all that a fit needs."""
    said = []
    seldom = _readings(columns) <= 1 or _step_s(columns) > _SELDOM_S or not _counts(columns)
    if meta["family"] in _QEMU and (seldom or not _said(columns, "remaining_bytes")):
        said.append(
            "Read query-migrate every 200 ms from the request to the end, e.g. `virsh qemu-monitor-command VM "
            '\'{"execute": "query-migrate"}\'` in a loop, one answer a line with a time stamp before it.'
        )
    if _about_settings(meta):
        said.append("Log the answers of query-migrate-parameters and query-migrate-capabilities once.")
    if meta["family"] in ("qmp", "hmp") and "qemu" not in (meta["version"] or {}):
        said.append("Log the answer of query-version once: what the counters mean depends on it.")
    if meta["family"] == "criu":
        said.append("Keep the statistics of every pre-dump: each is one round.")
    if meta["family"] == "xen":
        said.append("Run xl with -vvv and the toolstack's debug log: iterations and page counts are in it.")
    return tuple(said)


def rate_cannot_tell(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return what readings of a dirty rate leave open."""
    whole = frame[frame["vcpu"] == -1]
    said = []
    if whole["window_s"].nunique() < 2:
        said.append(
            "One window cannot tell a guest that rewrites a small set from one that walks through its memory: "
            "a prediction from it is an interval over both."
        )
    if (whole["status"] == "measuring").any():
        said.append("A measurement was still running when it was read: it has no rate yet.")
    said.append("It does not say how much memory the guest has, nor how much of it is zero.")
    return tuple(said)


def rate_next_time(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return which windows to measure next."""
    if frame.loc[frame["vcpu"] == -1, "window_s"].nunique() >= 2:
        return ()
    return (
        "Measure a short and a long window as well: `virsh domdirtyrate-calc VM --seconds 1` and `--seconds 30`, "
        "each read with `virsh domstats VM --dirtyrate`.",
    )


def _readings(columns: Columns) -> int:
    told = [~np.isnan(columns[name]) for name in ("remaining_bytes", "sent_bytes", "normal_pages")]
    return int(np.logical_or.reduce(told).sum())


def _counts(columns: Columns) -> bool:
    return _said(columns, "normal_pages") and _said(columns, "zero_pages")


def _step_s(columns: Columns) -> float:
    times = columns["t_s"]
    steps = np.diff(times[~np.isnan(times)])
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else 0.0


def _said(columns: Columns, name: str) -> bool:
    return bool((~np.isnan(columns.get(name, _NONE))).any())
