"""Where page classes lie: what lies by itself is told from what lies interleaved."""

import dataclasses

import numpy as np
import pytest

from migkit.calibrate.guest.addresses import in_order
from migkit.calibrate.guest.beats import History
from migkit.scenario import DirtyClass, Guest
from migkit.units import MIB, PAGE_BYTES
from tests.calibrate.guest.written import Written

MEMORY_PAGES = 24 * 1024
ZERO_PAGES = 6 * 1024
HOT = DirtyClass(region_bytes=16 * MIB, writes_per_s=8000.0)
COLD = DirtyClass(region_bytes=24 * MIB, writes_per_s=600.0)
SWEEP = DirtyClass(region_bytes=16 * MIB, writes_per_s=1000.0, kind="sweep")


def seen(*dirty: DirtyClass) -> History:
    return Written(dirty=dirty, memory_pages=MEMORY_PAGES, zero_pages=ZERO_PAGES).followed(120)


def guest(*dirty: DirtyClass) -> Guest:
    return Guest(memory_bytes=MEMORY_PAGES * PAGE_BYTES, zero_bytes=ZERO_PAGES * PAGE_BYTES, dirty=dirty)


def moved(history: History, to: np.ndarray) -> History:
    """Return the history of a guest whose page ``k`` lies at ``to[k]``."""
    zero = np.empty((history.beats + 1, MEMORY_PAGES), bool)
    zero[:, to[history.sample]] = history.zero
    where = np.sort(to[history.sample])
    return dataclasses.replace(
        history, pages=[np.sort(to[one]) for one in history.pages], sample=where, zero=zero[:, where]
    )


@pytest.mark.parametrize("order", [(HOT, COLD), (COLD, HOT), (SWEEP, COLD, HOT), (HOT, SWEEP)])
def test_classes_that_lie_one_behind_the_other_come_in_their_order(order):
    told = in_order(guest(*sorted(order, key=lambda one: one.writes_per_s)), seen(*order))
    assert (told.layout, told.dirty) == ("blocks", order)


def test_classes_whose_pages_lie_mixed_stay_as_they_were():
    mixed = np.random.default_rng(1).permutation(MEMORY_PAGES)
    as_told = guest(HOT, COLD)
    assert in_order(as_told, moved(seen(HOT, COLD), mixed)) == as_told


def test_a_class_that_lies_in_many_places_stays_as_it_was():
    """As the heap of a program does in the memory of a Linux."""
    to = np.arange(MEMORY_PAGES).reshape(2, -1, 256).transpose(1, 0, 2).ravel()
    as_told = guest(HOT)
    assert in_order(as_told, moved(seen(HOT), np.argsort(to))) == as_told


def test_memory_that_holds_something_and_rests_has_its_place():
    """What nobody writes comes first: the guest has less time to write again what is sent behind it."""
    lies = seen(HOT, COLD)
    full_pages = MEMORY_PAGES - ZERO_PAGES
    to = np.arange(MEMORY_PAGES)
    to[:full_pages] = (to[:full_pages] - HOT.region_pages - COLD.region_pages) % full_pages
    told = in_order(guest(HOT, COLD), moved(lies, to))
    rests, *dirty = told.dirty
    assert (told.layout, tuple(dirty)) == ("blocks", (HOT, COLD))
    assert rests.region_pages == pytest.approx(full_pages - HOT.region_pages - COLD.region_pages, rel=0.05)
    assert rests.writes_per_s < 0.01


def test_a_guest_that_writes_nothing_or_grows_stays_as_it_was():
    growth = DirtyClass(region_bytes=8 * MIB, writes_per_s=100.0, kind="growth")
    for dirty in ((), (HOT, growth)):
        assert in_order(guest(*dirty), seen(HOT)) == guest(*dirty)
