"""Which pages of a process were written, from ``/proc/PID/pagemap`` and ``/proc/PID/maps``.

The ``PAGEMAP_SCAN`` ioctl (Linux 6.7 and later) returns page ranges and, in the same step,
write-protects them again; numbers and structures are those of ``linux/fs.h``.
"""

from __future__ import annotations

import enum
import os
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from migkit.harness.linux import calls, scan_loop
from migkit.harness.linux.maps import Mapping, mappings, parse_mapping

__all__ = ["Category", "Mapping", "Pagemap", "mappings", "parse_mapping", "scan_of"]

_WP_MATCHING: Final = 1
_CHECK_WPASYNC: Final = 2
_SOFT_DIRTY_BIT: Final = np.uint64(1 << 55)
_POPULATED_BITS: Final = np.uint64(3 << 62)


class Category(enum.IntFlag):
    """What a page is, as the scan sees it."""

    WPALLOWED = 1 << 0
    WRITTEN = 1 << 1
    FILE = 1 << 2
    PRESENT = 1 << 3
    SWAPPED = 1 << 4
    PFNZERO = 1 << 5
    HUGE = 1 << 6
    SOFT_DIRTY = 1 << 7


_NO_CATEGORY: Final = Category(0)
_PAGEMAP_SCAN: Final = calls.iowr(ord("f"), 16, 8 * scan_loop.REQUEST_WORDS)


class Pagemap:
    """The page map of one process.

    Parameters
    ----------
    pid
        The process; needs the right to trace it.
    capacity_ranges
        Ranges that one call of the kernel can return; a scan with more makes several calls.
    """

    def __init__(self, pid: int, capacity_ranges: int = 1 << 12) -> None:
        self._descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._capacity_ranges = capacity_ranges
        self._request = np.zeros(scan_loop.REQUEST_WORDS, np.int64)
        self._found = np.zeros((scan_loop.REGION_WORDS * capacity_ranges, 2), np.int64)

    def fileno(self) -> int:
        """Return its descriptor."""
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

    def ranges(self, scan: npt.NDArray[np.int64], origin: int = 0, shift: int = 0) -> npt.NDArray[np.int64]:
        """Return the address ranges whose pages a scan finds, as (n, 2), half-open; valid until the next call.

        Parameters
        ----------
        scan
            As :func:`scan_of` returns it.
        origin, shift
            What the addresses returned are relative to, and how many bits are dropped of them then.

        Raises
        ------
        OSError
            EPERM: it protects, and a part of the range is not registered; ENOTTY: no PAGEMAP_SCAN here.
        """
        self._request[:] = scan
        self._request[scan_loop.CAPACITY] = self._capacity_ranges
        size, last, count, done = 0, 0, 0, False
        while not done:
            size, last, done = scan_loop.scan(
                self._descriptor, _PAGEMAP_SCAN, self._request, self._found, size, last, count, origin, shift
            )
            count = 0 if done else self._call(size)
        return disjoint(self._found[:size]) if last == scan_loop.OVERLAP else self._found[:size]

    def _call(self, size: int) -> int:
        """Make room behind the ``size`` ranges found, have the kernel write regions there and return their number."""
        if self._found.size - 2 * size < scan_loop.REGION_WORDS * self._capacity_ranges:
            self._found = np.concatenate([self._found, np.zeros_like(self._found)])
        self._request[scan_loop.VECTOR] = self._found[size:].ctypes.data
        return calls.ioctl(self._descriptor, _PAGEMAP_SCAN, self._request.ctypes.data, "PAGEMAP_SCAN")

    def soft_dirty(self, start: int, length_bytes: int) -> npt.NDArray[np.bool_]:
        """Return, page by page, whether it is in memory or swapped out and its soft-dirty bit is set."""
        page = os.sysconf("SC_PAGE_SIZE")
        entries = np.frombuffer(os.pread(self._descriptor, length_bytes // page * 8, start // page * 8), np.uint64)
        marked: npt.NDArray[np.bool_] = np.logical_and(entries & _SOFT_DIRTY_BIT, entries & _POPULATED_BITS)
        return marked


def disjoint(ranges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return half-open ranges in order and without overlap.

    A kernel that fills its own buffer within one scan (seen on 6.18, from some 500 ranges on) begins a
    part of the walk anew and returns what is still so a second time; what it protected it does not.

    Examples
    --------
    >>> disjoint(np.array([[1, 3], [5, 6], [2, 4], [5, 6]])).tolist()
    [[1, 4], [5, 6]]
    """
    ordered = ranges[np.argsort(ranges[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    first = np.flatnonzero(np.concatenate([[True], ordered[1:, 0] > ends[:-1]]))
    last = np.append(first[1:], len(ordered)) - 1
    return np.stack([ordered[first, 0], ends[last]], axis=1)


def scan_of(
    start: int,
    end: int,
    category: Category = Category.WRITTEN,
    *,
    any_of: Category = _NO_CATEGORY,
    none_of: Category = _NO_CATEGORY,
    protect: bool = False,
) -> npt.NDArray[np.int64]:
    """Return the scan of [start, end) for pages that are all of ``category``, for :meth:`Pagemap.ranges`.

    Parameters
    ----------
    start, end
        Page-aligned addresses.
    category
        All of these must hold.
    any_of, none_of
        One of these must hold, if any is given; none of those may.
    protect
        Write-protect the pages returned, each in the same step as it is found, so that no
        write falls between. The range must be registered for asynchronous write-protection.
    """
    flags = _WP_MATCHING | _CHECK_WPASYNC if protect else 0
    scanned = (start, end, start)
    no_vector_yet = (0, 0)
    no_limit = 0
    masks = (none_of, category | none_of, any_of, category)
    return np.array((8 * scan_loop.REQUEST_WORDS, flags, *scanned, *no_vector_yet, no_limit, *masks), np.int64)
