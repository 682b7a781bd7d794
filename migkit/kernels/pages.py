"""Page-level simulator: bitmaps, writers that go page by page, the policy asked as in reality.

It is slower than the expected-value engine (:mod:`migkit.kernels.precopy`) and right by
construction: nothing is averaged, a page is sent or not, a write goes to one page. The
engine is checked against the mean of many runs of it.

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

from migkit.kernels import layout, pages_guest, pages_postcopy, pages_sender, policy
from migkit.kernels._jit import jit
from migkit.kernels.layout import CAP, LOAD_S, QUIESCE_S, RESUME_S, ROUND_SLOTS, SYNC_S
from migkit.kernels.pages_guest import ALL_BUT_TOUCHED, DEGRADED_S, LOST_S, MARK_S, RECENT, THROTTLED
from migkit.kernels.pages_sender import (
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
MOST_SYNCS: Final = 20_000.0  # then it is said not to converge


@jit
def pages_one(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    pages: np.ndarray,
    rng: np.random.Generator,
    result: np.ndarray,
    rounds: np.ndarray,
    line: np.ndarray,
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
        The packed scenario (:mod:`migkit.kernels.layout`) and its policy's parameters.
    pages
        One uint16 for each page of the guest; overwritten.
    rng
        Where every choice of a page comes from.
    result
        Receives ``layout.RESULT_SLOTS`` numbers.
    rounds, line
        Receive rows of ``ROUND_SLOTS`` and ``POINT_SLOTS`` numbers while there is room; may be empty.
    frame_every_s
        Time between two frames [s].
    frame_times, frame_pending, frame_dirty
        Receive the moments of the frames, and for each frame the share of pages pending and newly
        dirty in each of ``frame_pending.size / frame_times.size`` bins of addresses; may be empty.
    rule
        A registered policy's function, or None.
    """
    state = np.zeros(policy.STATE_SLOTS)
    guest = np.zeros(pages_guest.GUEST_SLOTS)
    send = np.zeros(pages_sender.SEND_SLOTS + 2 * int(record[layout.XBZRLE_PAGES]))
    result[:] = 0.0
    pages_sender.begin(record, steps, send, pages.size)
    pages_guest.lay_out(record, pages, guest)
    guest[MARK_S] = send[T]
    state[policy.GUEST_BYTES] = pages.size * PAGE
    state[policy.STORAGE_BYTES] = record[layout.STORAGE_BYTES]
    counted_s = send[T]
    frame_s = send[T]
    action = policy.SYNC
    while True:
        pages_sender.point(send, line)
        if send[T] >= frame_s:
            pages_guest.write(record, steps, pages, guest, send[T], rng)
            pages_sender.frame(pages, send, frame_times, frame_pending, frame_dirty)
            frame_s += frame_every_s
        if action == policy.SYNC:
            _sync(record, steps, pages, send, guest, state, rounds, rng)
            event = policy.SYNCED
        elif action == policy.CONTINUE:
            event = pages_sender.send_window(record, steps, pages, send, state, guest, rng)
        else:
            break
        if parameters[policy.THROTTLE_RULE] == policy.DIRTY_LIMIT and send[T] >= counted_s + 1.0:
            pages_guest.write(record, steps, pages, guest, send[T], rng)
            _count_recent(pages, guest, state, send[T] - counted_s)
            counted_s = send[T]
        action = _ask(event, parameters, send, state, rule)
        if state[policy.THROTTLE] != guest[THROTTLED]:
            pages_guest.write(record, steps, pages, guest, send[T], rng)
            guest[THROTTLED] = state[policy.THROTTLE]
        if event == policy.EMPTY and action == policy.CONTINUE:
            action = policy.SYNC
        if state[policy.ITERATION] > MOST_SYNCS:
            action = layout.SETTLED
    _finish(action, record, steps, parameters, pages, send, guest, state, result, rounds, line, rng)
    pages_sender.point(send, line)
    pages_sender.frame(pages, send, frame_times, frame_pending, frame_dirty)
    result[layout.ROUNDS] = send[ROW]
    result[layout.POINTS] = send[POINT]


