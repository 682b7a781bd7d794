"""Stop another process for a moment, and have it make a system call of ours.

Threads are seized, not attached: no signal is sent, a call that they sleep in is restarted by the
kernel, and if this process dies they run on. Numbers: ``linux/ptrace.h``; registers: ``sys/user.h``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from migkit.errors import CapabilityError
from migkit.harness import _linux
from migkit.harness.pagemap import mappings

__all__ = ["call_in", "frozen"]

_CONT: Final = 7
_SINGLESTEP: Final = 9
_GETREGS: Final = 12
_SETREGS: Final = 13
_DETACH: Final = 17
_SEIZE: Final = 0x4206
_INTERRUPT: Final = 0x4207
_GETSIGMASK: Final = 0x420A
_SETSIGMASK: Final = 0x420B
_EVENT_STOP: Final = 128
_WAIT_ALL: Final = 0x40000000
_SYSCALL_INSTRUCTION: Final = b"\x0f\x05"
_CODE_64_BIT: Final = 0x33
_TOP: Final = 1 << 64


_REGISTERS: Final = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax",
    "rip cs eflags rsp ss fs_base gs_base ds es fs gs",
)


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in " ".join(_REGISTERS).split()]


@contextmanager
def frozen(pid: int) -> Iterator[list[int]]:
    """Yield the threads of process ``pid``, all stopped; they run on at the end, as if nothing had been.

    Signals to this process wait meanwhile, so that an interrupt leaves nobody stopped.

    Raises
    ------
    OSError
        EPERM: no right to trace it, or another tracer has it; ESRCH: it is gone.
    """
    threads: list[int] = []
    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        while fresh := [t for t in _threads(pid) if t not in threads]:
            threads += [thread for thread in fresh if _stop(thread)]
        yield threads
    finally:
        for thread in threads:
            _release(thread)
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def call_in(pid: int, thread: int, name: str, *arguments: int) -> int:
    """Have a stopped thread of process ``pid`` make a system call, and return its result.

    The thread executes a ``syscall`` instruction that its process already holds; its registers
    and signal mask are put back, and none of its memory is written.

    Raises
    ------
    CapabilityError
        Another processor than x86-64, or a 32-bit process.
    OSError
        What the system call failed with.
    """
    if platform.machine() != "x86_64":
        raise CapabilityError(f"process {pid}: system calls in another process need x86-64, not {platform.machine()}")
    saved = _Registers()
    _ptrace(_GETREGS, thread, 0, ctypes.byref(saved))
    if saved.cs != _CODE_64_BIT:
        raise CapabilityError(f"process {pid}: is a 32-bit program; only 64-bit programs can be tracked")
    with _signals_held(thread):
        try:
            _ptrace(_SETREGS, thread, 0, ctypes.byref(_calling(saved, pid, name, arguments)))
            _step(thread)
            after = _Registers()
            _ptrace(_GETREGS, thread, 0, ctypes.byref(after))
        finally:
            _ptrace(_SETREGS, thread, 0, ctypes.byref(saved))
    result = int(after.rax)
    if result >= _TOP - 4095:
        raise OSError(_TOP - result, f"{name} in process {pid}: {os.strerror(_TOP - result)}")
    return result


def _calling(saved: _Registers, pid: int, name: str, arguments: tuple[int, ...]) -> _Registers:
    """Return the registers with which a thread is about to make the call; -1: nothing to restart."""
    registers = _Registers.from_buffer_copy(saved)
    registers.rip = _syscall_instruction(pid)
    registers.rax = _linux.syscall_number(name)
    registers.orig_rax = _TOP - 1
    for register, argument in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False):
        setattr(registers, register, argument)
    return registers


def _syscall_instruction(pid: int) -> int:
    """Return the address of a ``syscall`` instruction in the process, the kernel's own page of code first."""
    executable = [m for m in mappings(pid) if "x" in m.permissions and "r" in m.permissions]
    for mapping in sorted(executable, key=lambda m: (m.path != "[vdso]", "libc" not in m.path)):
        code = bytearray(mapping.length_bytes)
        _linux.read_memory(pid, mapping.start, memoryview(code))
        offset = code.find(_SYSCALL_INSTRUCTION)
        if offset >= 0:
            return mapping.start + offset
    raise CapabilityError(f"process {pid}: holds no syscall instruction; it cannot be tracked from outside")


@contextmanager
def _signals_held(thread: int) -> Iterator[None]:
    """Hold back all signals of a stopped thread but the trap of its single step."""
    saved = ctypes.c_uint64()
    held = ctypes.c_uint64(_TOP - 1 & ~(1 << (signal.SIGTRAP - 1)))
    size = ctypes.sizeof(saved)
    _ptrace(_GETSIGMASK, thread, size, ctypes.byref(saved))
    _ptrace(_SETSIGMASK, thread, size, ctypes.byref(held))
    try:
        yield
    finally:
        _ptrace(_SETSIGMASK, thread, size, ctypes.byref(saved))


def _step(thread: int) -> None:
    while True:
        _ptrace(_SINGLESTEP, thread)
        status = os.waitpid(thread, _WAIT_ALL)[1]
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError(3, f"thread {thread} ended while it was stopped")
        if os.WSTOPSIG(status) == signal.SIGTRAP and status >> 16 == 0:
            return


def _threads(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]


def _stop(thread: int) -> bool:
    """Stop one thread between two instructions of its own; False: it has ended."""
    try:
        _ptrace(_SEIZE, thread)
        _ptrace(_INTERRUPT, thread)
    except ProcessLookupError:
        return False
    while True:
        status = os.waitpid(thread, _WAIT_ALL)[1]
        if not os.WIFSTOPPED(status):
            return False
        if status >> 16 == _EVENT_STOP:
            return True
        _ptrace(_CONT, thread, 0, os.WSTOPSIG(status))


def _release(thread: int) -> None:
    try:
        _ptrace(_DETACH, thread)
    except ProcessLookupError:
        return


def _ptrace(request: int, thread: int, address: int = 0, data: object = 0) -> None:
    word = ctypes.c_void_p(data) if isinstance(data, int) else data
    _linux.call("ptrace", ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(address), word)
