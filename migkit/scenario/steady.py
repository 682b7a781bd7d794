"""Steps of time that say something: what changes nothing is dropped before it is packed."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import numpy as np

from migkit.scenario.dirty import DirtyClass
from migkit.scenario.guest import Guest

__all__ = ["Steps", "idle_behind", "link_steps", "phases", "rate_factor", "sums"]

Steps = tuple[tuple[float, float], ...]


def link_steps(steps: Steps) -> Steps:
    """Return the steps of a link, neighbours of one share joined, without those at the end that give all of it.

    Examples
    --------
    >>> link_steps(((2.0, 0.5), (1.0, 0.5), (4.0, 1.0)))
    ((3.0, 0.5),)
    """
    joined = _joined(steps)
    return joined[:-1] if joined and joined[-1][1] == 1.0 else joined


def phases(one: DirtyClass) -> Steps:
    """Return the phases of a class, neighbours of one intensity joined; none where it never changes.

    Examples
    --------
    >>> phases(DirtyClass(region_bytes=4096, writes_per_s=1.0, phases=((1.0, 2.0), (3.0, 2.0))))
    ()
    """
    joined = _joined(one.phases)
    return joined if len(joined) > 1 else ()


def rate_factor(one: DirtyClass) -> float:
    """Return what the rates of a class are multiplied by when :func:`phases` leaves none.

    Examples
    --------
    >>> rate_factor(DirtyClass(region_bytes=4096, writes_per_s=1.0, phases=((1.0, 0.5),)))
    0.5
    """
    return 1.0 if phases(one) or not one.phases else one.phases[0][1]


def idle_behind(guest: Guest) -> list[Any]:
    """Return for each class in address order whether it, and every class behind it, is neither written nor read.

    Its pages are sent once, as are those that lie behind: it is none. Regions that hold zero pages stay.
    Fields that are numbers may be arrays, one value for each of many guests.

    Examples
    --------
    >>> idle_behind(Guest(memory_bytes=8192, dirty=(DirtyClass(region_bytes=4096, writes_per_s=0.0),)))
    [True]
    """
    found: list[Any] = []
    idle: Any = guest.fill != "zero"
    for one in reversed(guest.in_address_order):
        idle = idle & (one.kind != "growth")
        still = (np.asarray(one.writes_per_s) == 0.0) & (np.asarray(one.reads_per_s) == 0.0)
        idle = idle & (still | (rate_factor(one) == 0.0)) & (np.asarray(one.zero_share) == 0.0)
        found.append(bool(idle) if np.ndim(idle) == 0 else idle)
    return found[::-1]


def sums(steps: Steps) -> Steps:
    """Return for each step when it ends, and the integral of the steps until then.

    Examples
    --------
    >>> sums(((2.0, 1.0), (1.0, 0.5)))
    ((2.0, 2.0), (3.0, 2.5))
    """
    ends = itertools.accumulate(duration_s for duration_s, _ in steps)
    integrals = itertools.accumulate(duration_s * intensity for duration_s, intensity in steps)
    return tuple(zip(ends, integrals, strict=True))


def _joined(steps: Steps) -> Steps:
    """Join neighbours of one share; the sum of their times is rounded once, so that it is that of their halves."""
    groups = itertools.groupby(steps, key=operator.itemgetter(1))
    return tuple((math.fsum(duration_s for duration_s, _ in group), share) for share, group in groups)
