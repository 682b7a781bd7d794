"""Post-copy whose push has a cap: windows, demands that wait, guests that make up for what they waited."""

import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy, predict, simulate

MIB = 2**20
CAP = 6e7
LARGE = DirtyClass(region_bytes=128 * MIB, writes_per_s=20_000)


def case(policy="qemu-10", dirty=(LARGE,), capacity=5e6, cap=CAP, **strategy):
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=96 * MIB, dirty=dirty, capacity_writes_per_s=capacity)
    return Scenario(
        guest=guest,
        host=Host(platform="qemu-tcg"),
        policy=Policy(name=policy, max_postcopy_bandwidth_bytes_per_s=cap),
        strategy=Strategy(name="postcopy", **strategy),
    )


@pytest.mark.parametrize("policy", ["qemu-7", "qemu-10"])
@pytest.mark.parametrize("preempt", [False, True])
@pytest.mark.parametrize("capacity", [None, 5e6])
def test_both_engines_say_the_same_of_windows(policy, preempt, capacity):
    scenario = case(policy, capacity=capacity, preempt=preempt)
    expected, one = predict(scenario), simulate(scenario, seed=1).runs[0]
    assert expected.total_time_s == pytest.approx(one.total_time_s, rel=0.02)
    assert expected.transferred_bytes == pytest.approx(one.transferred_bytes, rel=1e-3)
    assert expected.blocktime_s == pytest.approx(one.blocktime_s, rel=0.1, abs=0.02)


def test_demanded_pages_come_on_top_of_the_quota():
    guest = case().guest
    evenly_s = (guest.memory_bytes - guest.zero_bytes) / CAP
    assert predict(case("qemu-10")).total_time_s < 0.7 * evenly_s
    assert predict(case("qemu-7")).total_time_s == pytest.approx(evenly_s, rel=0.03)


def test_over_one_connection_or_by_old_versions_a_guest_faults_once_a_window():
    for scenario in (case("qemu-7"), case("qemu-10", preempt=False)):
        result = predict(scenario)
        assert result.postcopy_faults == pytest.approx(result.total_time_s / 0.1, rel=0.2)
        assert result.blocktime_s > 0.9 * result.total_time_s


def test_a_guest_with_capacity_to_spare_makes_up_for_what_it_waited():
    flat_out, paced = predict(case(capacity=None)), predict(case())
    assert paced.postcopy_faults > 1.3 * flat_out.postcopy_faults
    assert paced.guest_slowdown < 0.1 < flat_out.guest_slowdown


def test_a_growth_that_has_ended_faults_no_more():
    ended = DirtyClass(region_bytes=32 * MIB, writes_per_s=9000, kind="growth", sweep_offset_bytes=32 * MIB)
    scenario = case(dirty=(ended,))
    assert predict(scenario).postcopy_faults == 0.0
    assert simulate(scenario, seed=1).runs[0].postcopy_faults == 0


def test_presets_say_which_versions_answer_at_once():
    assert not Policy(name="qemu-7").preset.demands_at_once
    assert Policy(name="qemu-11.1").preset.demands_at_once
