"""Several real migrations over one cable: their parts of it, their order, and what goes wrong."""

import dataclasses

import pytest

from migkit.errors import UsageError
from migkit.harness import probe
from migkit.harness.paths import namespaces
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.options import Options
from migkit.harness.runs.together import Cable, Start, together
from migkit.scenario import DirtyClass, Guest, Link, Scenario, Strategy
from tests.conftest import require
from tests.verification.campaign import held, leaks, private_temporary_files

pytestmark = pytest.mark.live
MIB = 1 << 20
PLAIN = Options(plaintext=True)
BANDWIDTH = 40e6
TRIES = 3


@pytest.fixture(scope="module")
def nursery():
    for name in ("netns", "veth", "tbf"):
        found = probe.probe(name)
        require(found.available, found.reason)
    pytest.importorskip("pyroute2")
    with private_temporary_files(), Nursery() as nursery:
        yield nursery


def copied(mib):
    return Scenario(guest=Guest(memory_bytes=mib * MIB), strategy=Strategy(name="stopcopy"))


def test_migrations_have_equal_parts_of_the_cable_and_what_others_leave(nursery):
    before = held(nursery)
    scenarios = [copied(24), copied(24), copied(48)]
    alone_s = 24 * MIB / BANDWIDTH
    for _ in range(TRIES):  # who has no processor for a while is late, never early
        moved = together(scenarios, [Start()] * 3, BANDWIDTH, options=PLAIN, nursery=nursery)
        times = [one.trace.outcome.total_time_s / alone_s for one in moved]
        print("times, in those of a small guest alone: " + ", ".join(f"{time:.2f}" for time in times))
        assert all(one.trace.outcome.verified for one in moved)
        assert times[2] > 4.0 * 0.95
        if all(2.6 < time < 3.4 for time in times[:2]) and times[2] < 4.4:
            break
    else:
        pytest.fail(f"in none of {TRIES} runs two had a third of the cable each, and the third one what they left")
    assert leaks(before, held(nursery)) == ""


def test_each_begins_when_it_may(nursery):
    starts = [Start(at_s=0.3), Start(after=(0,)), Start(at_s=0.1)]
    busy = Guest(memory_bytes=16 * MIB, dirty=(DirtyClass(region_bytes=2 * MIB, writes_per_s=200.0),))
    scenarios = [Scenario(guest=busy), copied(16), copied(16)]
    heard = set()
    first, second, third = together(
        scenarios,
        starts,
        BANDWIDTH,
        options=PLAIN,
        progress=lambda place, sample: heard.add((place, sample["phase"])),
        nursery=nursery,
    )
    assert (0, "precopy") in heard
    assert first.begun_s >= 0.3
    assert second.begun_s >= first.ended_s > first.begun_s
    assert 0.1 <= third.begun_s < first.begun_s
    assert [one.trace.outcome.verdict for one in (first, second, third)] == ["converges"] * 3
    assert [one.trace.provenance["seed"] for one in (first, second, third)] == [1, 2, 3]


def test_one_that_fails_calls_the_others_off(nursery):
    before = held(nursery)
    scenarios = [copied(16), dataclasses.replace(copied(16), link=Link(loss=0.01))]
    with pytest.raises(UsageError, match=r"link\.loss: the harness does not do this"):
        together(scenarios, [Start(), Start(after=(0,))], BANDWIDTH, options=PLAIN, nursery=nursery)
    with pytest.raises(UsageError, match=r"link\.loss: the harness does not do this"):
        together(scenarios[::-1], [Start(), Start(at_s=3600.0)], BANDWIDTH, options=PLAIN, nursery=nursery)
    assert leaks(before, held(nursery)) == ""


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([Start()], "starts: 1 were given for 2 migrations; give one for each"),
        ([Start(), Start(after=(1,))], "starts: migration 1 waits for itself or for one that does not exist"),
        ([Start(after=(1,)), Start(after=(0,))], "starts: migration 0 waits for itself"),
        ([Start(), Start(after=(7,))], "starts: migration 1 waits for itself or for one that does not exist"),
        ([Start(), Start(at_s=float("nan"))], "starts: migration 1 begins at nan s; give a time from 0 on"),
    ],
)
def test_starts_that_no_order_fulfils_are_refused(starts, message):
    with pytest.raises(UsageError) as error:
        together([copied(16), copied(16)], starts, BANDWIDTH)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bandwidth", "lanes", "message"),
    [(1e6, 0, "0 lanes are out of range; use 1 to 64"), (1e6, 65, "65 lanes"), (0.0, 2, "0 B/s carries nothing")],
)
def test_a_cable_that_cannot_be_is_refused(nursery, bandwidth, lanes, message):
    with pytest.raises(UsageError, match=message):
        Cable(nursery, bandwidth, lanes)


def test_a_lane_needs_namespaces():
    lane = namespaces.Lane({}, namespaces.lane_address(0))
    with pytest.raises(UsageError, match="lane: the path 'relay' has none; use the path namespaces"):
        Options(path="relay", lane=lane)
