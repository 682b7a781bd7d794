"""How large page classes may be that were not seen to begin anew while their guest was followed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from migkit.scenario import DirtyClass, Guest
from migkit.units import PAGE_BYTES

__all__ = ["extended", "turned"]

_TURNED: Final = 0.65  # of the time for which a sweep was followed: a longer turn was not seen to end
_BEGUN_ANEW: Final = 0.93  # of what a class would have written page after page: less, and it came back to some
_AGAIN: Final = 0.1  # writes to a page while it was followed, below which random writes look as a sweep does
_EXTENTS: Final = 9


def extended(guest: Guest, seen_s: float) -> list[Guest]:
    """Return guests of which each goes on for another time with what was not seen to begin anew: one, if all was.

    A class that wrote page after page for all of the time has at least the pages that it wrote. How many more is
    not known, nor on which scale. So the prior is that of a scale, and ``P(pages > k seen) = 1 / k`` (Gott 1993,
    doi:10.1038/363315a0). The guests stand for equal parts of it, the median first.

    Examples
    --------
    >>> sweep = DirtyClass(region_bytes=2100 * PAGE_BYTES, writes_per_s=1000.0, kind="sweep")
    >>> extended(Guest(memory_bytes=2**28, dirty=(sweep,)), seen_s=3.0)[0].dirty[0].region_pages
    6000
    """
    is_open = [_is_open(one, seen_s) for one in guest.dirty]
    if not any(is_open):
        return [guest]
    room = (guest.memory_bytes - guest.zero_bytes) / PAGE_BYTES - sum(one.region_pages for one in guest.dirty)
    parts = sorted(((at + 0.5) / _EXTENTS for at in range(_EXTENTS)), key=lambda part: abs(part - 0.5))
    return [_going_on(guest, is_open, seen_s, 1.0 / part, room) for part in parts]


def turned(guest: Guest, seen_s: float, written_pages: float) -> tuple[Guest, float]:
    """Return a guest with sweeps as large as all that was written says, and for how long it was seen to go on [s].

    A sweep that began anew while it was followed has written fewer pages than one that goes on. Then its size is
    known, and the time is infinite. Page classes are fitted to shorter windows, which tell that later.

    Parameters
    ----------
    guest
        As it was fitted.
    seen_s
        For how long it was followed [s].
    written_pages
        Distinct pages that it wrote in all of that time.

    Examples
    --------
    >>> sweep = DirtyClass(region_bytes=2100 * PAGE_BYTES, writes_per_s=1000.0, kind="sweep")
    >>> turned(Guest(memory_bytes=2**28, dirty=(sweep,)), 3.0, 3000.0)[1]
    3.0
    >>> found, seen_s = turned(Guest(memory_bytes=2**28, dirty=(sweep,)), 3.0, 2400.0)
    >>> found.dirty[0].region_pages, seen_s
    (2400, inf)
    """
    is_open = [_is_open(one, seen_s) for one in guest.dirty]
    rates = [
        one.writes_per_s * one.mean_intensity if goes_on else 0.0
        for one, goes_on in zip(guest.dirty, is_open, strict=True)
    ]
    others = sum(
        _distinct_pages(one, seen_s) for one, goes_on in zip(guest.dirty, is_open, strict=True) if not goes_on
    )
    left = max(0.0, written_pages - others)
    if not any(rates) or left >= _BEGUN_ANEW * sum(rates) * seen_s:
        return guest, seen_s
    dirty = [
        dataclasses.replace(one, region_bytes=_whole(left * rate / sum(rates)), kind="sweep") if rate else one
        for one, rate in zip(guest.dirty, rates, strict=True)
    ]
    return dataclasses.replace(guest, dirty=tuple(dirty)), math.inf


def _distinct_pages(one: DirtyClass, window_s: float) -> float:
    """Return how many pages of a class are written in a window; of a growth none, which is counted apart."""
    written = one.writes_per_s * one.mean_intensity * window_s / one.region_pages
    if one.kind == "growth":
        return 0.0
    return one.region_pages * (-math.expm1(-written) if one.kind == "random" else min(1.0, written))


def _is_open(one: DirtyClass, seen_s: float) -> bool:
    """Return whether a class was not seen to write a page again."""
    written = one.writes_per_s * one.mean_intensity * seen_s
    most = {"sweep": 1.0 / _TURNED, "random": _AGAIN}.get(one.kind, 0.0) * one.region_pages
    return written < most


def _going_on(guest: Guest, is_open: Sequence[bool], seen_s: float, times: float, room: float) -> Guest:
    """Return the guest whose open classes are sweeps of so many times what was seen of them, if there is room."""
    pages = [float(one.region_pages) for one in guest.dirty]
    wanted = [
        times * one.writes_per_s * one.mean_intensity * seen_s if goes_on else now
        for one, goes_on, now in zip(guest.dirty, is_open, pages, strict=True)
    ]
    more = sum(max(0.0, then - now) for then, now in zip(wanted, pages, strict=True))
    share = min(1.0, max(0.0, room) / more) if more > 0.0 else 1.0
    dirty = [
        dataclasses.replace(one, region_bytes=_whole(now + min(share * (then - now), then - now)), kind="sweep")
        if goes_on
        else one
        for one, goes_on, now, then in zip(guest.dirty, is_open, pages, wanted, strict=True)
    ]
    return dataclasses.replace(guest, dirty=tuple(dirty))


def _whole(pages: float) -> int:
    """Return the bytes of whole pages, of one at least."""
    return max(1, int(pages)) * PAGE_BYTES
