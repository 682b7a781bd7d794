"""A short seeded part of the fault campaign: exactly one live, intact guest, or a loud report of loss."""

import random
import re

import pytest

from migkit.errors import RunError
from migkit.harness import run as runs
from migkit.harness.faults import KINDS, Fault
from migkit.harness.nursery import Nursery
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy

pytestmark = pytest.mark.live
MIB = 1 << 20
SHORT = 24
WHOLE = 1000
KEPT = re.compile(r"the guest runs on at the (source|destination) \(operation \d+\)$")
LOST = re.compile(r"THE GUEST IS LOST")


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


def one_fault(nursery, number):
    """Run one seeded fault; return what it came to. A guest that survives is proven intact before the run says so."""
    draw = random.Random(number)
    strategy = draw.choice(["precopy", "stopcopy", "postcopy", "hybrid"])
    back = draw.random() < 0.3
    at_bytes = draw.randrange(600) if back or draw.random() < 0.2 else draw.randrange(9 * MIB)
    fault = Fault(kind=draw.choice(KINDS), at_bytes=at_bytes, back=back, duration_s=0.1)
    guest = Guest(memory_bytes=8 * MIB, dirty=(DirtyClass(region_bytes=2 * MIB, writes_per_s=20_000),))
    rule = Policy(max_bandwidth_bytes_per_s=100e6, downtime_limit_s=0.02)
    scenario = Scenario(guest=guest, policy=rule, strategy=Strategy(name=strategy))
    options = runs.Options(faults=(fault,), patience_s=5.0)
    try:
        return (
            strategy,
            fault,
            str(runs.run(scenario, seed=number, options=options, nursery=nursery).outcome.verified),
        )
    except RunError as error:
        return strategy, fault, str(error)


def check(strategy, fault, result):
    where = f"{strategy}, {fault}: {result}"
    assert "proof:" not in result, where
    if LOST.search(result):
        assert strategy in ("postcopy", "hybrid"), where
    else:
        assert result == "True" or KEPT.search(result), where


@pytest.mark.parametrize("number", range(SHORT))
def test_after_a_fault_the_guest_is_at_exactly_one_side_and_intact(nursery, number):
    check(*one_fault(nursery, number))


@pytest.mark.verification
def test_the_whole_campaign(nursery):
    for number in range(WHOLE):
        check(*one_fault(nursery, number))


@pytest.mark.parametrize("kind", ["kill-source", "kill-destination", "cut"])
def test_a_loss_in_postcopy_is_said_aloud(nursery, kind):
    guest = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=50_000),))
    scenario = Scenario(guest=guest, strategy=Strategy(name="postcopy"))
    options = runs.Options(faults=(Fault(kind=kind, at_bytes=8 * MIB),), patience_s=5.0)
    with pytest.raises(RunError, match="THE GUEST IS LOST"):
        runs.run(scenario, options=options, nursery=nursery)
