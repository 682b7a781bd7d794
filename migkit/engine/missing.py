"""Missing pages in post-copy: what they cost on the path, who takes them, and in which order."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.engine import dirty, ring
from migkit.engine.records import PackedScenario, Run, Work
from migkit.engine.run_state import LAST_PIECE
from migkit.jit import assign, lean

__all__ = [
    "fault_rate",
    "fetch",
    "follow",
    "from_the_start",
    "page_s",
    "pending_pages",
    "push",
    "push_s",
    "wire_bytes",
]

GOLDEN: Final = 0.6180339887498949  # steps of this part of a circle come evenly to all of it


@lean
def page_s(scenario: PackedScenario, zero: float) -> float:
    """Return how long the path takes for one page [s], in the mean over pages of which a share is zero."""
    zero_s = max(scenario.zero_wire_bytes / scenario.postcopy_goodput_bytes_per_s, scenario.postcopy_zero_cpu_s)
    full_s = max(scenario.page_wire_bytes / scenario.postcopy_goodput_bytes_per_s, scenario.page_cpu_s)
    return float(zero * zero_s + (1.0 - zero) * full_s)


@lean
def wire_bytes(scenario: PackedScenario, zero: float) -> float:
    """Return what one page costs, in the mean over pages of which a share is zero [B]."""
    return float(zero * scenario.zero_wire_bytes + (1.0 - zero) * scenario.page_wire_bytes)


@lean
def push_s(scenario: PackedScenario, run: Run, work: Work, cap: float) -> float:
    """Return how long all that is pending takes on the path under a cap [s], the waits for windows included."""
    window_s = scenario.window_s + scenario.window_extra_s
    quota = cap * scenario.window_s
    at_s = 0.0
    start_s = 0.0  # of the window
    used = 0.0  # of its quota [B]
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(scenario, work, i, end - i)
        pages, zero = pending_pages(work, i, number)
        i += number
        left = pages * wire_bytes(scenario, zero)
        if left <= 0.0:
            continue
        pace_s = page_s(scenario, zero) / wire_bytes(scenario, zero)
        if quota * pace_s < window_s and left > quota - used:
            left -= quota - used
            start_s = max(start_s + window_s, at_s + (quota - used) * pace_s)
            windows = np.ceil(left / quota) - 1.0
            start_s += windows * window_s
            left -= windows * quota
            at_s = start_s
            used = 0.0
        at_s += left * pace_s
        used += left
        if at_s > start_s + window_s:
            start_s += np.floor((at_s - start_s) / window_s) * window_s
            used = (at_s - start_s) / pace_s
    return at_s


@lean
def pending_pages(work: Work, i: int, number: int) -> tuple[float, float]:
    """Return the pending pages of a number of pieces, and which share of these is zero."""
    pages = zero = 0.0
    for k in range(i, i + number):
        piece = work.pieces[k & LAST_PIECE]
        own = piece.pages * piece.share
        pages += own
        if own > 0.0:
            zero += (work.zero_shares[k & LAST_PIECE] - zero) * (own / pages)
    return pages, zero


@lean
def fault_rate(scenario: PackedScenario, run: Run, work: Work) -> float:
    """Return the faults for each second of guest progress: accesses that find their page missing."""
    return _touched(scenario, work, int(run.head), int(run.pieces))


@lean
def from_the_start(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Let the push begin at address 0."""
    first = 0.0
    if scenario.lead_pages > 0.0 and scenario.first_woven < np.inf:
        first = scenario.first_woven
    elif scenario.zero_first_pages > 0.0:
        first = scenario.class_count + 2.0
    found, lowest = 0, np.inf
    for i in range(int(run.pieces)):
        at = work.pieces[(int(run.head) + i) & LAST_PIECE]
        if at.segment == first and at.first_page < lowest:
            found, lowest = i, at.first_page
    for _ in range(found):
        _to_the_end(run, work, 1, 1.0)


