"""Post-copy in expectation: background push against demand faults.

The push goes on at the scan pointer in address order. A vCPU that touches a page which is
not there waits ``L = RTT + service + queue + page / B`` and the page is sent out of order, with
``PREFETCH_PAGES`` neighbours; the queue is what the push has put on the same connection before, none where
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

from migkit.engine import layout, mixed, ring
from migkit.engine.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    DEVICE_BYTES,
    DISCARD_RUN_S,
    FAULT_SERVICE_S,
    FILL_ZERO,
    GRAIN_PAGES,
    LOAD_S,
    NORMAL_PAGES,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    POSTCOPY_CAP,
    POSTCOPY_GOODPUT,
    POSTCOPY_ZERO_CPU_S,
    PREFETCH_PAGES,
    QUEUE_BYTES,
    REGISTER_PER_PAGE_S,
    RESUME_S,
    RTT_S,
    WINDOW_EXTRA_S,
    WINDOW_S,
    WOVEN,
    ZERO_FIRST_PAGES,
    ZERO_LAST_PAGES,
    ZERO_PAGES,
    ZERO_WIRE_BYTES,
)
from migkit.engine.records import Result, Run
from migkit.engine.run_state import (
    PIECE_SLOTS,
    PIECES,
    ZERO_SHARES,
    point,
)
from migkit.jit import lean

__all__ = ["postcopy_one"]

TURNS: Final = 64  # parts of the push after which the faults are counted anew


@lean
def postcopy_one(record: np.ndarray, run: Run, work: np.ndarray, result: Result, line: Any) -> None:
    """Go on from the state that the pre-copy engine left when its policy went post-copy.

    Parameters
    ----------
    record
        The packed scenario (:mod:`migkit.engine.layout`).
    run, work
        As :func:`migkit.engine.precopy.precopy_one` left them: stopped, synced.
    result
        Completed: total time, downtime, bytes, faults, blocktime.
    line
        Receives further points of the time line while there is room; or None.
    """
    run.now_s += record[LOAD_S] + record[RESUME_S] + record[REGISTER_PER_PAGE_S] * run.left_pages
    run.now_s += record[DISCARD_RUN_S] * _runs(record, run, work) + record[DEVICE_BYTES] / record[POSTCOPY_GOODPUT]
    run.sent_bytes += record[DEVICE_BYTES]
    result.downtime_s = run.now_s - run.stopped_s
    point(run, line)
    start_s = run.now_s
    _count_zeros(record, run, work)
    busy_s = _push_s(record, run, work, np.inf) / TURNS
    turn_s = _push_s(record, run, work, record[POSTCOPY_CAP]) / TURNS
    pushing = busy_s / turn_s if turn_s > 0.0 else 0.0
    faults = 0.0
    blocked_s = 0.0
    turns = 0.0
    for _ in range(TURNS):
        rate = _fault_rate(record, run, work)
        wait_s = record[RTT_S] + record[FAULT_SERVICE_S] + _page_s(record, 0.0)
        queued_s = wait_s + _queue_s(record, run)
        progress_s = turn_s * (pushing / (1.0 + rate * queued_s) + (1.0 - pushing) / (1.0 + rate * wait_s))
        new = _fetch(record, run, work, rate * progress_s)
        push_s = busy_s - new * (1.0 + record[PREFETCH_PAGES]) * _page_s(record, 0.0) * pushing
        left_s = _push_s(record, run, work, np.inf) if pushing < 1.0 else push_s
        part = left_s / push_s if left_s < push_s else 1.0
        _push(record, run, work, push_s)
        faults += new
        blocked_s += (turn_s - progress_s) * part
        turns += part
        run.now_s = start_s + turn_s * turns
        point(run, line)
        if part < 1.0:
            break
    result.exposure_s = run.now_s - start_s
    result.degraded_s += run.now_s - start_s
    result.faults = faults
    result.blocktime_s = blocked_s
    result.lost_s += blocked_s
    result.total_s = run.now_s
    result.sent_bytes = run.sent_bytes
    result.normal_pages = run.normal_pages
    result.zero_pages = run.zero_pages
    result.left_pages = run.left_pages
    result.points = run.points


@lean
def _runs(record: np.ndarray, run: Run, work: np.ndarray) -> float:
    """Return how many runs of pages are pending: one begins where a pending block follows one that is not."""
    runs = 0.0
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(record, work, i, end - i)
        at = i % PIECES * PIECE_SLOTS
        pages, share = work[at + 1], work[at + 2]
        if record[WOVEN] <= work[at] <= record[CLASSES] + 1.0:
            pages *= _woven_pages(record) / _segment_pages(record, int(work[at]))
            share = min(1.0, ring.pending(work, i, number) / pages) if pages > 0.0 else 0.0
        runs += pages / record[GRAIN_PAGES] * share * (1.0 - share)
        i += number
    return runs


@lean
def _woven_pages(record: np.ndarray) -> float:
    """Return the pages of all segments that lie interleaved, sent or not."""
    pages = 0.0
    for segment in range(int(record[WOVEN]), int(record[CLASSES]) + 2):
        pages += _segment_pages(record, segment)
    return pages


@lean
def _segment_pages(record: np.ndarray, segment: int) -> float:
    if segment == int(record[CLASSES]):
        return float(record[NORMAL_PAGES])
    if segment > int(record[CLASSES]):
        return float(record[ZERO_PAGES] - record[ZERO_FIRST_PAGES] - record[ZERO_LAST_PAGES])
    return float(record[CLASS_BASE + segment * CLASS_SLOTS + layout.PAGES])


@lean
def _queue_s(record: np.ndarray, run: Run) -> float:
    """Return how long what is ahead of a demanded page takes while the push is on, in the mean over that time [s]."""
    queue = min(record[QUEUE_BYTES], run.left_pages * record[PAGE_WIRE_BYTES])
    quota = record[POSTCOPY_CAP] * record[WINDOW_S]
    ahead = queue - queue * queue / (2.0 * quota) if queue < quota else quota / 2.0
    return float(ahead / record[PAGE_WIRE_BYTES] * _page_s(record, 0.0))


@lean
def _page_s(record: np.ndarray, zero: float) -> float:
    """Return how long the path takes for one page [s], in the mean over pages of which a share is zero."""
    zero_s = max(record[ZERO_WIRE_BYTES] / record[POSTCOPY_GOODPUT], record[POSTCOPY_ZERO_CPU_S])
    full_s = max(record[PAGE_WIRE_BYTES] / record[POSTCOPY_GOODPUT], record[PAGE_CPU_S])
    return float(zero * zero_s + (1.0 - zero) * full_s)


@lean
def _wire_bytes(record: np.ndarray, zero: float) -> float:
    """Return what one page costs, in the mean over pages of which a share is zero [B]."""
    return float(zero * record[ZERO_WIRE_BYTES] + (1.0 - zero) * record[PAGE_WIRE_BYTES])


@lean
def _count_zeros(record: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Keep which share of each piece's pages is zero: those of a region may be that until they are written."""
    for i in range(int(run.pieces)):
        piece = (int(run.head) + i) % PIECES
        at = piece * PIECE_SLOTS
        c, share, page = int(work[at]), work[at + 2], work[at + 3]
        zero = 1.0 if c > record[CLASSES] else 0.0
        if c < record[CLASSES] and record[FILL_ZERO] > 0.0 and share > 0.0:
            writes = mixed.written(work, c)
            zero = mixed.zero_share(record, c, page, page + work[at + 1], share, writes)
        work[ZERO_SHARES + piece] = zero


