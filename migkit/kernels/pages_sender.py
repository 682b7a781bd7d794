"""The sender of the page-level simulator: scan pointer, rate windows, bursts, time on the path."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.kernels import differences, pages_guest, policy, precopy_sender
from migkit.kernels._jit import jit
from migkit.kernels.layout import (
    DEVICE_BYTES,
    GOODPUT,
    LEAD_S,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    POINT_SLOTS,
    POLL_S,
    SETUP_S,
    STEP_COUNT,
    STEP_FIRST,
    WINDOW_EXTRA_S,
    WINDOW_S,
    XBZRLE_CPU_S,
    ZERO_CPU_S,
    ZERO_WIRE_BYTES,
)
from migkit.kernels.pages_guest import BLANK, DIRTY, JUST_SENT, MARK_S, ONE_WRITE, PENDING, SLICE_S

__all__ = ["SEND_SLOTS", "begin", "end_window", "next_page", "point", "send_all", "send_page", "send_window"]

# Slots of the sender's scalars
T: Final = 0  # now [s]
LEFT: Final = 1  # pending pages
POINTER: Final = 2  # the page at which the scan goes on
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


@jit
def begin(record: np.ndarray, steps: np.ndarray, send: np.ndarray, pages: int) -> None:
    """Set the sender before the first sync."""
    send[:] = 0.0
    send[LEFT] = pages
    send[T] = record[SETUP_S] + record[LEAD_S]
    send[WINDOW_START] = record[LEAD_S]
    follow_link(record, steps, send)
    new_check(record, send)


@jit
def follow_link(record: np.ndarray, steps: np.ndarray, send: np.ndarray) -> None:
    """Set the path's speed now, and when it changes next."""
    send[SPEED] = record[GOODPUT]
    send[CHANGE] = np.inf
    first = int(record[STEP_FIRST])
    end_s = 0.0
    for i in range(first, first + int(record[STEP_COUNT])):
        end_s += steps[2 * i]
        if send[T] < end_s - SLACK_S:
            send[SPEED] = max(LOWEST, record[GOODPUT] * steps[2 * i + 1])
            send[CHANGE] = end_s
            return


@jit
def new_check(record: np.ndarray, send: np.ndarray) -> None:
    """Look at the rule again after POLL_S."""
    send[CHECK] = send[T] + record[POLL_S]


@jit
def next_page(pages: np.ndarray, send: np.ndarray) -> int:
    """Move the scan pointer on to the next pending page, around the end if need be, and return it."""
    at = int(send[POINTER])
    for i in range(at, pages.size):
        if pages[i] & PENDING:
            return i
    for i in range(at):
        if pages[i] & PENDING:
            return i
    return -1


