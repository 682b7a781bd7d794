"""Post-copy over connections that fail: paused, gone on with over new ones, and proven bit for bit."""

import pytest

from migkit.errors import RunError
from migkit.harness.paths.faults import Fault
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.scenario import DirtyClass, Guest, Scenario, Strategy

pytestmark = pytest.mark.live
MIB = 1 << 20


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


def move(nursery, *faults, strategy="postcopy", plaintext=True, **options):
    guest = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=20_000),))
    how = Strategy(name=strategy, postcopy_after_s=0.02 if strategy == "hybrid" else None)
    options = {"patience_s": 5.0, "plaintext": plaintext, **options}
    return runs.run(
        Scenario(guest=guest, strategy=how), options=runs.Options(faults=faults, **options), nursery=nursery
    )


@pytest.mark.parametrize("kind", ["cut", "corrupt", "reorder"])
@pytest.mark.parametrize("plaintext", [True, False])
def test_a_failed_connection_is_replaced_and_the_guest_is_intact(nursery, kind, plaintext):
    trace = move(nursery, Fault(kind=kind, at_bytes=30 * MIB), plaintext=plaintext)
    assert trace.outcome.verified
    assert trace.machine["postcopy"]["recoveries"] == 1


def test_it_recovers_again_and_again(nursery):
    trace = move(nursery, *(Fault(kind="cut", at_bytes=at * MIB) for at in (2, 11, 12, 35, 60)))
    assert trace.outcome.verified
    assert 3 <= trace.machine["postcopy"]["recoveries"] <= 5
    assert trace.machine["postcopy"]["paused_s"] > 0.0


def test_a_hybrid_recovers_in_its_last_part(nursery):
    trace = move(nursery, Fault(kind="cut", at_bytes=30 * MIB), strategy="hybrid")
    assert trace.outcome.verified
    assert trace.machine["postcopy"]["recoveries"] == 1


def test_a_demand_that_is_cut_off_is_made_again(nursery):
    trace = move(nursery, Fault(kind="cut", at_bytes=800, back=True))
    assert trace.outcome.verified


@pytest.mark.parametrize("kind", ["kill-source", "kill-destination", "kill-both"])
def test_with_a_side_that_died_nothing_is_waited_for(nursery, kind):
    with pytest.raises(RunError, match="THE GUEST IS LOST"):
        move(nursery, Fault(kind=kind, at_bytes=8 * MIB), recovery_s=600.0)


def test_a_side_that_does_not_come_back_in_time_loses_the_guest(nursery):
    fault = Fault(kind="stop-destination", at_bytes=30 * MIB, duration_s=4.0)
    with pytest.raises(RunError, match=r"not recovered within 0.5 s.*THE GUEST IS LOST"):
        move(nursery, fault, patience_s=1.0, recovery_s=0.5)
