"""Runs of pages that do not cost alike: differences from what was sent before, regions that start as zero pages.

Such a scenario is followed in *bins*, sixteen a region: a run is the part of a piece that lies in one bin, and
goes within one window. When the pointer comes to it, what its pages cost in the mean follows from the writes
counted by its middle. Of each bin is kept how many of its pages were sent by the pass that reached it last, and
what its class had written by then.

A page of a region that starts as zero pages is zero until its first write. One that was sent is pending again only
because its block was written, so with blocks of one page none of those is zero. A sweep cuts a run where it stands.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.kernels import differences, dirty, layout, precopy_guest
from migkit.kernels._jit import lean
from migkit.kernels.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    FILL_ZERO,
    GRAIN_PAGES,
    PAGE_CPU_S,
    PAGE_WIRE_BYTES,
    XBZRLE_CPU_S,
    XBZRLE_PAGES,
    XBZRLE_SAME_BYTES,
    ZERO_CPU_S,
    ZERO_WIRE_BYTES,
)
from migkit.kernels.precopy_cache import BEFORE, EVER, HELD, PASSED, TOTAL, remember, sent_share, with_share
from migkit.kernels.precopy_state import (
    AHEAD,
    AT_PAGE,
    AT_PIECE,
    BIN_SLOTS,
    BINS,
    CLASS_BINS,
    COUNT,
    DIFFERENCE_BYTES,
    DIFFERENCES,
    DIFFERENT,
    FULL_BANDWIDTH,
    HEAD,
    LAST_PIECE,
    MOST,
    NORMAL_QUOTA,
    NOTHING,
    ON_ZERO,
    PAGE_S,
    PASS,
    PIECE_SLOTS,
    PLAIN,
    QUOTA,
    RUN_PAGES,
    RUN_SEGMENT,
    RUN_WRITES,
    SAVED,
    SPEED,
    STOPPED,
    TALLIES,
    TALLY_SLOTS,
    WINDOW,
    WIRE_BYTES,
    WRITES,
    ZERO_QUOTA,
    T,
)

__all__ = ["begin", "end_pass", "leave", "next_run", "price", "restart", "written", "zero_share"]

# Of a bin, as the pass that reached it last left it, and from OLDER on as the one before did
SENT_WRITES: Final = 0  # of its class, when its pages were sent
SENT_SHARE: Final = 1  # of its pages that were sent then; the others were not pending
SYNC_WRITES: Final = 2  # of its class, at the sync before that
SENT_PASS: Final = 3
REMEMBERED: Final = 4  # share of its pages that any pass but the first has sent
OLDER: Final = 5
SLIVER_PAGES: Final = 1e-6
LEAST_BYTES: Final = 0.01  # that a page costs, so that windows have an end
FIRST_KEPT: Final = 2.0  # the pass from which on pages are remembered


@lean
def begin(record: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Set what is kept of runs that do not cost alike."""
    run[DIFFERENT] = run[SAVED] = run[DIFFERENCES] = 0.0
    run[PLAIN] = 0.0
    run[PASS] = 1.0
    for i in range(TALLIES, CLASS_BINS + int(record[CLASSES]) * BINS * BIN_SLOTS):
        work[i] = 0.0
    restart(run)


@lean
def restart(run: np.ndarray) -> None:
    """Go on at the head of the ring, after a sync."""
    run[AT_PIECE] = 0.0
    run[AT_PAGE] = -1.0
    run[RUN_SEGMENT] = -1.0
    run[AHEAD] = 0.0