@jit
def _sync(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    state: np.ndarray,
    rounds: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Read the bitmap, and write the readings that only a sync changes."""
    pages_guest.write(record, steps, pages, guest, send[T], rng)
    marked = float(pages.size)
    if state[policy.ITERATION] > 0.0:
        marked = float(pages_guest.read_bitmap(pages))
        send[LEFT] += marked
    send[MARKED] += marked
    _row(record, send, state, marked, rounds)
    state[policy.ROUND_SENT_BYTES] = send[BYTES] - send[SYNC_BYTES]
    state[policy.ITERATION] += 1.0
    send[SYNCS] = state[policy.ITERATION]
    state[policy.DIRTIED_PAGES] = marked
    send[T] += record[SYNC_S]
    pages_sender.new_check(record, send)


@jit
def _ask(event: int, parameters: np.ndarray, send: np.ndarray, state: np.ndarray, rule: Any) -> int:
    """Write the readings and return the policy's action."""
    state[policy.NOW_S] = send[T]
    state[policy.EVENT] = event
    state[policy.REMAINING_BYTES] = send[LEFT] * PAGE
    state[policy.SENT_BYTES] = send[BYTES]
    state[policy.SENT_PAGES] = send[NORMAL] + send[ZERO]
    if event != policy.SYNCED:
        state[policy.ROUND_SENT_BYTES] = send[BYTES] - send[SYNC_BYTES]
    action = policy.decide(state, parameters, rule)
    if event == policy.SYNCED:
        send[SYNC_BYTES] = send[BYTES]
        state[policy.ROUND_START_S] = send[T]
    return int(action)


@jit
def _count_recent(pages: np.ndarray, guest: np.ndarray, state: np.ndarray, span_s: float) -> None:
    """Write the reading DIRTY_RATE and begin to count anew."""
    state[policy.DIRTY_RATE] = guest[RECENT] / span_s
    guest[RECENT] = 0.0
    for i in range(pages.size):
        pages[i] &= ALL_BUT_TOUCHED


@jit
def _finish(
    action: int,
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    state: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray,
    line: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Stop the guest, sync, send or push the rest, resume it; or leave it where it is."""
    result[layout.ACTION] = action
    result[layout.SWITCHOVER_PAGES] = send[LEFT]
    if action == policy.TIME_OUT:
        send[T] = min(send[T], parameters[policy.TIME_LIMIT_S])
    moves = action in (policy.SWITCHOVER, policy.POSTCOPY)
    if moves:
        send[T] += record[QUIESCE_S]
        send[STOPPED_S] = send[T]
        _sync(record, steps, pages, send, guest, state, rounds, rng)
        send[FINAL] = send[LEFT]
    pages_guest.write(record, steps, pages, guest, send[STOPPED_S] if moves else send[T], rng)
    if action == policy.SWITCHOVER:
        stopcopy = parameters[policy.STRATEGY] == policy.STOPCOPY
        pages_sender.send_all(record, steps, pages, send, record[CAP] if stopcopy else np.inf)
        send[T] += record[LOAD_S] + record[RESUME_S]
        result[layout.DOWNTIME_S] = send[T] - send[STOPPED_S]
    elif action == policy.POSTCOPY:
        pages_postcopy.push(record, steps, pages, send, guest, result, line, rng)
    result[layout.TOTAL_S] = send[T]
    result[layout.SENT] = send[BYTES]
    result[layout.ITERATIONS] = state[policy.ITERATION]
    result[layout.FINAL_PAGES] = send[FINAL]
    result[layout.SENT_NORMAL] = send[NORMAL]
    result[layout.SENT_ZERO] = send[ZERO]
    result[layout.SENT_DIFFERENCES] = send[DIFFERENCES]
    result[layout.SAVED] = send[SAVED]
    result[layout.MARKED] = send[MARKED]
    result[layout.LEFT_PAGES] = send[LEFT]
    result[layout.LOST_S] = guest[LOST_S] + result[layout.BLOCKTIME_S]
    result[layout.DEGRADED_S] = guest[DEGRADED_S] + result[layout.EXPOSURE_S]
    result[layout.STOP_S] = send[STOPPED_S]


@jit
def _row(record: np.ndarray, send: np.ndarray, state: np.ndarray, marked: float, rounds: np.ndarray) -> None:
    """Write a row of the table of rounds, as the expected-value engine does."""
    at = int(send[ROW]) * ROUND_SLOTS
    if at + ROUND_SLOTS > rounds.size:
        return
    rounds[at] = send[T]
    rounds[at + 1] = record[SYNC_S]
    rounds[at + 2] = marked
    rounds[at + 3] = send[LEFT]
    rounds[at + 4] = send[BYTES]
    rounds[at + 5] = send[NORMAL]
    rounds[at + 6] = send[ZERO]
    rounds[at + 7] = state[policy.THROTTLE]
    send[ROW] += 1.0
