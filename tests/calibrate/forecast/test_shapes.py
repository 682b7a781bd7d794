"""The grid of guests against rounds whose guest is known."""

import dataclasses
import math

import numpy as np
import pytest

from migkit.calibrate.forecast.candidates import candidates
from migkit.calibrate.forecast.shapes import grid
from migkit.calibrate.guest.rounds import Observed, Round
from migkit.models.dirty import unique_dirty_pages

MEMORY_BYTES = 2**30


def of_class(pages, rate_per_s, windows_s):
    """Return rounds of one class at random, which start when all is sent."""
    return [
        Round(
            start_s=0.0,
            window_s=window_s,
            window_error_s=0.01 * window_s,
            marked_pages=pages * -math.expm1(-rate_per_s * window_s),
            to_send_pages=pages,
            pending_pages=0.0,
        )
        for window_s in windows_s
    ]


def observed(rounds):
    return Observed(memory_bytes=MEMORY_BYTES, zero_pages=0.0, rounds=tuple(rounds), first_pass=True)


def test_a_guest_of_the_grid_is_told_by_its_own_rounds():
    rounds = of_class(20_000, 0.5, (6.0, 2.0, 0.5))
    shapes = grid(rounds)
    ratios = shapes.told(rounds, [1.0] * 3).ratios
    apart = ratios.max(axis=1) - ratios.min(axis=1)
    assert apart.min() < 0.1
    likeliest = int(np.argmin(apart))
    assert shapes.rates_per_s[likeliest, 0] == pytest.approx(0.5, rel=0.8)


@pytest.mark.parametrize("windows_s", [(6.0,), (6.0, 2.0), (6.0, 2.0, 0.5)])
def test_all_candidates_mark_in_the_last_window_what_its_round_marked(windows_s):
    rounds = of_class(20_000, 0.5, windows_s)
    found = candidates(observed(rounds), MEMORY_BYTES)
    told = [unique_dirty_pages(one.guest, windows_s[-1]) for one in found]
    assert np.median(told) == pytest.approx(rounds[-1].marked_pages, rel=0.25)


def test_a_second_window_narrows_what_shorter_ones_may_mark():
    spreads = []
    for windows_s in ((6.0,), (6.0, 1.0), (6.0, 1.0, 0.2)):
        found = candidates(observed(of_class(20_000, 0.5, windows_s)), MEMORY_BYTES)
        told = np.log([unique_dirty_pages(one.guest, 0.2) for one in found])
        spreads.append(float(np.quantile(told, 0.9) - np.quantile(told, 0.1)))
    assert spreads[0] > spreads[1] > spreads[2]


def test_where_the_rule_may_throttle_some_candidates_have_time_to_spare():
    found = candidates(observed(of_class(20_000, 0.5, (6.0,))), MEMORY_BYTES, throttles=True)
    spare = [one.guest.capacity_writes_per_s is not None for one in found]
    assert 0.3 < np.mean(spare) < 0.7


def test_hot_pages_beside_slow_ones_are_among_the_guests_of_few_windows():
    slow, hot = (of_class(pages, rate, (24.0, 8.0, 3.5)) for pages, rate in ((500_000, 0.02), (33_000, 0.9)))
    rounds = [
        dataclasses.replace(one, marked_pages=one.marked_pages + more.marked_pages, to_send_pages=533_000)
        for one, more in zip(slow, hot, strict=True)
    ]
    found = candidates(observed(rounds), 8 * MEMORY_BYTES, shortest_s=0.3)
    told = [unique_dirty_pages(one.guest, 0.3) for one in found]
    wanted = 500_000 * -math.expm1(-0.02 * 0.3) + 33_000 * -math.expm1(-0.9 * 0.3)
    assert np.quantile(told, 0.05) < wanted < np.quantile(told, 0.95)


def test_pages_that_each_window_found_may_be_found_by_a_shorter_one():
    rounds = of_class(20_000, 2.0, (6.0, 4.0))
    told = {
        shortest_s: max(
            unique_dirty_pages(one.guest, 0.3)
            for one in candidates(observed(rounds), MEMORY_BYTES, shortest_s=shortest_s)
        )
        for shortest_s in (math.inf, 0.3)
    }
    assert told[math.inf] < 15_000 < told[0.3]