@lean
def next_run(
    record: np.ndarray,
    steps: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    now_s: float,
    left: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Come to the next part of a piece whose pages cost alike; say what they are, return how many there are."""
    run[T] = now_s
    if run[STOPPED] == 0.0:
        precopy_guest.count_writes(record, steps, run, work)
    leave(record, run, work, 0.0)
    run[ON_ZERO] = run[DIFFERENT] = 0.0
    head, i, page = int(run[HEAD]), int(run[AT_PIECE]), run[AT_PAGE]
    while i < int(run[COUNT]):
        at = ((head + i) & LAST_PIECE) * PIECE_SLOTS
        page = max(page, work[at + 3])
        if work[at + 2] > 0.0 and work[at + 3] + work[at + 1] - page > SLIVER_PAGES:
            break
        i += 1
        page = -1.0
    run[AT_PIECE] = i
    if i == int(run[COUNT]):
        return left
    segment, share, end = int(work[at]), work[at + 2], work[at + 3] + work[at + 1]
    run[RUN_SEGMENT] = segment
    if segment > int(record[CLASSES]):
        run[ON_ZERO] = 1.0
    elif segment < int(record[CLASSES]):
        end = _cut(record, steps, run, work, page, end, share, window_bytes, window_end_s)
    price(record, run)
    run[AT_PAGE] = end
    run[RUN_PAGES] = (end - page) * share
    return float(run[RUN_PAGES])


@lean
def _cut(
    record: np.ndarray,
    steps: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    page: float,
    end: float,
    share: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Return where the run ends that begins with a page of a region, and say what its pages are.

    It ends with the bin, where a sweep stands, or when the window is full; its pages are what they are at its middle.
    """
    c = int(run[RUN_SEGMENT])
    size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES] / BINS
    end = min(end, (math.floor(page / size + 1e-9) + 1.0) * size)
    if record[FILL_ZERO] > 0.0 and record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP:
        end = _edge(record, work, c, page, end)
    run[RUN_WRITES] = written(work, c)
    _price(record, run, work, page, end, share)
    if run[STOPPED] == 0.0:
        begin_s, room = run[T], run[QUOTA] - window_bytes / run[WIRE_BYTES]
        if room <= SLIVER_PAGES:
            begin_s, room = max(run[T], window_end_s), run[QUOTA]
        end = min(end, page + room / share)
        middle_s = begin_s + 0.5 * (end - page) * share * run[PAGE_S]
        run[RUN_WRITES] += precopy_guest.writes_until(record, steps, run, c, middle_s)
        _price(record, run, work, page, end, share)
    return end


@lean
def _edge(record: np.ndarray, work: np.ndarray, c: int, page: float, end: float) -> float:
    """Return the first page behind ``page`` at which what a sweep has written begins or ends, at most ``end``."""
    start = record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES]
    stop = start + math.floor(written(work, c))
    wrapped = stop - record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    for edge in (start, stop, wrapped):
        if edge > page + SLIVER_PAGES:
            end = min(end, edge)
    return end


@lean
def written(work: np.ndarray, c: int) -> float:
    """Return what a class has written so far."""
    return float(work[TALLIES + c * TALLY_SLOTS + TOTAL] + work[WRITES + c])


@lean
def _bin(record: np.ndarray, c: int, page: float) -> int:
    """Return where a page's bin lies in the work array."""
    size = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES] / BINS
    return int(CLASS_BINS + (c * BINS + min(BINS - 1, int(page / size))) * BIN_SLOTS)


@lean
def _before(record: np.ndarray, run: np.ndarray, work: np.ndarray, c: int, page: float) -> int:
    """Return where it stands what passes before this one left of a page's bin."""
    at = _bin(record, c, page)
    return at + OLDER if work[at + SENT_PASS] == run[PASS] else at


@lean
def _price(record: np.ndarray, run: np.ndarray, work: np.ndarray, page: float, end: float, share: float) -> None:
    """Say which part of a run's pages is zero, which goes as differences, and what those cost."""
    c = int(run[RUN_SEGMENT])
    run[ON_ZERO] = run[DIFFERENT] = 0.0
    if record[FILL_ZERO] > 0.0:
        run[ON_ZERO] = zero_share(record, c, page, end, share, run[RUN_WRITES])
    if record[XBZRLE_PAGES] > 0.0 and run[PASS] > FIRST_KEPT:
        _differ(record, run, work, 0.5 * (page + end), share, run[RUN_WRITES])
        run[DIFFERENT] *= 1.0 - run[ON_ZERO]
    price(record, run)


