"""The guests that the rounds of a migration allow.

The rounds so far rarely tell just one guest. So guests are drawn from a grid of those that may be
(:mod:`migkit.calibrate.forecast.shapes`), each as often as it is probable by the rounds. How busy a guest is now
follows from what its last rounds marked over what its classes say. How much that varies follows from the spread of
these ratios. A throttle either slows a guest in full, if it runs flat out, or not at all, if it has time to spare.
Before the first throttle both are as probable.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.calibrate.forecast.extents import extended
from migkit.calibrate.forecast.lattice import normals
from migkit.calibrate.forecast.shapes import Shapes, grid
from migkit.calibrate.guest.rounds import Observed, Round
from migkit.models.midway import Pass
from migkit.scenario import DirtyClass, Guest
from migkit.units import PAGE_BYTES

__all__ = ["DRAWS", "SAMPLES", "Candidate", "candidates", "passes", "written_pages"]

DRAWS: Final = 17
SAMPLES: Final = 61
_LATEST: Final = 10  # rounds that say how busy the guest is now
_LEAST_SPREAD: Final = 0.03  # of what a guest writes from one round to the next
_TELLS: Final = 0.06  # to which page classes tell what a round marks
_TAIL: Final = 4.0  # degrees of freedom of Student's t: a round may be of a burst
_TURNS: Final = 4
_NEGLIGIBLE: Final = 1e-3  # of the weight of the likeliest guest
_OF_PROFILE: Final = 0.1  # of what a guest writes from the time of its profile to that of its migration
_CONTRADICTED: Final = 0.5  # of what a profile says, as logarithm: then the rounds are believed
_REMEMBERED: Final = 20  # rounds that say which guest tells them best
_SPARE: Final = 100.0  # times its demand: what a guest could write that no throttle slows
_RATIOS: Final = (0.05, 20.0)


class Candidate(NamedTuple):
    """A guest, and the share of each of its page classes that is to be sent after the last sync."""

    guest: Guest
    shares: tuple[float, ...]


def candidates(
    observed: Observed | None,
    memory_bytes: int,
    profiled: Guest | None = None,
    throttles: bool = False,
    seen_s: float = math.inf,
    shortest_s: float = math.inf,
) -> list[Candidate]:
    """Return the guests that may be this one, the central one first; none where nothing is known.

    Parameters
    ----------
    observed
        The rounds so far; None: the counters tell none.
    memory_bytes
        What the source sends in the first pass [B].
    profiled
        The guest as it was measured; its page classes are taken instead of fitted ones.
    throttles
        Whether the rule may throttle the guest.
    seen_s
        For how long it was measured [s]. What it wrote page after page until then may go on.
    shortest_s
        The shortest window to come [s].

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
        guests = [_better([(one, True), (one, False)], seen) for one in extended(profiled, seen_s)]
        if any(_stands(guest, seen) for guest in guests):
            return _around(_drawn_from(guests, seen), seen, _OF_PROFILE)
    if observed is None or not seen:
        return []
    zero = 0 if math.isnan(observed.zero_pages) else int(observed.zero_pages) * PAGE_BYTES
    limit = (memory_bytes - min(zero, memory_bytes - PAGE_BYTES)) / PAGE_BYTES
    return _drawn(grid(seen, shortest_s), seen, memory_bytes, limit, throttles)


def _in_full(observed: Observed | None) -> list[Round]:
    """Return the rounds with those marks alone that are sent in full: an emptied page costs next to nothing."""
    if observed is None:
        return []
    kept = 1.0 - observed.zero_again
    return [dataclasses.replace(one, marked_pages=one.marked_pages * kept) for one in observed.rounds]


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


def _stands(guest: Guest, seen: Sequence[Round]) -> bool:
    """Return whether a profile tells the rounds, unless they are of a guest that has become another."""
    ratios, _ = _told(guest, seen, guest.capacity_writes_per_s is None)
    off = np.abs(ratios[-_LATEST:])
    return not off.size or float(np.median(off)) < _CONTRADICTED


