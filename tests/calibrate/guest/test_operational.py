"""Page classes over operational time: what was put in comes out, also where one class rests and another does not."""

import math

import numpy as np
import pytest

from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.operational import classes_of, growth_of
from migkit.calibrate.guest.superposed import patterns_of
from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import DirtyClass, Guest
from migkit.units import MIB, PAGE_BYTES
from tests.calibrate.guest.written import Written

MEMORY_PAGES = 24 * 1024
ON_OFF = ((1.5, 1.0), (1.0, 0.0))
RESTS = DirtyClass(region_bytes=24 * MIB, writes_per_s=2000.0, phases=ON_OFF)
SWEEP = DirtyClass(region_bytes=32 * MIB, writes_per_s=900.0, kind="sweep")
SWEEP_RESTS = DirtyClass(region_bytes=16 * MIB, writes_per_s=2400.0, kind="sweep", phases=ON_OFF)
STEADY = DirtyClass(region_bytes=32 * MIB, writes_per_s=1600.0)


def found(*dirty: DirtyClass, beats: int = 160) -> tuple[DirtyClass, ...]:
    seen = Written(dirty=dirty, memory_pages=MEMORY_PAGES).followed(beats)
    return classes_of(seen, patterns_of(seen.rates, np.diff(seen.times_s)), MEMORY_PAGES)


def part(classes, *, rests: bool, kind: str | None = None) -> tuple[DirtyClass, ...]:
    return tuple(one for one in classes if bool(one.phases) == rests and kind in (None, one.kind))


def pages(classes) -> int:
    return sum(one.region_pages for one in classes)


def test_a_sweep_that_rests_beside_writes_that_do_not():
    """A curve over all time has neither the corner of the sweep nor the right rate of either."""
    classes = found(SWEEP_RESTS, STEADY)
    swept = part(classes, rests=True)
    assert {one.kind for one in swept if one.region_pages > 100} == {"sweep"}
    assert pages(swept) == pytest.approx(SWEEP_RESTS.region_pages, rel=0.1)
    assert sum(one.writes_per_s for one in swept) == pytest.approx(SWEEP_RESTS.writes_per_s, rel=0.05)
    steady = Guest(memory_bytes=MEMORY_PAGES * PAGE_BYTES, dirty=part(classes, rests=False))
    for window_s in (0.3, 1.0, 5.0):
        true = STEADY.region_pages * -math.expm1(-STEADY.writes_per_s * window_s / STEADY.region_pages)
        assert unique_dirty_pages(steady, window_s) == pytest.approx(true, rel=0.05)


def test_writes_that_rest_beside_a_sweep_that_does_not():
    classes = found(SWEEP, RESTS)
    assert pages(part(classes, rests=False, kind="sweep")) == pytest.approx(SWEEP.region_pages, rel=0.05)
    assert pages(part(classes, rests=True)) == pytest.approx(RESTS.region_pages, rel=0.1)
    for one in part(classes, rests=True):
        assert [duration_s for duration_s, _ in one.phases] == pytest.approx([1.5, 1.0], abs=0.05)


def test_a_guest_that_never_rests_has_no_phases_and_the_fewest_kinds():
    assert {(one.kind, one.phases) for one in found(STEADY)} == {("random", ())}
    assert {one.kind for one in found(SWEEP) if one.region_pages > 100} == {"sweep"}


def test_random_writes_beside_a_sweep_are_told_apart_though_sweeps_alone_tell_any_curve():
    random = DirtyClass(region_bytes=48 * MIB, writes_per_s=7500.0)
    sweep = DirtyClass(region_bytes=24 * MIB, writes_per_s=1000.0, kind="sweep")
    classes = found(random, sweep)
    for true in (random, sweep):
        alike = part(classes, rests=False, kind=true.kind)
        assert pages(alike) == pytest.approx(true.region_pages, rel=0.05)
        assert sum(one.writes_per_s for one in alike) == pytest.approx(true.writes_per_s, rel=0.05)


def test_a_growth_rests_with_the_guest():
    growth = DirtyClass(region_bytes=40 * MIB, writes_per_s=200.0, kind="growth", phases=ON_OFF)
    seen = Written(dirty=(RESTS, growth), memory_pages=MEMORY_PAGES).followed(160)
    grown = growth_of(seen, patterns_of(seen.rates, np.diff(seen.times_s)), zero_pages=8000, grows_s=60.0)
    assert grown.writes_per_s == pytest.approx(200.0, rel=0.05)
    assert grown.phases[1][1] < 0.05
    assert grown.region_pages == 8000


def test_windows_within_beats_tell_what_long_beats_do_not():
    """A small set that a beat of 1 s writes whole; how fast, only shorter windows show."""
    hot, cold = (DirtyClass(region_bytes=n * MIB, writes_per_s=w) for n, w in ((4, 4000.0), (32, 800.0)))
    draw = np.random.default_rng(5)
    drawn = [(draw.integers(0, 1024, 4000), 1024 + draw.integers(0, 8192, 800)) for _ in range(12)]
    pages = [np.unique(np.concatenate(both)) for both in drawn]
    within = [[(w, round(_expected(hot, w) + _expected(cold, w))) for w in (0.1, 0.2, 0.4)] for _ in pages]
    seen = History(
        times_s=np.arange(13.0),
        pages=pages,
        memory_pages=MEMORY_PAGES,
        sample=np.arange(MEMORY_PAGES),
        zero=np.zeros((13, MEMORY_PAGES), bool),
        within=within,
    )
    guest = Guest(memory_bytes=MEMORY_PAGES * PAGE_BYTES, dirty=classes_of(seen, (), MEMORY_PAGES))
    for window_s in (0.1, 0.4, 1.0, 6.0):
        true = _expected(hot, window_s) + _expected(cold, window_s)
        assert unique_dirty_pages(guest, window_s) == pytest.approx(true, rel=0.05)


def _expected(one: DirtyClass, window_s: float) -> float:
    return one.region_pages * -math.expm1(-one.writes_per_s * window_s / one.region_pages)
