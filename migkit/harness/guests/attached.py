"""A guest in the hands of whoever migrates it: its memory, its registers, its control."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError, RunError
from migkit.harness.guests import writers
from migkit.harness.guests.machine import STATE_BYTES
from migkit.harness.linux import calls
from migkit.harness.linux.channel import Channel
from migkit.harness.tracking import trackers
from migkit.scenario import Guest
from migkit.scenario.form import schema

__all__ = ["Attached"]

_BLOCK_BYTES: Final = 512  # of st_blocks
_MADV_POPULATE_READ: Final = 22
_MADV_POPULATE_WRITE: Final = 23

Words = npt.NDArray[np.int64]


class Attached:
    """What a guest process hands out, as this process uses it.

    Parameters
    ----------
    channel
        To the guest.
    memory_bytes
        Its RAM [B].

    Attributes
    ----------
    words, registers
        RAM and registers, shared with the guest.
    descriptor
        The memfd.
    """

    def __init__(self, channel: Channel, memory_bytes: int) -> None:
        self._channel = channel
        self.memory_bytes = memory_bytes
        channel.send({"do": "attach"})
        self._facts, descriptors = channel.receive_with_descriptors(30.0)
        if "error" in self._facts:
            raise RunError(f"guest: {self._facts['error']}")
        channel.is_stopped = functools.partial(calls.is_stopped, self._facts["pid"])
        self._given = dict(zip(self._facts["descriptors"], descriptors, strict=True))
        self.descriptor = self._given["memory"]
        self._map = mmap.mmap(self.descriptor, memory_bytes + STATE_BYTES)
        everything = np.frombuffer(self._map, np.int64)
        self.words: Words = everything[: memory_bytes // 8]
        self.registers: Words = everything[memory_bytes // 8 :]

    def close(self) -> None:
        """Close the descriptors that nobody took; the memory goes with the last array over it."""
        while self._given:
            os.close(self._given.popitem()[1])

    @property
    def layout(self) -> Guest:
        """What guest it is: its memory and its page classes."""
        return schema.from_record({"guest": self._facts["guest"]}).guest

    @property
    def operations(self) -> int:
        """Operations that the guest has done, read live."""
        return int(self.registers[writers.OPERATIONS])

    @property
    def running_s(self) -> float:
        """Running time of the guest, read live [s]."""
        return float(self.registers[writers.RUNNING_NS]) * 1e-9

    def cpu_s(self) -> float:
        """Return the processor time that the guest has used, in nanosecond steps of the scheduler [s]."""
        return int(Path(f"/proc/{self._facts['pid']}/schedstat").read_text().split()[0]) * 1e-9

    def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have the guest obey (``stop``, ``resume``, ``throttle``) and return its report."""
        return self._channel.ask({"do": do, **arguments})

    @property
    def address(self) -> int:
        """Where the guest itself maps its RAM."""
        return int(self._facts["address"])

    def take_userfaultfd(self) -> int:
        """Return the guest's userfaultfd, before its handshake; it is the caller's from now on.

        Raises
        ------
        CapabilityError
            The guest may not have one.
        """
        if "uffd" not in self._given:
            raise CapabilityError(str(self._facts.get("uffd_refused", "userfaultfd: it has been taken already")))
        return int(self._given.pop("uffd"))

    def open_tracker(self, name: str | None) -> trackers.Tracker:
        """Return a tracker of the guest's RAM, not armed yet."""
        uffd = self._given.pop("uffd", None)
        if uffd is None and name is not None and name.startswith("uffd"):
            raise CapabilityError(f"tracker {name}: {self._facts['uffd_refused']}")
        return trackers.open_tracker(
            name,
            uffd=uffd,
            pid=self._facts["pid"],
            address=self._facts["address"],
            length_bytes=self.memory_bytes,
            memory=self.words.view(np.uint8),
            written=self.written(),
        )

    def take_uffd(self) -> int:
        """Return the userfaultfd that the guest made for its memory; it is the caller's from now on.

        Raises
        ------
        CapabilityError
            The guest could not make one; the message says why.
        """
        if "uffd" not in self._given:
            raise CapabilityError(f"post-copy: {self._facts['uffd_refused']}")
        return int(self._given.pop("uffd"))

    def discard(self, first: int, end: int) -> None:
        """Take pages out of the memory: whoever touches them faults as on memory never touched."""
        self._map.madvise(mmap.MADV_REMOVE, first * 4096, (end - first) * 4096)

    def populate(self, length_bytes: int) -> None:
        """Take the first bytes of the memory from the kernel now: a page that comes later need not wait for that.

        A kernel before Linux 5.14 does not do it in advance, so pages are taken as they come.
        """
        with contextlib.suppress(OSError):
            self._map.madvise(_MADV_POPULATE_WRITE, 0, length_bytes)

    def written(self) -> npt.NDArray[np.uint8] | None:
        """Return the map in which the writers mark pages, one byte a page; None: they do not."""
        descriptor = self._given.get("written")
        if descriptor is None:
            return None
        return np.frombuffer(mmap.mmap(descriptor, self.memory_bytes // 4096), np.uint8)

    def prepare(self) -> None:
        """Map the pages that the memory holds now, so that a look at one need not wait; as :meth:`populate`."""
        with contextlib.suppress(OSError):
            for first, end in self._held():
                self._map.madvise(_MADV_POPULATE_READ, first * 4096, (end - first) * 4096)

    def holes(self) -> npt.NDArray[np.uint8]:
        """Return one byte a page, 1 where the memfd holds no page at all: zero without a look.

        When as many pages are in memory as are allocated, those are all that it holds. Otherwise pages were
        swapped out or are being added, and the file is asked, which takes ten times as long.
        """
        resident = calls.resident(self.words.ctypes.data, self.memory_bytes + STATE_BYTES)
        if int(resident.sum()) == os.fstat(self.descriptor).st_blocks * _BLOCK_BYTES // 4096:
            return 1 - resident[: self.memory_bytes // 4096]
        holes = np.ones(self.memory_bytes // 4096, np.uint8)
        for first, end in self._held():
            holes[first:end] = 0
        return holes

    def _held(self) -> Iterator[tuple[int, int]]:
        """Yield the half-open ranges of pages that the memfd holds."""
        position = 0
        while position < self.memory_bytes:
            try:
                start = os.lseek(self.descriptor, position, os.SEEK_DATA)
            except OSError:
                return
            position = min(os.lseek(self.descriptor, start, os.SEEK_HOLE), self.memory_bytes)
            if start < position:
                yield start // 4096, -(-position // 4096)
