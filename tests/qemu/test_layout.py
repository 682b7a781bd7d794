"""Where page classes lie in the bare-metal guest, and how it is told."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migkit.errors import UsageError
from migkit.qemu.guests.layout import FIRST_BYTE, as_run, command_line, placed, worked_s
from migkit.scenario import DirtyClass, Guest
from migkit.units import MIB, PAGE_BYTES

HOT = DirtyClass(region_bytes=4 * MIB, writes_per_s=300.0)
COLD = DirtyClass(region_bytes=8 * MIB, writes_per_s=30.0, reads_per_s=10.0)
SWEEP = DirtyClass(region_bytes=2 * MIB, writes_per_s=50.0, kind="sweep")


def guest(*dirty, memory_mib=64, zero_mib=32, **changes):
    return as_run(Guest(memory_bytes=memory_mib * MIB, zero_bytes=zero_mib * MIB, dirty=dirty, **changes), seed=1)


@given(
    st.sampled_from(["blocks", "interleaved"]),
    st.integers(1, 8),
    st.lists(st.sampled_from([HOT, COLD, SWEEP]), max_size=3),
    st.integers(0, 40),  # what the classes leave
)
def test_pieces_lie_behind_each_other_and_hold_the_rates_of_their_classes(layout, processors, classes, zero_mib):
    what = guest(*classes, zero_mib=zero_mib, layout=layout)
    pieces = placed(what, processors)
    page = FIRST_BYTE // PAGE_BYTES
    for piece in pieces:
        assert piece.first_page == page
        assert 0 <= piece.processor < processors
        page += piece.pages
    assert page * PAGE_BYTES == what.memory_bytes - what.zero_bytes + FIRST_BYTE or not pieces
    assert sum(piece.writes_per_s for piece in pieces) == pytest.approx(what.writes_per_s)
    assert sum(piece.reads_per_s for piece in pieces) == pytest.approx(sum(c.reads_per_s for c in what.dirty))


def test_an_interleaved_class_is_spread_over_the_memory_of_its_neighbours():
    pieces = placed(guest(HOT, COLD))
    kinds = [piece.source for piece in pieces]
    assert len(kinds) == 48
    assert all(one is not other for one, other in itertools.pairwise(kinds))


GROWTH = DirtyClass(region_bytes=2 * MIB, writes_per_s=50.0, kind="growth")


def test_a_growth_starts_as_zero_pages():
    pieces = placed(guest(HOT, GROWTH, layout="blocks"))
    assert [(piece.fill, piece.kind) for piece in pieces[:2]] == [("random", "random"), ("zero", "growth")]
    assert placed(guest(HOT, GROWTH))[0].kind == "growth"


def test_a_growth_has_come_so_far_as_it_shall_when_the_migration_begins():
    begun = as_run(Guest(memory_bytes=64 * MIB, dirty=(GROWTH,)), seed=1, before_s=0.5)
    assert begun.dirty[0].sweep_offset_bytes == 25 * PAGE_BYTES
    further = dataclasses.replace(GROWTH, sweep_offset_bytes=100 * PAGE_BYTES)
    pieces = placed(guest(further), before_s=0.5)
    assert [(piece.pages, piece.fill, piece.writes_per_s) for piece in pieces[:2]] == [
        (75, "random", 0.0),
        (437, "zero", 50.0),
    ]
    early = Guest(memory_bytes=64 * MIB, dirty=(dataclasses.replace(GROWTH, sweep_offset_bytes=PAGE_BYTES),))
    with pytest.raises(UsageError, match=r"sweep_offset: 4 KiB of the growth cannot be all .* writes 100 KiB"):
        as_run(early, seed=1, before_s=0.5)


def test_a_sweep_starts_so_that_it_stands_where_it_shall_when_the_migration_begins():
    swept = DirtyClass(region_bytes=2 * MIB, writes_per_s=50.0, kind="sweep", sweep_offset_bytes=10 * PAGE_BYTES)
    line = command_line(guest(swept), placed(guest(swept)), 1, before_s=0.5)
    assert line.split()[4:11] == ["512", "512", "1", "1", "1", "0", str(10 - 25 + 512)]


def test_the_capacity_is_told_in_writes_of_a_thousand_seconds():
    busy = DirtyClass(region_bytes=MIB, writes_per_s=50.0)
    able = guest(busy, capacity_writes_per_s=120.5)
    assert command_line(able, placed(able), 1, before_s=0.0).split()[3] == "120500"
    assert command_line(guest(busy), placed(guest(busy)), 1, before_s=0.0).split()[3] == "0"


def test_phases_are_told_from_the_one_that_is_under_way():
    phased = DirtyClass(region_bytes=MIB, writes_per_s=50.0, phases=((4.0, 1.0), (4.0, 0.25)), phase_offset_s=0.5)
    line = command_line(guest(phased), placed(guest(phased)), 1, before_s=1.0)
    numbers = line.split()[4 : 4 + 16]
    assert numbers[10:] == ["3500000", "2", "4000000", "250000", "4000000", "1000000"]


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0, 30))
def test_work_before_a_migration_adds_up(offset_s, first_s, second_s):
    def phased(at_s):
        return DirtyClass(
            region_bytes=MIB, writes_per_s=1.0, phases=((1.5, 1.0), (2.0, 0.25)), phase_offset_s=max(at_s, 0.0)
        )

    begun = offset_s + first_s
    whole = worked_s(phased(begun), first_s + second_s)
    assert whole == pytest.approx(worked_s(phased(begun), first_s) + worked_s(phased(offset_s), second_s), abs=1e-6)


@pytest.mark.parametrize(
    ("dirty", "memory_mib", "message"),
    [
        ((), 8, "guest.memory: 8 MiB is not possible; the bare-metal guest has 16 MiB to 3 GiB"),
        ((), 4096, "guest.memory: 4 GiB is not possible"),
        ((DirtyClass(region_bytes=15 * MIB, writes_per_s=1.0),), 16, "guest.dirty: 15 MiB of regions do not fit"),
    ],
)
def test_what_the_guest_cannot_be_is_refused_in_one_line(dirty, memory_mib, message):
    with pytest.raises(UsageError) as error:
        guest(*dirty, memory_mib=memory_mib, zero_mib=0)
    assert str(error.value).startswith(message)


def test_too_many_pieces_are_refused():
    with pytest.raises(UsageError, match="pieces of memory are too many"):
        placed(guest(*[HOT] * 40, memory_mib=512))
