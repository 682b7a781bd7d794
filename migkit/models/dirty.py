"""Dirty-page curves of a guest: distinct pages written, and where pre-copy settles.

``U(t)`` is the sum over page classes of ``W u(t)`` (:mod:`migkit.engine.dirty`). It is
concave, so pre-copy at goodput ``B`` settles at the one positive root of
``v = page U(v / B)``; at or above ``U'(0) page <= B`` that root is 0.
"""

from __future__ import annotations

import math

from migkit.engine import dirty as kernel
from migkit.scenario import DirtyClass, Guest, steady
from migkit.units import PAGE_BYTES

__all__ = ["natural_downtime_s", "unique_dirty_pages"]


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
    grain = guest.tracking_bytes / PAGE_BYTES
    return sum(
        one.region_pages * kernel.newly_dirty(_kind(one), one.region_pages, _mean_rate(one) * window_s, grain)
        for one in guest.dirty
    )


def natural_downtime_s(guest: Guest, bandwidth_bytes_per_s: float, page_wire_bytes: float = PAGE_BYTES + 8) -> float:
    """Return where pre-copy settles: the positive root of ``t = wire U(t) / B``, or 0 [s].

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
    pages = sum(one.region_pages for one in guest.dirty if _mean_rate(one) > 0.0)
    high_s = pages * page_wire_bytes / bandwidth_bytes_per_s
    if high_s == 0.0 or math.isinf(bandwidth_bytes_per_s):
        return 0.0
    low_s = high_s * 1e-9
    if unique_dirty_pages(guest, low_s) * page_wire_bytes / bandwidth_bytes_per_s <= low_s:
        return 0.0
    for _ in range(60):
        middle_s = math.sqrt(low_s * high_s)
        if unique_dirty_pages(guest, middle_s) * page_wire_bytes / bandwidth_bytes_per_s > middle_s:
            low_s = middle_s
        else:
            high_s = middle_s
        if high_s - low_s < 1e-9 * high_s:
            break
    return high_s


def _kind(one: DirtyClass) -> int:
    return kernel.SWEEP if one.kind == "sweep" else kernel.RANDOM


def _mean_rate(one: DirtyClass) -> float:
    phases = steady.phases(one)
    if not phases:
        return one.writes_per_s * steady.rate_factor(one)
    cycle_s, integral_s = steady.sums(phases)[-1]
    return one.writes_per_s * integral_s / cycle_s
