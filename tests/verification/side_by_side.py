"""Plans of small fleets, carried out: real migrations side by side over one shaped link, each when its plan says.

The constants of this machine are fitted to runs of other guests first. Of a plan nothing is read but destinations,
times and the order that its slots give. Run it with ``./run dev python -m tests.verification.side_by_side``.
"""

import argparse
import dataclasses
import math
import statistics
from typing import NamedTuple

import pandas as pd

from migkit import Guest, Policy, Scenario
from migkit.calibrate.design import calibration_runs
from migkit.calibrate.fit import fit
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.options import Options
from migkit.harness.runs.run import run
from migkit.harness.runs.together import Start, together
from migkit.planning.drain import drain
from migkit.planning.drain.planned import planned
from migkit.planning.drain.timetable import Clock
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit
from tests.verification.page_fleets import MIB, cases_of
from tests.verification.waiting import Watch

PLAIN = Options(plaintext=True)
MBIT = 1e6 / 8
CLOSE = 0.05
QUIET = 0.1  # of the makespan: who waited no longer for a processor was hardly disturbed


class Small(NamedTuple):
    """A small fleet on one host: memory [MiB], region [MiB], writes a second and kind of each guest."""

    name: str
    link_bytes_per_s: float
    guests: tuple[tuple[int, int, float, str], ...]
    cap_bytes_per_s: float = math.inf
    limits: tuple[Limit, ...] = ()
    at_once: bool = False

    @property
    def inventory(self):
        """The guests on a host whose link is the one that is shared, and two hosts to go to."""
        machines = pd.DataFrame(
            {
                "vm": [f"v{k}" for k in range(len(self.guests))],
                "host": "a",
                "memory_bytes": [guest[0] * MIB for guest in self.guests],
                "dirty_1_region_bytes": [guest[1] * MIB for guest in self.guests],
                "dirty_1_writes_per_s": [guest[2] for guest in self.guests],
                "dirty_1_kind": [guest[3] for guest in self.guests],
            }
        )
        hosts = {"host": ["a", "b", "c"], "memory": "64 GiB", "link_bytes_per_s": [self.link_bytes_per_s] + [4e9] * 2}
        return Inventory.read(machines, pd.DataFrame(hosts))


DIRTY = ((96, 20, 2600.0, "random"), (96, 20, 2600.0, "random"))
FLEETS = (
    Small("two that differ, one at a time", 200 * MBIT, ((96, 12, 500.0, "random"), (160, 16, 1200.0, "random"))),
    Small(
        "three under caps, side by side",
        300 * MBIT,
        ((128, 8, 300.0, "random"), (96, 12, 700.0, "sweep"), (192, 16, 500.0, "random")),
        cap_bytes_per_s=15e6,
    ),
    Small(
        "four, two slots",
        400 * MBIT,
        (
            (128, 16, 700.0, "random"),
            (192, 8, 1500.0, "random"),
            (96, 24, 500.0, "sweep"),
            (160, 12, 250.0, "random"),
        ),
        cap_bytes_per_s=30e6,
        limits=(Limit("host", 2, "out"),),
    ),
    Small(
        "four idle and busy, side by side",
        250 * MBIT,
        ((64, 4, 20.0, "random"), (128, 12, 1000.0, "random"), (192, 4, 50.0, "random"), (96, 16, 450.0, "sweep")),
        cap_bytes_per_s=12e6,
    ),
    Small("two dirty ones, one at a time", 200 * MBIT, DIRTY),
    Small("the same two at once", 200 * MBIT, DIRTY, at_once=True),
    Small(
        "three at once",
        350 * MBIT,
        ((128, 16, 900.0, "random"), (96, 12, 400.0, "sweep"), (160, 8, 600.0, "random")),
        at_once=True,
    ),
)


class Carried(NamedTuple):
    """A plan and what came of it."""

    name: str
    predicted_s: float
    measured_s: float
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]
    measured_ends_s: tuple[float, ...]
    waited_share: float

    @property
    def error(self):
        """Predicted over measured makespan, less 1."""
        return self.predicted_s / self.measured_s - 1.0


