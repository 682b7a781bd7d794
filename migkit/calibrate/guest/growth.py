"""How a guest fills its zero pages, from migrations whose first passes took unlike times.

A first pass finds each page as it is when its turn comes. What a page cache fills ahead of a slow pass counts as
full there, and a quick pass of the same guest, such as the push of a post-copy, still finds it zero. So the quickest
passes tell what is zero at the start, and ``(zero of the quick - zero of the slow) / (time of the slow - time of the
quick)`` how fast it fills. No guest fills faster than it writes to new pages, which is the slope of its dirty curve;
what is beyond that is how one run differs from another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from migkit.calibrate.guest.rounds import Observed
from migkit.scenario import DirtyClass
from migkit.units import PAGE_BYTES

__all__ = ["Looks", "looks_of", "new_pages_per_s"]

_APART: Final = 2.0  # by how much passes differ that tell a growth


class Looks(NamedTuple):
    """What first passes found.

    Attributes
    ----------
    zero_pages
        At the start of a migration; NaN: no pass counted them.
    filled_pages_per_s
        How fast they are filled, as far as passes of unlike times tell it.
    slow_s
        What the slower passes took [s].
    """

    zero_pages: float
    filled_pages_per_s: float = 0.0
    slow_s: float = 0.0

    def growth(self, new_pages_per_s: float) -> tuple[DirtyClass, ...]:
        """Return the pages that are filled while a slow pass lasts, as a class; none: nothing is filled.

        Parameters
        ----------
        new_pages_per_s
            How many pages the guest writes to for the first time at the end of such a pass [pages/s].

        Examples
        --------
        >>> Looks(1000.0, filled_pages_per_s=50.0, slow_s=10.0).growth(20.0)[0].region_pages
        200
        """
        rate = min(self.filled_pages_per_s, new_pages_per_s)
        pages = min(math.floor(rate * self.slow_s), int(self.zero_pages)) if rate > 0.0 else 0
        return (DirtyClass(region_bytes=pages * PAGE_BYTES, writes_per_s=rate, kind="growth"),) if pages else ()


def looks_of(observed: Sequence[Observed]) -> Looks:
    """Return what the first passes of migrations of one guest found.

    Examples
    --------
    >>> quick, slow = (Observed(memory_bytes=2**30, zero_pages=zero, rounds=(), first_pass=True, counted_s=time_s)
    ...                for zero, time_s in ((9000.0, 2.0), (8000.0, 22.0)))
    >>> looks_of([quick, slow])
    Looks(zero_pages=9000.0, filled_pages_per_s=50.0, slow_s=22.0)
    >>> looks_of([slow]).zero_pages
    8000.0
    """
    told = [one for one in observed if math.isfinite(one.zero_pages)]
    if not told:
        return Looks(math.nan)
    timed = [one for one in told if one.counted_s > 0.0]
    least_s = min((one.counted_s for one in timed), default=math.nan)
    quick = [one for one in timed if one.counted_s < _APART * least_s]
    slow = [one for one in timed if one.counted_s >= _APART * least_s]
    if not slow:
        return Looks(_middle(told))
    quick_s, slow_s = (median(one.counted_s for one in some) for some in (quick, slow))
    filled = (_middle(quick) - _middle(slow)) / (slow_s - quick_s)
    return Looks(_middle(quick), max(0.0, filled), slow_s)


def _middle(observed: Sequence[Observed]) -> float:
    """Return the number of zero pages of the middle one; of two, the larger one."""
    return sorted(one.zero_pages for one in observed)[len(observed) // 2]


def new_pages_per_s(classes: Sequence[DirtyClass], window_s: float) -> float:
    """Return how many pages classes write to for the first time at the end of a window [pages/s].

    The slope of the dirty curve there: ``r exp(-r t / W)`` of a random class, ``r`` of a sweep until it wraps.

    Examples
    --------
    >>> new_pages_per_s([DirtyClass(region_bytes=2**20, writes_per_s=64.0)], 4.0)
    23.544...
    """
    return sum(
        one.writes_per_s * math.exp(-one.writes_per_s * window_s / one.region_pages)
        if one.kind == "random"
        else one.writes_per_s * (one.writes_per_s * window_s < one.region_pages)
        for one in classes
    )
