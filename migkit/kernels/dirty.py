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

from migkit.kernels._jit import inlined, lean

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

    The steps ``(duration_s, intensity)`` repeat for ever and began ``offset_s`` before.
    Without steps the intensity is 1.
    """
    if count == 0:
        return end_s
    return _cumulative_s(steps, first, count, offset_s + end_s) - _cumulative_s(steps, first, count, offset_s)


@lean
def _cumulative_s(steps: np.ndarray, first: int, count: int, at_s: float) -> float:
    cycle_s = 0.0
    cycle = 0.0
    for i in range(first, first + count):
        cycle_s += steps[2 * i]
        cycle += steps[2 * i] * steps[2 * i + 1]
    whole = math.floor(at_s / cycle_s)
    rest_s = at_s - whole * cycle_s
    total = whole * cycle
    for i in range(first, first + count):
        step_s = min(rest_s, steps[2 * i])
        total += step_s * steps[2 * i + 1]
        rest_s -= step_s
    return total
