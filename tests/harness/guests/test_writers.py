import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migkit.harness.guests import writers
from migkit.harness.guests.machine import Machine, class_table, filled_bytes
from migkit.harness.guests.registers import wrong
from migkit.scenario import DirtyClass, Guest

KIB = 1 << 10


def machine(**changes):
    classes = (
        DirtyClass(region_bytes=64 * KIB, writes_per_s=3000, reads_per_s=700, rewrite_bytes=64),
        DirtyClass(region_bytes=32 * KIB, writes_per_s=500.5, kind="sweep", phases=((0.003, 1.0), (0.002, 0.25))),
    )
    made = Machine(Guest(memory_bytes=256 * KIB, zero_bytes=64 * KIB, dirty=classes, **changes))
    made.boot(11)
    return made


def test_memory_at_an_operation_does_not_depend_on_where_it_was_stopped():
    whole, parts = machine(), machine()
    whole.run_to(400)
    for stop in (1, 2, 57, 58, 399, 400):
        parts.run_to(stop)
    assert whole.digests() == parts.digests()


def test_memory_differs_between_operations_and_between_seeds():
    one, next_one, other = machine(), machine(), machine()
    other.boot(12)
    one.run_to(50)
    next_one.run_to(51)
    other.run_to(50)
    assert len({m.digests()["memory"] for m in (one, next_one, other)}) == 3


def test_another_process_can_go_on_from_the_same_bytes():
    import os

    first, unmoved = machine(), machine()
    first.run_to(123)
    second = Machine(first.guest, os.dup(first.descriptor))
    second.run_to(300)
    unmoved.run_to(300)
    assert second.digests() == unmoved.digests()


def test_rates_are_kept_class_by_class_over_guest_time():
    guest = machine()
    guest.advance(1000, 1 << 60, np.zeros(0, np.uint8))
    counts = guest.registers[writers.COUNTS : writers.COUNTS + 2]
    assert counts[0] == 3000
    assert counts[1] == pytest.approx(500.5 * (0.6 + 0.4 * 0.25), abs=2)
    assert guest.registers[writers.COUNTS + writers.MAX_CLASSES] == 700


def test_every_write_is_marked_in_the_shared_map_and_only_those():
    guest = machine()
    before = guest.words.reshape(-1, 512).copy()
    written = np.zeros(64, np.uint8)
    guest.advance(5, 1 << 60, written)
    changed = (guest.words.reshape(-1, 512) != before).any(axis=1)
    assert (changed == (written == 1)).all()
    assert changed.any()


@pytest.mark.parametrize("kind", ["random", "sweep"])
def test_a_share_of_a_class_is_zero_at_any_moment(kind):
    one = DirtyClass(region_bytes=4096 * KIB, writes_per_s=2000, kind=kind, zero_share=0.3)
    made = Machine(Guest(memory_bytes=8192 * KIB, dirty=(one,)))
    made.boot(3)
    for operations in (0, 500, 6000):
        made.run_to(operations)
        empty = ~made.words.reshape(-1, 512).any(axis=1)
        assert empty[:1024].mean() == pytest.approx(0.3, abs=0.05)
        assert not empty[1024:].any()


def test_a_sweep_goes_in_order_and_wraps():
    classes, phases = class_table(
        Guest(memory_bytes=64 * KIB, dirty=(DirtyClass(region_bytes=12 * KIB, writes_per_s=1000, kind="sweep"),))
    )
    memory, registers, seen = np.zeros(16 * 512, np.int64), np.zeros(writers.REGISTERS, np.int64), []
    for tick in range(1, 8):
        written = np.zeros(16, np.uint8)
        writers.advance(memory, registers, classes, phases, written, tick, 1 << 60)
        seen += np.flatnonzero(written).tolist()
    assert seen == [0, 1, 2, 0, 1, 2, 0]


def test_intensity_repeats_and_integrates():
    phases = np.array([4.0, 1.0, 4.0, 0.5])
    assert writers.intensity_s(10.0, phases) == pytest.approx(4 + 2 + 2)
    assert writers.intensity_s(3.0, np.zeros(0)) == 3.0


