"""A process that writes to shared memory: what the trackers are tried on.

Takes the descriptor of a memory file and of a map of one byte a page, and whether it creates a
userfaultfd (1 or 0); prints its address, its
userfaultfd and "ready"; then obeys lines on its standard input:
``write P P ...`` writes once to each page, ``read P P ...`` reads them, ``random SEED COUNT`` to so many random ones,
``run SEED`` writes to random pages until the next line.
"""

from __future__ import annotations

import mmap
import os
import select
import sys
from contextlib import suppress

import numpy as np

from migkit.errors import CapabilityError
from migkit.harness.linux.userfaultfd import create_descriptor

PAGE = 4096


def main(memory_descriptor: int, map_descriptor: int, creates_uffd: int) -> None:
    memory = np.frombuffer(mmap.mmap(memory_descriptor, 0), np.uint64)
    written = np.frombuffer(mmap.mmap(map_descriptor, 0), np.uint8)
    uffd = -1
    with suppress(CapabilityError):
        uffd = create_descriptor(user_mode_only=True) if creates_uffd else -1
    print(memory.ctypes.data, uffd, flush=True)
    while line := sys.stdin.readline().split():
        if line[0] == "write":
            write(memory, written, np.array(line[1:], np.int64))
        elif line[0] == "read":
            memory[np.array(line[1:], np.int64) * (PAGE // 8)].sum()
        elif line[0] == "random":
            write(memory, written, np.random.default_rng(int(line[1])).permutation(written.size)[: int(line[2])])
        else:
            run(memory, written, np.random.default_rng(int(line[1])))
        print("done", flush=True)


def write(memory: np.ndarray, written: np.ndarray, pages: np.ndarray) -> None:
    memory[pages * (PAGE // 8) + pages % 512] += np.uint64(1)
    written[pages] = 1


def run(memory: np.ndarray, written: np.ndarray, rng: np.random.Generator) -> None:
    while not select.select([0], [], [], 0)[0]:
        write(memory, written, rng.integers(0, written.size, 8))
    os.read(0, 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
