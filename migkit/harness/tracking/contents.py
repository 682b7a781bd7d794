"""What the pages of a running program hold: how many of them are zero, by looking at a few.

Pages that were never touched are not there, and are zero. Of those that are there, some are read through
``/proc/PID/mem``, which changes nothing of the program. A share of ``p`` of ``n`` pages has the standard error
``sqrt(p (1 - p) / n)``.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError
from migkit.harness.tracking.program import TrackedProcess
from migkit.units import PAGE_BYTES

__all__ = ["Zeros", "zero_at", "zero_pages"]

_LOOKS: Final = 4096
_ZERO: Final = bytes(PAGE_BYTES)


class Zeros(NamedTuple):
    """Pages of some mappings: all, those that hold something, and zero pages with their standard error."""

    pages: int
    populated_pages: int
    zero_pages: float
    error_pages: float


def zero_pages(process: TrackedProcess, looks: int = _LOOKS, seed: int = 1) -> Zeros:
    """Return how many pages of a program's memory are zero.

    Parameters
    ----------
    process
        The program; the mappings that count are counted.
    looks
        How many pages to read.
    seed
        From which they are chosen.

    Raises
    ------
    CapabilityError
        Its memory may not be read.
    RunError
        It has ended.
    """
    ranges: list[tuple[int, int]] = []
    pages = 0
    for mapping, there in process.held():
        pages += mapping.length_bytes // PAGE_BYTES
        ranges += [(int(start), int(end)) for start, end in there]
    populated = sum(end - start for start, end in ranges) // PAGE_BYTES
    if not populated:
        return Zeros(pages, 0, float(pages), 0.0)
    draw = random.Random(seed)
    weights = [end - start for start, end in ranges]
    chosen = draw.choices(ranges, weights, k=min(looks, populated))
    addresses = [draw.randrange(start, end, PAGE_BYTES) for start, end in chosen]
    zero = zero_at(process.pid, addresses)
    read = max(1, int(np.isfinite(zero).sum()))
    share = float(np.nansum(zero)) / read
    error = populated * math.sqrt(max(share * (1.0 - share), 1.0 / read) / read)
    return Zeros(pages, populated, pages - populated + populated * share, error)


def zero_at(pid: int, addresses: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return of each page at these addresses whether it is zero, 1 or 0; not-a-number: it was unmapped since.

    Raises
    ------
    CapabilityError
        The memory may not be read.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    except PermissionError as error:
        raise CapabilityError(f"process {pid}: its memory may not be read; run as its user or as root") from error
    found = np.full(len(addresses), math.nan)
    try:
        for at, address in enumerate(addresses):
            with contextlib.suppress(OSError):
                found[at] = os.pread(descriptor, PAGE_BYTES, address) == _ZERO
    finally:
        os.close(descriptor)
    return found
