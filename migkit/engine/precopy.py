"""Expected-value engine: one migration of a guest that runs meanwhile.

Memory is a ring of *pieces* in address order that begins at the scan pointer. A piece is a
run of pages of one segment (a page class, the pages written once, the zero pages) whose
pages are all pending with one probability. Sending moves the pointer; a sync makes each
piece's share ``p`` into ``p + (1 - p) u`` of its class (see :mod:`migkit.engine.dirty`), and makes
the arc that a sweep wrote pending (see :mod:`migkit.engine.ring`).
Between two decisions of the policy nothing that the guest does matters, so the engine jumps
from one to the next: by whole windows, whatever their number.

A sender with a cap sends its quota in a burst at path speed and waits for the end of the
window; without a binding cap it sends all the time and looks at the rule every ``poll_s``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import mixed, ring, slices
from migkit.engine.guest import (
    count_writes,
    dirty_rate,
    mark,
    order,
)
from migkit.engine.records import PackedScenario, Result, Run, Work
from migkit.engine.run_state import (
    FEW_PIECES,
    LAST_PIECE,
    LAST_S,
    MOST_TURNS,
    NOTHING,
    OWN_ROUNDS,
    PAGE,
    ROUNDS_TO_SETTLE,
    WOVEN_PARTS,
    give_up,
    point,
    remember,
    row,
    skip,
)
from migkit.engine.sender import (
    follow_link,
    quota,
    send,
    send_all,
)
from migkit.jit import assign, clear, inlined
from migkit.policies import decision
from migkit.policies.record import Parameters, State

__all__ = ["begin", "go_on", "precopy_one"]

MOST_SYNCS: Final = 2.0**62  # that are told: more are no 64-bit number


@inlined
def precopy_one(
    scenario: PackedScenario,
    classes: Any,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: Work,
    result: Result,
    rounds: Any,
    line: Any,
    rule: Any,
) -> None:
    """Predict one pre-copy migration.

    Parameters
    ----------
    scenario, classes, steps
        The packed scenario (:class:`migkit.engine.packing.Packed`); steps may be None where
        :func:`migkit.engine.batch.without_steps` says so.
    parameters
        Of the policy.
    state, run, work
        Scratch: a decision's state, the engine's, and its memory's.
    result
        Receives what came of it.
    rounds, line
        Receive rows while there is room; or None.
    rule
        A policy of one's own, see :func:`migkit.policies.decision.decide`; None: the one that ``parameters`` name.

    Notes
    -----
    When the policy ends in POSTCOPY, the state that post-copy starts from is left in ``run`` and ``work``.
    """
    if steps is not None:
        decision.forget(state)
    begin(scenario, classes, steps, state, run, work, result)
    run.now_s = run.counted_s = min(run.now_s, parameters.time_limit_s)
    go_on(decision.SYNCED, scenario, steps, parameters, state, run, work, result, rounds, line, rule)


@inlined
def go_on(
    event: int,
    scenario: PackedScenario,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: Work,
    result: Result,
    rounds: Any,
    line: Any,
    rule: Any,
) -> None:
    """Predict a migration from where ``state``, ``run`` and ``work`` stand to its end; its last event was ``event``.

    The arguments are those of :func:`precopy_one`.
    """
    best = np.inf
    stopping = False
    while True:
        if event == decision.SYNCED or stopping:
            _sync(scenario, steps, state, run, work, rounds, stopping)
        if stopping:
            break
        state.now_s = run.now_s
        state.event = event
        state.remaining_bytes = run.left_pages * PAGE if run.left_pages > NOTHING else 0.0
        if steps is None:
            action = decision.decide_plain(state, parameters)
        else:
            action = _ask_throttling(scenario, steps, parameters, state, run, work, rule)
        if event == decision.SYNCED:
            conditions = 0.0
            if steps is not None:  # what QEMU's rule alone does not read
                state.round_start_s = run.synced_s
                run.synced_bytes = run.sent_bytes
                conditions = run.step + state.throttle
            if run.left_pages < best * (1.0 - 1e-3) or conditions != run.conditions:
                best = run.left_pages
                run.conditions = conditions
                remember(steps, state, run)
            elif action == decision.CONTINUE and _may_have_settled(state, parameters, run):
                action = skip(action, scenario, steps, parameters, state, run, work)
        if line is not None:
            point(run, line)
        run.turns += 1.0
        if (run.turns > MOST_TURNS or run.now_s > LAST_S) and action in (decision.CONTINUE, decision.SYNC):
            if steps is not None and run.mixed > 0.0:
                mixed.leave(scenario, run, work, run.ahead_pages)  # a jump would multiply half a run
            action = give_up(steps, parameters, state, run)
        if action == decision.SYNC or (event == decision.EMPTY and action == decision.CONTINUE):
            event = decision.SYNCED
        elif action == decision.CONTINUE:
            event = send(scenario, steps, state, run, work)
        elif action in (decision.SWITCHOVER, decision.POSTCOPY):
            run.now_s += scenario.quiesce_s
            run.stopped_s = run.now_s
            result.switchover_pages = run.left_pages
            stopping = True
        else:
            break
    _finish(action, scenario, steps, parameters, state, run, work, result)
    if line is not None:
        point(run, line)
    result.rounds = run.rounds
    result.points = run.points


@inlined
def begin(
    scenario: PackedScenario,
    classes: Any,
    steps: np.ndarray | None,
    state: State,
    run: Run,
    work: Work,
    result: Result,
) -> None:
    """Set the guest before its first sync: everything pending, the pointer at address 0."""
    clear(result)
    decision.clear(state)
    run.sent_bytes = run.normal_pages = run.zero_pages = run.head = run.window_bytes = run.synced_bytes = 0.0
    run.marked_pages = run.lost_s = run.degraded_s = run.throttle = run.stopped_s = run.rounds = run.points = 0.0
    run.passed_pages = run.zero_share = run.best_iteration = run.remembered = run.skipped_rounds = 0.0
    run.step = run.step_s = 0.0
    count = int(scenario.class_count)
    phased = False
    for c in range(count):
        one = work.segments[c]
        assign(one, classes[c])
        one.position_pages = one.start_pages
        if steps is not None:
            one.new_writes = one.made_writes = one.turns = one.owed_turns = 0.0
            phased = phased or one.phase_count > 0.0 or one.most_writes < np.inf
    pages = _lay_out(scenario, run, work)
    run.turns = run.spent_turns
    run.undecided = run.conditions = run.jumped_s = run.mixed = run.difference_share = 0.0
    run.left_pages = pages
    ring.first_run(scenario, run, work)
    run.normal_quota_pages = run.room_pages = quota(scenario, scenario.page_wire_bytes)
    run.zero_quota_pages = quota(scenario, scenario.zero_wire_bytes)
    run.most_bytes_per_s = np.inf
    run.window_s = scenario.window_s + scenario.window_extra_s
    run.is_plain = 0.0 if phased or scenario.write_fault_s > 0.0 else 1.0
    if steps is not None:
        run.slices.throttle = 0.0
        run.mixed = scenario.fills_zero + scenario.xbzrle_pages if count > 0 else 0.0
        if run.mixed > 0.0:
            mixed.begin(scenario, run, work)
    run.counted_s = run.now_s = scenario.setup_s + scenario.lead_s
    run.window_start_s = scenario.lead_s
    if steps is not None:
        state.guest_bytes = pages * PAGE
        state.storage_bytes = scenario.storage_bytes
    follow_link(scenario, steps, run, run.now_s)


@inlined
def _lay_out(scenario: PackedScenario, run: Run, work: Work) -> float:
    """Make the ring of all memory, pending; return its pages."""
    classes, woven = int(scenario.class_count), scenario.first_woven
    first, last = scenario.zero_first_pages, scenario.zero_last_pages
    lead = 0.0  # which share of what lies interleaved is ahead of all else
    if scenario.lead_pages > 0.0:
        mixed_pages = 0.0
        for k in range(int(woven), classes + 2):
            mixed_pages += ring.segment_pages(scenario, work, k)
        lead = min(1.0, scenario.lead_pages / mixed_pages) if mixed_pages > 0.0 else 0.0
    count, pages = 0, 0.0
    if lead > 0.0:
        for k in range(int(woven), classes + 2):
            count, pages = _place(work, count, pages, k, lead * ring.segment_pages(scenario, work, k), 0.0)
    count, pages = _place(work, count, pages, classes + 2, first, 0.0)
    for k in range(classes + 2):
        size = ring.segment_pages(scenario, work, k)
        begin = lead * size if k >= woven else 0.0
        count, pages = _place(work, count, pages, k, size - begin, begin)
    count, pages = _place(work, count, pages, classes + 2, last, first)
    run.pieces = count
    run.most_pieces = FEW_PIECES + WOVEN_PARTS * max(0.0, classes + 2.0 - woven)
    return pages


@inlined
def _place(work: Work, count: int, total: float, segment: int, pages: float, first_page: float) -> tuple[int, float]:
    """Put a piece of a segment, from a page of it on, behind ``count`` others of ``total`` pages.

    Return how many there are then, and their pages. A sliver is left out.
    """
    if pages <= ring.SLIVER_PAGES:
        return count, total
    piece = work.pieces[count & LAST_PIECE]
    piece.segment, piece.pages, piece.share, piece.first_page = segment, pages, 1.0, first_page
    return count + 1, total + pages


@inlined
def _sync(
    scenario: PackedScenario,
    steps: np.ndarray | None,
    state: State,
    run: Run,
    work: Work,
    rounds: Any,
    stopping: bool,
) -> None:
    """Sync the bitmap, and write the readings of a sync; a guest that is stopped does not sleep on."""
    marked, sync_s = run.left_pages, scenario.sync_s
    run.synced_s = run.now_s
    if steps is not None and run.throttle > 0.0 and scenario.sync_awaits > 0.0 and not stopping:
        slice_s = scenario.throttle_slice_s
        run.now_s = slices.awake_s(slice_s, run.slices, run.throttle, run.counted_s, run.now_s)
        sync_s += run.now_s - run.synced_s
    if state.iteration > 0.0:
        if steps is not None and run.mixed > 0.0:
            mixed.end_pass(scenario, steps, run, work)
        marked = mark(scenario, steps, run, work)
        if steps is not None and run.mixed > 0.0:
            mixed.restart(run)
    if rounds is not None:
        row(state, run, marked, sync_s, rounds)
    state.iteration += 1.0
    if steps is not None:
        state.dirtied_pages = marked
    run.marked_pages += marked
    run.turns += run.pieces + scenario.class_count
    run.now_s += scenario.sync_s
    run.check_s = run.now_s + scenario.poll_s


@inlined
def _may_have_settled(state: State, parameters: Parameters, run: Run) -> bool:
    """Return whether the remainder has not sunk for long; a rule of one's own may be waiting for more rounds."""
    own = parameters.policy == decision.REGISTERED
    settled: bool = state.iteration - run.best_iteration > (OWN_ROUNDS if own else ROUNDS_TO_SETTLE)
    return settled


