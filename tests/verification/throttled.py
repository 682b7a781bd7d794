"""Real migrations with auto-converge, of guests that run flat out and of paced ones, against their predictions.

    python -m tests.verification.throttled [--runs 12] [--seed 1] [--qemu BINARY]

What a guest can write flat out is measured first. A guest that asks for all of it is slowed by every throttle; one
that asks for a tenth catches up until a throttle leaves it less than it asks for. Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import argparse
import random
import sys
from statistics import median

from migkit import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.units import MIB
from tests.verification.qemu_host import measured_host
from tests.verification.qemu_migration import migrate, undisturbed
from tests.verification.qemu_runs import HEADER, Run, compared, summary

SHARES = (1.0, 0.5, 0.1)  # of its capacity that a guest asks for
REGION_BYTES = 24 * MIB
MORE_THAN_ANY_PER_S = 4e6
WARM_UP_S = 6.0


def capacity_writes_per_s(qemu: str) -> float:
    """Return how many pages a second a guest writes flat out [1/s]: writes before it moves, over its warm-up."""
    dirty = DirtyClass(region_bytes=REGION_BYTES, writes_per_s=MORE_THAN_ANY_PER_S)
    case = Scenario(
        guest=Guest(memory_bytes=96 * MIB, zero_bytes=32 * MIB, dirty=(dirty,)),
        strategy=Strategy(name="stopcopy"),
    )
    done = [
        capture(case, Options(qemu=qemu, warm_up_s=warm_up_s)).samples["guest_operations"].to_pylist()[0]
        for warm_up_s in (1.0, 1.0 + WARM_UP_S)
    ]
    return (done[1] - done[0]) / WARM_UP_S


def drawn(seed: int, capacity: float) -> Scenario:
    """Return the scenario that a seed stands for."""
    draw = random.Random(f"throttled {seed}")
    memory_bytes = draw.choice([256, 384, 512]) * MIB
    region_bytes = draw.choice([8, 16, 24, 40]) * MIB
    dirty = DirtyClass(region_bytes=region_bytes, writes_per_s=SHARES[seed % len(SHARES)] * capacity)
    return Scenario(
        guest=Guest(
            memory_bytes=memory_bytes,
            zero_bytes=memory_bytes // 2,
            dirty=(dirty,),
            layout="blocks",
            capacity_writes_per_s=capacity,
        ),
        policy=Policy(
            max_bandwidth_bytes_per_s=float(round(draw.uniform(30e6, 120e6))),
            downtime_limit_s=round(draw.uniform(0.05, 0.4), 3),
            time_limit_s=60.0,
        ),
        strategy=Strategy(auto_converge=True),
    )


def main() -> None:
    """Run and compare from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--qemu", default=QEMU, help="a QEMU binary, or a folder of another Debian")
    asked = parser.parse_args()
    runs: dict[float, list[Run]] = {share: [] for share in SHARES}
    with undisturbed() as permitted:
        if not permitted:
            print("ordinary priority: other processes disturb the runs; root can go before them", file=sys.stderr)
        host, capacity = measured_host(asked.qemu), capacity_writes_per_s(asked.qemu)
        print(f"{capacity:,.0f} writes a second flat out\n{HEADER}")
        for seed in range(asked.seed, asked.seed + asked.runs):
            trace, real = migrate(asked.qemu, drawn(seed, capacity), seed)
            run = compared(seed, trace.scenario, trace.machine["qemu_version"], real, True, host)
            runs[SHARES[seed % len(SHARES)]].append(run)
            print(f"{run}, {real.max_throttle_percent} % throttle", flush=True)
    for share, some in runs.items():
        if some:
            print(f"asks for {share:.0%} of its capacity: {summary(some)}")
    done = [abs(run.total_time_error) for some in runs.values() for run in some if run.right]
    print(f"all: total time off by {median(done):.2%} in the median")


if __name__ == "__main__":
    main()
