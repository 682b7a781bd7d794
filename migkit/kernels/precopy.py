"""Expected-value engine: one migration of a guest that runs meanwhile.

Memory is a ring of *pieces* in address order that begins at the scan pointer. A piece is a
run of pages of one segment (a page class, the pages written once, the zero pages) whose
pages are all pending with one probability. Sending moves the pointer; a sync makes each
piece's share ``p`` into ``p + (1 - p) u`` of its class (see :mod:`migkit.kernels.dirty`).
Between two decisions of the policy nothing that the guest does matters, so the engine jumps
from one to the next: by whole windows, whatever their number.

A sender with a cap sends its quota in a burst at path speed and waits for the end of the
window; without a binding cap it sends all the time and looks at the rule every ``POLL_S``.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from migkit.kernels import dirty, layout, policy
from migkit.kernels._jit import inlined, jit, lean
from migkit.kernels.layout import (
    CAP,
    CAPACITY,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    DEVICE_BYTES,
    FLUSH_PAGES,
    FLUSH_PAGES_TOO,
    GOODPUT,
    GRAIN_PAGES,
    LEAD_S,
    LOAD_S,
    NORMAL_PAGES,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    POINT_SLOTS,
    POLL_S,
    QUIESCE_S,
    RESUME_S,
    ROUND_SLOTS,
    SETTLED,
    SETUP_S,
    STEP_COUNT,
    STEP_FIRST,
    SYNC_S,
    WINDOW_EXTRA_S,
    WINDOW_S,
    WRITE_FAULT_S,
    ZERO_CPU_S,
    ZERO_PAGES,
    ZERO_WIRE_BYTES,
)

__all__ = ["RUN_SLOTS", "WORK_SLOTS", "precopy_many", "precopy_one"]

# Slots of the running state
T: Final = 0  # now [s]
WINDOW_START: Final = 1
WINDOW_BYTES: Final = 2
LEFT: Final = 3  # pending pages
BYTES: Final = 4  # on the wire so far
NORMAL: Final = 5  # pages sent so far
ZERO: Final = 6
HEAD: Final = 7  # first piece of the ring
COUNT: Final = 8  # pieces in the ring
MARK: Final = 9  # writes are counted up to this time
SPEED: Final = 10  # of the path at present [B/s]
CHANGE: Final = 11  # when that ends [s]
SYNC_BYTES: Final = 13
CHECK: Final = 14  # when the sender looks at the rule next, if the cap does not bind
LOST: Final = 15
THROTTLED: Final = 16  # the throttle that MARK assumes
ROW: Final = 17
POINT: Final = 18
MARKED_ALL: Final = 19
STOPPED: Final = 21
DEGRADED: Final = 22
QUOTA: Final = 23  # pages of a window
ZERO_QUOTA: Final = 24
WINDOW: Final = 25  # its length [s]
PLAIN: Final = 26  # 1: no phases and nothing that slows the guest but a throttle
RUN_SLOTS: Final = 32

# The ring and the classes' writes lie in one work array.
PIECES: Final = 64  # a power of two
LAST_PIECE: Final = PIECES - 1
PIECE_SLOTS: Final = 3  # segment, pages, pending share
WRITES: Final = PIECES * PIECE_SLOTS
MAX_CLASSES: Final = 64
WORK_SLOTS: Final = WRITES + MAX_CLASSES

PAGE: Final = 4096.0
NOTHING: Final = 1e-4  # pages: below it is rounding
SAME: Final = 1e-9  # bandwidths that differ less are one
LOWEST: Final = 1e-3  # speed of a path in an outage [B/s]
ROUNDS_TO_SETTLE: Final = 40
MAX_ROUNDS: Final = 5000


@lean
def precopy_one(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray,
    line: np.ndarray,
    rule: Any,
) -> None:
    """Predict one pre-copy migration.

    Parameters
    ----------
    record, steps
        The packed scenario (:mod:`migkit.kernels.layout`).
    parameters
        Of the policy.
    state, run, work
        Scratch: ``policy.STATE_SLOTS``, ``RUN_SLOTS`` and ``WORK_SLOTS`` long.
    result
        Receives ``layout.RESULT_SLOTS`` numbers.
    rounds, line
        Receive rows of ``ROUND_SLOTS`` and ``POINT_SLOTS`` numbers while there is room; may be empty.
    rule
        A policy of one's own, see :func:`migkit.kernels.policy.decide`; None: the one that ``parameters`` name.

    Notes
    -----
    When the policy ends in POSTCOPY, the state that post-copy starts from is left in ``run`` and ``work``.
    """
    _begin(record, steps, state, run, work)
    action = _sync(record, steps, parameters, state, run, work, rounds, rule)
    best, best_row, iteration = run[LEFT], 1.0, 1.0
    while True:
        if line.size > 0:
            point(run, line)
        if action == policy.SYNC:
            action = _sync(record, steps, parameters, state, run, work, rounds, rule)
            iteration = state[policy.ITERATION]
            if run[LEFT] < best * (1.0 - 1e-3):
                best, best_row = run[LEFT], iteration
            elif _settled(record, parameters, state, iteration, best_row):
                action = SETTLED
            continue
        if action != policy.CONTINUE:
            break
        event = _send(record, steps, state, run, work)
        action = _ask_throttling(event, record, steps, parameters, state, run, work, rule)
        if event == policy.EMPTY and action == policy.CONTINUE:
            action = policy.SYNC
    _finish(action, record, steps, parameters, state, run, work, result, rounds)
    if line.size > 0:
        point(run, line)
    result[layout.ROUNDS] = run[ROW]
    result[layout.POINTS] = run[POINT]


@jit
def precopy_many(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray,
    parameters: np.ndarray,
    results: np.ndarray,
    rule: Any,
) -> None:
    """Predict many migrations: the k-th lies ``k * stride`` into ``records`` and alike in the others.

    Parameters
    ----------
    records, steps
        Packed scenarios, one behind the other; ``steps`` is shared.
    stride
        Slots of one record.
    parameters
        ``policy.PARAMETER_SLOTS`` for each.
    results
        Receives ``layout.RESULT_SLOTS`` for each.
    rule
        A policy of one's own for all of them, or None.
    """
    scratch = np.zeros(policy.STATE_SLOTS), np.zeros(RUN_SLOTS), np.zeros(WORK_SLOTS), np.zeros(0)
    _each(records, stride, steps, parameters, scratch, results, rule)


@lean
def _each(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray,
    parameters: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    results: np.ndarray,
    rule: Any,
) -> None:
    state, run, work, empty = scratch
    for k in range(records.size // stride):
        record = records[k * stride : (k + 1) * stride]
        rest = parameters[k * policy.PARAMETER_SLOTS : (k + 1) * policy.PARAMETER_SLOTS]
        result = results[k * layout.RESULT_SLOTS : (k + 1) * layout.RESULT_SLOTS]
        precopy_one(record, steps, rest, state, run, work, result, empty, empty, rule)


@inlined
def _begin(record: np.ndarray, steps: np.ndarray, state: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Set the guest before its first sync: everything pending, the pointer at address 0."""
    for i in range(policy.STATE_SLOTS):
        state[i] = 0.0
    for i in range(RUN_SLOTS):
        run[i] = 0.0
    classes = int(record[CLASSES])
    phased = False
    count = 0
    pages = 0.0
    for c in range(classes + 2):
        if c < classes:
            size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
            work[WRITES + c] = 0.0
            phased = phased or record[CLASS_BASE + c * CLASS_SLOTS + layout.PHASE_COUNT] > 0.0
        else:
            size = record[NORMAL_PAGES] if c == classes else record[ZERO_PAGES]
        if size > 0.0:
            work[count * PIECE_SLOTS] = c
            work[count * PIECE_SLOTS + 1] = size
            work[count * PIECE_SLOTS + 2] = 1.0
            count += 1
            pages += size
    run[COUNT] = count
    run[LEFT] = pages
    run[QUOTA] = quota(record, record[PAGE_WIRE_BYTES])
    run[ZERO_QUOTA] = quota(record, record[ZERO_WIRE_BYTES])
    run[WINDOW] = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    run[PLAIN] = 0.0 if phased or record[WRITE_FAULT_S] > 0.0 else 1.0
    run[MARK] = run[T] = record[SETUP_S] + record[LEAD_S]
    run[WINDOW_START] = record[LEAD_S]
    state[policy.GUEST_BYTES] = pages * PAGE
    state[policy.STORAGE_BYTES] = record[layout.STORAGE_BYTES]
    _follow_link(record, steps, run)


