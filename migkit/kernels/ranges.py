"""What a scan of a page map returns, as page ranges."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.kernels._jit import jit

__all__ = ["OVERLAP", "REGION_WORDS", "take"]

REGION_WORDS: Final = 3  # first address, end, categories
OVERLAP: Final = -1


@jit
def take(regions: np.ndarray, origin: int, shift: int, end: int, out: np.ndarray) -> int:
    """Copy address ranges, relative to an origin; return the end of the last one.

    Parameters
    ----------
    regions
        ``REGION_WORDS`` for each.
    origin
        What the addresses are relative to.
    shift
        Bits that are dropped of them then.
    end
        As this returned it for what came before; 0: nothing did.
    out
        Out, for each region: first, end.

    Returns
    -------
    int
        ``OVERLAP`` when they are not in order or overlap.
    """
    ordered = end != OVERLAP
    at = 0  # counted on rather than multiplied: a third of the time
    for i in range(0, out.size, 2):
        first = (regions[at] - origin) >> shift
        ordered &= first >= end
        end = (regions[at + 1] - origin) >> shift
        out[i] = first
        out[i + 1] = end
        at += REGION_WORDS
    return end if ordered else OVERLAP
