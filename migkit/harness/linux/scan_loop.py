"""A scan of a process's page map, from the first call of the kernel to page ranges."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.harness.linux.libc import ioctl
from migkit.jit import lean

__all__ = ["CAPACITY", "END", "OVERLAP", "REGION_WORDS", "REQUEST_WORDS", "VECTOR", "scan"]

REQUEST_WORDS: Final = 12  # ``struct pm_scan_arg`` of linux/fs.h, all of 64 bits
START: Final = 2
END: Final = 3
WALK_END: Final = 4
VECTOR: Final = 5
CAPACITY: Final = 6
REGION_WORDS: Final = 3  # ``struct page_region``: first address, end, categories
OVERLAP: Final = -1


@lean
def scan(
    pagemap: int,
    command: int,
    request: np.ndarray,
    found: np.ndarray,
    size: int,
    last: int,
    count: int,
    origin: int,
    shift: int,
) -> tuple[int, int, bool]:
    """Scan until all is scanned, there is no room for another call, or a call fails; append what it finds.

    Each call writes its regions right behind the ranges found, which they become while they are in
    the near cache.

    Parameters
    ----------
    pagemap
        Descriptor of the page map.
    command
        The number of ``PAGEMAP_SCAN``.
    request
        In and out, ``REQUEST_WORDS``: the scan; ``START`` moves on with it.
    found
        In and out, (n, 2): first and end of each range, relative to ``origin``.
    size
        Ranges in it.
    last
        The end of the last of them, as this returned it; 0: there is none.
    count
        Regions behind them that a call has written and that are still to be taken, up to ``WALK_END``.
    origin
        What the addresses are relative to.
    shift
        Bits that are dropped of them then.

    Returns
    -------
    tuple
        ``size``; ``last``, which is ``OVERLAP`` when ranges are not in order or overlap; whether all is scanned.
    """
    words, to = found.reshape(found.size), 2 * size
    ordered = last != OVERLAP
    while count >= 0:
        at = to  # counted on rather than multiplied: a third of the time
        for _ in range(count):
            first = (words[at] - origin) >> shift
            ordered &= first >= last
            last = (words[at + 1] - origin) >> shift
            words[to] = first
            words[to + 1] = last
            to += 2
            at += REGION_WORDS
        request[START] = request[WALK_END]
        if request[START] >= request[END] or words.size - to < REGION_WORDS * request[CAPACITY]:
            break
        request[VECTOR] = words[to:].ctypes.data
        count = ioctl(pagemap, command, request.ctypes.data)
    return to // 2, last if ordered else OVERLAP, request[START] >= request[END]
