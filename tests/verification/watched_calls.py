"""Kill whoever tracks a program at every single system call of attaching, tracking and detaching.

``python -m tests.verification.watched_calls [--step N] [--targets ...] [--modes caller first]`` prints a
table; a program that was harmed ends it with an error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from migkit.errors import MigkitError
from migkit.harness.tracking.program import WriteProtectedProcess
from migkit.harness.watching.kept import Kept
from tests.harness.watched import Redis, build, facts, running, settled

ODD = ("allowed", "killed", "sigsys", "rseq", "vforks", "uffd")
TARGETS = ("redis", *ODD)


@contextlib.contextmanager
def target(kind: str, folder: Path) -> Iterator[int]:
    """Yield the process id of a program that is checked at the end."""
    if kind == "redis":
        with Redis(folder) as redis:
            yield redis.pid
            redis.check()
        return
    with running(folder / "odd", kind) as process:
        yield process.pid
        said = process.communicate(timeout=60)[0].strip()
        assert said == "intact", f"{kind}: {said or process.returncode}"


def track(pid: int) -> None:
    """Attach, arm, count and detach, between two marks."""
    keeper = Kept()
    with contextlib.suppress(MigkitError):
        keeper.start(["/nonexistent"], 0.0)  # it answers when it is up
    os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(MigkitError), WriteProtectedProcess(pid, keeper) as process:
        process.arm()
        process.written_pages()
    os.getpriority(os.PRIO_PROCESS, 0)


def killed_at(pid: int, folder: Path, call: int, mode: str) -> int:
    """Track a program and kill at one call; return how many calls were counted."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(read, 1)
            track(pid)
        finally:
            os._exit(0)
    command = [str(folder / "killer"), str(child), str(call), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killer:
        assert killer.stdout is not None
        assert killer.stdout.readline() == "seized\n"
        os.write(write, b"x")
        os.close(read)
        os.close(write)
        os.waitpid(child, 0)
        return int(killer.communicate(timeout=120)[0])


def sweep(kind: str, folder: Path, mode: str, step: int, first: int = 1) -> tuple[int, int]:
    """Kill at every ``step``-th call; return how often, and how many calls there are."""
    with target(kind, folder) as pid:
        how = {"maps": kind != "redis"}  # its memory grows with the load
        before = facts(pid, **how)
        calls = killed_at(pid, folder, 0, mode)
        kills = 0
        for call in range(first, calls + 1, step):
            killed_at(pid, folder, call, mode)
            kills += 1
            settled(pid, before, f"{kind}: {mode} killed at call {call}", **how)
        return kills, calls


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--modes", nargs="+", default=["caller", "first"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = build(Path(name))
        for kind in given.targets:
            for mode in given.modes:
                kills, calls = sweep(kind, folder, mode, given.step, given.first)
                print(f"{kind:8} {mode:6} calls {calls:5} kills {kills:5} harmed 0", flush=True)


if __name__ == "__main__":
    sys.exit(main())