def _told(guest: Guest, seen: Sequence[Round], slowed: bool) -> tuple[list[float], tuple[float, ...]]:
    """Return what each round marked over what the guest says, as logarithms, and what the last sync left dirty."""
    pages = np.array([one.region_pages * (1.0 - one.zero_share) for one in guest.dirty], float)
    dirty, ratios = _at_first(guest), []
    for one, (pending, newly) in zip(seen, _followed(guest, seen, slowed), strict=True):
        ratio = max(one.marked_pages, 1.0) / max(float((newly * pages).sum()), 1.0)
        ratios.append(math.log(min(max(ratio, _RATIOS[0]), _RATIOS[1])))
        dirty = pending + newly
    return ratios, tuple(dirty.tolist())


def _at_first(guest: Guest) -> Any:
    """Return which share of each class is to be sent by the first pass; what a growth writes comes to that later."""
    return np.array([float(one.kind != "growth") for one in guest.dirty])


def _followed(guest: Guest, seen: Sequence[Round], slowed: bool) -> Iterator[tuple[Any, Any]]:
    """Yield for each round which share of each class was pending at its end, and which was newly marked.

    A sync after ``w`` seconds marks ``P (1 - q) (1 - exp(-x w))`` of a class of ``P`` pages that are written ``x``
    times a second each, of which the share ``q`` was still pending.
    """
    pages = np.array([one.region_pages for one in guest.dirty], float)
    rates = np.array([one.writes_per_s * one.mean_intensity for one in guest.dirty]) / np.maximum(pages, 1.0)
    sweeps = np.array([one.kind != "random" for one in guest.dirty], bool)
    grows = np.array([one.kind == "growth" for one in guest.dirty], bool)
    dirty = _at_first(guest)
    for one, speed in zip(seen, _speeds(seen, slowed), strict=True):
        pending = dirty * min(1.0, one.pending_pages / max(1.0, one.to_send_pages))
        written = rates * one.window_s * speed
        newly = np.where(grows, 1.0, 1.0 - pending) * np.where(sweeps, np.minimum(1.0, written), -np.expm1(-written))
        yield pending, newly
        dirty = pending + newly


def passes(guest: Guest, observed: Observed | None) -> tuple[Pass, ...]:
    """Return what each pass so far sent of each page class of a guest, by the rounds; none where these are not known.

    Examples
    --------
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=8192.0),))
    >>> seen = [Round(start_s=at, window_s=1.0, window_error_s=0.01, marked_pages=6000, to_send_pages=9000,
    ...               pending_pages=0) for at in (0.0, 1.0)]
    >>> found = passes(guest, Observed(memory_bytes=2**28, zero_pages=0, rounds=tuple(seen), first_pass=True))
    >>> [round(one.shares[0], 2) for one in found]
    [1.0, 0.39]
    """
    seen = _in_full(observed)
    dirty, found = _at_first(guest), []
    for one, (pending, newly) in zip(seen, _followed(guest, seen, guest.capacity_writes_per_s is None), strict=True):
        shares = tuple((dirty - pending).tolist())
        for at in range(one.syncs):
            began_s = one.start_s + at * one.window_s
            found.append(Pass(began_s, began_s + one.window_s, shares))
        dirty = pending + newly
    return tuple(found)


def written_pages(one: DirtyClass) -> int:
    """Return how much of a growth is written.

    Examples
    --------
    >>> written_pages(DirtyClass(region_bytes=2**20, writes_per_s=10.0, kind="growth", sweep_offset_bytes=2**13))
    2
    """
    return (one.sweep_offset_bytes or 0) // PAGE_BYTES


def _drawn(
    shapes: Shapes, seen: Sequence[Round], memory_bytes: int, limit_pages: float, throttles: bool
) -> list[Candidate]:
    """Return guests drawn from those that tell the rounds, each as often as it is probable; the likeliest first."""
    found: list[_Weighed] = []
    for slowed in (True, False) if throttles else (True,):
        found += _weighed(shapes, seen, slowed, limit_pages)
    total = sum(one.weight for one in found)
    found.sort(key=lambda one: -one.weight)
    until = np.cumsum([one.weight / total for one in found])
    amounts = normals(SAMPLES, 2, 1)[:, 0].tolist()
    drawn = []
    for at in range(SAMPLES):
        one = found[min(int(np.searchsorted(until, (at + 0.5) / SAMPLES)), len(found) - 1)]
        amount = one.spread * amounts[at] if at else 0.0
        drawn.append(Candidate(_busier(one.guest(memory_bytes), amount), one.shares))
    return drawn


