"""Expected-value engine: one migration of a guest that runs meanwhile.

Memory is a ring of *pieces* in address order that begins at the scan pointer. A piece is a
run of pages of one segment (a page class, the pages written once, the zero pages) whose
pages are all pending with one probability. Sending moves the pointer; a sync makes each
piece's share ``p`` into ``p + (1 - p) u`` of its class (see :mod:`migkit.engine.dirty`), and makes
the arc that a sweep wrote pending (see :mod:`migkit.engine.ring`).
Between two decisions of the policy nothing that the guest does matters, so the engine jumps
from one to the next: by whole windows, whatever their number.

A sender with a cap sends its quota in a burst at path speed and waits for the end of the
window; without a binding cap it sends all the time and looks at the rule every ``POLL_S``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import layout, mixed, ring
from migkit.engine.guest import (
    count_writes,
    dirty_rate,
    mark,
)
from migkit.engine.layout import (
    CAP,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    FILL_ZERO,
    LEAD_PAGES,
    LEAD_S,
    LOAD_S,
    NORMAL_PAGES,
    PAGE_WIRE_BYTES,
    POLL_S,
    QUIESCE_S,
    RESUME_S,
    SETUP_S,
    SYNC_S,
    WINDOW_EXTRA_S,
    WINDOW_S,
    WOVEN,
    WRITE_FAULT_S,
    XBZRLE_PAGES,
    ZERO_FIRST_PAGES,
    ZERO_LAST_PAGES,
    ZERO_PAGES,
    ZERO_WIRE_BYTES,
)
from migkit.engine.records import Result, Run
from migkit.engine.run_state import (
    FEW_PIECES,
    LAST_PIECE,
    LAST_S,
    MOST_TURNS,
    NOTHING,
    OWN_ROUNDS,
    PAGE,
    PIECE_SLOTS,
    POSITIONS,
    ROUNDS_TO_SETTLE,
    WOVEN_PARTS,
    WRITES,
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
from migkit.jit import clear, inlined
from migkit.policies import decision
from migkit.policies.record import Parameters, State

__all__ = ["precopy_one"]

MOST_SYNCS: Final = 2.0**62  # that are told: more are no 64-bit number


@inlined
def precopy_one(
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: np.ndarray,
    result: Result,
    rounds: Any,
    line: Any,
    rule: Any,
) -> None:
    """Predict one pre-copy migration.

    Parameters
    ----------
    record, steps
        The packed scenario (:mod:`migkit.engine.layout`); steps may be None where
        :func:`migkit.engine.batch.without_steps` says so.
    parameters
        Of the policy.
    state, run, work
        Scratch: a decision's state, the engine's, and ``WORK_SLOTS`` numbers.
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
    _begin(record, steps, state, run, work, result)
    run.now_s = run.counted_s = min(run.now_s, parameters.time_limit_s)
    event = decision.SYNCED
    best = np.inf
    stopping = False
    while True:
        if event == decision.SYNCED or stopping:
            _sync(record, steps, state, run, work, rounds)
        if stopping:
            break
        state.now_s = run.now_s
        state.event = event
        state.remaining_bytes = run.left_pages * PAGE if run.left_pages > NOTHING else 0.0
        if steps is None:
            action = decision.decide_plain(state, parameters)
        else:
            action = _ask_throttling(record, steps, parameters, state, run, work, rule)
        if event == decision.SYNCED:
            state.round_start_s = run.synced_s
            run.synced_bytes = run.sent_bytes
            conditions = run.step + state.throttle
            if run.left_pages < best * (1.0 - 1e-3) or conditions != run.conditions:
                best = run.left_pages
                run.conditions = conditions
                remember(steps, state, run)
            elif action == decision.CONTINUE and _may_have_settled(state, parameters, run):
                action = skip(action, record, steps, parameters, state, run)
        if line is not None:
            point(run, line)
        run.turns += 1.0
        if (run.turns > MOST_TURNS or run.now_s > LAST_S) and action in (decision.CONTINUE, decision.SYNC):
            if steps is not None and run.mixed > 0.0:
                mixed.leave(record, run, work, run.ahead_pages)  # a jump would multiply half a run
            action = give_up(parameters, state, run)
        if action == decision.SYNC or (event == decision.EMPTY and action == decision.CONTINUE):
            event = decision.SYNCED
        elif action == decision.CONTINUE:
            event = send(record, steps, state, run, work)
        elif action in (decision.SWITCHOVER, decision.POSTCOPY):
            run.now_s += record[QUIESCE_S]
            run.stopped_s = run.now_s
            result.switchover_pages = run.left_pages
            stopping = True
        else:
            break
    _finish(action, record, steps, parameters, state, run, work, result)
    if line is not None:
        point(run, line)
    result.rounds = run.rounds
    result.points = run.points


