"""The page-level guest makes only writes that change something, and these are distributed as if it made all."""

import math

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Scenario, Strategy, jit
from migkit.engine.packing import pack
from migkit.simulator import guest as guest_pages
from migkit.simulator import records
from migkit.simulator import steps as time_steps

PAGE = 4096
REGION = 64  # pages
RUNS = 1000


@pytest.fixture(autouse=True)
def compiled():
    jit.compile_kernels()


def laid_out(dirty, counts, **guest_fields):
    """Return what the kernels take of a guest of one class, before it writes."""
    scenario = Scenario(
        guest=Guest(memory_bytes=REGION * PAGE, dirty=(dirty,), **guest_fields),
        host=Host(firmware_bytes=0),
        strategy=Strategy(xbzrle=counts),
    )
    packed = pack(scenario, 1e9)
    packed_scenario, classes, steps, _ = packed.of_one()
    room, pages = records.room(packed, REGION), np.zeros(REGION, dtype=np.uint16)
    guest_pages.lay_out(packed_scenario, classes, pages, room.guest, np.random.default_rng(0))
    time_steps.simplify(packed_scenario, steps, room.guest)
    assert room.counted.size == (REGION if counts else 0)
    return packed_scenario, steps, pages, room


def written(writes, rng, counts=False, kind="random", moments=(1.0,)):
    """Return the pages after so many writes within a second, some of them before each of the moments."""
    scenario, steps, pages, room = laid_out(
        DirtyClass(region_bytes=REGION * PAGE, writes_per_s=writes, kind=kind, sweep_offset_bytes=0), counts
    )
    for moment_s in moments:
        guest_pages.write(scenario, steps, pages, room.counted, room.guest, moment_s, rng)
    for page in range(REGION if counts else 0):
        guest_pages.catch_up(scenario, pages, room.counted, room.guest, page, rng)
    return pages, room.guest


@pytest.mark.parametrize("writes", [10, 64, 200, 400])
def test_as_many_pages_are_dirty_as_bins_are_occupied(writes):
    """``n`` writes to ``W`` pages leave ``W (1 - 1/W)^n`` untouched on average; the variance is known as well."""
    rng = np.random.default_rng(writes)
    clean = np.array([np.count_nonzero(~written(writes, rng)[0] & guest_pages.DIRTY) for _ in range(RUNS)])
    one, two = (1 - 1 / REGION) ** writes, (1 - 2 / REGION) ** writes
    variance = REGION * (REGION - 1) * two + REGION * one - (REGION * one) ** 2
    assert clean.mean() == pytest.approx(REGION * one, abs=4 * math.sqrt(variance / RUNS))
    assert clean.var() == pytest.approx(variance, rel=0.2)


def test_every_page_is_written_as_often_as_any_other():
    rng = np.random.default_rng(3)
    dirty = sum((written(30, rng)[0] & guest_pages.DIRTY) > 0 for _ in range(RUNS)) / RUNS
    share = 1 - (1 - 1 / REGION) ** 30
    assert np.abs(dirty - share).max() < 4.5 * math.sqrt(share * (1 - share) / RUNS)


@pytest.mark.parametrize("moments", [(1.0,), (0.1, 0.11, 0.5, 1.0)])
def test_writes_to_a_page_are_binomial_although_few_are_drawn(moments):
    rng = np.random.default_rng(4)
    counts = np.array([written(640, rng, counts=True, moments=moments)[0] >> 4 for _ in range(RUNS // 5)])
    assert counts.mean() == pytest.approx(10.0, rel=0.01)
    assert counts.var() == pytest.approx(640 / REGION * (1 - 1 / REGION), rel=0.08)


@pytest.mark.parametrize("writes", [1, 63, 64, 65, 1000, 6400])
def test_writes_of_a_sweep_are_counted(writes):
    pages, _ = written(writes, np.random.default_rng(0), counts=True, kind="sweep", moments=(0.3, 0.7, 1.0))
    expected = [writes // REGION + (page < writes % REGION) for page in range(REGION)]
    assert (pages >> 4).tolist() == expected


def test_a_rate_without_measure_costs_no_more_than_the_pages():
    few, many = (written(writes, np.random.default_rng(5))[1].work for writes in (1e3, 1e18))
    assert many < 2 * few


@pytest.mark.parametrize("phases", [((1.0, 2.0), (3.0, 0.5)), ((1e-6, 0.0), (1e-6, 3.0)), ((0.5, 0.0), (0.25, 4.0))])
def test_sums_of_phases_turn_around(phases):
    """The moment at which the intensity has summed up to a value has that sum."""
    one = DirtyClass(region_bytes=PAGE, writes_per_s=1.0, phases=phases, phase_offset_s=0.3)
    _, steps, _, room = laid_out(one, counts=False)
    writer = room.guest.writers[0]
    for at_s in np.linspace(0.0, 20.0, 50):
        active = time_steps.active_s(steps, writer, at_s)
        when_s = time_steps.when_active_s(steps, writer, active)
        assert when_s <= at_s + 1e-9
        assert time_steps.active_s(steps, writer, when_s) == pytest.approx(active, abs=1e-9)


def test_steps_of_the_link_are_found():
    link = Link(steps=((1.0, 0.5), (1.0, 0.5), (0.5, 0.0), (2.0, 1.0), (1.0, 0.3), (1.0, 1.0)))
    packed = pack(Scenario(guest=Guest(memory_bytes=PAGE), link=link), 1e9)
    scenario, _, steps, _ = packed.of_one()
    time_steps.simplify(scenario, steps, records.Guest.new())
    found = [time_steps.share_of_link(scenario, steps, at_s) for at_s in (0.0, 1.5, 2.0, 3.0, 4.5, 5.5, 99.0)]
    end = math.inf
    assert found == [(0.5, 2.0), (0.5, 2.0), (0.0, 2.5), (1.0, 4.5), (0.3, 5.5), (1.0, end), (1.0, end)]
    assert packed.scenario.step_count == 4  # equal neighbours are one step
