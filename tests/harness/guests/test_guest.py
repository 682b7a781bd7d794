"""A guest outlives whoever asks it something."""

import contextlib
import signal

import numpy as np
import pytest

from migkit.harness.guests import writers
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.guest import _Clock
from migkit.harness.guests.machine import Machine
from migkit.harness.linux import calls
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.migration import guest_of
from migkit.harness.runs.options import Options
from migkit.scenario import DirtyClass, Guest, Scenario

pytestmark = pytest.mark.live
MIB = 1 << 20
SCENARIO = Scenario(
    guest=Guest(memory_bytes=8 * MIB, zero_bytes=6 * MIB, dirty=(DirtyClass(region_bytes=MIB, writes_per_s=1000),))
)


@pytest.fixture
def guest():
    with Nursery() as nursery, contextlib.ExitStack() as stack:
        member = guest_of(nursery, SCENARIO, Options(), 1)
        stack.callback(member.end)
        yield member


def ask_and_go(guest, message):
    """Have somebody ask a guest and be gone before it can answer."""
    asker = guest.lend()
    guest.process.signal(signal.SIGSTOP)
    asker.send(message)
    asker.close()
    guest.process.signal(signal.SIGCONT)
    for _ in range(2):  # by the second answer it has looked at everybody
        guest.channel.ask({"do": "report"})


@pytest.mark.parametrize("what", ["stop", "digest", "attach"])
def test_who_asks_may_be_gone_before_the_answer(guest, what):
    ask_and_go(guest, {"do": what})
    assert guest.channel.ask({"do": "run_to", "operation": 40})["operations"] >= 40


def test_who_waits_for_an_operation_may_be_gone_before_it_comes(guest):
    ask_and_go(guest, {"do": "run_to", "operation": 20})
    while (report := guest.channel.ask({"do": "report"}))["running"]:
        continue
    assert report["operations"] >= 20


def test_what_a_process_used_is_known_after_its_end(guest):
    cpu_s, held_bytes = guest.process.used()
    assert held_bytes > 0
    guest.process.signal(signal.SIGKILL)
    while guest.process.alive:
        continue
    assert guest.process.used() == (pytest.approx(cpu_s, abs=0.1), held_bytes)


@pytest.mark.parametrize("asked", ["memory", "file"])
def test_the_pages_that_hold_nothing_are_known(guest, asked, monkeypatch):
    if asked == "file":  # as when some are swapped out
        monkeypatch.setattr(calls, "resident", lambda address, length_bytes: np.zeros(length_bytes // 4096, np.uint8))
    guest.channel.ask({"do": "run_to", "operation": 500})
    with contextlib.closing(guest.lend()) as channel:
        attached = Attached(channel, SCENARIO.guest.memory_bytes)
    attached.words[512 * 1000] = 1
    attached.words[512 * 1500 : 512 * 1503] = 1
    held = attached.holes() == 0
    attached.close()
    assert held.sum() == 2 * MIB // 4096 + 4
    assert np.array_equal(held, (attached.words.reshape(-1, 512) != 0).any(axis=1))


def test_a_guest_that_is_stopped_as_it_wakes_from_a_throttle_has_run_for_no_less_than_before():
    machine = Machine(SCENARIO.guest)
    clock = _Clock(machine, "running_time")
    clock.start()
    clock.wake_ns = 1  # its sleep is over, and nobody has looked since
    clock.stop()
    assert machine.registers[writers.RUNNING_NS] >= 0
    assert machine.registers[writers.OWED_NS] >= 0
