"""Simple models on the same rows: what a mechanistic prediction must beat.

All of them see the scenario only, as textbooks do:

``bulk``
    memory / bandwidth: one pass, no dirtying.
``geometric``
    rounds that shrink by ``lambda = D / R`` with one constant dirty rate D, until the rest fits into the
    downtime limit (Liu et al., HPDC 2011).
``worst_case``
    memory sent once, and the working set again for each further round that the limit leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

__all__ = ["BASELINES", "Estimate", "bulk", "geometric", "worst_case"]

_MAX_ROUNDS: Final = 30


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
    rate = _rate(scenario)
    volume = scenario.guest.memory_bytes
    down = volume / rate if scenario.strategy.name == "stopcopy" else 0.0
    return Estimate(volume / rate, down, volume, "converges")


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
    if scenario.strategy.name == "stopcopy":
        return bulk(scenario)
    rate, limit_s = _rate(scenario), scenario.policy.downtime_limit_s
    dirty = scenario.guest.writes_per_s * PAGE_BYTES
    volume = total = float(scenario.guest.memory_bytes)
    for _ in range(_MAX_ROUNDS):
        volume *= dirty / rate
        total += volume
        if volume <= rate * limit_s:
            return Estimate(total / rate, volume / rate, total, "converges")
        if dirty >= rate:
            break
    return _endless(scenario)


def worst_case(scenario: Scenario) -> Estimate:
    """Return ``V / R`` and then the whole written region again for each round, at most 30 (Xen's old bound).

    Examples
    --------
    >>> from migkit import Guest
    >>> worst_case(Scenario(guest=Guest(memory_bytes=2**28))).verdict
    'converges'
    """
    rate, limit_s = _rate(scenario), scenario.policy.downtime_limit_s
    region = float(sum(c.region_bytes for c in scenario.guest.dirty if c.writes_per_s > 0))
    memory = float(scenario.guest.memory_bytes)
    if scenario.strategy.name == "stopcopy":
        return bulk(scenario)
    if region <= rate * limit_s:
        return Estimate((memory + region) / rate, region / rate, memory + region, "converges")
    return _endless(scenario)


def _rate(scenario: Scenario) -> float:
    link = scenario.link.bandwidth_bytes_per_s
    return min(link, scenario.policy.max_bandwidth_bytes_per_s, scenario.host.goodput_bytes_per_s)


def _endless(scenario: Scenario) -> Estimate:
    limit_s = scenario.policy.time_limit_s
    verdict = "timed_out" if math.isfinite(limit_s) else "does_not_converge"
    return Estimate(limit_s, 0.0, limit_s * _rate(scenario), verdict)


BASELINES: Final[Mapping[str, Callable[[Scenario], Estimate]]] = {
    "bulk": bulk,
    "geometric": geometric,
    "worst_case": worst_case,
}
