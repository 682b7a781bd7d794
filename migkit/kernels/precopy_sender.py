"""The sender: windows and bursts under a cap, polls without one, the scan pointer that goes around.

What lies ahead of the pointer is a run of pages that cost alike: pages sent in full, then the zero pages,
then pages sent in full; or fewer, of which the mean is taken (:mod:`migkit.kernels.precopy_mixed`).
Windows do not care where in a run one piece ends and the next begins, so the sender counts the pages that it
has passed, and the ring is turned by them at the next sync.
"""

from __future__ import annotations

import numpy as np

from migkit.kernels import policy, precopy_mixed
from migkit.kernels._jit import inlined, lean
from migkit.kernels.layout import (
    CAP,
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
    AHEAD,
    BYTES,
    CHANGE,
    CHECK,
    FULL_BANDWIDTH,
    LEFT,
    LOWEST,
    MIXED,
    MOST,
    NORMAL,
    NORMAL_QUOTA,
    NOTHING,
    ON_ZERO,
    PAGE,
    PAGE_S,
    PASSED,
    QUOTA,
    ROOM,
    SAME,
    SLACK_S,
    SPEED,
    WINDOW,
    WINDOW_BYTES,
    WINDOW_START,
    WIRE_BYTES,
    ZERO,
    ZERO_QUOTA,
    ZEROS_BEHIND,
    T,
)

__all__ = ["follow_link", "price", "quota", "send", "send_all"]


@inlined
def send(record: np.ndarray, steps: np.ndarray | None, state: np.ndarray, run: np.ndarray, work: np.ndarray) -> int:
    """Send until the policy must be asked; return the event.

    Each turn does one of: send the rest of a run, which fits in what is left of the window; end a window
    or a poll within a run; jump over whole windows within a run.
    """
    if run[LEFT] <= 0.0:
        _end_window(record, state, run)
        return policy.EMPTY
    wake_pages = state[policy.WAKE_REMAINING_BYTES] / PAGE
    wake_s = state[policy.WAKE_TIME_S]
    now_s, start_s, check_s, left = run[T], run[WINDOW_START], run[CHECK], run[LEFT]
    ahead, room, window_bytes, passed = run[AHEAD], run[ROOM], run[WINDOW_BYTES], 0.0
    bandwidth = state[policy.BANDWIDTH]
    event = policy.EMPTY
    while left > 0.0:
        if steps is not None and now_s >= run[CHANGE] - SLACK_S:
            follow_link(record, steps, run, now_s)
        if ahead <= 0.0:
            _count(run, passed)
            passed = 0.0
            window_end_s = start_s + run[WINDOW]
            ahead = _next_run(record, steps, run, work, now_s, left, window_bytes, window_end_s)
            room = max(0.0, run[QUOTA] - window_bytes / run[WIRE_BYTES])
        pages = min(ahead, room)
        sent_s = now_s + pages * run[PAGE_S]
        number = 0.0
        by_time = np.inf
        if sent_s > check_s - SLACK_S:
            by_time = max(0.0, np.ceil((check_s - now_s - SLACK_S) / run[PAGE_S]))
        if steps is not None and sent_s > run[CHANGE]:
            by_time = min(by_time, max(0.0, (run[CHANGE] - now_s) / run[PAGE_S]))
        if by_time < pages:
            pages = by_time
            sent_s = now_s + pages * run[PAGE_S]
            number = 1.0 if sent_s >= max(check_s, start_s + record[WINDOW_S]) - SLACK_S else 0.0
        elif ahead > room:
            number = 1.0
            if window_bytes == 0.0 and _same(run[FULL_BANDWIDTH], bandwidth):
                until_s = wake_s if steps is None else min(wake_s, run[CHANGE])
                number = _jump(min(ahead, left - wake_pages + room) / room, until_s - now_s, run[WINDOW])
                pages = number * room
        now_s = sent_s
        ahead -= pages
        room -= pages
        passed += pages
        window_bytes += pages * run[WIRE_BYTES]
        left = left - pages if left - pages > NOTHING else 0.0
        if number == 0.0 and (ahead <= 0.0 or now_s < check_s - SLACK_S):
            continue
        before = bandwidth
        if number > 0.0:
            now_s = start_s + number * run[WINDOW]
            if number == 1.0:
                now_s = max(now_s, sent_s)
                bandwidth = window_bytes / (now_s - start_s)
            start_s = now_s
            room = run[QUOTA]
            window_bytes = 0.0
        check_s = now_s + record[POLL_S]
        if left < wake_pages or now_s >= wake_s or not _same(bandwidth, before):
            event = policy.WINDOW
            break
    _count(run, passed)
    state[policy.BANDWIDTH] = bandwidth
    run[T], run[WINDOW_START], run[CHECK], run[LEFT] = now_s, start_s, check_s, left
    run[AHEAD], run[ROOM], run[WINDOW_BYTES] = ahead, room, window_bytes
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
    return (np.floor(pages / flush_pages) + 1.0) * flush_pages


@inlined
def _same(bandwidth: float, other: float) -> bool:
    return abs(bandwidth - other) <= SAME * other


@inlined
def _jump(windows: float, time_left_s: float, window_s: float) -> float:
    """Return how many whole windows pass before anything can happen: before the pages do, or the time is over."""
    number = np.floor(windows)
    if time_left_s < number * window_s:
        number = np.ceil(time_left_s / window_s)
    return max(1.0, number)


