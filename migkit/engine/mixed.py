"""Runs of pages that do not cost alike: differences from what was sent before, regions that start as zero pages.

Such a scenario is followed in *bins*, sixteen a region: a run is the part of a piece that lies in one bin, and
goes within one window. When the pointer comes to it, what its pages cost in the mean follows from the writes
counted by its middle. Of each bin is kept how many of its pages were sent by the pass that reached it last, and
what its class had written by then. Of segments that lie interleaved a run holds pages of each, from the same bin.

A page of a region that starts as zero pages is zero until its first write. One that was sent is pending again only
because its block was written, so with blocks of one page none of those is zero. A sweep cuts a run where it stands.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine import differences, dirty, guest, layout, ring
from migkit.engine.cache import BEFORE, EVER, HELD, PASSED, TOTAL, remember, sent_share, with_share
from migkit.engine.layout import (
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
from migkit.engine.records import Run
from migkit.engine.run_state import (
    BIN_SLOTS,
    BINS,
    CLASS_BINS,
    LAST_PIECE,
    PIECE_SLOTS,
    RUN_SHARES,
    RUN_WRITES,
    TALLIES,
    TALLY_SLOTS,
    WRITES,
)
from migkit.jit import lean

__all__ = ["begin", "end_pass", "leave", "next_run", "price", "restart", "written", "zero_share"]

# Of a bin, as the pass that reached it last left it, and from OLDER on as the one before did
SENT_WRITES: Final = 0  # of its class, when its pages were sent
SENT_SHARE: Final = 1  # of its pages that were sent then; the others were not pending
SYNC_WRITES: Final = 2  # of its class, at the sync before that
SENT_PASS: Final = 3
REMEMBERED: Final = 4  # share of its pages that any pass but the first has sent
OLDER: Final = 5
SLIVER_PAGES: Final = 1e-6
PARTS: Final = 64.0  # of a bin: the shortest run of a region that takes many windows
LEAST_BYTES: Final = 0.01  # that a page costs, so that windows have an end
FIRST_KEPT: Final = 2.0  # the pass from which on pages are remembered


@lean
def begin(record: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Set what is kept of runs that do not cost alike."""
    run.difference_share = run.saved_bytes = run.difference_pages = 0.0
    run.is_plain = 0.0
    run.pass_number = 1.0
    for i in range(TALLIES, CLASS_BINS + int(record[CLASSES]) * BINS * BIN_SLOTS):
        work[i] = 0.0
    restart(run)


@lean
def restart(run: Run) -> None:
    """Go on at the head of the ring, after a sync."""
    run.at_piece = 0.0
    run.at_page = -1.0
    run.run_segment = -1.0
    run.ahead_pages = 0.0


