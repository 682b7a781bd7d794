"""What the guest does between two syncs, class by class, in expectation."""

from __future__ import annotations

import numpy as np

from migkit.engine import dirty, layout, ring
from migkit.engine.layout import (
    CAPACITY,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    GRAIN_PAGES,
    WOVEN,
    WRITE_FAULT_S,
    ZERO_PAGES,
)
from migkit.engine.records import Run
from migkit.engine.run_state import (
    LAST_CLASS,
    LAST_PIECE,
    NEWLY,
    NOTHING,
    PIECE_SLOTS,
    WRITES,
)
from migkit.jit import inlined, lean

__all__ = ["count_writes", "dirty_rate", "mark", "writes_until"]


@inlined
def mark(record: np.ndarray, steps: np.ndarray | None, run: Run, work: np.ndarray) -> float:
    """Move what was written since the last sync to the pending pages; return how many it adds."""
    plain_s = 0.0
    if steps is None or (run.is_plain > 0.0 and run.throttle == 0.0):
        plain_s = max(0.0, run.now_s - run.counted_s)
        run.counted_s = run.now_s
    else:
        count_writes(record, steps, run, work)
    head, count = _turn(record, run, work)
    if count > run.most_pieces:
        ring.make_room(record, run, work)
        count = int(run.pieces)
    classes = int(record[CLASSES])
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        kind = record[base + layout.KIND]
        writes = record[base + layout.WRITES_PER_S] * plain_s
        if steps is not None:
            writes += work[WRITES + c]
            work[WRITES + c] = 0.0
        if kind == dirty.SWEEP:
            ring.mark_sweep(record, run, work, c, writes)
            count = int(run.pieces)
            work[NEWLY + c] = 0.0
        else:
            pages = record[base + layout.PAGES]
            work[NEWLY + c] = dirty.newly_dirty(dirty.RANDOM, pages, writes, record[GRAIN_PAGES])
    left = 0.0
    for i in range(head, head + count):
        at = (i & LAST_PIECE) * PIECE_SLOTS
        c = int(work[at]) & LAST_CLASS
        share = work[at + 2]
        if c < classes:
            share += (1.0 - share) * work[NEWLY + c]
            work[at + 2] = share
        left += work[at + 1] * share
    if run.zero_pages < record[ZERO_PAGES] - NOTHING and run.mixed == 0.0:
        ring.first_run(record, run, work)
    elif run.zero_share == 0.0:
        run.ahead_pages = left
    marked = left - run.left_pages
    run.left_pages = left
    return max(0.0, marked)


@inlined
def _turn(record: np.ndarray, run: Run, work: np.ndarray) -> tuple[int, int]:
    """Turn the ring by the pages that were sent; those that may be written again go behind the last piece.

    Return its head and how many pieces it has.
    """
    classes, woven = record[CLASSES], record[WOVEN]
    passed = run.passed_pages
    run.passed_pages = 0.0
    head, count = int(run.head) & LAST_PIECE, int(run.pieces)
    ahead = count
    while ahead > 0 and passed > NOTHING:
        at = head * PIECE_SLOTS
        segment, pages, first = work[at], work[at + 1], work[at + 3]
        if segment >= woven:
            width = ring.width(record, work, head, ahead)
            head, count, passed = ring.turn_woven(classes, work, head, count, width, passed)
            ahead -= width
            continue
        ahead -= 1
        pending = pages * work[at + 2]
        if pending > passed + NOTHING:
            pages *= passed / pending
            work[at + 1] -= pages
            work[at + 3] += pages
            passed = 0.0
        else:
            passed -= pending
            head = (head + 1) & LAST_PIECE
            count -= 1
        if segment < classes:
            last = ((head + count - 1) & LAST_PIECE) * PIECE_SLOTS
            if count > 0 and work[last] == segment and work[last + 2] == 0.0 and work[last + 3] < first:
                work[last + 1] += pages
            else:
                last = ((head + count) & LAST_PIECE) * PIECE_SLOTS
                work[last], work[last + 1], work[last + 2], work[last + 3] = segment, pages, 0.0, first
                count += 1
    run.head, run.pieces = head, count
    return head, count


