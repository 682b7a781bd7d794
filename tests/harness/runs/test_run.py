"""Real migrations of real processes, each proven bit for bit."""

import dataclasses
import itertools

import pytest

from migkit import predict, register_policy
from migkit.errors import RunError, UsageError
from migkit.harness import probe
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.policies import decision
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from tests.conftest import require

pytestmark = pytest.mark.live
MIB = 1 << 20
NEEDS = {"uffd-async": "uffd-wp-async", "uffd-sync": "uffd-wp-sync"}


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


def scenario(
    strategy="precopy",
    memory_bytes=32 * MIB,
    fill="random",
    writes_per_s=20_000,
    compression="none",
    tls=False,
    **rule,
):
    classes = (
        DirtyClass(region_bytes=4 * MIB, writes_per_s=writes_per_s, reads_per_s=5_000),
        DirtyClass(region_bytes=2 * MIB, writes_per_s=1_000, kind="sweep", phases=((0.05, 1.0), (0.05, 0.0))),
    )
    guest = Guest(memory_bytes=memory_bytes, zero_bytes=8 * MIB, dirty=classes, fill=fill)
    rule = {"max_bandwidth_bytes_per_s": 60e6, "downtime_limit_s": 0.05, **rule}
    return Scenario(
        guest=guest, policy=Policy(**rule), strategy=Strategy(name=strategy, compression=compression, tls=tls)
    )


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
@pytest.mark.parametrize("fill", ["random", "constant", "zero"])
def test_the_migrated_guest_equals_one_that_never_moved(nursery, strategy, fill):
    trace = runs.run(scenario(strategy, fill=fill), seed=3, nursery=nursery)
    assert trace.outcome.verified
    assert trace.outcome.verdict == "converges"


@register_policy("two-rounds", settings={"rounds": 2}, memory=["syncs"])
def two_rounds(state, parameters):
    action = decision.under_limit(state, parameters, parameters.downtime_limit_s)
    if state.event == decision.SYNCED:
        state.memory.syncs += 1.0
        if state.memory.syncs > parameters.settings.rounds:
            return decision.SWITCHOVER
    return action


def test_a_rule_registered_in_python_decides_a_real_migration(nursery):
    case = scenario(name="two-rounds", downtime_limit_s=0.001)
    trace = runs.run(case, seed=2, nursery=nursery)
    assert trace.outcome.verified
    assert trace.outcome.iterations == predict(case).iterations == 4


@pytest.mark.parametrize("strategy", ["postcopy", "hybrid"])
def test_postcopy_serves_faults_and_sends_no_page_twice(nursery, strategy):
    case = scenario(strategy, writes_per_s=200_000, max_postcopy_bandwidth_bytes_per_s=100e6)  # or it is over at once
    trace = runs.run(case, seed=1, nursery=nursery)
    seen = trace.machine["postcopy"]
    assert seen["faults"] == sum(seen["latency_histogram"]) > 0
    assert 0 < seen["median_latency_s"] <= seen["blocktime_s"]
    last = trace.rounds.to_pylist()[-1]
    assert last["normal_pages"] + last["zero_pages"] <= 8192
    if strategy == "postcopy":
        assert last["normal_pages"] + last["zero_pages"] == 8192


def test_the_push_of_postcopy_keeps_to_its_cap_and_demands_do_not(nursery):
    case = scenario("postcopy", max_postcopy_bandwidth_bytes_per_s=30e6)
    trace = runs.run(case, seed=1, nursery=nursery)
    push_s = trace.outcome.total_time_s - trace.outcome.downtime_s
    demanded_pages = trace.machine["postcopy"]["faults"] * (1 + case.strategy.prefetch_pages)
    window_s = 0.1
    assert trace.outcome.transferred_bytes <= 30e6 * (push_s + window_s) + 4104 * demanded_pages
    assert trace.machine["postcopy"]["median_latency_s"] < 0.05