@lean
def next_run(
    record: np.ndarray,
    steps: np.ndarray,
    run: Run,
    work: np.ndarray,
    now_s: float,
    left: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Come to the next part of a piece whose pages cost alike; say what they are, return how many there are."""
    run.now_s = now_s
    if run.stopped_s == 0.0:
        guest.count_writes(record, steps, run, work)
        run.turns += record[CLASSES]
    leave(record, run, work, 0.0)
    run.zero_share = run.difference_share = 0.0
    head, i, page, number = int(run.head), int(run.at_piece), run.at_page, 1
    while i < int(run.pieces):
        at = ((head + i) & LAST_PIECE) * PIECE_SLOTS
        number = ring.width(record, work, head + i, int(run.pieces) - i)
        page = max(page, work[at + 3])
        if ring.pending(work, head + i, number) > 0.0 and work[at + 3] + work[at + 1] - page > SLIVER_PAGES:
            break
        i += number
        page = -1.0
    run.at_piece = i
    if i == int(run.pieces):
        return left
    segment, share, end = int(work[at]), _share(work, head + i, number), work[at + 3] + work[at + 1]
    run.run_segment, run.run_width = segment, number
    if segment < int(record[CLASSES]):
        end = _cut(record, steps, run, work, head + i, page, end, share, window_bytes, window_end_s)
    else:
        _price(record, run, work, head + i, page, end)
    run.at_page = end
    run.run_pages = (end - page) * share
    return float(run.run_pages)


@lean
def _share(work: np.ndarray, i: int, number: int) -> float:
    """Return the pending pages of pieces that lie interleaved, for each page of the first; set whose they are."""
    size = work[(i & LAST_PIECE) * PIECE_SLOTS + 1]
    total = 0.0
    for k in range(i, i + number):
        at = (k & LAST_PIECE) * PIECE_SLOTS
        total += work[at + 1] / size * work[at + 2]
    for k in range(i, i + number):
        at = (k & LAST_PIECE) * PIECE_SLOTS
        work[RUN_SHARES + int(work[at])] = work[at + 1] / size * work[at + 2] / total
    return total


@lean
def _cut(
    record: np.ndarray,
    steps: np.ndarray,
    run: Run,
    work: np.ndarray,
    piece: int,
    page: float,
    end: float,
    share: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Return where the run ends that begins with a page of a region, and say what its pages are.

    It ends with the bin, where a sweep stands, or when the window is full, unless that holds but a small part of the
    bin; its pages are what they are at its middle.
    """
    c = int(run.run_segment)
    size = _size(record, c) / BINS
    end = min(end, (np.floor(page / size + 1e-9) + 1.0) * size)
    if record[FILL_ZERO] > 0.0 and record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP:
        end = _edge(record, work, c, page, end)
    classes = min(int(record[CLASSES]), c + int(run.run_width))
    for k in range(c, classes):
        work[RUN_WRITES + k] = written(work, k)
    _price(record, run, work, piece, page, end)
    if run.stopped_s == 0.0:
        begin_s, room = run.now_s, run.quota_pages - window_bytes / run.wire_bytes
        if room <= SLIVER_PAGES:
            begin_s, room = max(run.now_s, window_end_s), run.quota_pages
        end = min(end, page + max(room / share, size / PARTS))
        pages = (end - page) * share
        lasts_s = pages * run.page_s if pages <= room else pages * max(run.page_s, run.window_s / run.quota_pages)
        middle_s = begin_s + 0.5 * lasts_s
        for k in range(c, classes):
            work[RUN_WRITES + k] += guest.writes_until(record, steps, run, k, middle_s)
        _price(record, run, work, piece, page, end)
    return end


@lean
def _edge(record: np.ndarray, work: np.ndarray, c: int, page: float, end: float) -> float:
    """Return the first page behind ``page`` at which what a sweep has written begins or ends, at most ``end``."""
    start = record[CLASS_BASE + c * CLASS_SLOTS + layout.START_PAGES]
    stop = start + np.floor(written(work, c))
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
    size = _size(record, c) / BINS
    return int(CLASS_BINS + (c * BINS + min(BINS - 1, int(page / size))) * BIN_SLOTS)


@lean
def _before(record: np.ndarray, run: Run, work: np.ndarray, c: int, page: float) -> int:
    """Return where it stands what passes before this one left of a page's bin."""
    at = _bin(record, c, page)
    return at + OLDER if work[at + SENT_PASS] == run.pass_number else at


@lean
def _price(record: np.ndarray, run: Run, work: np.ndarray, piece: int, page: float, end: float) -> None:
    """Say which part of a run's pages is zero, which goes as differences, and what those cost."""
    run.zero_share = run.difference_share = run.difference_bytes = 0.0
    for i in range(piece, piece + int(run.run_width)):
        at = (i & LAST_PIECE) * PIECE_SLOTS
        c = int(work[at])
        if c > int(record[CLASSES]):
            run.zero_share += work[RUN_SHARES + c]
        if c >= int(record[CLASSES]) or work[at + 2] == 0.0:
            continue
        each = _size(record, c) / _size(record, int(run.run_segment))
        zero = 0.0
        if record[FILL_ZERO] > 0.0:
            zero = zero_share(record, c, page * each, end * each, work[at + 2], work[RUN_WRITES + c])
            run.zero_share += work[RUN_SHARES + c] * zero
        if record[XBZRLE_PAGES] > 0.0 and run.pass_number > FIRST_KEPT:
            part, cost = _differ(record, run, work, c, 0.5 * (page + end) * each, work[at + 2])
            part *= work[RUN_SHARES + c] * (1.0 - zero)
            if part > 0.0:
                run.difference_share += part
                run.difference_bytes += (cost - run.difference_bytes) * part / run.difference_share
    run.zero_share = min(run.zero_share, 1.0)  # a sum of shares may be a little more
    price(record, run)


@lean
def price(record: np.ndarray, run: Run) -> None:
    """Set what a page of the run costs in the mean over zero pages, differences and full pages."""
    speed = min(run.most_bytes_per_s, run.path_bytes_per_s)
    zero, different = run.zero_share, run.difference_share
    full = 1.0 - zero - different
    full_bytes, zero_bytes, short_bytes = record[PAGE_WIRE_BYTES], record[ZERO_WIRE_BYTES], run.difference_bytes
    wire_bytes, page_s = full * full_bytes, full * max(full_bytes / speed, record[PAGE_CPU_S])
    quota_bytes = 0.0
    if zero < 1.0:
        quota_bytes += (1.0 - zero) * run.normal_quota_pages * full_bytes
    if zero > 0.0:
        wire_bytes += zero * zero_bytes
        page_s += zero * max(zero_bytes / speed, record[ZERO_CPU_S])
        quota_bytes += zero * run.zero_quota_pages * zero_bytes
    if different > 0.0:
        wire_bytes += different * short_bytes
        page_s += different * max(short_bytes / speed, record[PAGE_CPU_S] + record[XBZRLE_CPU_S])
    run.wire_bytes = wire_bytes
    run.quota_pages = quota_bytes / wire_bytes
    run.page_s = page_s
    run.full_bytes_per_s = quota_bytes / run.window_s


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
        stop = start + np.floor(writes)
        if stop - start >= pages:
            return 0.0
        over = max(0.0, min(end, stop) - max(page, start)) + max(0.0, min(end, stop - pages) - page)
        return max(0.0, 1.0 - over / (end - page))
    if share >= 1.0:
        return math.exp(-writes / pages)
    never = math.exp(-writes / pages)
    pending = never * (1.0 - (1.0 - share) ** (1.0 - 1.0 / record[GRAIN_PAGES])) / share
    return min(never, pending)  # of a tiny share, rounding may leave more


@lean
def _differ(record: np.ndarray, run: Run, work: np.ndarray, c: int, page: float, share: float) -> tuple[float, float]:
    """Return which part of a class's pages goes as differences, and what these cost in the mean."""
    tally = TALLIES + c * TALLY_SLOTS
    at = _before(record, run, work, c, page)
    ever, sent = work[at + REMEMBERED], min(1.0, work[at + SENT_SHARE])
    if ever <= 0.0 or work[tally + EVER] <= 0.0:
        return 0.0, 0.0
    kept = min(1.0, work[tally + HELD] / work[tally + EVER])  # of those that the cache may hold
    if record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP:
        kept *= 1.0 if _last_write(record, c, page, work[tally + TOTAL]) > 0.0 else 0.0
    parts = (min(ever, sent) * kept, max(0.0, ever - sent) * kept)
    cost = 0.0
    for i in range(2):
        since = work[at + (SENT_WRITES if i == 0 else SYNC_WRITES)]
        cost += parts[i] * _mean_bytes(record, work, c, page, share, since, work[RUN_WRITES + c])
    part = parts[0] + parts[1]
    if part <= 0.0:
        return 0.0, 0.0
    return part, min(record[PAGE_WIRE_BYTES], max(LEAST_BYTES, cost / part))


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
        number = 0.0 if last <= since else 1.0 + np.floor((last - since) / pages)
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
def leave(record: np.ndarray, run: Run, work: np.ndarray, left_pages: float) -> None:
    """Count what was sent of the present run, all but ``left_pages``."""
    segment = int(run.run_segment)
    passed = run.run_pages - left_pages
    run.run_segment = -1.0
    if segment < 0 or passed <= 0.0:
        return
    run.difference_pages += passed * run.difference_share
    run.saved_bytes += passed * run.difference_share * (record[PAGE_WIRE_BYTES] - run.difference_bytes)
    for c in range(segment, min(int(record[CLASSES]), segment + int(run.run_width))):
        page = run.at_page * (_size(record, c) / _size(record, segment)) - SLIVER_PAGES
        _tally(record, run, work, c, page, passed * work[RUN_SHARES + c])


@lean
def _size(record: np.ndarray, c: int) -> float:
    return float(record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES])


