"""The sender of the page-level simulator: scan pointer, rate windows, bursts, time on the path."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import differences, sender
from migkit.engine.records import PackedScenario
from migkit.jit import clear, lean
from migkit.policies import decision
from migkit.policies.record import State
from migkit.simulator import film, weave
from migkit.simulator import guest as guest_pages
from migkit.simulator import steps as time_steps
from migkit.simulator.guest import BLANK, JUST_SENT, ONE_WRITE, PENDING, TURN_S
from migkit.simulator.records import Film, Room, Sending

__all__ = ["begin", "end_window", "next_page", "point", "send_all", "send_page", "send_window", "step"]

FIRST_REMEMBERED: Final = 2.0  # the sync after which pages are remembered
LIFETIME_SYNCS: Final = 2.0  # for which a page keeps its slot (QEMU page_cache.c)

PAGE: Final = 4096.0
LOWEST: Final = 1e-3  # speed of a path in an outage [B/s]
SLACK_S: Final = 1e-9  # two moments nearer than this are one
SLACK_BYTES: Final = 1e-3


@lean
def begin(scenario: PackedScenario, steps: np.ndarray, send: Sending, pages: int) -> None:
    """Set the sender before the first sync."""
    clear(send)
    send.left_pages = pages
    send.now_s = scenario.setup_s + scenario.lead_s
    send.window_start_s = scenario.lead_s
    follow_link(scenario, steps, send)
    new_check(scenario, send)


@lean
def follow_link(scenario: PackedScenario, steps: np.ndarray, send: Sending) -> None:
    """Set the path's speed now, and when it changes next."""
    share, send.change_s = time_steps.share_of_link(scenario, steps, send.now_s)
    send.path_bytes_per_s = scenario.goodput_bytes_per_s
    if send.change_s < np.inf:
        send.path_bytes_per_s = max(LOWEST, scenario.goodput_bytes_per_s * share) if share > 0.0 else LOWEST


@lean
def new_check(scenario: PackedScenario, send: Sending) -> None:
    """Look at the rule again after ``poll_s``."""
    send.check_s = send.now_s + scenario.poll_s


@lean
def next_page(pages: np.ndarray, order: np.ndarray, send: Sending) -> int:
    """Move the scan pointer on to the next pending page, around the end if need be, and return that page."""
    at = int(send.pointer)
    for i in range(at, at + pages.size):
        address = i if i < pages.size else i - pages.size
        page = weave.page_at(order, address)
        if pages[page] & PENDING:
            send.pointer = address
            return page
    return -1


@lean
def step(pages: np.ndarray, send: Sending) -> None:
    """Move the scan pointer behind the page that it has come to."""
    send.pointer = (send.pointer + 1.0) % pages.size