@inlined
def _count(run: np.ndarray, pages: float) -> None:
    """Count pages of the present run as sent."""
    run[PASSED] += pages
    run[BYTES] += pages * run[WIRE_BYTES]
    if run[ON_ZERO] == 0.0:
        run[NORMAL] += pages
    else:
        run[ZERO] += pages * run[ON_ZERO]
        run[NORMAL] += pages * (1.0 - run[ON_ZERO])


@inlined
def _next_run(
    record: np.ndarray,
    steps: np.ndarray | None,
    run: np.ndarray,
    work: np.ndarray,
    now_s: float,
    left: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Come to the zero pages, or to the pages behind them; return how many there are."""
    if steps is not None and run[MIXED] > 0.0:
        return precopy_mixed.next_run(record, steps, run, work, now_s, left, window_bytes, window_end_s)
    if run[ZEROS_BEHIND] > 0.0:
        run[ON_ZERO] = 1.0
        left = run[ZEROS_BEHIND]
        run[ZEROS_BEHIND] = 0.0
    else:
        run[ON_ZERO] = 0.0
    price(record, steps, run)
    return left


@inlined
def price(record: np.ndarray, steps: np.ndarray | None, run: np.ndarray) -> None:
    """Set what a page of the present run costs, and how many of them a window holds."""
    if steps is not None and run[MIXED] > 0.0:
        precopy_mixed.price(record, run)
        return
    if run[ON_ZERO] > 0.0:
        wire_bytes, cpu_s, pages = record[ZERO_WIRE_BYTES], record[ZERO_CPU_S], run[ZERO_QUOTA]
    else:
        wire_bytes, cpu_s, pages = record[PAGE_WIRE_BYTES], record[PAGE_CPU_S], run[NORMAL_QUOTA]
    run[WIRE_BYTES] = wire_bytes
    run[QUOTA] = pages
    run[PAGE_S] = max(wire_bytes / min(run[MOST], run[SPEED]), cpu_s)
    run[FULL_BANDWIDTH] = pages * wire_bytes / run[WINDOW]


@lean
def _end_window(record: np.ndarray, state: np.ndarray, run: np.ndarray) -> None:
    """Wait for the end of a window in which nothing is left to send."""
    end_s = max(run[T], run[WINDOW_START] + run[WINDOW])
    state[policy.BANDWIDTH] = run[WINDOW_BYTES] / (end_s - run[WINDOW_START])
    run[T] = run[WINDOW_START] = end_s
    run[WINDOW_BYTES] = 0.0
    run[ROOM] = run[QUOTA]
    run[CHECK] = end_s + record[POLL_S]


@inlined
def follow_link(record: np.ndarray, steps: np.ndarray | None, run: np.ndarray, now_s: float) -> None:
    """Set the path's speed now, and when it changes next."""
    run[SPEED] = record[GOODPUT]
    run[CHANGE] = np.inf
    if steps is not None:
        first = int(record[STEP_FIRST])
        end_s = 0.0
        for i in range(first, first + int(record[STEP_COUNT])):
            end_s += steps[2 * i]
            if now_s < end_s - SLACK_S:
                run[SPEED] = max(LOWEST, record[GOODPUT] * steps[2 * i + 1])
                run[CHANGE] = end_s
                break
    price(record, steps, run)


@inlined
def spared_s(record: np.ndarray, cap: float, speed: float, sent_bytes: float, early_s: float) -> float:
    """Return how much sooner bytes are out in windows than spread evenly under the cap [s].

    What the last window holds goes at the path's speed, and the first window began before the first byte.
    """
    if cap >= speed or sent_bytes <= 0.0:
        return 0.0
    windows = np.ceil(sent_bytes / (cap * record[WINDOW_S])) - 1.0
    rest = sent_bytes - windows * cap * record[WINDOW_S]
    begun_s = min(max(early_s, 0.0), record[WINDOW_S]) if windows > 0.0 else 0.0
    return float(rest * (1.0 / cap - 1.0 / speed) + begun_s)


@inlined
def send_all(record: np.ndarray, steps: np.ndarray | None, run: np.ndarray, work: np.ndarray, cap: float) -> None:
    """Send all that is pending: pre-copy ends at the path's speed without the policy's cap, stop-copy keeps it."""
    run[MOST] = cap
    price(record, steps, run)
    first_byte, early_s = run[BYTES], run[T] - run[WINDOW_START]
    while run[LEFT] > 0.0:
        if steps is not None and run[T] >= run[CHANGE]:
            follow_link(record, steps, run, run[T])
        if run[AHEAD] <= 0.0:
            run[AHEAD] = _next_run(record, steps, run, work, run[T], run[LEFT], 0.0, run[T])
        pages = run[AHEAD]
        sent_s = run[T] + pages * run[PAGE_S]
        if steps is not None and sent_s > run[CHANGE]:
            pages = min(pages, (run[CHANGE] - run[T]) / run[PAGE_S])
            sent_s = run[CHANGE]
        _count(run, pages)
        run[T] = sent_s
        run[AHEAD] -= pages
        run[LEFT] -= pages
        if run[LEFT] <= NOTHING:
            run[LEFT] = 0.0
    run[T] -= spared_s(record, cap, run[SPEED], run[BYTES] - first_byte, early_s)
    run[T] += record[DEVICE_BYTES] / run[SPEED]
    run[BYTES] += record[DEVICE_BYTES]