@lean
def _tally(record: np.ndarray, run: Run, work: np.ndarray, c: int, page: float, passed: float) -> None:
    """Count what was sent of a class within the bin of a page."""
    if passed <= 0.0:
        return
    tally = TALLIES + c * TALLY_SLOTS
    work[tally + PASSED] += passed
    at = _bin(record, c, page)
    part = passed * BINS / _size(record, c)
    if work[at + SENT_PASS] != run.pass_number:
        for i in range(OLDER):
            work[at + OLDER + i] = work[at + i]
        work[at + SENT_PASS] = run.pass_number
        work[at + SENT_SHARE] = work[at + SENT_WRITES] = 0.0
        work[at + SYNC_WRITES] = work[tally + TOTAL]
    both = work[at + SENT_SHARE] + part
    work[at + SENT_WRITES] += (work[RUN_WRITES + c] - work[at + SENT_WRITES]) * part / both
    work[at + SENT_SHARE] = both
    if run.pass_number >= FIRST_KEPT:
        sweeps = record[CLASS_BASE + c * CLASS_SLOTS + layout.KIND] == dirty.SWEEP
        work[at + REMEMBERED] = with_share(work[at + OLDER + REMEMBERED], both, sweeps)


@lean
def end_pass(record: np.ndarray, steps: np.ndarray, run: Run, work: np.ndarray) -> None:
    """Close the books of a pass, before its sync."""
    guest.count_writes(record, steps, run, work)
    leave(record, run, work, run.ahead_pages)
    classes = int(record[CLASSES])
    dirtied = 0.0
    for c in range(classes):
        dirtied += record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    if record[XBZRLE_PAGES] > 0.0 and run.pass_number >= FIRST_KEPT:
        remember(record, work, dirtied > record[XBZRLE_PAGES])
    for c in range(classes):
        tally = TALLIES + c * TALLY_SLOTS
        work[tally + BEFORE] = sent_share(record, work, c)
        work[tally + PASSED] = 0.0
        work[tally + TOTAL] += work[WRITES + c]
    run.pass_number += 1.0
