"""Post-copy at the source: the guest runs at the destination while its pages still leave.

What is left is pushed over the main connection, under a cap in windows of 100 ms. Pages that
the guest waits for are demanded over a second connection and sent before anything else is pushed,
whatever is left of the window: over that connection, so that they queue neither here nor on the way, or,
without ``strategy.preempt``, over the main one. Each page is sent once.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from migkit.engine.packing import WINDOW_S
from migkit.harness.guests.attached import Attached
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.wire import Sender
from migkit.harness.sides import shortcut

__all__ = ["Pusher"]

_BUSY_PAGES: Final = 16  # of a pushed frame while the guest waits for pages again and again: they wait for its end
_CALM_PAGES: Final = 256
_CALM_S: Final = 0.01  # without a demand


class Pusher:
    """Sends what is left, demanded pages first.

    Parameters
    ----------
    guest
        Stopped.
    bitmap, holes
        One byte a page: still to send; known to be zero.
    position
        Where to begin [page].
    prefetch_pages
        Neighbours that are sent behind each page that is demanded.
    preempt
        Whether demanded pages go over the connection of the demands.
    quota_bytes
        What a window may carry, demanded pages included; once it is used up only they are sent [B].

    Attributes
    ----------
    remaining
        Pages still to send.
    sent
        Full and zero pages sent.
    """

    def __init__(
        self,
        guest: Attached,
        bitmap: np.ndarray,
        holes: np.ndarray,
        position: int,
        prefetch_pages: int,
        preempt: bool,
        quota_bytes: float,
    ) -> None:
        self._guest = guest
        self._bitmap, self._holes, self._position = bitmap, holes, position
        self._headers, self._tally = np.zeros(wire.FRAME_PAGES, np.int64), np.zeros(2, np.int64)
        self._shortcut: shortcut.Answers | None = None
        self._most = min(1 + prefetch_pages, wire.FRAME_PAGES)
        self._preempt = preempt
        self._calm_s = 0.0
        self._quota_bytes = self._left_bytes = quota_bytes
        self._window_s = 0.0
        self._absent_at_first = bitmap.astype(np.bool_)
        self.remaining = int(bitmap.sum())
        self.sent = np.zeros(2, np.int64)

    def resume(self, absent: np.ndarray) -> None:
        """Begin anew with what the destination says is absent: half-open ranges of pages.

        Raises
        ------
        WireError
            It names pages that were never absent.
        """
        self._bitmap[:] = 0
        for first, end in absent.tolist():
            self._bitmap[first:end] = 1
        if (self._bitmap[~self._absent_at_first]).any():
            raise wire.WireError("wire: an ABSENT frame names pages that were there before the guest moved")
        self.remaining = int(self._bitmap.sum())

    def run(self, main: Connection, demands: Connection, patience_s: float, pushed: Callable[[], None]) -> None:
        """Push until the destination has everything; ``pushed`` is called after each frame.

        Raises
        ------
        ConnectionLostError, WireError
            A connection failed, or nothing moved for ``patience_s``.
        """
        self._window_s = time.monotonic()
        answers = demands.sender if self._preempt else main.sender
        self._shortcut = self._find_shortcut(demands, answers)
        poll = select.poll()
        poll.register(demands, select.POLLIN)
        while True:
            wait_s = self._held_back_s() if self.remaining else patience_s
            poll.register(main, select.POLLIN | (0 if wait_s else select.POLLOUT))
            ready = dict(poll.poll((wait_s or patience_s) * 1e3))
            if not ready and wait_s and self.remaining:
                continue
            if not ready:
                raise wire.ConnectionLostError("connection: lost in post-copy (nothing moved for too long)")
            if ready.get(main.fileno(), 0) & ~select.POLLOUT:
                main.receiver.receive(wire.COMPLETE)
                return
            if demands.fileno() in ready:
                try:
                    self._serve(demands, answers)
                except wire.ConnectionLostError:
                    if self.remaining:
                        raise
                    poll.unregister(demands)  # the destination may be complete and gone; the first connection tells
            else:
                self._push(main.sender)
                pushed()

    def _find_shortcut(self, demands: Connection, sender: Sender) -> shortcut.Answers | None:
        if sender.packs or not shortcut.is_open(demands):
            return None
        pages = self._guest.words, self._bitmap, self._holes, self._headers[: self._most], self._tally
        return shortcut.Answers(demands, sender, pages)

    def _held_back_s(self) -> float:
        """Return how long it takes until the window has a quota again [s]; 0: it has one now."""
        over_s = time.monotonic() - self._window_s - WINDOW_S
        if over_s >= 0.0:
            self._left_bytes = self._quota_bytes
            self._window_s += WINDOW_S * (1.0 + over_s // WINDOW_S)
        return max(self._window_s + WINDOW_S - time.monotonic(), 1e-3) if self._left_bytes <= 0.0 else 0.0

    def _push(self, sender: Sender) -> None:
        """Send the next frame: a short one when a demand is likely to wait for its end."""
        most = _CALM_PAGES if time.monotonic() >= self._calm_s else _BUSY_PAGES
        self._position = self._select(0, self._bitmap.size, self._position, most, self._left_bytes)
        self._send(sender)

    def _serve(self, demands: Connection, sender: Sender) -> None:
        """Send what is demanded, unless it is on its way, and absent neighbours behind it."""
        self._calm_s = time.monotonic() + _CALM_S
        if self._is_answered(sender):
            return
        for page in demands.receiver.receive(wire.DEMAND).words.tolist():
            if not 0 <= page < self._bitmap.size:
                raise wire.WireError(f"wire: a DEMAND frame names page {page}, beyond the guest's memory")
            if self._bitmap[page]:
                self._select(page, page + self._most, 0, self._most, math.inf)
                self._send(sender)

    def _is_answered(self, sender: Sender) -> bool:
        """Send what the next demand asks for the short way, if that is open; say whether it was one for it."""
        if self._shortcut is None:
            return False
        taken, sent_bytes = self._shortcut.answer()
        if sent_bytes:
            self._account(sent_bytes)
        elif self._tally.any():
            self._send(sender)
        return taken

    def _select(self, first: int, end: int, position: int, most: int, budget_bytes: float) -> int:
        """Take up to ``most`` pages between two from a position on, both counted from the first."""
        position = int(
            page_loops.select(
                self._guest.words[first * page_loops.PAGE_WORDS :],
                self._bitmap[first:end],
                self._holes[first:end],
                position,
                budget_bytes,
                self._headers[:most],
                self._tally,
            )
        )
        if first:
            self._headers[: int(self._tally.sum())] += first
        return position

    def _send(self, sender: Sender) -> None:
        full, zero = self._tally.tolist()
        self._account(sender.pages(self._guest.words, self._headers, full, zero, still=True))

    def _account(self, sent_bytes: int) -> None:
        self._left_bytes -= sent_bytes
        self.remaining -= int(self._tally.sum())
        self.sent += self._tally
