import math

import numpy as np
import pytest

from migkit.engine import dirty
from migkit.engine.records import Step
from migkit.jit import rows
from migkit.scenario import steady


def test_random_writes_follow_the_exponential_law():
    assert dirty.newly_dirty(dirty.RANDOM, 1000.0, 500.0, 1.0) == pytest.approx(1 - math.exp(-0.5))


def test_a_sweep_touches_a_page_a_write_until_it_wraps():
    assert dirty.newly_dirty(dirty.SWEEP, 1000.0, 250.0, 1.0) == 0.25
    assert dirty.newly_dirty(dirty.SWEEP, 1000.0, 5000.0, 1.0) == 1.0


@pytest.mark.parametrize("kind", [dirty.RANDOM, dirty.SWEEP])
@pytest.mark.parametrize("grain", [1.0, 16.0, 512.0])
def test_the_share_is_monotone_concave_and_at_most_one(kind, grain):
    shares = [dirty.newly_dirty(kind, 4096.0, writes, grain) for writes in np.linspace(0, 20_000, 400)]
    steps = np.diff(shares)
    assert shares[0] == 0.0
    assert max(shares) <= 1.0
    assert np.all(steps >= -1e-12)
    assert np.all(np.diff(steps)[1:] <= 1e-9)


def test_one_write_marks_a_whole_block():
    assert dirty.newly_dirty(dirty.SWEEP, 512.0 * 100, 1.0, 512.0) * 512 * 100 == pytest.approx(512)
    assert dirty.newly_dirty(dirty.RANDOM, 512.0 * 1000, 1.0, 512.0) * 512 * 1000 == pytest.approx(512, rel=1e-3)


def test_two_syncs_of_a_random_class_are_one_of_both_together():
    first, second = (dirty.newly_dirty(dirty.RANDOM, 100.0, writes, 1.0) for writes in (30.0, 50.0))
    both = dirty.newly_dirty(dirty.RANDOM, 100.0, 80.0, 1.0)
    assert first + (1.0 - first) * second == pytest.approx(both)


def test_phases_repeat_and_begin_at_their_offset():
    phases = ((4.0, 1.0), (4.0, 0.0))
    steps = rows(Step, np.hstack([phases, steady.sums(phases)]))
    assert dirty.intensity_s(steps, 0, 2, 0.0, 8.0) == pytest.approx(4.0)
    assert dirty.intensity_s(steps, 0, 2, 1.5, 4.0) == pytest.approx(2.5)
    assert dirty.intensity_s(steps, 0, 2, 6.0, 16.0) == pytest.approx(8.0)
    assert dirty.intensity_s(steps, 0, 0, 6.0, 3.0) == 3.0
