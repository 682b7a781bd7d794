"""What tracking may have left in a program: a tracker that still runs, or traces of another program's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

from migkit.errors import UsageError, printable
from migkit.harness.linux import ptrace
from migkit.harness.watching import watchable

__all__ = ["LOOKED_FOR", "findings"]

_ALL_BLOCKED = (1 << 64) - 1 & ~(1 << (signal.SIGKILL - 1)) & ~(1 << (signal.SIGSTOP - 1))
_WATCHED = {"uw", "um", "ui"}


LOOKED_FOR: Final = "a tracer, blocked signals, userfaultfd descriptors, watched mappings"
"""What is looked for, in words."""


def findings(pid: int) -> list[str]:
    """Return what of a tracker is found in a process, a line each with what ends it; none: nothing is.

    Nothing that can be left by :mod:`migkit.harness.watching.attach` survives the processes that made it: the kernel
    mends it when the last of them ends. What is found belongs to a tracker that still runs, which is named, or to
    another program. Nothing is changed.

    Raises
    ------
    UsageError
        There is no such process.
    """
    if not watchable.status(pid):
        raise UsageError(f"process {pid}: there is none; give the id of a running program")
    alive = watchable.reachable(pid)
    return [*_tracers(pid), *_masks(pid), *_descriptors(alive), *_registrations(alive)]


def _tracers(pid: int) -> list[str]:
    found = {watchable.status(pid, thread).get("TracerPid", "0") for thread in ptrace.threads(pid)} - {"0"}
    return [f"it is traced by {_named(int(tracer))}, whose end ends that" for tracer in sorted(found)]


def _masks(pid: int) -> list[str]:
    blocked = [
        thread
        for thread in ptrace.threads(pid)
        if int(watchable.status(pid, thread).get("SigBlk", "0"), 16) & _ALL_BLOCKED == _ALL_BLOCKED
    ]
    return [
        f"its thread {thread} blocks every signal; a visit does so for some milliseconds, look again; "
        "if it stays so, the program itself wants it or must be started anew"
        for thread in blocked
    ]


def _descriptors(pid: int) -> list[str]:
    numbers = [number for number, target in watchable.descriptors(pid) if target == watchable.UFFD_LINK]
    return [
        f"its descriptor {number} is a userfaultfd; a tracker leaves none, so it is its own" for number in numbers
    ]


def _registrations(pid: int) -> list[str]:
    flags = [
        set(line.split()[1:])
        for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines()
        if line.startswith("VmFlags")
    ]
    count = sum(bool(each & _WATCHED) for each in flags)
    if not count:
        return []
    holders = sorted(other for other in _processes() if watchable.own_userfaultfd(other))
    by = ", ".join(map(_named, holders)) or "no process that can be seen"
    return [
        f"{count} of its {len(flags)} mappings are watched through a userfaultfd, which is held by {by}; "
        "the kernel undoes it when the last holder ends"
    ]


def _named(pid: int) -> str:
    """Return a process's number and name, and what wakes it if it is stopped."""
    facts = watchable.status(pid)
    stopped = f", stopped: kill -CONT {pid} lets it go on and undo" if facts.get("State", "X")[0] in "tT" else ""
    return f"process {pid} ({printable(facts.get('Name', 'gone'))}{stopped})"


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