@lean
def _push_s(record: np.ndarray, run: Run, work: np.ndarray, cap: float) -> float:
    """Return how long all that is pending takes on the path under a cap [s], the waits for windows included."""
    window_s = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    quota = cap * record[WINDOW_S]
    at_s = 0.0
    start_s = 0.0  # of the window
    used = 0.0  # of its quota [B]
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(record, work, i, end - i)
        pages, zero = _pending(work, i, number)
        i += number
        left = pages * _wire_bytes(record, zero)
        if left <= 0.0:
            continue
        pace_s = _page_s(record, zero) / _wire_bytes(record, zero)
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
def _pending(work: np.ndarray, i: int, number: int) -> tuple[float, float]:
    """Return the pending pages of a number of pieces, and which share of these is zero."""
    pages = zero = 0.0
    for k in range(i, i + number):
        piece = k % PIECES
        own = work[piece * PIECE_SLOTS + 1] * work[piece * PIECE_SLOTS + 2]
        pages += own
        if own > 0.0:
            zero += (work[ZERO_SHARES + piece] - zero) * (own / pages)
    return pages, zero


@lean
def _fault_rate(record: np.ndarray, run: Run, work: np.ndarray) -> float:
    """Return the faults for each second of guest progress: accesses that find their page missing."""
    return _touched(record, work, int(run.head), int(run.pieces))


