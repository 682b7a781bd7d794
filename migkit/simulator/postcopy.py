"""Post-copy page by page: the background push in address order against a virtual processor that faults.

Accesses (reads and writes) come as a Poisson stream in the guest's running time. One that
finds its page missing stops the guest for ``RTT + service + page time``; the page and the
next ``prefetch_pages`` missing ones behind it are sent out of order, which the push waits for. No
page is sent twice. Under a cap the push waits when the quota of its window is used up; demanded pages do not.
Where they share the connection with the push, ``queue_bytes`` of it are ahead of them. With ``demands_wait`` 1 a
demanded page comes behind the quota of the present window; with 2 it comes in that window, or with the next one if
the push waits. With ``push_follows`` the push goes on behind the page that was demanded. Where the cap is not kept to
the end, what is pending goes without it once it is less than ``rest_s`` times what was sent a second in the last
window. A guest with capacity to spare makes up for the time in which it waited.

Accesses to pages that are there change nothing and are not made. Random ones at rate ``a`` find one of ``m``
missing pages of ``W`` at rate ``a m / W``, all with equal odds; a sweep comes to its next missing page, ``d``
accesses ahead, after a time of the Gamma distribution. What is missing changes only where something is sent, so
that the work is bounded by the pages, whatever the rate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from migkit.engine.postcopy import device_s
from migkit.engine.records import PackedScenario, Result
from migkit.engine.run_state import PAGE
from migkit.jit import jit, lean
from migkit.simulator import film, sender, weave
from migkit.simulator import guest as guest_pages
from migkit.simulator import steps as time_steps
from migkit.simulator.guest import PENDING, is_sweep, region
from migkit.simulator.records import Film, Guest, Room, Sending, Writer
from migkit.simulator.sender import SLACK_S

__all__ = ["push"]


@jit
def push(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    shots: Film,
    result: Result,
    line: Any,
    rng: np.random.Generator,
) -> None:
    """Resume the guest at the destination and bring what is pending."""
    send, guest = room.send, room.guest
    send.syncs = 0.0  # from now on pages are sent in full
    send.now_s += scenario.load_s + scenario.resume_s + scenario.register_per_page_s * send.left_pages
    send.now_s += scenario.discard_run_s * _runs(pages, order) + device_s(scenario)
    send.sent_bytes += scenario.device_bytes
    result.downtime_s = send.now_s - send.stopped_s + scenario.translate_s
    sender.point(send, line)
    start_s = guest_s = send.window_start_s = send.now_s
    send.window_bytes = 0.0
    if scenario.push_restarts > 0.0:
        send.pointer = 0.0
    send.rest_pages, send.began_bytes, send.behind_demand = scenario.rest_bytes / PAGE, send.sent_bytes, -1.0
    place = weave.addresses(order)
    _begin(scenario, pages, guest, rng)
    blocked_s = behind_s = 0.0  # behind: what the guest has still to make up for
    fast = _catches_up(scenario, guest)
    waits = scenario.demands_wait > 0.0 and scenario.postcopy_cap_bytes_per_s < scenario.postcopy_goodput_bytes_per_s
    while send.left_pages > 0.0:
        if send.now_s >= shots.shutter.due_s:
            film.take(pages, order, shots, send.now_s, room.state.iteration)
        until_s = send.now_s
        if guest_s >= until_s:
            if not _held_back(scenario, send):
                _push_next(scenario, steps, pages, order, room, rng)
                if send.left_pages % 256.0 == 0.0:
                    sender.point(send, line)
                continue
            until_s = send.window_start_s + scenario.window_s + scenario.window_extra_s
        page = -1
        if guest_s < until_s:
            pace, end_s = 1.0, until_s
            if fast > 1.0 and behind_s > SLACK_S:
                pace, end_s = fast, min(until_s, guest_s + behind_s / (fast - 1.0))
            before_s = guest_s
            guest_s, page = _run(scenario, steps, pages, guest, guest_s, end_s, pace, rng)
            behind_s -= (pace - 1.0) * (guest_s - before_s)
        send.now_s = max(send.now_s, min(until_s, guest_s))
        if page >= 0:
            wait_s = scenario.rtt_s + scenario.fault_service_s
            if waits and send.rest_pages < np.inf:
                before_s = send.now_s
                _await_window(scenario, steps, pages, order, room, page, rng)
                wait_s += send.now_s - before_s
            wait_s += _fetch(scenario, steps, pages, order, place, room, page, rng)
            result.faults += 1.0
            if shots.demanded.size > 0:
                shots.demanded[page] = 1
            blocked_s += wait_s
            behind_s += wait_s
            guest_s += wait_s
    result.exposure_s = send.now_s - start_s
    result.blocktime_s = min(blocked_s, send.now_s - start_s)
    guest.lost_s += min(behind_s, send.now_s - start_s)


@lean
def _catches_up(scenario: PackedScenario, guest: Guest) -> float:
    """Return how many times as fast as it asks for a guest writes that has fallen behind."""
    demand = 0.0
    for c in range(int(scenario.class_count)):
        demand += guest.writers[c].writes_per_s
    return max(1.0, scenario.capacity_writes_per_s / demand) if demand > 0.0 else 1.0


@lean
def _begin(scenario: PackedScenario, pages: np.ndarray, guest: Guest, rng: np.random.Generator) -> None:
    """Count what is missing, and draw when each class comes to the first of it."""
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        first, size = region(one)
        for i in range(first, first + size):
            one.missing_pages += pages[i] & PENDING
        _draw(pages, one, int(one.cursor_pages), rng)


@lean
def _draw(pages: np.ndarray, one: Writer, at: int, rng: np.random.Generator) -> None:
    """Draw how many more accesses of a class come before one to a missing page; a sweep's from page ``at`` on."""
    if one.missing_pages <= 0.0:
        return
    if not is_sweep(one):
        one.accesses_due = -math.log(1.0 - rng.random())
        return
    first, size = region(one)
    number = 1.0
    while not pages[first + at] & PENDING:
        at = at + 1 if at + 1 < size else 0
        number += 1.0
    one.accesses_due += rng.standard_gamma(number)
    one.missing_page = at


