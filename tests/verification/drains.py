"""Drains of generated clusters: how long a plan takes, how near it is to its bound, what the checker says.

Run it with ``./run dev python -m tests.verification.drains [--large] [--improve SECONDS]``.
"""

import argparse
import resource
import time

from migkit.planning.check import violations
from migkit.planning.drain import drain
from migkit.planning.durations import tabulate
from migkit.planning.slots import MANAGERS
from tests.planning.fleets import UNCAPPED, fleet

LARGE = "5,000 hosts, 30,000 machines, rolling"


def main():
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="5,000 hosts and 30,000 machines instead")
    parser.add_argument("--improve", type=float, default=40.0, help="time for the search [s]")
    options = parser.parse_args()
    if options.large:
        inventory = fleet(5000, 30_000, cluster=[f"c{k // 100}" for k in range(5000)])
        report(LARGE, inventory, "all", "ovirt", rolling=True, service_s=600.0, improve_s=options.improve)
        return
    inventory = fleet(100, 2000)
    drain(inventory, ["h0"], base=UNCAPPED, improve_s=0)  # what is compiled is loaded
    some = [f"h{k}" for k in range(20)]
    for manager in ("none", "ovirt", "kubevirt", "vmware"):
        for improve_s in (0.0, options.improve):
            report(f"20 of 100 hosts, {manager}", inventory, some, manager, improve_s=improve_s)
            report(f"100 hosts rolling, {manager}", inventory, "all", manager, rolling=True, improve_s=improve_s)


def report(name, inventory, empty, manager, **asked):
    """Plan, check, and print what came of it."""
    limits = MANAGERS[manager]
    wall, processor = time.monotonic(), time.process_time()
    plan = drain(inventory, empty, base=UNCAPPED, limits=limits, **asked)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    table = tabulate(inventory.vms, UNCAPPED, float(inventory.hosts.link_bytes_per_s.max()))
    broken = violations(inventory, plan.moves, plan.hosts, table, limits)
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:<36} search {asked.get('improve_s', 10.0):4.0f} s: {len(plan.moves):6} moves, "
        f"{plan.makespan_s:8.1f} s, greedy {plan.greedy_makespan_s:8.1f} s, bound {plan.lower_bound_s:8.1f} s "
        f"({plan.makespan_s / plan.lower_bound_s - 1:6.1%}), {len(broken)} broken, "
        f"took {wall:5.1f} s (processor {processor:5.1f} s), {memory_gib:.1f} GiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
