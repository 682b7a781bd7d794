"""Distinct pages written: class by class, in expectation.

``random``: ``u(t) = 1 - exp(-r t / W)``; ``sweep``: ``u(t) = min(1, r t / W)``, with ``W``
the pages of the region and ``r`` writes/s to it. With tracking of ``g`` pages a bit, a write
marks ``g`` pages: ``u = 1 - exp(-r t g / W)``, and a sweep over ``x`` pages touches
``x / g + 1 - 1 / g`` blocks on average, so that ``u = min(1, (x + g - 1) / W)``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.jit import inlined, lean

__all__ = ["RANDOM", "SWEEP", "intensity_s", "newly_dirty"]

RANDOM: Final = 0
SWEEP: Final = 1


@inlined
def newly_dirty(kind: int, region_pages: float, writes: float, grain_pages: float = 1.0) -> float:
    """Return the share of a region that ``writes`` writes have touched, in expectation [0..1]."""
    if region_pages <= 0.0 or writes <= 0.0:
        return 0.0
    if kind == SWEEP:
        return min(1.0, min(writes * grain_pages, writes + grain_pages - 1.0) / region_pages)
    return -math.expm1(-writes * grain_pages / region_pages)


@lean
def intensity_s(steps: np.ndarray, first: int, count: int, offset_s: float, end_s: float) -> float:
    """Return the integral of a class's intensity from the start to ``end_s`` [s].

    The class's phases repeat for ever and began ``offset_s`` before. They know their sums, so that however many there
    are, and however often they repeat, it is found at once. Without phases the intensity is 1.
    """
    if count == 0:
        return end_s
    return _cumulative_s(steps, first, count, offset_s + end_s) - _cumulative_s(steps, first, count, offset_s)


@lean
def _cumulative_s(steps: np.ndarray, first: int, count: int, at_s: float) -> float:
    last = first + count - 1
    cycle_s = steps[last].end_s
    whole = np.floor(at_s / cycle_s)
    rest_s = min(max(0.0, at_s - whole * cycle_s), cycle_s)
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if steps[middle].end_s > rest_s:
            high = middle
        else:
            low = middle + 1
    level = steps[low].level
    total = whole * steps[last].integral_s + rest_s * level
    if low > first:
        total += steps[low - 1].integral_s - steps[low - 1].end_s * level
    return total
