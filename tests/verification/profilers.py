"""What a profiler does to a running virtual machine: when it is killed, and while it measures.

    python -m tests.verification.profilers [--kills 100] [--pairs 8] [--seed 1]

Kills: a guest works in a real QEMU while one `migkit qemu profile` after the other is killed at a random moment, by
turns alone and with all of its processes. Then the guest is migrated and compares all of its memory with what it
must hold. Cost: the page writes of a guest that runs flat out, while it is profiled and while it is not, by turns.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from migkit.qemu.capture import Options, capture
from migkit.qemu.guests.image import guest_image
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB

KILLED_WITHIN_S = 8.0  # a profiler has begun to count after one or two of these
KILLING_S = 40.0
WARM_UP_S = 25.0
FLAT_OUT_PER_S = 2e6  # more than any guest under software emulation does


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of profilers; 0: none")
    parser.add_argument("--pairs", type=int, default=8, help="of runs with and without a profiler; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    guest_image()
    killed = 0
    while killed < given.kills:
        killed += kills(random.Random(f"{given.seed} {killed}"), given.kills - killed)
        print(f"{killed} profilers killed, every guest intact", flush=True)
    if given.pairs:
        cost(given.pairs)


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
                if count % 2:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            count += not over.is_set()

    trace = moved(scenario(classes), KILLING_S, kill_some)
    assert trace.outcome.verified, "the guest's memory is not what it must be"
    assert trace.outcome.verdict == "converges"
    return count


def cost(pairs: int) -> None:
    """Print the share of its throughput that a guest loses while it is profiled."""
    classes = (DirtyClass(region_bytes=32 * MIB, writes_per_s=FLAT_OUT_PER_S),)

    def profile(socket: Path, over: threading.Event) -> None:
        with profiler(socket, "--longest", f"{WARM_UP_S:g} s", "--within", "0.1") as process:
            over.wait()
            process.send_signal(signal.SIGINT)

    lost = []
    for _ in range(pairs):
        without, under = (writes(moved(scenario(classes), WARM_UP_S, work)) for work in (None, profile))
        lost.append(1.0 - under / without)
        print(f"{without:,} writes without a profiler, {under:,} under one: {100 * lost[-1]:+.1f} % lost", flush=True)
    print(f"median {100 * median(lost):+.1f} % lost")


def scenario(classes: tuple[DirtyClass, ...]) -> Scenario:
    """Return a small guest that stops first, so that it ends whatever it writes."""
    guest = Guest(memory_bytes=96 * MIB, zero_bytes=32 * MIB, dirty=classes)
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=64 * MIB, downtime_limit_s=2.0, time_limit_s=60.0)
    return Scenario(guest=guest, host=Host(firmware_bytes=0), policy=policy)


def writes(trace: Trace) -> int:
    """Return how many page writes the guest had done when its migration was asked for."""
    done: int = trace.samples["guest_operations"].to_pylist()[0]
    return done


def moved(case: Scenario, warm_up_s: float, work: Callable[[Path, threading.Event], None] | None) -> Trace:
    """Return the trace of a migration; what the work does to its guest's monitor ends with the warm-up."""
    over = threading.Event()

    def worked(socket: Path) -> None:
        while not socket.exists():
            time.sleep(0.05)
        if work is not None:
            work(socket, over)

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as aside:
        socket = Path(place) / "vm.qmp"
        done = aside.submit(worked, socket)
        timer = threading.Timer(warm_up_s - 3.0, over.set)
        timer.start()
        try:
            return capture(case, Options(warm_up_s=warm_up_s, monitor=socket))
        finally:
            timer.cancel()
            over.set()
            done.result()


@contextlib.contextmanager
def profiler(socket: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a profiler in a session of its own; whatever is left of it is killed."""
    command = [sys.executable, "-m", "migkit", "qemu", "profile", str(socket), "--means", "process", "-q", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
            process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