def test_postcopy_stops_the_guest_for_less_than_a_full_copy_takes(nursery):
    trace = runs.run(scenario("postcopy"), seed=1, nursery=nursery)
    assert trace.outcome.downtime_s < trace.outcome.total_time_s
    assert trace.samples["phase"].to_pylist().count("postcopy") >= 1


@pytest.mark.parametrize(
    ("strategy", "compression"),
    [("precopy", "zlib"), ("stopcopy", "zstd"), ("postcopy", "lz4"), ("hybrid", "zlib"), ("hybrid", "zstd")],
)
def test_compressed_frames_carry_the_same_memory_in_fewer_bytes(nursery, strategy, compression):
    pytest.importorskip({"zlib": "zlib", "zstd": "zstandard", "lz4": "lz4"}[compression])
    case = scenario(strategy, fill="constant", compression=compression, time_limit_s=10.0)
    trace = runs.run(case, seed=2, nursery=nursery)
    assert trace.outcome.verified
    pages = sum(trace.rounds["normal_pages"].to_pylist())
    assert trace.outcome.transferred_bytes < 4096 * pages / 4


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
@pytest.mark.parametrize(("streams", "compression"), [(2, "zlib"), (4, "zstd"), (4, "none"), (32, "none")])
def test_several_streams_carry_the_same_memory(nursery, strategy, streams, compression):
    case = scenario(strategy, compression=compression, downtime_limit_s=0.5, writes_per_s=2_000, time_limit_s=10.0)
    moving = dataclasses.replace(case.strategy, streams=streams)
    trace = runs.run(dataclasses.replace(case, strategy=moving), seed=5, nursery=nursery)
    assert trace.outcome.verified


def test_auto_converge_slows_a_guest_until_it_converges(nursery):
    guest = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=16 * MIB, writes_per_s=20_000),))
    rule = Policy(max_bandwidth_bytes_per_s=60e6, downtime_limit_s=0.05, time_limit_s=30.0)
    trace = runs.run(Scenario(guest=guest, policy=rule, strategy=Strategy(auto_converge=True)), nursery=nursery)
    assert trace.outcome.verified
    assert trace.outcome.verdict == "converges"
    first, *_, slowest = (
        r["guest_running_s"] / r["duration_s"] for r in trace.rounds.to_pylist() if r["duration_s"] > 0.09
    )
    assert slowest < 0.9 < first


@pytest.mark.parametrize("cache_bytes", [MIB, 64 * MIB])
@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_differences_carry_the_same_memory(nursery, strategy, cache_bytes):
    case = scenario(strategy)
    moving = dataclasses.replace(case.strategy, xbzrle=True, xbzrle_cache_bytes=cache_bytes, postcopy_after_rounds=4)
    trace = runs.run(dataclasses.replace(case, strategy=moving), seed=4, nursery=nursery)
    assert trace.outcome.verified
    if strategy == "precopy" and cache_bytes > MIB:
        later = trace.rounds.to_pylist()[2:]
        assert sum(r["sent_bytes"] for r in later) < 4096 * sum(r["normal_pages"] for r in later) / 4


@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_an_encrypted_migration_gives_the_same_proof(nursery, strategy):
    pytest.importorskip("cryptography")
    trace = runs.run(scenario(strategy, tls=True), seed=2, nursery=nursery)
    assert trace.outcome.verified
    assert trace.machine["path"].startswith("tls")


def test_a_hybrid_migration_with_nothing_left_to_push_ends_as_precopy_does(nursery):
    idle = Scenario(guest=Guest(memory_bytes=4 * MIB), strategy=Strategy(name="hybrid", postcopy_after_rounds=1))
    trace = runs.run(idle, nursery=nursery)
    assert trace.outcome.verified
    assert "postcopy" not in trace.samples["phase"].to_pylist()


def test_a_flipped_byte_at_the_destination_fails_the_run(nursery):
    options = runs.Options(flip_byte=20 * MIB)
    with pytest.raises(RunError, match="memory of the migrated guest"):
        runs.run(scenario(), seed=3, options=options, nursery=nursery)


