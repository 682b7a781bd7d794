"""The guest: a process whose memory is a memfd, with paced, deterministic writers.

Its registers (seed, counters, positions, running time) are the last page of that memory, behind the RAM: like a
hypervisor's device state they are moved after the stop. Whoever maps the same bytes goes on where it stopped.

Pacing says what a guest does about time in which it did not run:

``running_time``
    Nothing: its clock stands still while it is stopped or throttled.
``wall_clock``
    It catches up in a burst when it runs again, but for no more than 200 ms, as QEMU's reference guests do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import mmap
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import MigkitError, RunError, UsageError
from migkit.harness import userfaultfd
from migkit.harness.channel import Channel, ClosedError
from migkit.kernels import dirty, writers
from migkit.scenario import Guest, schema
from migkit.units import PAGE_BYTES

__all__ = ["PACINGS", "STATE_BYTES", "Machine", "filled_bytes", "main", "pacing_of"]

PACINGS: Final = ("running_time", "wall_clock")
STATE_BYTES: Final = PAGE_BYTES
_TICK_NS: Final = round(writers.TICK_S * 1e9)
_CATCH_UP_NS: Final = 200_000_000
_SLICE_NS: Final = 10_000_000
_NO_LIMIT: Final = 1 << 62
_CLOCKS: Final = (writers.RUNNING_NS, writers.OWED_NS, writers.STOPPED_NS)

Words = npt.NDArray[np.int64]


def pacing_of(guest: Guest) -> str:
    """Return the pacing that a scenario means: a guest with spare capacity keeps up with the clock."""
    return "running_time" if guest.capacity_writes_per_s is None else "wall_clock"


def filled_bytes(guest: Guest) -> int:
    """Return the end of the memory that ever holds something [B]: page classes, and what was filled at boot."""
    regions_pages = sum(each.region_pages for each in guest.dirty)
    filled_pages = 0 if guest.fill == "zero" else guest.memory_pages - guest.zero_pages
    return max(regions_pages, filled_pages) * PAGE_BYTES


class Machine:
    """RAM and registers of a guest, over a memfd.

    Parameters
    ----------
    guest
        Layout and page classes.
    descriptor
        The memfd, of :func:`memory_descriptor`'s size; None: a new one. It is owned from now on.

    Attributes
    ----------
    words
        The RAM as int64 words.
    registers
        The registers, as :mod:`migkit.kernels.writers` numbers them.
    """

    def __init__(self, guest: Guest, descriptor: int | None = None) -> None:
        self.guest = guest
        self.size_bytes = guest.memory_bytes + STATE_BYTES
        if descriptor is None:
            descriptor = os.memfd_create("migkit-guest", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, self.size_bytes)
        self.descriptor = descriptor
        self.map = mmap.mmap(descriptor, self.size_bytes)
        everything = np.frombuffer(self.map, np.int64)
        self.words: Words = everything[: guest.memory_bytes // 8]
        self.registers: Words = everything[guest.memory_bytes // 8 :]
        self.classes, self.phases = class_table(guest)

    @property
    def address(self) -> int:
        """Where the RAM is mapped in this process."""
        return int(self.words.__array_interface__["data"][0])

    @property
    def operations(self) -> int:
        """Operations done so far."""
        return int(self.registers[writers.OPERATIONS])

    def boot(self, seed: int) -> None:
        """Fill the RAM and the registers of a guest that begins."""
        end = (self.guest.memory_pages - self.guest.zero_pages) * writers.PAGE_WORDS
        first = filled_bytes(self.guest) // 8 if self.guest.fill == "zero" else 0
        self.registers[writers.SEED] = seed
        writers.fill(self.words, first, end, seed, self.guest.fill == "constant")

    def advance(self, target_tick: int, operation_limit: int, written: npt.NDArray[np.uint8]) -> None:
        """Run to the end of a tick, or to an operation."""
        writers.advance(self.words, self.registers, self.classes, self.phases, written, target_tick, operation_limit)

    def run_to(self, operation: int) -> None:
        """Run, however fast, until ``operation`` operations are done.

        Raises
        ------
        RunError
            It is past that operation, or its classes do nothing.
        """
        if operation < self.operations:
            raise RunError(f"guest: it has done {self.operations} operations already, past {operation}")
        nothing = np.zeros(0, np.uint8)
        while self.operations < operation:
            before = self.operations
            self.advance(int(self.registers[writers.TICK]) + 60_000, operation, nothing)
            if self.operations == before and self._cycle_s() < 60.0:
                raise RunError(f"guest: its page classes never come to operation {operation}")

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the RAM and of the registers that follow from the operations done.

        The others tell the time: clocks, and how much of a tick has passed since the last operation.
        """
        lasting = self.registers.copy()
        lasting[[*_CLOCKS, writers.TICK, writers.CLASS, writers.DONE]] = 0
        return {
            "memory": hashlib.sha256(self.words.data).hexdigest(),
            "registers": hashlib.sha256(lasting.data).hexdigest(),
        }

    def _cycle_s(self) -> float:
        return max((sum(d for d, _ in c.phases) for c in self.guest.dirty), default=0.0)

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.descriptor)


