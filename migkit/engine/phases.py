"""When the guest's phases change, and how long their cycles are; a growth changes once, when it ends."""

from __future__ import annotations

import numpy as np

from migkit.engine import dirty
from migkit.engine.records import PackedClass, PackedScenario, Segment, Work
from migkit.jit import lean

__all__ = ["active_s", "grow", "last_change_s", "longest_cycle_s", "next_change_s"]


@lean
def active_s(one: PackedClass, steps: np.ndarray, from_s: float, until_s: float) -> float:
    """Return the integral of a class's intensity over a span [s]."""
    count = int(one.phase_count)
    if count == 0:
        return until_s - from_s
    first = int(one.first_phase)
    offset_s = one.phase_offset_s
    until = dirty.intensity_s(steps, first, count, offset_s, until_s)
    return max(0.0, until - dirty.intensity_s(steps, first, count, offset_s, from_s))


@lean
def grow(scenario: PackedScenario, steps: np.ndarray, work: Work, from_s: float, until_s: float) -> None:
    """Let growths go on over a span that is jumped over, in which all that was marked was sent."""
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        if one.most_writes < np.inf:
            writes = one.writes_per_s * active_s(one, steps, from_s, until_s)
            writes = min(writes, one.most_writes - one.made_writes)
            one.made_writes += writes
            one.tally.synced_writes += writes
            one.position_pages += writes


@lean
def longest_cycle_s(scenario: PackedScenario, steps: np.ndarray | None, work: Work) -> float:
    """Return the longest cycle of any class's phases; 0: nothing changes [s]."""
    longest_s = 0.0
    if steps is None:
        return longest_s
    for c in range(int(scenario.class_count)):
        longest_s = max(longest_s, _cycle_s(steps, work.segments[c]))
        if _grows(work.segments[c]):
            longest_s = np.inf
    return longest_s


@lean
def last_change_s(scenario: PackedScenario, steps: np.ndarray | None, work: Work, now_s: float) -> float:
    """Return when a phase of any class began last [s]."""
    last_s = -np.inf
    if steps is None:
        return last_s
    for c in range(int(scenario.class_count)):
        last_s = max(last_s, now_s - _within(steps, work.segments[c], now_s)[0])
    return last_s


@lean
def next_change_s(scenario: PackedScenario, steps: np.ndarray | None, work: Work, now_s: float) -> float:
    """Return when a phase of any class ends next [s]."""
    next_s = np.inf
    if steps is None:
        return next_s
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        next_s = min(next_s, now_s + _within(steps, one, now_s)[1])
        if _grows(one):
            next_s = min(next_s, now_s + (one.most_writes - one.made_writes) / one.writes_per_s)
    return next_s


@lean
def _grows(one: Segment) -> bool:
    return bool(one.made_writes < one.most_writes < np.inf and one.writes_per_s > 0.0)


@lean
def _cycle_s(steps: np.ndarray, one: PackedClass) -> float:
    first, count = int(one.first_phase), int(one.phase_count)
    return steps[first + count - 1].end_s if count > 0 else 0.0


@lean
def _within(steps: np.ndarray, one: PackedClass, now_s: float) -> tuple[float, float]:
    """Return how long ago the present phase of a class began, and how soon it ends [s]."""
    cycle_s = _cycle_s(steps, one)
    if cycle_s == 0.0:
        return np.inf, np.inf
    at_s = (one.phase_offset_s + now_s) % cycle_s
    count = int(one.phase_count)
    low = int(one.first_phase)
    begins_s = 0.0
    high = low + count - 1
    while low < high:
        middle = (low + high) // 2
        if steps[middle].end_s > at_s:
            high = middle
        else:
            begins_s = steps[middle].end_s
            low = middle + 1
    return at_s - begins_s, steps[low].end_s - at_s
