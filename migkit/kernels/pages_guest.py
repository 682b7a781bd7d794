"""The guest of the page-level simulator: what every page holds, and writers that go page by page.

A class of random writers picks a page of its region uniformly for each write; a sweep goes
through its region in order and wraps. Writes are paced: ``rate x intensity x time`` of them,
fractions carried on. Their moments matter only where somebody looks, so they are made up
to the present whenever pages are sent or the bitmap is read.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.kernels import dirty, layout
from migkit.kernels._jit import jit
from migkit.kernels.layout import (
    CAPACITY,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    FILL_ZERO,
    GRAIN_PAGES,
    NORMAL_PAGES,
    WRITE_FAULT_S,
)

__all__ = ["GUEST_SLOTS", "class_of", "lay_out", "pick", "read_bitmap", "write"]

# Slots of the guest's scalars; the later ones once for each class
MARK_S: Final = 0  # writes are made up to this time
LOST_S: Final = 1  # progress lost to throttling and write faults
THROTTLED: Final = 2  # the throttle since MARK_S
RECENT: Final = 3  # distinct pages written since dirty-limit last counted
DEGRADED_S: Final = 4  # time in which the guest was throttled
OVERDRAWN_S: Final = 5  # running time that the last slice used of the next one
_HEAD: Final = 8
FIRST: Final = 0  # first page of the region
CURSOR: Final = 1  # sweep: next page of the region
CARRY: Final = 2  # fraction of a write not yet made
_CLASS: Final = 3
GUEST_SLOTS: Final = _HEAD + 64 * _CLASS

# Bits of a page; above them stands how often it was written since it was sent
PENDING: Final = 1  # to be sent
DIRTY: Final = 2  # written since the last sync
BLANK: Final = 4  # holds nothing but zeros
TOUCHED: Final = 8  # written since dirty-limit last counted
ONE_WRITE: Final = 16
MOST_WRITES: Final = 65520
JUST_SENT: Final = 14  # neither pending nor written
ALL_BUT_DIRTY: Final = 65533
ALL_BUT_BLANK: Final = 65531
ALL_BUT_TOUCHED: Final = 65527

SLICE_S: Final = 0.001  # in which writers take turns when time is short


@jit
def lay_out(record: np.ndarray, pages: np.ndarray, guest: np.ndarray) -> None:
    """Lay out regions, pages written once and zero pages in address order; all are to be sent."""
    guest[:] = 0.0
    classes = int(record[CLASSES])
    at = 0
    for c in range(classes):
        guest[_HEAD + c * _CLASS + FIRST] = at
        size = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
        guest[_HEAD + c * _CLASS + CURSOR] = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES])
        at += size
    zero = record[FILL_ZERO] > 0.0
    written = at
    normal = int(record[NORMAL_PAGES])
    for i in range(pages.size):
        blank = (zero and i < written) or i >= written + normal
        pages[i] = PENDING | BLANK if blank else PENDING


@jit
def class_of(record: np.ndarray, page: int) -> int:
    """Return the class in whose region a page lies; that of the last region for a page behind all of them."""
    last = int(record[CLASSES]) - 1
    for c in range(last):
        page -= int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
        if page < 0:
            return c
    return last


@jit
def read_bitmap(pages: np.ndarray) -> int:
    """Sync: make the pages written since the last sync pending; return how many were not pending before."""
    marked = 0
    for i in range(pages.size):
        if pages[i] & DIRTY:
            if not pages[i] & PENDING:
                marked += 1
            pages[i] = (pages[i] | PENDING) & ALL_BUT_DIRTY
    return marked


@jit
def write(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    until_s: float,
    rng: np.random.Generator,
) -> None:
    """Let the guest run until ``until_s``.

    A throttle of p leaves it ``(1 - p) x capacity``. Tracking costs the first write to a page
    after a sync WRITE_FAULT_S more. What it cannot do in time is lost, not made up for.
    """
    from_s = guest[MARK_S]
    span_s = until_s - from_s
    if span_s <= 0.0:
        return
    if guest[THROTTLED] > 0.0:
        guest[DEGRADED_S] += span_s
    if guest[THROTTLED] <= 0.0 and record[WRITE_FAULT_S] <= 0.0:
        for c in range(int(record[CLASSES])):
            for _ in range(_due(record, steps, guest, c, from_s, until_s)):
                _write_page(record, pages, guest, c, rng)
    else:
        slices = math.ceil(span_s / SLICE_S)
        for i in range(slices):
            end_s = from_s + span_s * (i + 1) / slices
            _write_slice(record, steps, pages, guest, from_s + span_s * i / slices, end_s, i, rng)
    guest[MARK_S] = until_s


@jit
def _write_slice(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    from_s: float,
    to_s: float,
    turn: int,
    rng: np.random.Generator,
) -> None:
    """Make the writes of a slice while its running time lasts; classes take turns to be first."""
    classes = int(record[CLASSES])
    demand = 0.0
    for c in range(classes):
        demand += _wanted(record, steps, c, from_s, to_s)
    if demand <= 0.0:
        return
    write_s = (to_s - from_s) / demand
    if record[CAPACITY] > 0.0:
        write_s = 1.0 / record[CAPACITY]
    budget_s = (to_s - from_s) * (1.0 - guest[THROTTLED]) - guest[OVERDRAWN_S]
    lost = 0
    for k in range(classes):
        c = (turn + k) % classes
        count = _due(record, steps, guest, c, from_s, to_s)
        for j in range(count):
            if budget_s <= 1e-12:
                lost += count - j
                break
            fresh = _write_page(record, pages, guest, c, rng)
            budget_s -= write_s + fresh * record[WRITE_FAULT_S]
    guest[OVERDRAWN_S] = max(0.0, -budget_s)
    guest[LOST_S] += (to_s - from_s) * lost / demand


@jit
def _wanted(record: np.ndarray, steps: np.ndarray, c: int, from_s: float, to_s: float) -> float:
    """Return how many writes a class wants to make in a span."""
    base = CLASS_BASE + c * CLASS_SLOTS
    count = int(record[base + layout.PHASE_COUNT])
    active_s = to_s - from_s
    if count > 0:
        first = int(record[base + layout.PHASE_FIRST])
        offset_s = record[base + layout.PHASE_OFFSET_S]
        until = dirty.intensity_s(steps, first, count, offset_s, to_s)
        active_s = until - dirty.intensity_s(steps, first, count, offset_s, from_s)
    return float(record[base + layout.WRITES_PER_S] * active_s)


@jit
def _due(record: np.ndarray, steps: np.ndarray, guest: np.ndarray, c: int, from_s: float, to_s: float) -> int:
    """Return the whole writes that are due, and carry the fraction on."""
    slot = _HEAD + c * _CLASS + CARRY
    wanted = guest[slot] + _wanted(record, steps, c, from_s, to_s)
    count = int(wanted)
    guest[slot] = wanted - count
    return count


@jit
def pick(record: np.ndarray, guest: np.ndarray, c: int, rng: np.random.Generator) -> int:
    """Return the page that a class writes next."""
    slot = _HEAD + c * _CLASS
    size = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
    first = int(guest[slot + FIRST])
    if int(record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND]) != dirty.SWEEP:
        return first + int(rng.random() * size)
    at = int(guest[slot + CURSOR])
    guest[slot + CURSOR] = (at + 1) % size
    return first + at


@jit
def _write_page(record: np.ndarray, pages: np.ndarray, guest: np.ndarray, c: int, rng: np.random.Generator) -> int:
    """Make one write of a class; return 1 if tracking sees its block for the first time since the sync."""
    page = pick(record, guest, c, rng)
    if not pages[page] & TOUCHED:
        pages[page] |= TOUCHED
        guest[RECENT] += 1.0
    pages[page] &= ALL_BUT_BLANK
    if pages[page] < MOST_WRITES:
        pages[page] += ONE_WRITE
    if pages[page] & DIRTY:
        return 0
    grain = int(record[GRAIN_PAGES])
    first = int(guest[_HEAD + c * _CLASS + FIRST])
    size = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
    block = first + (page - first) // grain * grain
    for i in range(block, min(block + grain, first + size)):
        pages[i] |= DIRTY
    return 1