@lean
def price(record: np.ndarray, run: np.ndarray) -> None:
    """Set what a page of the run costs in the mean over zero pages, differences and full pages."""
    speed = min(run[MOST], run[SPEED])
    zero, different = run[ON_ZERO], run[DIFFERENT]
    full = 1.0 - zero - different
    full_bytes, zero_bytes, short_bytes = record[PAGE_WIRE_BYTES], record[ZERO_WIRE_BYTES], run[DIFFERENCE_BYTES]
    wire_bytes, page_s = full * full_bytes, full * max(full_bytes / speed, record[PAGE_CPU_S])
    quota_bytes = 0.0
    if zero < 1.0:
        quota_bytes += (1.0 - zero) * run[NORMAL_QUOTA] * full_bytes
    if zero > 0.0:
        wire_bytes += zero * zero_bytes
        page_s += zero * max(zero_bytes / speed, record[ZERO_CPU_S])
        quota_bytes += zero * run[ZERO_QUOTA] * zero_bytes
    if different > 0.0:
        wire_bytes += different * short_bytes
        page_s += different * max(short_bytes / speed, record[PAGE_CPU_S] + record[XBZRLE_CPU_S])
    run[WIRE_BYTES] = wire_bytes
    run[QUOTA] = quota_bytes / wire_bytes
    run[PAGE_S] = page_s
    run[FULL_BANDWIDTH] = quota_bytes / run[WINDOW]


@lean
def zero_share(record: np.ndarray, c: int, page: float, end: float, share: float, writes: float) -> float:
    """Return which share of the pending pages between two of a region was never written.

    Of a random class ``exp(-n / W)`` were never written, ``n`` writes to ``W`` pages. Those that are not pending were
    sent, and their block of ``g`` pages was not written since the sync before: a page of it was not with the odds
    ``(1 - p)^(1 / g)`` of that, so that ``(1 - p)^(1 - 1 / g)`` of those never written are not pending.
    """
    base = CLASS_BASE + c * CLASS_SLOTS
    pages = record[base + layout.PAGES]
    if record[base + layout.KIND] == dirty.SWEEP:
        start = record[base + layout.START_PAGES]
        stop = start + math.floor(writes)
        if stop - start >= pages:
            return 0.0
        over = max(0.0, min(end, stop) - max(page, start)) + max(0.0, min(end, stop - pages) - page)
        return max(0.0, 1.0 - over / (end - page))
    if share >= 1.0:
        return math.exp(-writes / pages)
    return math.exp(-writes / pages) * (1.0 - (1.0 - share) ** (1.0 - 1.0 / record[GRAIN_PAGES])) / share


@lean
def _differ(record: np.ndarray, run: np.ndarray, work: np.ndarray, page: float, share: float, writes: float) -> None:
    """Say which part of a run's pages goes as differences, and what these cost in the mean."""
    c = int(run[RUN_SEGMENT])
    tally = TALLIES + c * TALLY_SLOTS
    at = _before(record, run, work, c, page)
    ever, sent = work[at + REMEMBERED], min(1.0, work[at + SENT_SHARE])
    run[DIFFERENT] = 0.0
    if ever <= 0.0 or work[tally + EVER] <= 0.0:
        return
    kept = min(1.0, work[tally + HELD] / work[tally + EVER])  # of those that the cache may hold
    if record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP:
        kept *= 1.0 if _last_write(record, c, page, work[tally + TOTAL]) > 0.0 else 0.0
    parts = (min(ever, sent) * kept, max(0.0, ever - sent) * kept)
    cost = 0.0
    for i in range(2):
        since = work[at + (SENT_WRITES if i == 0 else SYNC_WRITES)]
        cost += parts[i] * _mean_bytes(record, work, c, page, share, since, writes)
    run[DIFFERENT] = parts[0] + parts[1]
    if run[DIFFERENT] > 0.0:
        run[DIFFERENCE_BYTES] = min(record[PAGE_WIRE_BYTES], max(LEAST_BYTES, cost / run[DIFFERENT]))


