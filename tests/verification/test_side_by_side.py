"""Plans of small fleets against real migrations side by side; takes minutes of a quiet machine."""

import pytest

from migkit.harness import probe
from migkit.harness.processes.nursery import Nursery
from tests.conftest import require
from tests.verification.side_by_side import CLOSE, FLEETS, QUIET, best_of, calibrated, line

TRIES = 3


@pytest.fixture(scope="module")
def machine():
    for name in ("netns", "veth", "tbf"):
        found = probe.probe(name)
        require(found.available, found.reason)
    pytest.importorskip("pyroute2")
    with Nursery() as nursery:
        yield nursery, calibrated(nursery)


@pytest.mark.verification
@pytest.mark.live
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("small", FLEETS, ids=lambda small: small.name)
def test_a_plan_ends_when_it_says(machine, small):
    nursery, host = machine
    found = best_of(small, host, nursery, TRIES)
    print(line(found))
    busy = (
        f"a process waited {found.waited_share:.0%} of the time for a processor; close other programs and repeat it"
    )
    assert abs(found.error) <= CLOSE, busy if found.waited_share > QUIET else line(found)
