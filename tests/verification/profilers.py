"""What a profiler does to a running virtual machine: when it is killed, and while it measures.

    python -m tests.verification.profilers [--kills 100] [--pairs 8] [--seed 1]

Kills: a guest works in a real QEMU while one `migkit qemu profile` after the other is killed at a random moment, by
turns alone and with all of its processes. Then the guest is migrated and compares all of its memory with what it
must hold. Cost: the page writes of a guest that runs flat out, while it is profiled and while it is not, by turns.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
from pathlib import Path

from migkit.scenario import DirtyClass, Scenario
from migkit.units import MIB
from tests.verification import aside

KILLED_WITHIN_S = 8.0  # a profiler has begun to count after one or two of these
KILLING_S = 40.0
WARM_UP_S = 25.0


def main() -> None:
    """Print what was asked for."""
    given = aside.ask(__doc__, "qemu profile")
    aside.kill_in_turn(given, kills, "qemu profile")
    if given.pairs:
        aside.print_cost(given.pairs, writes)


def kills(draw: random.Random, most: int) -> int:
    """Kill profilers of one guest, migrate it, and return how many were killed.

    Raises
    ------
    AssertionError
        The guest could tell.
    """
    classes = (
        DirtyClass(region_bytes=16 * MIB, writes_per_s=1500.0),
        DirtyClass(region_bytes=24 * MIB, writes_per_s=1000.0, kind="sweep"),
    )
    count = 0

    def kill_some(socket: Path, over: threading.Event) -> None:
        nonlocal count
        while count < most and not over.is_set():
            with profiler(socket) as process:
                over.wait(draw.uniform(0.0, KILLED_WITHIN_S))
                assert process.poll() is None, f"the profiler ended by itself with {process.returncode}"
                aside.kill(process, count)
                process.wait()
            count += not over.is_set()

    trace = aside.moved_after(scenario(*classes), KILLING_S, kill_some)
    assert trace.outcome.verified, "the guest's memory is not what it must be"
    assert trace.outcome.verdict == "converges"
    return count


def writes(measured: bool) -> float:
    """Return how many page writes a guest had done when its migration was asked for."""

    def profile(socket: Path, over: threading.Event) -> None:
        if not measured:
            return
        with profiler(socket, "--longest", f"{WARM_UP_S:g} s", "--within", "0.1") as process:
            over.wait()
            process.send_signal(signal.SIGINT)
            process.wait()

    flat_out = DirtyClass(region_bytes=32 * MIB, writes_per_s=aside.FLAT_OUT_PER_S)
    trace = aside.moved_after(scenario(flat_out), WARM_UP_S, profile)
    return float(trace.samples["guest_operations"].to_pylist()[0])


def scenario(*classes: DirtyClass) -> Scenario:
    """Return a small guest that stops first, so that it ends whatever it writes."""
    return aside.scenario(classes, max_bandwidth_bytes_per_s=64 * MIB, downtime_limit_s=2.0, time_limit_s=60.0)


def profiler(socket: Path, *options: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a profiler of the guest behind a monitor."""
    return aside.migkit("qemu", "profile", str(socket), "--means", "process", "-q", *options)


if __name__ == "__main__":
    main()
