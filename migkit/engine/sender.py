"""The sender: windows and bursts under a cap, polls without one, the scan pointer that goes around.

What lies ahead of the pointer is a run of pages that cost alike: zero pages, pages sent in full, or both evenly
mixed, of which the mean is taken; or fewer, where that mean changes with time (:mod:`migkit.engine.mixed`).
Windows do not care where in a run one piece ends and the next begins, so the sender counts the pages that it
has passed, and the ring is turned by them at the next sync.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from migkit.engine import mixed, ring
from migkit.engine.records import PackedScenario, Run, Work
from migkit.engine.run_state import (
    LAST_S,
    LOWEST,
    MOST_TURNS,
    NOTHING,
    PAGE,
    SAME,
    SLACK_S,
    at_least,
    at_most,
)
from migkit.jit import inlined, lean, rarely
from migkit.policies import decision
from migkit.policies.record import State

__all__ = ["follow_link", "price", "quota", "send", "send_all"]


@inlined
def send(scenario: PackedScenario, steps: np.ndarray | None, state: State, run: Run, work: Work) -> int:
    """Send until the policy must be asked; return the event.

    Each turn does one of: send the rest of a run, which fits in what is left of the window; end a window
    or a poll within a run; jump over whole windows within a run.
    """
    # Without the wait rounds would follow each other ever faster, each of still less. QEMU's rule alone ends then.
    if steps is not None and run.left_pages <= NOTHING:
        _end_window(scenario, state, run)
        return decision.EMPTY
    wake_pages = state.wake_remaining_bytes / PAGE
    wake_s = state.wake_time_s
    now_s, start_s, check_s, left = run.now_s, run.window_start_s, run.check_s, run.left_pages
    ahead, room, window_bytes, passed = run.ahead_pages, run.room_pages, run.window_bytes, 0.0
    bandwidth = state.bandwidth_bytes_per_s
    event = decision.EMPTY
    while left > 0.0:
        run.turns += 1.0
        if now_s > LAST_S:
            event = decision.WINDOW
            break
        if steps is not None and now_s >= run.change_s - SLACK_S:
            follow_link(scenario, steps, run, now_s)
        if ahead <= 0.0:
            _count(run, passed)
            passed = 0.0
            window_end_s = start_s + run.window_s
            ahead = _next_run(scenario, steps, run, work, now_s, left, window_bytes, window_end_s)
            room = at_least(run.quota_pages - window_bytes / run.wire_bytes, 0.0)
        pages = at_most(ahead, room)
        sent_s = now_s + pages * run.page_s
        number = 0.0
        by_time = np.inf
        if sent_s > check_s - SLACK_S:
            by_time = max(0.0, np.ceil((check_s - now_s - SLACK_S) / run.page_s))
        if steps is not None and sent_s > run.change_s:
            by_time = min(by_time, max(0.0, (run.change_s - now_s) / run.page_s))
        if by_time < pages:
            if window_bytes == 0.0 and now_s == start_s and by_time >= 1.0:
                until_s = min(wake_s, run.change_s)
                number, a_window, window_s = _polled(scenario, run, by_time, room, bandwidth)
                number = np.floor(min(number, min(ahead, left - wake_pages) / a_window, (until_s - now_s) / window_s))
                if number > 2.0:
                    pages = (number - 1.0) * a_window
                    now_s = start_s = start_s + (number - 1.0) * window_s
                    check_s = now_s + scenario.poll_s
                    ahead, left, passed = ahead - pages, left - pages, passed + pages
                    continue
            pages = by_time
            sent_s = now_s + pages * run.page_s
            number = 1.0 if sent_s >= max(check_s, start_s + scenario.window_s) - SLACK_S else 0.0
        elif ahead > room:
            number = 1.0
            if window_bytes == 0.0 and _same(run.full_bytes_per_s, bandwidth) and now_s < start_s + run.window_s:
                until_s = wake_s if steps is None else min(wake_s, run.change_s)
                number = _jump(at_most(left - wake_pages + room, ahead) / room, until_s - now_s, run.window_s)
                pages = number * room
        now_s = sent_s
        ahead -= pages
        room -= pages
        passed += pages
        window_bytes += pages * run.wire_bytes
        left -= pages
        if rarely(not left > NOTHING):
            left = 0.0
        if number == 0.0 and (ahead <= 0.0 or now_s < check_s - SLACK_S):
            continue
        before = bandwidth
        if number > 0.0:
            now_s = start_s + number * run.window_s
            if number == 1.0:
                now_s = at_least(now_s, sent_s)
                bandwidth = state.bandwidth_bytes_per_s = window_bytes / (now_s - start_s)
            start_s = now_s
            room = run.quota_pages
            window_bytes = 0.0
        check_s = now_s + scenario.poll_s
        if left < wake_pages or now_s >= wake_s or not _same(bandwidth, before) or run.turns > MOST_TURNS:
            event = decision.WINDOW
            break
    _count(run, passed)
    run.now_s, run.window_start_s, run.check_s, run.left_pages = now_s, start_s, check_s, left
    run.ahead_pages, run.room_pages, run.window_bytes = ahead, room, window_bytes
    return event


@inlined
def quota(scenario: PackedScenario, wire_bytes: float) -> float:
    """Return the pages that one window sends."""
    pages = scenario.cap_bytes_per_s * scenario.window_s / wire_bytes
    if pages == np.inf:
        return pages
    counted = 0.5 * (_flushed(pages, scenario.flush_pages) + _flushed(pages, scenario.flush_pages_too))
    return counted + scenario.beyond_pages


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
    if rarely(time_left_s < number * window_s):
        number = np.ceil(time_left_s / window_s)
    return at_least(number, 1.0)


@lean
def _polled(scenario: PackedScenario, run: Run, polled: float, room: float, bandwidth: float) -> Any:
    """Return how many windows are alike whose rule is looked at on the way, the pages of each, how long it is [s].

    There are as many as one likes when they go on at the bandwidth of the last one; else there is none.
    """
    pages = min(room, polled * np.ceil((scenario.window_s - SLACK_S) / (polled * run.page_s)))
    window_s = max(run.window_s, pages * run.page_s)
    number = np.inf if _same(pages * run.wire_bytes / window_s, bandwidth) else 0.0
    return number, pages, window_s


@inlined
def _count(run: Run, pages: float) -> None:
    """Count pages of the present run as sent."""
    run.passed_pages += pages
    run.sent_bytes += pages * run.wire_bytes
    if run.zero_share == 0.0:
        run.normal_pages += pages
    else:
        run.zero_pages += pages * run.zero_share
        run.normal_pages += pages * (1.0 - run.zero_share)


@inlined
def _next_run(
    scenario: PackedScenario,
    steps: np.ndarray | None,
    run: Run,
    work: Work,
    now_s: float,
    left: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Come to the next pages that cost alike; return how many there are."""
    if steps is not None and run.mixed > 0.0:
        return mixed.next_run(scenario, steps, run, work, now_s, left, window_bytes, window_end_s)
    if run.zero_pages < scenario.zero_pages - NOTHING:
        left = ring.next_run(scenario, run, work, left)
    else:
        run.zero_share = 0.0
    price(scenario, steps, run)
    return left


