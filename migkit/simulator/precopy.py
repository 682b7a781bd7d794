"""Page-level simulator: bitmaps, writers that go page by page, the policy asked as in reality.

It is slower than the expected-value engine (:mod:`migkit.engine.precopy`) and right by construction: a page is
sent or not, a write goes to one page. The engine is checked against the mean of many runs of it.

What is averaged
    * the length of a difference (XBZRLE) is what a page costs on average after as many writes as it has had
      (:mod:`migkit.engine.differences`);
    * a window ends with the mean of the two multiples of ``flush_pages``;
    * what windows spare a stop-copy is counted once, at its end (``spared_s``);
    * path, hosts and processors have a pace, without spread, and so have the guest's writes: chance is which pages
      they hit;
    * rounds that are jumped over are as the mean of those before (:mod:`migkit.simulator.alike_rounds`).

What bounds the work
    A page is drawn a few times between two syncs whatever the rate (:mod:`migkit.simulator.guest`), and
    rounds that are alike are not repeated. A run that comes to no end even so is given up and is said
    not to converge: ``gave_up`` of the result says why.

The sender, as in QEMU
    * in address order from the scan pointer, which goes on after a sync in mid-pass and wraps;
    * until the window's quota is exceeded (``max bandwidth x window``), in a burst at the path's
      speed, then it waits for the end of the window. It ends with
      a multiple of ``flush_pages``: QEMU counts what its stream has flushed, in later versions 32 pages at once;
    * where the quota does not bind, until ``poll_s`` is over; then it looks at the rule again;
    * the bandwidth that the policy sees is that of the last complete window: bytes over true length;
    * a page takes ``max(wire bytes / speed, processor time)``; one that holds only zeros when it is sent
      takes ``zero_wire_bytes``;
    * after the stop: one more sync, then everything at the path's speed, without the cap.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import slices
from migkit.engine.records import SETTLED, PackedScenario, Result
from migkit.jit import clear, jit, lean
from migkit.policies import decision
from migkit.policies.record import Parameters, State
from migkit.simulator import alike_rounds, film, postcopy, sender, weave
from migkit.simulator import guest as guest_pages
from migkit.simulator import steps as time_steps
from migkit.simulator.records import Film, Room, Sending

__all__ = ["pages_one"]

PAGE: Final = 4096.0


@jit
def pages_one(
    scenario: PackedScenario,
    classes: Any,
    steps: np.ndarray,
    parameters: Parameters,
    room: Room,
    shots: Film,
    pages: np.ndarray,
    rng: np.random.Generator,
    result: Result,
    rounds: Any,
    line: Any,
    rule: Any,
) -> None:
    """Simulate one migration.

    Parameters
    ----------
    scenario, classes, steps, parameters
        The packed scenario (:class:`migkit.engine.packing.Packed`). The run simplifies its steps in place.
    room
        As :func:`migkit.simulator.records.room` makes it.
    shots
        Receives frames while there is room; by default of :func:`migkit.simulator.records.new_film`, none.
    pages
        One uint16 for each page of the guest; overwritten.
    rng
        Where every choice of a page comes from.
    result
        Receives what came of it.
    rounds, line
        Receive rows while there is room; may be empty.
    rule
        A registered policy's function, or None.
    """
    clear(result)
    send, guest, state = room.send, room.guest, room.state
    guest_pages.lay_out(scenario, classes, pages, guest, rng)
    time_steps.simplify(scenario, steps, guest)
    sender.begin(scenario, steps, send, pages.size)
    order = weave.order(scenario, guest, pages.size, rng)
    guest.until_s = send.now_s
    state.guest_bytes = pages.size * PAGE
    state.storage_bytes = scenario.storage_bytes
    counted_s = send.now_s
    action = decision.SYNC
    while True:
        sender.point(send, line)
        if action == decision.SYNC:
            _sync(scenario, steps, pages, order, room, shots, rounds, rng, False)
            event = decision.SYNCED
        elif action == decision.CONTINUE:
            event = sender.send_window(scenario, steps, pages, order, room, shots, rng)
        else:
            break
        if parameters.throttle_rule == decision.DIRTY_LIMIT and send.now_s >= counted_s + 1.0:
            guest_pages.write(scenario, steps, pages, room.counted, guest, send.now_s, rng)
            state.dirty_pages_per_s = guest.recent_pages / (send.now_s - counted_s)
            guest_pages.forget_touched(scenario, pages, room.counted, guest, rng)
            counted_s = send.now_s
        action = _ask(event, parameters, send, state, rule)
        if state.throttle != guest.throttle:
            guest_pages.write(scenario, steps, pages, room.counted, guest, send.now_s, rng)
            guest.throttle = state.throttle
        if event == decision.SYNCED and action == decision.CONTINUE:
            before_s = send.now_s
            action = alike_rounds.after_sync(scenario, steps, parameters, room, rule)
            counted_s += send.now_s - before_s
        elif event == decision.EMPTY and action == decision.CONTINUE:
            action = decision.SYNC
        result.gave_up = alike_rounds.gave_up(action, room, pages.size)
        if result.gave_up > 0.0:
            action = SETTLED
    _finish(action, scenario, steps, parameters, pages, order, room, shots, result, rounds, line, rng)
    sender.point(send, line)
    film.take(pages, order, shots, send.now_s, state.iteration)
    result.rounds = send.rounds
    result.points = send.points


@lean
def _sync(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    shots: Film,
    rounds: Any,
    rng: np.random.Generator,
    stopping: bool,
) -> None:
    """Read the bitmap, and write the readings that only a sync changes; a guest that is stopped does not sleep on."""
    send, guest, state = room.send, room.guest, room.state
    began_s = send.now_s
    if scenario.sync_awaits > 0.0 and not stopping:
        slice_s = scenario.throttle_slice_s
        send.now_s = slices.awake_s(slice_s, guest.slices, guest.throttle, guest.until_s, began_s)
    guest_pages.write(scenario, steps, pages, room.counted, guest, send.now_s, rng)
    marked = float(pages.size)
    if state.iteration > 0.0:
        marked = float(guest_pages.read_bitmap(scenario, pages, room.counted, guest, rng))
        send.left_pages += marked
    send.marked_pages += marked
    _row(scenario, send, state, marked, began_s, rounds)
    state.round_sent_bytes = send.sent_bytes - send.synced_bytes
    state.iteration += 1.0
    send.syncs = state.iteration
    film.take(pages, order, shots, send.now_s, state.iteration)
    state.dirtied_pages = marked
    send.now_s += scenario.sync_s
    sender.new_check(scenario, send)


@jit
def _ask(event: int, parameters: Parameters, send: Sending, state: State, rule: Any) -> int:
    """Write the readings and return the policy's action."""
    state.now_s = send.now_s
    state.event = event
    state.remaining_bytes = send.left_pages * PAGE
    state.sent_bytes = send.sent_bytes
    state.sent_pages = send.normal_pages + send.zero_pages
    if event != decision.SYNCED:
        state.round_sent_bytes = send.sent_bytes - send.synced_bytes
    action = decision.decide(state, parameters, rule)
    if event == decision.SYNCED:
        send.synced_bytes = send.sent_bytes
        state.round_start_s = send.now_s
    return int(action)


