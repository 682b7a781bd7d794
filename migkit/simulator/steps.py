"""The steps of the page-level simulator as running sums: phases of the guest's classes and the link's schedule.

A run asks thousands of times for an intensity or a speed. A search in sums takes as long for a phase of a
microsecond as for one of an hour, and for 400 steps little longer than for two.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine.records import PackedScenario
from migkit.jit import jit, lean
from migkit.simulator.records import Guest, Writer

__all__ = ["active_s", "cumulate", "longest_cycle_s", "share_of_link", "when_active_s"]

SLACK_S: Final = 1e-9  # two moments nearer than this are one


@jit
def cumulate(scenario: PackedScenario, steps: np.ndarray, guest: Guest) -> np.ndarray:
    """Return the steps as sums, pair for pair, and forget the phases that change nothing.

    Of a phase: its end in the cycle and the integral of the intensity up to there [s]. Of a step of the link:
    the end of the steps that have its share, and the share; a share of 1 up to the end never ends.
    """
    sums = np.zeros(steps.size)
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        first, count = int(one.first_phase), int(one.phase_count)
        end_s = 0.0
        active = 0.0
        constant = True
        for i in range(first, first + count):
            end_s += steps[2 * i]
            active += steps[2 * i] * steps[2 * i + 1]
            sums[2 * i], sums[2 * i + 1] = end_s, active
            constant = constant and steps[2 * i + 1] == 1.0
        if constant:
            one.phase_count = 0.0
    first, last = int(scenario.first_step), int(scenario.first_step + scenario.step_count) - 1
    end_s = 0.0
    for i in range(first, last + 1):
        end_s += steps[2 * i]
        sums[2 * i], sums[2 * i + 1] = end_s, steps[2 * i + 1]
    for i in range(last, first - 1, -1):
        if i == last:
            sums[2 * i] = np.inf if sums[2 * i + 1] == 1.0 else end_s
        elif sums[2 * i + 1] == sums[2 * i + 3]:
            sums[2 * i] = sums[2 * i + 2]
    return sums


@lean
def active_s(sums: np.ndarray, one: Writer, at_s: float) -> float:
    """Return the integral of a class's intensity up to ``at_s``, from some moment on that is always the same [s]."""
    count = int(one.phase_count)
    if count == 0:
        return at_s
    first = int(one.first_phase)
    cycle_s, cycle = sums[2 * (first + count) - 2], sums[2 * (first + count) - 1]
    at_s += one.phase_offset_s
    whole = math.floor(at_s / cycle_s)
    rest_s = min(max(at_s - whole * cycle_s, 0.0), cycle_s)
    return float(whole * cycle + _between(sums, first, count, 0, 1, rest_s))


@lean
def when_active_s(sums: np.ndarray, one: Writer, active: float) -> float:
    """Return the first moment at which :func:`active_s` has come to ``active``; infinite for a class at rest."""
    count = int(one.phase_count)
    if count == 0:
        return active
    first = int(one.first_phase)
    cycle_s, cycle = sums[2 * (first + count) - 2], sums[2 * (first + count) - 1]
    if cycle <= 0.0:
        return np.inf
    whole = math.floor(active / cycle)
    rest = min(max(active - whole * cycle, 0.0), cycle)
    at_s = whole * cycle_s + _between(sums, first, count, 1, 0, rest)
    return float(at_s - one.phase_offset_s)


@lean
def _between(sums: np.ndarray, first: int, count: int, key: int, value: int, at: float) -> float:
    """Return one of two sums where the other one is ``at``."""
    i = _first_beyond(sums, first, count, key, at)
    low = high = 0.0
    if i > first:
        low, high = sums[2 * i - 2 + key], sums[2 * i - 2 + value]
    span = sums[2 * i + key] - low
    if span <= 0.0:
        return high
    return float(high + (at - low) / span * (sums[2 * i + value] - high))


@lean
def _first_beyond(sums: np.ndarray, first: int, count: int, key: int, at: float) -> int:
    """Return the first pair whose sum is not below ``at``, or the last pair."""
    low, high = first, first + count - 1
    while low < high:
        middle = (low + high) // 2
        if sums[2 * middle + key] < at:
            low = middle + 1
        else:
            high = middle
    return low


@lean
def share_of_link(scenario: PackedScenario, sums: np.ndarray, at_s: float) -> tuple[float, float]:
    """Return which share of its goodput the path gives at a moment, and when that ends [s]."""
    first, count = int(scenario.first_step), int(scenario.step_count)
    if count == 0:
        return 1.0, np.inf
    i = _first_beyond(sums, first, count, 0, at_s + SLACK_S)
    if sums[2 * i] <= at_s + SLACK_S:
        i = min(i + 1, first + count - 1)
        while i < first + count - 1 and sums[2 * i] <= at_s + SLACK_S:
            i += 1
        if sums[2 * i] <= at_s + SLACK_S:
            return 1.0, np.inf
    return float(sums[2 * i + 1]), float(sums[2 * i])


@lean
def longest_cycle_s(scenario: PackedScenario, sums: np.ndarray, guest: Guest) -> float:
    """Return the longest cycle of phases of a class [s]."""
    longest_s = 0.0
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        count = int(one.phase_count)
        if count > 0:
            longest_s = max(longest_s, sums[2 * (int(one.first_phase) + count) - 2])
    return longest_s
