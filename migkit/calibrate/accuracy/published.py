"""Migrations of idle guests that others published, on hosts of which nothing is known but their link or cap.

A row counts where it states a link or a cap, and how much of the guest's memory is zero. Most sources tell that only
by what the migration counted or sent, which then stands for the guest. So time is compared, and bytes are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from migkit.calibrate.accuracy.scored import Origin, Scored, scored
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.traces import data
from migkit.units import GIB, MIB, PAGE_BYTES

__all__ = ["scenario", "score"]

_PLAIN: Final = re.compile(
    r"(precopy|multifd)( managed direct| p2p| multifd)?(\d+)?( none)?( \+xbzrle)?( \+ \d VFIO)?$"
)
_FILLED: Final = re.compile(r"(?:(\d+)% of )?(\d+)G (?:filled|Silesia fill)")


def score(folder: Path | None = None) -> Iterator[Scored]:
    """Yield each row that says enough beside its prediction.

    Examples
    --------
    >>> next(score()).origin.workload
    'idle'
    """
    for row in data.published_measurements(folder):
        case = scenario(row)
        if case is not None:
            yield scored(
                Origin(row["id"], row["workload"], row["ref"], "scenario alone"),
                case,
                verdict="converges",
                total_time_s=row["total_ms"] / 1e3,
                downtime_s=row["downtime_ms"] / 1e3,
            )


def scenario(row: dict[str, Any]) -> Scenario | None:
    """Return the scenario that a published row states; None: it does not say enough.

    Examples
    --------
    >>> rows = {row["id"]: row for row in data.published_measurements()}
    >>> scenario(rows["jq_idle_multifd_a"]).strategy.streams, scenario(rows["rdma_stress"])
    (4, None)
    """
    plain = _PLAIN.match(row["strategy"].strip())
    zero = _zero_bytes(row)
    if not (plain and zero is not None and "idle" in row["workload"] and row["status"] == "completed"):
        return None
    if row["link_or_limit_mbps"] is None or not isinstance(row["downtime_ms"], int) or not _counts_all(row):
        return None
    speed = row["link_or_limit_mbps"] * 1e6 / 8
    capped = "bandwidth" in (row["notes"] or "") or (row["throughput_mbps"] or 0) > row["link_or_limit_mbps"]
    guest = Guest(memory_bytes=row["vm_ram_MiB"] * MIB, zero_bytes=zero, devices=_devices(row))
    limit_s = (row["downtime_limit_ms"] or 300) / 1e3
    return Scenario(
        guest=guest,
        host=Host(firmware_bytes=0),
        link=Link() if capped else Link(bandwidth_bytes_per_s=speed),
        policy=Policy(name="qemu", max_bandwidth_bytes_per_s=speed, downtime_limit_s=limit_s),
        strategy=Strategy(streams=_streams(row), xbzrle="xbzrle" in row["strategy"]),
    )


def _counts_all(row: dict[str, Any]) -> bool:
    """Say whether as many pages were counted as the memory holds; where fewer were, part of it was not there."""
    counted = [row[name] for name in ("zero_pages", "normal_pages")]
    return None in counted or sum(counted) * PAGE_BYTES > 0.9 * row["vm_ram_MiB"] * MIB


def _zero_bytes(row: dict[str, Any]) -> int | None:
    """Return what of the memory is zero: as counted, as what is not filled, or as what was not sent."""
    memory, filled = int(row["vm_ram_MiB"]) * MIB, _FILLED.search(row["workload"])
    if row["zero_pages"] is not None:
        return min(int(row["zero_pages"]) * PAGE_BYTES, memory)
    if filled is not None:
        full = int(filled[2]) * GIB * int(filled[1] or 100) // 100
    elif row["transferred_bytes"] is not None:
        full = int(row["transferred_bytes"])
    else:
        return None
    return max(0, memory - full) // PAGE_BYTES * PAGE_BYTES


def _streams(row: dict[str, Any]) -> int:
    named = re.search(r"multifd(\d+)", row["strategy"])
    return int(row["streams"] or (named[1] if named else 2 if "multifd" in row["strategy"] else 1))


def _devices(row: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    named = re.search(r"(\d+) VFIO", row["strategy"])
    return (("vfio", float(named[1])),) if named else ()
