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

from typing import Final

import numpy as np

from migkit.kernels import layout, precopy_mixed
from migkit.kernels._jit import lean
from migkit.kernels.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    DISCARD_RUN_S,
    FAULT_SERVICE_S,
    FILL_ZERO,
    GRAIN_PAGES,
    LOAD_S,
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
    ZERO_WIRE_BYTES,
)
from migkit.kernels.precopy_state import (
    BYTES,
    COUNT,
    HEAD,
    LEFT,
    NORMAL,
    PIECE_SLOTS,
    PIECES,
    POINT,
    STOPPED,
    ZERO,
    ZERO_SHARES,
    T,
    point,
)

__all__ = ["postcopy_one"]

TURNS: Final = 64  # parts of the push after which the faults are counted anew


@lean
def postcopy_one(
    record: np.ndarray, run: np.ndarray, work: np.ndarray, result: np.ndarray, line: np.ndarray | None
) -> None:
    """Go on from the state that the pre-copy engine left when its policy went post-copy.

    Parameters
    ----------
    record
        The packed scenario (:mod:`migkit.kernels.layout`).
    run, work
        As :func:`migkit.kernels.precopy.precopy_one` left them: stopped, synced.
    result
        Completed: total time, downtime, bytes, faults, blocktime.
    line
        Receives further points of the time line while there is room; or None.
    """
    run[T] += record[LOAD_S] + record[RESUME_S] + record[REGISTER_PER_PAGE_S] * run[LEFT]
    run[T] += record[DISCARD_RUN_S] * _runs(record, run, work)
    result[layout.DOWNTIME_S] = run[T] - run[STOPPED]
    point(run, line)
    start_s = run[T]
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
        run[T] = start_s + turn_s * turns
        point(run, line)
        if part < 1.0:
            break
    result[layout.EXPOSURE_S] = run[T] - start_s
    result[layout.DEGRADED_S] += run[T] - start_s
    result[layout.FAULTS] = faults
    result[layout.BLOCKTIME_S] = blocked_s
    result[layout.LOST_S] += blocked_s
    result[layout.TOTAL_S] = run[T]
    result[layout.SENT] = run[BYTES]
    result[layout.SENT_NORMAL] = run[NORMAL]
    result[layout.SENT_ZERO] = run[ZERO]
    result[layout.LEFT_PAGES] = run[LEFT]
    result[layout.POINTS] = run[POINT]


@lean
def _runs(record: np.ndarray, run: np.ndarray, work: np.ndarray) -> float:
    """Return how many runs of pages are pending: one begins where a pending block follows one that is not."""
    runs = 0.0
    for i in range(int(run[COUNT])):
        at = (int(run[HEAD]) + i) % PIECES * PIECE_SLOTS
        runs += work[at + 1] / record[GRAIN_PAGES] * work[at + 2] * (1.0 - work[at + 2])
    return runs


@lean
def _queue_s(record: np.ndarray, run: np.ndarray) -> float:
    """Return how long what is ahead of a demanded page takes while the push is on, in the mean over that time [s]."""
    queue = min(record[QUEUE_BYTES], run[LEFT] * record[PAGE_WIRE_BYTES])
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
def _count_zeros(record: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Keep which share of each piece's pages is zero: those of a region may be that until they are written."""
    for i in range(int(run[COUNT])):
        piece = (int(run[HEAD]) + i) % PIECES
        at = piece * PIECE_SLOTS
        c, share, page = int(work[at]), work[at + 2], work[at + 3]
        zero = 1.0 if c > record[CLASSES] else 0.0
        if c < record[CLASSES] and record[FILL_ZERO] > 0.0 and share > 0.0:
            writes = precopy_mixed.written(work, c)
            zero = precopy_mixed.zero_share(record, c, page, page + work[at + 1], share, writes)
        work[ZERO_SHARES + piece] = zero


@lean
def _push_s(record: np.ndarray, run: np.ndarray, work: np.ndarray, cap: float) -> float:
    """Return how long all that is pending takes on the path under a cap [s], the waits for windows included."""
    window_s = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    quota = cap * record[WINDOW_S]
    at_s = 0.0
    start_s = 0.0  # of the window
    used = 0.0  # of its quota [B]
    for i in range(int(run[COUNT])):
        at = (int(run[HEAD]) + i) % PIECES * PIECE_SLOTS
        zero = work[ZERO_SHARES + (int(run[HEAD]) + i) % PIECES]
        left = work[at + 1] * work[at + 2] * _wire_bytes(record, zero)
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
def _fault_rate(record: np.ndarray, run: np.ndarray, work: np.ndarray) -> float:
    """Return the faults for each second of guest progress: accesses that find their page missing."""
    rate = 0.0
    for i in range(int(run[COUNT])):
        at = (int(run[HEAD]) + i) % PIECES * PIECE_SLOTS
        rate += work[at + 1] * work[at + 2] * _touch_rate(record, int(work[at]))
    return rate


@lean
def _touch_rate(record: np.ndarray, segment: int) -> float:
    """Return the accesses a second to one page of a segment."""
    if segment >= record[CLASSES]:
        return 0.0
    base = CLASS_BASE + segment * CLASS_SLOTS
    return (record[base + layout.WRITES_PER_S] + record[base + layout.READS_PER_S]) / record[base + layout.PAGES]


@lean
def _fetch(record: np.ndarray, run: np.ndarray, work: np.ndarray, faults: float) -> float:
    """Take the pages that faulted, and the neighbours sent with them, out of the pieces; return the faults."""
    rate = _fault_rate(record, run, work)
    if rate <= 0.0 or faults <= 0.0:
        return 0.0
    wanted = faults * (1.0 + record[PREFETCH_PAGES])
    fetched = 0.0
    blank = 0.0
    for i in range(int(run[COUNT])):
        at = (int(run[HEAD]) + i) % PIECES * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        if pending > 0.0:
            taken = min(pending, wanted * pending * _touch_rate(record, int(work[at])) / rate)
            work[at + 2] *= 1.0 - taken / pending
            fetched += taken
            blank += taken * work[ZERO_SHARES + (int(run[HEAD]) + i) % PIECES]
    run[LEFT] = max(0.0, run[LEFT] - fetched)
    run[BYTES] += (fetched - blank) * record[PAGE_WIRE_BYTES] + blank * record[ZERO_WIRE_BYTES]
    run[NORMAL] += fetched - blank
    run[ZERO] += blank
    return fetched / (1.0 + record[PREFETCH_PAGES])


@lean
def _push(record: np.ndarray, run: np.ndarray, work: np.ndarray, time_s: float) -> None:
    """Send in address order for ``time_s``."""
    while run[COUNT] > 0.0 and time_s > 0.0:
        at = int(run[HEAD]) * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        zero = work[ZERO_SHARES + int(run[HEAD])]
        pages = min(pending, time_s / _page_s(record, zero))
        share = pages / pending if pending > 0.0 else 1.0
        work[at + 1] *= 1.0 - share
        run[LEFT] = max(0.0, run[LEFT] - pages)
        run[BYTES] += pages * _wire_bytes(record, zero)
        run[ZERO] += pages * zero
        run[NORMAL] += pages * (1.0 - zero)
        time_s -= pages * _page_s(record, zero)
        if share >= 1.0:
            run[HEAD] = (int(run[HEAD]) + 1) % PIECES
            run[COUNT] -= 1.0