def test_bytes_are_those_of_the_documented_frames(nursery):
    trace = runs.run(scenario("stopcopy"), seed=1, nursery=nursery)
    rounds = trace.rounds.to_pydict()
    pages = sum(rounds["normal_pages"]), sum(rounds["zero_pages"])
    assert pages == (24 * 256, 8 * 256)
    plain = 4104 * pages[0] + 9 * pages[1] + 40 * sum(pages) / trace.machine["frame_pages"]
    assert 0 <= trace.outcome.transferred_bytes - plain < 6000  # registers and control frames


def test_processor_time_and_memory_are_sampled(nursery):
    trace = runs.run(scenario(), seed=1, nursery=nursery)
    sampled = trace.machine["usage_samples"]
    assert {len(values) for values in sampled.values()} == {len(trace.samples)}
    for name in ("source_cpu_s", "guest_cpu_s"):
        assert all(0 < a <= b for a, b in itertools.pairwise(sampled[name]))
    assert all(a <= b for a, b in itertools.pairwise(sampled["destination_cpu_s"]))  # in steps of 10 ms
    assert sampled["destination_cpu_s"][-1] > 0
    assert min(sampled["destination_memory_bytes"]) > 0
    assert sampled["source_cpu_s"][-1] <= sum(trace.machine["usage"]["source"][k] for k in ("user_s", "system_s"))
    most_bytes = trace.machine["usage"]["source"]["memory_bytes"]  # the kernel adds both up in batches of pages
    assert 0 < min(sampled["source_memory_bytes"]) <= max(sampled["source_memory_bytes"]) <= most_bytes + MIB


def test_the_cap_holds_in_every_window(nursery):
    trace = runs.run(scenario(max_bandwidth_bytes_per_s=40e6), seed=1, nursery=nursery)
    rows = [row for row in trace.samples.to_pylist() if row["phase"] == "precopy"]
    sent = [row["sent_bytes"] for row in rows]
    assert len(sent) > 3
    assert max(b - a for a, b in itertools.pairwise(sent)) <= 4e6 + 4104 + 200


def test_a_guest_that_dirties_faster_than_the_link_times_out_and_runs_on_at_the_source(nursery):
    trace = runs.run(
        scenario(max_bandwidth_bytes_per_s=20e6, downtime_limit_s=0.001, time_limit_s=2.5), seed=5, nursery=nursery
    )
    assert trace.outcome.verdict == "timed_out"
    assert trace.outcome.verified


def test_every_tracker_gives_the_same_proof(nursery):
    trace = runs.run(scenario(), options=runs.Options(tracker="instrumented"), nursery=nursery)
    assert trace.machine["tracker"] == "instrumented"


@pytest.mark.parametrize("tracker", ["uffd-async", "uffd-sync"])
def test_kernel_trackers_give_the_same_proof(nursery, tracker):
    found = probe.probe(NEEDS[tracker])
    require(found.available, found.reason)
    trace = runs.run(scenario(), options=runs.Options(tracker=tracker), nursery=nursery)
    assert trace.machine["tracker"] == tracker


def test_a_port_in_use_is_named(nursery):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port: {port} on 127.0.0.1 is in use"):
            runs.run(scenario(), options=runs.Options(port=port), nursery=nursery)


def test_wall_clock_pacing_catches_up_after_the_stop(nursery):
    trace = runs.run(scenario("stopcopy"), options=runs.Options(pacing="wall_clock"), nursery=nursery)
    assert trace.machine["pacing"] == "wall_clock"


def test_stop_copy_keeps_to_its_cap(nursery):
    trace = runs.run(scenario("stopcopy"), seed=4, nursery=nursery)
    assert trace.outcome.transferred_bytes <= 60e6 * (trace.outcome.downtime_s + 0.1)
    assert trace.outcome.downtime_s >= 0.2