@inlined
def _sync(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    rounds: np.ndarray,
    rule: Any,
) -> int:
    """Sync the bitmap, write the readings of a sync, and ask the policy."""
    first = state[policy.ITERATION] == 0.0
    marked = run[LEFT] if first else _mark(record, steps, run, work)
    if rounds.size > 0:
        _row(state, run, marked, record[SYNC_S], rounds)
    state[policy.ITERATION] += 1.0
    state[policy.DIRTIED_PAGES] = marked
    synced_s = run[T]
    run[MARKED_ALL] += marked
    run[T] += record[SYNC_S]
    run[CHECK] = run[T] + record[POLL_S]
    action = _ask_throttling(policy.SYNCED, record, steps, parameters, state, run, work, rule)
    state[policy.ROUND_START_S] = synced_s
    run[SYNC_BYTES] = run[BYTES]
    return action


@inlined
def _ask_throttling(
    event: int,
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    rule: Any,
) -> int:
    """Ask the policy with the reading that only dirty-limit needs, and obey its order to throttle."""
    if parameters[policy.THROTTLE_RULE] == policy.DIRTY_LIMIT:
        state[policy.DIRTY_RATE] = _dirty_rate(record, steps, run)
    action: int = _ask(event, parameters, state, run, rule)
    if state[policy.THROTTLE] != run[THROTTLED]:
        _count_writes(record, steps, run, work)
        run[THROTTLED] = state[policy.THROTTLE]
    return action