@lean
def follow(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Let the push go on at the page that is demanded first while it waits.

    A place is a segment, or all that lies interleaved. Places take turns, each as often as its share of the demands
    says. The page of a sweep is the first one missing from where it stands on. That of another place lies anywhere in
    what is missing, each time elsewhere, evenly in the long run.
    """
    place = _place_in_turn(scenario, run, work)
    if place < 0.0:
        return
    behind, part = (
        _at_sweep(run, work, place) if _is_sweep(scenario, work, place) else _anywhere(scenario, run, work, place)
    )
    passed = 0
    while passed < behind:
        number = ring.width(scenario, work, int(run.head), int(run.pieces) - passed)
        _to_the_end(run, work, number, 1.0)
        passed += number
    number = ring.width(scenario, work, int(run.head), int(run.pieces) - passed)
    if part > 0.0 and run.pieces + number <= run.most_pieces:
        _to_the_end(run, work, number, part)


@lean
def _place_in_turn(scenario: PackedScenario, run: Run, work: Work) -> float:
    """Return the place whose turn it is; below 0: nothing is demanded."""
    last = int(min(scenario.first_woven, scenario.class_count))
    total = 0.0
    for c in range(last + 1):
        total += _demands(scenario, run, work, _named(scenario, c, last))
    found, most = -1, -np.inf
    for c in range(last + 1):
        rate = _demands(scenario, run, work, _named(scenario, c, last))
        if rate > 0.0:
            work.segments[c].owed_turns += rate / total
            if work.segments[c].owed_turns > most:
                found, most = c, work.segments[c].owed_turns
    if found < 0:
        return -1.0
    work.segments[found].owed_turns -= 1.0
    work.segments[found].turns += 1.0
    return _named(scenario, found, last)


@lean
def _named(scenario: PackedScenario, c: int, last: int) -> float:
    """Return the place of the c-th turn: what lies interleaved comes last."""
    return float(c) if c < last else float(scenario.first_woven)


@lean
def _is_sweep(scenario: PackedScenario, work: Work, place: float) -> bool:
    """Say whether a place is a class that sweeps, and lies by itself."""
    return place < min(scenario.first_woven, scenario.class_count) and work.segments[int(place)].kind == dirty.SWEEP


@lean
def _at_sweep(run: Run, work: Work, place: float) -> tuple[int, float]:
    """Return behind which piece the sweep's next missing page lies, and which part of that piece is before it."""
    one = work.segments[int(place)]
    at_page = one.position_pages % one.pages
    found, part, least = 0, 0.0, np.inf
    for i in range(int(run.pieces)):
        piece = work.pieces[(int(run.head) + i) & LAST_PIECE]
        if piece.segment != place or piece.pages * piece.share <= 0.0:
            continue
        within = at_page - piece.first_page
        ahead = 0.0 if 0.0 <= within < piece.pages else -within % one.pages
        if ahead < least:
            found, part, least = i, within / piece.pages if ahead == 0.0 else 0.0, ahead
    return found, part


@lean
def _anywhere(scenario: PackedScenario, run: Run, work: Work, place: float) -> tuple[int, float]:
    """Return behind which piece a page of a place's missing ones lies, and which part of that piece is before it."""
    turns = work.segments[int(min(place, scenario.class_count))].turns
    before = (0.5 + turns * GOLDEN) % 1.0 * _missing(scenario, run, work, place)
    i, end = 0, int(run.pieces)
    while i < end:
        head = int(run.head) + i
        number = ring.width(scenario, work, head, end - i)
        if _place(scenario, work, head) == place:
            pages, _ = pending_pages(work, head, number)
            if before < pages:
                return i, before / pages
            before -= pages
        i += number
    return 0, 0.0


@lean
def _place(scenario: PackedScenario, work: Work, i: int) -> float:
    """Return what tells the place of a piece: its segment, or the first of those that lie interleaved."""
    segment = work.pieces[i & LAST_PIECE].segment
    woven = scenario.first_woven <= segment <= scenario.class_count + 1.0
    return float(scenario.first_woven if woven else segment)


@lean
def _demands(scenario: PackedScenario, run: Run, work: Work, place: float) -> float:
    """Return how many pages of a place are demanded a second."""
    rate = 0.0
    for i in range(int(run.head), int(run.head) + int(run.pieces)):
        if _place(scenario, work, i) == place:
            at = work.pieces[i & LAST_PIECE]
            rate += at.pages * at.share * _touch_rate(scenario, work, int(at.segment))
    return rate


@lean
def _missing(scenario: PackedScenario, run: Run, work: Work, place: float) -> float:
    """Return how many pages of a place are missing."""
    pages = 0.0
    for i in range(int(run.head), int(run.head) + int(run.pieces)):
        if _place(scenario, work, i) == place:
            at = work.pieces[i & LAST_PIECE]
            pages += at.pages * at.share
    return pages


@lean
def _to_the_end(run: Run, work: Work, number: int, part: float) -> None:
    """Put this part of so many pieces at the scan pointer behind all others."""
    head, count = int(run.head), int(run.pieces)
    for i in range(head, head + number):
        at, behind = work.pieces[i & LAST_PIECE], work.pieces[(i + count) & LAST_PIECE]
        assign(behind, at)
        work.zero_shares[(i + count) & LAST_PIECE] = work.zero_shares[i & LAST_PIECE]
        if part < 1.0:
            behind.pages = part * at.pages
            at.pages -= behind.pages
            at.first_page += behind.pages
    if part < 1.0:
        run.pieces += number
    else:
        run.head = (head + number) & LAST_PIECE


@lean
def _touch_rate(scenario: PackedScenario, work: Work, segment: int) -> float:
    """Return the accesses a second to one page of a segment that may fault: of a sweep, the next are sent along.

    A push that follows a sweep goes ahead of it by its quota ``q``. Until then it faults on ``f`` pages in the mean,
    those of half a window, or on one where it waits. So it faults on ``f / (f + q)`` of its pages.
    """
    if segment >= scenario.class_count:
        return 0.0
    one = work.segments[segment]
    if one.made_writes >= one.most_writes:  # a growth that has ended
        return 0.0
    rate = (one.writes_per_s + one.reads_per_s) / one.pages
    if one.kind != dirty.SWEEP:
        return rate
    if scenario.push_follows > 0.0 and scenario.postcopy_cap_bytes_per_s < np.inf:
        ahead = scenario.postcopy_cap_bytes_per_s * scenario.window_s / scenario.page_wire_bytes
        faults = 1.0 if scenario.demands_wait > 1.0 else max(1.0, rate * one.pages * scenario.window_s / 2.0)
        rate *= faults / (faults + ahead)
    return rate / (1.0 + scenario.prefetch_pages)


@lean
def fetch(scenario: PackedScenario, run: Run, work: Work, faults: float) -> float:
    """Take the pages that faulted, and the neighbours sent with them, out of the pieces; return the faults.

    Of the next ``prefetch_pages`` pages those are sent that are missing: in a random class a share as large as of all
    its pages, in a sweep all of them.
    """
    rate = fault_rate(scenario, run, work)
    if rate <= 0.0 or faults <= 0.0:
        return 0.0
    more = scenario.prefetch_pages
    faulted = 0.0
    fetched = 0.0
    blank = 0.0
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(scenario, work, i, end - i)
        asked = faults * _touched(scenario, work, i, number) / rate if number > 1 else 0.0
        among = _pages(work, i, number) if number > 1 else 0.0
        for k in range(i, i + number):
            at = work.pieces[k & LAST_PIECE]
            pending = at.pages * at.share
            if pending <= 0.0:
                continue
            own = min(pending, faults * pending * _touch_rate(scenario, work, int(at.segment)) / rate)
            near = at.share
            if at.segment < scenario.class_count and work.segments[int(at.segment)].kind == dirty.SWEEP:
                near = 1.0
            taken = min(pending, own * (1.0 + more * near))
            if number > 1:  # the neighbours of a page are of any segment
                taken = min(pending, own + more * asked * pending / among)
            faulted += own
            at.share *= 1.0 - taken / pending
            fetched += taken
            blank += taken * work.zero_shares[k & LAST_PIECE]
        i += number
    run.left_pages = max(0.0, run.left_pages - fetched)
    run.sent_bytes += (fetched - blank) * scenario.page_wire_bytes + blank * scenario.zero_wire_bytes
    run.normal_pages += fetched - blank
    run.zero_pages += blank
    return faulted


@lean
def _pages(work: Work, i: int, number: int) -> float:
    """Return the pages of a number of pieces, sent or not."""
    pages = 0.0
    for k in range(i, i + number):
        pages += work.pieces[k & LAST_PIECE].pages
    return pages


@lean
def _touched(scenario: PackedScenario, work: Work, i: int, number: int) -> float:
    """Return the accesses a second to pending pages of a number of pieces."""
    rate = 0.0
    for k in range(i, i + number):
        at = work.pieces[k & LAST_PIECE]
        rate += at.pages * at.share * _touch_rate(scenario, work, int(at.segment))
    return rate


@lean
def push(
    scenario: PackedScenario, run: Run, work: Work, time_s: float, most_bytes: float, most_zero_s: float = np.inf
) -> tuple[float, float]:
    """Send in address order for ``time_s``, at most so many bytes; return the bytes, and how long they took [s].

    It ends, too, after ``most_zero_s`` of zero pages in a row.
    """
    pushed = used_s = zero_s = 0.0
    while run.pieces > 0.0 and used_s < time_s and pushed < most_bytes and zero_s < most_zero_s:
        head = int(run.head)
        number = ring.width(scenario, work, head, int(run.pieces))
        pending, zero = pending_pages(work, head, number)
        each_s, each_bytes = page_s(scenario, zero), wire_bytes(scenario, zero)
        pages = min(pending, (time_s - used_s) / each_s, (most_bytes - pushed) / each_bytes)
        if zero >= 1.0:
            pages = min(pages, (most_zero_s - zero_s) / each_s)
        zero_s = zero_s + pages * each_s if zero >= 1.0 else 0.0
        share = pages / pending if pending > 0.0 else 1.0
        for k in range(head, head + number):
            piece = work.pieces[k & LAST_PIECE]
            piece.first_page += share * piece.pages
            piece.pages *= 1.0 - share
        run.left_pages = max(0.0, run.left_pages - pages)
        pushed += pages * each_bytes
        used_s += pages * each_s
        run.sent_bytes += pages * each_bytes
        run.zero_pages += pages * zero
        run.normal_pages += pages * (1.0 - zero)
        if not share >= 1.0:
            break
        run.head = (head + number) & LAST_PIECE
        run.pieces -= number
    return pushed, used_s
