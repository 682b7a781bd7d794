"""Expected-value engine: one migration of a guest that runs meanwhile.

Memory is a ring of *pieces* in address order that begins at the scan pointer. A piece is a
run of pages of one segment (a page class, the pages written once, the zero pages) whose
pages are all pending with one probability. Sending moves the pointer; a sync makes each
piece's share ``p`` into ``p + (1 - p) u`` of its class (see :mod:`migkit.kernels.dirty`), and makes
the arc that a sweep wrote pending (see :mod:`migkit.kernels.precopy_ring`).
Between two decisions of the policy nothing that the guest does matters, so the engine jumps
from one to the next: by whole windows, whatever their number.

A sender with a cap sends its quota in a burst at path speed and waits for the end of the
window; without a binding cap it sends all the time and looks at the rule every ``POLL_S``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from migkit.kernels import layout, policy, precopy_mixed
from migkit.kernels._jit import inlined
from migkit.kernels.layout import (
    CAP,
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    FILL_ZERO,
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
    WRITE_FAULT_S,
    XBZRLE_PAGES,
    ZERO_PAGES,
    ZERO_WIRE_BYTES,
)
from migkit.kernels.precopy_guest import (
    count_writes,
    dirty_rate,
    mark,
)
from migkit.kernels.precopy_sender import (
    follow_link,
    quota,
    send,
    send_all,
)
from migkit.kernels.precopy_state import (
    AHEAD,
    BEST_ITERATION,
    BYTES,
    CHECK,
    COUNT,
    DEGRADED,
    DIFFERENCES,
    LAST_PIECE,
    LEFT,
    LOST,
    MARK,
    MARKED_ALL,
    MIXED,
    MOST,
    NORMAL,
    NORMAL_QUOTA,
    OWN_ROUNDS,
    PAGE,
    PIECE_SLOTS,
    PLAIN,
    POINT,
    POSITIONS,
    ROOM,
    ROUNDS_TO_SETTLE,
    ROW,
    SAVED,
    STOPPED,
    SYNC_BYTES,
    SYNCED_S,
    THROTTLED,
    WINDOW,
    WINDOW_START,
    WRITES,
    ZERO,
    ZERO_QUOTA,
    ZEROED,
    ZEROS_BEHIND,
    T,
    point,
    remember,
    row,
    skip,
)

__all__ = ["precopy_one"]


@inlined
def precopy_one(
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray | None,
    line: np.ndarray | None,
    rule: Any,
) -> None:
    """Predict one pre-copy migration.

    Parameters
    ----------
    record, steps
        The packed scenario (:mod:`migkit.kernels.layout`); steps may be None where
        :func:`migkit.kernels.migrate.without_steps` says so.
    parameters
        Of the policy.
    state, run, work
        Scratch: ``policy.STATE_SLOTS``, ``RUN_SLOTS`` and ``WORK_SLOTS`` long.
    result
        Receives ``layout.RESULT_SLOTS`` numbers.
    rounds, line
        Receive rows of ``ROUND_SLOTS`` and ``POINT_SLOTS`` numbers while there is room; or None.
    rule
        A policy of one's own, see :func:`migkit.kernels.policy.decide`; None: the one that ``parameters`` name.

    Notes
    -----
    When the policy ends in POSTCOPY, the state that post-copy starts from is left in ``run`` and ``work``.
    """
    if steps is not None:
        for i in range(policy.MEMORY, policy.STATE_SLOTS):
            state[i] = 0.0
    _begin(record, steps, state, run, work, result)
    event = policy.SYNCED
    best = np.inf
    stopping = False
    while True:
        if event == policy.SYNCED or stopping:
            _sync(record, steps, state, run, work, rounds)
        if stopping:
            break
        state[policy.NOW_S] = run[T]
        state[policy.EVENT] = event
        state[policy.REMAINING_BYTES] = run[LEFT] * PAGE
        if steps is None:
            action = policy.decide_plain(state, parameters)
        else:
            action = _ask_throttling(record, steps, parameters, state, run, work, rule)
        if event == policy.SYNCED:
            state[policy.ROUND_START_S] = run[SYNCED_S]
            run[SYNC_BYTES] = run[BYTES]
            if run[LEFT] < best * (1.0 - 1e-3):
                best = run[LEFT]
                remember(steps, state, run)
            elif action == policy.CONTINUE and _may_have_settled(state, parameters, run):
                action = skip(action, record, steps, parameters, state, run)
        if line is not None:
            point(run, line)
        if action == policy.SYNC or (event == policy.EMPTY and action == policy.CONTINUE):
            event = policy.SYNCED
        elif action == policy.CONTINUE:
            event = send(record, steps, state, run, work)
        elif action in (policy.SWITCHOVER, policy.POSTCOPY):
            run[T] += record[QUIESCE_S]
            run[STOPPED] = run[T]
            result[layout.SWITCHOVER_PAGES] = run[LEFT]
            stopping = True
        else:
            break
    _finish(action, record, steps, parameters, state, run, work, result)
    if line is not None:
        point(run, line)
    result[layout.ROUNDS] = run[ROW]
    result[layout.POINTS] = run[POINT]


@inlined
def _begin(
    record: np.ndarray,
    steps: np.ndarray | None,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
) -> None:
    """Set the guest before its first sync: everything pending, the pointer at address 0."""
    for i in range(layout.RESULT_SLOTS):
        result[i] = 0.0
    for i in range(policy.MEMORY):
        state[i] = 0.0
    for i in range(ZEROED):
        run[i] = 0.0
    classes = int(record[CLASSES])
    phased = False
    count = 0
    pages = 0.0
    for c in range(classes + 2):
        if c < classes:
            size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
            work[POSITIONS + c] = record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES]
            if steps is not None:
                work[WRITES + c] = 0.0
                phased = phased or record[CLASS_BASE + c * CLASS_SLOTS + layout.PHASE_COUNT] > 0.0
        else:
            size = record[NORMAL_PAGES] if c == classes else record[ZERO_PAGES]
        if size > 0.0:
            at = (count & LAST_PIECE) * PIECE_SLOTS
            work[at], work[at + 1], work[at + 2], work[at + 3] = c, size, 1.0, 0.0
            count += 1
            pages += size
    run[COUNT] = count
    run[LEFT] = pages
    run[AHEAD] = pages - record[ZERO_PAGES]
    run[ZEROS_BEHIND] = record[ZERO_PAGES]
    run[NORMAL_QUOTA] = run[ROOM] = quota(record, record[PAGE_WIRE_BYTES])
    run[ZERO_QUOTA] = quota(record, record[ZERO_WIRE_BYTES])
    run[MOST] = np.inf
    run[WINDOW] = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    run[PLAIN] = 0.0 if phased or record[WRITE_FAULT_S] > 0.0 else 1.0
    if steps is not None:
        run[MIXED] = record[FILL_ZERO] + record[XBZRLE_PAGES] if classes > 0 else 0.0
        if run[MIXED] > 0.0:
            precopy_mixed.begin(record, run, work)
    run[MARK] = run[T] = record[SETUP_S] + record[LEAD_S]
    run[WINDOW_START] = record[LEAD_S]
    if steps is not None:
        state[policy.GUEST_BYTES] = pages * PAGE
        state[policy.STORAGE_BYTES] = record[layout.STORAGE_BYTES]
    follow_link(record, steps, run, run[T])


@inlined
def _sync(
    record: np.ndarray,
    steps: np.ndarray | None,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    rounds: np.ndarray | None,
) -> None:
    """Sync the bitmap, and write the readings of a sync."""
    marked = run[LEFT]
    if state[policy.ITERATION] > 0.0:
        if steps is not None and run[MIXED] > 0.0:
            precopy_mixed.end_pass(record, steps, run, work)
        marked = mark(record, steps, run, work)
        if steps is not None and run[MIXED] > 0.0:
            precopy_mixed.restart(run)
    if rounds is not None:
        row(state, run, marked, record[SYNC_S], rounds)
    state[policy.ITERATION] += 1.0
    state[policy.DIRTIED_PAGES] = marked
    run[MARKED_ALL] += marked
    run[SYNCED_S] = run[T]
    run[T] += record[SYNC_S]
    run[CHECK] = run[T] + record[POLL_S]


@inlined
def _may_have_settled(state: np.ndarray, parameters: np.ndarray, run: np.ndarray) -> bool:
    """Return whether the remainder has not sunk for long; a rule of one's own may be waiting for more rounds."""
    own = parameters[policy.POLICY] == policy.REGISTERED
    settled: bool = state[policy.ITERATION] - run[BEST_ITERATION] > (OWN_ROUNDS if own else ROUNDS_TO_SETTLE)
    return settled


