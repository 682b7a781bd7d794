"""The sender of the page-level simulator: scan pointer, rate windows, bursts, time on the path."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import differences, sender
from migkit.engine.layout import (
    DEVICE_BYTES,
    GOODPUT,
    LEAD_S,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    POLL_S,
    SETUP_S,
    WINDOW_EXTRA_S,
    WINDOW_S,
    XBZRLE_CPU_S,
    ZERO_CPU_S,
    ZERO_WIRE_BYTES,
)
from migkit.jit import lean
from migkit.policies import decision
from migkit.policies.record import State
from migkit.simulator import guest as guest_pages
from migkit.simulator import steps, weave
from migkit.simulator.guest import BLANK, DIRTY, JUST_SENT, MARK_S, ONE_WRITE, PENDING, SLICE_S

__all__ = ["SEND_SLOTS", "begin", "end_window", "next_page", "point", "send_all", "send_page", "send_window", "step"]

# Slots of the sender's scalars
T: Final = 0  # now [s]
LEFT: Final = 1  # pending pages
POINTER: Final = 2  # the address at which the scan goes on [pages]
BYTES: Final = 3  # on the wire so far
NORMAL: Final = 4  # pages sent in full so far
ZERO: Final = 5  # zero pages sent so far
WINDOW_START: Final = 6
WINDOW_BYTES: Final = 7
CHECK: Final = 8  # when the sender looks at the rule next, if the quota does not bind
SPEED: Final = 9  # of the path at present [B/s]
CHANGE: Final = 10  # when that ends [s]
SYNC_BYTES: Final = 11  # sent by the last sync
MARKED: Final = 12  # by all syncs
ROW: Final = 13
POINT: Final = 14
FRAME: Final = 15
STOPPED_S: Final = 16  # when the guest stopped
FINAL: Final = 17  # pages pending after the last sync
SYNCS: Final = 18  # so far; differences are sent from the second one on, 0: not any more
DIFFERENCES: Final = 19  # sent so far
SAVED: Final = 20  # what they were shorter than full pages [B]
SEND_SLOTS: Final = 24  # then, for each slot of the cache, its page + 1 and the sync after which that was sent last

FIRST_REMEMBERED: Final = 2.0  # the sync after which pages are remembered
LIFETIME_SYNCS: Final = 2.0  # for which a page keeps its slot (QEMU page_cache.c)

PAGE: Final = 4096.0
LOWEST: Final = 1e-3  # speed of a path in an outage [B/s]
SLACK_S: Final = 1e-9  # two moments nearer than this are one
SLACK_BYTES: Final = 1e-3


@lean
def begin(record: np.ndarray, sums: np.ndarray, send: np.ndarray, pages: int) -> None:
    """Set the sender before the first sync."""
    send[:] = 0.0
    send[LEFT] = pages
    send[T] = record[SETUP_S] + record[LEAD_S]
    send[WINDOW_START] = record[LEAD_S]
    follow_link(record, sums, send)
    new_check(record, send)


@lean
def follow_link(record: np.ndarray, sums: np.ndarray, send: np.ndarray) -> None:
    """Set the path's speed now, and when it changes next."""
    share, send[CHANGE] = steps.share_of_link(record, sums, send[T])
    send[SPEED] = record[GOODPUT]
    if send[CHANGE] < np.inf:
        send[SPEED] = max(LOWEST, record[GOODPUT] * share) if share > 0.0 else LOWEST


@lean
def new_check(record: np.ndarray, send: np.ndarray) -> None:
    """Look at the rule again after POLL_S."""
    send[CHECK] = send[T] + record[POLL_S]


@lean
def next_page(pages: np.ndarray, order: np.ndarray, send: np.ndarray) -> int:
    """Move the scan pointer on to the next pending page, around the end if need be, and return that page."""
    at = int(send[POINTER])
    for i in range(at, at + pages.size):
        address = i if i < pages.size else i - pages.size
        page = weave.page_at(order, address)
        if pages[page] & PENDING:
            send[POINTER] = address
            return page
    return -1


@lean
def step(pages: np.ndarray, send: np.ndarray) -> None:
    """Move the scan pointer behind the page that it has come to."""
    send[POINTER] = (send[POINTER] + 1.0) % pages.size


