"""Look at and stop the threads of another process (``ptrace``).

Threads are seized, not attached: no signal is sent, and when this process dies the kernel detaches
them. A stop by :func:`interrupt` leaves nothing behind either. Numbers: ``linux/ptrace.h``;
registers: ``sys/user.h``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from migkit.harness.linux import calls

__all__ = [
    "TOP",
    "Registers",
    "Stop",
    "at_exit",
    "detach",
    "float_state",
    "frozen",
    "interrupt",
    "registers",
    "rseq_area",
    "run_to_call",
    "seccomp_filter",
    "seize",
    "set_registers",
    "signal_mask",
    "threads",
    "wait_stop",
]

TOP: Final = 1 << 64

_CONT: Final = 7
_GETREGS: Final = 12
_SETREGS: Final = 13
_DETACH: Final = 17
_SYSCALL: Final = 24
_GETREGSET: Final = 0x4204
_SEIZE: Final = 0x4206
_INTERRUPT: Final = 0x4207
_GETSIGMASK: Final = 0x420A
_SECCOMP_GET_FILTER: Final = 0x420C
_GET_SYSCALL_INFO: Final = 0x420E
_GET_RSEQ: Final = 0x420F
_AT_EXIT: Final = 2
_NT_X86_XSTATE: Final = 0x202
_TRACESYSGOOD: Final = 1  # without it the death of a tracer in a stop at a call sends SIGTRAP
_EVENT_STOP: Final = 128
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_WAIT_ALL: Final = 0x40000000
_XSTATE_BYTES: Final = 1 << 16
_FILTER_INSTRUCTION_BYTES: Final = 8

_REGISTERS: Final = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax",
    "rip cs eflags rsp ss fs_base gs_base ds es fs gs",
)


class Registers(ctypes.Structure):
    """``struct user_regs_struct`` of x86-64."""

    _fields_ = [(name, ctypes.c_uint64) for name in " ".join(_REGISTERS).split()]


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Rseq(ctypes.Structure):
    """``struct ptrace_rseq_configuration``."""

    _fields_ = [("address", ctypes.c_uint64), *((name, ctypes.c_uint32) for name in ("size", "signature", "flags"))]


class Stop(NamedTuple):
    """Why a seized thread stands still.

    Attributes
    ----------
    kind
        ``"interrupt"``, ``"call"`` (at the entry or the exit of a system call) or ``"signal"``.
    signal
        The signal that stopped or is to reach it; 0: none.
    """

    kind: str
    signal: int


def seize(thread: int) -> None:
    """Become the tracer of a thread, which goes on running."""
    _ptrace(_SEIZE, thread, 0, _TRACESYSGOOD)


def interrupt(thread: int) -> None:
    """Ask a seized thread to stop between two instructions of its own."""
    _ptrace(_INTERRUPT, thread)


def detach(thread: int, number: int = 0) -> None:
    """Let a stopped thread run on, untraced, with the signal that it was about to get; one that is gone is fine."""
    try:
        _ptrace(_DETACH, thread, 0, number)
    except ProcessLookupError:
        return


def run_to_call(thread: int, number: int = 0) -> None:
    """Let a stopped thread run on to the next entry or exit of a system call, with the signal given."""
    _ptrace(_SYSCALL, thread, 0, number)


def at_exit(thread: int) -> bool:
    """Whether a thread that is stopped at a system call has made it."""
    information = ctypes.create_string_buffer(88)
    _ptrace(_GET_SYSCALL_INFO, thread, len(information), ctypes.byref(information))
    return information.raw[0] == _AT_EXIT


def wait_stop(thread: int, timeout_s: float) -> Stop | None:
    """Return why a seized thread stopped; None: it did not within the time.

    Raises
    ------
    ProcessLookupError
        It ended.
    """
    limit = time.monotonic() + timeout_s
    pause_s = 0.0
    while True:
        found, status = os.waitpid(thread, _WAIT_ALL | os.WNOHANG)
        if found:
            return _stop_of(thread, status)
        if time.monotonic() > limit:
            return None
        time.sleep(pause_s)  # gives the processor away first, then waits for up to half a millisecond
        pause_s = min(5e-4, pause_s + 2e-5)


def _stop_of(thread: int, status: int) -> Stop:
    if not os.WIFSTOPPED(status):
        raise ProcessLookupError(3, f"thread {thread} ended")
    number = os.WSTOPSIG(status)
    if status >> 16 == _EVENT_STOP:
        return Stop("interrupt", 0 if number == signal.SIGTRAP else number)
    return Stop("call", 0) if number == _SYSCALL_STOP else Stop("signal", number)


def registers(thread: int) -> Registers:
    """Return the general registers of a stopped thread."""
    found = Registers()
    _ptrace(_GETREGS, thread, 0, ctypes.byref(found))
    return found


def set_registers(thread: int, values: Registers) -> None:
    """Set all general registers of a stopped thread, in one step of the kernel."""
    _ptrace(_SETREGS, thread, 0, ctypes.byref(values))


def signal_mask(thread: int) -> int:
    """Return the mask that a stopped thread has, or gets back when the call that it is in ends."""
    mask = ctypes.c_uint64()
    _ptrace(_GETSIGMASK, thread, ctypes.sizeof(mask), ctypes.byref(mask))
    return mask.value


def float_state(thread: int) -> bytes:
    """Return floating-point and vector registers of a stopped thread, in the layout of ``XSAVE``."""
    buffer = ctypes.create_string_buffer(_XSTATE_BYTES)
    vector = _Vector(ctypes.addressof(buffer), len(buffer))
    _ptrace(_GETREGSET, thread, _NT_X86_XSTATE, ctypes.byref(vector))
    return buffer.raw[: vector.length]


def rseq_area(thread: int) -> int:
    """Return where a stopped thread's ``struct rseq`` is; 0: it uses no restartable sequences."""
    found = _Rseq()
    _ptrace(_GET_RSEQ, thread, ctypes.sizeof(found), ctypes.byref(found))
    return int(found.address)


