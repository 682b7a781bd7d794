"""The guest of the page-level simulator: what every page holds, and writers that go page by page.

A class of random writers picks a page of its region uniformly for each write; a sweep goes
through its region in order and wraps. Writes are paced: ``rate x intensity x time`` of them,
fractions carried on. Their moments matter only where somebody looks, so they are made up
to the present whenever pages are sent or the bitmap is read.

A write changes what is known of its page only if that is *fresh*: not yet written since the last sync, or since
dirty-limit last counted. How many writes go to other pages before the next one to a fresh page is geometric,
``P(k) = (1 - f / W)^k f / W`` with ``f`` of ``W`` pages fresh, so these are drawn all at once. Each page is fresh
once between two syncs, which bounds the work whatever the rate. How often a page was written that is no longer
fresh is drawn when somebody asks, as XBZRLE alone does: of ``n`` writes each goes there with ``1 / W``, for each
page by itself; for a sweep it is counted.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine import dirty, layout
from migkit.engine.layout import (
    CAPACITY,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    FILL_ZERO,
    GRAIN_PAGES,
    NORMAL_PAGES,
    WRITE_FAULT_S,
)
from migkit.jit import lean
from migkit.simulator import steps

__all__ = [
    "GUEST_SLOTS",
    "catch_up",
    "class_of",
    "forget_touched",
    "is_fresh",
    "lay_out",
    "read_bitmap",
    "region",
    "write",
]

# Slots of the guest's scalars; the later ones once for each class
MARK_S: Final = 0  # writes are made up to this time
LOST_S: Final = 1  # progress lost to throttling and write faults
THROTTLED: Final = 2  # the throttle since MARK_S
RECENT: Final = 3  # distinct pages written since dirty-limit last counted
DEGRADED_S: Final = 4  # time in which the guest was throttled
OVERDRAWN_S: Final = 5  # running time that the last slice used of the next one
WORK: Final = 6  # that the simulation costs: 1 for a page drawn
WRITTEN_PAGES: Final = 7  # of all regions together
HEAD: Final = 8
FIRST: Final = 0  # first page of the region
CURSOR: Final = 1  # sweep: next page of the region
CARRY: Final = 2  # fraction of a write not yet made
FRESH: Final = 3  # pages of which a write would change what is known
WRITES: Final = 4  # made so far
TARGET: Final = 5  # the fresh page that is written next
OWN: Final = 6
GUEST_SLOTS: Final = HEAD + 64 * OWN  # with XBZRLE, then for each page the WRITES up to which its own are counted

# Bits of a page; above them stands how often it was written since it was sent
PENDING: Final = 1  # to be sent
DIRTY: Final = 2  # written since the last sync
BLANK: Final = 4  # holds nothing but zeros
TOUCHED: Final = 8  # written since dirty-limit last counted; it holds no zeros
STALE: Final = DIRTY | TOUCHED  # not fresh
ONE_WRITE: Final = 16
MOST_COUNTED: Final = 4095
JUST_SENT: Final = 14  # neither pending nor written
ALL_BUT_DIRTY: Final = 65533
ALL_BUT_BLANK: Final = 65531
ALL_BUT_TOUCHED: Final = 65527

SLICE_S: Final = 0.001  # in which writers take turns when time is short
MOST_SLICES: Final = 100.0  # of a span in which no page is sent
PHASED_WORK: Final = 75.0  # to look up the phases at both ends of a span
WRITE_WORK: Final = 5.0  # to find out how many writes come before one that changes something
SHORT_S: Final = 1e-12  # of running time: too little for a write
MOST_WRITES: Final = 1e18  # of a span; more are not made, since they would change nothing
SELDOM: Final = 0.25  # share of fresh pages below which writes to others are drawn all at once


@lean
def lay_out(record: np.ndarray, pages: np.ndarray, guest: np.ndarray) -> None:
    """Lay out regions, pages written once and zero pages in address order; all are to be sent."""
    guest[:] = 0.0
    classes = int(record[CLASSES])
    at = 0
    for c in range(classes):
        slot = HEAD + c * OWN
        size = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
        guest[slot + FIRST] = at
        guest[slot + CURSOR] = int(record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES])
        guest[slot + FRESH] = size
        at += size
    guest[WRITTEN_PAGES] = at
    zero = record[FILL_ZERO] > 0.0
    normal = int(record[NORMAL_PAGES])
    for i in range(pages.size):
        blank = (zero and i < at) or i >= at + normal
        pages[i] = PENDING | BLANK if blank else PENDING


@lean
def class_of(record: np.ndarray, page: int) -> int:
    """Return the class in whose region a page lies; that of the last region for a page behind all of them."""
    last = int(record[CLASSES]) - 1
    for c in range(last):
        page -= int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])
        if page < 0:
            return c
    return last


@lean
def region(record: np.ndarray, guest: np.ndarray, c: int) -> tuple[int, int]:
    """Return the first page of a class's region, and how many it has."""
    return int(guest[HEAD + c * OWN + FIRST]), int(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])