@lean
def _run(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    guest: Guest,
    from_s: float,
    until_s: float,
    pace: float,
    rng: np.random.Generator,
) -> tuple[float, int]:
    """Let the guest run at a pace until it faults; return when and on which page, or ``until_s`` and -1."""
    end_s = until_s
    faulting = -1
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        if one.missing_pages > 0.0:
            _look_ahead(pages, one, rng)
            due_s = _due_s(steps, one, from_s, end_s, pace)
            if due_s < end_s:
                end_s, faulting = due_s, c
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        if one.missing_pages > 0.0:
            one.accesses_due -= pace * _accesses(steps, one, from_s, end_s)
    if faulting < 0:
        return until_s, -1
    one = guest.writers[faulting]
    one.accesses_due = 0.0
    first, size = region(one)
    if is_sweep(one):
        return end_s, first + int(one.missing_page)
    _draw(pages, one, 0, rng)
    page = first + int(rng.random() * size)
    while not pages[page] & PENDING:
        page = first + int(rng.random() * size)
    return end_s, page


@lean
def _look_ahead(pages: np.ndarray, one: Writer, rng: np.random.Generator) -> None:
    """Let a sweep make for the next missing page if the one that it made for has come."""
    if is_sweep(one):
        first, size = region(one)
        at = int(one.missing_page)
        if not pages[first + at] & PENDING:
            _draw(pages, one, at + 1 if at + 1 < size else 0, rng)


@lean
def _rate(one: Writer) -> float:
    """Return how many accesses of a class a second count at intensity 1."""
    rate = one.writes_per_s + one.reads_per_s
    if one.writes >= one.most_writes:  # a growth that has ended
        return 0.0
    return float(rate if is_sweep(one) else rate * one.missing_pages / one.pages)


@lean
def _accesses(steps: np.ndarray, one: Writer, from_s: float, to_s: float) -> float:
    """Return how many accesses of a class that count fall into a span."""
    active = to_s - from_s
    if one.phase_count > 0.0:
        active = time_steps.active_s(steps, one, to_s) - time_steps.active_s(steps, one, from_s)
    return _rate(one) * active


@lean
def _due_s(steps: np.ndarray, one: Writer, from_s: float, end_s: float, pace: float) -> float:
    """Return when a class comes to a missing page at this pace; infinite if not before ``end_s``."""
    due = one.accesses_due / pace
    if _accesses(steps, one, from_s, end_s) <= due:
        return np.inf
    active = time_steps.active_s(steps, one, from_s) + due / _rate(one)
    return max(from_s, time_steps.when_active_s(steps, one, active))


