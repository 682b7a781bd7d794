"""Which pages the cache of differences (XBZRLE) holds, class by class, in expectation.

A page that is sent by the second pass or a later one is remembered; when it is sent again, the difference is sent.
Pages that share a slot of the cache keep each other out: the one that holds it loses it to another only when it was
not sent by the pass before (QEMU page_cache.c). That is followed by class: how many of its pages are held.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.engine import dirty, layout
from migkit.engine.layout import CLASS_BASE, CLASS_SLOTS, CLASSES, XBZRLE_PAGES
from migkit.engine.run_state import TALLIES, TALLY_SLOTS
from migkit.jit import lean

__all__ = ["remember", "sent_share", "with_share"]

# Of a class
TOTAL: Final = 0  # writes by the last sync
PASSED: Final = 1  # pages sent since
BEFORE: Final = 2  # share of its pages that the pass before sent
EVER: Final = 3  # share of its pages that any pass but the first has sent
HELD: Final = 4  # share of its pages that the cache holds


@lean
def sent_share(record: np.ndarray, work: np.ndarray, c: int) -> float:
    """Return which share of a class's pages this pass has sent."""
    pages = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    return float(min(1.0, work[TALLIES + c * TALLY_SLOTS + PASSED] / pages))


@lean
def remember(record: np.ndarray, work: np.ndarray, crowded: bool) -> None:
    """Count which pages the cache holds now, after a pass."""
    if crowded:
        _contend(record, work)
    for c in range(int(record[CLASSES])):
        tally = TALLIES + c * TALLY_SLOTS
        sent = sent_share(record, work, c)
        sweeps = record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP
        work[tally + EVER] = with_share(work[tally + EVER], sent, sweeps)
        if not crowded:
            work[tally + HELD] = work[tally + EVER]


@lean
def with_share(ever: float, sent: float, sweeps: bool) -> float:
    """Return which share of pages was sent once, after a pass that sent this share of them."""
    return min(1.0, ever + sent) if sweeps else ever + (1.0 - ever) * min(1.0, sent)


@lean
def _contend(record: np.ndarray, work: np.ndarray) -> None:
    """Let pages take the slots that are free, and those whose holder was not sent for two passes."""
    slots = record[XBZRLE_PAGES]
    classes = int(record[CLASSES])
    free = 1.0
    nobody = 1.0  # odds that no page of a slot is sent
    for c in range(classes):
        each = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES] / slots
        free -= work[TALLIES + c * TALLY_SLOTS + HELD] * each
        nobody *= (1.0 - sent_share(record, work, c)) ** each
    free = max(0.0, free)
    lost = 0.0
    weights = 0.0
    ahead = 1.0  # odds that no page of a slot was sent before this class
    for c in range(classes):
        tally = TALLIES + c * TALLY_SLOTS
        each, sent = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES] / slots, sent_share(record, work, c)
        first = ahead * (1.0 - sent) ** max(0.0, 0.5 * (each - 1.0))
        others = nobody / (1.0 - sent) ** min(1.0, each) if sent < 1.0 else 0.0  # that no other one is
        stale = 1.0 - work[tally + BEFORE]
        gone = work[tally + HELD] * stale * (sent * (1.0 - first) + (1.0 - sent) * (1.0 - others))
        work[tally + HELD] -= gone
        lost += gone * each
        weights += ahead * (1.0 - (1.0 - sent) ** each)
        ahead *= (1.0 - sent) ** each
    ahead = 1.0
    for c in range(classes):
        tally = TALLIES + c * TALLY_SLOTS
        each, sent = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES] / slots, sent_share(record, work, c)
        weight = ahead * (1.0 - (1.0 - sent) ** each)
        if weights > 0.0:
            work[tally + HELD] += (free * weight + lost * weight / weights) / each
        ahead *= (1.0 - sent) ** each
