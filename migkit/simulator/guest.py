"""The guest of the page-level simulator: what every page holds, and writers that go page by page.

A class of random writers picks a page of its region uniformly for each write; a sweep goes
through its region in order and wraps. Writes are paced: ``rate x intensity x time`` of them,
fractions carried on. Their moments matter only where somebody looks, so they are made up
to the present whenever pages are sent or the bitmap is read.

A write changes what is known of its page only if that is *fresh*: not yet written since the last sync, or since
dirty-limit last counted. How many writes go to other pages before the next one to a fresh page is geometric,
``P(k) = (1 - f / W)^k f / W`` with ``f`` of ``W`` pages fresh, so these are drawn all at once. Each page is fresh
once between two syncs, which bounds the work whatever the rate. How often a page was written that is no longer
fresh is drawn when somebody asks, as XBZRLE alone does: of ``n`` writes each goes there with ``1 / W``, for each
page by itself; for a sweep it is counted. Whether a page holds nothing but zeros is drawn with the first of its
writes after a sync: later ones leave it zero as often.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from migkit.engine import dirty, slices
from migkit.engine.records import PackedScenario
from migkit.jit import assign, clear, lean
from migkit.simulator import steps as time_steps
from migkit.simulator.records import Guest, Writer

__all__ = ["catch_up", "class_of", "forget_touched", "is_fresh", "lay_out", "read_bitmap", "region", "write"]

# Bits of a page; above them stands how often it was written since it was sent
PENDING: Final = 1  # to be sent
DIRTY: Final = 2  # written since the last sync
BLANK: Final = 4  # holds nothing but zeros
TOUCHED: Final = 8  # written since dirty-limit last counted
STALE: Final = DIRTY | TOUCHED  # not fresh
ONE_WRITE: Final = 16
MOST_COUNTED: Final = 4095
JUST_SENT: Final = 14  # neither pending nor written
ALL_BUT_DIRTY: Final = 65533
ALL_BUT_BLANK: Final = 65531
ALL_BUT_TOUCHED: Final = 65527

TURN_S: Final = 0.001  # after which writers take turns when time is short
MOST_TURNS: Final = 100.0  # of a span in which no page is sent
PHASED_WORK: Final = 75.0  # to look up the phases at both ends of a span
WRITE_WORK: Final = 5.0  # to find out how many writes come before one that changes something
SHORT_S: Final = 1e-12  # of running time: too little for a write
MOST_WRITES: Final = 1e18  # of a span; more are not made, since they would change nothing
SELDOM: Final = 0.25  # share of fresh pages below which writes to others are drawn all at once


@lean
def lay_out(
    scenario: PackedScenario, classes: Any, pages: np.ndarray, guest: Guest, rng: np.random.Generator
) -> None:
    """Lay out regions, pages written once and zero pages in address order; all are to be sent."""
    clear(guest)
    at = 0
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        assign(one, classes[c])
        one.first_page = at
        one.cursor_pages = int(one.start_pages)
        one.fresh_pages = int(one.pages)
        at += int(one.pages)
    guest.region_pages = at
    normal = int(scenario.normal_pages)
    for i in range(pages.size):
        pages[i] = PENDING | BLANK if i >= at + normal else PENDING
    for c in range(int(scenario.class_count)):
        one = guest.writers[c]
        written = int(one.start_pages) if one.most_writes < np.inf else 0
        if one.blank > 0.0:
            first, size = region(one)
            for i in range(first + written, first + size):
                pages[i] = PENDING | BLANK
        if one.zero_share > 0.0:
            first, size = region(one)
            for i in range(first, first + size):
                if rng.random() < one.zero_share:
                    pages[i] = PENDING | BLANK


@lean
def class_of(scenario: PackedScenario, guest: Guest, page: int) -> Writer:
    """Return the class in whose region a page lies; that of the last region for a page behind all of them."""
    last = int(scenario.class_count) - 1
    for c in range(last):
        page -= int(guest.writers[c].pages)
        if page < 0:
            return guest.writers[c]
    return guest.writers[last]


@lean
def region(one: Writer) -> tuple[int, int]:
    """Return the first page of a class's region, and how many it has."""
    return int(one.first_page), int(one.pages)


@lean
def is_sweep(one: Writer) -> bool:
    """Return whether a class goes through its region in order."""
    return int(one.kind) == dirty.SWEEP


@lean
def is_fresh(flags: int) -> bool:
    """Return whether a write to a page of these flags would change what is known of it."""
    return flags & STALE != STALE


@lean
def read_bitmap(
    scenario: PackedScenario, pages: np.ndarray, counted: np.ndarray, guest: Guest, rng: np.random.Generator
) -> int:
    """Sync: make the pages written since the last sync pending; return how many were not pending before."""
    marked = 0
    written = int(guest.region_pages)
    guest.work += written / 8.0
    for i in range(written):
        if pages[i] & DIRTY:
            catch_up(scenario, pages, counted, guest, i, rng)
            if not pages[i] & PENDING:
                marked += 1
            pages[i] = (pages[i] | PENDING) & ALL_BUT_DIRTY
    _refresh(scenario, guest)
    return marked


