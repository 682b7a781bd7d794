"""Runs of pages that do not cost alike: differences from what was sent before, regions that start as zero pages.

Such a scenario is followed in *bins*, sixteen a region: a run is the part of a piece that lies in one bin, and
goes within one window. When the pointer comes to it, what its pages cost in the mean follows from the writes
counted by its middle. Of each bin is kept how many of its pages were sent by the pass that reached it last, and
what its class had written by then. Of segments that lie interleaved a run holds pages of each, from the same bin.

A page of a region that starts as zero pages is zero until its first write; a growth writes each just once. One that
was sent is pending again only because its block was written, so with blocks of one page none of those is zero. A
sweep cuts a run where it stands. Where each write leaves its page zero with some probability, a page that was written
is zero with that probability whenever it is sent.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine import differences, dirty, guest, ring
from migkit.engine.cache import FIRST_KEPT, close, with_share
from migkit.engine.records import BINS, Bin, PackedClass, PackedScenario, Run, Segment, Visit, Work
from migkit.engine.run_state import LAST_PIECE
from migkit.jit import assign, clear, lean

__all__ = ["begin", "end_pass", "leave", "next_run", "price", "restart", "written", "zero_share"]

SLIVER_PAGES: Final = 1e-6
PARTS: Final = 64.0  # of a bin: the shortest run of a region that takes many windows
LEAST_BYTES: Final = 0.01  # that a page costs, so that windows have an end


@lean
def begin(scenario: PackedScenario, run: Run, work: Work) -> None:
    """Set what is kept of runs that do not cost alike."""
    run.difference_share = run.saved_bytes = run.difference_pages = 0.0
    run.is_plain = 0.0
    run.pass_number = 1.0
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        clear(one.tally)
        for b in range(BINS):
            clear(one.bins[b])
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
    scenario: PackedScenario,
    steps: np.ndarray,
    run: Run,
    work: Work,
    now_s: float,
    left: float,
    window_bytes: float,
    window_end_s: float,
) -> float:
    """Come to the next part of a piece whose pages cost alike; say what they are, return how many there are."""
    run.now_s = now_s
    if run.stopped_s == 0.0:
        guest.count_writes(scenario, steps, run, work)
        run.turns += scenario.class_count
    leave(scenario, run, work, 0.0)
    run.zero_share = run.difference_share = 0.0
    head, i, page, number = int(run.head), int(run.at_piece), run.at_page, 1
    while i < int(run.pieces):
        at = work.pieces[(head + i) & LAST_PIECE]
        number = ring.width(scenario, work, head + i, int(run.pieces) - i)
        page = max(page, at.first_page)
        if ring.pending(work, head + i, number) > 0.0 and at.first_page + at.pages - page > SLIVER_PAGES:
            break
        i += number
        page = -1.0
    run.at_piece = i
    if i == int(run.pieces):
        return left
    segment, share, end = int(at.segment), _share(work, head + i, number), at.first_page + at.pages
    run.run_segment, run.run_width = segment, number
    if segment < int(scenario.class_count):
        end = _cut(scenario, steps, run, work, head + i, page, end, share, window_bytes, window_end_s)
    else:
        _price(scenario, run, work, head + i, page, end)
    run.at_page = end
    run.run_pages = (end - page) * share
    return float(run.run_pages)


@lean
def _share(work: Work, i: int, number: int) -> float:
    """Return the pending pages of pieces that lie interleaved, for each page of the first; set whose they are."""
    pieces = work.pieces
    size = pieces[i & LAST_PIECE].pages
    total = 0.0
    for k in range(i, i + number):
        at = pieces[k & LAST_PIECE]
        total += at.pages / size * at.share
    for k in range(i, i + number):
        at = pieces[k & LAST_PIECE]
        work.segments[int(at.segment)].run_share = at.pages / size * at.share / total
    return total


@lean
def _cut(
    scenario: PackedScenario,
    steps: np.ndarray,
    run: Run,
    work: Work,
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
    size = work.segments[c].pages / BINS
    end = min(end, (np.floor(page / size + 1e-9) + 1.0) * size)
    if work.segments[c].blank > 0.0 and work.segments[c].kind == dirty.SWEEP:
        end = _edge(work.segments[c], page, end)
    classes = min(int(scenario.class_count), c + int(run.run_width))
    for k in range(c, classes):
        work.segments[k].run_writes = written(work.segments[k])
    _price(scenario, run, work, piece, page, end)
    if run.stopped_s == 0.0:
        begin_s, room = run.now_s, run.quota_pages - window_bytes / run.wire_bytes
        if room <= SLIVER_PAGES:
            begin_s, room = max(run.now_s, window_end_s), run.quota_pages
        end = min(end, page + max(room / share, size / PARTS))
        pages = (end - page) * share
        lasts_s = pages * run.page_s if pages <= room else pages * max(run.page_s, run.window_s / run.quota_pages)
        middle_s = begin_s + 0.5 * lasts_s
        for k in range(c, classes):
            work.segments[k].run_writes += guest.writes_until(scenario, steps, run, work, k, middle_s)
        _price(scenario, run, work, piece, page, end)
    return end


@lean
def _edge(one: Segment, page: float, end: float) -> float:
    """Return the first page behind ``page`` at which what a sweep has written begins or ends, at most ``end``."""
    start = one.start_pages
    stop = start + np.floor(written(one))
    wrapped = stop - one.pages
    for edge in (start, stop, wrapped):
        if edge > page + SLIVER_PAGES:
            end = min(end, edge)
    return end


@lean
def written(one: Segment) -> float:
    """Return what a class has written so far."""
    return float(one.tally.synced_writes + one.new_writes)


@lean
def _bin(one: Segment, page: float) -> Bin:
    """Return the bin of a page."""
    return one.bins[min(BINS - 1, int(page / (one.pages / BINS)))]


@lean
def _before(run: Run, one: Segment, page: float) -> Visit:
    """Return what passes before this one left of a page's bin."""
    found = _bin(one, page)
    return found.older if found.last.pass_number == run.pass_number else found.last


