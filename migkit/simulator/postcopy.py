"""Post-copy page by page: the background push in address order against a virtual processor that faults.

Accesses (reads and writes) come as a Poisson stream in the guest's running time. One that
finds its page missing stops the guest for ``RTT + service + page time``; the page and the
next PREFETCH_PAGES missing ones behind it are sent out of order, which the push waits for. No
page is sent twice. Under a cap the push waits when the quota of its window is used up; demanded pages do not.
Where they share the connection with the push, QUEUE_BYTES of it are ahead of them.

Accesses to pages that are there change nothing and are not made. Random ones at rate ``a`` find one of ``m``
missing pages of ``W`` at rate ``a m / W``, all with equal odds; a sweep comes to its next missing page, ``d``
accesses ahead, after a time of the Gamma distribution. What is missing changes only where something is sent, so
that the work is bounded by the pages, whatever the rate.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    DEVICE_BYTES,
    DISCARD_RUN_S,
    FAULT_SERVICE_S,
    LOAD_S,
    POSTCOPY_CAP,
    POSTCOPY_GOODPUT,
    POSTCOPY_ZERO_CPU_S,
    PREFETCH_PAGES,
    QUEUE_BYTES,
    REGISTER_PER_PAGE_S,
    RESUME_S,
    RTT_S,
    WINDOW_EXTRA_S,
    WINDOW_S,
)
from migkit.engine.records import Result
from migkit.jit import jit, lean
from migkit.simulator import guest as guest_pages
from migkit.simulator import sender, steps, weave
from migkit.simulator.guest import CURSOR, HEAD, OWN, PENDING, WRITTEN_PAGES, is_sweep, region
from migkit.simulator.sender import BYTES, LEFT, SLACK_S, STOPPED_S, SYNCS, WINDOW_BYTES, WINDOW_START, T

__all__ = ["push"]

# Slots of a class's accesses
MISSING: Final = 0  # pages of its region
DUE: Final = 1  # accesses before it comes to a missing page: for random ones, as if all pages were missing
TARGET: Final = 2  # sweep: the missing page ahead
SLOTS: Final = 3


@jit
def push(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    result: Result,
    line: Any,
    rng: np.random.Generator,
) -> None:
    """Resume the guest at the destination and bring what is pending."""
    send[SYNCS] = 0.0  # from now on pages are sent in full
    send[T] += record[LOAD_S] + record[RESUME_S] + record[REGISTER_PER_PAGE_S] * send[LEFT]
    send[T] += record[DISCARD_RUN_S] * _runs(pages, order) + record[DEVICE_BYTES] / record[POSTCOPY_GOODPUT]
    send[BYTES] += record[DEVICE_BYTES]
    result.downtime_s = send[T] - send[STOPPED_S]
    sender.point(send, line)
    start_s = guest_s = send[WINDOW_START] = send[T]
    send[WINDOW_BYTES] = 0.0
    place = weave.addresses(order)
    access = np.zeros(SLOTS * (int(record[CLASSES]) + 1))
    _begin(record, pages, guest, access, rng)
    blocked_s = 0.0
    while send[LEFT] > 0.0:
        until_s = send[T]
        if guest_s >= until_s:
            if not _held_back(record, send):
                _push_next(record, sums, pages, order, send, guest, access, rng)
                if send[LEFT] % 256.0 == 0.0:
                    sender.point(send, line)
                continue
            until_s = send[WINDOW_START] + record[WINDOW_S] + record[WINDOW_EXTRA_S]
        page = -1
        if guest_s < until_s:
            guest_s, page = _run(record, sums, pages, guest, access, guest_s, until_s, rng)
        send[T] = max(send[T], min(until_s, guest_s))
        if page >= 0:
            wait_s = record[RTT_S] + record[FAULT_SERVICE_S]
            wait_s += _fetch(record, sums, pages, order, place, send, guest, access, page, rng)
            result.faults += 1.0
            blocked_s += wait_s
            guest_s += wait_s
    result.exposure_s = send[T] - start_s
    result.blocktime_s = min(blocked_s, send[T] - start_s)


@lean
def _begin(
    record: np.ndarray, pages: np.ndarray, guest: np.ndarray, access: np.ndarray, rng: np.random.Generator
) -> None:
    """Count what is missing, and draw when each class comes to the first of it."""
    for c in range(int(record[CLASSES])):
        first, size = region(record, guest, c)
        for i in range(first, first + size):
            access[SLOTS * c + MISSING] += pages[i] & PENDING
        _draw(record, pages, guest, access, c, int(guest[HEAD + c * OWN + CURSOR]), rng)


@lean
def _draw(
    record: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    access: np.ndarray,
    c: int,
    at: int,
    rng: np.random.Generator,
) -> None:
    """Draw how many more accesses of a class come before one to a missing page; a sweep's from page ``at`` on."""
    slot = SLOTS * c
    if access[slot + MISSING] <= 0.0:
        return
    if not is_sweep(record, c):
        access[slot + DUE] = -math.log(1.0 - rng.random())
        return
    first, size = region(record, guest, c)
    number = 1.0
    while not pages[first + at] & PENDING:
        at = at + 1 if at + 1 < size else 0
        number += 1.0
    access[slot + DUE] += rng.standard_gamma(number)
    access[slot + TARGET] = at


