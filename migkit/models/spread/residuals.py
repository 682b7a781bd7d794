"""Bounds widened by how far real runs lay outside of those that were drawn: split-conformal correction.

The residual of a run is how far it lies beyond the nearer bound, ``max(s(low) - s(y), s(y) - s(high))`` (Romano,
Patterson, Candes: Conformalized quantile regression, NeurIPS 2019). The scale ``s`` is the logarithm; that of a
downtime is ``log(t + 10 ms)``, since QEMU counts in whole milliseconds. Runs of one workload on one host go together:
each such group has the same weight, and the correction is the quantile of the groups' mean distribution (Dunn,
Wasserman, Ramdas: Distribution-free prediction sets for two-layer hierarchical models, JASA 2023). A level p needs
p / (1 - p) groups, 9 at 90 %. A platform with fewer is not corrected, and the result says so.

Runs on hosts whose load is known, from a calibration or because it is stated, have residuals of their own.
``migkit accuracy`` measures all of them, and how often intervals hold whose workload was left out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.scenario import Scenario
from migkit.scenario.installation.platforms import platform_of
from migkit.scenario.installation.typical import Typical

__all__ = [
    "LEARNED",
    "LEARNED_AT",
    "Residuals",
    "kind_of",
    "learned_for",
    "needed_groups",
    "on_scale",
    "sentence",
    "stretched",
    "widened",
]

LEARNED_AT: Final = 0.9
_DOWNTIME_FLOOR_S: Final = 0.01
_FLOORS: Final = np.array([0.0, _DOWNTIME_FLOOR_S, 0.0])


class Residuals(NamedTuple):
    """How far runs of one platform lie outside of the bounds that are drawn, at 90 %.

    Attributes
    ----------
    total_time, downtime, transferred
        By how much each bound is moved outwards, on the scale of :func:`on_scale`; 0: intervals hold as often as they
        say, or too few groups report the quantity.
    groups
        Pairs of workload and host that they were learned from.
    hosts
        Hosts among them.
    """

    total_time: float
    downtime: float
    transferred: float
    groups: int
    hosts: int


LEARNED: Final[Mapping[tuple[str, bool], Residuals]] = MappingProxyType(
    {
        ("qemu-kvm", False): Residuals(0.0175, 0.333, 0.0, groups=16, hosts=9),
        ("qemu-kvm", True): Residuals(0.0, 0.004, 0.0, groups=11, hosts=2),
        ("qemu-tcg", False): Residuals(0.0, 0.323, 0.0, groups=14, hosts=1),
    }
)
"""By platform, and whether the load of its hosts is known; ``migkit accuracy --format json`` tells them anew."""


def needed_groups(level: float) -> int:
    """Return from how many groups a level can be learned, ``p / (1 - p)``.

    Examples
    --------
    >>> needed_groups(0.9), needed_groups(0.5)
    (9, 1)
    """
    return math.ceil(round(level / (1.0 - level), 9))


def kind_of(case: Scenario) -> tuple[str, bool]:
    """Return the platform of a scenario, and whether the load of its hosts is known.

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> guest = Guest(memory_bytes=2**28)
    >>> kind_of(Scenario(guest=guest)), kind_of(Scenario(guest=guest, host=Host(load_s=0.01)))
    (('qemu-kvm', False), ('qemu-kvm', True))
    """
    return case.host.platform or platform_of(case.policy.name), type(case.host.load_s) is not Typical


def learned_for(case: Scenario) -> Residuals | None:
    """Return the residuals that go with a scenario; None: too few are known of its platform.

    Examples
    --------
    >>> from migkit import Guest
    >>> learned_for(Scenario(guest=Guest(memory_bytes=2**28))).groups >= needed_groups(LEARNED_AT)
    True
    """
    return LEARNED.get(kind_of(case))


def sentence(case: Scenario, level: float) -> str:
    """Return what was done to the bounds of a scenario, and from what it was learned.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> sentence(Scenario(guest=Guest(memory_bytes=2**28), policy=Policy(name="xen")), 0.9)
    'as drawn: fewer than 9 measured workloads of xen are known to correct them by'
    """
    platform, known = kind_of(case)
    found = learned_for(case)
    of = f"{'calibrated ' if known else ''}{platform}"
    if found is None:
        need = needed_groups(LEARNED_AT)
        return f"as drawn: fewer than {need} measured workloads of {of} are known to correct them by"
    moves = zip(("time", "downtime", "bytes"), np.expm1(_moves(found, level)).tolist(), strict=True)
    by = ", ".join(f"{name} {100.0 * move:.2g} %" for name, move in moves if move > 0.0)
    source = f"{found.groups} workloads on {found.hosts} host{'s' * (found.hosts != 1)}"
    if not by:
        return f"as drawn: residuals of {of} ask for nothing wider ({source})"
    return f"drawn, then widened by residuals of {of}: {by} ({source})"


def on_scale(values: Any) -> np.ndarray:
    """Return total times [s], downtimes [s] and bytes, in the last axis, on the scale of the residuals.

    Examples
    --------
    >>> on_scale([1.0, 0.99, 1.0]).tolist()
    [0.0, 0.0, 0.0]
    """
    with np.errstate(divide="ignore"):
        scaled: np.ndarray = np.log(np.asarray(values, dtype=float) + _FLOORS)
    return scaled


def widened(
    case: Scenario, low: np.ndarray, high: np.ndarray, least_s: Any, level: float, by: Residuals | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds moved outwards by residuals, as far as that is possible.

    No total time falls below what its bytes take on the link, or rises above the time limit of the policy. A bound
    that is infinite stays so, and a guest that never stops has no downtime.

    Parameters
    ----------
    case
        The scenario; its fields that are numbers may be arrays.
    low, high
        Bounds as drawn: total time [s], downtime [s], bytes; of shape ``(scenarios, 3)``.
    least_s
        What the bytes take on the link [s].
    level
        Probability that a run lies within.
    by
        The residuals; None: the bounds stay as they are.

    Examples
    --------
    >>> from migkit import Guest
    >>> low, high = np.array([[10.0, 0.02, 1e9]]), np.array([[12.0, 0.2, 1.1e9]])
    >>> by = Residuals(0.1, 0.5, 0.01, groups=12, hosts=3)
    >>> wide = widened(Scenario(guest=Guest(memory_bytes=2**30)), low, high, 9.5, 0.9, by)
    >>> wide[0].round(3).tolist(), wide[1].round(3).tolist()
    ([[9.5, 0.008, 990049833.749]], [[13.262, 0.336, 1111055183.793]])
    """
    if by is None:
        return low, high
    factor = np.exp(_moves(by, level))
    below = np.maximum(0.0, (low + _FLOORS) / factor - _FLOORS)
    above = (high + _FLOORS) * factor - _FLOORS
    below[:, 0] = np.maximum(below[:, 0], np.minimum(low[:, 0], least_s))
    limit_s = np.maximum(high[:, 0], case.policy.time_limit_s)
    above[:, 0] = np.minimum(above[:, 0], limit_s)
    stays = high[:, 1] <= 0.0  # the guest never stops: the times are those of a migration that is given up
    return np.where(stays[:, None], low, below), np.where(stays[:, None], high, above)


