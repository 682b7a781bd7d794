"""The ring of pieces at a sync: arcs that sweeps wrote, neighbours that have become alike, interleaved pieces.

Segments from ``first_woven`` on lie interleaved: a part of memory holds pages of each of them, evenly. Such a part is
as many pieces one behind the other, in the order of their segments. The scan pointer passes all of them together: of
a part with ``P`` pending pages, ``n`` of which were sent, ``n / P`` of each piece lies behind the pointer.

Where a sweep stands when the migration begins is given, so what it writes between two syncs is
known to the page: the arc from where it stood to where it stands, in whole blocks of tracking.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.engine.records import PackedScenario, Piece, Run, Work
from migkit.engine.run_state import LAST_PIECE, NOTHING
from migkit.jit import assign, inlined, lean

__all__ = ["first_run", "make_room", "mark_sweep", "next_run", "pending", "segment_pages", "turn_woven", "width"]

SLIVER_PAGES: Final = 1e-6  # pieces shorter than this are rounding
LEAST_APART: Final = 1e-6  # pending shares that differ less are joined first


@inlined
def segment_pages(scenario: PackedScenario, work: Work, segment: int) -> float:
    """Return the pages of a segment, of the zero pages those that lie in no run."""
    classes = int(scenario.class_count)
    pages = scenario.normal_pages
    if segment < classes:
        pages = work.segments[segment].pages
    elif segment > classes:
        pages = scenario.zero_pages - scenario.zero_first_pages - scenario.zero_last_pages
    return float(pages)


@lean
def mark_sweep(scenario: PackedScenario, run: Run, work: Work, c: int, writes: float) -> None:
    """Make the arc that sweep ``c`` wrote since the last sync pending, and move the sweep to its end."""
    one = work.segments[c]
    pages = one.pages
    begin = np.floor(one.position_pages)
    position = one.position_pages + writes
    end = np.floor(position)
    one.position_pages = position % pages
    if end <= begin:
        return
    run.turns += 4.0 * run.pieces
    grain = scenario.grain_pages
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
def _mark_arc(run: Run, work: Work, c: int, begin: float, end: float) -> None:
    """Make the pages of class ``c`` from ``begin`` up to ``end`` pending; cut the pieces at its ends.

    Without room to cut, a piece takes the mean.
    """
    pieces = work.pieces
    i = 0
    while i < int(run.pieces):
        at = pieces[(int(run.head) + i) & LAST_PIECE]
        first = max(begin, at.first_page)
        behind = min(end, at.first_page + at.pages)
        i += 1
        if at.segment != c or at.share == 1.0 or behind - first < SLIVER_PAGES:
            continue
        if run.pieces > run.most_pieces:
            at.share += (1.0 - at.share) * (behind - first) / at.pages
            continue
        if first - at.first_page > SLIVER_PAGES:
            at = _cut(run, work, i - 1, first)
            i += 1
        if at.first_page + at.pages - behind > SLIVER_PAGES:
            _cut(run, work, i - 1, behind)
            i += 1
        at.share = 1.0


@lean
def _cut(run: Run, work: Work, i: int, where: float) -> Piece:
    """Cut the i-th piece at page ``where`` of its region; return the part behind."""
    pieces, head = work.pieces, int(run.head)
    for k in range(int(run.pieces), i, -1):
        to = pieces[(head + k) & LAST_PIECE]
        source = pieces[(head + k - 1) & LAST_PIECE]
        assign(to, source)
    run.pieces += 1.0
    before = pieces[(head + i) & LAST_PIECE]
    behind = pieces[(head + i + 1) & LAST_PIECE]
    before.pages = where - before.first_page
    behind.pages -= before.pages
    behind.first_page = where
    return behind


@lean
def make_room(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Join neighbours, the most alike first, until a few more pieces fit."""
    apart = 0.0
    while run.pieces > run.most_pieces and apart <= 1.0:
        _merge(run, work, apart)
        if scenario.first_woven < np.inf:
            _merge_woven(scenario, run, work, apart)
        apart = max(LEAST_APART, 4.0 * apart)


@lean
def _merge(run: Run, work: Work, apart: float) -> None:
    """Join neighbours of a segment whose pending shares differ by ``apart`` at most; keep their pending pages."""
    pieces, head = work.pieces, int(run.head)
    kept = -1
    for i in range(int(run.pieces)):
        at = pieces[(head + i) & LAST_PIECE]
        last = pieces[(head + kept) & LAST_PIECE]
        alike = kept >= 0 and last.segment == at.segment and abs(last.share - at.share) <= apart
        if alike and last.first_page < at.first_page:
            pages = last.pages + at.pages
            last.share = (last.share * last.pages + at.share * at.pages) / pages
            last.pages = pages
            continue
        kept += 1
        to = pieces[(head + kept) & LAST_PIECE]
        assign(to, at)
    run.pieces = kept + 1.0