@lean
def _runs(pages: np.ndarray, order: np.ndarray) -> int:
    """Return how many runs of pages are pending."""
    runs = 0
    before = 0
    for i in range(pages.size):
        pending = pages[weave.page_at(order, i)] & PENDING
        if pending and not before:
            runs += 1
        before = pending
    return runs


@lean
def _held_back(scenario: PackedScenario, send: Sending) -> bool:
    """Begin a new window when its time has come; say whether the quota of the present one is used up.

    At its end a window says how fast the push is, and so whether what is pending goes without the cap.
    """
    window_s = scenario.window_s + scenario.window_extra_s
    windows = np.floor((send.now_s - send.window_start_s + SLACK_S) / window_s)
    if windows > 0.0:
        send.window_start_s += windows * window_s
        send.window_bytes = 0.0
        if scenario.rest_s > 0.0 and send.rest_pages < np.inf:
            send.rest_pages = scenario.rest_s * (send.sent_bytes - send.began_bytes) / (windows * window_s) / PAGE
        send.began_bytes = send.sent_bytes
        if send.left_pages < send.rest_pages:
            send.rest_pages = np.inf
    if send.rest_pages == np.inf:
        return False
    used = send.window_bytes > 0.0 and send.window_bytes >= scenario.postcopy_cap_bytes_per_s * scenario.window_s
    return bool(used and send.window_start_s + window_s > send.now_s)


@lean
def _send_page(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    room: Room,
    page: int,
    rng: np.random.Generator,
) -> None:
    if page < room.guest.region_pages:
        guest_pages.class_of(scenario, room.guest, page).missing_pages -= 1.0
    cap, zero_cpu_s = scenario.postcopy_goodput_bytes_per_s, scenario.postcopy_zero_cpu_s
    sender.send_page(scenario, steps, pages, room, page, cap, zero_cpu_s, rng)


@lean
def _push_next(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    rng: np.random.Generator,
) -> None:
    if room.send.behind_demand >= 0.0:
        room.send.pointer, room.send.behind_demand = room.send.behind_demand, -1.0
    page = sender.next_page(pages, order, room.send)
    _send_page(scenario, steps, pages, room, page, rng)
    sender.step(pages, room.send)


@lean
def _await_window(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    page: int,
    rng: np.random.Generator,
) -> None:
    """Let the push use up its quota unless the demanded page comes before; or if it waits, begin its next window.

    A sender that a demand wakes looks whether what is pending goes without the cap.
    """
    send = room.send
    if scenario.demands_wait < 2.0:
        while pages[page] & PENDING and not _held_back(scenario, send):
            _push_next(scenario, steps, pages, order, room, rng)
        return
    if not _held_back(scenario, send):
        return
    if send.left_pages < send.rest_pages:
        send.rest_pages = np.inf
    elif pages[page] & PENDING:
        send.now_s = send.window_start_s + scenario.window_s + scenario.window_extra_s
        _held_back(scenario, send)


@lean
def _fetch(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    room: Room,
    page: int,
    rng: np.random.Generator,
) -> float:
    """Send a demanded page behind what is on its way, then its neighbours; return how long the first took [s]."""
    send = room.send
    before_s = send.now_s
    address = weave.page_at(place, page)
    if scenario.push_follows > 0.0 and send.behind_demand < 0.0:
        send.behind_demand = (address + 1.0) % pages.size
    ahead_s = 0.0
    queue_end = send.sent_bytes + scenario.queue_bytes
    if scenario.demands_wait == 2.0:  # it goes at once, and comes behind what this window sent before
        ahead_s = min(scenario.queue_bytes, send.window_bytes) / scenario.postcopy_goodput_bytes_per_s
        queue_end = send.sent_bytes
    while pages[page] & PENDING and send.sent_bytes < queue_end and not _held_back(scenario, send):
        _push_next(scenario, steps, pages, order, room, rng)
    if pages[page] & PENDING:
        _send_page(scenario, steps, pages, room, page, rng)
    took_s = ahead_s + send.now_s - before_s
    more = int(min(scenario.prefetch_pages, pages.size))
    for i in range(address + 1, min(address + 1 + more, pages.size)):
        near = weave.page_at(order, i)
        if pages[near] & PENDING:
            _send_page(scenario, steps, pages, room, near, rng)
    return float(took_s)
