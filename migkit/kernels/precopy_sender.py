"""The sender: windows and bursts under a cap, polls without one, the scan pointer that goes around."""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels import policy
from migkit.kernels._jit import inlined, lean
from migkit.kernels.layout import (
    CAP,
    CLASSES,
    DEVICE_BYTES,
    FLUSH_PAGES,
    FLUSH_PAGES_TOO,
    GOODPUT,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    POLL_S,
    STEP_COUNT,
    STEP_FIRST,
    WINDOW_S,
    ZERO_CPU_S,
    ZERO_WIRE_BYTES,
)
from migkit.kernels.precopy_state import (
    BYTES,
    CHANGE,
    CHECK,
    COUNT,
    HEAD,
    LAST_PIECE,
    LEFT,
    LOWEST,
    NORMAL,
    NOTHING,
    PAGE,
    PIECE_SLOTS,
    QUOTA,
    SAME,
    SLACK_S,
    SPEED,
    WINDOW,
    WINDOW_BYTES,
    WINDOW_START,
    ZERO,
    ZERO_QUOTA,
    T,
)

__all__ = ["follow_link", "pass_pages", "quota", "send", "send_all"]


@inlined
def send(
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
        if now_s >= run[CHANGE] - SLACK_S:
            run[T] = now_s
            follow_link(record, steps, run)
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
        by_time = max(0.0, min(math.ceil((check_s - now_s - SLACK_S) / page_s), (run[CHANGE] - now_s) / page_s))
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
            now_s += pages * page_s
            number = 1.0 if now_s >= max(check_s, run[WINDOW_START] + record[WINDOW_S]) - SLACK_S else 0.0
        left -= pages
        sent_bytes = pages * wire_bytes
        run[BYTES] += sent_bytes
        run[counter] += pages
        window_bytes += sent_bytes
        pass_pages(run, work, at, classes, pages, pending)
        if left <= NOTHING:
            left = 0.0
        if number == 0.0 and (pages == pending or now_s < check_s - SLACK_S):
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
def pass_pages(run: np.ndarray, work: np.ndarray, at: int, classes: float, pages: float, pending: float) -> None:
    """Move the pointer past ``pages`` of the ``pending`` pages of the first piece, which lies at ``at``.

    Pages that may be written again are put behind the last piece.
    """
    segment = work[at]
    passed = work[at + 1]
    first = work[at + 3]
    count = int(run[COUNT])
    head = int(run[HEAD])
    if pages < pending:
        passed *= pages / pending
        work[at + 1] -= passed
        work[at + 3] += passed
    else:
        head = (head + 1) & LAST_PIECE
        count -= 1
        run[HEAD] = head
    if segment < classes:
        last = ((head + count - 1) & LAST_PIECE) * PIECE_SLOTS
        if count > 0 and work[last] == segment and work[last + 2] == 0.0 and work[last + 3] < first:
            work[last + 1] += passed
        else:
            last = ((head + count) & LAST_PIECE) * PIECE_SLOTS
            work[last], work[last + 1], work[last + 2], work[last + 3] = segment, passed, 0.0, first
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


@inlined
def follow_link(record: np.ndarray, steps: np.ndarray, run: np.ndarray) -> None:
    """Set the path's speed now, and when it changes next."""
    run[SPEED] = record[GOODPUT]
    run[CHANGE] = np.inf
    first = int(record[STEP_FIRST])
    end_s = 0.0
    for i in range(first, first + int(record[STEP_COUNT])):
        end_s += steps[2 * i]
        if run[T] < end_s - SLACK_S:
            run[SPEED] = max(LOWEST, record[GOODPUT] * steps[2 * i + 1])
            run[CHANGE] = end_s
            return


@inlined
def send_all(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray, cap: float) -> None:
    """Send all that is pending: pre-copy ends at the path's speed without the policy's cap, stop-copy keeps it."""
    classes = int(record[CLASSES])
    while run[COUNT] > 0.0 and run[LEFT] > 0.0:
        if run[T] >= run[CHANGE]:
            follow_link(record, steps, run)
        at = int(run[HEAD]) * PIECE_SLOTS
        pending = work[at + 1] * work[at + 2]
        zero = int(work[at]) == classes + 1
        wire_bytes = record[ZERO_WIRE_BYTES] if zero else record[PAGE_WIRE_BYTES]
        page_s = max(wire_bytes / min(cap, run[SPEED]), record[ZERO_CPU_S] if zero else record[PAGE_CPU_S])
        pages = min(pending, (run[CHANGE] - run[T]) / page_s)
        pass_pages(run, work, at, record[CLASSES], pages, pending)
        run[LEFT] -= pages
        run[BYTES] += pages * wire_bytes
        run[ZERO if zero else NORMAL] += pages
        run[T] = run[T] + pages * page_s if pages == pending else run[CHANGE]
        if run[LEFT] <= NOTHING:
            run[LEFT] = 0.0
    run[T] += record[DEVICE_BYTES] / run[SPEED]
    run[BYTES] += record[DEVICE_BYTES]
