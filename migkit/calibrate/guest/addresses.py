"""Where the page classes of a guest that was followed lie: each by itself, or interleaved.

In which order pages are sent decides how long each has to be written again. Memory is cut into parts. Where pages of
one part were written about equally often, and those of different parts were not, classes lie by themselves: the
variance of how often pages were written is one between the parts, not one within them. What chance alone makes of
equal pages, that of a binomial distribution, counts for neither.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, Final

import numpy as np

from migkit.calibrate.guest.beats import History
from migkit.scenario import DirtyClass, Guest
from migkit.units import PAGE_BYTES

__all__ = ["in_order"]

_PARTS: Final = 256
_FEW: Final = 0.98  # of the written pages: a few that are written all the time tell nothing of the others
_WITHIN: Final = 0.15  # of the variance at most, where classes lie by themselves
_MIDDLE: Final = (0.1, 0.9)  # of a class's pages, which may not reach into another
_DENSE: Final = 0.8  # of that middle at least is the class's own
_LOST: Final = 0.1  # of the pages written, of classes that have no part to themselves: they come last
_RARELY: Final = 0.3  # as often as the class that is written least: not written
_MATTERS: Final = 0.01  # of the pages that hold something
_IDLE_PER_S: Final = 1e-3  # writes to what nobody writes, which has a place


def in_order(guest: Guest, history: History) -> Guest:
    """Return the guest with its classes by their addresses, and what it does not write between them, in ``blocks``.

    Where its classes lie interleaved, or nothing tells, the guest is returned as it is.

    Parameters
    ----------
    guest
        As its curve told.
    history
        What it wrote.

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> def beat():
    ...     return np.unique(np.append(draw.integers(0, 800, 20), 1600 + draw.integers(0, 800, 400)))
    >>> seen = History(times_s=np.arange(100) * 0.1, pages=[beat() for _ in range(99)], memory_pages=4096,
    ...                sample=np.arange(4096), zero=np.tile(np.arange(4096) >= 2400, (100, 1)))
    >>> hot, cold = (DirtyClass(region_bytes=800 * PAGE_BYTES, writes_per_s=rate) for rate in (4000.0, 200.0))
    >>> found = in_order(Guest(memory_bytes=4096 * PAGE_BYTES, zero_bytes=1696 * PAGE_BYTES, dirty=(hot, cold)), seen)
    >>> found.layout, [round(one.writes_per_s) for one in found.dirty], found.dirty[1].region_pages
    ('blocks', [200, 0, 4000], 800)
    """
    if not guest.dirty or any(one.kind == "growth" or one.zero_share for one in guest.dirty):
        return guest
    often = history.beats_written / history.beats
    if not often.any():
        return guest
    often = np.minimum(often, np.quantile(often[often > 0.0], _FEW))
    parts = np.array_split(np.arange(history.memory_pages), min(_PARTS, history.memory_pages))
    chance = sum(float((often[one] * (1.0 - often[one].mean())).sum()) for one in parts) / history.beats
    apart = float(often.var()) * often.size - chance
    within = sum(float(often[one].var()) * one.size for one in parts) - chance
    if apart <= 0.0 or within > _WITHIN * apart:
        return guest
    which = _classes(guest, history, np.array([often[one].mean() for one in parts]))
    places = [np.flatnonzero(which == k) for k in range(len(guest.dirty))]
    placed = [k for k, place in enumerate(places) if place.size]
    seen = [_written(one, float(history.times_s[-1])) for one in guest.dirty]
    if sum(pages for k, pages in enumerate(seen) if k not in placed) > _LOST * sum(seen):
        return guest
    reach = {k: np.quantile(places[k], _MIDDLE) for k in placed}
    order = sorted(placed, key=lambda k: float(np.sum(reach[k])))
    if any(reach[before][1] > reach[after][0] for before, after in itertools.pairwise(order)):
        return guest
    if any(np.mean(which[int(low) : int(high) + 1] == k) < _DENSE for k, (low, high) in reach.items()):
        return guest
    lost = tuple(one for k, one in enumerate(guest.dirty) if k not in placed)
    return dataclasses.replace(guest, layout="blocks", dirty=_with_idle(guest, history, which, order) + lost)


def _classes(guest: Guest, history: History, mean: Any) -> Any:
    """Return the number of the class that a page of each part is of, by how often it was written; -1: of none."""
    beat_s = float(np.diff(history.times_s).mean())
    rates = np.array([one.mean_intensity * one.writes_per_s / one.region_pages for one in guest.dirty])
    sweeps = np.array([one.kind == "sweep" for one in guest.dirty])
    often = np.where(sweeps, np.minimum(1.0, rates * beat_s), -np.expm1(-rates * beat_s))
    nearest = np.abs(np.log(np.maximum(mean, 1e-12))[:, None] - np.log(often)).argmin(axis=1)
    return np.where(mean < _RARELY * often.min(), -1, nearest)


def _written(one: DirtyClass, time_s: float) -> float:
    """Return how many distinct pages a class writes in a time."""
    turns = one.mean_intensity * one.writes_per_s / one.region_pages * time_s
    return one.region_pages * (min(1.0, turns) if one.kind == "sweep" else -math.expm1(-turns))


def _with_idle(guest: Guest, history: History, which: Any, order: list[int]) -> tuple[DirtyClass, ...]:
    """Return the classes in their order, behind each what nobody writes before the next one."""
    full = ~history.zero[-1]
    part = np.minimum(history.sample * which.size // history.memory_pages, which.size - 1)
    shares = np.bincount(part, weights=full, minlength=which.size) / np.maximum(
        1, np.bincount(part, minlength=which.size)
    )
    idle = np.where(which < 0, shares * history.memory_pages / which.size, 0.0)
    starts = [float(np.median(np.flatnonzero(which == k))) for k in order]
    left = (guest.memory_bytes - guest.zero_bytes) // PAGE_BYTES - sum(one.region_pages for one in guest.dirty)
    dirty: list[DirtyClass] = []
    before = 0.0
    for k, start in zip(order, starts, strict=True):
        pages = min(left, int(idle[int(before) : int(start)].sum()))
        if pages > _MATTERS * history.full_pages:
            dirty.append(DirtyClass(region_bytes=pages * PAGE_BYTES, writes_per_s=_IDLE_PER_S))
            left -= pages
        dirty.append(guest.dirty[k])
        before = start
    return tuple(dirty)