def calibrated(nursery, progress=lambda name: None):
    """Return the constants of this machine, from migrations of other guests over a path without a shape."""
    traces = []
    for at, designed in enumerate(calibration_runs()):
        progress(designed.name)
        traces.append(run(designed.scenario, seed=100 + at, options=PLAIN, nursery=nursery))
    return fit(traces).host


def timetable(small, base):
    """Return when each guest begins and ends by the plan [s]; all at once where that is asked, whatever it costs."""
    if small.at_once:
        leg = planned(small.inventory, ["a"], base=base, improve_s=0.0).parts[0].legs[0]
        clock = Clock(leg.problem)
        clock.case = clock.case._replace(least=clock.case.least * 0.0)  # whatever it does to those that run
        found = clock.run(leg.timetable.host, clock.case.demand, 0.0)
        return found.start_s.tolist(), found.end_s.tolist()
    plan = drain(small.inventory, ["a"], base=base, limits=small.limits, rounds=200)
    moves = plan.moves.set_index("vm").loc[list(small.inventory.vms["vm"])]
    return moves["start_s"].tolist(), moves["end_s"].tolist()


def carried_out(small, host, nursery, seed=1):
    """Plan a fleet and carry the plan out."""
    base = Scenario(
        guest=Guest(memory_bytes=4096), policy=Policy(max_bandwidth_bytes_per_s=small.cap_bytes_per_s), host=host
    )
    starts_s, ends_s = timetable(small, base)
    scenarios = [
        dataclasses.replace(case, link=type(case.link)()) for case in cases_of(small.inventory, base)
    ]  # the cable has the bandwidth
    starts = [
        Start(begins, [at for at, ends in enumerate(ends_s) if ends <= begins * (1.0 + 1e-9)]) for begins in starts_s
    ]
    watch = Watch()
    moved = together(
        scenarios, starts, small.link_bytes_per_s, seed=seed, options=PLAIN, progress=watch, nursery=nursery
    )
    measured_ends_s = tuple(one.begun_s + one.trace.outcome.total_time_s for one in moved)
    return Carried(
        small.name,
        max(ends_s),
        max(measured_ends_s),
        tuple(starts_s),
        tuple(ends_s),
        measured_ends_s,
        watch.waited_s / max(measured_ends_s),
    )


def best_of(small, host, nursery, tries, told=lambda one: None):
    """Return the first attempt in which processes waited little for a processor, else that with the least waiting."""
    found = []
    for attempt in range(tries):
        found.append(carried_out(small, host, nursery, seed=1 + 10 * attempt))
        told(found[-1])
        if found[-1].waited_share <= QUIET:
            break
    return min(found, key=lambda one: one.waited_share)


def main():
    """Print a line a fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tries", type=int, default=3, help="of a fleet, until its processes wait little for processors"
    )
    parser.add_argument("--only", type=int, nargs="*", help="numbers of fleets, from 0")
    options = parser.parse_args()
    with Nursery() as nursery:
        host = calibrated(nursery)
        print(f"goodput without a shape {host.goodput_bytes_per_s / 1e6:.0f} MB/s", flush=True)
        found = []
        for at, small in enumerate(FLEETS):
            if options.only is None or at in options.only:
                one = best_of(small, host, nursery, options.tries, lambda one: print(line(one), flush=True))
                found.append(one)
    errors = [abs(one.error) for one in found]
    print(f"largest error {max(errors):.1%}, median {statistics.median(errors):.1%}")


def line(one):
    """Return a line of the table."""
    ends = ", ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(one.ends_s, one.measured_ends_s, strict=True))
    return (
        f"{one.name:<34} predicted {one.predicted_s:6.2f} s, measured {one.measured_s:6.2f} s ({one.error:+6.1%}), "
        f"ends {ends}; a process waited {one.waited_share:.1%}"
    )


if __name__ == "__main__":
    main()