@lean
def send_page(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    room: Room,
    page: int,
    cap: float,
    zero_cpu_s: float,
    rng: np.random.Generator,
) -> None:
    """Put one page on the wire; a change of the path's speed in mid-page counts."""
    send, guest = room.send, room.guest
    guest_pages.catch_up(scenario, pages, room.counted, guest, page, rng)
    blank = pages[page] & BLANK
    wire_bytes = scenario.zero_wire_bytes if blank else scenario.page_wire_bytes
    cpu_s = zero_cpu_s if blank else scenario.page_cpu_s
    if send.syncs >= FIRST_REMEMBERED and not blank and is_remembered(room.cache, page, send.syncs):
        one = guest_pages.class_of(scenario, guest, page)
        wire_bytes = differences.hit_bytes(scenario, one, pages[page] // ONE_WRITE)
        cpu_s += scenario.xbzrle_cpu_s
        send.difference_pages += 1.0
        send.saved_bytes += scenario.page_wire_bytes - wire_bytes
    pages[page] &= JUST_SENT
    send.left_pages -= 1.0
    send.sent_bytes += wire_bytes
    send.window_bytes += wire_bytes
    if blank:
        send.zero_pages += 1.0
    else:
        send.normal_pages += 1.0
    spend(scenario, steps, send, wire_bytes, cpu_s, cap)


@lean
def is_remembered(cache: Any, page: int, syncs: float) -> bool:
    """Return whether the cache holds what was sent of a page; if there is room, it does from now on."""
    if len(cache) == 0:
        return False
    at = cache[page % len(cache)]
    hit = at.holder == page + 1.0
    if hit or at.holder == 0.0 or at.sync + LIFETIME_SYNCS <= syncs:
        at.holder = page + 1.0
        at.sync = syncs
    return bool(hit)


@lean
def spend(
    scenario: PackedScenario, steps: np.ndarray, send: Sending, wire_bytes: float, cpu_s: float, cap: float
) -> None:
    """Let the time pass that ``wire_bytes`` take on the path, or the processor with them."""
    end_s = send.now_s + cpu_s
    while send.now_s + wire_bytes / min(send.path_bytes_per_s, cap) > send.change_s:
        wire_bytes -= (send.change_s - send.now_s) * min(send.path_bytes_per_s, cap)
        send.now_s = send.change_s
        follow_link(scenario, steps, send)
    send.now_s = max(end_s, send.now_s + wire_bytes / min(send.path_bytes_per_s, cap))
    if send.now_s >= send.change_s:
        follow_link(scenario, steps, send)


@lean
def send_window(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    shots: Film,
    rng: np.random.Generator,
) -> int:
    """Send until the policy is to be asked; return the event.

    The guest's writes are made up to the present once every TURN_S; their order beside the pages that go in
    between is not resolved finer than that. A window sends a page at least, and so does a poll: however short
    they are, the migration gets on.
    """
    send, guest, state = room.send, room.guest, room.state
    if send.left_pages <= 0.0:
        end_window(scenario, send, state)
        return decision.EMPTY
    guest_pages.write(scenario, steps, pages, room.counted, guest, send.now_s, rng)
    if send.now_s >= shots.shutter.due_s:
        film.take(pages, order, shots, send.now_s, state.iteration)
    full_bytes = sender.quota(scenario, scenario.page_wire_bytes) * scenario.page_wire_bytes
    zero_bytes = sender.quota(scenario, scenario.zero_wire_bytes) * scenario.zero_wire_bytes
    sent = False
    while send.left_pages > 0.0:
        page = next_page(pages, order, send)
        quota_bytes = zero_bytes if pages[page] & BLANK else full_bytes
        if send.window_bytes > 0.0 and send.window_bytes >= quota_bytes - SLACK_BYTES:
            end_window(scenario, send, state)
            return decision.WINDOW
        if sent and send.now_s >= send.check_s - SLACK_S:
            if send.now_s >= send.window_start_s + scenario.window_s - SLACK_S:
                end_window(scenario, send, state)
            else:
                new_check(scenario, send)
            return decision.WINDOW
        if send.now_s >= guest.until_s + TURN_S:
            guest_pages.write(scenario, steps, pages, room.counted, guest, send.now_s, rng)
            if send.now_s >= shots.shutter.due_s:
                film.take(pages, order, shots, send.now_s, state.iteration)
        send_page(scenario, steps, pages, room, page, np.inf, scenario.zero_cpu_s, rng)
        step(pages, send)
        sent = True
    return decision.EMPTY


@lean
def end_window(scenario: PackedScenario, send: Sending, state: State) -> None:
    """Wait for the end of the window and measure its bandwidth."""
    end_s = max(send.now_s, send.window_start_s + scenario.window_s + scenario.window_extra_s)
    if end_s > send.window_start_s:
        state.bandwidth_bytes_per_s = send.window_bytes / (end_s - send.window_start_s)
    send.now_s = send.window_start_s = end_s
    send.window_bytes = 0.0
    new_check(scenario, send)


@lean
def send_all(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    room: Room,
    shots: Film,
    cap: float,
    rng: np.random.Generator,
) -> None:
    """Send everything that is pending, then the state of devices."""
    send = room.send
    first_byte, early_s = send.sent_bytes, send.now_s - send.window_start_s
    while send.left_pages > 0.0:
        if send.now_s >= shots.shutter.due_s:
            film.take(pages, order, shots, send.now_s, room.state.iteration)
        page = next_page(pages, order, send)
        send_page(scenario, steps, pages, room, page, cap, scenario.zero_cpu_s, rng)
        step(pages, send)
    send.now_s -= sender.spared_s(scenario, cap, send.path_bytes_per_s, send.sent_bytes - first_byte, early_s)
    spend(scenario, steps, send, scenario.device_bytes, 0.0, np.inf)
    send.sent_bytes += scenario.device_bytes


@lean
def point(send: Sending, line: Any) -> None:
    """Write the present state as a row of the time line."""
    if send.points >= len(line):
        return
    at = line[int(send.points)]
    at.t_s, at.remaining_bytes, at.sent_bytes = send.now_s, send.left_pages * PAGE, send.sent_bytes
    send.points += 1.0
