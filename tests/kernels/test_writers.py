import numpy as np
import pytest

from migkit.harness.machine import Machine, class_table
from migkit.kernels import writers
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