@inlined
def price(scenario: PackedScenario, steps: np.ndarray | None, run: Run) -> None:
    """Set what a page of the present run costs, and how many of them a window holds."""
    if 0.0 < run.zero_share < 1.0 or (steps is not None and run.mixed > 0.0):
        mixed.price(scenario, run)
        return
    if run.zero_share > 0.0:
        wire_bytes, cpu_s, pages = scenario.zero_wire_bytes, scenario.zero_cpu_s, run.zero_quota_pages
    else:
        wire_bytes, cpu_s, pages = scenario.page_wire_bytes, scenario.page_cpu_s, run.normal_quota_pages
    run.wire_bytes = wire_bytes
    run.quota_pages = pages
    speed = run.path_bytes_per_s if steps is None else min(run.most_bytes_per_s, run.path_bytes_per_s)
    run.page_s = max(wire_bytes / speed, cpu_s)
    run.full_bytes_per_s = pages * wire_bytes / run.window_s


@lean
def _end_window(scenario: PackedScenario, state: State, run: Run) -> None:
    """Wait for the end of a window in which nothing is left to send."""
    end_s = max(run.now_s, run.window_start_s + run.window_s)
    state.bandwidth_bytes_per_s = run.window_bytes / (end_s - run.window_start_s)
    run.now_s = run.window_start_s = end_s
    run.window_bytes = 0.0
    run.room_pages = run.quota_pages
    run.check_s = end_s + scenario.poll_s


