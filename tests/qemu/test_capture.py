"""Real migrations of a real virtual machine, in every manner, each proved by the guest itself."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.qemu.monitor import LackingError, RefusedError
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.traces import io
from migkit.units import MIB, PAGE_BYTES
from tests.conftest import require

pytestmark = pytest.mark.live
CAP_BYTES_PER_S = 40e6
HOT = DirtyClass(region_bytes=6 * MIB, writes_per_s=2000.0)
SWEPT = DirtyClass(region_bytes=2 * MIB, writes_per_s=100.0, kind="sweep")


def scenario(strategy=None, dirty=(HOT, SWEPT), **limits):
    policy = {"max_bandwidth_bytes_per_s": CAP_BYTES_PER_S, "downtime_limit_s": 0.1, "time_limit_s": 60.0} | limits
    return Scenario(
        guest=Guest(memory_bytes=48 * MIB, zero_bytes=28 * MIB, dirty=dirty),
        policy=Policy(**policy),
        strategy=strategy or Strategy(),
    )


def may_be_first() -> bool:
    """Whether this machine permits real-time priority (a limit or a container may forbid it)."""
    ask = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", ask], stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.fixture(autouse=True)
def _qemu():
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")


@pytest.fixture
def captured():
    def run(what, **options):
        trace = capture(what, Options(warm_up_s=0.2, **options))
        assert trace.kind == "qemu"
        check_moved(trace)
        return trace

    return run


def check_moved(trace):
    """What holds of every migration that completed."""
    outcome, machine = trace.outcome, trace.machine
    assert (outcome.verdict, outcome.verified, machine["guest"]["intact"]) == ("converges", True, True)
    assert machine["pause"]["lost_ticks"] == 0
    assert outcome.downtime_s == machine["pause"]["guest_s"]
    assert 0.0 < outcome.downtime_s < outcome.total_time_s + 1.0
    assert outcome.transferred_bytes > 16 * MIB * trace.scenario.guest.dirty[0].region_bytes / (8 * MIB) / 2


def test_precopy_obeys_its_cap_and_its_trace_survives_the_disk(captured, tmp_path):
    trace = captured(scenario(), return_path=True)
    rounds = trace.rounds.to_pydict()
    assert rounds["normal_pages"][0] * PAGE_BYTES >= 20 * MIB
    assert rounds["zero_pages"][0] > 0.9 * (28 * MIB - 2 * MIB) / PAGE_BYTES
    assert sum(rounds["marked_pages"]) == pytest.approx(
        sum(rounds["normal_pages"]) + sum(rounds["zero_pages"]), rel=0.01
    )
    assert rounds["sent_bytes"][0] < 1.5 * CAP_BYTES_PER_S * rounds["duration_s"][0]  # it could be 30 times as fast
    assert trace.machine["return_path"]
    assert set(trace.machine["threads"]) == {"source", "destination"}
    assert trace.scenario.guest.dirty[1].sweep_offset_bytes is not None
    assert max(np.diff(trace.samples["monotonic_ns"].to_numpy())) > 0
    path = io.write(trace, tmp_path / "run.parquet")
    assert io.read(path).outcome == trace.outcome


def test_postcopy_after_a_round_brings_every_page(captured):
    trace = captured(scenario(Strategy(name="hybrid", postcopy_after_rounds=1), downtime_limit_s=0.02))
    assert "postcopy" in trace.samples["phase"].to_pylist()
    assert trace.machine["query_migrate"]["destination"]["status"] == "completed"
    assert "postcopy-ram" in trace.machine["capabilities"]


def test_auto_converge_throttles_what_would_not_converge():
    storm = DirtyClass(region_bytes=16 * MIB, writes_per_s=5e5)
    limits = {"max_bandwidth_bytes_per_s": 30e6, "downtime_limit_s": 5e-3, "time_limit_s": 4.0}
    what = scenario(Strategy(auto_converge=True), (storm,), **limits, settings=(("throttle_trigger", 0.01),))
    trace = capture(what, Options(warm_up_s=0.2))
    assert trace.machine["guest"]["intact"]
    if trace.outcome.iterations >= 5:  # a guest that other programs leave no processor converges before
        assert max(filter(None, trace.machine["readings"]["cpu-throttle-percentage"])) >= 20


def test_a_guest_that_is_throttled_keeps_to_its_capacity_and_goes_first():
    busy = DirtyClass(region_bytes=16 * MIB, writes_per_s=2e4)
    limits = {"max_bandwidth_bytes_per_s": 20e6, "downtime_limit_s": 1e-3, "time_limit_s": 6.0}
    rule = (("throttle_trigger", 0.01), ("throttle_initial", 0.9))
    trace = capture(scenario(Strategy(auto_converge=True), (busy,), **limits, settings=rule), Options(warm_up_s=0.2))
    assert trace.scenario.guest.capacity_writes_per_s == busy.writes_per_s
    assert trace.machine["guest_first"] == (may_be_first() and len(os.sched_getaffinity(0)) > 1)
    at = [row for row, value in enumerate(trace.machine["readings"]["cpu-throttle-percentage"]) if value == 90]
    done, time_ns = (trace.samples[name].to_pylist() for name in ("guest_operations", "monotonic_ns"))
    first, last = at[len(at) // 4], at[-1]  # the sleep before the first slice is over
    per_s = 1e9 * (done[last] - done[first]) / (time_ns[last] - time_ns[first])
    assert per_s < 0.3 * busy.writes_per_s


def test_what_has_not_converged_in_time_is_cancelled_and_the_guest_runs_on():
    storm = DirtyClass(region_bytes=16 * MIB, writes_per_s=5e5)
    what = scenario(dirty=(storm,), max_bandwidth_bytes_per_s=8e6, time_limit_s=1.5)  # its first pass takes 2.5 s
    trace = capture(what, Options(warm_up_s=0.2))
    assert (trace.outcome.verdict, trace.outcome.verified, trace.outcome.downtime_s) == ("timed_out", False, 0.0)
    assert trace.outcome.total_time_s >= 1.5
    assert trace.machine["guest"]["intact"]
    assert trace.machine["guest"]["side"] == "source"


@pytest.mark.parametrize(
    ("strategy", "capability"),
    [
        (Strategy(xbzrle=True), "xbzrle"),
        (Strategy(tls=True), None),
        (Strategy(streams=2), "multifd"),
        (Strategy(streams=2, compression="zlib"), "multifd"),
    ],
)
def test_other_ways_of_sending_bring_every_page(captured, strategy, capability):
    trace = captured(scenario(strategy), processors=2)
    assert capability is None or capability in trace.machine["capabilities"]
    assert (trace.machine["parameters"].get("tls-creds") == "tls") == strategy.tls


def test_a_stopped_guest_is_measured_by_itself(captured):
    trace = captured(scenario(Strategy(name="stopcopy")))
    assert trace.outcome.downtime_s > 0.5 * trace.outcome.total_time_s


def test_what_this_version_lacks_is_one_line():
    with pytest.raises((LackingError, RefusedError), match="dirty-limit"):
        capture(scenario(Strategy(dirty_limit_bytes_per_s=1e7)))


def test_a_binary_that_is_no_qemu_is_told():
    from migkit.qemu.monitor import EndedError

    with pytest.raises(EndedError, match="did not start"):
        capture(scenario(), Options(qemu="true"))


def test_a_capture_inside_a_running_loop_works_as_in_a_notebook():
    import asyncio

    begun = []

    async def cell():
        return capture(dataclasses.replace(scenario(dirty=())), Options(warm_up_s=0.0), begun=lambda: begun.append(1))

    assert asyncio.run(cell()).outcome.verified
    assert begun == [1]
