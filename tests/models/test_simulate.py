import dataclasses
import math
import zlib

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, simulate
from migkit.errors import UsageError
from migkit.models.predict import predict
from migkit.models.simulate import ROUNDS_SHOWN, STATES

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


def states(frames, at):
    return [STATES[number] for number in frames.states[at]]


def test_frames_show_the_bitmap_emptying_in_address_order():
    frames = simulate(Scenario(guest=QUIET, policy=CAPPED), frames=10, cells=8).frames
    assert set(states(frames, 0)) == {"pending"}
    assert "pending" not in states(frames, -1)
    assert [state == "pending" for state in states(frames, 5)] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_recording_changes_nothing_of_a_run(strategy):
    link = Link(bandwidth_bytes_per_s=2e7)
    result = simulate(Scenario(guest=BUSY, link=link, strategy=Strategy(name=strategy)), seed=3, frames=60)
    run, frames = result.runs[0], result.frames
    assert frames.times_s[-1] == run.total_time_s
    assert frames.rounds[-1] == run.iterations
    assert frames.resumed_s - frames.stopped_s == pytest.approx(run.downtime_s)
    assert 60 <= len(frames.times_s) <= 60 + run.iterations + 2


def test_frames_of_pre_copy_show_pages_written_again_and_sent_again():
    frames = simulate(Scenario(guest=BUSY, policy=CAPPED), frames=200).frames
    shares = {name: frames.shares()[:, number] for number, name in enumerate(STATES)}
    assert shares["pending"][0] == 1.0
    assert shares["written"].max() > 0.01
    assert shares["demanded"].max() == 0.0
    assert shares["pending"][-1] == shares["written"][-1] == 0.0
    before, after = np.flatnonzero(np.diff(frames.rounds))[0] + np.array([0, 1])
    assert shares["written"][before] > 0.0
    assert shares["written"][after] == 0.0
    assert shares["pending"][after] > shares["pending"][before]


def test_frames_of_post_copy_show_every_demand_fault():
    result = simulate(Scenario(guest=BUSY, policy=CAPPED, strategy=Strategy(name="postcopy")), frames=50)
    last = states(result.frames, -1)
    assert last.count("demanded") == result.runs[0].postcopy_faults > 0
    assert "written" not in last


def test_zero_pages_and_larger_guests_have_their_cells():
    guest = Guest(memory_bytes=16 * MIB, zero_bytes=8 * MIB)
    frames = simulate(Scenario(guest=guest, host=Host(firmware_bytes=0)), frames=4, cells=1024).frames
    assert frames.states.shape[1] == 1024
    assert set(states(frames, -1)) == {"sent", "zero"}
    assert states(frames, -1).count("zero") == pytest.approx(512, abs=64)


def test_packed_frames_unpack_to_what_they_were():
    frames = simulate(Scenario(guest=BUSY, policy=CAPPED), frames=20).frames
    changes = np.frombuffer(zlib.decompress(frames.packed()), np.uint8).reshape(frames.states.shape)
    assert (np.bitwise_xor.accumulate(changes) == frames.states).all()


def test_of_a_run_without_an_end_the_first_rounds_are_recorded():
    slow = Policy(max_bandwidth_bytes_per_s=2e6, downtime_limit_s=0.01)
    result = simulate(Scenario(guest=BUSY, policy=slow), frames=40)
    assert result.runs[0].verdict == "does_not_converge"
    assert 2 <= result.frames.rounds[-1] <= 2 * ROUNDS_SHOWN
    assert math.isinf(result.frames.stopped_s)


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


@pytest.mark.parametrize("prefetch_pages", [0, 8])
@pytest.mark.parametrize("kind", ["random", "sweep"])
def test_what_is_demanded_while_the_push_waits_for_its_window_shortens_it_as_predicted(kind, prefetch_pages):
    region = DirtyClass(region_bytes=24 * MIB, writes_per_s=20_000, kind=kind)
    scenario = Scenario(
        guest=Guest(memory_bytes=96 * MIB, zero_bytes=32 * MIB, layout="blocks", dirty=(region,)),
        host=dataclasses.replace(Host().sends_as_harness(), fault_service_s=1e-4, zero_page_cpu_s=2e-6),
        policy=Policy(max_postcopy_bandwidth_bytes_per_s=2e7),
        strategy=Strategy(name="postcopy", prefetch_pages=prefetch_pages),
    )
    run, predicted = simulate(scenario).runs[0], predict(scenario)
    assert run.total_time_s < 0.9 * 64 * MIB / 2e7
    assert predicted.total_time_s == pytest.approx(run.total_time_s, rel=0.05)
    assert predicted.transferred_bytes == pytest.approx(run.transferred_bytes, rel=1e-3)
