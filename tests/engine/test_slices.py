"""A throttled guest runs in slices, and software emulation waits for it to wake."""

import dataclasses

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy, predict, simulate
from migkit.engine import slices
from migkit.engine.records import Slices

MIB = 2**20
SLICE_S = 0.01


def kept(throttle, began_s=0.0):
    record = Slices.new()
    slices.take_over(record, throttle, began_s)
    return record


def case(platform):
    """Return a guest that no throttle but the last one slows enough."""
    busy = DirtyClass(region_bytes=40 * MIB, writes_per_s=300_000)
    return Scenario(
        guest=Guest(memory_bytes=256 * MIB, zero_bytes=128 * MIB, dirty=(busy,), capacity_writes_per_s=600_000),
        host=Host(platform=platform),
        policy=Policy(name="qemu-7", max_bandwidth_bytes_per_s=6e7, downtime_limit_s=0.03, time_limit_s=60.0),
        strategy=Strategy(auto_converge=True),
    )


@pytest.mark.parametrize("throttle", [0.2, 0.5, 0.99])
def test_whole_sleeps_with_their_slices_count_as_their_length(throttle):
    each_s = SLICE_S / (1.0 - throttle)
    record = kept(throttle, 3.0)
    assert slices.even_s(SLICE_S, record, 3.0, 3.0 + 7 * each_s) == pytest.approx(7 * each_s)
    assert slices.even_s(SLICE_S, record, 3.4, 3.4 + 7 * each_s) == pytest.approx(7 * each_s)


def test_all_is_done_in_the_slice():
    record = kept(0.99)
    assert slices.even_s(SLICE_S, record, 0.0, 0.98) == 0.0
    assert slices.even_s(SLICE_S, record, 0.992, 0.997) == pytest.approx(0.5)
    assert slices.even_s(0.0, record, 0.0, 0.98) == 0.98  # slowed evenly
    assert slices.even_s(SLICE_S, kept(0.0), 0.0, 0.98) == 0.98


def test_a_sleeper_wakes_at_the_end_of_its_sleep_and_one_that_runs_is_awake():
    record = kept(0.99)
    assert slices.awake_s(SLICE_S, record, 0.99, 0.0, 0.4) == pytest.approx(0.99)
    assert slices.awake_s(SLICE_S, record, 0.99, 0.0, 0.995) == 0.995
    assert slices.awake_s(SLICE_S, record, 0.99, 0.0, 1.4) == pytest.approx(1.99)


def test_another_throttle_takes_over_with_the_next_sleep():
    record = kept(0.8)  # sleeps of 40 ms, slices of 10 ms
    assert slices.change_s(SLICE_S, record, 0.8, 0.12) == np.inf
    assert slices.change_s(SLICE_S, record, 0.99, 0.12) == pytest.approx(0.15)
    assert slices.awake_s(SLICE_S, record, 0.99, 0.12, 0.13) == pytest.approx(0.14)
    assert slices.awake_s(SLICE_S, record, 0.99, 0.12, 0.2) == pytest.approx(1.14)
    assert slices.change_s(SLICE_S, kept(0.0), 0.2, 0.12) == 0.12  # the first one at once


def test_with_software_emulation_a_sync_waits_for_the_guest_to_wake():
    throttled = [one for one in predict(case("qemu-tcg")).rounds if one.throttle > 0.98][2:-1]
    assert len(throttled) > 10
    starts = [one.start_s + one.sync_s for one in throttled]
    assert np.diff(starts) == pytest.approx(1.0, abs=0.02)  # a round a second, as a real one has


def test_with_kvm_a_round_without_a_slice_marks_nothing():
    result = predict(case("qemu-kvm"))
    assert result.verdict == "converges"
    assert min(one.marked_pages for one in result.rounds if one.throttle > 0.98) == 0.0
    assert max(one.sync_s for one in result.rounds) < 0.01


@pytest.mark.parametrize("platform", [pytest.param("qemu-tcg", marks=pytest.mark.compiled), "qemu-kvm"])
def test_both_engines_say_the_same_of_slices(platform):
    scenario = case(platform)
    expected, one = predict(scenario), simulate(scenario, seed=1).runs[0]
    assert one.verdict == expected.verdict
    assert one.total_time_s == pytest.approx(expected.total_time_s, rel=0.01)
    assert one.transferred_bytes == pytest.approx(expected.transferred_bytes, rel=0.01)


@pytest.mark.parametrize("kind", [pytest.param("random", marks=pytest.mark.compiled), "sweep"])
@pytest.mark.parametrize(
    "write_fault_s", [*(pytest.param(each_s, marks=pytest.mark.compiled) for each_s in (0.0, 4e-7)), 2e-6]
)
def test_first_writes_to_pages_take_time_from_a_slice(kind, write_fault_s):
    pages, each_s = 10_240, 1 / 600_000
    busy = DirtyClass(region_bytes=pages * 4096, writes_per_s=600_000, kind=kind)
    one = dataclasses.replace(
        case("qemu-tcg"),
        guest=Guest(memory_bytes=256 * MIB, zero_bytes=128 * MIB, dirty=(busy,)),
        host=Host(platform="qemu-tcg", write_fault_s=write_fault_s),
        policy=Policy(name="qemu-7", max_bandwidth_bytes_per_s=6e7, downtime_limit_s=0.001, time_limit_s=30.0),
    )
    marks = max(one.marked_pages for one in predict(one).rounds if one.throttle > 0.98)
    writes = marks if kind == "sweep" else -pages * np.log1p(-marks / pages)
    assert writes * each_s + marks * write_fault_s == pytest.approx(SLICE_S, rel=0.02)
    assert simulate(one, seed=1).runs[0].transferred_bytes == pytest.approx(predict(one).transferred_bytes, rel=0.01)


def test_a_sync_that_outlasts_the_window_does_not_turn_time_back():
    idle = Guest(memory_bytes=256 * MIB, dirty=(DirtyClass(region_bytes=64 * MIB, writes_per_s=2000),))
    slow = Host(platform="qemu-tcg", sync_base_s=0.35)
    rounds = predict(Scenario(guest=idle, host=slow, policy=Policy(max_bandwidth_bytes_per_s=5e7))).rounds
    assert len(rounds) > 3
    assert all(one.duration_s >= one.sync_s - 1e-9 for one in rounds[:-1])
