"""Post-copy: the guest runs at the destination while its pages still arrive.

The destination takes the absent pages out of its memory and registers the guest's RAM with a
userfaultfd in missing mode. A page that the guest touches too early is demanded over the return
path; the source sends it at once, before what it pushes in the background. Each page is sent once.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from typing import Any, Final

import numpy as np

from migkit.harness import wire
from migkit.harness.attached import Attached
from migkit.harness.userfaultfd import Feature, Mode, Userfaultfd
from migkit.harness.wire import Frame, Receiver, Sender
from migkit.kernels import wire as kernels
from migkit.units import PAGE_BYTES

__all__ = ["RANGES_PER_FRAME", "Arrivals", "Pusher", "limit_unsent"]

RANGES_PER_FRAME: Final = 4096
_PUSH_PAGES: Final = 32
_UNSENT_BYTES: Final = 128 << 10
_BINS: Final = 20  # of the latency histogram: 2^0 to 2^19 microseconds
_TCP_NOTSENT_LOWAT: Final = 25


def limit_unsent(connection: socket.socket) -> None:
    """Keep little unsent data in the kernel, so that a demanded page need not queue behind it."""
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


class Pusher:
    """The source's side: pushes what is left, demanded pages first.

    Parameters
    ----------
    guest
        Stopped.
    sender, receiver
        Of the connection.
    bitmap, holes
        One byte a page: still to send; known to be zero.
    position
        Where to begin [page].
    prefetch_pages
        Neighbours that are sent behind each page that is demanded.

    Attributes
    ----------
    sent
        Full and zero pages sent.
    demanded
        Pages that were demanded and not on their way yet.
    """

    def __init__(
        self,
        guest: Attached,
        sender: Sender,
        receiver: Receiver,
        bitmap: np.ndarray,
        holes: np.ndarray,
        position: int,
        prefetch_pages: int,
    ) -> None:
        self._guest, self._sender, self._receiver = guest, sender, receiver
        self._bitmap, self._holes, self._position = bitmap, holes, position
        self._most = min(1 + prefetch_pages, wire.FRAME_PAGES)
        self._headers = np.zeros(max(_PUSH_PAGES, self._most), np.int64)
        self._tally = np.zeros(2, np.int64)
        self.remaining = int(bitmap.sum())
        self.sent = np.zeros(2, np.int64)
        self.demanded = 0

    def step(self, connection: socket.socket) -> bool:
        """Serve what is demanded, else push a little; False: the destination has everything."""
        writing = [connection] if self.remaining else []
        readable, writable, _ = select.select([connection], writing, [])
        if readable:
            frame = self._receiver.receive(wire.DEMAND, wire.COMPLETE)
            if frame.kind == wire.COMPLETE:
                return False
            for page in frame.words.tolist():
                self._send_demanded(page)
        elif writable:
            self._push()
        return True

    def _send_demanded(self, page: int) -> None:
        if not (0 <= page < self._bitmap.size and self._bitmap[page]):
            return
        self.demanded += 1
        end = min(page + self._most, self._bitmap.size)
        window = self._bitmap[page:end]
        kernels.select(
            self._guest.words[page * kernels.PAGE_WORDS :],
            window,
            self._holes[page:end],
            0,
            math.inf,
            self._headers[: self._most],
            self._tally,
        )
        self._headers[: int(self._tally.sum())] += page
        self._send()

    def _push(self) -> None:
        self._position = int(
            kernels.select(
                self._guest.words,
                self._bitmap,
                self._holes,
                self._position,
                math.inf,
                self._headers[:_PUSH_PAGES],
                self._tally,
            )
        )
        self._send()

    def _send(self) -> None:
        full, zero = int(self._tally[0]), int(self._tally[1])
        self._sender.pages(self._guest.words, self._headers, full, zero)
        self.remaining -= full + zero
        self.sent += self._tally


class Arrivals:
    """The destination's side: places pages as they arrive, demands those that the guest waits for.

    Parameters
    ----------
    guest
        Not running yet.
    sender, receiver
        Of the connection.
    absent
        Half-open ranges of the pages that are still to come.
    """

    def __init__(self, guest: Attached, sender: Sender, receiver: Receiver, absent: np.ndarray) -> None:
        self._guest, self._sender, self._receiver = guest, sender, receiver
        self._absent = np.zeros(guest.memory_bytes // PAGE_BYTES, np.bool_)
        for first, end in absent.tolist():
            self._absent[first:end] = True
            guest.discard(first, end)
        self._left = int(self._absent.sum())
        self._uffd = Userfaultfd(guest.take_uffd(), Feature.MISSING_SHMEM)
        self._uffd.register(guest.address, guest.memory_bytes, Mode.MISSING)
        self._waiting: dict[int, int] = {}
        self._latencies_ns: list[int] = []

    def serve(self, connection: socket.socket) -> None:
        """Place pages and demand others until none is absent."""
        listened: list[socket.socket | Userfaultfd] = [connection, self._uffd]
        while self._left:
            ready = select.select(listened, [], [])[0]
            if self._uffd in ready:
                self._demand()
            if connection in ready:
                self._place(self._receiver.receive(wire.PAGES))
        self._uffd.unregister(self._guest.address, self._guest.memory_bytes)
        self._uffd.close()
        self._sender.message(wire.COMPLETE)

    def _demand(self) -> None:
        """Ask for the pages that the guest waits for; one that has come meanwhile only needs a wake."""
        now = time.monotonic_ns()
        wanted = []
        for address in self._uffd.faults()["address"].tolist():
            page = (address - self._guest.address) // PAGE_BYTES
            if not self._absent[page]:
                self._uffd.wake(self._address(page), PAGE_BYTES)
            elif page not in self._waiting:
                self._waiting[page] = now
                wanted.append(page)
        if wanted:
            self._sender.blob(wire.DEMAND, np.array(wanted, np.int64).tobytes())

    def _place(self, frame: Frame) -> None:
        headers = frame.words[: frame.count]
        full = (headers >> kernels.KIND_SHIFT) == kernels.FULL
        pages = headers & kernels.INDEX_MASK
        body = frame.words[frame.count :]
        source = int(body.__array_interface__["data"][0])
        wire.check_pages(frame, self._absent.size)
        for first, count in _runs(pages[full]):
            self._copy(first, count, source)
            source += count * PAGE_BYTES
        for first, count in _runs(pages[~full]):
            self._retry(lambda at, size: self._uffd.zero(at, size), first, count)
        self._left -= int(self._absent[pages].sum())
        self._absent[pages] = False
        self._arrived(pages)

    def _copy(self, first: int, count: int, source: int) -> None:
        start = self._address(first)
        self._retry(lambda at, size: self._uffd.copy(at, source + at - start, size), first, count)

    def _retry(self, place: Any, first: int, count: int) -> None:
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

    def _arrived(self, pages: np.ndarray) -> None:
        if not self._waiting:
            return
        now = time.monotonic_ns()
        for page in pages.tolist():
            with contextlib.suppress(KeyError):
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
            "latency_histogram": np.bincount(bins, minlength=_BINS).tolist() if latencies_s.size else [0] * _BINS,
        }


def _runs(pages: np.ndarray) -> list[tuple[int, int]]:
    """Return runs of neighbouring pages, in their order, as first page and count.

    Examples
    --------
    >>> _runs(np.array([4, 5, 6, 9, 2]))
    [(4, 3), (9, 1), (2, 1)]
    """
    if not pages.size:
        return []
    starts = np.flatnonzero(np.diff(pages, prepend=pages[0] - 2) != 1)
    counts = np.diff(starts, append=pages.size)
    return list(zip(pages[starts].tolist(), counts.tolist(), strict=True))
