"""The measurement of a guest before it moves: when it stops, and what it says."""

import dataclasses
import math

import numpy as np
import pytest

from migkit.calibrate.guest.followed import later
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.profiling import profile
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Policy, Scenario
from migkit.units import MIB, PAGE_BYTES
from tests.calibrate.guest.written import BEAT_S, Written

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

    def __init__(self, factors=()):
        self.factors, self.passes = factors, 0

    def zero_bytes(self):
        return GUEST.zero_bytes

    def once(self, windows_s):
        factor = self.factors[self.passes % len(self.factors)] if self.factors else 1.0
        self.passes += 1
        return [Reading(window_s, factor * unique_dirty_pages(GUEST, window_s)) for window_s in windows_s]

    def follow(self, beat_s):
        return None


class Followed(Counted):
    """A source that says which pages a guest writes, beat by beat."""

    def __init__(self, written):
        super().__init__()
        self.written, self.memory_bytes = written, written.memory_pages * PAGE_BYTES

    def zero_bytes(self):
        return self.written.zero_pages * PAGE_BYTES

    def follow(self, beat_s):
        return self

    def until(self, end_s):
        return self.written.followed(round(end_s / BEAT_S))


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


PHASES = ((1.2, 1.0), (0.9, 0.0))
RESTS = DirtyClass(region_bytes=64 * MIB, writes_per_s=3000.0, phases=PHASES)
SWEEP = DirtyClass(region_bytes=32 * MIB, writes_per_s=1500.0, kind="sweep", phases=PHASES)
STEADY = DirtyClass(region_bytes=48 * MIB, writes_per_s=900.0)


@pytest.mark.parametrize("dirty", [(RESTS,), (SWEEP, STEADY), (RESTS, STEADY)])
def test_the_migration_of_a_guest_with_phases_is_told_as_if_it_were_known(dirty):
    """Wherever in its cycle it begins: the median is that of the true guest, and the interval holds all of them."""
    written = Written(dirty=dirty, memory_pages=131_072, zero_pages=65_536)
    found = profile(Followed(written), CASE, limit_s=20.0)
    assert "It has phases" in found.said[-1]
    assert 0.0 < found.answer.half_width < 0.2
    told = predict(dataclasses.replace(CASE, guest=found.guest))
    totals_s = []
    for begins_s in np.arange(0.1, 2.1, 0.25):
        there = tuple(dataclasses.replace(one, phase_offset_s=begins_s) if one.phases else one for one in dirty)
        guest = Guest(memory_bytes=512 * MIB, zero_bytes=256 * MIB, dirty=there)
        totals_s.append(predict(dataclasses.replace(CASE, guest=guest), level=None).total_time_s)
    assert told.total_time_s == pytest.approx(np.median(totals_s), rel=0.02)
    low_s, high_s = told.interval.total_time_s
    assert low_s < min(totals_s)
    assert max(totals_s) < high_s


def test_a_growth_is_told_and_goes_on():
    growth = DirtyClass(region_bytes=128 * MIB, writes_per_s=400.0, kind="growth")
    written = Written(dirty=(STEADY, growth), memory_pages=131_072, zero_pages=32_768)
    found = profile(Followed(written), CASE, limit_s=20.0)
    assert "It grows: 1.56 MiB a second of its zero memory come to hold something." in found.said[-1]
    grown = found.guest.dirty[-1]
    assert grown.kind == "growth"
    assert grown.writes_per_s == pytest.approx(400.0, rel=0.02)
    zero_pages = found.guest.zero_pages + grown.region_pages
    assert zero_pages == pytest.approx(65_536 - 400.0 * found.passes * 6.0, rel=0.2)
    assert later(found.guest, 3.0).dirty[-1].sweep_offset_bytes == pytest.approx(1200 * PAGE_BYTES, rel=0.02)


def test_a_guest_that_does_not_converge_is_told_by_its_natural_downtime():
    slow = Scenario(guest=CASE.guest, policy=Policy(max_bandwidth_bytes_per_s=8e6, downtime_limit_s=0.05))
    assert profile(Counted(), slow).answer.what == "natural downtime"


def test_a_guest_that_writes_nothing_has_no_classes():
    found = profile(Counted(factors=(0.0,)), CASE)
    assert found.guest.dirty == ()
    assert math.isfinite(found.answer.value_s)
    assert found.guest.memory_bytes // PAGE_BYTES == GUEST.memory_pages
