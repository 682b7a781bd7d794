"""What `migkit watch` does to a guest that moves: when it is killed, and while it measures.

    python -m tests.verification.watchers [--kills 100] [--pairs 8] [--seed 1]

Kills: guests work in a real QEMU and migrate slowly, while one watch after the other is killed at a random moment, by
turns alone and with all of its processes. Each guest compares all of its memory at the destination with what it must
hold. Cost: the page writes of a guest that runs flat out while it moves, watched with a measurement and without one,
by turns. The runs go before other processes where that is permitted.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
from pathlib import Path

import numpy as np

from migkit.scenario import DirtyClass
from migkit.units import MIB
from tests.verification import aside
from tests.verification.qemu_migration import undisturbed

KILLED_WITHIN_S = 2.5  # a watch has begun to measure after one of these
FROM_S = 3.0  # since the request: then a watch measures


def main() -> None:
    """Print what was asked for."""
    given = aside.ask(__doc__, "watch")
    with undisturbed():
        aside.kill_in_turn(given, kills, "watch")
        if given.pairs:
            aside.print_cost(given.pairs, writes_per_s)


def kills(draw: random.Random, most: int) -> int:
    """Kill watches of one migration, and return how many were killed.

    Raises
    ------
    AssertionError
        The guest could tell, or its migration did not end.
    """
    classes = (
        DirtyClass(region_bytes=16 * MIB, writes_per_s=300.0),
        DirtyClass(region_bytes=24 * MIB, writes_per_s=100.0, kind="sweep"),
    )
    case = aside.scenario(classes, max_bandwidth_bytes_per_s=3 * MIB, downtime_limit_s=1.0, time_limit_s=90.0)
    count = 0

    def kill_some(socket: Path, over: threading.Event) -> None:
        nonlocal count
        while count < most and not over.is_set():
            with watch(socket) as process:
                over.wait(draw.uniform(0.0, KILLED_WITHIN_S))
                if process.poll() is not None:
                    return
                aside.kill(process, count)
            count += 1

    trace = aside.moved_under(case, kill_some)
    assert trace.outcome.verified, "the guest's memory is not what it must be"
    assert trace.outcome.verdict == "converges"
    return count


def writes_per_s(measured: bool) -> float:
    """Return how many page writes a second a guest did while it moved, from when a watch measures."""

    def look(socket: Path, over: threading.Event) -> None:
        with watch(socket, *(() if measured else ("--no-measure",))):
            over.wait()

    flat_out = DirtyClass(region_bytes=32 * MIB, writes_per_s=aside.FLAT_OUT_PER_S)
    case = aside.scenario((flat_out,), max_bandwidth_bytes_per_s=8 * MIB, downtime_limit_s=0.02, time_limit_s=12.0)
    samples = aside.moved_under(case, look).samples
    at_s, done = (samples[name].to_numpy().astype(float) for name in ("monotonic_ns", "guest_operations"))
    at_s = (at_s - at_s[0]) / 1e9
    kept = (done >= 0) & (at_s >= FROM_S)
    return float(np.ptp(done[kept]) / np.ptp(at_s[kept]))


def watch(socket: Path, *options: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a watch of the migration behind a monitor."""
    return aside.migkit("watch", str(socket), "--json", *options)


if __name__ == "__main__":
    main()
