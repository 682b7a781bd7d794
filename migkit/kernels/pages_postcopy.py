"""Post-copy page by page: the background push in address order against a virtual processor that faults.

Accesses (reads and writes) come as a Poisson stream in the guest's running time. One that
finds its page missing stops the guest for ``RTT + service + page time``; the page and the
next PREFETCH_PAGES missing ones behind it are sent out of order, which the push waits for. No
page is sent twice. Under a cap the push waits when the quota of its window is used up; demanded pages do not.
Where they share the connection with the push, QUEUE_BYTES of it are ahead of them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.kernels import dirty, layout, pages_guest, pages_sender
from migkit.kernels._jit import jit
from migkit.kernels.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
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
from migkit.kernels.pages_guest import PENDING
from migkit.kernels.pages_sender import BYTES, LEFT, POINTER, SLACK_S, STOPPED_S, SYNCS, WINDOW_BYTES, WINDOW_START, T

__all__ = ["push"]

BURST_PAGES: Final = 64.0  # a longer wait for the next access is cut into pieces: intensities change


@jit
def push(
    record: np.ndarray,
    steps: np.ndarray,
    pages: np.ndarray,
    send: np.ndarray,
    guest: np.ndarray,
    result: np.ndarray,
    line: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Resume the guest at the destination and bring what is pending."""
    send[SYNCS] = 0.0  # from now on pages are sent in full
    send[T] += record[LOAD_S] + record[RESUME_S] + record[REGISTER_PER_PAGE_S] * send[LEFT]
    send[T] += record[DISCARD_RUN_S] * _runs(pages)
    result[layout.DOWNTIME_S] = send[T] - send[STOPPED_S]
    pages_sender.point(send, line)
    start_s = send[WINDOW_START] = send[T]
    send[WINDOW_BYTES] = 0.0
    access_s = start_s + _next_access_s(record, steps, start_s, rng)
    faults = 0.0
    blocked_s = 0.0
    while send[LEFT] > 0.0:
        if access_s > send[T] and _held_back(record, send):
            send[T] = min(access_s, send[WINDOW_START] + record[WINDOW_S] + record[WINDOW_EXTRA_S])
            continue
        if access_s > send[T]:
            _push_next(record, steps, pages, send)
            if send[LEFT] % 256.0 == 0.0:
                pages_sender.point(send, line)
            continue
        page = _accessed(record, steps, guest, access_s, rng)
        if page >= 0 and pages[page] & PENDING:
            wait_s = record[RTT_S] + record[FAULT_SERVICE_S] + _fetch(record, steps, pages, send, page)
            faults += 1.0
            blocked_s += wait_s
            access_s += wait_s
        access_s += _next_access_s(record, steps, access_s, rng)
    result[layout.EXPOSURE_S] = send[T] - start_s
    result[layout.FAULTS] = faults
    result[layout.BLOCKTIME_S] = min(blocked_s, send[T] - start_s)


@jit
def _runs(pages: np.ndarray) -> int:
    """Return how many runs of pages are pending."""
    runs = 0
    before = 0
    for i in range(pages.size):
        pending = pages[i] & PENDING
        if pending and not before:
            runs += 1
        before = pending
    return runs


@jit
def _held_back(record: np.ndarray, send: np.ndarray) -> bool:
    """Begin a new window when its time has come; say whether the quota of the present one is used up."""
    window_s = record[WINDOW_S] + record[WINDOW_EXTRA_S]
    windows = np.floor((send[T] - send[WINDOW_START] + SLACK_S) / window_s)
    if windows > 0.0:
        send[WINDOW_START] += windows * window_s
        send[WINDOW_BYTES] = 0.0
    return bool(send[WINDOW_BYTES] >= record[POSTCOPY_CAP] * record[WINDOW_S])


@jit
def _send_page(record: np.ndarray, steps: np.ndarray, pages: np.ndarray, send: np.ndarray, page: int) -> None:
    pages_sender.send_page(record, steps, pages, send, page, record[POSTCOPY_GOODPUT], record[POSTCOPY_ZERO_CPU_S])


@jit
def _push_next(record: np.ndarray, steps: np.ndarray, pages: np.ndarray, send: np.ndarray) -> None:
    page = pages_sender.next_page(pages, send)
    _send_page(record, steps, pages, send, page)
    send[POINTER] = (page + 1) % pages.size


@jit
def _rate(record: np.ndarray, steps: np.ndarray, c: int, at_s: float) -> float:
    """Return the accesses a second of a class at a moment."""
    base = CLASS_BASE + c * CLASS_SLOTS
    rate = record[base + layout.WRITES_PER_S] + record[base + layout.READS_PER_S]
    count = int(record[base + layout.PHASE_COUNT])
    if count == 0 or rate <= 0.0:
        return float(rate)
    first = int(record[base + layout.PHASE_FIRST])
    offset_s = record[base + layout.PHASE_OFFSET_S]
    before = dirty.intensity_s(steps, first, count, offset_s, at_s)
    return float(rate * (dirty.intensity_s(steps, first, count, offset_s, at_s + 1e-6) - before) / 1e-6)


@jit
def _next_access_s(record: np.ndarray, steps: np.ndarray, at_s: float, rng: np.random.Generator) -> float:
    """Return the running time to the next access; at rest it is looked at again after a millisecond."""
    total = 0.0
    for c in range(int(record[CLASSES])):
        total += _rate(record, steps, c, at_s)
    if total <= 1e-9:
        return 1e-3
    return min(-math.log(1.0 - rng.random()) / total, 1e9)


@jit
def _accessed(record: np.ndarray, steps: np.ndarray, guest: np.ndarray, at_s: float, rng: np.random.Generator) -> int:
    """Return which page is accessed: classes in proportion to their rates; -1: none, the guest is at rest."""
    total = 0.0
    for c in range(int(record[CLASSES])):
        total += _rate(record, steps, c, at_s)
    if total <= 1e-9:
        return -1
    draw = rng.random() * total
    for c in range(int(record[CLASSES])):
        draw -= _rate(record, steps, c, at_s)
        if draw < 0.0:
            return int(pages_guest.pick(record, guest, c, rng))
    return -1


@jit
def _fetch(record: np.ndarray, steps: np.ndarray, pages: np.ndarray, send: np.ndarray, page: int) -> float:
    """Send a demanded page behind what is on its way, then its neighbours; return how long the first took [s]."""
    before_s = send[T]
    queue_end = send[BYTES] + record[QUEUE_BYTES]
    while pages[page] & PENDING and send[BYTES] < queue_end and not _held_back(record, send):
        _push_next(record, steps, pages, send)
    if pages[page] & PENDING:
        _send_page(record, steps, pages, send, page)
    took_s = send[T] - before_s
    more = int(record[PREFETCH_PAGES])
    for i in range(page + 1, min(page + 1 + more, pages.size)):
        if pages[i] & PENDING:
            _send_page(record, steps, pages, send, i)
    return float(took_s)
