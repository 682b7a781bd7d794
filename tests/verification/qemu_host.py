"""What this machine costs QEMU: few migrations, none of which is predicted, each of which shows one constant."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from statistics import median

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy
from migkit.units import MIB, PAGE_BYTES
from tests.verification.qemu_migration import Outcome, migrate

REPEATS = 3
UNCAPPED_BYTES_PER_S = 1e11
SLOW_BYTES_PER_S = 2e6
SWITCH_S = 0.25
FLAT_OUT_PER_S = 1e6
MOST_S = 0.01  # of a demanded page: longer ones wait for a window
COMMAND_S = 1e-3  # the monitor passes an order on
BUSY_PER_S = 2e5
LARGE_BYTES = 32 * MIB  # a round that shows the speed of the path


def measured_host(qemu: str) -> Host:
    """Return the default constants with those that decide where no cap binds measured here.

    The speed of the path and the time of a zero page, in pre-copy and in the push of post-copy, and the time of a
    demanded page, unless this QEMU sends one of them a window. A first pass does not show the speed at which pages
    are sent again: to receive a page for the first time takes memory, and three times as long here.
    """
    base = Host(platform="qemu-tcg")
    zero_s = _per_unit(qemu, _scenario(1024, 1), lambda run: run.zero_pages, base.setup_s)
    # A switch asked for in the third window is noticed at the end of it.
    noticed_s = base.setup_s + 0.3
    pushed = _per_unit(qemu, _scenario(512, 448, SWITCH_S), lambda run: run.transferred_bytes, noticed_s)
    pushed_zero_s = _per_unit(qemu, _scenario(1024, 1, SWITCH_S), lambda run: run.zero_pages, noticed_s)
    demanded_s = _per_unit(
        qemu, _scenario(128, 64, SWITCH_S, FLAT_OUT_PER_S), lambda run: run.postcopy_requests, noticed_s
    )
    return dataclasses.replace(
        base,
        command_s=COMMAND_S,
        goodput_bytes_per_s=_sent_again_bytes_per_s(qemu),
        postcopy_bytes_per_s=1.0 / pushed,
        zero_page_cpu_s=zero_s,
        postcopy_zero_page_cpu_s=max(0.0, pushed_zero_s - zero_s),
        fault_service_s=demanded_s - PAGE_BYTES * pushed if demanded_s < MOST_S else base.fault_service_s,
    )


def _sent_again_bytes_per_s(qemu: str) -> float:
    """Return how fast a path without a cap takes pages after the first pass [B/s]."""
    busy = Scenario(
        guest=Guest(
            memory_bytes=512 * MIB,
            zero_bytes=64 * MIB,
            dirty=(DirtyClass(region_bytes=384 * MIB, writes_per_s=BUSY_PER_S),),
        ),
        policy=Policy(max_bandwidth_bytes_per_s=UNCAPPED_BYTES_PER_S, downtime_limit_s=1e-3, time_limit_s=15.0),
    )
    trace, _ = migrate(qemu, busy, seed=1)
    return median(
        row["sent_bytes"] / row["duration_s"]
        for row in trace.rounds.to_pylist()[1:]
        if row["sent_bytes"] > LARGE_BYTES
    )


def _per_unit(qemu: str, scenario: Scenario, count: Callable[[Outcome], int], before_s: float) -> float:
    """Return the time of one unit [s], the median of several migrations."""
    runs = [migrate(qemu, scenario, seed)[1] for seed in range(REPEATS)]
    return median((run.total_time_s - before_s) / max(1, count(run)) for run in runs)


def _scenario(memory_mib: int, region_mib: int, switch_s: float | None = None, writes_per_s: float = 0.0) -> Scenario:
    region = DirtyClass(region_bytes=region_mib * MIB, writes_per_s=writes_per_s)
    zero_bytes = (memory_mib - region_mib) * MIB
    push_bytes_per_s = SLOW_BYTES_PER_S if writes_per_s else math.inf  # else it shows the path
    cap = UNCAPPED_BYTES_PER_S if switch_s is None else SLOW_BYTES_PER_S
    strategy = Strategy() if switch_s is None else Strategy(name="hybrid", postcopy_after_s=switch_s)
    return Scenario(
        guest=Guest(memory_bytes=memory_mib * MIB, zero_bytes=zero_bytes, dirty=(region,)),
        policy=Policy(
            max_bandwidth_bytes_per_s=cap,
            max_postcopy_bandwidth_bytes_per_s=push_bytes_per_s,
            downtime_limit_s=0.02,
            time_limit_s=25.0,
        ),
        strategy=strategy,
    )
