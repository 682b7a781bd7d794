"""The steps of the page-level simulator: phases of the guest's classes and the link's schedule, found by their sums.

A run asks thousands of times for an intensity or a speed. A search in sums takes as long for a phase of a
microsecond as for one of an hour, and for 400 steps little longer than for two.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine.records import PackedScenario
from migkit.jit import lean
from migkit.simulator.records import Guest, Writer

__all__ = ["active_s", "longest_cycle_s", "share_of_link", "simplify", "when_active_s"]

SLACK_S: Final = 1e-9  # two moments nearer than this are one


@lean
def simplify(scenario: PackedScenario, steps: np.ndarray, guest: Guest) -> None:
    """Forget phases that change nothing; let each step of the link end where the last one of its share does.

    A share of 1 up to the end of the schedule never ends.
    """
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        first, constant = int(one.first_phase), True
        for i in range(first, first + int(one.phase_count)):
            constant = constant and steps[i].level == 1.0
        if constant:
            one.phase_count = 0.0
    first, last = int(scenario.first_step), int(scenario.first_step + scenario.step_count) - 1
    for i in range(last, first - 1, -1):
        if i == last:
            steps[i].end_s = np.inf if steps[i].level == 1.0 else steps[i].end_s
        elif steps[i].level == steps[i + 1].level:
            steps[i].end_s = steps[i + 1].end_s


@lean
def active_s(steps: np.ndarray, one: Writer, at_s: float) -> float:
    """Return the integral of a class's intensity up to ``at_s``, from some moment on that is always the same [s]."""
    count = int(one.phase_count)
    if count == 0:
        return at_s
    first = int(one.first_phase)
    cycle = steps[first + count - 1]
    at_s += one.phase_offset_s
    whole = math.floor(at_s / cycle.end_s)
    rest_s = min(max(at_s - whole * cycle.end_s, 0.0), cycle.end_s)
    i = _first_ending(steps, first, count, rest_s)
    begin_s = before_s = 0.0
    if i > first:
        begin_s, before_s = steps[i - 1].end_s, steps[i - 1].integral_s
    part_s = _between(begin_s, steps[i].end_s, before_s, steps[i].integral_s, rest_s)
    return float(whole * cycle.integral_s + part_s)


@lean
def when_active_s(steps: np.ndarray, one: Writer, active: float) -> float:
    """Return the first moment at which :func:`active_s` has come to ``active``; infinite for a class at rest."""
    count = int(one.phase_count)
    if count == 0:
        return active
    first = int(one.first_phase)
    cycle = steps[first + count - 1]
    if cycle.integral_s <= 0.0:
        return np.inf
    whole = math.floor(active / cycle.integral_s)
    rest = min(max(active - whole * cycle.integral_s, 0.0), cycle.integral_s)
    i = _first_reaching(steps, first, count, rest)
    begin_s = before_s = 0.0
    if i > first:
        begin_s, before_s = steps[i - 1].end_s, steps[i - 1].integral_s
    part_s = _between(before_s, steps[i].integral_s, begin_s, steps[i].end_s, rest)
    return float(whole * cycle.end_s + part_s - one.phase_offset_s)


@lean
def _between(low: float, high: float, first: float, last: float, at: float) -> float:
    """Return what lies between ``first`` and ``last`` as ``at`` does between ``low`` and ``high``."""
    span = high - low
    return first + (at - low) / span * (last - first) if span > 0.0 else first


@lean
def _first_ending(steps: np.ndarray, first: int, count: int, at_s: float) -> int:
    """Return the first step that does not end before a moment, or the last one."""
    low, high = first, first + count - 1
    while low < high:
        middle = (low + high) // 2
        if steps[middle].end_s < at_s:
            low = middle + 1
        else:
            high = middle
    return low


@lean
def _first_reaching(steps: np.ndarray, first: int, count: int, active: float) -> int:
    """Return the first phase by whose end the integral is not below ``active``, or the last one."""
    low, high = first, first + count - 1
    while low < high:
        middle = (low + high) // 2
        if steps[middle].integral_s < active:
            low = middle + 1
        else:
            high = middle
    return low


@lean
def share_of_link(scenario: PackedScenario, steps: np.ndarray, at_s: float) -> tuple[float, float]:
    """Return which share of its goodput the path gives at a moment, and when that ends [s]."""
    first, count = int(scenario.first_step), int(scenario.step_count)
    if count == 0:
        return 1.0, np.inf
    i = _first_ending(steps, first, count, at_s + SLACK_S)
    if steps[i].end_s <= at_s + SLACK_S:
        i = min(i + 1, first + count - 1)
        while i < first + count - 1 and steps[i].end_s <= at_s + SLACK_S:
            i += 1
        if steps[i].end_s <= at_s + SLACK_S:
            return 1.0, np.inf
    return float(steps[i].level), float(steps[i].end_s)


@lean
def longest_cycle_s(scenario: PackedScenario, steps: np.ndarray, guest: Guest) -> float:
    """Return the longest cycle of phases of a class [s]; infinite until a growth has ended."""
    longest_s = 0.0
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        count = int(one.phase_count)
        if count > 0:
            longest_s = max(longest_s, steps[int(one.first_phase) + count - 1].end_s)
        if one.writes < one.most_writes < np.inf and one.writes_per_s > 0.0:
            longest_s = np.inf
    return longest_s
