"""Post-copy in expectation: background push against demand faults.

The push goes on at the scan pointer in address order; that of QEMU begins at address 0
(``ram_postcopy_send_discard_bitmap`` forgets where the scan was). A vCPU that touches a page which is not there waits
``L = RTT + service + queue + page / B`` and the page is sent out of order, with those of the next ``prefetch_pages``
that are missing; the queue is what the push has put on the same connection before, none where demands have one of
their own.
With ``phi`` faults for each second of guest progress ``x``, ``dx/dt = 1 / (1 + phi L)``; ``phi`` is the rate of
accesses times the share of pages that are missing. Each page is sent once, so that the push ends after ``V / B``;
under a cap ``C`` it goes in windows of ``W`` = 100 ms, each as fast as the path until its quota ``C W`` is used up,
and ends after ``W`` for each window but the last, and what is left in that takes at ``B``. What is demanded while
the push waits for its next window comes on top of the quota, so that it ends sooner, or waits with it. A push that
follows the guest goes on where it demands, by turns. Where the cap is not kept to the end, what is left goes without
it once it is less than ``rest_s`` times what was sent a second.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import missing, mixed, ring
from migkit.engine.records import PackedScenario, Result, Run, Work
from migkit.engine.run_state import LAST_PIECE, NOTHING, PAGE, point
from migkit.jit import lean

__all__ = ["device_s", "postcopy_one"]

TURNS: Final = 64  # parts of the push after which the faults are counted anew
STEP: Final = 0.02  # of the missing pages, that may be demanded before the faults are counted anew ...
MOST_STEPS: Final = 32.0  # ... up to so often while the push waits for a window
PARTS: Final = 128.0  # of the windows that are left, which are pushed at once
MOST_DEMANDS: Final = 256.0  # that lead the push back within the windows that are pushed at once


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
    result.downtime_s = run.now_s - run.stopped_s + scenario.translate_s
    point(run, line)
    start_s = run.now_s
    if scenario.push_restarts > 0.0:
        missing.from_the_start(scenario, run, work)
    _count_zeros(scenario, run, work)
    faults = blocked_s = behind_s = 0.0
    cap = scenario.postcopy_cap_bytes_per_s
    rest = scenario.rest_s + scenario.rest_bytes
    if cap < np.inf and rest + missing.fault_rate(scenario, run, work) > 0.0:
        faults, blocked_s, behind_s = _in_windows(scenario, run, work, line)
        cap = np.inf
    if run.left_pages > NOTHING:
        more, waited_s, behind_s = _in_parts(scenario, run, work, line, cap, behind_s)
        faults += more
        blocked_s += waited_s
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
def _in_parts(
    scenario: PackedScenario, run: Run, work: Work, line: Any, cap: float, behind_s: float
) -> tuple[float, float, float]:
    """Push what is pending under a cap in equal parts of its time.

    Return the faults, for how long they stopped the guest, and how far behind the guest is then [s].
    """
    start_s = run.now_s
    busy_s = missing.push_s(scenario, run, work, np.inf) / TURNS
    turn_s = missing.push_s(scenario, run, work, cap) / TURNS
    faults = blocked_s = turns = 0.0
    for _ in range(TURNS):
        rate = missing.fault_rate(scenario, run, work)
        wait_s = _answer_s(scenario) + _queue_s(scenario, run)
        progress_s = _progress_s(scenario, work, turn_s, rate * wait_s, behind_s)
        left_pages = run.left_pages
        new = missing.fetch(scenario, run, work, rate * progress_s)
        _grow(scenario, work, progress_s)
        push_s = busy_s - (left_pages - run.left_pages) * missing.page_s(scenario, 0.0)
        left_s = missing.push_s(scenario, run, work, np.inf) if turn_s > busy_s else push_s
        part = left_s / push_s if left_s < push_s else 1.0
        missing.push(scenario, run, work, push_s, np.inf)
        faults += new
        blocked_s += min(turn_s, rate * progress_s * wait_s) * part
        behind_s = max(0.0, behind_s + (turn_s - progress_s) * part)
        turns += part
        run.now_s = start_s + turn_s * turns
        point(run, line)
        if part < 1.0:
            break
    return faults, blocked_s, behind_s


@lean
def _in_windows(scenario: PackedScenario, run: Run, work: Work, line: Any) -> tuple[float, float, float]:
    """Push what is pending by windows, several at once while there are many; return as :func:`_in_parts` does.

    While the push has its quota, a demanded page goes ahead of it and counts, or it comes behind the quota; while the
    push waits for its next window, the page comes on top of the quota. Or a page that is demanded then comes with the
    next window. What goes without the cap is left pending. A sender that a demand wakes looks if it is that much.
    """
    window_s = scenario.window_s + scenario.window_extra_s
    quota = scenario.postcopy_cap_bytes_per_s * scenario.window_s
    page_s = missing.page_s(scenario, 0.0)
    pushing = min(1.0, quota / (scenario.postcopy_goodput_bytes_per_s * window_s))
    next_window = scenario.demands_wait > 1.0 and pushing < 1.0
    behind_quota = scenario.demands_wait == 1.0 and pushing < 1.0
    faults = blocked_s = behind_s = waiting = 0.0
    rest_pages = scenario.rest_bytes / PAGE
    start_s = run.now_s
    while run.left_pages > max(NOTHING, rest_pages):
        spared_pages = max(rest_pages, scenario.rest_s * scenario.postcopy_cap_bytes_per_s / PAGE)
        left_windows = (run.left_pages - spared_pages) * max(scenario.page_wire_bytes / quota, page_s / window_s)
        windows = max(1.0, np.floor(left_windows / PARTS))
        span_s = windows * window_s
        sent_bytes = run.sent_bytes
        queued_s = _answer_s(scenario) + _queue_s(scenario, run)
        if scenario.push_follows > 0.0 and (run.now_s > start_s or scenario.demands_wait == 0.0):
            missing.follow(scenario, run, work)
        rate = missing.fault_rate(scenario, run, work)
        first_s = 0.0
        if not behind_quota:
            first_s = _progress_s(scenario, work, pushing * span_s, rate * queued_s, behind_s)
        left_pages = run.left_pages
        ahead = missing.fetch(scenario, run, work, rate * first_s)
        ahead_s = (left_pages - run.left_pages) * page_s
        counted = (left_pages - run.left_pages + waiting) * scenario.page_wire_bytes
        left_s, most_bytes = span_s - ahead_s, max(0.0, windows * quota - counted)
        if next_window:
            pushed, used_s = _push_back_and_forth(scenario, run, work, left_s, most_bytes, queued_s, behind_s)
        else:
            pushed, used_s = missing.push(scenario, run, work, left_s, most_bytes)
        pushing = min(1.0, (used_s + ahead_s) / span_s)
        idle_s = (1.0 - pushing) * span_s
        blocked = rate * first_s * queued_s
        if behind_quota:
            ahead, first_s, blocked = _one_a_window(scenario, run, work, windows, pushing * span_s, behind_s)
        if run.left_pages <= NOTHING:  # the last window ends with its last page
            sent = pushed + counted
            full = max(0.0, np.ceil(sent / quota) - 1.0)
            span_s = min(span_s, full * window_s + (1.0 - full * quota / sent) * used_s) if sent > 0.0 else 0.0
            idle_s = 0.0
        left_pages = run.left_pages
        if next_window:
            after, then_s, waited_s = _one_a_window(scenario, run, work, windows, idle_s, behind_s)
            waiting = left_pages - run.left_pages
            if run.left_pages < rest_pages:
                span_s -= waited_s
                waited_s = 0.0
        else:
            after, then_s, waited_s = _meanwhile(scenario, run, work, idle_s, behind_s)
        blocked += waited_s
        _grow(scenario, work, first_s + then_s)
        faults += ahead + after
        behind_s = max(0.0, behind_s + span_s - first_s - then_s)
        run.now_s += span_s
        blocked_s += min(span_s, blocked)
        point(run, line)
        if scenario.rest_s > 0.0:
            rest_pages = scenario.rest_s * (run.sent_bytes - sent_bytes) / (windows * window_s) / PAGE
    return faults, blocked_s, behind_s


@lean
def _push_back_and_forth(
    scenario: PackedScenario, run: Run, work: Work, time_s: float, most_bytes: float, wait_s: float, behind_s: float
) -> tuple[float, float]:
    """Push by windows while demands are answered after ``wait_s``; return as :func:`migkit.engine.missing.push` does.

    A demand leads the push back to where the guest is. That matters where zero pages go, which need next to nothing
    of the quota: all of them would go in one window, but few do between two demands.
    """
    pushed = used_s = 0.0
    while True:
        rate = missing.fault_rate(scenario, run, work)
        demands = rate * _progress_s(scenario, work, time_s, rate * wait_s, behind_s)
        every_s = time_s / min(demands, MOST_DEMANDS) if demands > NOTHING else np.inf
        bytes_sent, took_s = missing.push(scenario, run, work, time_s - used_s, most_bytes - pushed, every_s)
        pushed += bytes_sent
        used_s += took_s
        if took_s < every_s or run.left_pages <= NOTHING or used_s >= time_s:
            break
        missing.follow(scenario, run, work)
    return pushed, used_s


@lean
def _meanwhile(
    scenario: PackedScenario, run: Run, work: Work, idle_s: float, behind_s: float
) -> tuple[float, float, float]:
    """Let the guest run while the push waits; return its faults, its progress and for how long it waited [s].

    The more pages that takes out of those that are missing, the more often the faults are counted anew.
    """
    faults = progress_s = waited_s = 0.0
    wait_s = _answer_s(scenario)
    pages = missing.fault_rate(scenario, run, work) * idle_s * (1.0 + scenario.prefetch_pages)
    number = int(min(MOST_STEPS, np.ceil(pages / (run.left_pages * STEP)))) if run.left_pages > 0.0 else 1
    step_s = idle_s / max(1, number)
    for _ in range(max(1, number)):
        rate = missing.fault_rate(scenario, run, work)
        went_s = _progress_s(scenario, work, step_s, rate * wait_s, behind_s)
        faults += missing.fetch(scenario, run, work, rate * went_s)
        behind_s = max(0.0, behind_s + step_s - went_s)
        progress_s += went_s
        waited_s += rate * went_s * wait_s
    return faults, progress_s, waited_s


@lean
def _one_a_window(
    scenario: PackedScenario, run: Run, work: Work, windows: float, span_s: float, behind_s: float
) -> tuple[float, float, float]:
    """Let the guest run up to its next fault in each of so many windows; return as :func:`_meanwhile` does."""
    rate = missing.fault_rate(scenario, run, work)
    free_s = _progress_s(scenario, work, span_s, 0.0, behind_s)
    if rate <= 0.0 or free_s <= 0.0:
        return 0.0, free_s, 0.0
    progress_s = windows * -np.expm1(-rate * free_s / windows) / rate
    return missing.fetch(scenario, run, work, rate * progress_s), progress_s, span_s * (1.0 - progress_s / free_s)


@lean
def _answer_s(scenario: PackedScenario) -> float:
    """Return how long a demanded page takes that nothing is ahead of [s]."""
    return float(scenario.rtt_s + scenario.fault_service_s + missing.page_s(scenario, 0.0))


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
    return float(ahead / scenario.page_wire_bytes * missing.page_s(scenario, 0.0))


@lean
def _count_zeros(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Keep which share of each piece's pages is zero: those of a region may be that until they are written."""
    for i in range(int(run.pieces)):
        k = (int(run.head) + i) & LAST_PIECE
        piece = work.pieces[k]
        c, share, page = int(piece.segment), piece.share, piece.first_page
        zero = 1.0 if c > scenario.class_count else 0.0
        if c < scenario.class_count and share > 0.0 and work.segments[c].blank + work.segments[c].zero_share > 0.0:
            one = work.segments[c]
            zero = mixed.zero_share(scenario, one, page, page + piece.pages, share, mixed.written(one))
        work.zero_shares[k] = zero
