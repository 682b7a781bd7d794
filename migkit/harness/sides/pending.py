"""Which pages the source has still to send."""

from __future__ import annotations

import numpy as np

from migkit.engine.packing import WINDOW_S
from migkit.harness.guests.attached import Attached
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.streams import Streams
from migkit.harness.protocol.wire import Sender
from migkit.harness.sides.push import Pusher
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

__all__ = ["Pages"]


class Pages:
    """Which pages are still to send, and the sending of them.

    To be made after the tracker is armed: a hole that is written before would pass as a zero page.
    """

    def __init__(self, guest: Attached, sender: Sender, streams: Streams) -> None:
        self._guest = guest
        self._sender = sender
        self._streams = streams
        pages = guest.memory_bytes // PAGE_BYTES
        self._bitmap = np.ones(pages, np.uint8)
        self._holes = guest.holes()
        self._headers = np.zeros(streams.frame_pages, np.int64)
        self._tally = np.zeros(2, np.int64)
        self._position = 0
        self.remaining = pages
        self.sent = np.zeros(2, np.int64)

    def mark(self, ranges: np.ndarray) -> int:
        """Add what a sync found; return how many pages it marked, those already marked included."""
        flat = np.ascontiguousarray(ranges).reshape(-1)
        self.remaining += int(page_loops.mark(self._bitmap, self._holes, flat))
        return int((ranges[:, 1] - ranges[:, 0]).sum())

    def send(self, budget_bytes: float, *, still: bool = False) -> None:
        """Send one frame, as full as the budget allows, from where the last one ended.

        ``still``: the guest does not run.
        """
        self._position = int(
            page_loops.select(
                self._guest.words,
                self._bitmap,
                self._holes,
                self._position,
                budget_bytes - wire.FRAME_BYTES,
                self._headers,
                self._tally,
            )
        )
        full, zero = int(self._tally[0]), int(self._tally[1])
        self.remaining -= full + zero
        self.sent += self._tally
        if full + zero:
            self._streams.pages(self._guest.words, self._headers, full, zero, still=still)

    def announce(self) -> None:
        """Tell the destination which pages it does not have; from now on whole pages are sent."""
        self._sender.differences = None
        self._sender.absent(self._bitmap)

    def pusher(self, scenario: Scenario) -> Pusher:
        """Return what sends the rest in post-copy, as the scenario says."""
        quota_bytes = scenario.policy.max_postcopy_bandwidth_bytes_per_s * WINDOW_S
        strategy = scenario.strategy
        return Pusher(
            self._guest,
            self._bitmap,
            self._holes,
            self._position,
            strategy.prefetch_pages,
            strategy.preempt,
            quota_bytes,
        )

    def totals(self) -> dict[str, int]:
        """Return what was sent so far, as the destination checks it."""
        full, zero = self.sent.tolist()
        return {"full_pages": full, "zero_pages": zero, "checksum": self._streams.checksum}
