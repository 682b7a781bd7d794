"""The guest's machine: RAM and registers in one memfd.

The registers (seed, counters, positions, running time) are the last page of that memory, behind the RAM: like a
hypervisor's device state they are moved after the stop. Whoever maps the same bytes goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.engine import dirty
from migkit.errors import RunError, UsageError
from migkit.harness.guests import writers
from migkit.scenario import Guest
from migkit.units import PAGE_BYTES

__all__ = ["STATE_BYTES", "Machine", "class_table", "filled_bytes"]

STATE_BYTES: Final = PAGE_BYTES
_CLOCKS: Final = (writers.RUNNING_NS, writers.OWED_NS, writers.STOPPED_NS)

Words = npt.NDArray[np.int64]


def filled_bytes(guest: Guest) -> int:
    """Return the end of the memory that ever holds something [B]: page classes, and what is filled at boot."""
    return guest.memory_bytes - guest.zero_bytes


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
        The registers, as :mod:`migkit.harness.guests.writers` numbers them.
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
        first = sum(each.region_bytes for each in self.guest.dirty) // 8 if self.guest.fill == "zero" else 0
        end = filled_bytes(self.guest) // 8
        self.registers[writers.SEED] = seed
        writers.fill(self.words, first, end, seed, self.guest.fill == "constant")
        page = 0
        for one in self.guest.dirty:
            writers.empty(self.words, page, one.region_pages, one.zero_share, seed)
            page += one.region_pages

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
        More classes than the registers hold counters for, or one that grows.
    """
    if len(guest.dirty) > writers.MAX_CLASSES:
        raise UsageError(
            f"guest.dirty: {len(guest.dirty)} page classes are too many; "
            f"the harness runs at most {writers.MAX_CLASSES}; merge some"
        )
    if any(one.kind == "growth" for one in guest.dirty):
        raise UsageError(
            "guest.dirty.kind: the guest of the harness does not grow; use random or sweep, or migkit qemu capture"
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
        row[writers.OFFSET_S] = each.phase_offset_s or 0.0
        row[writers.FIRST_PHASE] = len(phases)
        row[writers.PHASES] = len(each.phases)
        row[writers.ZERO_SHARE] = each.zero_share
        phases += [value for step in each.phases for value in step]
        page += each.region_pages
    return table.reshape(-1), np.array(phases)
