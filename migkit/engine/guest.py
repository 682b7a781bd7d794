"""What the guest does between two syncs, class by class, in expectation."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.engine import dirty, phases, ring, slices
from migkit.engine.records import PackedScenario, Run, Segment, Work
from migkit.engine.run_state import LAST_PIECE, LAST_SEGMENT, NOTHING, at_least
from migkit.jit import inlined, lean

__all__ = ["count_writes", "dirty_rate", "mark", "order", "writes_until"]

MOST_TURNS: Final = 20
NEAR: Final = 1e-9


@inlined
def mark(scenario: PackedScenario, steps: np.ndarray | None, run: Run, work: Work) -> float:
    """Move what was written since the last sync to the pending pages; return how many it adds."""
    plain_s = 0.0
    if steps is None or (run.is_plain > 0.0 and run.throttle == 0.0):
        plain_s = at_least(run.now_s - run.counted_s, 0.0)
        run.counted_s = run.now_s
    else:
        count_writes(scenario, steps, run, work)
    head, count = _turn(scenario, run, work)
    if count > run.most_pieces:
        ring.make_room(scenario, run, work)
        count = int(run.pieces)
    pieces, segments, classes = work.pieces, work.segments, int(scenario.class_count)
    for c in range(classes):
        one = segments[c]
        writes = one.writes_per_s * plain_s
        if steps is not None:
            writes += one.new_writes
            one.new_writes = 0.0
        if one.kind == dirty.SWEEP:
            ring.mark_sweep(scenario, run, work, c, writes)
            count = int(run.pieces)
            one.newly_dirty = 0.0
        else:
            one.newly_dirty = dirty.newly_dirty(dirty.RANDOM, one.pages, writes, scenario.grain_pages)
    left = 0.0
    for i in range(head, head + count):
        piece = pieces[i & LAST_PIECE]
        c = int(piece.segment) & LAST_SEGMENT
        share = piece.share
        if c < classes:
            share += (1.0 - share) * segments[c].newly_dirty
            piece.share = share
        left += piece.pages * share
    if run.zero_pages < scenario.zero_pages - NOTHING and run.mixed == 0.0:
        ring.first_run(scenario, run, work)
    elif run.zero_share == 0.0:
        run.ahead_pages = left
    marked = left - run.left_pages
    run.left_pages = left
    return at_least(marked, 0.0)


@inlined
def _turn(scenario: PackedScenario, run: Run, work: Work) -> tuple[int, int]:
    """Turn the ring by the pages that were sent; those that may be written again go behind the last piece.

    Return its head and how many pieces it has.
    """
    pieces, classes, woven = work.pieces, scenario.class_count, scenario.first_woven
    passed = run.passed_pages
    run.passed_pages = 0.0
    head, count = int(run.head) & LAST_PIECE, int(run.pieces)
    ahead = count
    while ahead > 0 and passed > NOTHING:
        at = pieces[head]
        segment, pages, first_page = at.segment, at.pages, at.first_page
        if segment >= woven:
            width = ring.width(scenario, work, head, ahead)
            head, count, passed = ring.turn_woven(classes, work, head, count, width, passed)
            ahead -= width
            continue
        ahead -= 1
        pending = pages * at.share
        if pending > passed + NOTHING:
            pages *= passed / pending
            at.pages -= pages
            at.first_page += pages
            passed = 0.0
        else:
            passed -= pending
            head = (head + 1) & LAST_PIECE
            count -= 1
        if segment < classes:
            last = pieces[(head + count - 1) & LAST_PIECE]
            if count > 0 and last.segment == segment and last.share == 0.0 and last.first_page < first_page:
                last.pages += pages
            else:
                last = pieces[(head + count) & LAST_PIECE]
                last.segment, last.pages, last.share, last.first_page = segment, pages, 0.0, first_page
                count += 1
    run.head, run.pieces = head, count
    return head, count


@inlined
def count_writes(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work) -> None:
    """Add to each class what it wrote since the last count.

    A throttle of ``p`` leaves the guest ``(1 - p) x capacity`` in the mean of its slices; it loses progress only
    when its demand is more. The first write to a page after a sync costs a guest that runs flat out
    ``write_fault_s`` more.
    """
    change_s = slices.change_s(scenario.throttle_slice_s, run.slices, run.throttle, run.counted_s)
    if change_s <= run.now_s:
        _count_until(scenario, steps, run, work, change_s)
        slices.take_over(run.slices, run.throttle, change_s)
    _count_until(scenario, steps, run, work, run.now_s)


@inlined
def order(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work, throttle: float) -> None:
    """Order a throttle; it takes over at once, or with the next sleep of the one in force."""
    count_writes(scenario, steps, run, work)
    run.throttle = throttle
    if slices.change_s(scenario.throttle_slice_s, run.slices, throttle, run.now_s) <= run.now_s:
        slices.take_over(run.slices, throttle, run.now_s)


@lean
def _count_until(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work, until_s: float) -> None:
    """Add to each class what it wrote since the last count, under the throttle in force."""
    span_s = until_s - run.counted_s
    if span_s <= 0.0:
        return
    throttle = run.slices.throttle
    classes = int(scenario.class_count)
    share = evenly = 1.0
    if throttle > 0.0:
        evenly = _evenly(scenario, run, until_s)
    if throttle > 0.0 or scenario.write_fault_s > 0.0:
        share = _progress(scenario, steps, run, work, until_s, evenly)
    for c in range(classes):
        one = work.segments[c]
        writes = share * _wanted(one, steps, run, until_s, evenly)
        if one.most_writes < np.inf:
            one.made_writes += writes
        one.new_writes += writes
    run.lost_s += (1.0 - share) * evenly * span_s
    if throttle > 0.0:
        run.degraded_s += span_s
    run.counted_s = until_s


@lean
def writes_until(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work, c: int, until_s: float) -> float:
    """Return what a class will write from the last count on, as throttled as the guest is now."""
    evenly = _evenly(scenario, run, until_s) if run.slices.throttle > 0.0 else 1.0
    writes = _wanted(work.segments[c], steps, run, until_s, evenly)
    if run.slices.throttle == 0.0 or writes <= 0.0:
        return float(writes)
    return float(writes * _progress(scenario, steps, run, work, until_s, evenly))


@lean
def _wanted(one: Segment, steps: np.ndarray, run: Run, until_s: float, evenly: float) -> float:
    """Return the writes that a class wants to make from the last count on, ``evenly`` times those of the span."""
    writes = evenly * one.writes_per_s * phases.active_s(one, steps, run.counted_s, until_s)
    return float(min(writes, one.most_writes - one.made_writes))


@lean
def _evenly(scenario: PackedScenario, run: Run, until_s: float) -> float:
    """Return what a guest that runs in slices does from the last count on, over what it does in their mean."""
    span_s = until_s - run.counted_s
    if span_s <= 0.0:
        return 1.0
    slice_s = scenario.throttle_slice_s
    return float(slices.even_s(slice_s, run.slices, run.counted_s, until_s) / span_s)


@lean
def _progress(
    scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work, until_s: float, evenly: float
) -> float:
    """Return the share of its demand that the guest gets done.

    It is the share ``s`` at which its writes take the time ``T`` that the throttle leaves it, at most 1:
    ``s D / C + w F(s D) = T``, with ``D`` the writes it wants to make, ``C`` those of a second flat out, ``F`` the
    first ones to a page after a sync, and ``w = write_fault_s``. ``F`` is concave, so that Newton's steps come near
    from below.
    """
    span_s = evenly * (until_s - run.counted_s)
    if span_s <= 0.0:
        return 1.0
    left_s = span_s * (1.0 - run.slices.throttle)
    classes, fault_s = int(scenario.class_count), scenario.write_fault_s
    demand = 0.0
    for c in range(classes):
        demand += _wanted(work.segments[c], steps, run, until_s, evenly)
    if demand <= 0.0:
        return 1.0
    each_s = 1.0 / scenario.capacity_writes_per_s if scenario.capacity_writes_per_s > 0.0 else span_s / demand
    share = left_s / (demand * each_s)
    if fault_s <= 0.0 or left_s <= 0.0:
        return min(1.0, share)
    share = left_s / (demand * (each_s + fault_s))
    for _ in range(MOST_TURNS):
        spent_s, grows_s = share * demand * each_s, demand * each_s
        for c in range(classes):
            one = work.segments[c]
            writes = _wanted(one, steps, run, until_s, evenly)
            faults, more = _faults(one, scenario.grain_pages, share * writes)
            spent_s += fault_s * faults
            grows_s += fault_s * more * writes
        further = (left_s - spent_s) / grows_s
        share += further
        if share >= 1.0 or further < NEAR * share:
            break
    return min(1.0, share)


@lean
def _faults(one: Segment, grain_pages: float, writes: float) -> tuple[float, float]:
    """Return how many of a class's next writes are the first to their block since the sync, and of one more write."""
    kind, pages = int(one.kind), one.pages
    before = dirty.newly_dirty(kind, pages, one.new_writes, grain_pages)
    after = dirty.newly_dirty(kind, pages, one.new_writes + writes, grain_pages)
    faults = (after - before) * pages / grain_pages
    if kind == dirty.SWEEP:
        return faults, 1.0 / grain_pages if after < 1.0 else 0.0
    return faults, 1.0 - after


