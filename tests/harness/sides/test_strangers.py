"""Strangers at each moment at which the destination listens: the true peer gets through, no guest is lost."""

import pytest

from migkit.harness.paths.faults import Fault
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from tests.harness.strangers import KINDS, Strangers, free_port

pytestmark = pytest.mark.live
MIB = 1 << 20


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


def moved_among(nursery, kind, count, *, strategy="precopy", streams=1, plaintext=True, faults=()):
    """Migrate a guest to a port where strangers knock all the time; return the trace."""
    port = free_port()
    guest = Guest(memory_bytes=16 * MIB, dirty=(DirtyClass(region_bytes=4 * MIB, writes_per_s=2_000),))
    # A hybrid is cut after it has gone post-copy: 2 MB are sent before that.
    hybrid = strategy == "hybrid"
    how = Strategy(name=strategy, streams=streams, **({"postcopy_after_s": 0.1} if hybrid else {}))
    cap = Policy(max_bandwidth_bytes_per_s=20e6) if hybrid else Policy()
    options = runs.Options(port=port, plaintext=plaintext, patience_s=5.0, recovery_s=20.0, faults=faults)
    with Strangers(port, kind, count) as strangers:
        trace = runs.run(Scenario(guest=guest, strategy=how, policy=cap), options=options, nursery=nursery)
        assert strangers.met
    assert trace.outcome.verified
    assert trace.outcome.verdict == "converges"
    return trace


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_before_the_source_and_its_streams_is_dropped(nursery, kind):
    moved_among(nursery, kind, 1, streams=8, plaintext=False)


@pytest.mark.parametrize("plaintext", [True, False])
def test_a_hundred_silent_strangers_delay_nobody(nursery, plaintext):
    moved_among(nursery, "silent", 100, strategy="postcopy", streams=8, plaintext=plaintext)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_during_a_recovery_is_dropped(nursery, kind):
    trace = moved_among(nursery, kind, 1, strategy="postcopy", faults=(Fault(kind="cut", at_bytes=8 * MIB),))
    assert trace.machine["postcopy"]["recoveries"] >= 1


@pytest.mark.verification
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 8, 100])
@pytest.mark.parametrize("streams", [1, 8])
@pytest.mark.parametrize("plaintext", [True, False])
@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
def test_strangers_of_all_kinds_at_all_moments(nursery, strategy, kind, count, streams, plaintext):
    late = strategy in ("postcopy", "hybrid")
    faults = tuple(Fault(kind="cut", at_bytes=at * MIB) for at in (5, 11)) if late else ()
    moved_among(nursery, kind, count, strategy=strategy, streams=streams, plaintext=plaintext, faults=faults)
