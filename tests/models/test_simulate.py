import dataclasses
import itertools
import math

import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy, simulate
from migkit.errors import UsageError
from migkit.models.predict import predict

MIB = 2**20
QUIET = Guest(memory_bytes=32 * MIB, zero_bytes=8 * MIB)
BUSY = Guest(
    memory_bytes=64 * MIB,
    zero_bytes=16 * MIB,
    dirty=(
        DirtyClass(region_bytes=8 * MIB, writes_per_s=3000),
        DirtyClass(region_bytes=8 * MIB, writes_per_s=1000, kind="sweep"),
    ),
)
CAPPED = Policy(max_bandwidth_bytes_per_s=2e7)
TCG = Host(platform="qemu-tcg")


def test_a_guest_that_does_not_write_is_sent_once():
    run = simulate(Scenario(guest=QUIET, host=TCG, policy=CAPPED)).runs[0]
    assert run.normal_pages == QUIET.memory_pages - QUIET.zero_pages
    assert run.zero_pages == QUIET.zero_pages
    assert run.transferred_bytes == run.normal_pages * 4104 + run.zero_pages * 9
    assert run.total_time_s == pytest.approx(24 * MIB / 2e7, abs=0.3)


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_pages_and_bytes_are_conserved(strategy):
    run = simulate(Scenario(guest=BUSY, host=TCG, policy=CAPPED, strategy=Strategy(name=strategy))).runs[0]
    assert run.verdict == "converges"
    assert run.transferred_bytes == run.normal_pages * 4104 + run.zero_pages * 9
    assert run.zero_pages == BUSY.zero_pages
    if strategy in ("stopcopy", "postcopy"):
        assert run.normal_pages == BUSY.memory_pages - BUSY.zero_pages


def test_the_seed_decides_everything():
    scenario = Scenario(guest=BUSY, policy=CAPPED)
    assert simulate(scenario, seed=7, repeats=2) == simulate(scenario, seed=7, repeats=2)
    assert simulate(scenario, seed=7, repeats=2).runs != simulate(scenario, seed=8, repeats=2).runs


def test_mean_and_spread_are_those_of_the_runs():
    result = simulate(Scenario(guest=BUSY, policy=CAPPED), repeats=5)
    values = [run.transferred_bytes for run in result.runs]
    assert result.mean("transferred_bytes") == pytest.approx(sum(values) / 5)
    assert 0 < result.spread("transferred_bytes") < 0.05 * values[0]
    assert math.isnan(simulate(Scenario(guest=QUIET)).spread("total_time_s"))
    assert result.summary().loc["transferred_bytes", "max"] == max(values)


def test_a_page_that_is_zero_until_written_is_sent_as_such():
    guest = Guest(memory_bytes=16 * MIB, fill="zero", dirty=(DirtyClass(region_bytes=16 * MIB, writes_per_s=0),))
    run = simulate(Scenario(guest=guest)).runs[0]
    assert (run.normal_pages, run.zero_pages) == (0, guest.memory_pages)


def test_a_sweep_resends_a_page_for_each_write_at_most():
    guest = Guest(memory_bytes=32 * MIB, dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=1000, kind="sweep"),))
    run = simulate(Scenario(guest=guest, policy=CAPPED)).runs[0]
    again = run.normal_pages - guest.memory_pages
    assert 0.5 < again / (1000 * (run.total_time_s - run.downtime_s)) <= 1.0


def test_coarse_tracking_marks_whole_blocks():
    region = DirtyClass(region_bytes=32 * MIB, writes_per_s=50)
    fine = Guest(memory_bytes=32 * MIB, dirty=(region,))
    coarse = Guest(memory_bytes=32 * MIB, dirty=(region,), tracking_bytes=64 * 1024)
    sent = [
        simulate(Scenario(guest=guest, policy=CAPPED)).runs[0].normal_pages - guest.memory_pages
        for guest in (fine, coarse)
    ]
    assert sent[1] == pytest.approx(16 * sent[0], rel=0.2)


