"""Sweeps of millions of scenarios: how fast, whether memory stays flat, what a second worker brings.

Run it with ``./run dev python -m tests.verification.sweeps --rows 10000000`` for rate and memory, and with
``--ratio`` for two Dask workers beside one, by turns, with what others had of the processors meanwhile.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from migkit import Guest, Policy, Scenario
from migkit.harness.runs.disturbance import Disturbance
from migkit.planning.space import Design, Range
from migkit.planning.sweep import PART_ROWS, sweep_to

SPACE = {
    "memory_bytes": Range(low=2**28, high=2**36, log=True),
    "dirty_1_region_bytes": Range(low=2**20, high=2**28, log=True),
    "dirty_1_writes_per_s": Range(low=10.0, high=100_000.0, log=True),
    "bandwidth_bytes_per_s": Range(low=1e8, high=3e9, log=True),
    "downtime_limit_s": Range(low=0.05, high=1.0),
}
BASE = Scenario(guest=Guest(memory_bytes=2**30), policy=Policy(max_bandwidth_bytes_per_s=1e10))
COLUMNS = ("verdict", "total_time_s", "downtime_s", "transferred_bytes")
MARKS = tuple(k * 10**exponent for exponent in range(5, 9) for k in (1, 3))


def main():
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000, help="scenarios")
    parser.add_argument("--ratio", action="store_true", help="two workers beside one")
    parser.add_argument("--repeats", type=int, default=3, help="of the ratio")
    options = parser.parse_args()
    if options.ratio:
        ratios(options.rows, options.repeats)
    else:
        flat(options.rows)


def swept(folder, rows, seed=1, **how):
    """Sweep so many scenarios into a folder."""
    design = Design(space=SPACE, kind="sobol", points=rows, seed=seed)
    return sweep_to(folder, design, BASE, columns=COLUMNS, **how)


def flat(rows):
    """Sweep in this process; print rate and memory whenever a mark is passed."""
    me, marks, peaks, first = psutil.Process(), [mark for mark in MARKS if mark < rows] + [rows], [], []

    def told(done, parts):
        peaks.append(me.memory_info().rss)
        if done and not first:  # what is compiled is loaded
            first.append((done, time.monotonic(), time.process_time()))
        while marks and min(done * PART_ROWS, rows) >= marks[0]:
            before, began_s, used_s = first[0]
            processor_s = time.process_time() - used_s
            rate = (done - before) * PART_ROWS / processor_s / 1e6 if done > before else float("nan")
            print(
                f"{marks.pop(0):12,} scenarios: "
                f"memory {peaks[-1] / 2**20:6.0f} MiB, most {max(peaks) / 2**20:6.0f} MiB, "
                f"{time.monotonic() - began_s:7.1f} s, processor {processor_s:7.1f} s"
                f" ({rate:.2f} million a second of processor)",
                flush=True,
            )

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = swept(Path(place) / "sweep", rows, progress=told)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{size / rows:.1f} bytes a scenario, {size / 1e9:.2f} GB in all")


def ratios(rows, repeats):
    """Print the time of one worker over that of two, by turns; work begins with the first part that is done."""
    found = []
    for repeat in range(repeats):
        taken = [timed(rows, workers) for workers in ((1, 2) if repeat % 2 == 0 else (2, 1))]
        (one_s, others_1), (two_s, others_2) = taken if repeat % 2 == 0 else taken[::-1]
        found.append(one_s / two_s)
        print(
            f"one worker {one_s:.1f} s (others had {others_1:.0%} of the processors), two {two_s:.1f} s "
            f"({others_2:.0%}): {found[-1]:.2f} times",
            flush=True,
        )
    print(f"median {statistics.median(found):.2f} times")


def timed(rows, workers):
    """Return the time of a sweep [s], by its pace from the first part of each worker on, and others' share."""
    seen = []
    family = Family()
    with tempfile.TemporaryDirectory() as place:

        def told(done, parts):
            if not seen and done >= workers:
                seen.append((done, time.monotonic(), Disturbance(family.used_s)))
            if seen and done == parts:
                seen.append((done, time.monotonic(), seen[0][2].share()))

        swept(Path(place) / "sweep", rows, workers=workers, progress=told)
    (first, began_s, _), (last, ended_s, others) = seen
    return (ended_s - began_s) * (rows / PART_ROWS) / (last - first), others


class Family:
    """The processor time of all children of this process, those that have ended included as far as they were seen."""

    def __init__(self):
        self._seen = {}

    def used_s(self):
        """Return it [s]."""
        for child in psutil.Process().children(recursive=True):
            try:
                self._seen[child.pid] = sum(child.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        return sum(self._seen.values())


if __name__ == "__main__":
    main()
