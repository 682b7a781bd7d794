"""The windows of a guest that was followed: each as if it had been counted on its own."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.followed import guest_followed
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.units import MIB
from tests.calibrate.guest.written import Written

STEADY = DirtyClass(region_bytes=4 * MIB, writes_per_s=600.0)
GROWTH = DirtyClass(region_bytes=16 * MIB, writes_per_s=100.0, kind="growth")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30), max_size=12), min_size=2, max_size=9))
def test_each_window_holds_the_union_of_its_beats(beats):
    seen = History(
        times_s=np.arange(len(beats) + 1.0),
        pages=[np.array(sorted(one), np.int64) for one in beats],
        memory_pages=31,
        sample=np.arange(31),
        zero=np.zeros((len(beats) + 1, 31), bool),
    )
    spans = list(range(1, len(beats) + 1))
    found = seen.unique_pages(spans)
    for start in range(len(beats)):
        for at, span in enumerate(spans):
            whole = start + span <= len(beats)
            assert np.isnan(found[start, at]) != whole
            if whole:
                assert found[start, at] == len(set().union(*beats[start : start + span]))


def test_pages_that_are_zero_when_they_are_sent_count_apart():
    kept = Written(dirty=(STEADY,), memory_pages=4096).followed(60)
    emptied = Written(dirty=(STEADY,), memory_pages=4096, emptied=0.75).followed(60)
    before, after = (seen.readings([20])[0].pages for seen in (kept, emptied))
    assert after == pytest.approx(before / 4, rel=0.05)
    zero = dataclasses.replace(emptied, counts_zero=True).readings([20])[0].pages
    assert zero + after == pytest.approx(before, rel=0.01)
    assert dataclasses.replace(kept, counts_zero=True).readings([20])[0].pages == 0.0


def test_pages_that_are_emptied_are_found_as_classes_of_zero_pages():
    emptied = Written(dirty=(STEADY,), memory_pages=4096, zero_pages=1024, emptied=0.75).followed(150)
    case = Scenario(guest=Guest(memory_bytes=16 * MIB))
    guest, said, _ = guest_followed(emptied, 16 * MIB, case)
    pages = {share: sum(one.region_pages for one in guest.dirty if one.zero_share == share) for share in (0.0, 1.0)}
    assert pages[1.0] == pytest.approx(0.75 * STEADY.region_pages, rel=0.05)
    assert pages[0.0] == pytest.approx(0.25 * STEADY.region_pages, rel=0.05)
    assert guest.zero_pages == pytest.approx(1024, abs=40)
    assert said[0].startswith("It empties what it writes to")


def test_a_growth_counts_as_growth_and_as_nothing_else():
    alone = Written(dirty=(STEADY,), memory_pages=8192).followed(80)
    grows = Written(dirty=(STEADY, GROWTH), memory_pages=8192).followed(80)
    assert not alone.growth.any()
    assert grows.growth.sum() == pytest.approx(800, abs=2)
    assert grows.readings([40])[0].pages == pytest.approx(alone.readings([40])[0].pages, rel=0.03)


def test_memory_that_is_filled_and_emptied_again_does_not_grow():
    seen = Written(dirty=(STEADY, GROWTH), memory_pages=8192).followed(80)
    zero = seen.zero.copy()
    zero[60:, 1024:1824] = True
    again = History(
        times_s=seen.times_s, pages=seen.pages, memory_pages=seen.memory_pages, sample=seen.sample, zero=zero
    )
    assert seen.growth.any()
    assert not again.growth.any()


def test_a_burst_is_no_growth():
    burst = DirtyClass(region_bytes=16 * MIB, writes_per_s=2000.0, kind="growth", phases=((0.5, 1.0), (60.0, 0.0)))
    assert not Written(dirty=(STEADY, burst), memory_pages=8192).followed(80).growth.any()


def test_a_growth_is_told_from_beats_of_any_length():
    """Halves are halves of the time: a guest that is met more and more rarely has most of its beats early."""
    seen = Written(dirty=(STEADY, GROWTH), memory_pages=8192).followed(80)
    ends = np.array([0, *range(1, 13), 20, 40, 60, 80])
    rarely = History(
        times_s=seen.times_s[ends],
        pages=[np.unique(np.concatenate(seen.pages[begin:end])) for begin, end in itertools.pairwise(ends)],
        memory_pages=seen.memory_pages,
        sample=seen.sample,
        zero=seen.zero[ends],
    )
    assert rarely.growth.sum() == pytest.approx(800, abs=2)