@inlined
def _begin(
    record: np.ndarray,
    steps: np.ndarray | None,
    state: State,
    run: Run,
    work: np.ndarray,
    result: Result,
) -> None:
    """Set the guest before its first sync: everything pending, the pointer at address 0."""
    clear(result)
    decision.clear(state)
    run.sent_bytes = run.normal_pages = run.zero_pages = run.head = run.window_bytes = run.synced_bytes = 0.0
    run.marked_pages = run.lost_s = run.degraded_s = run.throttle = run.stopped_s = run.rounds = run.points = 0.0
    run.passed_pages = run.zero_share = run.best_iteration = run.remembered = run.skipped_rounds = 0.0
    run.step = run.step_s = 0.0
    classes = int(record[CLASSES])
    phased = False
    if steps is not None:
        for c in range(classes):
            work[WRITES + c] = 0.0
            phased = phased or record[CLASS_BASE + c * CLASS_SLOTS + layout.PHASE_COUNT] > 0.0
    pages = _lay_out(record, run, work)
    run.turns = run.spent_turns
    run.undecided = run.conditions = run.jumped_s = run.mixed = run.difference_share = 0.0
    run.left_pages = pages
    ring.first_run(record, run, work)
    run.normal_quota_pages = run.room_pages = quota(record, record[PAGE_WIRE_BYTES])
    run.zero_quota_pages = quota(record, record[ZERO_WIRE_BYTES])
    run.most_bytes_per_s = np.inf
    run.window_s = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    run.is_plain = 0.0 if phased or record[WRITE_FAULT_S] > 0.0 else 1.0
    if steps is not None:
        run.mixed = record[FILL_ZERO] + record[XBZRLE_PAGES] if classes > 0 else 0.0
        if run.mixed > 0.0:
            mixed.begin(record, run, work)
    run.counted_s = run.now_s = record[SETUP_S] + record[LEAD_S]
    run.window_start_s = record[LEAD_S]
    if steps is not None:
        state.guest_bytes = pages * PAGE
        state.storage_bytes = record[layout.STORAGE_BYTES]
    follow_link(record, steps, run, run.now_s)


@inlined
def _lay_out(record: np.ndarray, run: Run, work: np.ndarray) -> float:
    """Make the ring of all memory, pending; return its pages."""
    classes, woven = int(record[CLASSES]), record[WOVEN]
    first, last = record[ZERO_FIRST_PAGES], record[ZERO_LAST_PAGES]
    lead = 0.0  # which share of what lies interleaved is ahead of all else
    if record[LEAD_PAGES] > 0.0:
        mixed_pages = 0.0
        for k in range(int(woven), classes + 2):
            mixed_pages += _size(record, k)
        lead = min(1.0, record[LEAD_PAGES] / mixed_pages) if mixed_pages > 0.0 else 0.0
    run.pieces = 0.0
    pages = 0.0
    if lead > 0.0:
        for k in range(int(woven), classes + 2):
            pages += _place(run, work, k, lead * _size(record, k), 0.0)
    pages += _place(run, work, classes + 2, first, 0.0)
    for k in range(classes + 2):
        size = _size(record, k)
        if k < classes:
            work[POSITIONS + k] = record[CLASS_BASE + k * CLASS_SLOTS + layout.START_PAGES]
        begin = lead * size if k >= woven else 0.0
        pages += _place(run, work, k, size - begin, begin)
    pages += _place(run, work, classes + 2, last, first)
    run.most_pieces = FEW_PIECES + WOVEN_PARTS * max(0.0, classes + 2.0 - woven)
    return pages