@lean
def _dirty_rate(record: np.ndarray, steps: np.ndarray, run: np.ndarray) -> float:
    """Return the distinct pages that the guest wrote in the last second, as throttled as it is now."""
    demand = 0.0
    for c in range(int(record[CLASSES])):
        demand += _last_second(record, steps, CLASS_BASE + c * CLASS_SLOTS, run)
    if demand <= 0.0:
        return 0.0
    capacity = record[CAPACITY] if record[CAPACITY] > 0.0 else demand
    share = min(1.0, (1.0 - run[THROTTLED]) * capacity / demand)
    distinct = 0.0
    for c in range(int(record[CLASSES])):
        base = CLASS_BASE + c * CLASS_SLOTS
        pages = record[base + layout.PAGES]
        writes = share * _last_second(record, steps, base, run)
        distinct += pages * dirty.newly_dirty(int(record[base + layout.KIND]), pages, writes, 1.0)
    return distinct


@lean
def _last_second(record: np.ndarray, steps: np.ndarray, base: int, run: np.ndarray) -> float:
    """Return the writes that a class wanted to make in the last second."""
    rate = float(record[base + layout.WRITES_PER_S])
    count = int(record[base + layout.PHASE_COUNT])
    if count == 0:
        return rate
    first = int(record[base + layout.PHASE_FIRST])
    offset_s = record[base + layout.PHASE_OFFSET_S]
    before = dirty.intensity_s(steps, first, count, offset_s, run[T] - 1.0)
    return rate * float(dirty.intensity_s(steps, first, count, offset_s, run[T]) - before)


@inlined
def _ask(event: int, parameters: np.ndarray, state: np.ndarray, run: np.ndarray, rule: Any) -> int:
    state[policy.NOW_S] = run[T]
    state[policy.EVENT] = event
    state[policy.REMAINING_BYTES] = run[LEFT] * PAGE
    state[policy.SENT_BYTES] = run[BYTES]
    state[policy.SENT_PAGES] = run[NORMAL] + run[ZERO]
    state[policy.ROUND_SENT_BYTES] = run[BYTES] - run[SYNC_BYTES]
    action: int = policy.decide(state, parameters, rule)
    return action


