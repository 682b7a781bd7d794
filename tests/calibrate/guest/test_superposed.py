"""Two programs in one guest that are busy and rest in cycles of their own."""

import dataclasses
import itertools

import numpy as np
import pytest

from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.followed import guest_followed
from migkit.calibrate.guest.superposed import patterns_of
from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import DirtyClass, Guest, Policy, Scenario
from migkit.units import MIB, PAGE_BYTES

BEAT_S = 0.05
PAGES = 16384


def busy(cycle, beats, begun_s=0.37):
    """Return for which share of each beat a program was busy that is so for a while and rests for another."""
    busy_s, rest_s = cycle
    at_s = np.arange(beats + 1) * BEAT_S + begun_s
    until_s = at_s // (busy_s + rest_s) * busy_s + np.minimum(at_s % (busy_s + rest_s), busy_s)
    return np.diff(until_s) / BEAT_S


def rates(programs, seconds, base=0.0, seed=3):
    """Return what beats show of programs: cycle and page writes per second of each."""
    beats = round(seconds / BEAT_S)
    draw = np.random.default_rng(seed)
    mean = base + sum(per_s * busy(cycle, beats, 0.37 + at) for at, (cycle, per_s) in enumerate(programs))
    return draw.poisson(mean * BEAT_S) / BEAT_S, np.full(beats, BEAT_S)


def cycles(found):
    return sorted((one.busy_s, one.rest_s) for one in found)


@pytest.mark.parametrize(
    ("programs", "base", "seconds"),
    [
        ((((1.9, 1.5), 900.0), ((0.7, 1.1), 2500.0)), 300.0, 15.0),
        ((((1.3, 0.7), 2500.0), ((0.8, 1.7), 700.0)), 0.0, 15.0),
        ((((0.9, 0.8), 1600.0), ((1.7, 1.2), 2100.0)), 0.0, 12.0),
        ((((2.7, 3.6), 1800.0), ((4.1, 2.2), 3900.0)), 0.0, 20.0),
    ],
)
def test_both_cycles_are_known_to_a_beat(programs, base, seconds):
    found = patterns_of(*rates(programs, seconds, base))
    assert len(found) == 2
    for told, (cycle, _) in zip(cycles(found), sorted(programs), strict=True):
        assert told == pytest.approx(cycle, abs=1.5 * BEAT_S)
    whole = base + sum(per_s for _, per_s in programs)
    assert all(one.rest_level <= base / whole + 0.25 for one in found)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize(("base", "rate"), [(0.0, 900.0), (700.0, 500.0), (100.0, 4000.0)])
def test_one_program_is_one_pattern(base, rate, seed):
    assert len(patterns_of(*rates([((1.2, 0.9), rate)], 15.0, base, seed))) == 1


@pytest.mark.parametrize("seed", range(10))
def test_chance_is_no_pattern(seed):
    assert patterns_of(*rates([], 15.0, 1500.0, seed)) == ()


def test_two_runs_of_each_level_will_do_where_they_are_alike():
    found = patterns_of(*rates([((4.0, 3.5), 1500.0)], 20.0))
    assert cycles(found) == [pytest.approx((4.0, 3.5), abs=1.5 * BEAT_S)]
    bursts = np.full(400, 900.0)
    for begin, end in ((30, 60), (130, 190), (300, 400)):
        bursts[begin:end] = 3000.0
    assert patterns_of(bursts, np.full(400, BEAT_S)) == ()


@pytest.fixture(scope="module")
def followed():
    """A guest of two programs, each with its own cycle and pages, as it is and as it was found."""
    classes = (
        DirtyClass(region_bytes=16 * MIB, writes_per_s=3000.0, phases=((1.6, 1.0), (1.0, 0.0))),
        DirtyClass(region_bytes=8 * MIB, writes_per_s=1500.0, kind="sweep", phases=((0.7, 1.0), (0.9, 0.0))),
    )
    guest = Guest(memory_bytes=PAGES * PAGE_BYTES, zero_bytes=16 * MIB, dirty=classes)
    draw, beats, first = np.random.default_rng(5), 400, 0
    pages = [[] for _ in range(beats)]
    for one in classes:
        cycle, done, at = [duration_s for duration_s, _ in one.phases], 0.0, 0
        for beat, share in zip(pages, busy(cycle, beats), strict=True):
            done += one.writes_per_s * share * BEAT_S
            count, at = int(done) - at, int(done)
            walk = (at + np.arange(count)) % one.region_pages
            beat.append(first + (walk if one.kind == "sweep" else draw.integers(0, one.region_pages, count)))
        first += one.region_pages
    seen = History(
        times_s=np.arange(beats + 1) * BEAT_S,
        pages=[np.unique(np.concatenate(some)) for some in pages],
        memory_pages=PAGES,
        sample=np.arange(PAGES),
        zero=np.tile(np.arange(PAGES) >= PAGES - guest.zero_pages, (beats + 1, 1)),
    )
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=20.0 * MIB, downtime_limit_s=0.1)
    return guest, guest_followed(seen, guest.memory_bytes, Scenario(guest=guest, policy=policy))


def test_each_class_has_the_phases_of_its_program(followed):
    guest, found = followed
    assert len(found.said) == 2
    assert "another pattern of phases" in found.said[1]
    told = {tuple(sorted(_durations(one))) for one in found.guest.dirty if one.phases}
    for one in guest.dirty:
        wanted = tuple(sorted(duration_s for duration_s, _ in one.phases))
        assert any(each == pytest.approx(wanted, abs=1.5 * BEAT_S) for each in told)
    rests = sum(one.writes_per_s for one in found.guest.dirty if one.phases)
    assert rests == pytest.approx(guest.writes_per_s, rel=0.1)


def _durations(one):
    """Return how long a class is busy and how long it rests, wherever its cycle begins."""
    levels = {level for _, level in one.phases}
    return [sum(duration_s for duration_s, each in one.phases if each == level) for level in levels]


@pytest.mark.parametrize("window_s", [0.3, 1.0, 4.0])
def test_the_curve_is_that_of_both(followed, window_s):
    guest, found = followed
    assert _mean(found.guest, window_s) == pytest.approx(_mean(guest, window_s), rel=0.06)


def _mean(guest, window_s):
    """Return unique pages of a window, in the mean over where each class is in its cycle."""
    told = []
    for shares in itertools.product(np.arange(8) / 8, repeat=2):
        begun = dict(zip({sum(_durations(one)): None for one in guest.dirty if one.phases}, shares, strict=False))
        dirty = tuple(
            dataclasses.replace(one, phase_offset_s=begun[sum(_durations(one))] * sum(_durations(one)))
            if one.phases
            else one
            for one in guest.dirty
        )
        told.append(unique_dirty_pages(dataclasses.replace(guest, dirty=dirty), window_s))
    return np.mean(told)
