"""Post-copy at the destination: the guest runs here while its pages still arrive.

The absent pages are taken out of its memory, which is registered with a userfaultfd in missing
mode. Whoever touches one too early waits until it is there: it is demanded at once, and comes over
a connection of its own. While the guest waits, nothing else is taken in, and this process does not
sleep: to wake it takes as long as the answer is on its way. What does not come soon is on its way among
what is pushed, so that is taken in again; always, where demanded pages come among those. Compiled code sends
a demand and places its page where it can (:mod:`migkit.harness.sides.shortcut`).
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from migkit.harness.guests.attached import Attached
from migkit.harness.linux.userfaultfd import Feature, Mode, Userfaultfd
from migkit.harness.protocol import pages as layout
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.wire import Frame
from migkit.harness.sides import placement, shortcut
from migkit.units import PAGE_BYTES

__all__ = ["Arrivals"]

_ANSWER_NS: Final = 500_000  # so long the push stands for a demand: several round trips
_BINS: Final = 20  # of the latency histogram: 2^0 to 2^19 microseconds


class Arrivals:
    """Places pages as they arrive, demands those that the guest waits for.

    Parameters
    ----------
    guest
        Not running yet.
    absent
        Half-open ranges of the pages that are still to come.
    preempt
        Whether demanded pages come over the connection of the demands.
    """

    def __init__(self, guest: Attached, absent: np.ndarray, preempt: bool) -> None:
        self._guest = guest
        self._absent = np.zeros(guest.memory_bytes // PAGE_BYTES, np.uint8)
        for first, end in absent.tolist():
            self._absent[first:end] = 1
            guest.discard(first, end)
        self._left = int(self._absent.sum())
        self._runs = np.zeros(placement.RUN_SLOTS * (wire.FRAME_PAGES + 1), np.int64)
        self._uffd = Userfaultfd(guest.take_uffd(), Feature.MISSING_SHMEM)
        self._uffd.register(guest.address, guest.memory_bytes, Mode.MISSING)
        self._shortcut: shortcut.Demands | None = None
        self._answer_ns = _ANSWER_NS if preempt else 0
        self._waiting: dict[int, int] = {}
        self._latencies_ns: list[int] = []

    def serve(self, main: Connection, demands: Connection, patience_s: float) -> None:
        """Place pages and demand others until none is absent, and tell the source.

        Raises
        ------
        ConnectionLostError, WireError
            A connection failed, or nothing moved for ``patience_s``; what came before is in place.
        """
        self._shortcut = self._find_shortcut(demands)
        self._ask(demands, list(self._waiting))
        poll = select.poll()
        for each in (main, demands, self._uffd):
            poll.register(each, select.POLLIN)
        while self._left:
            held = self._is_answer_due()
            poll.modify(main, 0 if held else select.POLLIN)
            ready = dict(poll.poll(0.0 if held else patience_s * 1e3))
            if self._uffd.fileno() in ready:
                self._demand(demands)
            if demands.fileno() in ready:
                self._take(demands)
            elif main.fileno() in ready and self._uffd.fileno() not in ready:
                self._place(main.receiver.receive(wire.PAGES))
            elif not ready and not held:
                raise wire.ConnectionLostError("connection: lost in post-copy (nothing moved for too long)")
        with contextlib.suppress(wire.ConnectionLostError):  # the guest is whole, whether or not the source hears it
            main.sender.message(wire.COMPLETE)

    def _is_answer_due(self) -> bool:
        """Say whether the guest waits for a page that was demanded a moment ago."""
        return bool(self._waiting) and time.monotonic_ns() - max(self._waiting.values()) < self._answer_ns

    def announce(self, main: Connection) -> None:
        """Tell a source that came back which pages are still absent."""
        main.sender.absent(self._absent)

    def close(self) -> None:
        """Leave the guest alone."""
        self._uffd.unregister(self._guest.address, self._guest.memory_bytes)
        self._uffd.close()

    def _find_shortcut(self, demands: Connection) -> shortcut.Demands | None:
        if not shortcut.is_open(demands):
            return None
        return shortcut.Demands(demands, self._uffd, self._guest.address, self._absent.size)

    def _demand(self, demands: Connection) -> None:
        """Ask for the pages that the guest waits for."""
        now = time.monotonic_ns()
        pages = [(address - self._guest.address) // PAGE_BYTES for address in self._uffd.addresses()]
        self._ask(demands, [page for page in pages if self._waits(page, now)])

    def _waits(self, page: int, now: int) -> bool:
        """Note that the guest waits for a page, and return whether that is new; one that has come needs a wake."""
        if not self._absent[page]:
            self._uffd.wake(self._address(page), PAGE_BYTES)
            return False
        if page in self._waiting:
            return False
        self._waiting[page] = now
        return True

    def _ask(self, demands: Connection, pages: list[int]) -> None:
        if self._shortcut is not None and len(pages) == 1:
            self._shortcut.ask(pages[0])
        elif pages:
            demands.sender.blob(wire.DEMAND, np.array(pages, np.int64).tobytes())

    def _take(self, demands: Connection) -> None:
        """Place what comes over the connection of the demands."""
        if self._shortcut is None or (page := self._shortcut.take()) < 0:
            self._place(demands.receiver.receive(wire.PAGES))
            return
        self._left -= int(self._absent[page])
        self._absent[page] = 0
        if not self._shortcut.placed:
            self._copy(page, 1, self._shortcut.body)
        self._arrived()

    def _place(self, frame: Frame) -> None:
        wire.check_pages(frame, self._absent.size)
        self._left -= int(placement.arrive(frame.headers, self._absent, self._runs))
        body = ctypes.addressof(ctypes.c_char.from_buffer(frame.payload)) + 8 * frame.count
        for kind, first, count in self._found(frame.count):
            if kind == layout.FULL:
                self._copy(first, count, body)
                body += count * PAGE_BYTES
            else:
                self._retry(self._uffd.zero, first, count)
        if self._waiting:
            self._arrived()

    def _found(self, pages: int) -> Iterator[tuple[int, int, int]]:
        """Yield the runs of a frame of so many pages: kind, first page, pages."""
        slots = iter(self._runs[: placement.RUN_SLOTS * pages + 1].tolist())
        for kind in slots:
            if kind < 0:
                return
            yield kind, next(slots), next(slots)

    def _copy(self, first: int, count: int, source: int) -> None:
        start = self._address(first)
        self._retry(lambda at, size: self._uffd.copy(at, source + at - start, size), first, count)

    def _retry(self, place: Callable[[int, int], int], first: int, count: int) -> None:
        """Place a run of pages page by page where it does not go at once; what is there already stays."""
        at, end = self._address(first), self._address(first + count)
        while at < end:
            try:
                at += max(place(at, end - at), 0)
            except FileExistsError:
                self._uffd.wake(at, PAGE_BYTES)
                at += PAGE_BYTES
            except BlockingIOError:
                continue

    def _arrived(self) -> None:
        now = time.monotonic_ns()
        for page in [page for page in self._waiting if not self._absent[page]]:
            self._latencies_ns.append(now - self._waiting.pop(page))

    def _address(self, page: int) -> int:
        return self._guest.address + page * PAGE_BYTES

    def report(self) -> dict[str, Any]:
        """Return faults, their latencies [s] as a histogram by powers of two of a microsecond, and blocktime [s]."""
        latencies_s = np.array(self._latencies_ns) * 1e-9
        bins = np.clip(np.log2(np.maximum(latencies_s * 1e6, 1.0)).astype(np.int64), 0, _BINS - 1)
        return {
            "faults": len(self._latencies_ns),
            "blocktime_s": float(latencies_s.sum()),
            "median_latency_s": float(np.median(latencies_s)) if latencies_s.size else 0.0,
            "latency_histogram": np.bincount(bins, minlength=_BINS).tolist(),
        }