@inlined
def _ask_throttling(
    scenario: PackedScenario,
    steps: np.ndarray,
    parameters: Parameters,
    state: State,
    run: Run,
    work: Work,
    rule: Any,
) -> int:
    """Ask the policy with all that it may read, and obey its order to throttle."""
    if decision.is_plain(parameters, rule):
        return decision.decide_plain(state, parameters)
    if parameters.throttle_rule == decision.DIRTY_LIMIT:
        state.dirty_pages_per_s = dirty_rate(scenario, steps, run, work)
        run.turns += scenario.class_count
    action: int = _ask(parameters, state, run, rule)
    if state.throttle != run.throttle:
        order(scenario, steps, run, work, state.throttle)
    return action


@inlined
def _ask(parameters: Parameters, state: State, run: Run, rule: Any) -> int:
    state.sent_bytes = run.sent_bytes
    state.sent_pages = run.normal_pages + run.zero_pages
    state.round_sent_bytes = run.sent_bytes - run.synced_bytes
    action: int = decision.decide(state, parameters, rule)
    return action


@inlined
def _finish(
    action: int,
    scenario: PackedScenario,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: Work,
    result: Result,
) -> None:
    """Send the rest and resume the guest, or leave it where it is."""
    if action in (decision.SWITCHOVER, decision.POSTCOPY):
        result.final_pages = run.left_pages
    else:
        result.switchover_pages = run.left_pages
    if action == decision.TIME_OUT:
        run.now_s = min(run.now_s, parameters.time_limit_s)
    if action == decision.SWITCHOVER:
        stopped = steps is not None and parameters.strategy == decision.STOPCOPY
        send_all(scenario, steps, run, work, scenario.cap_bytes_per_s if stopped else np.inf)
        run.now_s += scenario.load_s + scenario.resume_s
        run.stopped_s -= scenario.in_flight_s + scenario.translate_s
        result.downtime_s = run.now_s - run.stopped_s
        run.now_s += scenario.release_s
    elif steps is not None:
        count_writes(scenario, steps, run, work)
    if steps is not None and run.mixed > 0.0:
        mixed.leave(scenario, run, work, run.ahead_pages)
        result.difference_pages = run.difference_pages
        result.saved_bytes = run.saved_bytes
    result.action = action
    result.total_s = run.now_s
    result.sent_bytes = run.sent_bytes
    result.iterations = min(state.iteration, MOST_SYNCS)
    result.normal_pages = run.normal_pages
    result.zero_pages = run.zero_pages
    result.marked_pages = run.marked_pages
    result.left_pages = run.left_pages
    result.lost_s = run.lost_s
    result.degraded_s = run.degraded_s
    result.stop_s = run.stopped_s
    result.undecided = run.undecided
    result.turns = run.turns - run.spent_turns
