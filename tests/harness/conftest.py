from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from migkit.harness.linux import calls

PAGES = 2048


class Writer:
    """A process with writers (``writer.py``) and its memory as this process sees it."""

    def __init__(self, pages: int, *, creates_uffd: bool = True) -> None:
        self.pages = pages
        descriptors = [os.memfd_create("writer", 0) for _ in range(2)]
        for descriptor, size in zip(descriptors, (pages * 4096, pages), strict=True):
            os.ftruncate(descriptor, size)
        self.memory, self.written = (np.frombuffer(mmap.mmap(d, 0), np.uint8) for d in descriptors)
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("writer.py")),
                *map(str, [*descriptors, int(creates_uffd)]),
            ],
            pass_fds=descriptors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for descriptor in descriptors:
            os.close(descriptor)
        self.address, self._remote_uffd = map(int, self._answer().split())

    def uffd(self) -> int:
        return calls.take_descriptor(self.process.pid, self._remote_uffd)

    def write(self, *pages: int) -> None:
        self.tell("write " + " ".join(map(str, pages)))
        self.wait()

    def read(self, *pages: int) -> None:
        self.tell("read " + " ".join(map(str, pages)))
        self.wait()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        assert self._answer() == "done"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def writer() -> Iterator[Writer]:
    process = Writer(PAGES)
    yield process
    process.close()


@pytest.fixture
def plain_writer() -> Iterator[Writer]:
    """A writer without a userfaultfd of its own."""
    process = Writer(PAGES, creates_uffd=False)
    yield process
    process.close()