@jit
def _finish(
    action: int,
    scenario: PackedScenario,
    steps: np.ndarray,
    parameters: Parameters,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    shots: Film,
    result: Result,
    rounds: Any,
    line: Any,
    rng: np.random.Generator,
) -> None:
    """Stop the guest, sync, send or push the rest, resume it; or leave it where it is."""
    send, guest, state = room.send, room.guest, room.state
    result.action = action
    result.switchover_pages = send.left_pages
    if action == decision.TIME_OUT:
        send.now_s = min(send.now_s, parameters.time_limit_s)
    moves = action in (decision.SWITCHOVER, decision.POSTCOPY)
    if moves:
        send.now_s += scenario.quiesce_s
        send.stopped_s = send.now_s
        _sync(scenario, steps, pages, order, room, shots, rounds, rng, True)
        send.final_pages = send.left_pages
    guest_pages.write(scenario, steps, pages, room.counted, guest, send.stopped_s if moves else send.now_s, rng)
    if action == decision.SWITCHOVER:
        stopcopy = parameters.strategy == decision.STOPCOPY
        sender.send_all(
            scenario, steps, pages, order, room, shots, scenario.cap_bytes_per_s if stopcopy else np.inf, rng
        )
        send.now_s += scenario.load_s + scenario.resume_s
        send.stopped_s -= scenario.in_flight_s + scenario.translate_s
        result.downtime_s = send.now_s - send.stopped_s
        send.now_s += scenario.release_s
    elif action == decision.POSTCOPY:
        postcopy.push(scenario, steps, pages, order, room, shots, result, line, rng)
    result.total_s = send.now_s
    result.sent_bytes = send.sent_bytes
    result.iterations = state.iteration
    result.final_pages = send.final_pages
    result.normal_pages = send.normal_pages
    result.zero_pages = send.zero_pages
    result.difference_pages = send.difference_pages
    result.saved_bytes = send.saved_bytes
    result.marked_pages = send.marked_pages
    result.left_pages = send.left_pages
    result.lost_s = guest.lost_s
    result.degraded_s = guest.degraded_s + result.exposure_s
    result.stop_s = send.stopped_s


@lean
def _row(scenario: PackedScenario, send: Sending, state: State, marked: float, began_s: float, rounds: Any) -> None:
    """Write a row of the table of rounds, as the expected-value engine does."""
    if send.rounds >= len(rounds):
        return
    at = rounds[int(send.rounds)]
    at.start_s, at.sync_s = began_s, send.now_s - began_s + scenario.sync_s
    at.marked_pages, at.left_pages = marked, send.left_pages
    at.sent_bytes, at.normal_pages, at.zero_pages = send.sent_bytes, send.normal_pages, send.zero_pages
    at.throttle = state.throttle
    send.rounds += 1.0