@lean
def _price(scenario: PackedScenario, run: Run, work: Work, piece: int, page: float, end: float) -> None:
    """Say which part of a run's pages is zero, which goes as differences, and what those cost."""
    run.zero_share = run.difference_share = run.difference_bytes = 0.0
    for i in range(piece, piece + int(run.run_width)):
        at = work.pieces[i & LAST_PIECE]
        c = int(at.segment)
        one = work.segments[c]
        if c > int(scenario.class_count):
            run.zero_share += one.run_share
        if c >= int(scenario.class_count) or at.share == 0.0:
            continue
        each = one.pages / work.segments[int(run.run_segment)].pages
        zero = 0.0
        if one.blank + one.zero_share > 0.0:
            zero = zero_share(scenario, one, page * each, end * each, at.share, one.run_writes)
            run.zero_share += one.run_share * zero
        if scenario.xbzrle_pages > 0.0 and run.pass_number > FIRST_KEPT:
            part, cost = _differ(scenario, run, one, 0.5 * (page + end) * each, at.share)
            part *= one.run_share * (1.0 - zero)
            if part > 0.0:
                run.difference_share += part
                run.difference_bytes += (cost - run.difference_bytes) * part / run.difference_share
    run.zero_share = min(run.zero_share, 1.0)  # a sum of shares may be a little more
    price(scenario, run)


@lean
def price(scenario: PackedScenario, run: Run) -> None:
    """Set what a page of the run costs in the mean over zero pages, differences and full pages."""
    speed = min(run.most_bytes_per_s, run.path_bytes_per_s)
    zero, different = run.zero_share, run.difference_share
    full = 1.0 - zero - different
    full_bytes, zero_bytes, short_bytes = scenario.page_wire_bytes, scenario.zero_wire_bytes, run.difference_bytes
    wire_bytes, page_s = full * full_bytes, full * max(full_bytes / speed, scenario.page_cpu_s)
    quota_bytes = 0.0
    if zero < 1.0:
        quota_bytes += (1.0 - zero) * run.normal_quota_pages * full_bytes
    if zero > 0.0:
        wire_bytes += zero * zero_bytes
        page_s += zero * max(zero_bytes / speed, scenario.zero_cpu_s)
        quota_bytes += zero * run.zero_quota_pages * zero_bytes
    if different > 0.0:
        wire_bytes += different * short_bytes
        page_s += different * max(short_bytes / speed, scenario.page_cpu_s + scenario.xbzrle_cpu_s)
    run.wire_bytes = wire_bytes
    run.quota_pages = quota_bytes / wire_bytes
    run.page_s = page_s
    run.full_bytes_per_s = quota_bytes / run.window_s


@lean
def zero_share(
    scenario: PackedScenario, one: PackedClass, page: float, end: float, share: float, writes: float
) -> float:
    """Return which share of the pending pages between two of a region is zero.

    Those are that were never written, and of the others the class's share.
    """
    never = _never(scenario, one, page, end, share, writes) if one.blank > 0.0 else 0.0
    return never + (1.0 - never) * one.zero_share


@lean
def _never(scenario: PackedScenario, one: PackedClass, page: float, end: float, share: float, writes: float) -> float:
    """Return which share of the pending pages between two of a region was never written.

    Of a random class ``exp(-n / W)`` were never written, ``n`` writes to ``W`` pages. Those that are not pending were
    sent, and their block of ``g`` pages was not written since the sync before: a page of it was not with the odds
    ``(1 - p)^(1 / g)`` of that, so that ``(1 - p)^(1 - 1 / g)`` of those never written are not pending.
    """
    pages = one.pages
    if one.kind == dirty.SWEEP:
        start = one.start_pages
        stop = start + np.floor(writes)
        if stop - start >= pages:
            return 0.0
        if one.most_writes < np.inf:
            start = 0.0  # what a growth had written by its start is not zero
        over = max(0.0, min(end, stop) - max(page, start)) + max(0.0, min(end, stop - pages) - page)
        return max(0.0, 1.0 - over / (end - page))
    if share >= 1.0:
        return math.exp(-writes / pages)
    never = math.exp(-writes / pages)
    pending = never * (1.0 - (1.0 - share) ** (1.0 - 1.0 / scenario.grain_pages)) / share
    return min(never, pending)  # of a tiny share, rounding may leave more