@inlined
def _size(record: np.ndarray, segment: int) -> float:
    """Return the pages of a segment, of the zero pages those that lie in no run."""
    classes = int(record[CLASSES])
    pages = record[NORMAL_PAGES]
    if segment < classes:
        pages = record[CLASS_BASE + segment * CLASS_SLOTS + layout.PAGES]
    elif segment > classes:
        pages = record[ZERO_PAGES] - record[ZERO_FIRST_PAGES] - record[ZERO_LAST_PAGES]
    return float(pages)


@inlined
def _place(run: Run, work: np.ndarray, segment: int, pages: float, begin: float) -> float:
    """Put a piece of a segment, from page ``begin`` of it on, behind the others; return its pages."""
    if pages > 0.0:
        at = (int(run.pieces) & LAST_PIECE) * PIECE_SLOTS
        work[at], work[at + 1], work[at + 2], work[at + 3] = segment, pages, 1.0, begin
        run.pieces += 1.0
    return pages


@inlined
def _sync(
    record: np.ndarray,
    steps: np.ndarray | None,
    state: State,
    run: Run,
    work: np.ndarray,
    rounds: Any,
) -> None:
    """Sync the bitmap, and write the readings of a sync."""
    marked = run.left_pages
    if state.iteration > 0.0:
        if steps is not None and run.mixed > 0.0:
            mixed.end_pass(record, steps, run, work)
        marked = mark(record, steps, run, work)
        if steps is not None and run.mixed > 0.0:
            mixed.restart(run)
    if rounds is not None:
        row(state, run, marked, record[SYNC_S], rounds)
    state.iteration += 1.0
    state.dirtied_pages = marked
    run.marked_pages += marked
    run.turns += run.pieces + record[CLASSES]
    run.synced_s = run.now_s
    run.now_s += record[SYNC_S]
    run.check_s = run.now_s + record[POLL_S]


@inlined
def _may_have_settled(state: State, parameters: Parameters, run: Run) -> bool:
    """Return whether the remainder has not sunk for long; a rule of one's own may be waiting for more rounds."""
    own = parameters.policy == decision.REGISTERED
    settled: bool = state.iteration - run.best_iteration > (OWN_ROUNDS if own else ROUNDS_TO_SETTLE)
    return settled


@inlined
def _ask_throttling(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: Parameters,
    state: State,
    run: Run,
    work: np.ndarray,
    rule: Any,
) -> int:
    """Ask the policy with all that it may read, and obey its order to throttle."""
    if decision.is_plain(parameters, rule):
        return decision.decide_plain(state, parameters)
    if parameters.throttle_rule == decision.DIRTY_LIMIT:
        state.dirty_pages_per_s = dirty_rate(record, steps, run)
        run.turns += record[CLASSES]
    action: int = _ask(parameters, state, run, rule)
    if state.throttle != run.throttle:
        count_writes(record, steps, run, work)
        run.throttle = state.throttle
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
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: np.ndarray,
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
        stopped = parameters.strategy == decision.STOPCOPY
        send_all(record, steps, run, work, record[CAP] if stopped else np.inf)
        run.now_s += record[LOAD_S] + record[RESUME_S]
        result.downtime_s = run.now_s - run.stopped_s
    elif steps is not None:
        count_writes(record, steps, run, work)
    if steps is not None and run.mixed > 0.0:
        mixed.leave(record, run, work, run.ahead_pages)
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
