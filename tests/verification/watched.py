"""Kill or stop ``migkit dirty --pid`` and its keeper at random moments over real programs, and look for harm.

``python -m tests.verification.watched --runs 1000 --seed 0`` runs it over redis under load, a QEMU guest, a
JVM and a program of many threads that forks, executes, maps and unmaps, and prints a table. Moments are densest
in attaching and detaching. After each run the program must be alive and have the descriptors, masks, pending
signals, tracer and registrations that it had before; at the end it checks its own memory and its calls.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from migkit import DirtyClass, Guest
from migkit.harness.watching import watchable
from migkit.qemu.guests import layout
from migkit.qemu.guests.image import guest_image
from migkit.units import MIB
from tests.harness.watched import Redis, build, facts, running, settled, watched

LONGEST_S = 0.15
GIVE_UP_S = 30.0
STOPPED_S = 0.3
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
MOMENTS = ("attach", "detach", "any")
JAVA = """
import java.util.*;
public class Churn {
    static volatile boolean stop; static volatile String broken;
    public static void main(String[] a) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            final long seed = t;
            Thread thread = new Thread(() -> {
                Random random = new Random(seed);
                long[][] kept = new long[256][]; long[] sums = new long[256];
                while (!stop) {
                    int i = random.nextInt(256); long sum = 0;
                    if (kept[i] != null) { for (long v : kept[i]) sum += v; if (sum != sums[i]) broken = "memory"; }
                    kept[i] = new long[1 + random.nextInt(20000)]; sums[i] = 0;
                    for (int j = 0; j < kept[i].length; j++) sums[i] += kept[i][j] = random.nextLong();
                    try { Thread.sleep(1); } catch (InterruptedException e) { broken = "interrupted"; }
                }
            });
            threads.add(thread); thread.start();
        }
        System.out.println("ready");
        while (System.in.read() > 0) System.out.println(broken == null ? "well" : broken);
        stop = true;
        for (Thread thread : threads) thread.join();
        System.out.println(broken == null ? "intact" : broken);
    }
}
"""


class Target(NamedTuple):
    """A program that is watched, and how it says at the end whether it is well."""

    pid: int
    check: Callable[[], None]


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Target]:
    with Redis(folder) as server:
        yield Target(server.pid, server.check)


@contextlib.contextmanager
def churn(folder: Path) -> Iterator[Target]:
    with running(folder / "churn", str(32 * MIB)) as process:
        yield Target(process.pid, lambda: intact(process))


@contextlib.contextmanager
def jvm(folder: Path) -> Iterator[Target]:
    with running("java", "-Xmx256m", "-cp", folder, "Churn") as process:
        yield Target(process.pid, lambda: intact(process))


@contextlib.contextmanager
def qemu(folder: Path) -> Iterator[Target]:
    """Run a virtual machine of 256 MiB whose guest writes to 64 MiB of it; it needs its folder for nothing."""
    region = DirtyClass(region_bytes=64 * MIB, writes_per_s=2000.0)
    guest = layout.as_run(Guest(memory_bytes=256 * MIB, dirty=(region,)), seed=1)
    what = layout.command_line(guest, layout.placed(guest), 1, before_s=0.0)
    options = ("-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none", "-serial", "stdio", "-m", "256")
    with subprocess.Popen(
        ["qemu-system-x86_64", *options, "-kernel", guest_image(), "-append", what],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as machine:
        assert machine.stdin is not None
        machine.stdin.write(b"G")  # the guest writes from then on
        machine.stdin.flush()
        wait(lambda: psutil.Process(machine.pid).cpu_times().user > 0.5)  # it is up then
        try:
            yield Target(machine.pid, lambda: runs(machine))
        finally:
            machine.kill()


def runs(machine: subprocess.Popen[bytes]) -> None:
    """Check that the machine goes on: it has not ended, and its processor goes on computing."""
    before = psutil.Process(machine.pid).cpu_times().user
    deadline = time.monotonic() + 60.0
    while machine.poll() is None and psutil.Process(machine.pid).cpu_times().user < before + 0.05:
        assert time.monotonic() < deadline, "qemu: the guest does not run"
        time.sleep(0.01)
    assert machine.poll() is None, f"qemu: ended with {machine.returncode}"


def intact(process: subprocess.Popen[str]) -> None:
    said = process.communicate(timeout=60)[0].strip()
    assert said == "intact", said or f"ended with {process.returncode}"


TARGETS = {"redis": redis, "churn": churn, "jvm": jvm, "qemu": qemu}


def compile_java(folder: Path) -> None:
    (folder / "Churn.java").write_text(JAVA)
    subprocess.run(["javac", "-d", folder, folder / "Churn.java"], check=True)


class Zygote:
    """A process that has loaded migkit and forks ``migkit dirty`` within milliseconds."""

    def __init__(self) -> None:
        asked, self._ask = os.pipe()
        self._answer, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._ask)
            self._serve(asked, answers)
        os.close(asked)
        os.close(answers)

    def start(self, pid: int) -> int:
        """Start ``migkit dirty --pid`` and return its process id."""
        os.write(self._ask, b"%8d" % pid)
        return int(os.read(self._answer, 8))

    def _serve(self, asked: int, answers: int) -> None:

        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while words := os.read(asked, 8):
            child = os.fork()
            if child == 0:
                self._dirty(words.decode().strip())
            os.write(answers, b"%8d" % child)
        os._exit(0)

    def _dirty(self, pid: str) -> None:
        from migkit import cli

        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        longest = f"{LONGEST_S * 1e3:g} ms"
        sys.argv = ["migkit", "dirty", "--pid", pid, "--longest", longest, "--repeats", "1", "-q"]
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os._exit(code)


def alive(pid: int) -> bool:
    """Whether a process has not ended, though whoever inherited it may not have taken note yet."""
    return watchable.lives(pid)


def keeper_of(owner: int) -> int | None:
    """Wait for the keeper of a ``migkit dirty`` and return it; None: its owner has ended."""
    while alive(owner):
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{owner}/task/{owner}/children").read_text().split()
            if children:
                return int(children[0])
        time.sleep(0.001)
    return None


def one_run(zygote: Zygote, target: Target, rng: random.Random) -> tuple[str, str, str]:
    """Disturb one ``migkit dirty`` and wait until all of it is gone; return what was done."""
    number, at = rng.choice(SIGNALS), rng.choices(MOMENTS, (50, 35, 15))[0]
    victim = rng.choices(("owner", "keeper"), (70, 30))[0]
    owner = zygote.start(target.pid)
    keeper = keeper_of(owner)
    if at == "detach":
        wait(lambda: watched(target.pid) or not alive(owner))
        time.sleep(max(0.0, LONGEST_S + rng.uniform(-0.05, 0.15)))
    else:
        time.sleep(rng.uniform(0.0, 0.25 if at == "attach" else 1.0))
    whom = keeper if victim == "keeper" and keeper else owner
    send(whom, number)
    if number == signal.SIGSTOP:
        time.sleep(rng.uniform(0.0, STOPPED_S))
        send(whom, signal.SIGCONT)
    done = (number.name, at, victim)
    wait(
        lambda: not alive(owner) and not (keeper and alive(keeper)), lambda: f"{done}: {told(owner)}; {told(keeper)}"
    )
    return done


def told(pid: int | None) -> str:
    """Return what a process is at."""
    if pid is None or not alive(pid):
        return f"process {pid} is gone"
    return f"process {pid}: {watchable.status(pid).get('State')}"


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait(holds: Callable[[], bool], what: Callable[[], str] = str) -> None:
    limit = time.monotonic() + GIVE_UP_S
    while not holds():
        assert time.monotonic() < limit, f"a migkit dirty did not end: {what()}"
        time.sleep(0.002)


def campaign(runs: int, seed: int, kinds: list[str], folder: Path) -> collections.Counter[tuple[str, ...]]:
    """Return how often what was done to whom, without harm; harm is an error."""
    counts: collections.Counter[tuple[str, ...]] = collections.Counter()
    zygote = Zygote()
    for turn, kind in enumerate(kinds):
        with TARGETS[kind](folder) as target:
            time.sleep(1.0)
            steady = {"masks": kind != "jvm", "maps": False}
            before = facts(target.pid, **steady)
            for run in range(turn, runs, len(kinds)):
                rng = random.Random(f"{seed} {run}")
                done = one_run(zygote, target, rng)
                settled(target.pid, before, f"run {run}: {kind} {done}", **steady)
                counts[kind, *done] += 1
                if counts.total() % 25 == 0:
                    print(f"{kind}: {counts.total()} runs so far, no harm", flush=True)
            target.check()
        print(f"{kind}: {sum(n for key, n in counts.items() if key[0] == kind)} runs, no harm", flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = build(Path(name))
        if "qemu" in given.targets:
            guest_image()
        if "jvm" in given.targets:
            compile_java(folder)
        counts = campaign(given.runs, given.seed, given.targets, folder)
    for at, place in ((1, "signal"), (2, "moment"), (3, "to")):
        sums = collections.Counter[str]()
        for key, n in counts.items():
            sums[key[at]] += n
        print(f"{place:7}", "  ".join(f"{name} {n}" for name, n in sorted(sums.items())))
    print(f"{counts.total()} runs, 0 deaths, 0 changed descriptors, masks, registrations or signals, memory right")


if __name__ == "__main__":
    main()
