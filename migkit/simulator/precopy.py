"""Page-level simulator: bitmaps, writers that go page by page, the policy asked as in reality.

It is slower than the expected-value engine (:mod:`migkit.engine.precopy`) and right by construction: a page is
sent or not, a write goes to one page. The engine is checked against the mean of many runs of it.

What is averaged
    * the length of a difference (XBZRLE) is what a page costs on average after as many writes as it has had
      (:mod:`migkit.engine.differences`);
    * a window ends with the mean of the two multiples of FLUSH_PAGES;
    * what windows spare a stop-copy is counted once, at its end (``spared_s``);
    * path, hosts and processors have a pace, without spread, and so have the guest's writes: chance is which pages
      they hit;
    * rounds that are jumped over are as the mean of those before (:mod:`migkit.simulator.rounds`).

What bounds the work
    A page is drawn a few times between two syncs whatever the rate (:mod:`migkit.simulator.guest`), and
    rounds that are alike are not repeated. A run that comes to no end even so is given up and is said
    not to converge: ``gave_up`` of the result says why.

The sender, as in QEMU
    * in address order from the scan pointer, which goes on after a sync in mid-pass and wraps;
    * until the window's quota is exceeded (``max bandwidth x window``), in a burst at the path's
      speed, then it waits for the end of the window. It ends with
      a multiple of FLUSH_PAGES: QEMU counts what its stream has flushed, in later versions 32 pages at once;
    * where the quota does not bind, until POLL_S is over; then it looks at the rule again;
    * the bandwidth that the policy sees is that of the last complete window: bytes over true length;
    * a page takes ``max(wire bytes / speed, processor time)``; one that holds only zeros when it is sent
      takes ZERO_WIRE_BYTES;
    * after the stop: one more sync, then everything at the path's speed, without the cap.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import CAP, LOAD_S, QUIESCE_S, RESUME_S, SYNC_S
from migkit.engine.records import Result
from migkit.jit import clear, jit, lean
from migkit.policies import decision
from migkit.policies.record import Parameters, State
from migkit.simulator import guest as guest_pages
from migkit.simulator import postcopy, sender, weave
from migkit.simulator import rounds as alike_rounds
from migkit.simulator import steps as time_steps
from migkit.simulator.guest import DEGRADED_S, LOST_S, MARK_S, RECENT, THROTTLED
from migkit.simulator.sender import (
    BYTES,
    DIFFERENCES,
    FINAL,
    LEFT,
    MARKED,
    NORMAL,
    POINT,
    ROW,
    SAVED,
    STOPPED_S,
    SYNC_BYTES,
    SYNCS,
    ZERO,
    T,
)

__all__ = ["pages_one"]

PAGE: Final = 4096.0


@jit
def pages_one(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: Parameters,
    state: State,
    spare: tuple[State, Parameters],
    pages: np.ndarray,
    rng: np.random.Generator,
    result: Result,
    rounds: Any,
    line: Any,
    frame_every_s: float,
    frame_times: np.ndarray,
    frame_pending: np.ndarray,
    frame_dirty: np.ndarray,
    rule: Any,
) -> None:
    """Simulate one migration.

    Parameters
    ----------
    record, steps, parameters
        The packed scenario (:mod:`migkit.engine.layout`) and its policy's parameters.
    state
        Of the decision, as :func:`migkit.policies.decision.new_state` returns it.
    spare
        Room for a state and parameters that are tried out.
    pages
        One uint16 for each page of the guest; overwritten.
    rng
        Where every choice of a page comes from.
    result
        Receives what came of it.
    rounds, line
        Receive rows while there is room; may be empty.
    frame_every_s
        Time between two frames [s].
    frame_times, frame_pending, frame_dirty
        Receive the moments of the frames, and for each frame the share of pages pending and newly
        dirty in each of ``frame_pending.size / frame_times.size`` bins of addresses; may be empty.
    rule
        A registered policy's function, or None.
    """
    record = record.copy()
    sums = time_steps.cumulate(record, steps)
    remembered = int(min(record[layout.XBZRLE_PAGES], float(pages.size)))
    guest = np.zeros(guest_pages.GUEST_SLOTS + (pages.size if remembered > 0 else 0))
    send = np.zeros(sender.SEND_SLOTS + 2 * remembered)
    watch = np.zeros(alike_rounds.WATCH_SLOTS)
    clear(result)
    sender.begin(record, sums, send, pages.size)
    guest_pages.lay_out(record, pages, guest)
    order = weave.order(record, pages.size, rng)
    guest[MARK_S] = send[T]
    state.guest_bytes = pages.size * PAGE
    state.storage_bytes = record[layout.STORAGE_BYTES]
    counted_s = send[T]
    frame_s = send[T]
    action = decision.SYNC
    while True:
        sender.point(send, line)
        if send[T] >= frame_s:
            guest_pages.write(record, sums, pages, guest, send[T], rng)
            sender.frame(pages, order, send, frame_times, frame_pending, frame_dirty)
            frame_s += frame_every_s
        if action == decision.SYNC:
            _sync(record, sums, pages, send, guest, state, rounds, rng)
            event = decision.SYNCED
        elif action == decision.CONTINUE:
            event = sender.send_window(record, sums, pages, order, send, state, guest, rng)
        else:
            break
        if parameters.throttle_rule == decision.DIRTY_LIMIT and send[T] >= counted_s + 1.0:
            guest_pages.write(record, sums, pages, guest, send[T], rng)
            state.dirty_pages_per_s = guest[RECENT] / (send[T] - counted_s)
            guest_pages.forget_touched(record, pages, guest, rng)
            counted_s = send[T]
        action = _ask(event, parameters, send, state, rule)
        if state.throttle != guest[THROTTLED]:
            guest_pages.write(record, sums, pages, guest, send[T], rng)
            guest[THROTTLED] = state.throttle
        if event == decision.SYNCED and action == decision.CONTINUE:
            before_s = send[T]
            action = alike_rounds.after_sync(record, sums, parameters, state, spare, send, guest, watch, rule)
            counted_s += send[T] - before_s
        elif event == decision.EMPTY and action == decision.CONTINUE:
            action = decision.SYNC
        result.gave_up = alike_rounds.gave_up(action, state, send, guest, watch, pages.size)
        if result.gave_up > 0.0:
            action = layout.SETTLED
    _finish(action, record, sums, parameters, pages, order, send, guest, state, result, rounds, line, rng)
    sender.point(send, line)
    sender.frame(pages, order, send, frame_times, frame_pending, frame_dirty)
    result.rounds = send[ROW]
    result.points = send[POINT]


@lean
def _sync(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    state: State,
    rounds: Any,
    rng: np.random.Generator,
) -> None:
    """Read the bitmap, and write the readings that only a sync changes."""
    guest_pages.write(record, sums, pages, guest, send[T], rng)
    marked = float(pages.size)
    if state.iteration > 0.0:
        marked = float(guest_pages.read_bitmap(record, pages, guest, rng))
        send[LEFT] += marked
    send[MARKED] += marked
    _row(record, send, state, marked, rounds)
    state.round_sent_bytes = send[BYTES] - send[SYNC_BYTES]
    state.iteration += 1.0
    send[SYNCS] = state.iteration
    state.dirtied_pages = marked
    send[T] += record[SYNC_S]
    sender.new_check(record, send)


@jit
def _ask(event: int, parameters: Parameters, send: np.ndarray, state: State, rule: Any) -> int:
    """Write the readings and return the policy's action."""
    state.now_s = send[T]
    state.event = event
    state.remaining_bytes = send[LEFT] * PAGE
    state.sent_bytes = send[BYTES]
    state.sent_pages = send[NORMAL] + send[ZERO]
    if event != decision.SYNCED:
        state.round_sent_bytes = send[BYTES] - send[SYNC_BYTES]
    action = decision.decide(state, parameters, rule)
    if event == decision.SYNCED:
        send[SYNC_BYTES] = send[BYTES]
        state.round_start_s = send[T]
    return int(action)