@pytest.mark.parametrize(("fill", "zero_pages"), [("random", 16), ("constant", 16), ("zero", 16 + 24)])
def test_fill_leaves_the_zero_pages_zero(fill, zero_pages):
    guest = machine(fill=fill)
    pages = guest.words.reshape(-1, 512)
    assert int((~pages.any(axis=1)).sum()) == zero_pages


@pytest.mark.parametrize("fill", ["random", "constant", "zero"])
def test_a_destination_takes_all_the_memory_that_is_filled_in_advance(fill):
    guest = machine(fill=fill)
    assert 8 * (1 + np.flatnonzero(guest.words)[-1]) == filled_bytes(guest.guest)


@pytest.mark.parametrize(
    "forged",
    [
        {writers.CLASS: -1},
        {writers.CLASS: -(1 << 62)},
        {writers.CLASS: -(1 << 20)},
        {writers.CLASS: 1 << 62},
        {writers.DONE: -(1 << 40)},
        {writers.TICK: -(1 << 60)},
        {writers.COUNTS + 1: -(1 << 63)},
        {writers.COUNTS: (1 << 63) - 1},
        {writers.READ_SUM: -1},
    ],
)
def test_no_register_sends_a_write_out_of_the_memory(forged):
    """The kernel runs in the middle of a larger memory, whose other parts nobody may change."""
    guest = machine().guest
    pages = guest.memory_pages
    everything = np.full((pages + 1024) * writers.PAGE_WORDS, 7, np.int64)
    first = 512 * writers.PAGE_WORDS
    memory = everything[first : first + pages * writers.PAGE_WORDS]
    registers = np.zeros(3 * writers.REGISTERS, np.int64)
    own = registers[writers.REGISTERS : 2 * writers.REGISTERS]
    for register, value in forged.items():
        own[register] = value
    with np.errstate(over="ignore"):
        writers.advance(memory, own, *class_table(guest), np.zeros(pages, np.uint8), int(own[writers.TICK]) + 20, 500)
    assert (everything[:first] == 7).all()
    assert (everything[first + memory.size :] == 7).all()
    assert not registers[: writers.REGISTERS].any()
    assert not registers[2 * writers.REGISTERS :].any()


def registers_of(guest, operations):
    guest.run_to(operations)
    return guest.registers


@pytest.mark.parametrize("operations", [0, 1, 2, 3, 57, 399, 4000])
def test_every_register_of_a_guest_that_runs_is_allowed(operations):
    guest = machine()
    assert wrong(registers_of(guest, operations), guest.guest) == ""


@given(
    rates=st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e4)), min_size=1, max_size=4),
    phases=st.lists(st.tuples(st.floats(1e-4, 0.02), st.floats(0, 3)), max_size=3),
    offset=st.floats(0, 1),
    operations=st.integers(0, 500),
)
@settings(max_examples=200)
def test_registers_of_any_guest_are_allowed_at_any_operation(rates, phases, offset, operations):
    classes = tuple(
        DirtyClass(region_bytes=8 * KIB, writes_per_s=w, reads_per_s=r, phases=tuple(phases), phase_offset_s=offset)
        for w, r in rates
    )
    made = Machine(Guest(memory_bytes=64 * KIB, dirty=classes))
    made.advance(300, operations, np.zeros(0, np.uint8))
    assert wrong(made.registers, made.guest) == ""
    made.close()


@pytest.mark.parametrize(
    "forged",
    [
        {writers.FIRST_PAGE: 50},
        {writers.FIRST_PAGE: -2},
        {writers.PAGES: 0},
        {writers.PAGES: 1 << 40},
        {writers.REWRITE_WORDS: 600},
    ],
)
def test_no_class_table_sends_a_write_out_of_the_memory(forged):
    made = machine()
    classes, phases = class_table(made.guest)
    classes[list(forged)] = list(forged.values())
    writers.advance(made.words, made.registers, classes, phases, np.zeros(0, np.uint8), 20, 500)
    assert made.operations == 0
