"""Choose a thread of a running program and a moment to stop it, by looking only.

A thread may be stopped where its program cannot notice: in its own code, or in a call that the
kernel restarts. What each call returns when it is interrupted: ``signal(7)`` and the kernel's source.
"""

from __future__ import annotations

import signal
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from migkit.harness.linux import calls
from migkit.harness.linux.maps import mappings

__all__ = [
    "KINDS",
    "MOVING",
    "SILENT",
    "Moment",
    "blocks_all",
    "candidates",
    "draws_signals",
    "ignores",
    "interrupted",
    "is_visited",
    "moment_of",
    "state_of",
    "without_limit",
]

KINDS: Final = ("restful", "running", "sleeping", "parental", "awaited", "patient", "resting")
"""In which order threads are taken.

``restful``: in a call that is restarted as if nothing had been. ``running``: in its own code.
``sleeping``: in a call that the kernel goes on with by ``restart_syscall``; its end can be awaited.
``parental``: in a wait for a child, whose end may come at any time (see :func:`draws_signals`).
``awaited``: in a call with a time limit that would return EINTR; it is left alone until it runs.
``patient``: in a call without a time limit that returns EINTR; it is made again.
``resting``: in a call with a time limit that lasts; it is made again for the rest of its time.
"""

MOVING: Final = "moving"
"""A thread waits while it moves many bytes; no candidate, since stopped there it would report too few."""

SILENT: Final = ("restful", "running", "sleeping", "parental")
"""At these a thread notices nothing, even when whoever stopped it is killed before it is let go."""

_FUTEX_COMMAND: Final = 0x7F
_FUTEX_WAIT, _FUTEX_WAIT_BITSET = 0, 9
_WAIT_FOR_ALL: Final = 0x100
_TIMER_ABSTIME: Final = 1
_QUIET_FILES: Final = ("pipe:", "socket:", "/dev/pts/", "/dev/tty", "anon_inode:[eventfd]", "anon_inode:[timerfd]")
_SLEEPS: Final = {35, 219}  # nanosleep, restart_syscall
_RESTARTED: Final = {34, 70, 130, 242, 243}
# pause, msgrcv, rt_sigsuspend, mq_timedsend, mq_timedreceive
_PARENTAL: Final = {61, 247}  # wait4, waitid
_REST_WRITTEN_BACK: Final = {23: 4, 270: 4, 271: 2}
# select, pselect6, ppoll: which argument points to the time limit, where the kernel leaves its rest
_READS: Final = {0: None, 19: None, 43: None, 288: None, 45: 3, 47: 2}
# read, readv, accept, accept4, recvfrom, recvmsg: which argument holds flags
_ENDED_BY_SIGNALS: Final = {65: None, 128: 2, 208: 4, 220: 3, 232: 3, 281: 3, 333: 4, 441: 3}
# semop, rt_sigtimedwait, io_getevents, semtimedop, epoll_wait, epoll_pwait, io_pgetevents, epoll_pwait2
_TIMEOUT_IS_INT: Final = {232, 281}
_MOVING: Final = {1, 20, 40, 44, 46, 275, 276, 278, 299, 307}
# write, writev, sendfile, sendto, sendmsg, splice, tee, vmsplice, recvmmsg, sendmmsg
_POLL, _FUTEX, _CLOCK_NANOSLEEP = 7, 202, 230
_IO_URING_ENTER: Final = 426
_IO_URING_HAS_LIMIT: Final = 8  # IORING_ENTER_EXT_ARG, which brings a time limit
_STICKY_TIMEOUTS: Final = 0x4000000  # a personality for which the kernel writes no rest back
_IGNORED_BY_DEFAULT: Final = sum(
    1 << (n - 1) for n in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)
)
_BLOCKABLE: Final = (1 << 63) - 1 & ~(1 << (signal.SIGKILL - 1)) & ~(1 << (signal.SIGSTOP - 1))
_LOOKS: Final = 3
_BETWEEN_LOOKS_S: Final = 1e-4
_NEGATIVE_INT: Final = 1 << 31


class Moment(NamedTuple):
    """A thread and what it is at.

    Attributes
    ----------
    thread
        Its id.
    kind
        One of :data:`KINDS`.
    """

    thread: int
    kind: str


def candidates(pid: int, threads: Sequence[int]) -> Iterator[Moment]:
    """Yield those threads that could be stopped now, as they are looked at."""
    for thread in threads:
        kind = moment_of(pid, thread)
        if kind is not None and not is_visited(pid, thread):
            yield Moment(thread, kind)


def moment_of(pid: int, thread: int) -> str | None:
    """Return at what kind of moment a thread is; None: at none, or it is gone."""
    for _ in range(_LOOKS):
        kind = _kind_now(pid, thread)
        if kind != "running":
            break
        time.sleep(_BETWEEN_LOOKS_S)
    return kind


def _kind_now(pid: int, thread: int) -> str | None:
    state = state_of(pid, thread)
    if state == "R":
        return "running"
    if state != "S":
        return None
    try:
        words = Path(f"/proc/{pid}/task/{thread}/syscall").read_text().split()
    except (ProcessLookupError, FileNotFoundError):
        return None
    if words[0] == "running":
        return "running"
    if words[0] == "-1":
        return None
    try:
        return _kind(pid, int(words[0]), [int(word, 16) for word in words[1:7]])
    except OSError:
        return None  # it has ended