@jit
def _finish(
    action: int,
    record: np.ndarray,
    sums: np.ndarray,
    parameters: Parameters,
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    state: State,
    result: Result,
    rounds: Any,
    line: Any,
    rng: np.random.Generator,
) -> None:
    """Stop the guest, sync, send or push the rest, resume it; or leave it where it is."""
    result.action = action
    result.switchover_pages = send[LEFT]
    if action == decision.TIME_OUT:
        send[T] = min(send[T], parameters.time_limit_s)
    moves = action in (decision.SWITCHOVER, decision.POSTCOPY)
    if moves:
        send[T] += record[QUIESCE_S]
        send[STOPPED_S] = send[T]
        _sync(record, sums, pages, send, guest, state, rounds, rng)
        send[FINAL] = send[LEFT]
    guest_pages.write(record, sums, pages, guest, send[STOPPED_S] if moves else send[T], rng)
    if action == decision.SWITCHOVER:
        stopcopy = parameters.strategy == decision.STOPCOPY
        sender.send_all(record, sums, pages, order, send, guest, record[CAP] if stopcopy else np.inf, rng)
        send[T] += record[LOAD_S] + record[RESUME_S]
        result.downtime_s = send[T] - send[STOPPED_S]
    elif action == decision.POSTCOPY:
        postcopy.push(record, sums, pages, order, send, guest, result, line, rng)
    result.total_s = send[T]
    result.sent_bytes = send[BYTES]
    result.iterations = state.iteration
    result.final_pages = send[FINAL]
    result.normal_pages = send[NORMAL]
    result.zero_pages = send[ZERO]
    result.difference_pages = send[DIFFERENCES]
    result.saved_bytes = send[SAVED]
    result.marked_pages = send[MARKED]
    result.left_pages = send[LEFT]
    result.lost_s = guest[LOST_S] + result.blocktime_s
    result.degraded_s = guest[DEGRADED_S] + result.exposure_s
    result.stop_s = send[STOPPED_S]


@lean
def _row(record: np.ndarray, send: np.ndarray, state: State, marked: float, rounds: Any) -> None:
    """Write a row of the table of rounds, as the expected-value engine does."""
    if send[ROW] >= len(rounds):
        return
    at = rounds[int(send[ROW])]
    at.start_s, at.sync_s = send[T], record[SYNC_S]
    at.marked_pages, at.left_pages = marked, send[LEFT]
    at.sent_bytes, at.normal_pages, at.zero_pages = send[BYTES], send[NORMAL], send[ZERO]
    at.throttle = state.throttle
    send[ROW] += 1.0