@lean
def dirty_rate(scenario: PackedScenario, steps: np.ndarray, run: Run, work: Work) -> float:
    """Return the distinct pages that the guest wrote in the last second, as throttled as it is now."""
    demand = 0.0
    for c in range(int(scenario.class_count)):
        demand += _last_second(work.segments[c], steps, run)
    if demand <= 0.0:
        return 0.0
    capacity = scenario.capacity_writes_per_s if scenario.capacity_writes_per_s > 0.0 else demand
    share = min(1.0, (1.0 - run.throttle) * capacity / demand)
    distinct = 0.0
    for c in range(int(scenario.class_count)):
        one = work.segments[c]
        writes = share * _last_second(one, steps, run)
        distinct += one.pages * dirty.newly_dirty(int(one.kind), one.pages, writes, 1.0)
    return distinct


@lean
def _last_second(one: Segment, steps: np.ndarray, run: Run) -> float:
    """Return the writes that a class wanted to make in the last second."""
    rate = 0.0 if one.made_writes >= one.most_writes else float(one.writes_per_s)
    count = int(one.phase_count)
    if count == 0:
        return rate
    first = int(one.first_phase)
    offset_s = one.phase_offset_s
    before = dirty.intensity_s(steps, first, count, offset_s, run.now_s - 1.0)
    return rate * max(0.0, float(dirty.intensity_s(steps, first, count, offset_s, run.now_s) - before))
