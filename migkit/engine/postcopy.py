"""Post-copy in expectation: background push against demand faults.

The push goes on at the scan pointer in address order. A vCPU that touches a page which is
not there waits ``L = RTT + service + queue + page / B`` and the page is sent out of order, with
those of the next ``prefetch_pages`` that are missing; the queue is what the push has put on the same connection before, none where
demands have one of their own. With ``phi`` faults for each second of guest progress ``x``,
``dx/dt = 1 / (1 + phi L)``; ``phi`` is the rate of accesses times the share of pages that
are missing. Each page is sent once, so that the push ends after ``V / B``; under a cap ``C`` it goes in windows of
``W`` = 100 ms, each as fast as the path until its quota ``C W`` is used up, and ends after
``W`` for each window but the last, and what is left in that takes at ``B``; what is demanded while the
push waits for its next window comes on top of the quota, so that it ends sooner.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import dirty, mixed, ring
from migkit.engine.records import PackedScenario, Result, Run, Work
from migkit.engine.run_state import LAST_PIECE, NOTHING, point
from migkit.jit import lean

__all__ = ["device_s", "postcopy_one"]

TURNS: Final = 64  # parts of the push after which the faults are counted anew
PARTS: Final = 256.0  # of the windows that are left, which are pushed at once


@lean
def postcopy_one(scenario: PackedScenario, run: Run, work: Work, result: Result, line: Any) -> None:
    """Go on from the state that the pre-copy engine left when its policy went post-copy.

    Parameters
    ----------
    scenario
        The packed scenario.
    run, work
        As :func:`migkit.engine.precopy.precopy_one` left them: stopped, synced.
    result
        Completed: total time, downtime, bytes, faults, blocktime.
    line
        Receives further points of the time line while there is room; or None.
    """
    run.now_s += scenario.load_s + scenario.resume_s + scenario.register_per_page_s * run.left_pages
    run.now_s += scenario.discard_run_s * _runs(scenario, run, work) + device_s(scenario)
    run.sent_bytes += scenario.device_bytes
    result.downtime_s = run.now_s - run.stopped_s
    point(run, line)
    start_s = run.now_s
    _count_zeros(scenario, run, work)
    if scenario.postcopy_cap_bytes_per_s < np.inf and _touched(scenario, work, int(run.head), int(run.pieces)) > 0.0:
        faults, blocked_s, behind_s = _in_windows(scenario, run, work, line)
    else:
        faults, blocked_s, behind_s = _in_parts(scenario, run, work, line)
    result.exposure_s = run.now_s - start_s
    result.degraded_s += run.now_s - start_s
    result.faults = faults
    result.blocktime_s = blocked_s
    result.lost_s += behind_s
    result.total_s = run.now_s
    result.sent_bytes = run.sent_bytes
    result.normal_pages = run.normal_pages
    result.zero_pages = run.zero_pages
    result.left_pages = run.left_pages
    result.points = run.points


@lean
def _in_parts(scenario: PackedScenario, run: Run, work: Work, line: Any) -> tuple[float, float, float]:
    """Push what is pending in equal parts of its time.

    Return the faults, for how long they stopped the guest, and how far behind they have left it [s].
    """
    start_s = run.now_s
    busy_s = _push_s(scenario, run, work, np.inf) / TURNS
    turn_s = _push_s(scenario, run, work, scenario.postcopy_cap_bytes_per_s) / TURNS
    faults = blocked_s = behind_s = turns = 0.0
    for _ in range(TURNS):
        rate = _fault_rate(scenario, run, work)
        wait_s = _answer_s(scenario) + _queue_s(scenario, run)
        progress_s = _progress_s(scenario, work, turn_s, rate * wait_s, behind_s)
        left_pages = run.left_pages
        new = _fetch(scenario, run, work, rate * progress_s)
        _grow(scenario, work, progress_s)
        push_s = busy_s - (left_pages - run.left_pages) * _page_s(scenario, 0.0)
        left_s = _push_s(scenario, run, work, np.inf) if turn_s > busy_s else push_s
        part = left_s / push_s if left_s < push_s else 1.0
        _push(scenario, run, work, push_s, np.inf)
        faults += new
        blocked_s += min(turn_s, rate * progress_s * wait_s) * part
        behind_s += (turn_s - progress_s) * part
        turns += part
        run.now_s = start_s + turn_s * turns
        point(run, line)
        if part < 1.0:
            break
    return faults, blocked_s, behind_s


@lean
def _in_windows(scenario: PackedScenario, run: Run, work: Work, line: Any) -> tuple[float, float, float]:
    """Push what is pending by windows, several at once while there are many; return as :func:`_in_parts` does.

    While the push has its quota, a demanded page goes ahead of it and counts; while it waits for its next window, the
    page comes on top of the quota. Or a demanded page comes with the next window: the guest faults once a window.
    """
    window_s = scenario.window_s + scenario.window_extra_s
    quota = scenario.postcopy_cap_bytes_per_s * scenario.window_s
    page_s = _page_s(scenario, 0.0)
    pushing = min(1.0, quota / (scenario.postcopy_goodput_bytes_per_s * window_s))
    alone = scenario.demands_wait > 0.0 and pushing < 1.0
    faults = blocked_s = behind_s = waiting = 0.0
    while run.left_pages > NOTHING:
        windows = max(1.0, np.floor(run.left_pages * scenario.page_wire_bytes / quota / PARTS))
        span_s = windows * window_s
        wait_s = _answer_s(scenario)
        queued_s = wait_s + _queue_s(scenario, run)
        rate = _fault_rate(scenario, run, work)
        first_s = 0.0 if alone else _progress_s(scenario, work, pushing * span_s, rate * queued_s, behind_s)
        left_pages = run.left_pages
        ahead = _fetch(scenario, run, work, rate * first_s)
        ahead_s = (left_pages - run.left_pages) * page_s
        counted = (left_pages - run.left_pages + waiting) * scenario.page_wire_bytes
        pushed, used_s = _push(scenario, run, work, span_s - ahead_s, max(0.0, windows * quota - counted))
        pushing = min(1.0, (used_s + ahead_s) / span_s)
        idle_s = span_s if alone else (1.0 - pushing) * span_s
        blocked = rate * first_s * queued_s
        if run.left_pages <= NOTHING:  # the last window ends with its last page
            sent = pushed + counted
            full = max(0.0, np.ceil(sent / quota) - 1.0)
            span_s = min(span_s, full * window_s + (1.0 - full * quota / sent) * used_s) if sent > 0.0 else 0.0
            idle_s = span_s if alone else 0.0
        rate = _fault_rate(scenario, run, work)
        then_s = _progress_s(scenario, work, idle_s, 0.0 if alone else rate * wait_s, behind_s)
        if alone and rate > 0.0:
            free_s, then_s = then_s, windows * -np.expm1(-rate * then_s / windows) / rate
            blocked += idle_s * (1.0 - then_s / free_s) if free_s > 0.0 else 0.0
        else:
            blocked += rate * then_s * wait_s
        left_pages = run.left_pages
        after = _fetch(scenario, run, work, rate * then_s)
        waiting = left_pages - run.left_pages if alone else 0.0
        _grow(scenario, work, first_s + then_s)
        faults += ahead + after
        behind_s = max(0.0, behind_s + span_s - first_s - then_s)
        run.now_s += span_s
        blocked_s += min(span_s, blocked)
        point(run, line)
    return faults, blocked_s, behind_s


@lean
def _answer_s(scenario: PackedScenario) -> float:
    """Return how long a demanded page takes that nothing is ahead of [s]."""
    return float(scenario.rtt_s + scenario.fault_service_s + _page_s(scenario, 0.0))


@lean
def _progress_s(scenario: PackedScenario, work: Work, span_s: float, waiting: float, behind_s: float) -> float:
    """Return the guest's progress in a span [s], where it waits for ``waiting`` seconds for each of progress.

    A guest that runs flat out makes ``1 / (1 + waiting)`` a second. One whose capacity is ``C / d`` times what it
    asks for makes up for the time in which it waited: up to ``1 / (d / C + waiting)``, until it is ``behind_s`` no
    more.
    """
    demand = 0.0
    for c in range(int(scenario.class_count)):
        demand += work.segments[c].writes_per_s
    running = min(1.0, demand / scenario.capacity_writes_per_s) if scenario.capacity_writes_per_s > 0.0 else 1.0
    most_s = span_s / (running + waiting) if running + waiting > 0.0 else np.inf
    return min(span_s + behind_s, most_s)


@lean
def _grow(scenario: PackedScenario, work: Work, progress_s: float) -> None:
    """Let growths go on."""
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        if one.most_writes < np.inf:
            one.made_writes = min(one.most_writes, one.made_writes + one.writes_per_s * progress_s)


@lean
def device_s(scenario: PackedScenario) -> float:
    """Return how long the state of devices takes on the path [s]."""
    return float(scenario.device_bytes / scenario.postcopy_goodput_bytes_per_s)


@lean
def _runs(scenario: PackedScenario, run: Run, work: Work) -> float:
    """Return how many runs of pages are pending: one begins where a pending block follows one that is not."""
    runs = 0.0
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(scenario, work, i, end - i)
        at = work.pieces[i & LAST_PIECE]
        pages, share = at.pages, at.share
        if scenario.first_woven <= at.segment <= scenario.class_count + 1.0:
            pages *= _woven_pages(scenario, work) / ring.segment_pages(scenario, work, int(at.segment))
            share = min(1.0, ring.pending(work, i, number) / pages) if pages > 0.0 else 0.0
        runs += pages / scenario.grain_pages * share * (1.0 - share)
        i += number
    return runs


@lean
def _woven_pages(scenario: PackedScenario, work: Work) -> float:
    """Return the pages of all segments that lie interleaved, sent or not."""
    pages = 0.0
    for segment in range(int(scenario.first_woven), int(scenario.class_count) + 2):
        pages += ring.segment_pages(scenario, work, segment)
    return pages


@lean
def _queue_s(scenario: PackedScenario, run: Run) -> float:
    """Return how long what is ahead of a demanded page takes while the push is on, in the mean over that time [s]."""
    queue = min(scenario.queue_bytes, run.left_pages * scenario.page_wire_bytes)
    quota = scenario.postcopy_cap_bytes_per_s * scenario.window_s
    ahead = queue - queue * queue / (2.0 * quota) if queue < quota else quota / 2.0
    return float(ahead / scenario.page_wire_bytes * _page_s(scenario, 0.0))


@lean
def _page_s(scenario: PackedScenario, zero: float) -> float:
    """Return how long the path takes for one page [s], in the mean over pages of which a share is zero."""
    zero_s = max(scenario.zero_wire_bytes / scenario.postcopy_goodput_bytes_per_s, scenario.postcopy_zero_cpu_s)
    full_s = max(scenario.page_wire_bytes / scenario.postcopy_goodput_bytes_per_s, scenario.page_cpu_s)
    return float(zero * zero_s + (1.0 - zero) * full_s)


@lean
def _wire_bytes(scenario: PackedScenario, zero: float) -> float:
    """Return what one page costs, in the mean over pages of which a share is zero [B]."""
    return float(zero * scenario.zero_wire_bytes + (1.0 - zero) * scenario.page_wire_bytes)


@lean
def _count_zeros(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Keep which share of each piece's pages is zero: those of a region may be that until they are written."""
    for i in range(int(run.pieces)):
        k = (int(run.head) + i) & LAST_PIECE
        piece = work.pieces[k]
        c, share, page = int(piece.segment), piece.share, piece.first_page
        zero = 1.0 if c > scenario.class_count else 0.0
        if c < scenario.class_count and work.segments[c].blank > 0.0 and share > 0.0:
            one = work.segments[c]
            zero = mixed.zero_share(scenario, one, page, page + piece.pages, share, mixed.written(one))
        work.zero_shares[k] = zero


