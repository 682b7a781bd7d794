"""When the guest's phases change, and how long their cycles are."""

from __future__ import annotations

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import CLASS_BASE, CLASS_SLOTS, CLASSES
from migkit.jit import lean

__all__ = ["last_change_s", "longest_cycle_s", "next_change_s"]


@lean
def longest_cycle_s(record: np.ndarray, steps: np.ndarray | None) -> float:
    """Return the longest cycle of any class's phases; 0: nothing changes [s]."""
    longest_s = 0.0
    if steps is None:
        return longest_s
    for c in range(int(record[CLASSES])):
        longest_s = max(longest_s, _cycle_s(record, steps, c))
    return longest_s


@lean
def last_change_s(record: np.ndarray, steps: np.ndarray | None, now_s: float) -> float:
    """Return when a phase of any class began last [s]."""
    last_s = -np.inf
    if steps is None:
        return last_s
    for c in range(int(record[CLASSES])):
        last_s = max(last_s, now_s - _within(record, steps, c, now_s)[0])
    return last_s


@lean
def next_change_s(record: np.ndarray, steps: np.ndarray | None, now_s: float) -> float:
    """Return when a phase of any class ends next [s]."""
    next_s = np.inf
    if steps is None:
        return next_s
    for c in range(int(record[CLASSES])):
        next_s = min(next_s, now_s + _within(record, steps, c, now_s)[1])
    return next_s


@lean
def _cycle_s(record: np.ndarray, steps: np.ndarray, c: int) -> float:
    base = CLASS_BASE + c * CLASS_SLOTS
    first, count = int(record[base + layout.PHASE_FIRST]), int(record[base + layout.PHASE_COUNT])
    return steps[2 * (first + 2 * count - 1)] if count > 0 else 0.0


@lean
def _within(record: np.ndarray, steps: np.ndarray, c: int, now_s: float) -> tuple[float, float]:
    """Return how long ago the present phase of a class began, and how soon it ends [s]."""
    cycle_s = _cycle_s(record, steps, c)
    if cycle_s == 0.0:
        return np.inf, np.inf
    base = CLASS_BASE + c * CLASS_SLOTS
    at_s = (record[base + layout.PHASE_OFFSET_S] + now_s) % cycle_s
    count = int(record[base + layout.PHASE_COUNT])
    low = int(record[base + layout.PHASE_FIRST]) + count
    begins_s = 0.0
    high = low + count - 1
    while low < high:
        middle = (low + high) // 2
        if steps[2 * middle] > at_s:
            high = middle
        else:
            begins_s = steps[2 * middle]
            low = middle + 1
    return at_s - begins_s, steps[2 * low] - at_s