def stretched(draws_s: np.ndarray, least_s: Any, by: Residuals | None) -> np.ndarray:
    """Return draws of total times in ascending order, moved away from their median as bounds at each level are.

    Parameters
    ----------
    draws_s
        Draws of each scenario, of shape ``(scenarios, draws)`` [s].
    least_s
        What the bytes of each scenario take on the link, below which no draw is moved [s].
    by
        The residuals; None: the draws stay as they are.

    Examples
    --------
    >>> by = Residuals(0.1, 0.5, 0.01, groups=12, hosts=3)
    >>> stretched(np.array([[1.0, 1.0, 1.0]]), np.array([0.95]), by).round(3).tolist()
    [[0.95, 1.0, 1.061]]
    """
    ordered = np.sort(draws_s, axis=1)
    if by is None:
        return ordered
    moved = ordered * np.exp(by.total_time * _ranks(ordered.shape[1]))
    return np.asarray(np.maximum(moved, np.minimum(ordered, np.reshape(least_s, (-1, 1)))))


@functools.lru_cache(4)
def _ranks(number: int) -> np.ndarray:
    """Return by how much each of some draws in order moves, beside the upper bound at 90 %."""
    normal = NormalDist()
    values = np.array([normal.inv_cdf((at + 0.5) / number) for at in range(number)])
    return values / normal.inv_cdf((1.0 + LEARNED_AT) / 2.0)


def _moves(by: Residuals, level: float) -> np.ndarray:
    """Return the moves of the three bounds at a level; one other than 90 % moves as a normal distribution's does."""
    return np.array(by[:3]) * _share(level)


@functools.lru_cache(8)
def _share(level: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf((1.0 + level) / 2.0) / normal.inv_cdf((1.0 + LEARNED_AT) / 2.0)