@lean
def _push_s(scenario: PackedScenario, run: Run, work: Work, cap: float) -> float:
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
        pages, zero = _pending(work, i, number)
        i += number
        left = pages * _wire_bytes(scenario, zero)
        if left <= 0.0:
            continue
        pace_s = _page_s(scenario, zero) / _wire_bytes(scenario, zero)
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
def _pending(work: Work, i: int, number: int) -> tuple[float, float]:
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
def _fault_rate(scenario: PackedScenario, run: Run, work: Work) -> float:
    """Return the faults for each second of guest progress: accesses that find their page missing."""
    return _touched(scenario, work, int(run.head), int(run.pieces))


@lean
def _touch_rate(scenario: PackedScenario, work: Work, segment: int) -> float:
    """Return the accesses a second to one page of a segment that may fault: of a sweep, the next are sent along."""
    if segment >= scenario.class_count:
        return 0.0
    one = work.segments[segment]
    if one.made_writes >= one.most_writes:  # a growth that has ended
        return 0.0
    rate = (one.writes_per_s + one.reads_per_s) / one.pages
    return rate / (1.0 + scenario.prefetch_pages) if one.kind == dirty.SWEEP else rate


@lean
def _fetch(scenario: PackedScenario, run: Run, work: Work, faults: float) -> float:
    """Take the pages that faulted, and the neighbours sent with them, out of the pieces; return the faults.

    Of the next ``prefetch_pages`` pages those are sent that are missing: in a random class a share as large as of all
    its pages, in a sweep all of them.
    """
    rate = _fault_rate(scenario, run, work)
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
def _push(scenario: PackedScenario, run: Run, work: Work, time_s: float, most_bytes: float) -> tuple[float, float]:
    """Send in address order for ``time_s``, at most so many bytes; return the bytes, and how long they took [s]."""
    pushed = used_s = 0.0
    while run.pieces > 0.0 and used_s < time_s and pushed < most_bytes:
        head = int(run.head)
        number = ring.width(scenario, work, head, int(run.pieces))
        pending, zero = _pending(work, head, number)
        page_s, wire_bytes = _page_s(scenario, zero), _wire_bytes(scenario, zero)
        pages = min(pending, (time_s - used_s) / page_s, (most_bytes - pushed) / wire_bytes)
        share = pages / pending if pending > 0.0 else 1.0
        for k in range(head, head + number):
            work.pieces[k & LAST_PIECE].pages *= 1.0 - share
        run.left_pages = max(0.0, run.left_pages - pages)
        pushed += pages * wire_bytes
        used_s += pages * page_s
        run.sent_bytes += pages * wire_bytes
        run.zero_pages += pages * zero
        run.normal_pages += pages * (1.0 - zero)
        if not share >= 1.0:
            break
        run.head = (head + number) & LAST_PIECE
        run.pieces -= number
    return pushed, used_s
