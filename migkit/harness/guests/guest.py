"""The guest: a process with a machine (:mod:`migkit.harness.guests.machine`) and paced, deterministic writers.

Pacing says what a guest does about time in which it did not run:

``running_time``
    Nothing: its clock stands still while it is stopped or throttled.
``wall_clock``
    It catches up in a burst when it runs again, but for no more than 200 ms, as QEMU's reference guests do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import mmap
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import MigkitError
from migkit.harness.guests import writers
from migkit.harness.guests.machine import Machine
from migkit.harness.linux import userfaultfd
from migkit.harness.linux.channel import Channel, ClosedError, DescriptorsError
from migkit.scenario import Guest, Scenario
from migkit.scenario.form import schema

__all__ = ["PACINGS", "main", "most_operations_per_s", "pacing_of"]

PACINGS: Final = ("running_time", "wall_clock")
_TICK_NS: Final = round(writers.TICK_S * 1e9)
_CATCH_UP_NS: Final = 200_000_000
_SLICE_NS: Final = 10_000_000
_NO_LIMIT: Final = 1 << 62


def pacing_of(guest: Guest) -> str:
    """Return the pacing that a scenario means: a guest with spare capacity keeps up with the clock."""
    return "running_time" if guest.capacity_writes_per_s is None else "wall_clock"


def most_operations_per_s(guest: Guest) -> float:
    """Return how many writes and reads a guest does flat out [1/s]: of reads as many beside its writes as it wants.

    Examples
    --------
    >>> from migkit.scenario import DirtyClass
    >>> both = DirtyClass(region_bytes=4096, writes_per_s=100, reads_per_s=50)
    >>> most_operations_per_s(Guest(memory_bytes=4096, dirty=(both,), capacity_writes_per_s=400.0))
    600.0
    """
    if guest.capacity_writes_per_s is None or not guest.writes_per_s:
        return math.inf
    reads_per_s = sum(each.reads_per_s for each in guest.dirty)
    return guest.capacity_writes_per_s * (1.0 + reads_per_s / guest.writes_per_s)


@dataclasses.dataclass
class _Clock:
    """Guest time that real time grants, by pacing and throttle."""

    machine: Machine
    pacing: str
    throttle: float = 0.0
    last_ns: int = 0
    slice_end_ns: int = 0
    wake_ns: int = 0

    def start(self) -> None:
        """Let guest time run from now on."""
        registers = self.machine.registers
        now = time.monotonic_ns()
        stopped_ns = int(registers[writers.STOPPED_NS])
        if stopped_ns and self.pacing == "wall_clock":
            registers[writers.OWED_NS] += min(max(now - stopped_ns, 0), _CATCH_UP_NS)
        registers[writers.STOPPED_NS] = 0
        self.last_ns, self.slice_end_ns, self.wake_ns = now, now + _SLICE_NS, 0

    def stop(self) -> None:
        """Let guest time stand."""
        asleep = self.sleeping()  # it may wake just now, so that the clock is read after that
        now = time.monotonic_ns()
        if not asleep:
            self._elapse(now)
        self.machine.registers[writers.STOPPED_NS] = now

    def grant(self) -> tuple[int, int]:
        """Return the tick to run to now, and the operation at which the guest's capacity ends."""
        elapsed_ns = self._elapse(time.monotonic_ns())
        registers = self.machine.registers
        done_ns = int(registers[writers.TICK]) * _TICK_NS
        registers[writers.OWED_NS] = min(int(registers[writers.OWED_NS]), done_ns + _CATCH_UP_NS)
        return int(registers[writers.OWED_NS]) // _TICK_NS, self._capacity_end(elapsed_ns)

    def _elapse(self, now: int) -> int:
        elapsed_ns = now - self.last_ns
        self.last_ns = now
        self.machine.registers[writers.RUNNING_NS] += elapsed_ns
        self.machine.registers[writers.OWED_NS] += elapsed_ns
        return elapsed_ns

    def _capacity_end(self, elapsed_ns: int) -> int:
        per_s = most_operations_per_s(self.machine.guest)
        if math.isinf(per_s):
            return _NO_LIMIT
        return self.machine.operations + max(1, round(per_s * min(elapsed_ns, _SLICE_NS) * 1e-9))

    def tire(self) -> None:
        """Put a throttled guest to sleep at the end of its slice.

        As in QEMU, a share p is a sleep of p / (1 - p) slices after each slice of 10 ms.
        """
        if self.throttle > 0.0 and self.last_ns >= self.slice_end_ns:
            self.wake_ns = self.last_ns + round(self.throttle / (1.0 - self.throttle) * _SLICE_NS)

    def sleeping(self) -> bool:
        """Say whether the throttle has the guest asleep; the first look after its end wakes it."""
        if not self.wake_ns:
            return False
        now = time.monotonic_ns()
        if now < self.wake_ns:
            return True
        if self.pacing == "running_time":
            self.last_ns = now
        self.wake_ns, self.slice_end_ns = 0, now + _SLICE_NS
        return False

    def timeout_s(self) -> float:
        """Return how long nothing is to be done [s]; without writers and throttle only the running time is kept."""
        if self.wake_ns:
            return max(self.wake_ns - time.monotonic_ns(), 0) * 1e-9
        return writers.TICK_S if self.machine.guest.dirty or self.throttle else _SLICE_NS * 1e-9