@inlined
def _mark(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray) -> float:
    """Move what was written since the last sync to the pending pages; return how many it adds."""
    _count_writes(record, steps, run, work)
    if run[COUNT] > PIECES - 4:
        _merge(run, work)
    classes = int(record[CLASSES])
    left = 0.0
    for i in range(int(run[COUNT])):
        at = ((int(run[HEAD]) + i) & LAST_PIECE) * PIECE_SLOTS
        c = int(work[at])
        if c < classes:
            base = CLASS_BASE + c * CLASS_SLOTS
            kind = int(record[base + layout.KIND])
            newly = dirty.newly_dirty(kind, record[base + layout.PAGES], work[WRITES + c], record[GRAIN_PAGES])
            work[at + 2] = dirty.after_sync(kind, work[at + 2], newly)
        left += work[at + 1] * work[at + 2]
    for c in range(classes):
        work[WRITES + c] = 0.0
    marked = left - run[LEFT]
    run[LEFT] = left
    return max(0.0, marked)


@inlined
def _count_writes(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Add to each class what it wrote since the last count.

    A throttle of ``p`` leaves the guest ``(1 - p) x capacity``; it loses progress only when its
    demand is more. The first write to a page after a sync costs a guest that runs flat out
    ``WRITE_FAULT_S`` more.
    """
    span_s = run[T] - run[MARK]
    if span_s <= 0.0:
        return
    run[MARK] = run[T]
    classes = int(record[CLASSES])
    if run[PLAIN] > 0.0 and run[THROTTLED] == 0.0:
        for c in range(classes):
            work[WRITES + c] += record[CLASS_BASE + c * CLASS_SLOTS + layout.WRITES_PER_S] * span_s
        return
    share = 1.0
    run[MARK] -= span_s
    if run[THROTTLED] > 0.0 or record[WRITE_FAULT_S] > 0.0:
        share = _progress(record, steps, run, work, span_s)
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        work[WRITES + c] += record[base + layout.WRITES_PER_S] * share * _active_s(record, steps, base, run)
    run[LOST] += (1.0 - share) * span_s
    if run[THROTTLED] > 0.0:
        run[DEGRADED] += span_s
    run[MARK] = run[T]


@lean
def _active_s(record: np.ndarray, steps: np.ndarray, base: int, run: np.ndarray) -> float:
    """Return the integral of a class's intensity since the last count [s]."""
    count = int(record[base + layout.PHASE_COUNT])
    if count == 0:
        return run[T] - run[MARK]
    first = int(record[base + layout.PHASE_FIRST])
    offset_s = record[base + layout.PHASE_OFFSET_S]
    return dirty.intensity_s(steps, first, count, offset_s, run[T]) - dirty.intensity_s(
        steps, first, count, offset_s, run[MARK]
    )


@lean
def _progress(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray, span_s: float) -> float:
    """Return the share of its demand that the guest gets done."""
    demand = 0.0
    fresh = 0.0
    classes = int(record[CLASSES])
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        writes = record[base + layout.WRITES_PER_S] * _active_s(record, steps, base, run)
        demand += writes / span_s
        kind = int(record[base + layout.KIND])
        pages = record[base + layout.PAGES]
        before = dirty.newly_dirty(kind, pages, work[WRITES + c], record[GRAIN_PAGES])
        after = dirty.newly_dirty(kind, pages, work[WRITES + c] + writes, record[GRAIN_PAGES])
        fresh += (after - before) * pages / record[GRAIN_PAGES]
    if demand <= 0.0:
        return 1.0
    capacity = record[CAPACITY] if record[CAPACITY] > 0.0 else demand
    usable = capacity * (1.0 - run[THROTTLED]) / (1.0 + capacity / demand * fresh * record[WRITE_FAULT_S] / span_s)
    return min(1.0, usable / demand)


@lean
def _merge(run: np.ndarray, work: np.ndarray) -> None:
    """Join neighbours of one segment, two by two, keeping their pending pages."""
    count = int(run[COUNT])
    head = int(run[HEAD])
    kept = 0
    i = 0
    while i < count:
        at = ((head + i) & LAST_PIECE) * PIECE_SLOTS
        segment, pages, share = work[at], work[at + 1], work[at + 2]
        i += 1
        if i < count:
            other = ((head + i) & LAST_PIECE) * PIECE_SLOTS
            if work[other] == segment:
                share = (share * pages + work[other + 2] * work[other + 1]) / (pages + work[other + 1])
                pages += work[other + 1]
                i += 1
        to = ((head + kept) & LAST_PIECE) * PIECE_SLOTS
        work[to], work[to + 1], work[to + 2] = segment, pages, share
        kept += 1
    run[COUNT] = kept


@inlined
def _follow_link(record: np.ndarray, steps: np.ndarray, run: np.ndarray) -> None:
    """Set the path's speed now, and when it changes next."""
    run[SPEED] = record[GOODPUT]
    run[CHANGE] = np.inf
    first = int(record[STEP_FIRST])
    end_s = 0.0
    for i in range(first, first + int(record[STEP_COUNT])):
        end_s += steps[2 * i]
        if run[T] < end_s:
            run[SPEED] = max(LOWEST, record[GOODPUT] * steps[2 * i + 1])
            run[CHANGE] = end_s
            return


@inlined
def _send(
    record: np.ndarray,
    steps: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
) -> int:
    """Send until the policy must be asked; return the event.

    Each turn does one of: send a piece that fits in what is left of the window; end a window or
    a poll within a piece; jump over whole windows within a piece.
    """
    wake_pages = state[policy.WAKE_REMAINING_BYTES] / PAGE
    wake_s = state[policy.WAKE_TIME_S]
    if run[LEFT] <= 0.0:
        _end_window(record, state, run, run[T])
        return policy.EMPTY
    classes = record[CLASSES]
    now_s, window_bytes, left, check_s = run[T], run[WINDOW_BYTES], run[LEFT], run[CHECK]
    event = policy.EMPTY
    while left > 0.0:
        if now_s >= run[CHANGE]:
            run[T] = now_s
            _follow_link(record, steps, run)
            check_s = now_s + record[POLL_S]
        at = int(run[HEAD]) * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        if work[at] > classes:
            wire_bytes, quota_pages, cpu_s, counter = (
                record[ZERO_WIRE_BYTES],
                run[ZERO_QUOTA],
                record[ZERO_CPU_S],
                ZERO,
            )
        else:
            wire_bytes, cpu_s = record[PAGE_WIRE_BYTES], record[PAGE_CPU_S]
            quota_pages, counter = run[QUOTA], NORMAL
        page_s = max(wire_bytes / run[SPEED], cpu_s)
        by_bytes = max(0.0, quota_pages - window_bytes / wire_bytes)
        by_time = max(0.0, (check_s - now_s) / page_s)
        pages = min(by_bytes, by_time)
        number = 0.0
        if pending <= pages:
            pages = pending
            now_s += pages * page_s
        elif by_bytes <= by_time:
            number = 1.0
            bandwidth = quota_pages * wire_bytes / run[WINDOW]
            if window_bytes == 0.0 and _same(bandwidth, state[policy.BANDWIDTH]):
                left_s = min(wake_s, run[CHANGE]) - now_s
                number = _jump(pending, quota_pages, left - wake_pages, left_s, run[WINDOW])
                pages = number * quota_pages
            now_s += min(pages, quota_pages) * page_s
        else:
            now_s = max(now_s, check_s)
            number = 1.0 if now_s >= run[WINDOW_START] + record[WINDOW_S] else 0.0
        left -= pages
        sent_bytes = pages * wire_bytes
        run[BYTES] += sent_bytes
        run[counter] += pages
        window_bytes += sent_bytes
        _pass(run, work, at, classes, pages, pending)
        if left <= NOTHING:
            left = 0.0
        if pages == pending and number == 0.0:
            continue
        before = state[policy.BANDWIDTH]
        check_s = now_s + record[POLL_S]
        if number > 0.0:
            end_s = run[WINDOW_START] + number * run[WINDOW]
            if number == 1.0:
                late_s = max(0.0, now_s - end_s)
                end_s += late_s
                state[policy.BANDWIDTH] = window_bytes / (run[WINDOW] + late_s)
            now_s = end_s
            run[WINDOW_START] = end_s
            window_bytes = 0.0
            check_s = end_s + record[POLL_S]
        if left < wake_pages or now_s >= wake_s or not _same(state[policy.BANDWIDTH], before):
            event = policy.WINDOW
            break
    run[T], run[WINDOW_BYTES], run[LEFT], run[CHECK] = now_s, window_bytes, left, check_s
    return event


@inlined
def quota(record: np.ndarray, wire_bytes: float) -> float:
    """Return the pages that one window sends."""
    pages = record[CAP] * record[WINDOW_S] / wire_bytes
    if pages == np.inf:
        return pages
    return 0.5 * (_flushed(pages, record[FLUSH_PAGES]) + _flushed(pages, record[FLUSH_PAGES_TOO]))


@inlined
def _flushed(pages: float, flush_pages: float) -> float:
    """Return the first multiple of ``flush_pages`` beyond ``pages``."""
    if flush_pages == 0.0:
        return pages
    return (math.floor(pages / flush_pages) + 1.0) * flush_pages


@inlined
def _same(bandwidth: float, other: float) -> bool:
    return abs(bandwidth - other) <= SAME * other


@inlined
def _jump(pending: float, quota_pages: float, above: float, time_left_s: float, window_s: float) -> float:
    """Return how many whole windows pass before anything can happen."""
    number = min(math.floor(pending / quota_pages), math.floor(above / quota_pages) + 1.0)
    if time_left_s < number * window_s:
        number = math.ceil(time_left_s / window_s)
    return max(1.0, number)


@inlined
def _pass(run: np.ndarray, work: np.ndarray, at: int, classes: float, pages: float, pending: float) -> None:
    """Move the pointer past ``pages`` of the ``pending`` pages of the first piece, which lies at ``at``.

    Pages that may be written again are put behind the last piece.
    """
    segment = work[at]
    passed = work[at + 1]
    count = int(run[COUNT])
    head = int(run[HEAD])
    if pages < pending:
        passed *= pages / pending
        work[at + 1] -= passed
    else:
        head = (head + 1) & LAST_PIECE
        count -= 1
        run[HEAD] = head
    if segment < classes:
        last = ((head + count - 1) & LAST_PIECE) * PIECE_SLOTS
        if count > 0 and work[last] == segment and work[last + 2] == 0.0:
            work[last + 1] += passed
        else:
            last = ((head + count) & LAST_PIECE) * PIECE_SLOTS
            work[last], work[last + 1], work[last + 2] = segment, passed, 0.0
            count += 1
    run[COUNT] = count


@lean
def _end_window(record: np.ndarray, state: np.ndarray, run: np.ndarray, sent_s: float) -> None:
    """Wait for the end of a window in which nothing is left to send."""
    end_s = max(sent_s, run[WINDOW_START] + run[WINDOW])
    state[policy.BANDWIDTH] = run[WINDOW_BYTES] / (end_s - run[WINDOW_START])
    run[T] = run[WINDOW_START] = end_s
    run[WINDOW_BYTES] = 0.0
    run[CHECK] = end_s + record[POLL_S]


@lean
def _settled(
    record: np.ndarray, parameters: np.ndarray, state: np.ndarray, iteration: float, best_row: float
) -> bool:
    """Return whether the policy will never end it: no lower remainder for long, no time limit ahead."""
    if iteration > MAX_ROUNDS:
        return True
    if state[policy.WAKE_TIME_S] < np.inf or parameters[policy.TIME_LIMIT_S] < np.inf:
        return False
    return iteration - best_row > ROUNDS_TO_SETTLE


@inlined
def _finish(
    action: int,
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray,
) -> None:
    """Stop the guest, sync, send the rest, resume it; or leave it where it is."""
    for i in range(layout.RESULT_SLOTS):
        result[i] = 0.0
    if action == policy.TIME_OUT:
        run[T] = min(run[T], parameters[policy.TIME_LIMIT_S])
    result[layout.SWITCHOVER_PAGES] = run[LEFT]
    result[layout.FINAL_PAGES] = 0.0
    if action in (policy.SWITCHOVER, policy.POSTCOPY):
        run[T] += record[QUIESCE_S]
        marked = _mark(record, steps, run, work)
        if rounds.size > 0:
            _row(state, run, marked, record[SYNC_S], rounds)
        run[MARKED_ALL] += marked
        run[STOPPED] = run[T]
        state[policy.ITERATION] += 1.0
        result[layout.FINAL_PAGES] = run[LEFT]
        run[T] += record[SYNC_S]
    if action == policy.SWITCHOVER:
        stopped = parameters[policy.STRATEGY] == policy.STOPCOPY
        _send_all(record, steps, run, work, record[CAP] if stopped else np.inf)
        run[T] += record[LOAD_S] + record[RESUME_S]
        result[layout.DOWNTIME_S] = run[T] - run[STOPPED]
    else:
        _count_writes(record, steps, run, work)
    result[layout.ACTION] = action
    result[layout.TOTAL_S] = run[T]
    result[layout.SENT] = run[BYTES]
    result[layout.ITERATIONS] = state[policy.ITERATION]
    result[layout.SENT_NORMAL] = run[NORMAL]
    result[layout.SENT_ZERO] = run[ZERO]
    result[layout.MARKED] = run[MARKED_ALL]
    result[layout.LEFT_PAGES] = run[LEFT]
    result[layout.LOST_S] = run[LOST]
    result[layout.DEGRADED_S] = run[DEGRADED]
    result[layout.STOP_S] = run[STOPPED]


@inlined
def _send_all(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray, cap: float) -> None:
    """Send all that is pending: pre-copy ends at the path's speed without the policy's cap, stop-copy keeps it."""
    classes = int(record[CLASSES])
    while run[COUNT] > 0.0 and run[LEFT] > 0.0:
        if run[T] >= run[CHANGE]:
            _follow_link(record, steps, run)
        at = int(run[HEAD]) * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        zero = int(work[at]) == classes + 1
        wire_bytes = record[ZERO_WIRE_BYTES] if zero else record[PAGE_WIRE_BYTES]
        page_s = max(wire_bytes / min(cap, run[SPEED]), record[ZERO_CPU_S] if zero else record[PAGE_CPU_S])
        pages = min(pending, (run[CHANGE] - run[T]) / page_s)
        _pass(run, work, at, record[CLASSES], pages, pending)
        run[LEFT] -= pages
        run[BYTES] += pages * wire_bytes
        run[ZERO if zero else NORMAL] += pages
        run[T] = run[T] + pages * page_s if pages == pending else run[CHANGE]
        if run[LEFT] <= NOTHING:
            run[LEFT] = 0.0
    run[T] += record[DEVICE_BYTES] / run[SPEED]
    run[BYTES] += record[DEVICE_BYTES]


@lean
def _row(state: np.ndarray, run: np.ndarray, marked: float, sync_s: float, rounds: np.ndarray) -> None:
    at = int(run[ROW]) * ROUND_SLOTS
    if at + ROUND_SLOTS > rounds.size:
        return
    rounds[at] = run[T]
    rounds[at + 1] = sync_s
    rounds[at + 2] = marked
    rounds[at + 3] = run[LEFT]
    rounds[at + 4] = run[BYTES]
    rounds[at + 5] = run[NORMAL]
    rounds[at + 6] = run[ZERO]
    rounds[at + 7] = state[policy.THROTTLE]
    run[ROW] += 1.0


@lean
def point(run: np.ndarray, line: np.ndarray) -> None:
    """Write the present state as a row of the time line."""
    at = int(run[POINT]) * POINT_SLOTS
    if at + POINT_SLOTS > line.size:
        return
    line[at] = run[T]
    line[at + 1] = run[LEFT] * PAGE
    line[at + 2] = run[BYTES]
    run[POINT] += 1.0
