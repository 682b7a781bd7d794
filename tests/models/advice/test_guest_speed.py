import dataclasses
import itertools

import pytest

from migkit import DirtyClass, Guest, Host, Policy, Strategy
from migkit.models.advice.crossover import LONGER, as_quick_up_to, at_write_rate, converges_up_to
from migkit.models.advice.guest_speed import phases, speed_over_time
from migkit.models.predict import predict
from migkit.scenario import Link, Scenario

GUEST = Guest(memory_bytes=2**32, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=20_000),))
BUSY = dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=2**30, writes_per_s=90_000),))
SCENARIO = Scenario(
    guest=GUEST,
    link=Link(bandwidth_bytes_per_s=2.5e8, rtt_s=2e-4),
    host=Host(quiesce_s=0.005, load_s=0.02),
    policy=Policy.parse(max_bandwidth="unlimited"),
)
CASES = {
    **{
        name: dataclasses.replace(SCENARIO, strategy=Strategy(name=name))
        for name in ("precopy", "postcopy", "hybrid")
    },
    "stopcopy": dataclasses.replace(SCENARIO, strategy=Strategy(name="stopcopy")),
    "throttled": dataclasses.replace(SCENARIO, guest=BUSY, strategy=Strategy(auto_converge=True)),
    "endless": dataclasses.replace(
        SCENARIO, guest=dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=2**30, writes_per_s=1e6),))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_phases_follow_each_other_from_the_request_to_the_end(name):
    result = predict(CASES[name], level=None)
    found = phases(result)
    assert found[0].start_s == 0.0
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(found))
    assert found[-1].end_s == pytest.approx(min(result.total_time_s, result.timeline[-1].t_s), rel=1e-6)
    assert all(0.0 <= phase.speed <= 1.0 for phase in found)


@pytest.mark.parametrize("name", ["precopy", "postcopy", "hybrid", "stopcopy", "throttled"])
def test_the_guest_stands_still_for_the_downtime_and_loses_its_slowdown_besides(name):
    result = predict(CASES[name], level=None)
    found = phases(result)
    down_s = sum(phase.end_s - phase.start_s for phase in found if phase.speed == 0.0)
    lost_s = sum(phase.lost_s for phase in found if phase.speed > 0.0)
    assert down_s == pytest.approx(result.downtime_s, rel=1e-6)
    assert lost_s == pytest.approx(result.guest_slowdown * result.total_time_s, rel=1e-6, abs=1e-9)
    assert (lost_s > 0) == (name in ("postcopy", "hybrid", "throttled"))


@pytest.mark.parametrize("name", CASES)
def test_the_speed_over_time_ends_with_the_migration(name):
    result = predict(CASES[name], level=None)
    points = speed_over_time(result)
    assert points[-1] == (phases(result)[-1].end_s, points[-2][1])
    assert [t_s for t_s, _ in points] == sorted(t_s for t_s, _ in points)


def test_a_migration_that_never_ends_never_stops_the_guest():
    assert all(phase.speed > 0 for phase in phases(predict(CASES["endless"], level=None)))


def test_pre_copy_converges_up_to_the_rate_and_not_beyond():
    most = converges_up_to(SCENARIO, 300.0, 1e6)
    assert at_write_rate(SCENARIO, most).verdict == "converges"
    assert at_write_rate(SCENARIO, 1.03 * most).verdict == "does_not_converge"


def test_pre_copy_is_as_quick_as_post_copy_up_to_the_rate_and_not_beyond():
    most = as_quick_up_to(SCENARIO, "postcopy", 100.0, 1e6)
    for factor, quicker in ((1.0, True), (1.03, False)):
        precopy = at_write_rate(SCENARIO, factor * most)
        postcopy = at_write_rate(CASES["postcopy"], factor * most)
        assert (precopy.total_time_s <= LONGER * postcopy.total_time_s) == quicker


@pytest.mark.parametrize(("low", "high", "expected"), [(1.0, 2.0, float("inf")), (5e5, 1e6, 0.0)])
def test_a_rate_outside_of_the_bounds_is_said_to_be_so(low, high, expected):
    assert converges_up_to(SCENARIO, low, high) == expected