@lean
def is_sweep(record: np.ndarray, c: int) -> bool:
    """Return whether a class goes through its region in order."""
    return int(record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND]) == dirty.SWEEP


@lean
def is_fresh(flags: int) -> bool:
    """Return whether a write to a page of these flags would change what is known of it."""
    return flags & STALE != STALE


@lean
def read_bitmap(record: np.ndarray, pages: np.ndarray, guest: np.ndarray, rng: np.random.Generator) -> int:
    """Sync: make the pages written since the last sync pending; return how many were not pending before."""
    marked = 0
    written = int(guest[WRITTEN_PAGES])
    guest[WORK] += written / 8.0
    for i in range(written):
        if pages[i] & DIRTY:
            catch_up(record, pages, guest, i, rng)
            if not pages[i] & PENDING:
                marked += 1
            pages[i] = (pages[i] | PENDING) & ALL_BUT_DIRTY
    _refresh(record, guest)
    return marked


@lean
def forget_touched(record: np.ndarray, pages: np.ndarray, guest: np.ndarray, rng: np.random.Generator) -> None:
    """Begin to count the pages anew that are written."""
    written = int(guest[WRITTEN_PAGES])
    guest[WORK] += written / 8.0
    guest[RECENT] = 0.0
    for i in range(written):
        catch_up(record, pages, guest, i, rng)
        pages[i] &= ALL_BUT_TOUCHED
    _refresh(record, guest)


@lean
def _refresh(record: np.ndarray, guest: np.ndarray) -> None:
    for c in range(int(record[CLASSES])):
        guest[HEAD + c * OWN + FRESH] = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]


@lean
def catch_up(record: np.ndarray, pages: np.ndarray, guest: np.ndarray, page: int, rng: np.random.Generator) -> None:
    """Count the writes to a page since it was fresh; without XBZRLE nobody asks for them."""
    if guest.size == GUEST_SLOTS or is_fresh(pages[page]):
        return
    c = class_of(record, page)
    slot = HEAD + c * OWN
    since, now = guest[GUEST_SLOTS + page], guest[slot + WRITES]
    guest[GUEST_SLOTS + page] = now
    if now <= since:
        return
    guest[WORK] += 25.0
    size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    if is_sweep(record, c):
        start = record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES]
        ahead = (page - guest[slot + FIRST] - start) % size
        count = math.floor((now - 1.0 - ahead) / size) - math.floor((since - 1.0 - ahead) / size)
    elif size == 1.0 or now - since > 100.0 * MOST_COUNTED * size:
        count = now - since
    else:
        count = float(rng.binomial(int(now - since), 1.0 / size))
    room = MOST_COUNTED - (pages[page] >> 4)
    pages[page] += int(min(count, room)) * ONE_WRITE


