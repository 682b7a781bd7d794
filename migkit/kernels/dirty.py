"""Distinct pages written: class by class, in expectation.

``random``: ``u(t) = 1 - exp(-r t / W)``; ``sweep``: ``u(t) = min(1, r t / W)``, with ``W``
the pages of the region and ``r`` writes/s to it.
"""

from __future__ import annotations

import math
from typing import Final

from migkit.kernels._jit import jit

__all__ = ["RANDOM", "SWEEP", "newly_dirty"]

RANDOM: Final = 0
SWEEP: Final = 1


@jit
def newly_dirty(kind: int, region_pages: float, writes: float) -> float:
    """Return the share of a region that ``writes`` writes have touched, in expectation [0..1]."""
    if region_pages <= 0.0 or writes <= 0.0:
        return 0.0
    if kind == SWEEP:
        return min(1.0, writes / region_pages)
    return -math.expm1(-writes / region_pages)
