"""User-space handling of page faults: write-protection, missing and minor mode.

Every ioctl acts on the address space of the process that *created* the descriptor, whoever
makes the call; so a guest creates one, passes it over a socket, and the source or destination
process does the rest. When the last copy of the descriptor is closed, the kernel undoes every
registration and write-protection. Structures and numbers: ``linux/userfaultfd.h``.
"""

from __future__ import annotations

import ctypes
import enum
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError
from migkit.harness.linux import calls

__all__ = ["FAULT", "UFFDIO_COPY", "Feature", "Mode", "Userfaultfd", "create_descriptor", "why_unavailable"]

USER_MODE_ONLY: Final = 1
_DEVICE: Final = Path("/dev/userfaultfd")
_SYSCTL: Final = Path("/proc/sys/vm/unprivileged_userfaultfd")
_API: Final = 0xAA
_EVENT_PAGEFAULT: Final = 0x12
_EVENTS_PER_READ: Final = 32

FAULT: Final = np.dtype(
    {
        "names": ["event", "flags", "address", "thread"],
        "formats": ["u1", "u8", "u8", "u4"],
        "offsets": [0, 8, 16, 24],
        "itemsize": 32,
    }
)
_WHERE: Final = struct.Struct("<B15xQ8x")  # of FAULT: event, address


class Feature(enum.IntFlag):
    """What a descriptor may be asked to do; refused as a whole when the kernel lacks one."""

    PAGEFAULT_FLAG_WP = 1 << 0
    EVENT_FORK = 1 << 1
    EVENT_REMAP = 1 << 2
    EVENT_REMOVE = 1 << 3
    MISSING_HUGETLBFS = 1 << 4
    MISSING_SHMEM = 1 << 5
    EVENT_UNMAP = 1 << 6
    SIGBUS = 1 << 7
    THREAD_ID = 1 << 8
    MINOR_HUGETLBFS = 1 << 9
    MINOR_SHMEM = 1 << 10
    EXACT_ADDRESS = 1 << 11
    WP_HUGETLBFS_SHMEM = 1 << 12
    WP_UNPOPULATED = 1 << 13
    POISON = 1 << 14
    WP_ASYNC = 1 << 15


_NO_FEATURE: Final = Feature(0)


class Mode(enum.IntFlag):
    """Which faults of a registered range are handled."""

    MISSING = 1
    WRITE_PROTECT = 2
    MINOR = 4


class FaultFlag(enum.IntFlag):
    """What kind of fault an event reports."""

    WRITE = 1
    WRITE_PROTECT = 2
    MINOR = 4


class _Api(ctypes.Structure):
    _fields_ = [("api", ctypes.c_uint64), ("features", ctypes.c_uint64), ("ioctls", ctypes.c_uint64)]


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _RangeMode(ctypes.Structure):
    _fields_ = [*_Range._fields_, ("mode", ctypes.c_uint64)]


class _RangeModeResult(ctypes.Structure):
    _fields_ = [*_RangeMode._fields_, ("result", ctypes.c_int64)]


class _Copy(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("target", "source", "length", "mode")] + [
        ("copied", ctypes.c_int64)
    ]


_UFFDIO_API: Final = calls.iowr(_API, 0x3F, ctypes.sizeof(_Api))
_UFFDIO_REGISTER: Final = calls.iowr(_API, 0x00, ctypes.sizeof(_RangeModeResult))
_UFFDIO_UNREGISTER: Final = calls.iowr(_API, 0x01, ctypes.sizeof(_Range), direction=2)
_UFFDIO_WAKE: Final = calls.iowr(_API, 0x02, ctypes.sizeof(_Range), direction=2)
UFFDIO_COPY: Final = calls.iowr(_API, 0x03, ctypes.sizeof(_Copy))
_UFFDIO_ZEROPAGE: Final = calls.iowr(_API, 0x04, ctypes.sizeof(_RangeModeResult))
_UFFDIO_WRITEPROTECT: Final = calls.iowr(_API, 0x06, ctypes.sizeof(_RangeMode))
_UFFDIO_CONTINUE: Final = calls.iowr(_API, 0x07, ctypes.sizeof(_RangeModeResult))
_IOC_NEW: Final = calls.iowr(_API, 0x00, 0, direction=0)