class _Weighed(NamedTuple):
    """A guest that may be, by its place in a grid, and how probable it is."""

    weight: float
    shapes: Shapes
    dirty: Any
    at: int
    spread: float
    slowed: bool

    @property
    def shares(self) -> tuple[float, ...]:
        dirty, pages = self.dirty[self.at], self.shapes.pages[self.at]
        return tuple(dirty[pages >= 1.0].tolist())

    def guest(self, memory_bytes: int) -> Guest:
        classes = self.shapes.classes(self.at)
        demand = sum(one.writes_per_s for one in classes)
        capacity = None if self.slowed or demand <= 0.0 else _SPARE * demand
        return Guest(memory_bytes=memory_bytes, dirty=classes, capacity_writes_per_s=capacity)


def _weighed(shapes: Shapes, seen: Sequence[Round], slowed: bool, limit_pages: float) -> list[_Weighed]:
    """Return those guests of a grid that are probable, each as busy as its last rounds were."""
    ratios, dirty = dataclasses.astuple(shapes.told(seen, _speeds(seen, slowed)))
    timing = np.array([min(1.0, one.window_error_s / one.window_s) for one in seen])
    scatter = np.hypot(_TELLS, timing)
    weights = np.ones_like(ratios)
    for _ in range(_TURNS):  # the mean of a Student distribution
        weighted = weights / scatter**2
        mean = (weighted * ratios).sum(axis=1) / weighted.sum(axis=1)
        off = (ratios - mean[:, None]) / scatter
        weights = (_TAIL + 1.0) / (_TAIL + off**2)
    likely = -0.5 * (_TAIL + 1.0) * np.log1p(off**2 / _TAIL).sum(axis=1)
    likely *= min(1.0, _REMEMBERED / len(seen))
    latest = ratios[:, -_LATEST:]
    busy = np.median(latest, axis=1)
    spread = np.maximum(_LEAST_SPREAD, 1.4826 * np.median(np.abs(latest - busy[:, None]), axis=1))
    sized = shapes.larger(np.exp(busy)).within(limit_pages)
    weight = np.exp(np.minimum(0.0, likely - likely[sized.prior > 0].max())) * sized.prior
    kept = np.flatnonzero(weight > _NEGLIGIBLE * weight.max())
    return [_Weighed(float(weight[at]), sized, dirty, at, float(spread[at]), slowed) for at in kept.tolist()]


def _drawn_from(guests: Sequence[Guest], seen: Sequence[Round]) -> list[Guest]:
    """Return guests, each as often as it is probable by the rounds; in the order in which they are given."""
    if len(guests) == 1:
        return [guests[0]] * DRAWS
    likely = []
    for guest in guests:
        ratios, _ = _told(guest, seen, guest.capacity_writes_per_s is None)
        off = np.array(ratios[-_REMEMBERED:]) / _OF_PROFILE
        likely.append(-0.5 * (_TAIL + 1.0) * float(np.log1p(off**2 / _TAIL).sum()))
    weights = np.exp(np.array(likely) - max(likely))
    until = np.cumsum(weights / weights.sum())
    return [guests[int(np.searchsorted(until, (at + 0.5) / DRAWS))] for at in range(DRAWS)]


def _around(guests: Sequence[Guest], seen: Sequence[Round], least: float) -> list[Candidate]:
    """Return guests as busy as their last rounds were, but for the first one somewhat more or less."""
    amounts = (0.0, *normals(DRAWS, 2, 1)[1:, 0].tolist())
    return [_as_busy(guest, seen, least, amount) for guest, amount in zip(guests, amounts, strict=True)]


def _as_busy(guest: Guest, seen: Sequence[Round], least: float, amount: float) -> Candidate:
    ratios, shares = _told(guest, seen, guest.capacity_writes_per_s is None)
    busy, spread = 0.0, least
    if ratios:
        latest = np.array(ratios[-_LATEST:])
        busy = float(np.median(latest))
        spread = max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(latest - busy))))
    return Candidate(_busier(guest, busy + spread * amount), shares)


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