def seccomp_filter(thread: int, number: int) -> bytes | None:
    """Return the instructions of a stopped thread's filter, the newest is 0; None: it has no such filter.

    Raises
    ------
    OSError
        EACCES: not permitted; EINVAL: the kernel cannot tell.
    """
    try:
        count = _ptrace(_SECCOMP_GET_FILTER, thread, number, 0)
    except FileNotFoundError:
        return None
    buffer = ctypes.create_string_buffer(count * _FILTER_INSTRUCTION_BYTES)
    _ptrace(_SECCOMP_GET_FILTER, thread, number, ctypes.byref(buffer))
    return buffer.raw


def threads(pid: int) -> list[int]:
    """Return the threads of a process, the first is the oldest; none when it is gone."""
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@contextmanager
def frozen(pid: int) -> Iterator[list[int]]:
    """Yield the threads of process ``pid``, all stopped; they run on at the end, as if nothing had been.

    Signals to this process wait meanwhile, so that an interrupt leaves nobody stopped.

    Raises
    ------
    OSError
        EPERM: no right to trace it, or another tracer has it; ESRCH: it is gone. All threads run on.
    """
    stopped: list[int] = []
    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        while fresh := [t for t in threads(pid) if t not in stopped]:
            stopped += [thread for thread in fresh if _stop(thread)]
        yield stopped
    finally:
        for thread in stopped:
            detach(thread)
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def _stop(thread: int) -> bool:
    """Stop one thread between two instructions of its own; False: it has ended."""
    try:
        seize(thread)
        interrupt(thread)
        while True:
            found = _stop_of(thread, os.waitpid(thread, _WAIT_ALL)[1])
            if found.kind == "interrupt":
                return True
            _ptrace(_CONT, thread, 0, found.signal)
    except ProcessLookupError:
        return False


def _ptrace(request: int, thread: int, address: int = 0, data: object = 0) -> int:
    word = ctypes.c_void_p(data) if isinstance(data, int) else data
    return calls.call("ptrace", ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(address), word)