@lean
def _differ(scenario: PackedScenario, run: Run, one: Segment, page: float, share: float) -> tuple[float, float]:
    """Return which part of a class's pages goes as differences, and what these cost in the mean."""
    tally, visit = one.tally, _before(run, one, page)
    ever, sent = visit.remembered_share, min(1.0, visit.sent_share)
    if ever <= 0.0 or tally.ever_share <= 0.0:
        return 0.0, 0.0
    kept = min(1.0, tally.held_share / tally.ever_share)  # of those that the cache may hold
    if one.kind == dirty.SWEEP:
        kept *= 1.0 if _last_write(one, page, tally.synced_writes) > 0.0 else 0.0
    recent, earlier = min(ever, sent) * kept, max(0.0, ever - sent) * kept
    cost = recent * _mean_bytes(scenario, one, page, share, visit.sent_writes)
    cost += earlier * _mean_bytes(scenario, one, page, share, visit.sync_writes)
    part = recent + earlier
    if part <= 0.0:
        return 0.0, 0.0
    return part, min(scenario.page_wire_bytes, max(LEAST_BYTES, cost / part))


@lean
def _last_write(one: Segment, page: float, writes: float) -> float:
    """Return the number of a sweep's last write but one to a page; at most 0: there was none."""
    return float(writes - (one.start_pages + writes - page) % one.pages - one.pages)


@lean
def _mean_bytes(scenario: PackedScenario, one: Segment, page: float, share: float, since: float) -> float:
    """Return what a pending page costs in the mean, as the difference from what was sent ``since``."""
    pages, writes = one.pages, one.run_writes
    if one.kind == dirty.SWEEP:
        last = _last_write(one, page, writes) + pages
        number = 0.0 if last <= since else 1.0 + np.floor((last - since) / pages)
        return float(differences.hit_bytes(scenario, one, number))
    byte, behind = differences.rewritten(one)
    recent = (writes - one.tally.synced_writes) / pages
    ago = (writes - since) / pages
    same = max(0.0, math.exp(-ago) - (1.0 - share) * math.exp(-recent))
    kept = math.exp(-ago * byte) - (1.0 - share) * math.exp(-recent * byte) - same
    apart = math.exp(-ago * behind) - (1.0 - share) * math.exp(-recent * behind) - same
    cost = same * scenario.xbzrle_same_bytes
    return float(cost + differences.changed_bytes(scenario, one, share - same, kept, apart)) / share


@lean
def leave(scenario: PackedScenario, run: Run, work: Work, left_pages: float) -> None:
    """Count what was sent of the present run, all but ``left_pages``."""
    segment = int(run.run_segment)
    passed = run.run_pages - left_pages
    run.run_segment = -1.0
    if segment < 0 or passed <= 0.0:
        return
    run.difference_pages += passed * run.difference_share
    run.saved_bytes += passed * run.difference_share * (scenario.page_wire_bytes - run.difference_bytes)
    segments = work.segments
    for c in range(segment, min(int(scenario.class_count), segment + int(run.run_width))):
        one = segments[c]
        page = run.at_page * (one.pages / segments[segment].pages) - SLIVER_PAGES
        _tally(run, one, page, passed * one.run_share)


@lean
def _tally(run: Run, one: Segment, page: float, passed: float) -> None:
    """Count what was sent of a class within the bin of a page."""
    if passed <= 0.0:
        return
    tally, found = one.tally, _bin(one, page)
    tally.passed_pages += passed
    visit = found.last
    part = passed * BINS / one.pages
    if visit.pass_number != run.pass_number:
        assign(found.older, visit)
        visit.pass_number = run.pass_number
        visit.sent_share = visit.sent_writes = 0.0
        visit.sync_writes = tally.synced_writes
    both = visit.sent_share + part
    visit.sent_writes += (one.run_writes - visit.sent_writes) * part / both
    visit.sent_share = both
    if run.pass_number >= FIRST_KEPT:
        visit.remembered_share = with_share(found.older.remembered_share, both, one.kind == dirty.SWEEP)


@lean
def end_pass(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work) -> None:
    """Close the books of a pass, before its sync."""
    guest.count_writes(scenario, steps, run, work)
    leave(scenario, run, work, run.ahead_pages)
    close(scenario, run, work)
    segments = work.segments
    for c in range(int(scenario.class_count)):
        tally = segments[c].tally
        tally.synced_writes += segments[c].new_writes
