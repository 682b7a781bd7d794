"""Pages that do not cost alike: which of a region are still zero when they are sent; differences in the long run."""

import dataclasses

import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, Strategy, simulate
from migkit.models.predict import predict

MIB = 2**20


def zeros(scenario):
    """Return the zero pages that the expected-value engine sends, and those of two page-level runs in the mean."""
    runs = simulate(scenario, seed=1, repeats=2)
    return sum(one.zero_pages for one in predict(scenario, level=None).rounds), runs.mean("zero_pages")


def scenario(kind, writes_per_s, cap, **guest):
    ahead = DirtyClass(region_bytes=32 * MIB, writes_per_s=50_000)
    region = DirtyClass(region_bytes=64 * MIB, writes_per_s=writes_per_s, kind=kind, sweep_offset_bytes=48 * MIB)
    return Scenario(
        guest=Guest(memory_bytes=128 * MIB, dirty=(ahead, region), fill="zero", **guest),
        policy=Policy(max_bandwidth_bytes_per_s=cap, downtime_limit_s=0.05, time_limit_s=6.0),
        link=Link(bandwidth_bytes_per_s=2e8),
    )


@pytest.mark.parametrize(
    "cap", [4e7, *(pytest.param(cap, marks=pytest.mark.compiled) for cap in (1e8, float("inf")))]
)
@pytest.mark.parametrize("writes_per_s", [1000, pytest.param(8000, marks=pytest.mark.compiled), 30_000])
def test_a_sweep_is_met_at_the_page_where_it_stands(writes_per_s, cap):
    predicted, simulated = zeros(scenario("sweep", writes_per_s, cap))
    assert predicted == pytest.approx(simulated, rel=0.01)


@pytest.mark.parametrize("cap", [4e6, 4e7, float("inf")])
@pytest.mark.parametrize("writes_per_s", [0.0, 1000, 8000])
def test_of_a_growth_the_part_is_zero_that_was_not_written_when_it_was_sent(writes_per_s, cap):
    fast = scenario("growth", writes_per_s, cap)
    grown = dataclasses.replace(fast.guest.dirty[1], sweep_offset_bytes=16 * MIB)
    guest = dataclasses.replace(fast.guest, fill="random", dirty=(fast.guest.dirty[0], grown))
    predicted, simulated = zeros(dataclasses.replace(fast, guest=guest))
    assert predicted == pytest.approx(simulated, rel=0.01)
    assert predicted <= 48 * MIB / 4096


def test_a_growth_ends_with_its_region():
    grows = DirtyClass(region_bytes=64 * MIB, writes_per_s=4000, kind="growth")
    guest = Guest(memory_bytes=128 * MIB, zero_bytes=32 * MIB, dirty=(grows,))
    policy = Policy(max_bandwidth_bytes_per_s=15e6, downtime_limit_s=0.01)  # slower than it grows
    result = predict(Scenario(guest=guest, policy=policy), level=None)
    assert (result.verdict, result.natural_downtime_s) == ("converges", 0.0)
    assert result.transferred_bytes == pytest.approx((96 + 64) * MIB, rel=0.01)  # written ahead of the scan: twice
    endless = dataclasses.replace(guest, dirty=(dataclasses.replace(grows, kind="sweep"),))
    assert predict(Scenario(guest=endless, policy=policy), level=None).verdict == "does_not_converge"


@pytest.mark.parametrize(("layout", "grain_bytes"), [("blocks", 4096), ("blocks", 2 * MIB), ("interleaved", 4096)])
def test_pages_are_zero_again_only_beside_one_that_was_written(layout, grain_bytes):
    random = scenario("random", 4000, 5e7, layout=layout)
    guest = dataclasses.replace(random.guest, tracking_bytes=grain_bytes)
    predicted, simulated = zeros(dataclasses.replace(random, guest=guest))
    assert predicted == pytest.approx(simulated, rel=0.01)


def emptied(kind, share, **changes):
    """Return a scenario one of whose regions empties its pages."""
    once = scenario(kind, 8000, 4e7)
    ahead, region = once.guest.dirty
    dirty = (ahead, dataclasses.replace(region, zero_share=share))
    return dataclasses.replace(once, guest=dataclasses.replace(once.guest, fill="random", dirty=dirty, **changes))


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["random", "sweep", "growth"])
def test_of_the_pages_of_a_class_its_share_is_zero_whenever_they_are_sent(kind, share):
    predicted, simulated = zeros(emptied(kind, share))
    assert predicted == pytest.approx(simulated, rel=0.01)


@pytest.mark.parametrize("name", ["postcopy", "hybrid"])
def test_a_share_is_zero_of_what_postcopy_brings(name):
    case = emptied("random", 0.7)
    case = dataclasses.replace(case, strategy=Strategy(name=name), policy=Policy(max_bandwidth_bytes_per_s=4e7))
    runs = simulate(case, seed=1, repeats=4)
    predicted = predict(case, level=None)
    assert predicted.transferred_bytes == pytest.approx(runs.mean("transferred_bytes"), rel=0.01)
    assert predicted.total_time_s == pytest.approx(runs.mean("total_time_s"), rel=0.01)


def test_zero_pages_count_in_full_in_what_is_left():
    empties = DirtyClass(region_bytes=64 * MIB, writes_per_s=8000, zero_share=1.0)
    policy = Policy(max_bandwidth_bytes_per_s=4e7, downtime_limit_s=0.05)
    told = predict(Scenario(guest=Guest(memory_bytes=128 * MIB, dirty=(empties,)), policy=policy), level=None)
    second = told.rounds[1]
    assert second.remaining_bytes > 4e7 * 0.05  # so that the rule goes on
    assert second.remaining_bytes == pytest.approx(4096 * (second.normal_pages + second.zero_pages), rel=0.01)
    assert second.sent_bytes < 0.01 * second.remaining_bytes


def test_a_region_that_is_idle_and_zero_is_as_zero_memory():
    idle = DirtyClass(region_bytes=64 * MIB, writes_per_s=0.0, zero_share=1.0)
    classes = Guest(memory_bytes=128 * MIB, dirty=(idle,))
    memory = Guest(memory_bytes=128 * MIB, zero_bytes=64 * MIB)
    policy = Policy(max_bandwidth_bytes_per_s=float("inf"))
    one, other = (predict(Scenario(guest=guest, policy=policy), level=None) for guest in (classes, memory))
    assert one.transferred_bytes == pytest.approx(other.transferred_bytes, rel=1e-6)
    assert one.total_time_s == pytest.approx(other.total_time_s, rel=1e-3)


def test_rounds_that_are_jumped_over_send_differences_as_those_before():
    region = DirtyClass(region_bytes=16 * MIB, writes_per_s=1500.0, rewrite_bytes=1024)
    guest = Guest(memory_bytes=64 * MIB, dirty=(region,))
    rates = []
    for time_limit_s in (800.0, 36_000.0):
        rule = Policy(max_bandwidth_bytes_per_s=1e6, downtime_limit_s=0.001, time_limit_s=time_limit_s)
        found = predict(Scenario(guest=guest, policy=rule, strategy=Strategy(xbzrle=True)), level=None)
        assert found.verdict == "timed_out"
        rates.append(found.transferred_bytes / time_limit_s)
    assert rates[1] == pytest.approx(rates[0], rel=0.1)