@lean
def write(
    record: np.ndarray,
    sums: np.ndarray,
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
    classes = int(record[CLASSES])
    guest[WORK] += 15.0 * classes
    if guest[THROTTLED] > 0.0:
        guest[DEGRADED_S] += span_s
    if guest[THROTTLED] <= 0.0 and record[WRITE_FAULT_S] <= 0.0:
        for c in range(classes):
            due = _due(record, sums, guest, c, from_s, until_s)
            _make(record, pages, guest, c, due, 0.0, np.inf, rng)
    else:
        slices = _slices(record, guest, span_s)
        for i in range(slices):
            end_s = from_s + span_s * (i + 1) / slices
            _write_slice(record, sums, pages, guest, from_s + span_s * i / slices, end_s, i, rng)
    guest[MARK_S] = until_s


@lean
def _slices(record: np.ndarray, guest: np.ndarray, span_s: float) -> int:
    """Return in how many slices writers take turns; a single one when no write changes anything."""
    for c in range(int(record[CLASSES])):
        if guest[HEAD + c * OWN + FRESH] > 0.0:
            return math.ceil(min(span_s / SLICE_S, MOST_SLICES))
    return 1


@lean
def _write_slice(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    from_s: float,
    to_s: float,
    turn: int,
    rng: np.random.Generator,
) -> None:
    """Make the writes of a slice while its running time lasts; classes take turns to be first."""
    classes = int(record[CLASSES])
    guest[WORK] += 60.0 * classes
    demand = 0.0
    for c in range(classes):
        demand += _wanted(record, sums, c, from_s, to_s)
    if demand <= 0.0:
        return
    write_s = (to_s - from_s) / demand
    if record[CAPACITY] > 0.0:
        write_s = 1.0 / record[CAPACITY]
    budget_s = (to_s - from_s) * (1.0 - guest[THROTTLED]) - guest[OVERDRAWN_S]
    lost = 0.0
    for k in range(classes):
        c = (turn + k) % classes
        count = _due(record, sums, guest, c, from_s, to_s)
        left, budget_s = _make(record, pages, guest, c, count, write_s, budget_s, rng)
        lost += left
    guest[OVERDRAWN_S] = max(0.0, -budget_s)
    guest[LOST_S] += (to_s - from_s) * lost / demand


@lean
def _wanted(record: np.ndarray, sums: np.ndarray, c: int, from_s: float, to_s: float) -> float:
    """Return how many writes a class wants to make in a span."""
    base = CLASS_BASE + c * CLASS_SLOTS
    active = to_s - from_s
    if record[base + layout.PHASE_COUNT] > 0.0:
        active = steps.active_s(record, sums, c, to_s) - steps.active_s(record, sums, c, from_s)
    return float(min(record[base + layout.WRITES_PER_S] * max(active, 0.0), MOST_WRITES))


@lean
def _due(record: np.ndarray, sums: np.ndarray, guest: np.ndarray, c: int, from_s: float, to_s: float) -> float:
    """Return the whole writes that are due, and carry the fraction on."""
    slot = HEAD + c * OWN + CARRY
    if record[CLASS_BASE + c * CLASS_SLOTS + layout.PHASE_COUNT] > 0.0:
        guest[WORK] += PHASED_WORK
    wanted = guest[slot] + _wanted(record, sums, c, from_s, to_s)
    count = float(math.floor(wanted))
    guest[slot] = wanted - count
    return count


@lean
def _make(
    record: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    c: int,
    left: float,
    write_s: float,
    budget_s: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Make ``left`` writes of a class while running time lasts; return how many are left, and the time."""
    slot = HEAD + c * OWN
    while left >= 1.0 and budget_s > SHORT_S:
        vain = _in_vain(record, pages, guest, c, left, rng)
        guest[WORK] += WRITE_WORK
        if write_s > 0.0:
            vain = min(vain, math.ceil((budget_s - SHORT_S) / write_s))
        left -= vain
        budget_s -= vain * write_s
        guest[slot + WRITES] += vain
        if left < 1.0 or budget_s <= SHORT_S:
            _turn(record, guest, c, vain)
            break
        _turn(record, guest, c, vain + 1.0)
        guest[slot + WRITES] += 1.0
        faulted = _write_page(record, pages, guest, c, int(guest[slot + TARGET]))
        left -= 1.0
        budget_s -= write_s + faulted * record[WRITE_FAULT_S]
    return left, budget_s


@lean
def _turn(record: np.ndarray, guest: np.ndarray, c: int, writes: float) -> None:
    """Move a sweep on; random writers stand nowhere."""
    slot = HEAD + c * OWN
    size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    guest[slot + CURSOR] = (guest[slot + CURSOR] + writes) % size


@lean
def _in_vain(
    record: np.ndarray, pages: np.ndarray, guest: np.ndarray, c: int, most: float, rng: np.random.Generator
) -> float:
    """Return how many writes, up to ``most``, come before the next one to a fresh page; set TARGET to that page."""
    slot = HEAD + c * OWN
    fresh = guest[slot + FRESH]
    first, size = region(record, guest, c)
    if fresh <= 0.0:
        return most
    vain = 0.0
    if is_sweep(record, c):
        at = int(guest[slot + CURSOR])
        while vain < most and not is_fresh(pages[first + at]):
            at = at + 1 if at + 1 < size else 0
            vain += 1.0
        guest[slot + TARGET] = first + at
        guest[WORK] += vain + 1.0
        return vain
    seldom = fresh < SELDOM * size
    if seldom:
        vain = float(math.floor(math.log(1.0 - rng.random()) / math.log1p(-fresh / size)))
    while vain < most:
        page = first + int(rng.random() * size)
        guest[WORK] += 1.0
        if is_fresh(pages[page]):
            guest[slot + TARGET] = page
            return vain
        if not seldom:
            vain += 1.0
    return most


@lean
def _write_page(record: np.ndarray, pages: np.ndarray, guest: np.ndarray, c: int, page: int) -> int:
    """Make one write to a fresh page; return 1 if tracking sees its block for the first time since the sync."""
    slot = HEAD + c * OWN
    if not pages[page] & TOUCHED:
        pages[page] |= TOUCHED
        guest[RECENT] += 1.0
    pages[page] &= ALL_BUT_BLANK
    if pages[page] >> 4 < MOST_COUNTED:
        pages[page] += ONE_WRITE
    counts = guest.size > GUEST_SLOTS
    if counts:
        guest[GUEST_SLOTS + page] = guest[slot + WRITES]
    if pages[page] & DIRTY:
        guest[slot + FRESH] -= 1.0
        return 0
    grain = int(record[GRAIN_PAGES])
    first, size = region(record, guest, c)
    block = first + (page - first) // grain * grain
    for i in range(block, min(block + grain, first + size)):
        if not pages[i] & DIRTY:
            pages[i] |= DIRTY
            guest[slot + FRESH] -= (pages[i] & TOUCHED) != 0
            if counts:
                guest[GUEST_SLOTS + i] = guest[slot + WRITES]
    return 1