@lean
def _run(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    guest: np.ndarray,
    access: np.ndarray,
    from_s: float,
    until_s: float,
    rng: np.random.Generator,
) -> tuple[float, int]:
    """Let the guest run until it faults; return when and on which page, or ``until_s`` and -1."""
    end_s = until_s
    faulting = -1
    for c in range(int(record[CLASSES])):
        if access[SLOTS * c + MISSING] > 0.0:
            _look_ahead(record, pages, guest, access, c, rng)
            due_s = _due_s(record, sums, access, c, from_s, end_s)
            if due_s < end_s:
                end_s, faulting = due_s, c
    for c in range(int(record[CLASSES])):
        if access[SLOTS * c + MISSING] > 0.0:
            access[SLOTS * c + DUE] -= _accesses(record, sums, access, c, from_s, end_s)
    if faulting < 0:
        return until_s, -1
    access[SLOTS * faulting + DUE] = 0.0
    first, size = region(record, guest, faulting)
    if is_sweep(record, faulting):
        return end_s, first + int(access[SLOTS * faulting + TARGET])
    _draw(record, pages, guest, access, faulting, 0, rng)
    page = first + int(rng.random() * size)
    while not pages[page] & PENDING:
        page = first + int(rng.random() * size)
    return end_s, page


@lean
def _look_ahead(
    record: np.ndarray, pages: np.ndarray, guest: np.ndarray, access: np.ndarray, c: int, rng: np.random.Generator
) -> None:
    """Let a sweep make for the next missing page if the one that it made for has come."""
    if is_sweep(record, c):
        first, size = region(record, guest, c)
        at = int(access[SLOTS * c + TARGET])
        if not pages[first + at] & PENDING:
            _draw(record, pages, guest, access, c, at + 1 if at + 1 < size else 0, rng)


@lean
def _rate(record: np.ndarray, access: np.ndarray, c: int) -> float:
    """Return how many accesses of a class a second count at intensity 1."""
    base = CLASS_BASE + c * CLASS_SLOTS
    rate = record[base + layout.WRITES_PER_S] + record[base + layout.READS_PER_S]
    return float(rate if is_sweep(record, c) else rate * access[SLOTS * c + MISSING] / record[base + layout.PAGES])


@lean
def _accesses(record: np.ndarray, sums: np.ndarray, access: np.ndarray, c: int, from_s: float, to_s: float) -> float:
    """Return how many accesses of a class that count fall into a span."""
    active = to_s - from_s
    if record[CLASS_BASE + c * CLASS_SLOTS + layout.PHASE_COUNT] > 0.0:
        active = steps.active_s(record, sums, c, to_s) - steps.active_s(record, sums, c, from_s)
    return _rate(record, access, c) * active


@lean
def _due_s(record: np.ndarray, sums: np.ndarray, access: np.ndarray, c: int, from_s: float, end_s: float) -> float:
    """Return when a class comes to a missing page; infinite if not before ``end_s``."""
    due = access[SLOTS * c + DUE]
    if _accesses(record, sums, access, c, from_s, end_s) <= due:
        return np.inf
    active = steps.active_s(record, sums, c, from_s) + due / _rate(record, access, c)
    return max(from_s, steps.when_active_s(record, sums, c, active))


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
def _held_back(record: np.ndarray, send: np.ndarray) -> bool:
    """Begin a new window when its time has come; say whether the quota of the present one is used up."""
    window_s = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    windows = np.floor((send[T] - send[WINDOW_START] + SLACK_S) / window_s)
    if windows > 0.0:
        send[WINDOW_START] += windows * window_s
        send[WINDOW_BYTES] = 0.0
    used = send[WINDOW_BYTES] > 0.0 and send[WINDOW_BYTES] >= record[POSTCOPY_CAP] * record[WINDOW_S]
    return bool(used and send[WINDOW_START] + window_s > send[T])


@lean
def _send_page(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    access: np.ndarray,
    page: int,
    rng: np.random.Generator,
) -> None:
    if page < guest[WRITTEN_PAGES]:
        access[SLOTS * guest_pages.class_of(record, page) + MISSING] -= 1.0
    cap, zero_cpu_s = record[POSTCOPY_GOODPUT], record[POSTCOPY_ZERO_CPU_S]
    sender.send_page(record, sums, pages, send, guest, page, cap, zero_cpu_s, rng)


@lean
def _push_next(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    access: np.ndarray,
    rng: np.random.Generator,
) -> None:
    page = sender.next_page(pages, order, send)
    _send_page(record, sums, pages, send, guest, access, page, rng)
    sender.step(pages, send)


@lean
def _fetch(
    record: np.ndarray,
    sums: np.ndarray,
    pages: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    access: np.ndarray,
    page: int,
    rng: np.random.Generator,
) -> float:
    """Send a demanded page behind what is on its way, then its neighbours; return how long the first took [s]."""
    before_s = send[T]
    queue_end = send[BYTES] + record[QUEUE_BYTES]
    while pages[page] & PENDING and send[BYTES] < queue_end and not _held_back(record, send):
        _push_next(record, sums, pages, order, send, guest, access, rng)
    if pages[page] & PENDING:
        _send_page(record, sums, pages, send, guest, access, page, rng)
    took_s = send[T] - before_s
    more = int(min(record[PREFETCH_PAGES], pages.size))
    address = weave.page_at(place, page)
    for i in range(address + 1, min(address + 1 + more, pages.size)):
        near = weave.page_at(order, i)
        if pages[near] & PENDING:
            _send_page(record, sums, pages, send, guest, access, near, rng)
    return float(took_s)
