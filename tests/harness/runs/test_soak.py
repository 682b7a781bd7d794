"""One guest, moved there and back many times: it goes on from where it was, and nothing piles up."""

import itertools
from pathlib import Path

import pytest

from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from tests.verification.campaign import held, leaks, private_temporary_files

pytestmark = pytest.mark.live
MIB = 1 << 20
SETTLED = 3
KIB_OF_GROWTH = 4096


def scenario(strategy):
    guest = Guest(memory_bytes=8 * MIB, dirty=(DirtyClass(region_bytes=2 * MIB, writes_per_s=20_000),))
    rule = Policy(max_bandwidth_bytes_per_s=200e6, downtime_limit_s=0.05, time_limit_s=5.0)
    return Scenario(guest=guest, policy=rule, strategy=Strategy(name=strategy))


def resident_kib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def soak(strategy, count, seed=1):
    """Move one guest ``count`` times; return the operations at each stop, and the memory of both owners [KiB]."""
    operations, memory = [], []
    with private_temporary_files(), Nursery() as nursery:
        before = held(nursery)
        for at, trace in enumerate(runs.moves(scenario(strategy), count, seed=seed, nursery=nursery)):
            assert trace.outcome.verified
            assert trace.outcome.verdict == "converges"
            operations.append(trace.outcome.guest_operations)
            memory.append(resident_kib("self") + resident_kib(nursery.pid))
            if at == SETTLED:
                during = held(nursery)
            if at > SETTLED:
                now = held(nursery)
                assert len(now.pop("children of the nursery").split()) == 2  # the guest, and the one that never moves
                assert leaks({name: during[name] for name in now}, now) == ""
        assert leaks(before, held(nursery)) == ""
    return operations, memory


@pytest.mark.parametrize("strategy", ["precopy", "postcopy", "hybrid", "stopcopy"])
def test_a_guest_goes_on_over_many_moves(strategy):
    operations, _ = soak(strategy, 8)
    assert all(a < b for a, b in itertools.pairwise(operations))


@pytest.mark.verification
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("strategy", ["precopy", "hybrid"])
def test_five_hundred_moves_leave_memory_and_descriptors_flat(strategy):
    operations, memory = soak(strategy, 500)
    assert all(a < b for a, b in itertools.pairwise(operations))
    print(f"{strategy}: {operations[-1]} operations; {memory[9]} KiB after 10 moves, {memory[-1]} KiB after 500")
    assert memory[-1] - memory[9] <= KIB_OF_GROWTH