@inlined
def count_writes(record: np.ndarray, steps: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Add to each class what it wrote since the last count.

    A throttle of ``p`` leaves the guest ``(1 - p) x capacity``; it loses progress only when its
    demand is more. The first write to a page after a sync costs a guest that runs flat out
    ``WRITE_FAULT_S`` more.
    """
    span_s = run.now_s - run.counted_s
    if span_s <= 0.0:
        return
    classes = int(record[CLASSES])
    share = 1.0
    if run.throttle > 0.0 or record[WRITE_FAULT_S] > 0.0:
        share = _progress(record, steps, run, work, span_s)
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        work[WRITES + c] += (
            record[base + layout.WRITES_PER_S] * share * _active_s(record, steps, base, run.counted_s, run.now_s)
        )
    run.lost_s += (1.0 - share) * span_s
    if run.throttle > 0.0:
        run.degraded_s += span_s
    run.counted_s = run.now_s


@lean
def writes_until(record: np.ndarray, steps: np.ndarray, run: Run, c: int, until_s: float) -> float:
    """Return what a class will write from the last count on, as throttled as the guest is now."""
    base = CLASS_BASE + c * CLASS_SLOTS
    writes = record[base + layout.WRITES_PER_S] * _active_s(record, steps, base, run.counted_s, until_s)
    if run.throttle == 0.0 or writes <= 0.0:
        return float(writes)
    demand = 0.0
    for k in range(int(record[CLASSES])):
        demand += record[CLASS_BASE + k * CLASS_SLOTS + layout.WRITES_PER_S]
    capacity = record[CAPACITY] if record[CAPACITY] > 0.0 else demand
    return float(writes * min(1.0, (1.0 - run.throttle) * capacity / demand))


@lean
def _active_s(record: np.ndarray, steps: np.ndarray, base: int, from_s: float, until_s: float) -> float:
    """Return the integral of a class's intensity over a span [s]."""
    count = int(record[base + layout.PHASE_COUNT])
    if count == 0:
        return until_s - from_s
    first = int(record[base + layout.PHASE_FIRST])
    offset_s = record[base + layout.PHASE_OFFSET_S]
    until = dirty.intensity_s(steps, first, count, offset_s, until_s)
    return max(0.0, until - dirty.intensity_s(steps, first, count, offset_s, from_s))


@lean
def _progress(record: np.ndarray, steps: np.ndarray, run: Run, work: np.ndarray, span_s: float) -> float:
    """Return the share of its demand that the guest gets done."""
    demand = 0.0
    fresh = 0.0
    classes = int(record[CLASSES])
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        writes = record[base + layout.WRITES_PER_S] * _active_s(record, steps, base, run.counted_s, run.now_s)
        demand += writes / span_s
        kind = int(record[base + layout.KIND])
        pages = record[base + layout.PAGES]
        before = dirty.newly_dirty(kind, pages, work[WRITES + c], record[GRAIN_PAGES])
        after = dirty.newly_dirty(kind, pages, work[WRITES + c] + writes, record[GRAIN_PAGES])
        fresh += (after - before) * pages / record[GRAIN_PAGES]
    if demand <= 0.0:
        return 1.0
    capacity = record[CAPACITY] if record[CAPACITY] > 0.0 else demand
    usable = capacity * (1.0 - run.throttle) / (1.0 + capacity / demand * fresh * record[WRITE_FAULT_S] / span_s)
    return min(1.0, usable / demand)


@lean
def dirty_rate(record: np.ndarray, steps: np.ndarray, run: Run) -> float:
    """Return the distinct pages that the guest wrote in the last second, as throttled as it is now."""
    demand = 0.0
    for c in range(int(record[CLASSES])):
        demand += _last_second(record, steps, CLASS_BASE + c * CLASS_SLOTS, run)
    if demand <= 0.0:
        return 0.0
    capacity = record[CAPACITY] if record[CAPACITY] > 0.0 else demand
    share = min(1.0, (1.0 - run.throttle) * capacity / demand)
    distinct = 0.0
    for c in range(int(record[CLASSES])):
        base = CLASS_BASE + c * CLASS_SLOTS
        pages = record[base + layout.PAGES]
        writes = share * _last_second(record, steps, base, run)
        distinct += pages * dirty.newly_dirty(int(record[base + layout.KIND]), pages, writes, 1.0)
    return distinct


@lean
def _last_second(record: np.ndarray, steps: np.ndarray, base: int, run: Run) -> float:
    """Return the writes that a class wanted to make in the last second."""
    rate = float(record[base + layout.WRITES_PER_S])
    count = int(record[base + layout.PHASE_COUNT])
    if count == 0:
        return rate
    first = int(record[base + layout.PHASE_FIRST])
    offset_s = record[base + layout.PHASE_OFFSET_S]
    before = dirty.intensity_s(steps, first, count, offset_s, run.now_s - 1.0)
    return rate * max(0.0, float(dirty.intensity_s(steps, first, count, offset_s, run.now_s) - before))
