"""The expected-value engine against the same algorithm in C, built with -O3, in one run."""

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, jit
from migkit.engine import batch
from migkit.engine.packing import Packed
from migkit.engine.records import PackedScenario, Result
from migkit.models import goodput
from migkit.policies import decision
from tests.benchmarks import engine_in_c
from tests.benchmarks.turns import judge, middle_ratio

pytestmark = pytest.mark.benchmark

MIB = 2**20
NUMBER = 20_000  # a turn takes a few milliseconds
TURNS = 250
MOST = 1.15  # times the C loop
SEQUENCES = [(layout, first) for layout in ("interleaved", "blocks") for first in ("sweep", "random")]


@pytest.fixture(scope="module")
def many_in_c(tmp_path_factory):
    return engine_in_c.build(tmp_path_factory.mktemp("engine"))


def converging_guests(layout="blocks", first="random"):
    """Guests of two page classes over caps that differ, all of which converge."""
    guest = Guest(
        memory_bytes=4096 * MIB,
        zero_bytes=1024 * MIB,
        layout=layout,
        dirty=(
            DirtyClass(region_bytes=64 * MIB, writes_per_s=4000, kind=first),
            DirtyClass(region_bytes=256 * MIB, writes_per_s=500),
        ),
    )
    scenario = Scenario(guest=guest, host=Host(platform="qemu-tcg"), policy=Policy(max_bandwidth_bytes_per_s=125e6))
    packed, _ = goodput.packed(scenario)
    scenarios = PackedScenario.new(NUMBER)
    scenarios[:] = packed.scenario[:, np.newaxis]
    scenarios.cap_bytes_per_s *= np.random.default_rng(0).uniform(0.9, 1.3, NUMBER)
    classes, parameters = (np.tile(one, NUMBER) for one in (packed.classes, packed.parameters))
    return batch.without_steps(Packed(scenarios, classes, packed.steps, parameters), None)


def guests_of_all_kinds():
    """Guests in blocks and interleaved, with a sweep and without, in no order."""
    kinds = [converging_guests(*one) for one in SEQUENCES]
    which = np.random.default_rng(1).integers(len(kinds), size=NUMBER)
    scenarios = PackedScenario.new(NUMBER)
    scenarios[:] = np.choose(which, [one.scenario for one in kinds])
    classes = [one.classes.reshape(NUMBER, -1) for one in kinds]
    return kinds[0]._replace(scenario=scenarios, classes=np.choose(which[:, np.newaxis], classes).reshape(-1))


@pytest.mark.parametrize("guests", [converging_guests, guests_of_all_kinds])
def test_the_engine_keeps_up_with_c(guests, many_in_c, record_property):
    jit.compile_kernels()
    packed = guests()
    assert packed.steps is None
    ours, theirs = np.zeros(NUMBER * Result.SIZE), np.zeros(NUMBER * Result.SIZE)
    batch.migrate_many(packed, ours, None)
    many_in_c(packed, theirs)
    np.testing.assert_array_equal(ours, theirs)
    assert set(ours.view(Result.dtype_of())["action"]) == {decision.SWITCHOVER}
    ratio, quickest_s = middle_ratio(
        lambda: batch.migrate_many(packed, ours, None), lambda: many_in_c(packed, theirs), TURNS
    )
    record_property("scenarios_per_s", NUMBER / quickest_s)
    record_property("ratio_to_c", ratio)
    print(f"{NUMBER / quickest_s / 1e6:.2f} million scenarios/s, {ratio:.2f} times the C loop")
    judge(record_property, "engine / C loop", ratio, at_most=MOST)