class Userfaultfd:
    """A userfaultfd after its handshake; closing it undoes all that was done through it.

    Parameters
    ----------
    descriptor
        From :func:`create_descriptor`, here or in the process whose memory is meant; owned from now on.
    features
        What it must be able to do.

    Raises
    ------
    OSError
        EINVAL: the kernel lacks one of ``features``.
    """

    def __init__(self, descriptor: int, features: Feature = _NO_FEATURE) -> None:
        self._descriptor = descriptor
        api = _Api(_API, int(features), 0)
        calls.ioctl(descriptor, _UFFDIO_API, api, f"userfaultfd features {features!r}")
        self.features = Feature(api.features & sum(Feature))

    @classmethod
    def create(cls, features: Feature = _NO_FEATURE, *, user_mode_only: bool = False) -> Self:
        """Return one for the memory of this process."""
        descriptor = create_descriptor(user_mode_only=user_mode_only)
        try:
            return cls(descriptor, features)
        except OSError:
            os.close(descriptor)
            raise

    def fileno(self) -> int:
        """Return the descriptor, for ``poll``; readable when a fault waits."""
        return self._descriptor

    def close(self) -> None:
        """Close it; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register(self, start: int, length_bytes: int, mode: Mode) -> None:
        """Handle the faults of ``mode`` in a page-aligned range."""
        argument = _RangeModeResult(start, length_bytes, int(mode), 0)
        calls.ioctl(self._descriptor, _UFFDIO_REGISTER, argument, f"userfaultfd register {mode!r}")

    def unregister(self, start: int, length_bytes: int) -> None:
        """Leave a range alone again."""
        calls.ioctl(self._descriptor, _UFFDIO_UNREGISTER, _Range(start, length_bytes), "userfaultfd unregister")

    def leave(self, start: int, length_bytes: int) -> None:
        """Lift write-protection from a range, wake whoever waits there, and leave it alone.

        Unregistering by itself wakes nobody who waits for a protected page.
        """
        self.unprotect(start, length_bytes)
        self.unregister(start, length_bytes)

    def protect(self, start: int, length_bytes: int) -> None:
        """Write-protect a registered range."""
        calls.ioctl(self._descriptor, _UFFDIO_WRITEPROTECT, _RangeMode(start, length_bytes, 1), "write-protect")

    def unprotect(self, start: int, length_bytes: int) -> None:
        """Allow writes to a range and wake whoever waits for it."""
        calls.ioctl(self._descriptor, _UFFDIO_WRITEPROTECT, _RangeMode(start, length_bytes, 0), "write-unprotect")

    def copy(self, target: int, source: int, length_bytes: int, *, protected: bool = False) -> int:
        """Put pages of this process at missing addresses and wake whoever waits; return the bytes placed.

        Raises
        ------
        FileExistsError
            A page is there already.
        BlockingIOError
            The address space is changing; try again.
        """
        argument = _Copy(target, source, length_bytes, 2 if protected else 0, 0)
        calls.ioctl(self._descriptor, UFFDIO_COPY, argument, "userfaultfd copy")
        return int(argument.copied)

    def zero(self, start: int, length_bytes: int) -> int:
        """Put zero pages at missing addresses and wake whoever waits; return the bytes placed."""
        argument = _RangeModeResult(start, length_bytes, 0, 0)
        calls.ioctl(self._descriptor, _UFFDIO_ZEROPAGE, argument, "userfaultfd zeropage")
        return int(argument.result)

    def resume(self, start: int, length_bytes: int) -> int:
        """Map pages that the page cache holds (minor mode, ``UFFDIO_CONTINUE``) and wake whoever waits."""
        argument = _RangeModeResult(start, length_bytes, 0, 0)
        calls.ioctl(self._descriptor, _UFFDIO_CONTINUE, argument, "userfaultfd continue")
        return int(argument.result)

    def wake(self, start: int, length_bytes: int) -> None:
        """Wake whoever waits for a page of the range."""
        calls.ioctl(self._descriptor, _UFFDIO_WAKE, _Range(start, length_bytes), "userfaultfd wake")

    def faults(self) -> npt.NDArray[np.void]:
        """Return the page faults that wait, of type :data:`FAULT`; empty when there is none."""
        events: npt.NDArray[np.void] = np.frombuffer(self._read(), FAULT)
        return np.compress(events["event"] == _EVENT_PAGEFAULT, events)

    def addresses(self) -> list[int]:
        """Return where the page faults that wait are; takes a fraction of the time of :meth:`faults`."""
        return [address for event, address in _WHERE.iter_unpack(self._read()) if event == _EVENT_PAGEFAULT]

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _EVENTS_PER_READ * FAULT.itemsize)
        except BlockingIOError:
            return b""


def create_descriptor(*, user_mode_only: bool = False) -> int:
    """Return a new userfaultfd (close on exec, not blocking) for the memory of this process.

    Tries the system call, then ``/dev/userfaultfd``; both also handle faults that the kernel
    takes on behalf of the process. With ``user_mode_only`` a descriptor that handles faults of
    user code alone will do (any user may have that; asynchronous write-protection needs no more).

    Raises
    ------
    CapabilityError
        None of the ways is open; the message says what is missing in each.
    """
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    for way in (_by_syscall, _by_device):
        try:
            return way(flags)
        except OSError:
            continue
    if user_mode_only:
        try:
            return _by_syscall(flags | USER_MODE_ONLY)
        except OSError:
            pass
    raise CapabilityError(f"userfaultfd: not permitted: {why_unavailable(user_mode_only=user_mode_only)}")


def why_unavailable(*, user_mode_only: bool) -> str:
    """Say which way to a userfaultfd is closed by what, and what would open it."""
    reasons = []
    if os.geteuid() != 0:
        reasons.append("not root (no CAP_SYS_PTRACE)")
    if not _SYSCTL.exists():
        reasons.append("the kernel is built without CONFIG_USERFAULTFD")
    elif _SYSCTL.read_text().strip() == "0":
        reasons.append("vm.unprivileged_userfaultfd is 0")
    reasons.append(_refusal("/dev/userfaultfd", _by_device, os.O_CLOEXEC))
    if user_mode_only:
        reasons.append(_refusal("UFFD_USER_MODE_ONLY", _by_syscall, os.O_CLOEXEC | USER_MODE_ONLY))
    remedy = "run as root, or sysctl vm.unprivileged_userfaultfd=1, or give yourself access to /dev/userfaultfd"
    return f"{'; '.join(r for r in reasons if r)}; {remedy}"


def _refusal(name: str, way: object, flags: int) -> str:
    try:
        os.close(way(flags))  # type: ignore[operator]
    except OSError as error:
        return f"{name}: {os.strerror(error.errno or 0).lower()}"
    return ""


def _by_syscall(flags: int) -> int:
    return calls.syscall("userfaultfd", flags)


def _by_device(flags: int) -> int:
    device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        return calls.ioctl(device, _IOC_NEW, flags, str(_DEVICE))
    finally:
        os.close(device)