@inlined
def _ask_throttling(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    rule: Any,
) -> int:
    """Ask the policy with all that it may read, and obey its order to throttle."""
    if policy.is_plain(parameters, rule):
        return policy.decide_plain(state, parameters)
    if parameters[policy.THROTTLE_RULE] == policy.DIRTY_LIMIT:
        state[policy.DIRTY_RATE] = dirty_rate(record, steps, run)
    action: int = _ask(parameters, state, run, rule)
    if state[policy.THROTTLE] != run[THROTTLED]:
        count_writes(record, steps, run, work)
        run[THROTTLED] = state[policy.THROTTLE]
    return action


@inlined
def _ask(parameters: np.ndarray, state: np.ndarray, run: np.ndarray, rule: Any) -> int:
    state[policy.SENT_BYTES] = run[BYTES]
    state[policy.SENT_PAGES] = run[NORMAL] + run[ZERO]
    state[policy.ROUND_SENT_BYTES] = run[BYTES] - run[SYNC_BYTES]
    action: int = policy.decide(state, parameters, rule)
    return action


@inlined
def _finish(
    action: int,
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
) -> None:
    """Send the rest and resume the guest, or leave it where it is."""
    if action in (policy.SWITCHOVER, policy.POSTCOPY):
        result[layout.FINAL_PAGES] = run[LEFT]
    else:
        result[layout.SWITCHOVER_PAGES] = run[LEFT]
    if action == policy.TIME_OUT:
        run[T] = min(run[T], parameters[policy.TIME_LIMIT_S])
    if action == policy.SWITCHOVER:
        stopped = parameters[policy.STRATEGY] == policy.STOPCOPY
        send_all(record, steps, run, work, record[CAP] if stopped else np.inf)
        run[T] += record[LOAD_S] + record[RESUME_S]
        result[layout.DOWNTIME_S] = run[T] - run[STOPPED]
    elif steps is not None:
        count_writes(record, steps, run, work)
    if steps is not None and run[MIXED] > 0.0:
        precopy_mixed.leave(record, run, work, run[AHEAD])
        result[layout.SENT_DIFFERENCES] = run[DIFFERENCES]
        result[layout.SAVED] = run[SAVED]
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
