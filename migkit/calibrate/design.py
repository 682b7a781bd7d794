"""Designed runs: which migrations to capture, and why.

A run tells something only where its mechanism binds. Runs without a cap tell the goodput; a guest of
another size tells the fixed cost of a sync from that per page; zero pages, caps and
page classes that differ tell the rest. In a run to be predicted the cap binds, and no decision of
the policy is a close call: what remains at each look is well above or well below the threshold.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple

import numpy as np

from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.units import MIB

__all__ = ["Designed", "calibration_runs", "designed_runs", "encoding_runs", "held_out_run"]

_LONGEST_S: Final = 4.0


class Designed(NamedTuple):
    """A run to capture, with the name of its trace and what it is for."""

    name: str
    purpose: str
    scenario: Scenario


def calibration_runs() -> tuple[Designed, ...]:
    """Return seven migrations that together tell every constant of the harness on one machine.

    Examples
    --------
    >>> [run.name for run in calibration_runs()]
    ['free', 'stopcopy', 'slow', 'fast', 'large', 'postcopy', 'postcopy-zero']
    """
    return (
        Designed("free", "goodput", _scenario(256, 0, 32, 1500.0, math.inf, 0.1)),
        Designed("stopcopy", "zero pages, downtime", _scenario(512, 384, 32, 2000.0, math.inf, 0.3, "stopcopy")),
        Designed("slow", "windows, bytes", _scenario(256, 64, 32, 2000.0, 100e6, 0.3)),
        Designed("fast", "sync, many dirty pages", _scenario(256, 64, 64, 7000.0, 160e6, 0.15)),
        Designed("large", "cost of a sync by size", _scenario(512, 192, 64, 5000.0, 200e6, 0.1, kind="sweep")),
        Designed("postcopy", "push, demand faults", _scenario(256, 0, 64, 5000.0, 200e6, 0.3, "postcopy")),
        Designed("postcopy-zero", "push of zero pages", _scenario(384, 192, 32, 5000.0, 200e6, 0.3, "postcopy")),
    )


def encoding_runs() -> tuple[Designed, ...]:
    """Return four migrations that tell what encryption and each compressor cost, beside :func:`calibration_runs`.

    Examples
    --------
    >>> [run.scenario.strategy.compression for run in encoding_runs()]
    ['none', 'zlib', 'zstd', 'lz4']
    """
    free = _scenario(256, 64, 32, 1500.0, math.inf, 0.3, "stopcopy")
    encoded = {"tls": {"tls": True}} | {name: {"compression": name} for name in ("zlib", "zstd", "lz4")}
    return tuple(
        Designed(name, f"cost of {name}", dataclasses.replace(free, strategy=Strategy(name="stopcopy", **changes)))
        for name, changes in encoded.items()
    )


def held_out_run() -> Designed:
    """Return a migration that differs from all of :func:`calibration_runs` in cap, dirtying and limit.

    Examples
    --------
    >>> held_out_run().scenario.policy.downtime_limit_s
    0.15
    """
    return Designed("left-out", "prediction", _scenario(384, 64, 64, 4000.0, 120e6, 0.15))


def designed_runs(count: int, seed: int = 0) -> tuple[Designed, ...]:
    """Return ``count`` migrations over strategies, caps, guests and limits, drawn independently.

    Half are pre-copies, the others are stop-copies, post-copies and hybrids in equal parts, all under caps from
    60 to 200 MB/s that hold for the push of post-copy as well. Runs that are expected not to end, or to last more
    than 4 s, are drawn again; close calls of the policy are kept.

    Parameters
    ----------
    count
        How many.
    seed
        Of the draw.

    Examples
    --------
    >>> len(designed_runs(3)), designed_runs(3) == designed_runs(3)
    (3, True)
    """
    rng = np.random.default_rng(seed)
    runs: list[Designed] = []
    while len(runs) < count:
        scenario = _drawn(rng)
        if predict(scenario).total_time_s <= _LONGEST_S:
            runs.append(Designed(f"{scenario.strategy.name}-{len(runs):02d}", "validation", scenario))
    return tuple(runs)


def _drawn(rng: np.random.Generator) -> Scenario:
    memory_mib = int(rng.choice([128, 192, 256, 384]))
    drawn = _scenario(
        memory_mib,
        zero_mib=int(rng.choice([0, memory_mib // 8, memory_mib // 4])),
        region_mib=int(rng.choice([16, 32, 64])),
        writes_per_s=float(round(math.exp(rng.uniform(math.log(300.0), math.log(8000.0))))),
        cap_bytes_per_s=float(rng.choice([60, 80, 100, 125, 150, 200])) * 1e6,
        limit_s=float(rng.choice([0.05, 0.1, 0.2, 0.3])),
        strategy=str(rng.choice(["precopy"] * 3 + ["stopcopy", "postcopy", "hybrid"])),
        kind=str(rng.choice(["random", "sweep"])),
    )
    cap_bytes_per_s = drawn.policy.max_bandwidth_bytes_per_s
    capped = dataclasses.replace(drawn.policy, max_postcopy_bandwidth_bytes_per_s=cap_bytes_per_s)
    return dataclasses.replace(drawn, policy=capped)


def _scenario(
    memory_mib: int,
    zero_mib: int,
    region_mib: int,
    writes_per_s: float,
    cap_bytes_per_s: float,
    limit_s: float,
    strategy: str = "precopy",
    kind: str = "random",
) -> Scenario:
    region = DirtyClass(region_bytes=region_mib * MIB, writes_per_s=writes_per_s, kind=kind)
    return Scenario(
        guest=Guest(memory_bytes=memory_mib * MIB, zero_bytes=zero_mib * MIB, dirty=(region,)),
        policy=Policy(max_bandwidth_bytes_per_s=cap_bytes_per_s, downtime_limit_s=limit_s),
        strategy=Strategy(name=strategy),
    )
