"""The slices in which a throttled guest runs.

Under a throttle of ``p`` QEMU has each virtual processor sleep for ``p / (1 - p)`` slices, run for one slice of 10
ms, and sleep again (``cpu_throttle_thread`` and ``cpu_throttle_timer_tick``, cpu-throttle.c). The first sleep begins
when the throttle is ordered. Another throttle takes over with the next sleep. At ``p = 0.99`` the guest runs for 10
ms each second: a round of half a second may see all of them or none.

What a guest does evenly spread over a sleep and its slice, it does within the slice. So the engines ask for how long
an evenly slowed guest would have run to do as much.
"""

from __future__ import annotations

import numpy as np

from migkit.engine.records import Slices
from migkit.jit import lean

__all__ = ["awake_s", "change_s", "even_s", "take_over"]


@lean
def change_s(slice_s: float, kept: Slices, ordered: float, since_s: float) -> float:
    """Return when the throttle that is ordered takes over, with which sleep [s]; infinite: it has."""
    if kept.throttle == ordered:
        return np.inf
    if slice_s <= 0.0 or kept.throttle <= 0.0:
        return since_s
    each_s = slice_s / (1.0 - kept.throttle)
    return kept.began_s + np.ceil((since_s - kept.began_s) / each_s) * each_s


@lean
def take_over(kept: Slices, ordered: float, when_s: float) -> None:
    """Let the throttle that is ordered take over, with a sleep."""
    kept.began_s, kept.throttle = when_s, ordered


@lean
def awake_s(slice_s: float, kept: Slices, ordered: float, counted_s: float, now_s: float) -> float:
    """Return when the guest is awake next [s]: now, or when its sleep ends.

    Parameters
    ----------
    slice_s
        For how long a guest runs between two sleeps [s]; 0: it is slowed evenly.
    kept
        When a sleep began, and the throttle that was in force at ``counted_s``.
    ordered
        The throttle that is ordered: share of its time for which the guest sleeps.
    counted_s, now_s
        Up to when the guest's work has been counted, and the time [s].
    """
    began_s, throttle = kept.began_s, kept.throttle
    takes_over_s = change_s(slice_s, kept, ordered, counted_s)
    if now_s > takes_over_s:
        began_s, throttle = takes_over_s, ordered
    if slice_s <= 0.0 or throttle <= 0.0:
        return now_s
    each_s = slice_s / (1.0 - throttle)
    return max(now_s, began_s + np.floor((now_s - began_s) / each_s) * each_s + throttle * each_s)


@lean
def even_s(slice_s: float, kept: Slices, from_s: float, until_s: float) -> float:
    """Return for how long a guest that is slowed evenly would have run to do as much as in a span [s].

    It is the time awake over ``1 - p``: of a whole sleep with its slice it is their length.
    """
    if slice_s <= 0.0 or kept.throttle <= 0.0:
        return until_s - from_s
    return _evenly_s(slice_s, kept, until_s) - _evenly_s(slice_s, kept, from_s)


@lean
def _evenly_s(slice_s: float, kept: Slices, now_s: float) -> float:
    """Return what :func:`even_s` says of the span since ``kept.began_s``."""
    each_s = slice_s / (1.0 - kept.throttle)
    number = np.floor((now_s - kept.began_s) / each_s)
    asleep_s = kept.throttle * each_s
    awake_for_s = max(0.0, now_s - kept.began_s - number * each_s - asleep_s)
    return number * each_s + awake_for_s / (1.0 - kept.throttle)
