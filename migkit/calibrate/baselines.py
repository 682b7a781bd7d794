"""Simple models on the same rows: what a mechanistic prediction must beat.

All of them see the scenario only, as textbooks do. Zero memory counts as not sent, which flatters them.

``bulk``
    memory / bandwidth: one pass, no dirtying.
``geometric``
    rounds that shrink by ``lambda = D / R`` with one constant dirty rate D, until the rest fits into the
    downtime limit (Liu et al., HPDC 2011).
``working_set``
    the same rounds, where none leaves more than the writable working set (Clark et al., NSDI 2005).
``piecewise``
    rounds that leave ``D(t)``, the unique pages dirtied in the time of the round before: a line through the
    windows of 0.1, 1 and 10 s that ``calc-dirty-rate`` can measure.

Of post-copy each of them says one pass under its own cap, and of a hybrid as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

__all__ = ["BASELINES", "Estimate", "bulk", "geometric", "piecewise", "working_set"]

_MAX_ROUNDS: Final = 30
_WINDOWS_S: Final = (0.1, 1.0, 10.0)


class Estimate(NamedTuple):
    """What a simple model says: total time and downtime [s], bytes sent, verdict."""

    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    verdict: str


def bulk(scenario: Scenario) -> Estimate:
    """Return one pass over the memory, ``V / R``.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> bulk(Scenario(guest=Guest(memory_bytes=2**28), policy=Policy(max_bandwidth_bytes_per_s=2**27))).total_time_s
    2.0
    """
    rate, volume = _rate(scenario), _volume(scenario)
    down_s = volume / rate if scenario.strategy.name == "stopcopy" else 0.0
    return Estimate(volume / rate, down_s, volume, "converges")


def geometric(scenario: Scenario) -> Estimate:
    """Return the geometric series ``V_i = V (D / R)^i`` with D = page x writes/s, cut at the downtime limit.

    Source: Liu, Jin, Xu, Liao: Performance and energy modeling for live migration of virtual machines (2011).

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**25, writes_per_s=8192),))
    >>> rule = Policy(max_bandwidth_bytes_per_s=2**26, downtime_limit_s=0.3)
    >>> geometric(Scenario(guest=guest, policy=rule)).total_time_s
    7.75
    """
    dirty = scenario.guest.writes_per_s * PAGE_BYTES
    return _rounds(scenario, lambda time_s: dirty * time_s)


def working_set(scenario: Scenario) -> Estimate:
    """Return the geometric series whose rounds leave at most the regions that are written to.

    Source: Clark et al.: Live migration of virtual machines (NSDI 2005), the writable working set.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=8192),))
    >>> rule = Policy(max_bandwidth_bytes_per_s=2**26, downtime_limit_s=0.3)
    >>> working_set(Scenario(guest=guest, policy=rule)).total_time_s
    4.25
    """
    dirty = scenario.guest.writes_per_s * PAGE_BYTES
    region = float(sum(c.region_bytes for c in scenario.guest.dirty if c.writes_per_s > 0))
    return _rounds(scenario, lambda time_s: min(dirty * time_s, region))


def piecewise(scenario: Scenario) -> Estimate:
    """Return rounds that leave ``D(T)``, a line through three windows of the dirty curve, level beyond the last.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=8192),))
    >>> rule = Policy(max_bandwidth_bytes_per_s=2**26, downtime_limit_s=0.3)
    >>> round(piecewise(Scenario(guest=guest, policy=rule)).total_time_s, 3)
    4.227
    """
    windows = (0.0, *_WINDOWS_S)
    marked = [unique_dirty_pages(scenario.guest, window_s) * PAGE_BYTES for window_s in windows]
    return _rounds(scenario, lambda time_s: float(np.interp(time_s, windows, marked)))


def _rounds(scenario: Scenario, dirtied: Callable[[float], float]) -> Estimate:
    """Return rounds that send what was dirtied in the time of the round before, until the limit allows the rest."""
    if scenario.strategy.name != "precopy":
        return bulk(scenario)
    rate, limit_s = _rate(scenario), scenario.policy.downtime_limit_s
    volume = total = _volume(scenario)
    for _ in range(_MAX_ROUNDS):
        before, volume = volume, dirtied(volume / rate)
        total += volume
        if volume <= rate * limit_s:
            return Estimate(total / rate, volume / rate, total, "converges")
        if volume >= before:
            break
    return _endless(scenario)


def _volume(scenario: Scenario) -> float:
    return float(scenario.guest.memory_bytes - scenario.guest.zero_bytes)


def _rate(scenario: Scenario) -> float:
    link, policy = scenario.link.bandwidth_bytes_per_s / scenario.link.migrations, scenario.policy
    pushed = scenario.strategy.name in ("postcopy", "hybrid")
    cap = policy.max_postcopy_bandwidth_bytes_per_s if pushed else policy.max_bandwidth_bytes_per_s
    return min(link, cap, scenario.host.goodput_bytes_per_s)


def _endless(scenario: Scenario) -> Estimate:
    limit_s = scenario.policy.time_limit_s
    verdict = "timed_out" if math.isfinite(limit_s) else "does_not_converge"
    return Estimate(limit_s, 0.0, limit_s * _rate(scenario), verdict)


BASELINES: Final[Mapping[str, Callable[[Scenario], Estimate]]] = {
    "bulk": bulk,
    "geometric": geometric,
    "working_set": working_set,
    "piecewise": piecewise,
}