def class_table(guest: Guest) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the page classes and their phases as the writers take them.

    Raises
    ------
    UsageError
        More classes than the registers hold counters for.
    """
    if len(guest.dirty) > writers.MAX_CLASSES:
        raise UsageError(
            f"guest.dirty: {len(guest.dirty)} page classes are too many; "
            f"the harness runs at most {writers.MAX_CLASSES}; merge some"
        )
    table = np.zeros((len(guest.dirty), writers.CLASS_COLUMNS))
    phases: list[float] = []
    page = 0
    for row, each in zip(table, guest.dirty, strict=True):
        row[writers.FIRST_PAGE] = page
        row[writers.PAGES] = each.region_pages
        row[writers.KIND] = dirty.SWEEP if each.kind == "sweep" else dirty.RANDOM
        row[writers.WRITES_PER_S] = each.writes_per_s
        row[writers.READS_PER_S] = each.reads_per_s
        row[writers.REWRITE_WORDS] = -(-each.rewrite_bytes // 8)
        row[writers.OFFSET_S] = each.phase_offset_s
        row[writers.FIRST_PHASE] = len(phases)
        row[writers.PHASES] = len(each.phases)
        phases += [value for step in each.phases for value in step]
        page += each.region_pages
    return table.reshape(-1), np.array(phases)


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
        now = time.monotonic_ns()
        if not self.sleeping():
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
        capacity = self.machine.guest.capacity_writes_per_s
        if capacity is None:
            return _NO_LIMIT
        return self.machine.operations + max(1, round(capacity * min(elapsed_ns, _SLICE_NS) * 1e-9))

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
        """Return how long nothing is to be done [s]."""
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
                self._asker.send(self._report())
        self._limit, self._asker = _NO_LIMIT, None

    def _serve(self, channel: Channel) -> bool:
        """Obey one message, whose sender may be gone before the answer; False: end."""
        try:
            self._answer(channel)
        except ClosedError:
            return self._lost(channel)
        return True

    def _answer(self, channel: Channel) -> None:
        message, descriptors = channel.receive_with_descriptors()
        if message["do"] == "run_to":
            self._asker, self._limit = channel, message["operation"]
            self._resume()
        elif message["do"] == "attach":
            self._attach(channel)
        elif message["do"] == "digest":
            channel.send({**self._report(), **self._machine.digests()})
        else:
            self._obey(message, descriptors)
            channel.send(self._report())

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

    def _attach(self, channel: Channel) -> None:
        """Hand out what is needed to move this guest: memory, a userfaultfd, the map of written pages.

        The userfaultfd is kept here as well: should its user die in post-copy, the guest goes on
        waiting for its pages instead of reading zeros.
        """
        answer: dict[str, Any] = {"pid": os.getpid(), "address": self._machine.address, **self._report()}
        descriptors = {"memory": self._machine.descriptor, "written": self._written_descriptor, "uffd": -1}
        try:
            descriptors["uffd"] = userfaultfd.create_descriptor(user_mode_only=True)
        except MigkitError as error:
            answer["uffd_refused"] = str(error)
        if self._uffd >= 0:
            os.close(self._uffd)
        self._uffd = descriptors["uffd"]
        given = {name: each for name, each in descriptors.items() if each >= 0}
        channel.send({**answer, "descriptors": list(given)}, list(given.values()))


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
