"""A call with a time limit, made once more for the rest of its time.

How long a thread has waited is told by the scheduler: ``/proc/PID/task/TID/sched`` says when the thread last ran,
by the clock of its processor. Whoever has just run on that processor reads there what the clock shows now.
Every error of that makes a wait longer, never shorter.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["ARGUMENTS", "Again", "Rest", "again", "lasts", "limited", "seen"]

ARGUMENTS: Final = ("rdi", "rsi", "rdx", "r10", "r8", "r9")

_SELECT, _POLL, _FUTEX, _CLOCK_NANOSLEEP = 23, 7, 202, 230
_LIMITS: Final = {
    _SELECT: 4,
    35: 0,  # nanosleep
    128: 2,  # rt_sigtimedwait
    _FUTEX: 3,
    208: 4,  # io_getevents
    220: 3,  # semtimedop
    _CLOCK_NANOSLEEP: 2,
    270: 4,  # pselect6
    271: 2,  # ppoll
    333: 4,  # io_pgetevents
    441: 3,  # epoll_pwait2
}
"""Which argument points to a time limit that counts from the call on."""

_LIMITS_MS: Final = {_POLL: 2, 232: 3, 281: 3}
"""Which argument is such a limit [ms]: of poll, epoll_wait, epoll_pwait."""

_TIME: Final = struct.Struct("<qq")
_CLOCK: Final = re.compile(r"^se\.exec_start +: +(\d+\.\d+)$", re.MULTILINE)
_TURNS: Final = re.compile(r"^nr_voluntary_switches +: +(\d+)$", re.MULTILINE)
_PROCESSOR_FIELD: Final = 36  # of /proc/PID/stat, behind the name
_INT_BITS: Final = 0xFFFFFFFF


class Rest(NamedTuple):
    """A thread that was seen waiting in a call.

    Attributes
    ----------
    number, arguments
        The call.
    waited_s
        For how long it had, at ``seen_s`` of :func:`time.perf_counter` [s].
    turns
        How often the thread had given its processor away by itself.
    """

    number: int
    arguments: tuple[int, ...]
    waited_s: float
    seen_s: float
    turns: int


class Again(NamedTuple):
    """How a call that is made once more differs: one register has a value, or points to some bytes."""

    register: str
    value: int
    pointed: bytes = b""


def limited(number: int, arguments: Sequence[int]) -> bool:
    """Whether a call waits for at most a time that counts from the call on and that it was given."""
    if number in _LIMITS_MS:
        return not arguments[_LIMITS_MS[number]] & 1 << 31
    if number == _FUTEX and arguments[1] & 0x7F:  # of its kinds, FUTEX_WAIT alone
        return False
    if number == _CLOCK_NANOSLEEP and arguments[1] & 1:  # until a point in time
        return False
    return number in _LIMITS and arguments[_LIMITS[number]] != 0


def seen(pid: int, thread: int) -> Rest | None:
    """Return what a thread that sleeps waits for and since when; None: it does not, or nobody can tell."""
    folder = Path(f"/proc/{pid}/task/{thread}")
    try:
        words = (folder / "syscall").read_text().split()
        last_s, turns = _scheduled(folder)
        processor = int((folder / "stat").read_bytes().rsplit(b")", 1)[1].split()[_PROCESSOR_FIELD])
        now_s = _clock_of(processor)
        seen_s = time.perf_counter()
        same = _scheduled(folder) == (last_s, turns)
    except (OSError, ValueError):
        return None
    if not same or len(words) < 7 or now_s < last_s:
        return None
    return Rest(int(words[0]), tuple(int(word, 16) for word in words[1:7]), now_s - last_s, seen_s, turns)


def lasts(rest: Rest, pid: int, thread: int) -> bool:
    """Whether a thread that has been stopped since was stopped in the wait that it was seen in."""
    try:
        return _scheduled(Path(f"/proc/{pid}/task/{thread}"))[1] == rest.turns + 1
    except (OSError, ValueError):
        return False


def again(rest: Rest, stopped_s: float, read: Callable[[int, int], bytes]) -> Again:
    """Return how the call of a stopped thread, a :func:`limited` one, is made for the rest of its time.

    Parameters
    ----------
    rest
        The thread as it was seen.
    stopped_s
        When it was asked to stop, by :func:`time.perf_counter` [s].
    read
        Returns so many bytes of the program's memory from an address on.
    """
    waited_ns = int((rest.waited_s + stopped_s - rest.seen_s) * 1e9)
    if rest.number in _LIMITS_MS:
        at = _LIMITS_MS[rest.number]
        return Again(ARGUMENTS[at], _left((rest.arguments[at] & _INT_BITS) * 10**6, waited_ns, 10**6))
    at = _LIMITS[rest.number]
    seconds, fraction = _TIME.unpack(read(rest.arguments[at], _TIME.size))
    step_ns = 1000 if rest.number == _SELECT else 1
    left = _left(seconds * 10**9 + fraction * step_ns, waited_ns, step_ns)
    return Again(ARGUMENTS[at], 0, _TIME.pack(*divmod(left, 10**9 // step_ns)))


def _left(limit_ns: int, waited_ns: int, step_ns: int) -> int:
    """Return what is left of a time limit, in whole steps, the last one begun."""
    return -(-max(0, limit_ns - waited_ns) // step_ns)


def _scheduled(folder: Path) -> tuple[float, int]:
    """Return when a thread last ran, by its processor's clock [s], and how often it waited."""
    text = (folder / "sched").read_text()
    clock, turns = _CLOCK.search(text), _TURNS.search(text)
    if clock is None or turns is None:
        raise ValueError("sched: the kernel does not say when the thread last ran")
    return float(clock[1]) / 1e3, int(turns[1])


def _clock_of(processor: int) -> float:
    """Return what a processor's clock shows [s]: this thread runs there for a moment."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        time.sleep(1e-6)
        return _scheduled(Path("/proc/thread-self"))[0]
    finally:
        os.sched_setaffinity(0, allowed)
