"""What `migkit watch` does to a guest that moves: when it is killed, and while it measures.

    python -m tests.verification.watchers [--kills 100] [--pairs 8] [--seed 1]

Kills: guests work in a real QEMU and migrate slowly, while one watch after the other is killed at a random moment, by
turns alone and with all of its processes. Each guest compares all of its memory at the destination with what it must
hold. Cost: the page writes of a guest that runs flat out while it moves, watched with a measurement and without one,
by turns. The runs go before other processes where that is permitted.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np

from migkit.qemu.capture import Options, capture
from migkit.qemu.guests.image import guest_image
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB
from tests.verification.qemu_migration import undisturbed

KILLED_WITHIN_S = 2.5  # a watch has begun to measure after one of these
FLAT_OUT_PER_S = 2e6  # more than any guest under software emulation does
LIMIT_S = 12.0
FROM_S = 3.0  # since the request: then a watch measures


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of watches; 0: none")
    parser.add_argument("--pairs", type=int, default=8, help="of migrations with and without a measurement; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    guest_image()
    with undisturbed():
        killed = 0
        while killed < given.kills:
            killed += kills(random.Random(f"{given.seed} {killed}"), given.kills - killed)
            print(f"{killed} watches killed, every guest intact", flush=True)
        if given.pairs:
            cost(given.pairs)


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
    count = 0

    def kill_some(socket: Path, over: threading.Event) -> None:
        nonlocal count
        while count < most and not over.is_set():
            with watch(socket) as process:
                over.wait(draw.uniform(0.0, KILLED_WITHIN_S))
                if process.poll() is not None:
                    return
                if count % 2:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            count += 1

    trace = moved(scenario(classes, 3 * MIB), kill_some)
    assert trace.outcome.verified, "the guest's memory is not what it must be"
    assert trace.outcome.verdict == "converges"
    return count


def cost(pairs: int) -> None:
    """Print the share of its throughput that a guest loses while it is measured."""
    classes = (DirtyClass(region_bytes=32 * MIB, writes_per_s=FLAT_OUT_PER_S),)

    def watched(*options: str) -> Callable[[Path, threading.Event], None]:
        def work(socket: Path, over: threading.Event) -> None:
            with watch(socket, *options):
                over.wait()

        return work

    lost = []
    for _ in range(pairs):
        without, under = (
            writes_per_s(moved(scenario(classes, 8 * MIB), work)) for work in (watched("--no-measure"), watched())
        )
        lost.append(1.0 - under / without)
        print(
            f"{without:,.0f} writes/s not measured, {under:,.0f} measured: {100 * lost[-1]:+.1f} % lost", flush=True
        )
    print(f"median {100 * median(lost):+.1f} % lost")


def scenario(classes: tuple[DirtyClass, ...], cap_bytes_per_s: float) -> Scenario:
    """Return a small guest that moves slowly."""
    guest = Guest(memory_bytes=96 * MIB, zero_bytes=32 * MIB, dirty=classes)
    flat_out = classes[0].writes_per_s == FLAT_OUT_PER_S
    policy = Policy(
        name="qemu-7",
        max_bandwidth_bytes_per_s=cap_bytes_per_s,
        downtime_limit_s=0.02 if flat_out else 1.0,
        time_limit_s=LIMIT_S if flat_out else 90.0,
    )
    return Scenario(guest=guest, host=Host(firmware_bytes=0), policy=policy)


def writes_per_s(trace: Trace) -> float:
    """Return how many page writes a second a guest did while it was measured."""
    at_s, done = (trace.samples[name].to_numpy().astype(float) for name in ("monotonic_ns", "guest_operations"))
    at_s = (at_s - at_s[0]) / 1e9
    kept = (done >= 0) & (at_s >= FROM_S)
    return float(np.ptp(done[kept]) / np.ptp(at_s[kept]))


def moved(case: Scenario, work: Callable[[Path, threading.Event], None]) -> Trace:
    """Return the trace of a migration; the work looks at its source's monitor from its beginning to its end."""
    over, begun = threading.Event(), threading.Event()

    def worked(socket: Path) -> None:
        begun.wait()
        work(socket, over)

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as aside:
        socket = Path(place) / "vm.qmp"
        done = aside.submit(worked, socket)
        try:
            return capture(case, Options(warm_up_s=0.5, monitor=socket), lambda sample: begun.set())
        finally:
            over.set()
            begun.set()
            done.result()


@contextlib.contextmanager
def watch(socket: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a watch in a session of its own; whatever is left of it is killed."""
    command = [sys.executable, "-m", "migkit", "watch", str(socket), "--json", *options]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