@lean
def send_page(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    page: int,
    cap: float,
    zero_cpu_s: float,
    rng: np.random.Generator,
) -> None:
    """Put one page on the wire; a change of the path's speed in mid-page counts."""
    guest_pages.catch_up(record, pages, guest, page, rng)
    blank = pages[page] & BLANK
    wire_bytes = record[ZERO_WIRE_BYTES] if blank else record[PAGE_WIRE_BYTES]
    cpu_s = zero_cpu_s if blank else record[PAGE_CPU_S]
    if send[SYNCS] >= FIRST_REMEMBERED and not blank and is_remembered(send, page):
        wire_bytes = differences.hit_bytes(record, guest_pages.class_of(record, page), pages[page] // ONE_WRITE)
        cpu_s += record[XBZRLE_CPU_S]
        send[DIFFERENCES] += 1.0
        send[SAVED] += record[PAGE_WIRE_BYTES] - wire_bytes
    pages[page] &= JUST_SENT
    send[LEFT] -= 1.0
    send[BYTES] += wire_bytes
    send[WINDOW_BYTES] += wire_bytes
    send[ZERO if blank else NORMAL] += 1.0
    spend(record, sums, send, wire_bytes, cpu_s, cap)


@lean
def is_remembered(send: np.ndarray, page: int) -> bool:
    """Return whether the cache holds what was sent of a page; if there is room, it does from now on."""
    slots = (send.size - SEND_SLOTS) // 2
    if slots == 0:
        return False
    at = SEND_SLOTS + 2 * (page % slots)
    hit = send[at] == page + 1.0
    if hit or send[at] == 0.0 or send[at + 1] + LIFETIME_SYNCS <= send[SYNCS]:
        send[at] = page + 1.0
        send[at + 1] = send[SYNCS]
    return bool(hit)


@lean
def spend(
    record: np.ndarray, sums: np.ndarray, send: np.ndarray, wire_bytes: float, cpu_s: float, cap: float
) -> None:
    """Let the time pass that ``wire_bytes`` take on the path, or the processor with them."""
    end_s = send[T] + cpu_s
    while send[T] + wire_bytes / min(send[SPEED], cap) > send[CHANGE]:
        wire_bytes -= (send[CHANGE] - send[T]) * min(send[SPEED], cap)
        send[T] = send[CHANGE]
        follow_link(record, sums, send)
    send[T] = max(end_s, send[T] + wire_bytes / min(send[SPEED], cap))
    if send[T] >= send[CHANGE]:
        follow_link(record, sums, send)


@lean
def send_window(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    state: State,
    guest: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Send until the policy is to be asked; return the event.

    The guest's writes are made up to the present once every SLICE_S; their order beside the pages that go in
    between is not resolved finer than that. A window sends a page at least, and so does a poll: however short
    they are, the migration gets on.
    """
    if send[LEFT] <= 0.0:
        end_window(record, send, state)
        return decision.EMPTY
    guest_pages.write(record, sums, pages, guest, send[T], rng)
    full_bytes = sender.quota(record, record[PAGE_WIRE_BYTES]) * record[PAGE_WIRE_BYTES]
    zero_bytes = sender.quota(record, record[ZERO_WIRE_BYTES]) * record[ZERO_WIRE_BYTES]
    sent = False
    while send[LEFT] > 0.0:
        page = next_page(pages, order, send)
        quota_bytes = zero_bytes if pages[page] & BLANK else full_bytes
        if send[WINDOW_BYTES] > 0.0 and send[WINDOW_BYTES] >= quota_bytes - SLACK_BYTES:
            end_window(record, send, state)
            return decision.WINDOW
        if sent and send[T] >= send[CHECK] - SLACK_S:
            if send[T] >= send[WINDOW_START] + record[WINDOW_S] - SLACK_S:
                end_window(record, send, state)
            else:
                new_check(record, send)
            return decision.WINDOW
        if send[T] >= guest[MARK_S] + SLICE_S:
            guest_pages.write(record, sums, pages, guest, send[T], rng)
        send_page(record, sums, pages, send, guest, page, np.inf, record[ZERO_CPU_S], rng)
        step(pages, send)
        sent = True
    return decision.EMPTY


@lean
def end_window(record: np.ndarray, send: np.ndarray, state: State) -> None:
    """Wait for the end of the window and measure its bandwidth."""
    end_s = max(send[T], send[WINDOW_START] + record[WINDOW_S] + record[WINDOW_EXTRA_S])
    if end_s > send[WINDOW_START]:
        state.bandwidth_bytes_per_s = send[WINDOW_BYTES] / (end_s - send[WINDOW_START])
    send[T] = send[WINDOW_START] = end_s
    send[WINDOW_BYTES] = 0.0
    new_check(record, send)


@lean
def send_all(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    cap: float,
    rng: np.random.Generator,
) -> None:
    """Send everything that is pending, then the state of devices."""
    first_byte, early_s = send[BYTES], send[T] - send[WINDOW_START]
    while send[LEFT] > 0.0:
        page = next_page(pages, order, send)
        send_page(record, sums, pages, send, guest, page, cap, record[ZERO_CPU_S], rng)
        step(pages, send)
    send[T] -= sender.spared_s(record, cap, send[SPEED], send[BYTES] - first_byte, early_s)
    spend(record, sums, send, record[DEVICE_BYTES], 0.0, np.inf)
    send[BYTES] += record[DEVICE_BYTES]


@lean
def point(send: np.ndarray, line: Any) -> None:
    """Write the present state as a row of the time line."""
    if send[POINT] >= len(line):
        return
    at = line[int(send[POINT])]
    at.t_s, at.remaining_bytes, at.sent_bytes = send[T], send[LEFT] * PAGE, send[BYTES]
    send[POINT] += 1.0


@lean
def frame(
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    times: np.ndarray,
    pending: np.ndarray,
    dirty: np.ndarray,
) -> None:
    """Write the bitmaps as a frame: for each of the frame's bins the shares of pages pending and dirty."""
    number = int(send[FRAME])
    if number >= times.size:
        return
    bins = pending.size // times.size
    times[number] = send[T]
    for b in range(bins):
        first = pages.size * b // bins
        end = max(first + 1, pages.size * (b + 1) // bins)
        waiting = 0
        written = 0
        for i in range(first, end):
            page = weave.page_at(order, i)
            waiting += (pages[page] & PENDING) != 0
            written += (pages[page] & DIRTY) != 0
        pending[number * bins + b] = waiting / (end - first)
        dirty[number * bins + b] = written / (end - first)
    send[FRAME] += 1.0
