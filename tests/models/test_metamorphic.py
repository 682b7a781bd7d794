"""Predictions of changed scenarios against those of the scenarios themselves, and what no prediction may say."""

import dataclasses
import math

import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit.models.predict import predict
from tests.metamorphic import RULES, violations
from tests.scenarios import scenario
from tests.verification.random_scenarios import differences, faults

MIB = 2**20
SWEEP = DirtyClass(region_bytes=16_322_560, writes_per_s=242_181.74410527956, kind="sweep")
RANDOM = DirtyClass(region_bytes=103_153_664, writes_per_s=31_755.35369399179, reads_per_s=1000.0)


@pytest.mark.parametrize("number", [*range(0, 24, 2), 892, 1_141])
def test_changed_forms_compare_as_they_should(number):
    assert [one for one in violations(scenario("ordinary", 0, number)) if not one.explanation] == []


@pytest.mark.parametrize("number", [1, 5])
def test_what_is_not_used_leaves_the_interval_alone(number):
    case = scenario("ordinary", 0, number)
    unused = [rule for rule in RULES if "changes nothing" in rule and "limit" not in rule]
    assert [one for one in violations(case, level=0.9) if one.rule in unused] == []


@pytest.mark.parametrize("kind", ["ordinary", "extreme"])
@pytest.mark.parametrize("number", range(10))
def test_no_prediction_says_what_it_must_not(kind, number):
    case = scenario(kind, 1, number)
    found = predict(case)
    assert list(faults(found)) == []
    assert list(differences(case, found)) == []


@pytest.mark.parametrize("policy", ["qemu", "qemu-7", "qemu-10"])
@pytest.mark.parametrize("zero_mib", [0, 512])
def test_bytes_are_conserved_where_pages_keep_each_other_out_of_the_cache(policy, zero_mib):
    predict(
        guest=Guest(memory_bytes=1024 * MIB, zero_bytes=zero_mib * MIB, dirty=(SWEEP, RANDOM)),
        link=Link(bandwidth_bytes_per_s=125e6),
        policy=Policy(name=policy, max_bandwidth_bytes_per_s=100e6),
        strategy=Strategy(xbzrle=True),
    )


def test_bytes_are_conserved_where_the_engine_gives_up_in_the_middle_of_a_run():
    case = scenario("ordinary", 0, 27_636)
    found = predict(case)
    assert case.strategy.xbzrle
    assert found.verdict == "timed_out"
    assert list(faults(found)) == []


def test_bytes_are_conserved_where_runs_are_small_parts_of_a_page():
    case = scenario("extreme", 0, 176, most_bytes=128 * MIB)
    assert case.strategy.xbzrle
    assert list(faults(predict(case))) == []


@pytest.mark.parametrize("time_limit_s", [1e-9, 0.003, 0.5])
def test_a_limit_before_the_first_round_leaves_it_no_time(time_limit_s):
    found = predict(
        guest=Guest(memory_bytes=256 * MIB),
        policy=Policy(time_limit_s=time_limit_s),
        strategy=Strategy(checkpoint_bytes=10**9),
    )
    assert found.verdict == "timed_out"
    assert found.total_time_s == time_limit_s
    assert [one.duration_s for one in found.rounds] == [0.0]


def test_storage_counts_within_the_interval_as_well():
    found = predict(
        guest=Guest(memory_bytes=256 * MIB),
        strategy=Strategy(storage_bytes=10**10, storage_dirty_bytes_per_s=1e6),
    )
    low, high = found.interval.transferred_bytes
    assert low < found.transferred_bytes < high


def slow(**changes):
    guest = Guest(memory_bytes=2**50, dirty=(dataclasses.replace(RANDOM, region_bytes=2**40),))
    return Scenario(guest=guest, link=Link(bandwidth_bytes_per_s=1.0), **changes)


@pytest.mark.parametrize("policy", ["qemu", "qemu-10", "kubevirt-stall", "ovirt", "proxmox", "nova"])
def test_petabytes_over_a_byte_a_second_are_answered(policy):
    """Without a limit to what it goes through the engine would look at the rule for 10^16 windows."""
    case = slow(policy=Policy(name=policy), strategy=Strategy(auto_converge=True))
    assert predict(case).verdict in ("does_not_converge", "aborted", "timed_out")


def test_what_is_not_decided_says_so_or_times_out():
    never = predict(slow())
    assert never.verdict == "does_not_converge"
    assert "still under way after" in never.reasons[0]
    assert "no more than 31,688 years" in never.reasons[0]
    case = slow(policy=Policy(time_limit_s=1e15))
    assert predict(case).verdict == "timed_out"
    assert predict(case).total_time_s == 1e15


def test_an_idle_guest_has_no_natural_downtime_however_slow_its_link():
    case = Scenario(guest=Guest(memory_bytes=2**50), link=Link(bandwidth_bytes_per_s=0.125))
    assert predict(case, level=None, detail=False).natural_downtime_s == 0.0


@pytest.mark.parametrize("duration_s", [1e-6, 1e-3])
def test_phases_that_alternate_fast_are_their_mean(duration_s):
    """Twice as many writes half of the time are the writes all of the time."""
    one = DirtyClass(region_bytes=256 * MIB, writes_per_s=10_000)
    fast = dataclasses.replace(one, writes_per_s=20_000, phases=((duration_s, 1.0), (duration_s, 0.0)))
    times = [predict(guest=Guest(memory_bytes=1024 * MIB, dirty=(kind,)), level=None) for kind in (one, fast)]
    assert times[0].total_time_s == pytest.approx(times[1].total_time_s, rel=1e-3)


def test_a_schedule_of_outages_is_gone_through_once():
    steps = ((0.5, 0.0), (0.5, 1.0)) * 1000
    case = Scenario(guest=Guest(memory_bytes=2**33), link=Link(bandwidth_bytes_per_s=1.25e8, steps=steps))
    found = predict(case, level=None)
    assert found.verdict == "converges"
    assert found.total_time_s == pytest.approx(2 * 2**33 / 1.25e8, rel=0.02)


def test_a_throttle_that_stays_where_it_is_has_settled():
    """A guest that is slowed below the trigger, and still dirties too fast, never ends: that is seen at once."""
    guest = Guest(memory_bytes=512 * MIB, dirty=(DirtyClass(region_bytes=256 * MIB, writes_per_s=16_000),))
    rule = Policy(name="qemu-10", max_bandwidth_bytes_per_s=5e7, downtime_limit_s=0.001)
    found = predict(guest=guest, policy=rule, strategy=Strategy(auto_converge=True), level=None)
    assert found.verdict != "converges" or found.total_time_s < math.inf
    assert found.iterations < 5000


def test_hosts_without_end_take_no_time_for_pages():
    host = Host(goodput_bytes_per_s=math.inf, zero_page_cpu_s=0.0)
    policy = Policy(max_bandwidth_bytes_per_s=math.inf)
    assert predict(guest=Guest(memory_bytes=2**30), host=host, policy=policy).total_time_s < 1.0


@pytest.mark.parametrize("number", [3_655, 4_093, 10_768, 11_985, 12_682, 13_152, 16_781])
def test_extremes_that_once_lost_their_digits(number):
    case = scenario("extreme", 0, number)
    found = predict(case)
    assert list(faults(found)) == []
    assert list(differences(case, found)) == []


def test_rounds_beyond_counting_are_rounded():
    found = predict(scenario("extreme", 0, 373, most_bytes=128 * MIB))
    assert found.iterations > 2**53
    assert list(faults(found)) == []
