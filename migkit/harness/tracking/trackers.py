"""Trackers: which pages of another process's memory were written since the last look.

An *exact* tracker misses no page. ``collect`` returns what was written and re-arms in the same
step: a write that comes after a page's re-arming is in the next collection, and one that comes
before it is in the memory that the caller reads afterwards.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError, RunError, UsageError
from migkit.harness import probe
from migkit.harness.linux.pagemap import Pagemap, scan_of
from migkit.harness.linux.ptrace import frozen
from migkit.harness.linux.userfaultfd import FaultFlag, Feature, Mode, Userfaultfd
from migkit.harness.tracking import hashing
from migkit.jit import compile_kernels
from migkit.units import PAGE_BYTES

__all__ = ["EXACT", "TRACKERS", "Tracker", "open_tracker", "ranges_of"]

Ranges = npt.NDArray[np.int64]
T = TypeVar("T")

_WP_ASYNC: Final = Feature.WP_ASYNC | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
_WP_SYNC: Final = Feature.PAGEFAULT_FLAG_WP | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
_HASH_CONSTANTS: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(29))
_FEW_RANGES: Final = 64  # up to which protecting each takes less than protecting all
_PAGE_SHIFT: Final = PAGE_BYTES.bit_length() - 1


class Tracker(Protocol):
    """What every tracker does."""

    name: str

    def arm(self) -> None:
        """Begin: nothing counts as written."""

    def collect(self) -> Ranges:
        """Return the pages written since ``arm`` or the last ``collect``, re-armed.

        Returns
        -------
        ndarray
            (n, 2) half-open ranges of page indices, relative to the tracked region, in order; valid until
            the next ``collect``.
        """

    def close(self) -> None:
        """Undo all tracking; a second call does nothing."""


def open_tracker(
    name: str | None,
    *,
    uffd: int | None = None,
    pid: int,
    address: int,
    length_bytes: int,
    memory: npt.NDArray[np.uint8] | None = None,
    written: npt.NDArray[np.uint8] | None = None,
) -> Tracker:
    """Return a tracker of a region of another process's memory, not armed yet.

    Parameters
    ----------
    name
        One of :data:`TRACKERS`; None: the first of them that works here with what is given.
    uffd
        A userfaultfd created by that process, before its handshake; owned by the tracker from now on
        (``uffd-async``, ``uffd-sync``).
    pid
        The process.
    address, length_bytes
        The region, in whole pages of 4 KiB.
    memory
        The same memory as this process sees it (``hash``).
    written
        One byte a page, shared with the writers: each sets its page's byte to 1 *after* the write
        (``instrumented``).

    Raises
    ------
    UsageError
        An unknown name, or something that this tracker needs is not given.
    CapabilityError
        The kernel or the privileges here do not allow it.
    """
    name = name or _best(uffd=uffd, written=written, memory=memory)
    if name not in TRACKERS:
        raise UsageError(f"tracker: {name!r} is not known; use one of {', '.join(TRACKERS)}")
    if name.startswith("uffd"):
        given = _given(name, "a userfaultfd of the process", uffd)
        kind = UffdAsync if name == "uffd-async" else UffdSync
        return kind(given, pid, address, length_bytes)
    if name == "soft-dirty":
        return SoftDirty(pid, address, length_bytes)
    if name == "instrumented":
        return Instrumented(_given(name, "the map that the writers mark", written))
    return Hash(_given(name, "the memory as this process maps it", memory))


def ranges_of(marked: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> Ranges:
    """Return the runs of set entries as half-open index ranges.

    Examples
    --------
    >>> ranges_of(np.array([1, 1, 0, 0, 1], np.uint8)).tolist()
    [[0, 2], [4, 5]]
    """
    edges = np.diff(marked.astype(np.bool_).astype(np.int8), prepend=0, append=0)
    return np.stack((np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)), axis=1)


class UffdAsync:
    """Asynchronous write-protection: the kernel lifts it on a write, PAGEMAP_SCAN sees where and puts it back."""

    name = "uffd-async"

    def __init__(self, uffd: int, pid: int, address: int, length_bytes: int) -> None:
        compile_kernels()
        self._start, self._length_bytes = address, length_bytes
        self._scan = scan_of(address, address + length_bytes, protect=True)
        self._uffd = _handshake(uffd, _WP_ASYNC, self.name)
        try:
            self._uffd.register(address, length_bytes, Mode.WRITE_PROTECT)
            self._pagemap = Pagemap(pid)
            self._pagemap.ranges(scan_of(0, 0))  # what scans is compiled, or loaded, before the first that counts
        except OSError as error:
            self._uffd.close()
            raise CapabilityError(f"tracker {self.name}: {error.strerror or error}") from error

    def arm(self) -> None:
        """Protect what is mapped by a scan, which takes a third of the time, then what lies between."""
        between = np.array([0, *self.collect().flat, self._length_bytes // PAGE_BYTES]).reshape(-1, 2)
        if len(between) > _FEW_RANGES:
            between = between[[0, -1], [0, 1]].reshape(1, 2)
        for first, end in between[between[:, 0] < between[:, 1]].tolist():
            self._uffd.protect(self._start + first * PAGE_BYTES, (end - first) * PAGE_BYTES)

    def collect(self) -> Ranges:
        return self._pagemap.ranges(self._scan, self._start, _PAGE_SHIFT)

    def close(self) -> None:
        _leave(self._uffd, self._start, self._length_bytes)
        self._pagemap.close()


class UffdSync:
    """Synchronous write-protection: a thread hears of each first write, notes the page and lets it go on.

    The page is noted and unprotected under one lock, and ``collect`` takes the notes and protects
    again under the same lock; else a page could be unprotected and in no later collection.
    """

    name = "uffd-sync"

    def __init__(self, uffd: int, pid: int, address: int, length_bytes: int) -> None:
        self._start, self._length_bytes = address, length_bytes
        self._uffd = _handshake(uffd, _WP_SYNC, self.name)
        self._written = np.zeros(length_bytes // PAGE_BYTES, np.bool_)
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        try:
            self._uffd.register(address, length_bytes, Mode.WRITE_PROTECT)
        except OSError as error:
            self._uffd.close()
            raise CapabilityError(f"tracker {self.name}: {error.strerror or error}") from error
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="write faults", daemon=True)
        self._thread.start()

    def arm(self) -> None:
        with self._lock:
            self._written[:] = False
            self._uffd.protect(self._start, self._length_bytes)

    def collect(self) -> Ranges:
        with self._lock:
            if self._failure is not None:
                raise RunError(f"tracker {self.name}: {self._failure}; the collection would not be complete")
            found = ranges_of(self._written)
            self._written[:] = False
            for first, last in found:
                self._uffd.protect(self._start + int(first) * PAGE_BYTES, int(last - first) * PAGE_BYTES)
        return found

    def close(self) -> None:
        if self._thread.is_alive():
            os.write(self._wake_write, b"x")
            self._thread.join()
        _leave(self._uffd, self._start, self._length_bytes)
        for descriptor in (self._wake_read, self._wake_write):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_read = self._wake_write = -1

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._uffd, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wake_read in ready:
                return
            try:
                self._release(self._uffd.faults())
            except OSError as error:
                self._failure = error
                return

    def _release(self, events: npt.NDArray[np.void]) -> None:
        protected = (events["flags"] & int(FaultFlag.WRITE_PROTECT)) != 0
        pages = (events["address"][protected].astype(np.int64) - self._start) // PAGE_BYTES
        with self._lock:
            self._written[pages] = True
            for page in pages:
                self._uffd.unprotect(self._start + int(page) * PAGE_BYTES, PAGE_BYTES)


class SoftDirty:
    """The page map's soft-dirty bits, cleared through ``clear_refs``.

    Reading and clearing are two steps, so the process is stopped between them, for as long as
    both take. Clearing is for the whole process.
    """

    name = "soft-dirty"

    def __init__(self, pid: int, address: int, length_bytes: int) -> None:
        self._pid, self._start, self._length_bytes = pid, address, length_bytes
        found = probe.probe("soft-dirty")
        if not found.available:
            raise CapabilityError(f"tracker {self.name}: {found.reason}; {found.remedy}")
        self._pagemap = Pagemap(pid)

    def arm(self) -> None:
        Path(f"/proc/{self._pid}/clear_refs").write_text("4")

    def collect(self) -> Ranges:
        with frozen(self._pid):
            marked = self._pagemap.soft_dirty(self._start, self._length_bytes)
            self.arm()
        return ranges_of(marked)

    def close(self) -> None:
        self._pagemap.close()


class Instrumented:
    """The writers mark each page in a shared map, after the write."""

    name = "instrumented"

    def __init__(self, written: npt.NDArray[np.uint8]) -> None:
        self._written = written

    def arm(self) -> None:
        self._written[:] = 0

    def collect(self) -> Ranges:
        marked = self._written != 0
        self._written[marked] = 0
        return ranges_of(marked)

    def close(self) -> None:
        """Nothing is held."""


class Hash:
    """Pages whose content changed, by a 64-bit hash of each.

    Not exact: a page that is written with what it held, or that holds the same again by the next
    look, is not seen; and every collection reads all memory.
    """

    name = "hash"

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        compile_kernels()
        self._words = memory.view(np.uint64)
        self._known = np.zeros(memory.size // PAGE_BYTES, np.uint64)
        self._fresh = np.zeros_like(self._known)

    def arm(self) -> None:
        self._hash(self._known)

    def collect(self) -> Ranges:
        self._hash(self._fresh)
        found = ranges_of(self._fresh != self._known)
        self._known, self._fresh = self._fresh, self._known
        return found

    def close(self) -> None:
        """Nothing is held."""

    def _hash(self, out: npt.NDArray[np.uint64]) -> None:
        with np.errstate(over="ignore"):
            hashing.hash_pages(self._words, PAGE_BYTES // 8, *_HASH_CONSTANTS, out)


EXACT: Final = {"uffd-async": True, "uffd-sync": True, "instrumented": True, "soft-dirty": True, "hash": False}
TRACKERS: Final = tuple(EXACT)
_NEEDS: Final[dict[str, tuple[str | None, str | None]]] = {
    "uffd-async": ("uffd", "uffd-wp-async"),
    "uffd-sync": ("uffd", "uffd-wp-sync"),
    "instrumented": ("written", None),
    "soft-dirty": (None, "soft-dirty"),
    "hash": ("memory", None),
}


def _best(**given: Any) -> str:
    """Return the first tracker for which all is given that it needs, and that works here."""
    reasons = []
    for name in TRACKERS:
        need, key = _NEEDS[name]
        if need is not None and given[need] is None:
            reasons.append(f"{name}: no {need} given")
        elif key is None or probe.probe(key).available:
            return name
        else:
            reasons.append(f"{name}: {probe.probe(key).reason}")
    raise CapabilityError(f"tracker: none works here: {'; '.join(reasons)}; see migkit doctor")


def _given(name: str, what: str, value: T | None) -> T:
    if value is None:
        raise UsageError(f"tracker {name}: needs {what}, which is not given; give it or choose another tracker")
    return value


def _leave(uffd: Userfaultfd, start: int, length_bytes: int) -> None:
    """Undo all, also where the process that made the descriptor keeps a copy of it open."""
    if uffd.fileno() >= 0:
        with uffd, suppress(ProcessLookupError):
            uffd.leave(start, length_bytes)


def _handshake(uffd: int, features: Feature, name: str) -> Userfaultfd:
    try:
        return Userfaultfd(uffd, features)
    except OSError as error:
        os.close(uffd)
        raise CapabilityError(
            f"tracker {name}: the kernel lacks {features!r} ({error.strerror}); use another tracker"
        ) from error