def state_of(pid: int, thread: int) -> str:
    """Return the letter of a thread's state; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/stat").read_bytes().rsplit(b")", 1)[1][1:2].decode()
    except (ProcessLookupError, FileNotFoundError):
        return ""


def interrupted(pid: int, thread: int) -> bool:
    """Whether a signal waits that the thread neither blocks nor ignores: it ends a call by itself."""
    facts = _signals(pid, thread)
    return bool((facts["SigPnd"] | facts["ShdPnd"]) & ~facts["SigBlk"] & ~_ignored(facts))


def is_visited(pid: int, thread: int) -> bool:
    """Whether a thread blocks every signal, as one that is being visited does, and the one that a visit makes.

    A second visit would write over the chain of the first. The C library blocks them all for moments only, and never
    lets a program block its own two for longer; the new thread waits for the last one.
    """
    try:
        return blocks_all(_signals(pid, thread)["SigBlk"])
    except (OSError, KeyError):
        return True  # it is gone


def blocks_all(mask: int) -> bool:
    """Whether a mask holds every signal that can be blocked, the last one aside."""
    return mask & _BLOCKABLE == _BLOCKABLE


def draws_signals(pid: int, thread: int) -> bool:
    """Whether the end of a thread's child would reach its tracer although the program ignores it.

    A signal that is ignored is dropped at once, except for a thread that is traced. While that thread stands still,
    another of the program is woken for it, whose call may end with EINTR.
    """
    try:
        facts = _signals(pid, thread)
        children = Path(f"/proc/{pid}/task/{thread}/children").read_text()
    except (OSError, KeyError):
        return False
    return bool(children and _ignored(facts) & 1 << (signal.SIGCHLD - 1))


def ignores(pid: int, thread: int, number: int) -> bool:
    """Whether a signal does nothing to a program; it reaches the program's tracer all the same."""
    return bool(_ignored(_signals(pid, thread)) & 1 << (number - 1))


def _signals(pid: int, thread: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/task/{thread}/status").read_text(errors="replace").splitlines()
    words = (line.split(":", 1) for line in lines if line.startswith(("Sig", "ShdPnd")))
    return {name: int(value, 16) for name, value in words if "/" not in value}


def _ignored(facts: dict[str, int]) -> int:
    return facts["SigIgn"] | _IGNORED_BY_DEFAULT & ~facts["SigCgt"]


def _kind(pid: int, number: int, arguments: Sequence[int]) -> str | None:
    if number in _MOVING:
        return MOVING
    if number in _RESTARTED:
        return "restful"
    if number in _PARENTAL:
        return "parental"
    if number in _REST_WRITTEN_BACK:
        return "restful" if _restarts_in_time(pid, arguments[_REST_WRITTEN_BACK[number]]) else "awaited"
    if number in _READS:
        return _of_read(pid, arguments[0], 0 if _READS[number] is None else arguments[_READS[number] or 0])
    if number in _SLEEPS or number in (_POLL, _FUTEX, _CLOCK_NANOSLEEP):
        return "restful" if _without_restart_call(number, arguments) else "sleeping"
    if number == _IO_URING_ENTER:
        return "awaited" if arguments[3] & _IO_URING_HAS_LIMIT else "patient"
    if number in _ENDED_BY_SIGNALS:
        return "patient" if without_limit(number, arguments) else "awaited"
    return None


def _without_restart_call(number: int, arguments: Sequence[int]) -> bool:
    """Whether the kernel makes an interrupted call again as it was, not by ``restart_syscall``."""
    if number == _FUTEX:
        return arguments[3] == 0 and arguments[1] & _FUTEX_COMMAND in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET)
    return number == _CLOCK_NANOSLEEP and without_limit(number, arguments)


def _restarts_in_time(pid: int, limit: int) -> bool:
    """Whether the kernel can leave the rest of a time limit where the call is restarted; else it returns EINTR."""
    if limit == 0:
        return True
    if int(Path(f"/proc/{pid}/personality").read_text(), 16) & _STICKY_TIMEOUTS:
        return False
    return any(m.writable and m.start <= limit < m.end for m in mappings(pid))


def without_limit(number: int, arguments: Sequence[int]) -> bool:
    """Whether a call that waits can be made once more with the same arguments: no time limit, or an absolute one."""
    if number == _IO_URING_ENTER:
        return not arguments[3] & _IO_URING_HAS_LIMIT
    if number == _POLL:
        return bool(arguments[2] & _NEGATIVE_INT)
    if number == _FUTEX:
        command = arguments[1] & _FUTEX_COMMAND
        return command == _FUTEX_WAIT_BITSET or (command == _FUTEX_WAIT and arguments[3] == 0)
    if number == _CLOCK_NANOSLEEP:
        return bool(arguments[1] & _TIMER_ABSTIME)
    if number not in _ENDED_BY_SIGNALS:
        return False
    at = _ENDED_BY_SIGNALS[number]
    if at is None:
        return True
    return bool(arguments[at] & _NEGATIVE_INT) if number in _TIMEOUT_IS_INT else arguments[at] == 0


def _of_read(pid: int, descriptor: int, flags: int) -> str | None:
    """Return the kind of a read: of a socket with a time limit it returns EINTR, of one for all bytes too few."""
    try:
        target = str(Path(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}").readlink())
    except OSError:
        return None
    if flags & _WAIT_FOR_ALL:
        return MOVING
    if not target.startswith(_QUIET_FILES):
        return None
    if target.startswith("socket:") and _has_time_limit(pid, descriptor & 0xFFFFFFFF):
        return "awaited"
    return "restful"


def _has_time_limit(pid: int, descriptor: int) -> bool:
    try:
        with socket.socket(fileno=calls.take_descriptor(pid, descriptor)) as copy:
            return any(struct.unpack("qq", copy.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)))
    except OSError:
        return True
