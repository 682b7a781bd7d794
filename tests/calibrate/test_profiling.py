"""The measurement of a guest before it moves: when it stops, and what it says."""

import math

import pytest

from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.profiling import profile
from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import DirtyClass, Guest, Policy, Scenario
from migkit.units import MIB, PAGE_BYTES

GUEST = Guest(
    memory_bytes=512 * MIB,
    zero_bytes=256 * MIB,
    dirty=(
        DirtyClass(region_bytes=64 * MIB, writes_per_s=4000.0),
        DirtyClass(region_bytes=8 * MIB, writes_per_s=3000.0),
    ),
)
CASE = Scenario(
    guest=Guest(memory_bytes=512 * MIB), policy=Policy(max_bandwidth_bytes_per_s=40e6, downtime_limit_s=0.15)
)


class Counted:
    """A source that counts a guest exactly, but for factors that differ from pass to pass."""

    name = "by definition"
    memory_bytes = GUEST.memory_bytes

    def __init__(self, factors=(), beats=()):
        self.factors, self.passes, self._beats = factors, 0, list(beats)

    def zero_bytes(self):
        return GUEST.zero_bytes

    def once(self, windows_s):
        factor = self.factors[self.passes % len(self.factors)] if self.factors else 1.0
        self.passes += 1
        return [Reading(window_s, factor * unique_dirty_pages(GUEST, window_s)) for window_s in windows_s]

    def beats(self, window_s, count):
        return self._beats[:count]


def test_passes_that_agree_are_enough_and_tell_the_curve():
    found = profile(Counted(), CASE)
    assert found.passes == 3
    assert found.answer.what == "total time"
    assert found.answer.half_width < 1e-9
    assert found.guest.zero_bytes == GUEST.zero_bytes
    for window_s in (0.1, 0.5, 2.0):
        assert unique_dirty_pages(found.guest, window_s) == pytest.approx(
            unique_dirty_pages(GUEST, window_s), rel=0.03
        )


def test_passes_that_differ_are_repeated_until_the_answer_is_known():
    unsteady = Counted(factors=(0.8, 1.1))
    found = profile(unsteady, CASE, within=0.05)
    assert found.passes > 3
    assert found.answer.half_width <= 0.05


def test_a_guest_that_writes_more_and_more_is_said_so():
    found = profile(Counted(factors=[0.3 * 1.04**at for at in range(50)]), CASE, within=0.005)
    assert found.passes >= 6
    assert any("more and more" in line for line in found.said)


def test_phases_are_found_and_their_busy_rate_kept():
    beats = ([2000.0] * 4 + [0.0] * 4) * 5
    found = profile(Counted(beats=beats), CASE)
    assert all(one.phases == ((1.0, 2.0), (1.0, 0.0)) for one in found.guest.dirty)
    assert unique_dirty_pages(found.guest, 0.5) == pytest.approx(2000.0, rel=0.02)
    assert "It has phases" in found.said[0]


def test_a_guest_that_does_not_converge_is_told_by_its_natural_downtime():
    slow = Scenario(guest=CASE.guest, policy=Policy(max_bandwidth_bytes_per_s=8e6, downtime_limit_s=0.05))
    assert profile(Counted(), slow).answer.what == "natural downtime"


def test_a_guest_that_writes_nothing_has_no_classes():
    found = profile(Counted(factors=(0.0,)), CASE)
    assert found.guest.dirty == ()
    assert math.isfinite(found.answer.value_s)
    assert found.guest.memory_bytes // PAGE_BYTES == GUEST.memory_pages