@lean
def forget_touched(
    scenario: PackedScenario, pages: np.ndarray, counted: np.ndarray, guest: Guest, rng: np.random.Generator
) -> None:
    """Begin to count the pages anew that are written."""
    written = int(guest.region_pages)
    guest.work += written / 8.0
    guest.recent_pages = 0.0
    for i in range(written):
        catch_up(scenario, pages, counted, guest, i, rng)
        pages[i] &= ALL_BUT_TOUCHED
    _refresh(scenario, guest)


@lean
def _refresh(scenario: PackedScenario, guest: Guest) -> None:
    for c in range(int(scenario.class_count)):
        guest.writers[c].fresh_pages = guest.writers[c].pages


@lean
def catch_up(
    scenario: PackedScenario,
    pages: np.ndarray,
    counted: np.ndarray,
    guest: Guest,
    page: int,
    rng: np.random.Generator,
) -> None:
    """Count the writes to a page since it was fresh; without XBZRLE nobody asks for them."""
    if counted.size == 0 or is_fresh(pages[page]):
        return
    one = class_of(scenario, guest, page)
    since, now = counted[page], one.writes
    counted[page] = now
    if now <= since:
        return
    guest.work += 25.0
    if is_sweep(one):
        ahead = (page - one.first_page - one.start_pages) % one.pages
        count = math.floor((now - 1.0 - ahead) / one.pages) - math.floor((since - 1.0 - ahead) / one.pages)
    elif one.pages == 1.0 or now - since > 100.0 * MOST_COUNTED * one.pages:
        count = now - since
    else:
        count = float(rng.binomial(int(now - since), 1.0 / one.pages))
    room = MOST_COUNTED - (pages[page] >> 4)
    pages[page] += int(min(count, room)) * ONE_WRITE


@lean
def write(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    counted: np.ndarray,
    guest: Guest,
    until_s: float,
    rng: np.random.Generator,
) -> None:
    """Let the guest run until ``until_s``.

    A throttle of p leaves it ``(1 - p) x capacity`` in the mean of its slices. Tracking costs the first write to a
    page after a sync ``write_fault_s`` more. What it cannot do in time is lost, not made up for.
    """
    change_s = slices.change_s(scenario.throttle_slice_s, guest.slices, guest.throttle, guest.until_s)
    if change_s <= until_s:
        _write(scenario, steps, pages, counted, guest, change_s, rng)
        slices.take_over(guest.slices, guest.throttle, change_s)
    _write(scenario, steps, pages, counted, guest, until_s, rng)


@lean
def _write(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    counted: np.ndarray,
    guest: Guest,
    until_s: float,
    rng: np.random.Generator,
) -> None:
    """Let the guest run until ``until_s`` under the throttle in force."""
    from_s = guest.until_s
    span_s = until_s - from_s
    if span_s <= 0.0:
        return
    throttle = guest.slices.throttle
    classes = int(scenario.class_count)
    guest.work += 15.0 * classes
    if throttle > 0.0:
        guest.degraded_s += span_s
    if throttle <= 0.0 and scenario.write_fault_s <= 0.0:
        for c in range(classes):
            one = guest.writers[c]
            due = _due(steps, guest, one, from_s, until_s, 1.0)
            _make(scenario, pages, counted, guest, one, due, 0.0, np.inf, rng)
    else:
        number = _turns(scenario, guest, span_s)
        for i in range(number):
            end_s = from_s + span_s * (i + 1) / number
            _take_turns(scenario, steps, pages, counted, guest, from_s + span_s * i / number, end_s, i, rng)
    guest.until_s = until_s


@lean
def _turns(scenario: PackedScenario, guest: Guest, span_s: float) -> int:
    """Return how often writers take turns in a span; once when no write changes anything."""
    for c in range(int(scenario.class_count)):
        if guest.writers[c].fresh_pages > 0.0:
            return math.ceil(min(span_s / TURN_S, MOST_TURNS))
    return 1


@lean
def _take_turns(
    scenario: PackedScenario,
    steps: np.ndarray,
    pages: np.ndarray,
    counted: np.ndarray,
    guest: Guest,
    from_s: float,
    to_s: float,
    turn: int,
    rng: np.random.Generator,
) -> None:
    """Make the writes of a short span while its running time lasts; classes take turns to be first."""
    classes = int(scenario.class_count)
    guest.work += 60.0 * classes
    demand, evenly = 0.0, 1.0
    if guest.slices.throttle > 0.0:
        even_s = slices.even_s(scenario.throttle_slice_s, guest.slices, from_s, to_s)
        evenly = even_s / (to_s - from_s)
    for c in range(classes):
        demand += _wanted(steps, guest.writers[c], from_s, to_s)
    if demand <= 0.0:
        return
    write_s = (to_s - from_s) / demand
    if scenario.capacity_writes_per_s > 0.0:
        write_s = 1.0 / scenario.capacity_writes_per_s
    budget_s = (to_s - from_s) * evenly * (1.0 - guest.slices.throttle) - guest.overdrawn_s
    lost = 0.0
    for k in range(classes):
        one = guest.writers[(turn + k) % classes]
        count = _due(steps, guest, one, from_s, to_s, evenly)
        left, budget_s = _make(scenario, pages, counted, guest, one, count, write_s, budget_s, rng)
        lost += left
    guest.overdrawn_s = max(0.0, -budget_s)
    guest.lost_s += (to_s - from_s) * lost / demand