def test_a_throttled_guest_loses_progress_only_beyond_its_capacity():
    region = DirtyClass(region_bytes=32 * MIB, writes_per_s=8000)
    rule = Policy(max_bandwidth_bytes_per_s=2e7, downtime_limit_s=0.05, time_limit_s=30.0)
    strategy = Strategy(auto_converge=True)
    flat_out = Guest(memory_bytes=32 * MIB, dirty=(region,))
    idle = Guest(memory_bytes=32 * MIB, dirty=(region,), capacity_writes_per_s=8e5)
    slowed = simulate(Scenario(guest=flat_out, policy=rule, strategy=strategy)).runs[0]
    paced = simulate(Scenario(guest=idle, policy=rule, strategy=strategy)).runs[0]
    assert slowed.guest_slowdown > 0.1
    assert paced.guest_slowdown < 0.01


def test_frames_show_the_bitmap_emptying_in_address_order():
    frames = simulate(Scenario(guest=QUIET, policy=CAPPED), frames=10, bins=8).frames
    assert frames is not None
    assert frames.pending[0].min() == 1.0
    assert frames.pending[-1].max() == 0.0
    middle = frames.pending[len(frames.times_s) // 2]
    assert all(a <= b for a, b in itertools.pairwise(middle))


def test_wrong_counts_are_refused():
    with pytest.raises(UsageError, match="0 repeats is too few"):
        simulate(Scenario(guest=QUIET), repeats=0)
    with pytest.raises(UsageError, match="at most 2000 frames"):
        simulate(Scenario(guest=QUIET), frames=3000)


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_the_expected_value_engine_agrees(strategy):
    scenario = Scenario(guest=BUSY, policy=CAPPED, strategy=Strategy(name=strategy))
    simulated, predicted = simulate(scenario, repeats=60), predict(scenario)
    assert predicted.total_time_s == pytest.approx(simulated.mean("total_time_s"), rel=0.03)
    assert predicted.transferred_bytes == pytest.approx(simulated.mean("transferred_bytes"), rel=0.03)


def test_storage_that_moves_counts_for_a_manager():
    """KubeVirt's budget of 150 s a GiB counts the disk: with one the same guest has twice the time."""
    region = DirtyClass(region_bytes=32 * MIB, writes_per_s=20_000)
    rule = Policy.named("kubevirt", max_bandwidth_bytes_per_s=2e7, completion_s_per_gib=160, downtime_limit_s=0.05)
    guest = Guest(memory_bytes=32 * MIB, dirty=(region,))
    alone = predict(Scenario(guest=guest, policy=rule))
    both = predict(Scenario(guest=guest, policy=rule, strategy=Strategy(storage_bytes=32 * MIB)))
    assert alone.verdict == both.verdict == "aborted"
    assert both.total_time_s == pytest.approx(2 * alone.total_time_s, rel=0.1)


def test_scattered_pages_are_discarded_run_by_run_before_post_copy():
    region = DirtyClass(region_bytes=64 * MIB, writes_per_s=10_000)
    scenario = Scenario(
        guest=Guest(memory_bytes=64 * MIB, dirty=(region,)),
        host=TCG,
        policy=Policy(name="qemu-7", max_bandwidth_bytes_per_s=1e8, downtime_limit_s=0.01),
        strategy=Strategy(name="hybrid", postcopy_after_s=0.75),
    )
    simulated = simulate(scenario, repeats=3).mean("downtime_s")
    assert predict(scenario).downtime_s == pytest.approx(simulated, rel=0.05)
    assert simulated > 2000 * scenario.host.discard_run_s
    together = dataclasses.replace(region, kind="sweep")
    swept = dataclasses.replace(scenario, guest=Guest(memory_bytes=64 * MIB, dirty=(together,)))
    assert predict(swept).downtime_s < 10 * scenario.host.discard_run_s
