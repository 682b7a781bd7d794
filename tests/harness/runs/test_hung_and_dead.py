"""A process that is hung and one that is dead, at each moment: an intact guest survives, and where it is is said."""

import contextlib
import itertools
import os
import re
import signal
from pathlib import Path

import pytest

from migkit.errors import MigkitError
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.harness.runs.migration import Migration
from migkit.scenario import DirtyClass, Guest, Link, Policy, Scenario, Strategy

pytestmark = pytest.mark.live
MIB = 1 << 20
ROLES = ("here", "there", "source", "destination", "relay", "nursery")
MOMENTS = ("sample", "round", "prepared", "committed", "running")
KEPT = re.compile(r"the guest runs on at the (source|destination) \(operation \d+\)$")
LOST = re.compile(r"THE GUEST IS LOST: [^;]+$")
CHOSEN = (
    ("sample", "source", "here"),  # the killed one first
    ("round", "source", "there"),
    ("round", "destination", "there"),
    ("round", "destination", "here"),
    ("round", "there", "source"),
    ("prepared", "source", "destination"),
    ("committed", "destination", "there"),
    ("committed", "source", "there"),
    ("running", "there", "destination"),
    ("round", "relay", "nursery"),
    ("round", "nursery", "here"),
)


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery
        children = Path(f"/proc/{nursery.pid}/task/{nursery.pid}/children").read_text()
    assert children == ""


def struck(nursery, monkeypatch, moment, dead, hung, strategy):
    """Migrate a guest, kill and stop processes at a moment; return what was said at the end."""
    moved = []
    take, move = Migration._take, Migration.run

    def strike(self, message, *rest):
        result = take(self, message, *rest)
        if moment in message and moved:
            moved.clear()
            for role, kind in ((hung, signal.SIGSTOP), (dead, signal.SIGKILL)):
                if role == "nursery":
                    os.kill(self._nursery.pid, kind)
                elif role is not None:
                    self._members[role].process.signal(kind)
        return result

    monkeypatch.setattr(Migration, "_take", strike)
    monkeypatch.setattr(Migration, "run", lambda self, *how: (moved.append(self), move(self, *how))[1])
    guest = Guest(memory_bytes=8 * MIB, dirty=(DirtyClass(region_bytes=2 * MIB, writes_per_s=20_000),))
    rule = Policy(max_bandwidth_bytes_per_s=60e6, downtime_limit_s=0.05, time_limit_s=5.0)
    scenario = Scenario(guest=guest, policy=rule, strategy=Strategy(name=strategy), link=Link(rtt_s=0.002))
    options = runs.Options(patience_s=1.0, recovery_s=1.0, path="relay", plaintext=True)
    with Nursery() if "nursery" in (dead, hung) else contextlib.nullcontext(nursery) as nursery:
        try:
            trace = runs.run(scenario, options=options, nursery=nursery)
        except MigkitError as error:
            return str(error)
    return "unharmed" if trace.outcome.verified else "not verified"


def judge(said, moment, dead, strategy):
    """Say whether that is an end that may be."""
    if said == "unharmed" or KEPT.search(said):
        return True
    is_there = moment == "running" and dead == "there"  # it was the guest by then
    may_be_lost = dead in ("here", "nursery") or is_there or strategy == "postcopy"
    return may_be_lost and bool(LOST.search(said))


@pytest.mark.parametrize(("moment", "dead", "hung"), CHOSEN)
def test_an_intact_guest_survives_a_hung_and_a_dead_process(nursery, monkeypatch, moment, dead, hung):
    said = struck(nursery, monkeypatch, moment, dead, hung, "precopy")
    assert judge(said, moment, dead, "precopy"), said


@pytest.mark.verification
@pytest.mark.timeout(600)
@pytest.mark.parametrize("strategy", ["precopy", "stopcopy", "postcopy", "hybrid"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("dead", "hung"), [*itertools.permutations((*ROLES, None), 2)])
def test_every_combination_of_a_hung_and_a_dead_process(nursery, monkeypatch, moment, dead, hung, strategy):
    said = struck(nursery, monkeypatch, moment, dead, hung, strategy)
    assert judge(said, moment, dead, "postcopy" if strategy == "hybrid" else strategy), said
