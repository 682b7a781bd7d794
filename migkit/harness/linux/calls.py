"""The Linux calls that Python lacks: thin, typed, with one errno check.

Errors are :class:`OSError` with the kernel's errno; what they mean for a person is said by the
caller. Numbers and structures are those of ``linux/fs.h``, ``linux/prctl.h`` and the syscall tables.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "call",
    "check",
    "die_with_parent",
    "enter_namespace",
    "foremost",
    "hurried",
    "ioctl",
    "iowr",
    "is_stopped",
    "new_network",
    "open_process",
    "read_memory",
    "resident",
    "syscall",
    "syscall_number",
    "take_descriptor",
    "write_memory",
]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.ptrace.restype = ctypes.c_long
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_writev.restype = ctypes.c_ssize_t

_NUMBERS: Final = {
    "x86_64": {"userfaultfd": 323, "pidfd_getfd": 438, "pidfd_send_signal": 424, "process_madvise": 440},
    "aarch64": {"userfaultfd": 282, "pidfd_getfd": 438, "pidfd_send_signal": 424, "process_madvise": 440},
}
_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWNET: Final = 0x40000000


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def check(result: int, what: str) -> int:
    """Return ``result``, or raise the errno of the call that just failed.

    Raises
    ------
    OSError
        ``result`` is -1; the message names ``what`` failed.
    """
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall_number(name: str) -> int:
    """Return the number of a system call on this processor.

    Raises
    ------
    OSError
        ENOSYS: migkit does not know this processor's numbers.
    """
    try:
        return _NUMBERS[platform.machine()][name]
    except KeyError:
        raise OSError(38, f"{name}: its number on {platform.machine()} is not known") from None


def syscall(name: str, *arguments: int) -> int:
    """Make a system call by name; arguments are machine words."""
    return check(_libc.syscall(syscall_number(name), *(ctypes.c_long(a) for a in arguments)), name)


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library by name and check its errno."""
    return check(getattr(_libc, name)(*arguments), name)


def iowr(kind: int, number: int, size: int, direction: int = 3) -> int:
    """Return an ioctl request as ``_IOWR`` (3), ``_IOR`` (2) or ``_IO`` (0) of ``asm-generic/ioctl.h`` make it."""
    return direction << 30 | size << 16 | kind << 8 | number


def ioctl(descriptor: int, request: int, argument: ctypes.Structure | int, what: str = "ioctl") -> int:
    """Make an ioctl over a structure (in and out) or a plain word; again when a signal interrupts it."""
    pointer = ctypes.c_long(argument) if isinstance(argument, int) else ctypes.byref(argument)
    while True:
        result = _libc.ioctl(descriptor, ctypes.c_ulong(request), pointer)
        if result != -1 or ctypes.get_errno() != 4:
            return check(result, what)


def die_with_parent(kind: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process ``kind`` when the thread that started it ends."""
    call("prctl", _PR_SET_PDEATHSIG, int(kind), 0, 0, 0)


@contextmanager
def hurried() -> Iterator[None]:
    """Have this thread go before others, where that is permitted.

    Whoever is put off while it holds a lock of another program's address space puts that program off, too.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


@contextmanager
def foremost() -> Iterator[None]:
    """Have this thread run before all ordinary ones for one short call that holds a lock, where that is permitted."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def is_stopped(pid: int) -> bool:
    """Say whether a process stands still because of a signal or a debugger; one that is gone does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def new_network() -> None:
    """Move this process into a new, empty network namespace."""
    call("unshare", _CLONE_NEWNET)


def enter_namespace(descriptor: int) -> None:
    """Move this process into the network namespace of a descriptor."""
    call("setns", descriptor, _CLONE_NEWNET)


def resident(address: int, length_bytes: int) -> np.ndarray:
    """Return one byte a page of this process's own memory from ``address`` on, 1: in memory (``mincore``)."""
    import numpy as np  # here, so that the small processes of the harness need not load it

    seen = np.zeros(-(-length_bytes // mmap.PAGESIZE), np.uint8)
    call("mincore", ctypes.c_void_p(address), ctypes.c_size_t(length_bytes), ctypes.c_void_p(seen.ctypes.data))
    return seen & 1


@contextmanager
def open_process(pid: int) -> Iterator[int]:
    """Yield a pidfd of process ``pid``, closed at the end."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take_descriptor(pid: int, descriptor: int) -> int:
    """Return a copy, in this process, of another process's file descriptor (``pidfd_getfd``)."""
    with open_process(pid) as process:
        return syscall("pidfd_getfd", process, descriptor, 0)


def read_memory(pid: int, address: int, target: memoryview) -> None:
    """Fill ``target`` (writable, contiguous) with another process's memory from ``address`` on.

    Raises
    ------
    OSError
        EPERM, ESRCH, or EFAULT when a part of the range is not mapped there.
    """
    buffer = (ctypes.c_char * target.nbytes).from_buffer(target)
    done = 0
    while done < target.nbytes:
        local = _Iovec(ctypes.addressof(buffer) + done, target.nbytes - done)
        remote = _Iovec(address + done, target.nbytes - done)
        done += call("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)


def write_memory(pid: int, address: int, source: bytes) -> None:
    """Write ``source`` to another process's memory at ``address``, by one call.

    Raises
    ------
    OSError
        EPERM, ESRCH, or EFAULT when a part of the range cannot be written.
    """
    buffer = ctypes.create_string_buffer(source, len(source))
    local = _Iovec(ctypes.addressof(buffer), len(source))
    remote = _Iovec(address, len(source))
    done = call("process_vm_writev", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if done != len(source):
        raise OSError(14, f"process_vm_writev: {done} of {len(source)} B written")