@inlined
def follow_link(scenario: PackedScenario, steps: np.ndarray | None, run: Run, now_s: float) -> None:
    """Set the path's speed now, and when it changes next; time only goes on."""
    run.path_bytes_per_s = scenario.goodput_bytes_per_s
    run.change_s = np.inf
    if steps is not None:
        first, count = int(scenario.first_step), int(scenario.step_count)
        at = int(run.step)
        end_s = run.step_s
        while at < count:
            step = steps[first + at]
            end_s = run.step_s + step.duration_s
            if now_s < end_s - SLACK_S:
                run.path_bytes_per_s = max(LOWEST, scenario.goodput_bytes_per_s * step.level)
                run.change_s = end_s
                break
            at += 1
            run.step_s = end_s
        run.step = at
    price(scenario, steps, run)


@inlined
def spared_s(scenario: PackedScenario, cap: float, speed: float, sent_bytes: float, early_s: float) -> float:
    """Return how much sooner bytes are out in windows than spread evenly under the cap [s].

    What the last window holds goes at the path's speed, and the first window began before the first byte.
    """
    if cap >= speed or sent_bytes <= 0.0:
        return 0.0
    windows = np.ceil(sent_bytes / (cap * scenario.window_s)) - 1.0
    rest = sent_bytes - windows * cap * scenario.window_s
    begun_s = min(max(early_s, 0.0), scenario.window_s) if windows > 0.0 else 0.0
    return float(rest * (1.0 / cap - 1.0 / speed) + begun_s)


@inlined
def send_all(scenario: PackedScenario, steps: np.ndarray | None, run: Run, work: Work, cap: float) -> None:
    """Send all that is pending: pre-copy ends at the path's speed without the policy's cap, stop-copy keeps it."""
    run.most_bytes_per_s = cap
    price(scenario, steps, run)
    first_byte, early_s = run.sent_bytes, run.now_s - run.window_start_s
    while run.left_pages > 0.0:
        if steps is not None and run.now_s >= run.change_s:
            follow_link(scenario, steps, run, run.now_s)
        if run.ahead_pages <= 0.0:
            run.ahead_pages = _next_run(scenario, steps, run, work, run.now_s, run.left_pages, 0.0, run.now_s)
        pages = run.ahead_pages
        sent_s = run.now_s + pages * run.page_s
        if steps is not None and sent_s > run.change_s:
            pages = min(pages, (run.change_s - run.now_s) / run.page_s)
            sent_s = run.change_s
        _count(run, pages)
        run.now_s = sent_s
        run.ahead_pages -= pages
        run.left_pages -= pages
        if run.left_pages <= NOTHING:
            run.left_pages = 0.0
    if steps is not None:  # else the strategy is pre-copy, whose rest no cap holds back
        run.now_s -= spared_s(scenario, cap, run.path_bytes_per_s, run.sent_bytes - first_byte, early_s)
    run.now_s += scenario.device_bytes / run.path_bytes_per_s
    run.sent_bytes += scenario.device_bytes
