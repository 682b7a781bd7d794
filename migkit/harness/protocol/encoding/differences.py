"""The source's bounded memory of what it sent, so that a page which changed little is sent as a difference."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from migkit.harness.protocol.encoding import delta
from migkit.harness.protocol.frame import FRAME_PAGES
from migkit.harness.protocol.pages import PAGE_WORDS
from migkit.units import PAGE_BYTES

__all__ = ["Differences"]

Words = npt.NDArray[np.int64]


class Differences:
    """A cache of pages as the destination has them; used by the senders of all streams.

    Parameters
    ----------
    cache_bytes
        Content that is remembered, at most [B].

    Attributes
    ----------
    turn
        The round. As in QEMU nothing is remembered of the first one, which sends every page once.
    """

    def __init__(self, cache_bytes: int) -> None:
        slots = cache_bytes // PAGE_BYTES
        self._held = np.full(slots, -1)
        self._used = np.zeros(slots, np.int64)
        self._content = np.zeros(slots * PAGE_WORDS, np.int64)
        self._scratch = np.zeros(FRAME_PAGES * PAGE_WORDS, np.int64)
        self._lock = threading.Lock()
        self.turn = 1

    def pack(self, memory: Words, headers: Words, bodies: Words) -> int:
        """Copy pages, as differences where shorter (:func:`migkit.harness.protocol.encoding.delta.pack`)."""
        with self._lock:
            cache = self._held, self._used, self._content
            return int(delta.pack(memory, headers, bodies, self._scratch, *cache, self.turn))
