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

    The steps ``(duration_s, intensity)`` repeat for ever and began ``offset_s`` before. Behind them lie as many sums
    of them, ``(end_s, integral)``, see :func:`migkit.scenario.steady.sums`, so that however many there are, and
    however often they repeat, it is found at once. Without steps the intensity is 1.
    """
    if count == 0:
        return end_s
    return _cumulative_s(steps, first, count, offset_s + end_s) - _cumulative_s(steps, first, count, offset_s)


@lean
def _cumulative_s(steps: np.ndarray, first: int, count: int, at_s: float) -> float:
    sums = first + count
    last = sums + count - 1
    cycle_s = steps[2 * last]
    whole = np.floor(at_s / cycle_s)
    rest_s = min(max(0.0, at_s - whole * cycle_s), cycle_s)
    low, high = sums, last
    while low < high:
        middle = (low + high) // 2
        if steps[2 * middle] > rest_s:
            high = middle
        else:
            low = middle + 1
    total = whole * steps[2 * last + 1] + rest_s * steps[2 * (low - count) + 1]
    if low > sums:
        total += steps[2 * low - 1] - steps[2 * low - 2] * steps[2 * (low - count) + 1]
    return total