@inlined
def width(scenario: PackedScenario, work: Work, i: int, left: int) -> int:
    """Return how many pieces lie interleaved from piece ``i`` on, of ``left`` that follow; 1: it lies alone."""
    segment = work.pieces[i & LAST_PIECE].segment
    number = 1
    if segment < scenario.first_woven:
        return number
    while number < left:
        after = work.pieces[(i + number) & LAST_PIECE].segment
        if after <= segment or after > scenario.class_count + 1.0:
            break
        segment = after
        number += 1
    return number


@lean
def pending(work: Work, i: int, number: int) -> float:
    """Return the pending pages of a number of pieces from piece ``i`` on."""
    pieces = work.pieces
    pages = 0.0
    for k in range(i, i + number):
        at = pieces[k & LAST_PIECE]
        pages += at.pages * at.share
    return pages


@lean
def first_run(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Come to the run at the head of the ring, after a sync; one of zero pages goes on as it was."""
    pages, zero, behind = _run(scenario, run, work, 0)
    run.at_piece = behind
    if zero == run.zero_share == 0.0:
        run.ahead_pages = pages
    elif not zero == run.zero_share == 1.0 or run.ahead_pages <= 0.0:
        run.ahead_pages = run.at_piece = 0.0


@lean
def next_run(scenario: PackedScenario, run: Run, work: Work, left: float) -> float:
    """Come to the next pages that cost alike, up to the last of ``left``; return how many there are."""
    pages, zero, behind = _run(scenario, run, work, int(run.at_piece))
    run.at_piece = behind
    run.zero_share = zero
    return left if zero == 0.0 and behind == int(run.pieces) else pages


@lean
def _run(scenario: PackedScenario, run: Run, work: Work, i: int) -> tuple[float, float, int]:
    """Return the pending pages from a piece on that cost alike, which share is zero, and the piece behind them."""
    pieces, head, count = work.pieces, int(run.head), int(run.pieces)
    pages, zero = 0.0, 0.0
    while i < count:
        number = width(scenario, work, head + i, count - i)
        own = pending(work, head + i, number)
        if own > 0.0:
            last = pieces[(head + i + number - 1) & LAST_PIECE]
            share = last.pages * last.share / own if last.segment > scenario.class_count else 0.0
            if pages > 0.0 and share != zero:
                break
            pages += own
            zero = share
        i += number
    return pages, zero, i


@lean
def turn_woven(
    classes: float, work: Work, head: int, count: int, number: int, passed: float
) -> tuple[int, int, float]:
    """Turn the ring by the part of memory at its head, or by what was sent of it.

    Return the head, how many pieces there are, and how many of the pages that were sent lie behind that part.
    """
    pieces = work.pieces
    sent = 1.0
    there = pending(work, head, number)
    if there > passed + NOTHING:
        sent = passed / there
    kept = 0  # of its segments, those that may be written again
    while kept < number and pieces[(head + kept) & LAST_PIECE].segment < classes:
        kept += 1
    last = count - kept
    if not _follows(work, head, last, kept, number):
        last = count
    for k in range(number):
        at = pieces[(head + k) & LAST_PIECE]
        pages, first = at.pages * sent, at.first_page
        if sent < 1.0:
            at.pages -= pages
            at.first_page += pages
        if k >= kept:
            continue
        to = pieces[(head + last + k) & LAST_PIECE]
        if last < count:
            to.pages += pages
        else:
            to.segment, to.pages, to.share, to.first_page = at.segment, pages, 0.0, first
    if last == count:
        count += kept
    if sent < 1.0:
        return head, count, 0.0
    return (head + number) & LAST_PIECE, count - number, passed - there


@lean
def _follows(work: Work, head: int, last: int, kept: int, number: int) -> bool:
    """Return whether the pieces from ``last`` on lie just before those at the head, and none of them is pending."""
    pieces = work.pieces
    if last < number:
        return False
    for k in range(kept):
        at, to = pieces[(head + k) & LAST_PIECE], pieces[(head + last + k) & LAST_PIECE]
        if to.segment != at.segment or to.share != 0.0 or to.first_page >= at.first_page:
            return False
    return True


@lean
def _merge_woven(scenario: PackedScenario, run: Run, work: Work, apart: float) -> None:
    """Join neighbouring parts whose segments lie interleaved and differ by ``apart`` at most, one with the next."""
    pieces, head = work.pieces, int(run.head)
    i = kept = before = 0
    count = int(run.pieces)
    while i < count:
        number = width(scenario, work, head + i, count - i)
        joins = number > 1 and before == number
        for k in range(number if joins else 0):
            last = pieces[(head + kept - number + k) & LAST_PIECE]
            at = pieces[(head + i + k) & LAST_PIECE]
            joins = joins and abs(last.share - at.share) <= apart and last.first_page < at.first_page
        for k in range(number):
            at = pieces[(head + i + k) & LAST_PIECE]
            to = pieces[(head + kept + (k - number if joins else k)) & LAST_PIECE]
            if joins:
                pages = to.pages + at.pages
                to.share = (to.share * to.pages + at.share * at.pages) / pages
                to.pages = pages
                continue
            assign(to, at)
        kept += 0 if joins else number
        before = number
        i += number
    run.pieces = kept