class _Guest:
    """The process: obeys its owner and whoever migrates it, and runs its writers in between."""

    def __init__(self, config: Mapping[str, Any], owner: Channel) -> None:
        self._owner = owner
        self._channels = [owner]
        self._machine = Machine(schema.from_record(config["scenario"]).guest)
        self._clock = _Clock(self._machine, config["pacing"])
        self._written, self._written_descriptor = self._written_map(config["instrumented"])
        self._uffd = -1
        self._running = False
        self._limit = _NO_LIMIT
        self._asker: Channel | None = None
        self._asked: int | None = None
        if config["seed"] is not None:
            self._machine.boot(config["seed"])

    def _written_map(self, wanted: bool) -> tuple[npt.NDArray[np.uint8], int]:
        if not wanted:
            return np.zeros(0, np.uint8), -1
        pages = self._machine.guest.memory_pages
        descriptor = os.memfd_create("migkit-written", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, pages)
        return np.frombuffer(mmap.mmap(descriptor, pages), np.uint8), descriptor

    def live(self) -> None:
        """Run until the owner is gone or says so."""
        while True:
            timeout_s = self._clock.timeout_s() if self._running else None
            for channel in select.select(self._channels, [], [], timeout_s)[0]:
                if not self._serve(channel):
                    return
            if self._running and not self._clock.sleeping():
                self._run()

    def _run(self) -> None:
        target, capacity_end = self._clock.grant()
        self._machine.advance(target, min(self._limit, capacity_end), self._written)
        self._clock.tire()
        if self._machine.operations >= self._limit:
            self._arrive()

    def _arrive(self) -> None:
        """Stop at the operation that was asked for, and tell who asked."""
        self._stop()
        if self._asker is not None:
            with contextlib.suppress(ClosedError):  # who asked may be gone
                self._asker.send({"number": self._asked, **self._report()})
        self._limit, self._asker = _NO_LIMIT, None

    def _serve(self, channel: Channel) -> bool:
        """Obey one message, whose sender may be gone before the answer; False: end."""
        try:
            self._answer(channel)
        except ClosedError:
            return self._lost(channel)
        return True

    def _answer(self, channel: Channel) -> None:
        """Do what is asked; what cannot be done is answered, too: a guest lives on, whatever is asked of it."""
        message: dict[str, Any] = {}
        try:
            message, descriptors = channel.receive_with_descriptors()
            answer, given = self._done(channel, message, descriptors)
        except ClosedError:
            raise
        except DescriptorsError as error:
            answer, given = {"error": str(error), "number": error.message.get("number")}, []
        except (MigkitError, OSError) as error:
            answer, given = {"error": str(error)}, []
        if answer:
            channel.send({"number": message.get("number"), **answer}, given)

    def _done(
        self, channel: Channel, message: dict[str, Any], descriptors: list[int]
    ) -> tuple[dict[str, Any], list[int]]:
        """Obey, and return the answer and the descriptors that go with it; nothing when it comes later."""
        match message["do"]:
            case "run_to":
                self._asker, self._asked, self._limit = channel, message.get("number"), message["operation"]
                self._resume()
                return {}, []
            case "attach":
                return self._attach()
            case "digest":
                return {**self._report(), **self._machine.digests()}, []
        self._obey(message, descriptors)
        return self._report(), []

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        match message["do"]:
            case "adopt":
                self._channels += [Channel(socket.socket(fileno=each), "migration") for each in descriptors]
            case "stop":
                self._stop()
            case "resume":
                self._resume()
            case "throttle":
                self._clock.throttle = message["share"]
            case "replay":
                self._machine.run_to(message["operation"])

    def _lost(self, channel: Channel) -> bool:
        """End with the owner; whoever else goes leaves the guest as it is, but not throttled."""
        channel.close()
        self._channels.remove(channel)
        if self._asker is channel:
            self._asker = None
        self._clock.throttle = 0.0
        return channel is not self._owner

    def _stop(self) -> None:
        if self._running:
            self._clock.stop()
        self._running = False

    def _resume(self) -> None:
        if not self._running:
            self._clock.start()
        self._running = True

    def _report(self) -> dict[str, Any]:
        registers = self._machine.registers
        return {
            "running": self._running,
            "operations": self._machine.operations,
            "running_ns": int(registers[writers.RUNNING_NS]),
            "monotonic_ns": time.monotonic_ns(),
        }

    def _attach(self) -> tuple[dict[str, Any], list[int]]:
        """Return what is needed to move this guest: memory, a userfaultfd, the map of written pages.

        The userfaultfd is kept here as well: should its user die in post-copy, the guest goes on
        waiting for its pages instead of reading zeros.
        """
        answer: dict[str, Any] = {"pid": os.getpid(), "address": self._machine.address, **self._report()}
        answer["guest"] = schema.to_record(Scenario(guest=self._machine.guest))["guest"]
        descriptors = {"memory": self._machine.descriptor, "written": self._written_descriptor, "uffd": -1}
        try:
            descriptors["uffd"] = userfaultfd.create_descriptor(user_mode_only=True)
        except MigkitError as error:
            answer["uffd_refused"] = str(error)
        if self._uffd >= 0:
            os.close(self._uffd)
        self._uffd = descriptors["uffd"]
        given = {name: each for name, each in descriptors.items() if each >= 0}
        return {**answer, "descriptors": list(given)}, list(given.values())


def main(config: Mapping[str, Any], owner: Channel) -> None:
    """Be a guest process.

    Parameters
    ----------
    config
        ``scenario`` (record), ``seed`` (None: the memory arrives from elsewhere), ``pacing``,
        ``instrumented``.
    owner
        Where orders come from; the guest ends with it.
    """
    guest = _Guest(config, owner)
    owner.send({"booted": True})
    guest.live()
