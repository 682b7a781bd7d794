"""The guests that the rounds of a migration allow.

Rounds of unlike length give the page classes (:mod:`migkit.calibrate.guest.curve`). Rounds that are all alike give
one window, through which a family of guests goes (:mod:`migkit.calibrate.guest.readings`). How busy the guest is now
follows from what its last rounds marked over what the classes say. How much that varies follows from the spread of
these ratios. A throttle either slows a guest in full, if it runs flat out, or not at all, if it has time to spare:
whichever tells the rounds better.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from migkit.calibrate.guest import readings
from migkit.calibrate.guest.curve import fit_curve
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.guest.rounds import Observed, Round
from migkit.models.dirty import unique_dirty_pages
from migkit.models.spread.lattice import normals
from migkit.scenario import DirtyClass, Guest
from migkit.units import PAGE_BYTES

__all__ = ["DRAWS", "Candidate", "candidates"]

DRAWS: Final = 17
_APART: Final = 2.0  # windows must differ by this factor to say how the curve bends
_LATEST: Final = 5  # rounds that say how busy the guest is now
_LEAST_SPREAD: Final = 0.03  # of what a guest writes from one round to the next
_POINTS: Final = 5  # at which a curve is taken over where it is known
_SHORTER: Final = 0.25  # of the shortest window that was seen
_SATURATED: Final = 0.98  # of its pages that a set is written in a window so short, if it is written over and over
_OF_PROFILE: Final = 0.1  # of what a guest writes from the time of its profile to that of its migration
_REMEMBERED: Final = 20  # rounds that say which guest tells them best
_SPARE: Final = 100.0  # times its demand: what a guest could write that no throttle slows
_RATIOS: Final = (0.05, 20.0)


class Candidate(NamedTuple):
    """A guest, and the share of each of its page classes that is to be sent after the last sync."""

    guest: Guest
    shares: tuple[float, ...]


def candidates(observed: Observed | None, memory_bytes: int, profiled: Guest | None = None) -> list[Candidate]:
    """Return the guests that may be this one, the central one first; none where nothing is known.

    Parameters
    ----------
    observed
        The rounds so far; None: the counters tell none.
    memory_bytes
        What the source sends in the first pass [B].
    profiled
        The guest as it was measured before the move; its page classes are taken instead of fitted ones.

    Examples
    --------
    >>> alike = [Round(start_s=at, window_s=1.0, window_error_s=0.01, marked_pages=900, to_send_pages=1000,
    ...                pending_pages=100) for at in range(3)]
    >>> observed = Observed(memory_bytes=2**28, zero_pages=0, rounds=tuple(alike), first_pass=True)
    >>> found = candidates(observed, 2**28)
    >>> len(found) > DRAWS, candidates(None, 2**28)
    (True, [])
    """
    seen = _in_full(observed)
    if profiled is not None and profiled.dirty:
        return _around(_better([(profiled, True), (profiled, False)], seen), seen, _OF_PROFILE)
    if observed is None or not seen:
        return []
    zero = 0 if math.isnan(observed.zero_pages) else int(observed.zero_pages) * PAGE_BYTES
    zero = min(zero, memory_bytes - PAGE_BYTES)
    windows = sorted(one.window_s for one in seen)
    if windows[-1] < _APART * windows[0]:
        return _of_one_window(seen, memory_bytes, zero)
    limit = (memory_bytes - zero) / PAGE_BYTES
    fitted = [
        (Guest(memory_bytes=memory_bytes, dirty=fit_curve(seen, limit, _speeds(seen, slowed)).classes()), slowed)
        for slowed in _hypotheses(seen)
    ]
    central = _better(fitted, seen)
    return [
        one for guest in (central, *_below(central, windows, limit)) for one in _around(guest, seen, _LEAST_SPREAD)
    ]


def _below(guest: Guest, windows: Sequence[float], limit_pages: float) -> Iterator[Guest]:
    """Yield guests with the same curve at the windows that were seen, and its extremes at shorter ones.

    Of a window that is shorter than all of them nothing is known but that the curve is concave: between a set that is
    written over and over, and one that is never written twice.
    """
    shortest = windows[0]
    seen = np.geomspace(shortest, windows[-1], _POINTS).tolist()
    points = [Reading(window_s, min(unique_dirty_pages(guest, window_s), limit_pages)) for window_s in seen]
    for share in (_SATURATED, _SHORTER):
        short = Reading(shortest * _SHORTER, points[0].pages * share)
        classes = readings.through([short, *points], limit_pages)
        spare = guest.capacity_writes_per_s is not None
        demand = sum(one.writes_per_s for one in classes)
        capacity = _SPARE * demand if spare and demand > 0.0 else None
        yield dataclasses.replace(guest, dirty=classes, capacity_writes_per_s=capacity)


def _in_full(observed: Observed | None) -> list[Round]:
    """Return the rounds with those marks alone that are sent in full: an emptied page costs next to nothing."""
    if observed is None:
        return []
    kept = 1.0 - observed.zero_again
    return [dataclasses.replace(one, marked_pages=one.marked_pages * kept) for one in observed.rounds]


def _hypotheses(seen: Sequence[Round]) -> tuple[bool, ...]:
    """Return whether a throttle may slow the guest: where there was none, nothing tells."""
    return (True, False) if any(one.throttle for one in seen) else (True,)


def _speeds(seen: Sequence[Round], slowed: bool) -> list[float]:
    return [1.0 - one.throttle if slowed else 1.0 for one in seen]


def _better(guests: Sequence[tuple[Guest, bool]], seen: Sequence[Round]) -> Guest:
    """Return the guest that tells the rounds best; one that no throttle slowed has time to spare."""
    guest, slowed = min(guests, key=lambda pair: _misfit(pair[0], pair[1], seen))
    demand = guest.writes_per_s
    if slowed or demand <= 0.0 or guest.capacity_writes_per_s is not None:
        return guest
    return dataclasses.replace(guest, capacity_writes_per_s=_SPARE * demand)


def _misfit(guest: Guest, slowed: bool, seen: Sequence[Round]) -> float:
    ratios, _ = _told(guest, seen, slowed)
    return float(np.mean(np.abs(ratios[-_REMEMBERED:]))) if len(ratios) else 0.0


def _told(guest: Guest, seen: Sequence[Round], slowed: bool) -> tuple[list[float], tuple[float, ...]]:
    """Return what each round marked over what the guest says, as logarithms, and what is dirty after the last sync.

    A sync after ``w`` seconds marks ``P (1 - q) (1 - exp(-x w))`` of a class of ``P`` pages that are written ``x``
    times a second each, of which the share ``q`` was still pending.
    """
    pages = np.array([one.region_pages for one in guest.dirty], float)
    rates = np.array([one.writes_per_s for one in guest.dirty]) / np.maximum(pages, 1.0)
    sweeps = np.array([one.kind == "sweep" for one in guest.dirty], bool)
    dirty, ratios = np.ones(pages.size), []
    for one, speed in zip(seen, _speeds(seen, slowed), strict=True):
        pending = dirty * min(1.0, one.pending_pages / max(1.0, one.to_send_pages))
        written = rates * one.window_s * speed
        newly = (1.0 - pending) * np.where(sweeps, np.minimum(1.0, written), -np.expm1(-written))
        ratio = max(one.marked_pages, 1.0) / max(float((newly * pages).sum()), 1.0)
        ratios.append(math.log(min(max(ratio, _RATIOS[0]), _RATIOS[1])))
        dirty = pending + newly
    return ratios, tuple(dirty.tolist())


def _of_one_window(seen: Sequence[Round], memory_bytes: int, zero_bytes: int) -> list[Candidate]:
    """Return the guests that fit rounds which were all alike, those between the extremes first."""
    latest = seen[-_LATEST:]
    pages = float(np.median([one.marked_pages + min(one.pending_pages, one.marked_pages) for one in latest]))
    window_s = float(np.median([one.window_s for one in latest]))
    most = (memory_bytes - zero_bytes) / PAGE_BYTES
    family = [one.guest for one in readings.family(Reading(window_s, min(pages, most)), memory_bytes, zero_bytes)]
    middle = family.pop(len(family) // 2)
    found = []
    for member in (middle, *family):
        whole = dataclasses.replace(member, zero_bytes=0)
        found += _around(_better([(whole, slowed) for slowed in _hypotheses(seen)], seen), seen, _LEAST_SPREAD)
    return found


def _around(guest: Guest, seen: Sequence[Round], least: float) -> list[Candidate]:
    """Return a guest as busy as its last rounds were, and others that write somewhat more or less."""
    slowed = guest.capacity_writes_per_s is None
    ratios, shares = _told(guest, seen, slowed)
    busy, spread = 0.0, least
    if ratios:
        latest = np.array(ratios[-_LATEST:])
        busy = float(np.median(latest))
        spread = max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(latest - busy))))
    amounts = (0.0, *normals(DRAWS, 2, 1)[1:, 0].tolist())
    return [Candidate(_busier(guest, busy + spread * amount), shares) for amount in amounts]


def _busier(guest: Guest, amount: float) -> Guest:
    """Return a guest that marks ``exp(amount)`` times as many pages in any window, at most all of its memory."""
    pages = sum(one.region_pages for one in guest.dirty)
    most = (guest.memory_bytes - guest.zero_bytes) / PAGE_BYTES
    factor = min(math.exp(amount), most / pages) if pages else 1.0
    capacity = guest.capacity_writes_per_s
    return dataclasses.replace(
        guest,
        dirty=tuple(_larger(one, factor) for one in guest.dirty),
        capacity_writes_per_s=None if capacity is None else capacity * max(1.0, factor),
    )


def _larger(one: DirtyClass, factor: float) -> DirtyClass:
    pages = max(1, int(one.region_pages * factor))
    scale = pages / one.region_pages
    return dataclasses.replace(one, region_bytes=pages * PAGE_BYTES, writes_per_s=one.writes_per_s * scale)
