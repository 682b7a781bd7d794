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
from migkit.kernels._jit import jit
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
RUN_SLOTS: Final = 24

# The ring and the classes' writes lie in one work array.
PIECES: Final = 64
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


@jit
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
        event = _send(record, steps, parameters, state, run, work)
        action = _ask(event, parameters, state, run, rule)
        if event == policy.EMPTY and action == policy.CONTINUE:
            action = policy.SYNC
    _finish(action, record, steps, parameters, state, run, work, result, rounds)
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
    state = np.zeros(policy.STATE_SLOTS)
    run = np.zeros(RUN_SLOTS)
    work = np.zeros(WORK_SLOTS)
    empty = np.zeros(0)
    for k in range(records.size // stride):
        precopy_one(
            records[k * stride : (k + 1) * stride],
            steps,
            parameters[k * policy.PARAMETER_SLOTS : (k + 1) * policy.PARAMETER_SLOTS],
            state,
            run,
            work,
            results[k * layout.RESULT_SLOTS : (k + 1) * layout.RESULT_SLOTS],
            empty,
            empty,
            rule,
        )


@jit
def _begin(record: np.ndarray, steps: np.ndarray, state: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Set the guest before its first sync: everything pending, the pointer at address 0."""
    state[:] = 0.0
    run[:] = 0.0
    classes = int(record[CLASSES])
    count = 0
    pages = 0.0
    for c in range(classes + 2):
        if c < classes:
            size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
            work[WRITES + c] = 0.0
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
    run[MARK] = run[T] = record[SETUP_S] + record[LEAD_S]
    run[WINDOW_START] = record[LEAD_S]
    state[policy.GUEST_BYTES] = pages * PAGE
    _follow_link(record, steps, run)


@jit
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
    _row(state, run, marked, record[SYNC_S], rounds)
    state[policy.ITERATION] += 1.0
    state[policy.DIRTIED_PAGES] = marked
    synced_s = run[T]
    run[MARKED_ALL] += marked
    run[T] += record[SYNC_S]
    _new_check(record, run)
    action = _ask(policy.SYNCED, parameters, state, run, rule)
    state[policy.ROUND_START_S] = synced_s
    run[SYNC_BYTES] = run[BYTES]
    if state[policy.THROTTLE] != run[THROTTLED]:
        _count_writes(record, steps, run, work)
        run[THROTTLED] = state[policy.THROTTLE]
    return action


@jit
def _ask(event: int, parameters: np.ndarray, state: np.ndarray, run: np.ndarray, rule: Any) -> int:
    state[policy.NOW_S] = run[T]
    state[policy.EVENT] = event
    state[policy.REMAINING_BYTES] = run[LEFT] * PAGE
    state[policy.SENT_BYTES] = run[BYTES]
    state[policy.SENT_PAGES] = run[NORMAL] + run[ZERO]
    state[policy.ROUND_SENT_BYTES] = run[BYTES] - run[SYNC_BYTES]
    action: int = policy.decide(state, parameters, rule)
    return action


@jit
def _mark(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray) -> float:
    """Move what was written since the last sync to the pending pages; return how many it adds."""
    _count_writes(record, steps, run, work)
    if run[COUNT] > PIECES - 4:
        _merge(run, work)
    classes = int(record[CLASSES])
    left = 0.0
    for i in range(int(run[COUNT])):
        at = (int(run[HEAD]) + i) % PIECES * PIECE_SLOTS
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


@jit
def _count_writes(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Add to each class what it wrote since the last count.

    A throttle of ``p`` leaves the guest ``(1 - p) x capacity``; it loses progress only when its
    demand is more. The first write to a page after a sync costs a guest that runs flat out
    ``WRITE_FAULT_S`` more.
    """
    span_s = run[T] - run[MARK]
    if span_s <= 0.0:
        return
    classes = int(record[CLASSES])
    share = 1.0
    if run[THROTTLED] > 0.0 or record[WRITE_FAULT_S] > 0.0:
        share = _progress(record, steps, run, work, span_s)
    for c in range(classes):
        base = CLASS_BASE + c * CLASS_SLOTS
        work[WRITES + c] += record[base + layout.WRITES_PER_S] * share * _active_s(record, steps, base, run)
    run[LOST] += (1.0 - share) * span_s
    if run[THROTTLED] > 0.0:
        run[DEGRADED] += span_s
    run[MARK] = run[T]


@jit
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


@jit
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


@jit
def _merge(run: np.ndarray, work: np.ndarray) -> None:
    """Join neighbours of one segment, two by two, keeping their pending pages."""
    count = int(run[COUNT])
    head = int(run[HEAD])
    kept = 0
    i = 0
    while i < count:
        at = (head + i) % PIECES * PIECE_SLOTS
        segment, pages, share = work[at], work[at + 1], work[at + 2]
        i += 1
        if i < count:
            other = (head + i) % PIECES * PIECE_SLOTS
            if work[other] == segment:
                share = (share * pages + work[other + 2] * work[other + 1]) / (pages + work[other + 1])
                pages += work[other + 1]
                i += 1
        to = (head + kept) % PIECES * PIECE_SLOTS
        work[to], work[to + 1], work[to + 2] = segment, pages, share
        kept += 1
    run[COUNT] = kept


@jit
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


@jit
def _new_check(record: np.ndarray, run: np.ndarray) -> None:
    run[CHECK] = run[T] + record[POLL_S]


@jit
def _send(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
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
    classes = int(record[CLASSES])
    if run[LEFT] <= 0.0:
        _end_window(record, state, run, run[T], 1.0)
        return policy.EMPTY
    while run[COUNT] > 0.0:
        if run[T] >= run[CHANGE]:
            _follow_link(record, steps, run)
            _new_check(record, run)
        at = int(run[HEAD]) * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        zero = int(work[at]) == classes + 1
        wire_bytes = record[ZERO_WIRE_BYTES] if zero else record[PAGE_WIRE_BYTES]
        page_s = max(wire_bytes / run[SPEED], record[ZERO_CPU_S] if zero else record[PAGE_CPU_S])
        quota_pages = quota(record, wire_bytes)
        by_bytes = quota_pages - run[WINDOW_BYTES] / wire_bytes
        by_time = max(0.0, (run[CHECK] - run[T]) / page_s)
        if pending <= min(by_bytes, by_time):
            _move(run, work, record, pending, pending, wire_bytes, zero)
            run[T] += pending * page_s
            if run[LEFT] <= 0.0:
                return policy.EMPTY
            continue
        before = state[policy.BANDWIDTH]
        if by_bytes <= by_time:
            number = 1.0
            if run[WINDOW_BYTES] == 0.0 and _same(quota_pages * wire_bytes / _window(record), before):
                left_s = min(wake_s, run[CHANGE]) - run[T]
                number = _jump(pending, quota_pages, run[LEFT] - wake_pages, left_s, _window(record))
            share = max(0.0, by_bytes) if number == 1.0 else number * quota_pages
            _move(run, work, record, share, pending, wire_bytes, zero)
            burst_s = share * page_s if number == 1.0 else quota_pages * page_s
            _end_window(record, state, run, run[T] + burst_s, number)
        else:
            _move(run, work, record, by_time, pending, wire_bytes, zero)
            run[T] = max(run[T], run[CHECK])
            if run[T] >= run[WINDOW_START] + record[WINDOW_S]:
                _end_window(record, state, run, run[T], 1.0)
            else:
                _new_check(record, run)
        if run[LEFT] < wake_pages or run[T] >= wake_s or not _same(state[policy.BANDWIDTH], before):
            return policy.WINDOW
    return policy.EMPTY


@jit
def quota(record: np.ndarray, wire_bytes: float) -> float:
    """Return the pages that one window sends."""
    pages = record[CAP] * record[WINDOW_S] / wire_bytes
    if pages == np.inf:
        return pages
    return 0.5 * (_flushed(pages, record[FLUSH_PAGES]) + _flushed(pages, record[FLUSH_PAGES_TOO]))


@jit
def _flushed(pages: float, flush_pages: float) -> float:
    """Return the first multiple of ``flush_pages`` beyond ``pages``."""
    if flush_pages == 0.0:
        return pages
    return (math.floor(pages / flush_pages) + 1.0) * flush_pages


@jit
def _window(record: np.ndarray) -> float:
    return record[WINDOW_S] + record[WINDOW_EXTRA_S]


@jit
def _same(bandwidth: float, other: float) -> bool:
    return abs(bandwidth - other) <= SAME * other


@jit
def _jump(pending: float, quota_pages: float, above: float, time_left_s: float, window_s: float) -> float:
    """Return how many whole windows pass before anything can happen."""
    number = min(math.floor(pending / quota_pages), math.floor(above / quota_pages) + 1.0)
    if time_left_s < number * window_s:
        number = math.ceil(time_left_s / window_s)
    return max(1.0, number)


@jit
def _move(
    run: np.ndarray, work: np.ndarray, record: np.ndarray, pages: float, pending: float, wire_bytes: float, zero: bool
) -> None:
    """Send ``pages`` of the ``pending`` pages of the first piece and move the pointer past them."""
    at = int(run[HEAD]) * PIECE_SLOTS
    segment = work[at]
    passed = work[at + 1]
    if pages < pending:
        passed *= pages / pending
        work[at + 1] -= passed
    else:
        pages = pending
        run[HEAD] = (int(run[HEAD]) + 1) % PIECES
        run[COUNT] -= 1.0
    run[LEFT] = max(0.0, run[LEFT] - pages)
    run[BYTES] += pages * wire_bytes
    run[WINDOW_BYTES] += pages * wire_bytes
    if zero:
        run[ZERO] += pages
    else:
        run[NORMAL] += pages
    if segment < record[CLASSES]:
        _append(run, work, segment, passed)
    if run[COUNT] == 0.0 or run[LEFT] <= NOTHING:
        run[LEFT] = 0.0


@jit
def _append(run: np.ndarray, work: np.ndarray, segment: float, pages: float) -> None:
    """Put pages that were just sent behind the last piece."""
    count = int(run[COUNT])
    last = (int(run[HEAD]) + count - 1) % PIECES * PIECE_SLOTS
    if count > 0 and work[last] == segment and work[last + 2] == 0.0:
        work[last + 1] += pages
        return
    at = (int(run[HEAD]) + count) % PIECES * PIECE_SLOTS
    work[at], work[at + 1], work[at + 2] = segment, pages, 0.0
    run[COUNT] += 1.0


@jit
def _end_window(record: np.ndarray, state: np.ndarray, run: np.ndarray, sent_s: float, number: float) -> None:
    """Wait for the end of the window, after ``number`` of them; measure its bandwidth."""
    end_s = run[WINDOW_START] + number * _window(record)
    if number == 1.0:
        late_s = max(0.0, sent_s - end_s)
        end_s += late_s
        state[policy.BANDWIDTH] = run[WINDOW_BYTES] / (_window(record) + late_s)
    run[T] = run[WINDOW_START] = end_s
    run[WINDOW_BYTES] = 0.0
    _new_check(record, run)


@jit
def _settled(
    record: np.ndarray, parameters: np.ndarray, state: np.ndarray, iteration: float, best_row: float
) -> bool:
    """Return whether the policy will never end it: no lower remainder for long, no time limit ahead."""
    if iteration > MAX_ROUNDS:
        return True
    if state[policy.WAKE_TIME_S] < np.inf or parameters[policy.TIME_LIMIT_S] < np.inf:
        return False
    return iteration - best_row > ROUNDS_TO_SETTLE


@jit
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
    result[:] = 0.0
    if action == policy.TIME_OUT:
        run[T] = min(run[T], parameters[policy.TIME_LIMIT_S])
    result[layout.SWITCHOVER_PAGES] = run[LEFT]
    result[layout.FINAL_PAGES] = 0.0
    if action in (policy.SWITCHOVER, policy.POSTCOPY):
        run[T] += record[QUIESCE_S]
        marked = _mark(record, steps, run, work)
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


@jit
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
        _move(run, work, record, pages, pending, wire_bytes, zero)
        run[T] = run[T] + pages * page_s if pages == pending else run[CHANGE]
    run[T] += record[DEVICE_BYTES] / run[SPEED]
    run[BYTES] += record[DEVICE_BYTES]


@jit
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


@jit
def point(run: np.ndarray, line: np.ndarray) -> None:
    """Write the present state as a row of the time line."""
    at = int(run[POINT]) * POINT_SLOTS
    if at + POINT_SLOTS > line.size:
        return
    line[at] = run[T]
    line[at + 1] = run[LEFT] * PAGE
    line[at + 2] = run[BYTES]
    run[POINT] += 1.0