@lean
def _touch_rate(record: np.ndarray, segment: int) -> float:
    """Return the accesses a second to one page of a segment."""
    if segment >= record[CLASSES]:
        return 0.0
    base = CLASS_BASE + segment * CLASS_SLOTS
    return (record[base + layout.WRITES_PER_S] + record[base + layout.READS_PER_S]) / record[base + layout.PAGES]


@lean
def _fetch(record: np.ndarray, run: Run, work: np.ndarray, faults: float) -> float:
    """Take the pages that faulted, and the neighbours sent with them, out of the pieces; return the faults."""
    rate = _fault_rate(record, run, work)
    if rate <= 0.0 or faults <= 0.0:
        return 0.0
    more = record[PREFETCH_PAGES]
    wanted = faults * (1.0 + more)
    fetched = 0.0
    blank = 0.0
    i = int(run.head)
    end = i + int(run.pieces)
    while i < end:
        number = ring.width(record, work, i, end - i)
        there = ring.pending(work, i, number) if number > 1 else 0.0
        asked = faults * _touched(record, work, i, number) / rate if number > 1 else 0.0
        for k in range(i, i + number):
            at = k % PIECES * PIECE_SLOTS
            pending = work[at + 1] * work[at + 2]
            if pending <= 0.0:
                continue
            touch_rate = _touch_rate(record, int(work[at]))
            taken = min(pending, wanted * pending * touch_rate / rate)
            if number > 1:  # the neighbours of a page are of any segment
                taken = min(pending, faults * pending * touch_rate / rate + more * asked * pending / there)
            work[at + 2] *= 1.0 - taken / pending
            fetched += taken
            blank += taken * work[ZERO_SHARES + k % PIECES]
        i += number
    run.left_pages = max(0.0, run.left_pages - fetched)
    run.sent_bytes += (fetched - blank) * record[PAGE_WIRE_BYTES] + blank * record[ZERO_WIRE_BYTES]
    run.normal_pages += fetched - blank
    run.zero_pages += blank
    return fetched / (1.0 + more)


@lean
def _touched(record: np.ndarray, work: np.ndarray, i: int, number: int) -> float:
    """Return the accesses a second to pending pages of a number of pieces."""
    rate = 0.0
    for k in range(i, i + number):
        at = k % PIECES * PIECE_SLOTS
        rate += work[at + 1] * work[at + 2] * _touch_rate(record, int(work[at]))
    return rate


@lean
def _push(record: np.ndarray, run: Run, work: np.ndarray, time_s: float) -> None:
    """Send in address order for ``time_s``."""
    while run.pieces > 0.0 and time_s > 0.0:
        head = int(run.head)
        number = ring.width(record, work, head, int(run.pieces))
        pending, zero = _pending(work, head, number)
        pages = min(pending, time_s / _page_s(record, zero))
        share = pages / pending if pending > 0.0 else 1.0
        for k in range(head, head + number):
            work[k % PIECES * PIECE_SLOTS + 1] *= 1.0 - share
        run.left_pages = max(0.0, run.left_pages - pages)
        run.sent_bytes += pages * _wire_bytes(record, zero)
        run.zero_pages += pages * zero
        run.normal_pages += pages * (1.0 - zero)
        time_s -= pages * _page_s(record, zero)
        if not share >= 1.0:
            break
        run.head = (head + number) % PIECES
        run.pieces -= number
