"""The ring of pieces at a sync: arcs that sweeps wrote, neighbours that have become alike, interleaved pieces.

Segments from ``WOVEN`` on lie interleaved: a part of memory holds pages of each of them, evenly. Such a part is as
many pieces one behind the other, in the order of their segments. The scan pointer passes all of them together: of a
part with ``P`` pending pages, ``n`` of which were sent, ``n / P`` of each piece lies behind the pointer.

Where a sweep stands when the migration begins is given, so what it writes between two syncs is
known to the page: the arc from where it stood to where it stands, in whole blocks of tracking.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import CLASS_BASE, CLASS_SLOTS, CLASSES, GRAIN_PAGES, WOVEN
from migkit.engine.records import Run
from migkit.engine.run_state import (
    LAST_PIECE,
    NOTHING,
    PIECE_SLOTS,
    POSITIONS,
)
from migkit.jit import inlined, lean

__all__ = ["first_run", "make_room", "mark_sweep", "next_run", "pending", "turn_woven", "width"]

SLIVER_PAGES: Final = 1e-6  # pieces shorter than this are rounding
LEAST_APART: Final = 1e-6  # pending shares that differ less are joined first


@lean
def mark_sweep(record: np.ndarray, run: Run, work: np.ndarray, c: int, writes: float) -> None:
    """Make the arc that sweep ``c`` wrote since the last sync pending, and move the sweep to its end."""
    pages = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    begin = np.floor(work[POSITIONS + c])
    position = work[POSITIONS + c] + writes
    end = np.floor(position)
    work[POSITIONS + c] = position % pages
    if end <= begin:
        return
    run.turns += 4.0 * run.pieces
    grain = record[GRAIN_PAGES]
    begin = np.floor(begin / grain) * grain
    if end - begin >= pages:
        _mark_arc(run, work, c, 0.0, pages)
    elif end <= pages:
        _mark_arc(run, work, c, begin, np.ceil(end / grain) * grain)
    else:
        _mark_arc(run, work, c, begin, pages)
        _mark_arc(run, work, c, 0.0, np.ceil((end - pages) / grain) * grain)
    _merge(run, work, 0.0)


@lean
def _mark_arc(run: Run, work: np.ndarray, c: int, begin: float, end: float) -> None:
    """Make the pages of class ``c`` from ``begin`` up to ``end`` pending; cut the pieces at its ends.

    Without room to cut, a piece takes the mean.
    """
    i = 0
    while i < int(run.pieces):
        at = ((int(run.head) + i) & LAST_PIECE) * PIECE_SLOTS
        first = max(begin, work[at + 3])
        behind = min(end, work[at + 3] + work[at + 1])
        i += 1
        if work[at] != c or work[at + 2] == 1.0 or behind - first < SLIVER_PAGES:
            continue
        if run.pieces > run.most_pieces:
            work[at + 2] += (1.0 - work[at + 2]) * (behind - first) / work[at + 1]
            continue
        if first - work[at + 3] > SLIVER_PAGES:
            at = _cut(run, work, i - 1, first)
            i += 1
        if work[at + 3] + work[at + 1] - behind > SLIVER_PAGES:
            _cut(run, work, i - 1, behind)
            i += 1
        work[at + 2] = 1.0


@lean
def _cut(run: Run, work: np.ndarray, i: int, where: float) -> int:
    """Cut the i-th piece at page ``where`` of its region; return where the part behind lies."""
    head = int(run.head)
    for k in range(int(run.pieces), i, -1):
        to = ((head + k) & LAST_PIECE) * PIECE_SLOTS
        source = ((head + k - 1) & LAST_PIECE) * PIECE_SLOTS
        for slot in range(PIECE_SLOTS):
            work[to + slot] = work[source + slot]
    run.pieces += 1.0
    before = ((head + i) & LAST_PIECE) * PIECE_SLOTS
    behind = ((head + i + 1) & LAST_PIECE) * PIECE_SLOTS
    work[before + 1] = where - work[before + 3]
    work[behind + 1] -= work[before + 1]
    work[behind + 3] = where
    return behind


@lean
def make_room(record: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Join neighbours, the most alike first, until a few more pieces fit."""
    apart = 0.0
    while run.pieces > run.most_pieces and apart <= 1.0:
        _merge(run, work, apart)
        if record[WOVEN] < np.inf:
            _merge_woven(record, run, work, apart)
        apart = max(LEAST_APART, 4.0 * apart)


@lean
def _merge(run: Run, work: np.ndarray, apart: float) -> None:
    """Join neighbours of a segment whose pending shares differ by ``apart`` at most; keep their pending pages."""
    head = int(run.head)
    kept = -1
    for i in range(int(run.pieces)):
        at = ((head + i) & LAST_PIECE) * PIECE_SLOTS
        last = ((head + kept) & LAST_PIECE) * PIECE_SLOTS
        alike = kept >= 0 and work[last] == work[at] and abs(work[last + 2] - work[at + 2]) <= apart
        if alike and work[last + 3] < work[at + 3]:
            pages = work[last + 1] + work[at + 1]
            work[last + 2] = (work[last + 2] * work[last + 1] + work[at + 2] * work[at + 1]) / pages
            work[last + 1] = pages
            continue
        kept += 1
        to = ((head + kept) & LAST_PIECE) * PIECE_SLOTS
        for slot in range(PIECE_SLOTS):
            work[to + slot] = work[at + slot]
    run.pieces = kept + 1.0


