"""Compile, or load from a cache, what the harness runs, before any process is forked."""

from __future__ import annotations

import os

import numpy as np

from migkit.harness.linux.pagemap import Pagemap, scan_of
from migkit.harness.protocol import demand, pages, pieces
from migkit.harness.protocol.encoding import delta
from migkit.harness.sides import placement
from migkit.jit import compile_kernels
from migkit.policies import decision
from migkit.scenario import DirtyClass, Guest

__all__ = ["warm_up"]


def warm_up() -> None:
    """Run each kernel once on a guest of a few pages, and what else is slow the first time."""
    compile_kernels()
    from migkit.harness.guests import registers
    from migkit.harness.guests.machine import Machine

    machine = Machine(Guest(memory_bytes=65536, dirty=(DirtyClass(region_bytes=8192, writes_per_s=2000.0),)))
    machine.boot(1)
    machine.advance(2, 4, np.zeros(16, np.uint8))
    registers.wrong(machine.registers, machine.guest)  # a destination asks that while the guest stands still
    bitmap, holes = np.ones(16, np.uint8), np.zeros(16, np.uint8)
    headers, tally, bodies = np.zeros(16, np.int64), np.zeros(2, np.int64), np.zeros(17 * 512, np.int64)
    pages.mark(bitmap, holes, np.zeros(2, np.int64))
    pages.select(machine.words, bitmap, holes, 0, 1e9, headers, tally)
    pages.gather(machine.words, headers, bodies, 0)
    pages.checksum(bodies, 0)
    pages.frame_sum(bodies, 1, 16)
    pages.tally(headers, 16, np.zeros(3, np.int64))
    pages.runs(headers, np.zeros(32, np.int64))
    progress = np.zeros(pieces.PROGRESS_WORDS, np.int64)
    pieces.send_copies(-1, machine.words, headers, bodies, progress)
    pieces.send_in_place(-1, machine.words, np.zeros(2, np.int64), 1, progress * 0)
    pieces.receive(-1, machine.words, np.zeros(2, np.int64), 1, 1, progress * 0)
    pages.scatter(headers, bodies[: 512 * int(tally[0])], machine.words)
    cache = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(512, np.int64)
    delta.pack(machine.words, headers, bodies, bodies.copy(), *cache, 2)
    delta.apply(headers, bodies, machine.words)
    pages.settle(headers, machine.words, holes)
    with Pagemap(os.getpid()) as pagemap:
        pagemap.ranges(scan_of(0, 0))
    placement.arrive(headers, holes, np.zeros(51, np.int64))
    demand.ask(-1, bodies, 0, 0, 0)
    demand.take(-1, bodies, 0, 0, 16, -1, 0, np.zeros(5, np.int64), 0)
    demand.answer(-1, bodies, 0, 0, machine.words, bitmap, holes, headers, tally, -1, bodies, 0, 0)
    "localhost".encode("idna")  # loads the tables that the first look-up of a host needs
    decision.decide(decision.new_state(), decision.new_parameters(), None)
    machine.close()
