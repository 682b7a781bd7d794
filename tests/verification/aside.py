"""A command of migkit at work on the monitor of a real QEMU while its guest runs or moves: killed, or to cost it."""

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

from migkit.qemu.capture import Options, capture
from migkit.qemu.guests.image import guest_image
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB

__all__ = [
    "FLAT_OUT_PER_S",
    "Work",
    "ask",
    "kill",
    "kill_in_turn",
    "migkit",
    "moved_after",
    "moved_under",
    "print_cost",
    "scenario",
]

FLAT_OUT_PER_S = 2e6  # more than any guest under software emulation does
_ENDS_WITHIN_S = 3.0

Work = Callable[[Path, threading.Event], None]  # with the monitor's socket, until the event is set


def ask(description: str | None, command: str) -> argparse.Namespace:
    """Return what the command line asks for; make the guest's image."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help=f"of migkit {command}; 0: none")
    parser.add_argument("--pairs", type=int, default=8, help="of runs, one of them measured; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    guest_image()
    return given


def kill_in_turn(given: argparse.Namespace, kills: Callable[[random.Random, int], int], command: str) -> None:
    """Call ``kills(draw, most)``, which returns how many commands it killed, until there are enough."""
    killed = 0
    while killed < given.kills:
        killed += kills(random.Random(f"{given.seed} {killed}"), given.kills - killed)
        print(f"migkit {command} killed {killed} times, every guest intact", flush=True)


def kill(process: subprocess.Popen[bytes], number: int) -> None:
    """Kill a command: the even ones alone, the odd ones with all of their processes."""
    if number % 2:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def print_cost(pairs: int, writes: Callable[[bool], float]) -> None:
    """Print the share of its page writes that a guest loses; ``writes(measured)`` is what it does."""
    lost = []
    for _ in range(pairs):
        without, under = writes(False), writes(True)
        lost.append(1.0 - under / without)
        print(f"{without:,.0f} writes not measured, {under:,.0f} measured: {lost[-1]:+.1%} lost", flush=True)
    print(f"median {median(lost):+.1%} lost")


def scenario(classes: tuple[DirtyClass, ...], **policy: float) -> Scenario:
    """Return a small guest under the rule of QEMU 7.2."""
    guest = Guest(memory_bytes=96 * MIB, zero_bytes=32 * MIB, dirty=classes)
    return Scenario(guest=guest, host=Host(firmware_bytes=0), policy=Policy(name="qemu-7", **policy))


def moved_after(case: Scenario, warm_up_s: float, work: Work) -> Trace:
    """Return the trace of a migration; the work is done while its guest warms up, and is over before it moves."""
    over = threading.Event()
    timer = threading.Timer(warm_up_s - _ENDS_WITHIN_S, over.set)
    return _moved(case, warm_up_s, work, over, begun=timer.start)


def moved_under(case: Scenario, work: Work) -> Trace:
    """Return the trace of a migration; the work is done from its beginning to its end."""
    return _moved(case, 0.5, work, threading.Event())


def _moved(
    case: Scenario, warm_up_s: float, work: Work, over: threading.Event, begun: Callable[[], object] | None = None
) -> Trace:
    begins = threading.Event()

    def worked(socket: Path) -> None:
        begins.wait()
        work(socket, over)

    def warms_up() -> None:
        if begun is not None:
            begun()
            begins.set()

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as pool:
        socket = Path(place) / "vm.qmp"
        done = pool.submit(worked, socket)
        try:
            options = Options(warm_up_s=warm_up_s, monitor=socket)
            return capture(case, options, lambda sample: begins.set(), warms_up)
        finally:
            over.set()
            begins.set()
            done.result()


@contextlib.contextmanager
def migkit(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a session of its own; whatever is left of it is killed."""
    command = [sys.executable, "-m", "migkit", *arguments]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
