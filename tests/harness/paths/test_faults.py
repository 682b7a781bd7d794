"""A short seeded part of the fault campaign: exactly one live, intact guest, or a loud report of loss."""

import os

import pytest

from migkit.harness.processes.nursery import Nursery
from tests.conftest import require
from tests.verification.campaign import DISKS, KINDS, Case, campaign, private_temporary_files

pytestmark = [pytest.mark.live, pytest.mark.untimed]
MIB = 1 << 20
WHOLE = 1000


@pytest.fixture(scope="module")
def nursery():
    with private_temporary_files(), Nursery() as nursery:
        yield nursery


def first_of(kind, strategy):
    """Return the first seed that draws a kind of fault and a strategy."""
    return next(n for n in range(10**6) if (c := Case.drawn(n)).kind == kind and c.strategy.name == strategy)


@pytest.mark.parametrize("strategy", ["precopy", "postcopy", "hybrid", "stopcopy"])
@pytest.mark.parametrize("kind", [*KINDS, *DISKS])
def test_after_a_fault_the_guest_is_at_exactly_one_side_and_intact(nursery, kind, strategy):
    require(os.geteuid() == 0 or kind not in DISKS, "not root: no file system of its own; run as root")
    _, wrong = campaign([first_of(kind, strategy)], nursery)
    assert wrong == []


@pytest.mark.verification
@pytest.mark.timeout(3600)
def test_the_whole_campaign(nursery):
    _, wrong = campaign(range(WHOLE), nursery)
    assert wrong == []
