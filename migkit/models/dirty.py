"""Dirty-page curves of a guest: distinct pages written, and where pre-copy settles.

``U(t)`` is the sum over page classes of ``W u(t)`` (:mod:`migkit.engine.dirty`). It is
concave, so pre-copy at goodput ``B`` settles at the one positive root of
``v = page U(v / B)``; at or above ``U'(0) page <= B`` that root is 0.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from migkit.engine import dirty as kernel
from migkit.scenario import DirtyClass, Guest, steady
from migkit.units import PAGE_BYTES

__all__ = ["DirtyCurve", "dirty_curve", "dirty_rate", "natural_downtime_s", "settling_bytes", "unique_dirty_pages"]


class DirtyCurve(NamedTuple):
    """Distinct pages written, over the length of the window.

    Attributes
    ----------
    windows_s
        Lengths of the windows [s].
    unique_bytes
        ``U(t)`` in bytes of whole pages [B].
    """

    windows_s: tuple[float, ...]
    unique_bytes: tuple[float, ...]

    @property
    def bytes_per_s(self) -> tuple[float, ...]:
        """What a reading of the dirty rate says in each window [B/s]."""
        return tuple(one / window for one, window in zip(self.unique_bytes, self.windows_s, strict=True))


def dirty_curve(guest: Guest, shortest_s: float = 1e-3, longest_s: float = 1e3, points: int = 61) -> DirtyCurve:
    """Return the dirty curve ``U(t)`` of a guest at windows evenly apart in their logarithm.

    Parameters
    ----------
    guest
        With its page classes.
    shortest_s, longest_s
        The windows at both ends [s].
    points
        How many windows.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e4),))
    >>> curve = dirty_curve(guest, 0.1, 10.0, 3)
    >>> [round(one / 2**20, 1) for one in curve.unique_bytes]
    [3.8, 29.2, 63.9]
    >>> [round(one / 2**20, 1) for one in curve.bytes_per_s]
    [37.9, 29.2, 6.4]
    """
    windows = np.geomspace(shortest_s, longest_s, points).tolist()
    return DirtyCurve(tuple(windows), tuple(unique_dirty_pages(guest, one) * PAGE_BYTES for one in windows))


def dirty_rate(guest: Guest, window_s: float) -> float:
    """Return what a reading of the dirty rate over a window says: ``page U(w) / w`` [B/s].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e4),))
    >>> [round(dirty_rate(guest, window_s) / 2**20, 1) for window_s in (0.1, 10.0)]
    [37.9, 6.4]
    """
    return unique_dirty_pages(guest, window_s) * PAGE_BYTES / window_s


def settling_bytes(guest: Guest, bandwidth_bytes_per_s: float, page_wire_bytes: float = PAGE_BYTES + 8) -> float:
    """Return what pre-copy leaves after each round once it has settled: the fixed point ``v = page U(v / B)`` [B].

    It is 0 where the guest writes more slowly than the link sends, in any window.

    Parameters
    ----------
    guest, bandwidth_bytes_per_s, page_wire_bytes
        As for :func:`natural_downtime_s`.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e5),))
    >>> round(settling_bytes(guest, 50e6) / 2**20, 1), settling_bytes(guest, 1e9)
    (64.0, 0.0)
    """
    window_s = _settles_s(guest, bandwidth_bytes_per_s, page_wire_bytes)
    return unique_dirty_pages(guest, window_s) * PAGE_BYTES


def unique_dirty_pages(guest: Guest, window_s: float) -> float:
    """Return ``U(t)``: distinct pages that the guest writes in ``window_s`` seconds, in expectation [pages].

    Phases count with their mean intensity.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e4),))
    >>> round(unique_dirty_pages(guest, 1.0))
    7485
    """
    return sum(_written_pages(guest, window_s))


def _written_pages(guest: Guest, window_s: float) -> list[float]:
    """Return the distinct pages that each class writes."""
    grain = guest.tracking_bytes / PAGE_BYTES
    return [
        one.region_pages * kernel.newly_dirty(_kind(one), one.region_pages, _mean_rate(one) * window_s, grain)
        for one in guest.dirty
    ]


def _full_pages(guest: Guest, window_s: float) -> float:
    """Return how many of the distinct pages that a guest writes are not zero when they are sent."""
    written = zip(_written_pages(guest, window_s), guest.dirty, strict=True)
    return sum(pages * (1.0 - one.zero_share) for pages, one in written)


def natural_downtime_s(guest: Guest, bandwidth_bytes_per_s: float, page_wire_bytes: float = PAGE_BYTES + 8) -> float:
    """Return where pre-copy settles: the root of ``t = wire U(t) / B`` above 0, or 0 [s]; growths have ended then.

    Where classes hold zero pages, a round lasts ``t = wire U_full(t) / B``. What it leaves is told as a rule tells
    it, ``wire U(t) / B``.

    Parameters
    ----------
    guest
        With its page classes.
    bandwidth_bytes_per_s
        Goodput of the migration, its cap included [B/s].
    page_wire_bytes
        A page on the wire [B].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e5),))
    >>> round(natural_downtime_s(guest, 50e6), 3), natural_downtime_s(guest, 1e9)
    (1.344, 0.0)
    """
    window_s = _settles_s(guest, bandwidth_bytes_per_s, page_wire_bytes)
    if any(one.zero_share > 0.0 for one in guest.dirty) and window_s > 0.0:
        return unique_dirty_pages(_without_growth(guest), window_s) * page_wire_bytes / bandwidth_bytes_per_s
    return window_s


def _without_growth(guest: Guest) -> Guest:
    if any(one.kind == "growth" for one in guest.dirty):
        guest = dataclasses.replace(guest, dirty=tuple(one for one in guest.dirty if one.kind != "growth"))
    return guest


def _settles_s(guest: Guest, bandwidth_bytes_per_s: float, page_wire_bytes: float) -> float:
    """Return how long a round lasts once pre-copy has settled [s]."""
    guest = _without_growth(guest)
    pages = sum(one.region_pages for one in guest.dirty if _mean_rate(one) > 0.0)
    high_s = pages * page_wire_bytes / bandwidth_bytes_per_s
    if high_s == 0.0 or math.isinf(bandwidth_bytes_per_s):
        return 0.0
    low_s = high_s * 1e-9
    if _full_pages(guest, low_s) * page_wire_bytes / bandwidth_bytes_per_s <= low_s:
        return 0.0
    for _ in range(60):
        middle_s = math.sqrt(low_s * high_s)
        if _full_pages(guest, middle_s) * page_wire_bytes / bandwidth_bytes_per_s > middle_s:
            low_s = middle_s
        else:
            high_s = middle_s
        if high_s - low_s < 1e-9 * high_s:
            break
    return high_s


def _kind(one: DirtyClass) -> int:
    return kernel.RANDOM if one.kind == "random" else kernel.SWEEP


def _mean_rate(one: DirtyClass) -> float:
    phases = steady.phases(one)
    if not phases:
        return one.writes_per_s * steady.rate_factor(one)
    cycle_s, integral_s = steady.sums(phases)[-1]
    return one.writes_per_s * integral_s / cycle_s
