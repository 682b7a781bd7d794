"""The compiled engine against the same algorithm in C: every number of every result, to the last bit."""

import dataclasses
import itertools

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, jit
from migkit.engine import batch
from migkit.engine.packing import Packed
from migkit.engine.records import SETTLED, PackedClass, PackedScenario, Result
from migkit.models import goodput
from migkit.policies import decision
from tests import scenarios
from tests.benchmarks import engine_in_c

MIB = 2**20
ORDINARY, EXTREME = 300, 40


def crowded():
    """Yield guests whose ring of pieces runs full, some that the engine gives up, and some whose syncs take long."""
    full = Policy(name="qemu-7", max_bandwidth_bytes_per_s=3e7, downtime_limit_s=1.0, time_limit_s=60.0)
    short = dataclasses.replace(full, downtime_limit_s=0.05, time_limit_s=20.0)
    for kind, rule, mib in (("random", full, 3), ("sweep", short, 1)):
        dirty = tuple(
            DirtyClass(
                region_bytes=(1 + k % mib) * MIB, writes_per_s=50.0 + 7 * k, kind=kind, sweep_offset_bytes=k * 20_000
            )
            for k in range(48)
        )
        yield Scenario(guest=Guest(memory_bytes=mib * 64 * MIB, zero_bytes=8 * MIB, dirty=dirty), policy=rule)
    busy = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=1e6),))
    uncapped = Policy(max_bandwidth_bytes_per_s=np.inf, downtime_limit_s=0.0)
    yield Scenario(guest=busy, host=Host(poll_s=0.001), policy=uncapped)
    slow = dataclasses.replace(uncapped, max_bandwidth_bytes_per_s=3e7, downtime_limit_s=0.05, time_limit_s=60.0)
    for sync_s in (0.15, 0.35):  # longer than a window
        yield Scenario(guest=busy, host=Host(sync_base_s=sync_s), policy=slow)
    yield Scenario(guest=Guest(memory_bytes=2**42), link=Link(bandwidth_bytes_per_s=1.0), policy=uncapped)


def together(every):
    """Return scenarios with as many page classes as many in one."""
    columns, classes, steps, parameters = zip(*every, strict=True)
    table = PackedScenario.new(len(every))
    table[:] = np.transpose(columns)
    return batch.without_steps(Packed(table, np.concatenate(classes), steps[0], np.concatenate(parameters)), None)


@pytest.fixture(scope="module")
def groups():
    every = [scenarios.plain("ordinary", 1, number) for number in range(ORDINARY)]
    every += [scenarios.plain("extreme", 1, number) for number in range(EXTREME)]
    packed = sorted((goodput.packed(one)[0] for one in (*every, *crowded())), key=lambda one: one.classes.size)
    return [together(list(same)) for _, same in itertools.groupby(packed, key=lambda one: one.classes.size)]


@pytest.fixture(scope="module")
def many_in_c(tmp_path_factory):
    return engine_in_c.build(tmp_path_factory.mktemp("engine"))


def test_engine_and_c_say_the_same(groups, many_in_c):
    jit.compile_kernels()
    for packed in groups:
        assert packed.steps is None
        ours, theirs = np.zeros((2, packed.scenario.shape[1] * Result.SIZE))
        batch.migrate_many(packed, ours, None)
        many_in_c(packed, theirs)
        ours, theirs = (numbers.reshape(-1, Result.SIZE) for numbers in (ours, theirs))
        for field in Result.FIELDS:
            np.testing.assert_array_equal(ours[:, field.start], theirs[:, field.start], err_msg=field.name)


def test_these_scenarios_meet_what_the_algorithm_tells_apart(groups, many_in_c):
    met = set()
    for packed in groups:
        results = np.zeros(packed.scenario.shape[1] * Result.SIZE)
        many_in_c(packed, results)
        told, table = results.view(Result.dtype_of()), packed.scenario
        met |= {("action", action) for action in told["action"]}
        met |= {("gave up", bool(one)) for one in told["undecided"]}
        met |= {("interleaved", bool(one)) for one in table.first_woven < np.inf}
        met |= {("after a lead", bool(one)) for one in table.lead_pages > 0}
        met |= {("zero pages first", bool(one)) for one in table.zero_first_pages > 0}
        met |= {("packets under way", bool(one)) for one in table.beyond_pages > 0}
        met |= {("buffers", one) for one in table.flush_pages}
        met |= {("blocks of tracking", bool(one)) for one in table.grain_pages > 1}
        met |= {("a cap binds", bool(one)) for one in table.cap_bytes_per_s < table.goodput_bytes_per_s}
        met |= {("kind", kind) for kind in packed.classes.reshape(-1, PackedClass.SIZE)[:, 0]}
        settings = packed.parameters.view(decision.Parameters.dtype_of())
        met |= {("syncs at the threshold", one) for one in settings["sync_at_threshold"]}
        met |= {("time limit", bool(one)) for one in settings["time_limit_s"] < np.inf}
    told_apart = {"gave up", "interleaved", "after a lead", "zero pages first", "packets under way"}
    told_apart |= {"blocks of tracking", "a cap binds", "kind", "syncs at the threshold", "time limit"}
    assert {("action", one) for one in (decision.SWITCHOVER, decision.TIME_OUT, SETTLED)} <= met
    assert {("buffers", one) for one in (0.0, 1.0, 32.0, 128.0)} <= met
    assert {(what, side) for what in told_apart for side in (False, True)} <= met
