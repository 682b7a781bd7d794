"""The grid of guests against rounds whose guest is known."""

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