@inlined
def width(record: np.ndarray, work: np.ndarray, i: int, left: int) -> int:
    """Return how many pieces lie interleaved from piece ``i`` on, of ``left`` that follow; 1: it lies alone."""
    segment = work[(i & LAST_PIECE) * PIECE_SLOTS]
    number = 1
    if segment < record[WOVEN]:
        return number
    while number < left:
        after = work[((i + number) & LAST_PIECE) * PIECE_SLOTS]
        if after <= segment or after > record[CLASSES] + 1.0:
            break
        segment = after
        number += 1
    return number


@lean
def pending(work: np.ndarray, i: int, number: int) -> float:
    """Return the pending pages of a number of pieces from piece ``i`` on."""
    pages = 0.0
    for k in range(i, i + number):
        at = (k & LAST_PIECE) * PIECE_SLOTS
        pages += work[at + 1] * work[at + 2]
    return pages


@lean
def first_run(record: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Come to the run at the head of the ring, after a sync; one of zero pages goes on as it was."""
    pages, zero, behind = _run(record, run, work, 0)
    run.at_piece = behind
    if zero == run.zero_share == 0.0:
        run.ahead_pages = pages
    elif not zero == run.zero_share == 1.0 or run.ahead_pages <= 0.0:
        run.ahead_pages = run.at_piece = 0.0


@lean
def next_run(record: np.ndarray, run: Run, work: np.ndarray, left: float) -> float:
    """Come to the next pages that cost alike, up to the last of ``left``; return how many there are."""
    pages, zero, behind = _run(record, run, work, int(run.at_piece))
    run.at_piece = behind
    run.zero_share = zero
    return left if zero == 0.0 and behind == int(run.pieces) else pages


@lean
def _run(record: np.ndarray, run: Run, work: np.ndarray, i: int) -> tuple[float, float, int]:
    """Return the pending pages from a piece on that cost alike, which share is zero, and the piece behind them."""
    head, count = int(run.head), int(run.pieces)
    pages, zero = 0.0, 0.0
    while i < count:
        number = width(record, work, head + i, count - i)
        own = pending(work, head + i, number)
        if own > 0.0:
            last = ((head + i + number - 1) & LAST_PIECE) * PIECE_SLOTS
            share = work[last + 1] * work[last + 2] / own if work[last] > record[CLASSES] else 0.0
            if pages > 0.0 and share != zero:
                break
            pages += own
            zero = share
        i += number
    return pages, zero, i


@lean
def turn_woven(
    classes: float, work: np.ndarray, head: int, count: int, number: int, passed: float
) -> tuple[int, int, float]:
    """Turn the ring by the part of memory at its head, or by what was sent of it.

    Return the head, how many pieces there are, and how many of the pages that were sent lie behind that part.
    """
    sent = 1.0
    there = pending(work, head, number)
    if there > passed + NOTHING:
        sent = passed / there
    kept = 0  # of its segments, those that may be written again
    while kept < number and work[((head + kept) & LAST_PIECE) * PIECE_SLOTS] < classes:
        kept += 1
    last = count - kept
    if not _follows(work, head, last, kept, number):
        last = count
    for k in range(number):
        at = ((head + k) & LAST_PIECE) * PIECE_SLOTS
        pages, first = work[at + 1] * sent, work[at + 3]
        if sent < 1.0:
            work[at + 1] -= pages
            work[at + 3] += pages
        if k >= kept:
            continue
        to = ((head + last + k) & LAST_PIECE) * PIECE_SLOTS
        if last < count:
            work[to + 1] += pages
        else:
            work[to], work[to + 1], work[to + 2], work[to + 3] = work[at], pages, 0.0, first
    if last == count:
        count += kept
    if sent < 1.0:
        return head, count, 0.0
    return (head + number) & LAST_PIECE, count - number, passed - there


@lean
def _follows(work: np.ndarray, head: int, last: int, kept: int, number: int) -> bool:
    """Return whether the pieces from ``last`` on lie just before those at the head, and none of them is pending."""
    if last < number:
        return False
    for k in range(kept):
        at, to = ((head + k) & LAST_PIECE) * PIECE_SLOTS, ((head + last + k) & LAST_PIECE) * PIECE_SLOTS
        if work[to] != work[at] or work[to + 2] != 0.0 or work[to + 3] >= work[at + 3]:
            return False
    return True


@lean
def _merge_woven(record: np.ndarray, run: Run, work: np.ndarray, apart: float) -> None:
    """Join neighbouring parts whose segments lie interleaved and differ by ``apart`` at most, one with the next."""
    head = int(run.head)
    i = kept = before = 0
    count = int(run.pieces)
    while i < count:
        number = width(record, work, head + i, count - i)
        joins = number > 1 and before == number
        for k in range(number if joins else 0):
            last = ((head + kept - number + k) & LAST_PIECE) * PIECE_SLOTS
            at = ((head + i + k) & LAST_PIECE) * PIECE_SLOTS
            joins = joins and abs(work[last + 2] - work[at + 2]) <= apart and work[last + 3] < work[at + 3]
        for k in range(number):
            at = ((head + i + k) & LAST_PIECE) * PIECE_SLOTS
            to = ((head + kept + (k - number if joins else k)) & LAST_PIECE) * PIECE_SLOTS
            if joins:
                pages = work[to + 1] + work[at + 1]
                work[to + 2] = (work[to + 2] * work[to + 1] + work[at + 2] * work[at + 1]) / pages
                work[to + 1] = pages
                continue
            for slot in range(PIECE_SLOTS):
                work[to + slot] = work[at + slot]
        kept += 0 if joins else number
        before = number
        i += number
    run.pieces = kept
