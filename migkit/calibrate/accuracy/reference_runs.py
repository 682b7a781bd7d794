"""63 migrations by QEMU under software emulation of guests whose dirtying is known; nothing is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from migkit.calibrate.accuracy.scored import Origin, Scored, scored
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario, Strategy
from migkit.traces import data

__all__ = ["PRESETS", "scenario", "score"]

PRESETS: Final = {"7": "qemu-7", "10": "qemu-10"}
VERDICTS: Final = {"completed": "converges", "timeout": "timed_out"}


def scenario(row: dict[str, Any], policy: str) -> Scenario:
    """Return the scenario of a row of ``data/qemu/reference_runs.csv`` under a policy.

    Examples
    --------
    >>> scenario(data.reference_runs()[0], "qemu-7").policy.max_bandwidth_bytes_per_s
    40000000
    """
    classes = tuple(DirtyClass(**one) for one in row["classes"])
    memory = row["memory_bytes"]
    guest = Guest(
        memory_bytes=memory,
        zero_bytes=memory - sum(one.region_bytes for one in classes),
        dirty=classes,
        layout="blocks",
        capacity_writes_per_s=5e6,
    )
    rule = Policy(
        name=policy,
        max_bandwidth_bytes_per_s=row["max_bandwidth_bytes_per_s"],
        downtime_limit_s=row["downtime_limit_s"],
        time_limit_s=row["time_limit_s"],
    )
    strategy = Strategy(auto_converge=row["capabilities"] == "auto-converge")
    if row["postcopy_after_s"] is not None:
        strategy = Strategy(name="hybrid", postcopy_after_s=row["postcopy_after_s"])
    return Scenario(guest=guest, host=Host(platform="qemu-tcg"), policy=rule, strategy=strategy)


def score(folder: Path | None = None, *, version_known: bool = True) -> Iterator[Scored]:
    """Yield each run beside its prediction.

    Parameters
    ----------
    folder
        Where ``reference_runs.csv`` lies; None: the one that ships.
    version_known
        Whether the prediction is told the version of QEMU.

    Examples
    --------
    >>> next(score()).verdict_right
    True
    """
    for row in data.reference_runs(folder):
        major = row["qemu_version"].split(".")[0]
        ended = row["status"] == "completed"
        yield scored(
            Origin(row["run"], row["case"], "reference machine", "scenario alone"),
            scenario(row, PRESETS[major] if version_known else "qemu"),
            verdict=VERDICTS[row["status"]],
            total_time_s=row["total_time_s"] if ended else None,
            downtime_s=row["downtime_s"] if ended else None,
            transferred_bytes=row["transferred_bytes"] if ended else None,
        )