@lean
def _wanted(steps: np.ndarray, one: Writer, from_s: float, to_s: float) -> float:
    """Return how many writes a class wants to make in a span."""
    active = to_s - from_s
    if one.phase_count > 0.0:
        active = time_steps.active_s(steps, one, to_s) - time_steps.active_s(steps, one, from_s)
    return float(min(one.writes_per_s * max(active, 0.0), MOST_WRITES))


@lean
def _due(steps: np.ndarray, guest: Guest, one: Writer, from_s: float, to_s: float, evenly: float) -> float:
    """Return the whole writes that are due, ``evenly`` times those of the span, and carry the fraction on."""
    if one.phase_count > 0.0:
        guest.work += PHASED_WORK
    wanted = one.carried_writes + evenly * _wanted(steps, one, from_s, to_s)
    count = float(math.floor(wanted))
    one.carried_writes = wanted - count
    return float(min(count, one.most_writes - one.writes))


@lean
def _make(
    scenario: PackedScenario,
    pages: np.ndarray,
    counted: np.ndarray,
    guest: Guest,
    one: Writer,
    left: float,
    write_s: float,
    budget_s: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Make ``left`` writes of a class while running time lasts; return how many are left, and the time."""
    while left >= 1.0 and budget_s > SHORT_S:
        vain = _in_vain(pages, guest, one, left, rng)
        guest.work += WRITE_WORK
        if write_s > 0.0:
            vain = min(vain, math.ceil((budget_s - SHORT_S) / write_s))
        left -= vain
        budget_s -= vain * write_s
        one.writes += vain
        if left < 1.0 or budget_s <= SHORT_S:
            _turn(one, vain)
            break
        _turn(one, vain + 1.0)
        one.writes += 1.0
        faulted = _write_page(scenario, pages, counted, guest, one, int(one.fresh_page))
        if one.zero_share > 0.0 and rng.random() < one.zero_share:
            pages[int(one.fresh_page)] |= BLANK
        left -= 1.0
        budget_s -= write_s + faulted * scenario.write_fault_s
    return left, budget_s


@lean
def _turn(one: Writer, writes: float) -> None:
    """Move a sweep on; random writers stand nowhere."""
    one.cursor_pages = (one.cursor_pages + writes) % one.pages


@lean
def _in_vain(pages: np.ndarray, guest: Guest, one: Writer, most: float, rng: np.random.Generator) -> float:
    """Return how many writes, up to ``most``, come before the next one to a fresh page; set which that is."""
    fresh = one.fresh_pages
    first, size = region(one)
    if fresh <= 0.0:
        return most
    vain = 0.0
    if is_sweep(one):
        at = int(one.cursor_pages)
        while vain < most and not is_fresh(pages[first + at]):
            at = at + 1 if at + 1 < size else 0
            vain += 1.0
        one.fresh_page = first + at
        guest.work += vain + 1.0
        return vain
    seldom = fresh < SELDOM * size
    if seldom:
        vain = float(math.floor(math.log(1.0 - rng.random()) / math.log1p(-fresh / size)))
    while vain < most:
        page = first + int(rng.random() * size)
        guest.work += 1.0
        if is_fresh(pages[page]):
            one.fresh_page = page
            return vain
        if not seldom:
            vain += 1.0
    return most


@lean
def _write_page(
    scenario: PackedScenario, pages: np.ndarray, counted: np.ndarray, guest: Guest, one: Writer, page: int
) -> int:
    """Make one write to a fresh page; return 1 if tracking sees its block for the first time since the sync."""
    if not pages[page] & TOUCHED:
        pages[page] |= TOUCHED
        guest.recent_pages += 1.0
    pages[page] &= ALL_BUT_BLANK
    if pages[page] >> 4 < MOST_COUNTED:
        pages[page] += ONE_WRITE
    counts = counted.size > 0
    if counts:
        counted[page] = one.writes
    if pages[page] & DIRTY:
        one.fresh_pages -= 1.0
        return 0
    grain = int(scenario.grain_pages)
    first, size = region(one)
    block = first + (page - first) // grain * grain
    for i in range(block, min(block + grain, first + size)):
        if not pages[i] & DIRTY:
            pages[i] |= DIRTY
            one.fresh_pages -= (pages[i] & TOUCHED) != 0
            if counts:
                counted[i] = one.writes
    return 1