@jit
def send_page(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    page: int,
    cap: float,
    zero_cpu_s: float,
) -> None:
    """Put one page on the wire; a change of the path's speed in mid-page counts."""
    blank = pages[page] & BLANK
    wire_bytes = record[ZERO_WIRE_BYTES] if blank else record[PAGE_WIRE_BYTES]
    cpu_s = zero_cpu_s if blank else record[PAGE_CPU_S]
    if send[SYNCS] >= FIRST_REMEMBERED and not blank and is_remembered(send, page):
        wire_bytes = differences.hit_bytes(record, pages_guest.class_of(record, page), pages[page] // ONE_WRITE)
        cpu_s += record[XBZRLE_CPU_S]
        send[DIFFERENCES] += 1.0
        send[SAVED] += record[PAGE_WIRE_BYTES] - wire_bytes
    pages[page] &= JUST_SENT
    send[LEFT] -= 1.0
    send[BYTES] += wire_bytes
    send[WINDOW_BYTES] += wire_bytes
    send[ZERO if blank else NORMAL] += 1.0
    spend(record, steps, send, wire_bytes, cpu_s, cap)


@jit
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


@jit
def spend(
    record: np.ndarray, steps: np.ndarray, send: np.ndarray, wire_bytes: float, cpu_s: float, cap: float
) -> None:
    """Let the time pass that ``wire_bytes`` take on the path, or the processor with them."""
    end_s = send[T] + cpu_s
    while send[T] + wire_bytes / min(send[SPEED], cap) > send[CHANGE]:
        wire_bytes -= (send[CHANGE] - send[T]) * min(send[SPEED], cap)
        send[T] = send[CHANGE]
        follow_link(record, steps, send)
    send[T] = max(end_s, send[T] + wire_bytes / min(send[SPEED], cap))
    if send[T] >= send[CHANGE]:
        follow_link(record, steps, send)


@jit
def send_window(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    state: np.ndarray,
    guest: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """Send until the policy is to be asked; return the event.

    The guest's writes are made up to the present once every SLICE_S; their order beside the pages that go in
    between is not resolved finer than that.
    """
    if send[LEFT] <= 0.0:
        end_window(record, send, state)
        return policy.EMPTY
    pages_guest.write(record, steps, pages, guest, send[T], rng)
    full_bytes = precopy_sender.quota(record, record[PAGE_WIRE_BYTES]) * record[PAGE_WIRE_BYTES]
    zero_bytes = precopy_sender.quota(record, record[ZERO_WIRE_BYTES]) * record[ZERO_WIRE_BYTES]
    while send[LEFT] > 0.0:
        page = next_page(pages, send)
        if send[WINDOW_BYTES] >= (zero_bytes if pages[page] & BLANK else full_bytes) - SLACK_BYTES:
            end_window(record, send, state)
            return policy.WINDOW
        if send[T] >= send[CHECK] - SLACK_S:
            if send[T] >= send[WINDOW_START] + record[WINDOW_S] - SLACK_S:
                end_window(record, send, state)
            else:
                new_check(record, send)
            return policy.WINDOW
        if send[T] >= guest[MARK_S] + SLICE_S:
            pages_guest.write(record, steps, pages, guest, send[T], rng)
        send_page(record, steps, pages, send, page, np.inf, record[ZERO_CPU_S])
        send[POINTER] = (page + 1) % pages.size
    return policy.EMPTY


@jit
def end_window(record: np.ndarray, send: np.ndarray, state: np.ndarray) -> None:
    """Wait for the end of the window and measure its bandwidth."""
    end_s = max(send[T], send[WINDOW_START] + record[WINDOW_S] + record[WINDOW_EXTRA_S])
    state[policy.BANDWIDTH] = send[WINDOW_BYTES] / (end_s - send[WINDOW_START])
    send[T] = send[WINDOW_START] = end_s
    send[WINDOW_BYTES] = 0.0
    new_check(record, send)


@jit
def send_all(record: np.ndarray, steps: np.ndarray, pages: np.ndarray, send: np.ndarray, cap: float) -> None:
    """Send everything that is pending, then the state of devices."""
    first_byte, early_s = send[BYTES], send[T] - send[WINDOW_START]
    while send[LEFT] > 0.0:
        page = next_page(pages, send)
        send_page(record, steps, pages, send, page, cap, record[ZERO_CPU_S])
        send[POINTER] = (page + 1) % pages.size
    send[T] -= precopy_sender.spared_s(record, cap, send[SPEED], send[BYTES] - first_byte, early_s)
    spend(record, steps, send, record[DEVICE_BYTES], 0.0, np.inf)
    send[BYTES] += record[DEVICE_BYTES]


@jit
def point(send: np.ndarray, line: np.ndarray) -> None:
    """Write the present state as a row of the time line."""
    at = int(send[POINT]) * POINT_SLOTS
    if at + POINT_SLOTS > line.size:
        return
    line[at] = send[T]
    line[at + 1] = send[LEFT] * PAGE
    line[at + 2] = send[BYTES]
    send[POINT] += 1.0


@jit
def frame(pages: np.ndarray, send: np.ndarray, times: np.ndarray, pending: np.ndarray, dirty: np.ndarray) -> None:
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
            waiting += (pages[i] & PENDING) != 0
            written += (pages[i] & DIRTY) != 0
        pending[number * bins + b] = waiting / (end - first)
        dirty[number * bins + b] = written / (end - first)
    send[FRAME] += 1.0