@lean
def _last_write(record: np.ndarray, c: int, page: float, writes: float) -> float:
    """Return the number of a sweep's last write but one to a page; at most 0: there was none."""
    base = CLASS_BASE + c * CLASS_SLOTS
    pages = record[base + layout.PAGES]
    return float(writes - (record[base + layout.START_PAGES] + writes - page) % pages - pages)


@lean
def _mean_bytes(
    record: np.ndarray, work: np.ndarray, c: int, page: float, share: float, since: float, writes: float
) -> float:
    """Return what a pending page costs in the mean, as the difference from what was sent ``since``."""
    base = CLASS_BASE + c * CLASS_SLOTS
    pages = record[base + layout.PAGES]
    if record[base + layout.KIND] == dirty.SWEEP:
        last = _last_write(record, c, page, writes) + pages
        number = 0.0 if last <= since else 1.0 + math.floor((last - since) / pages)
        return float(differences.hit_bytes(record, c, number))
    one, behind = differences.rewritten(record, base)
    recent = (writes - work[TALLIES + c * TALLY_SLOTS + TOTAL]) / pages
    ago = (writes - since) / pages
    same = max(0.0, math.exp(-ago) - (1.0 - share) * math.exp(-recent))
    kept = math.exp(-ago * one) - (1.0 - share) * math.exp(-recent * one) - same
    apart = math.exp(-ago * behind) - (1.0 - share) * math.exp(-recent * behind) - same
    cost = same * record[XBZRLE_SAME_BYTES]
    return float(cost + differences.changed_bytes(record, base, share - same, kept, apart)) / share


@lean
def leave(record: np.ndarray, run: np.ndarray, work: np.ndarray, left_pages: float) -> None:
    """Count what was sent of the present run, all but ``left_pages``."""
    segment = int(run[RUN_SEGMENT])
    passed = run[RUN_PAGES] - left_pages
    run[RUN_SEGMENT] = -1.0
    if segment < 0 or passed <= NOTHING:
        return
    run[DIFFERENCES] += passed * run[DIFFERENT]
    run[SAVED] += passed * run[DIFFERENT] * (record[PAGE_WIRE_BYTES] - run[DIFFERENCE_BYTES])
    if segment >= int(record[CLASSES]):
        return
    tally = TALLIES + segment * TALLY_SLOTS
    work[tally + PASSED] += passed
    at = _bin(record, segment, run[AT_PAGE] - SLIVER_PAGES)
    part = passed * BINS / record[CLASS_BASE + segment * CLASS_SLOTS + layout.PAGES]
    if work[at + SENT_PASS] != run[PASS]:
        for i in range(OLDER):
            work[at + OLDER + i] = work[at + i]
        work[at + SENT_PASS] = run[PASS]
        work[at + SENT_SHARE] = work[at + SENT_WRITES] = 0.0
        work[at + SYNC_WRITES] = work[tally + TOTAL]
    both = work[at + SENT_SHARE] + part
    work[at + SENT_WRITES] += (run[RUN_WRITES] - work[at + SENT_WRITES]) * part / both
    work[at + SENT_SHARE] = both
    if run[PASS] >= FIRST_KEPT:
        sweeps = record[CLASS_BASE + segment * CLASS_SLOTS + layout.KIND] == dirty.SWEEP
        work[at + REMEMBERED] = with_share(work[at + OLDER + REMEMBERED], both, sweeps)


@lean
def end_pass(record: np.ndarray, steps: np.ndarray, run: np.ndarray, work: np.ndarray) -> None:
    """Close the books of a pass, before its sync."""
    precopy_guest.count_writes(record, steps, run, work)
    leave(record, run, work, run[AHEAD])
    classes = int(record[CLASSES])
    dirtied = 0.0
    for c in range(classes):
        dirtied += record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    if record[XBZRLE_PAGES] > 0.0 and run[PASS] >= FIRST_KEPT:
        remember(record, work, dirtied > record[XBZRLE_PAGES])
    for c in range(classes):
        tally = TALLIES + c * TALLY_SLOTS
        work[tally + BEFORE] = sent_share(record, work, c)
        work[tally + PASSED] = 0.0
        work[tally + TOTAL] += work[WRITES + c]
    run[PASS] += 1.0
