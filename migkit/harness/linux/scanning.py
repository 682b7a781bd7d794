"""Walk a process's page tables in pieces, so that no call of the kernel holds its address space for long.

A call of ``PAGEMAP_SCAN``, of a protection or of an unregistration holds a lock for as long as it
walks over pages that are there; holes of any size are passed in no time. Loads nothing heavy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Final

from migkit.harness.linux import calls

__all__ = ["HUGE_BYTES", "PIECE_BYTES", "huge_blocks", "is_watched", "pieces", "populated"]

PIECE_BYTES: Final = 8 << 20
HUGE_BYTES: Final = 2 << 20
_WPALLOWED, _PRESENT, _SWAPPED, _HUGE = 1, 1 << 3, 1 << 4, 1 << 6
_POPULATED: Final = _PRESENT | _SWAPPED
_REGIONS: Final = 512
_REQUEST_FIELDS: Final = (
    *("size", "flags", "start", "end", "walk_end", "regions", "capacity"),
    *("most_pages", "inverted", "required", "any_of", "returned"),
)


class _Request(ctypes.Structure):
    """``struct pm_scan_arg`` of ``linux/fs.h``."""

    _fields_ = [(name, ctypes.c_uint64) for name in _REQUEST_FIELDS]


_PAGEMAP_SCAN: Final = calls.iowr(ord("f"), 16, ctypes.sizeof(_Request))


def pieces(pagemap: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what [start, end) consists of, in order: pieces of at most 8 MiB of pages, with the hole before each.

    Parameters
    ----------
    pagemap
        Descriptor of ``/proc/PID/pagemap``.
    start, end
        Page-aligned addresses.

    Yields
    ------
    tuple
        First address and end; every piece but the last ends at a multiple of the size of a huge page.
    """
    while start < end:
        first = _first(pagemap, start, end)
        if first is None:
            yield start, end
            return
        upto = min(end, (first + PIECE_BYTES) & -HUGE_BYTES)
        yield start, upto
        start = upto


def populated(pagemap: int, start: int, end: int, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[int, int]]:
    """Yield pieces that hold all pages of [start, end) which are in memory or swapped out; at most 8 MiB each."""
    while start < end:
        first = _first(pagemap, start, end)
        if first is None:
            return
        upto = min(end, (first + piece_bytes) & -HUGE_BYTES)
        yield max(start, first & -HUGE_BYTES), upto
        start = upto


def huge_blocks(pagemap: int, start: int, end: int) -> set[int]:
    """Return where in [start, end) a huge page is mapped whole."""
    found: set[int] = set()
    for first, last in populated(pagemap, start, end):
        for begin, upto in _regions(pagemap, first, last):
            aligned = -(-begin // HUGE_BYTES) * HUGE_BYTES
            found.update(range(aligned, upto - HUGE_BYTES + 1, HUGE_BYTES))
    return found


def is_watched(pagemap: int, start: int, end: int, *, with_pages: bool = True) -> bool:
    """Whether a part of [start, end), one that holds pages or any, is under asynchronous write-protection."""
    any_of = _POPULATED if with_pages else 0
    request = _request(start, end, any_of=any_of, required=_WPALLOWED, most_pages=1)
    return bool(_scan(pagemap, request, 1))


def _first(pagemap: int, start: int, end: int) -> int | None:
    found = _scan(pagemap, _request(start, end, any_of=_POPULATED, most_pages=1), 1)
    return found[0][0] if found else None


def _regions(pagemap: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        request = _request(start, end, required=_HUGE)
        yield from _scan(pagemap, request, _REGIONS)
        start = request.walk_end


def _request(start: int, end: int, *, required: int = 0, any_of: int = 0, most_pages: int = 0) -> _Request:
    request = _Request(ctypes.sizeof(_Request), 0, start, end)
    request.most_pages, request.required, request.any_of = most_pages, required, any_of
    request.returned = required or any_of
    return request


def _scan(pagemap: int, request: _Request, capacity: int) -> list[tuple[int, int]]:
    regions = (ctypes.c_uint64 * (3 * capacity))()
    request.regions, request.capacity = ctypes.addressof(regions), capacity
    count = calls.ioctl(pagemap, _PAGEMAP_SCAN, request, "PAGEMAP_SCAN")
    return [(regions[3 * i], regions[3 * i + 1]) for i in range(count)]
