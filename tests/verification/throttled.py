"""Real migrations with auto-converge, of guests that run flat out and of paced ones, against their predictions.

    python -m tests.verification.throttled [--runs 12] [--seed 1] [--qemu BINARY]

A guest keeps to a capacity that this machine can do, so that its speed decides nothing. One that asks for all of it
is slowed by every throttle; one that asks for a fifth catches up until a throttle leaves it less than it asks for.
Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import argparse
import random
import sys
from statistics import median

from migkit import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.qemu.machine import QEMU
from migkit.units import MIB
from tests.verification.qemu_host import measured_host
from tests.verification.qemu_migration import migrate, undisturbed
from tests.verification.qemu_runs import HEADER, Run, compared, summary

SHARES = (1.0, 0.5, 0.2)  # of its capacity that a guest asks for


def drawn(seed: int) -> Scenario:
    """Return the scenario that a seed stands for."""
    draw = random.Random(f"throttled {seed}")
    memory_bytes = draw.choice([256, 384, 512]) * MIB
    region_bytes = draw.choice([8, 16, 24, 40]) * MIB
    capacity = float(round(draw.uniform(80e3, 160e3)))
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
            max_bandwidth_bytes_per_s=float(round(draw.uniform(20e6, 70e6))),
            downtime_limit_s=round(draw.uniform(0.01, 0.15), 3),
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
        host = measured_host(asked.qemu)
        print(HEADER)
        for seed in range(asked.seed, asked.seed + asked.runs):
            trace, real = migrate(asked.qemu, drawn(seed), seed)
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
