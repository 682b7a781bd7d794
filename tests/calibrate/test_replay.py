"""Rules over recorded migrations: the rule that was in force decides when it did, others by their own settings."""

import dataclasses
import json
import math

import pytest

from migkit.calibrate.replay import replay
from migkit.errors import UsageError
from migkit.importers import of_trace, read
from migkit.scenario import Policy
from migkit.traces import data, io
from tests.verification.forecasts import recorded


@pytest.fixture(scope="module")
def recordings():
    return {one.name: one for one in recorded()}


def limited(recording, name="qemu", **changes):
    limit_s = recording.log.meta["settings"]["downtime_limit_s"]
    return dataclasses.replace(Policy.named(name), downtime_limit_s=limit_s, **changes)


@pytest.mark.parametrize("name", ["a1-q7-0", "a3-q7-0", "a8-q7-0", "a13-q10-0", "a14-q10-0", "precopy-4t-1"])
def test_the_rule_that_was_in_force_decides_when_it_did(recordings, name):
    one = recordings[name]
    found = replay(one.log, limited(one))
    assert found.action == "switches over"
    assert found.t_s == pytest.approx(one.end_s, abs=0.35)


def test_bursts_between_which_it_was_read_are_not_taken_for_its_speed():
    memory, quota = 128 << 20, 10 << 20  # QEMU sends what 100 ms may take at the start of each 100 ms
    answers = [{"return": {"max-bandwidth": 10 * quota, "downtime-limit": 300}}]
    for t_ms in range(20, 1200, 30):
        sent = quota * (1 + t_ms // 100)
        ram = {"total": memory, "remaining": memory - sent, "transferred": sent, "dirty-sync-count": 1}
        answers.append({"return": {"status": "active", "total-time": t_ms, "ram": ram}})
    found = replay(read("\n".join(map(json.dumps, answers)))[0], Policy.named("qemu-7"))
    assert found.action == "switches over"
    assert found.t_s == pytest.approx(0.95, abs=0.1)  # 30 MiB, which take 300 ms at the cap, are left from 0.9 s on
    assert found.downtime_s <= 0.3


def test_a_guest_that_never_settled_is_not_let_through(recordings):
    one = recordings["a4-q10-0"]
    found = replay(one.log, limited(one))
    assert found.action == ""
    assert found.t_s == pytest.approx(one.end_s, abs=0.2)


def test_a_higher_limit_would_have_switched_over_sooner(recordings):
    one = recordings["a4-q10-0"]
    found = replay(one.log, dataclasses.replace(limited(one), downtime_limit_s=30.0))
    assert found.action == "switches over"
    assert found.t_s < 0.5 * one.end_s


def test_a_time_limit_and_a_patience_end_in_time(recordings):
    one = recordings["a4-q10-0"]
    found = replay(one.log, limited(one, time_limit_s=5.0))
    assert (found.action, round(found.t_s)) == ("times out", 5)
    gives_up = replay(one.log, Policy.named("kubevirt", completion_s_per_gib=12.0, downtime_limit_s=0.001))
    assert gives_up.action == "gives up"
    assert 6.0 <= gives_up.t_s <= 8.0  # half a GiB of guest, and KubeVirt polls


def test_a_rule_that_raises_its_limit_says_when(recordings):
    one = recordings["precopy-16t-1"]
    found = replay(one.log, Policy.named("kubevirt-ramp"))
    limits = [order.value for order in found.orders if order.what == "downtime_limit_s"]
    assert limits[1:] == sorted(limits[1:])
    assert len(limits) > 2
    times = [order.t_s for order in found.orders]
    assert times == sorted(times)


def test_a_rule_that_throttles_says_how_much(recordings):
    found = replay(recordings["precopy-16t-1"].log, Policy.named("incus"))
    throttles = [order.value for order in found.orders if order.what == "throttle"]
    assert throttles[0] == 0.5
    assert throttles == sorted(throttles)


def test_traces_of_the_harness_are_records_too():
    trace = io.read(data.data_path("traces/large.parquet"))
    found = replay(of_trace(trace), trace.scenario.policy)
    assert found.action == "switches over"
    assert found.t_s == pytest.approx(trace.outcome.total_time_s, abs=0.3)
    assert math.isfinite(found.downtime_s)


def test_a_record_without_readings_is_refused():
    log = read("Migration status: completed\ntotal time: 900 ms\ntransferred ram: 2048 kbytes\n")[0]
    with pytest.raises(UsageError, match="no reading of pre-copy"):
        replay(log, Policy())
