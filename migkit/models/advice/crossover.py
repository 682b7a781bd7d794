"""Up to which write rate a strategy ends, and up to which it is about as quick as another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Final

from migkit.models.bulk.several import Outcome, predict_several
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import Scenario

__all__ = ["LONGER", "as_quick_up_to", "at_write_rate", "at_write_rates", "converges_up_to"]

LONGER: Final = 1.25
_CLOSE: Final = 1.02  # ratio of the two rates between which the answer lies


def at_write_rate(scenario: Scenario, writes_per_s: float, *, detail: bool = False) -> Prediction:
    """Predict a scenario in which each page class is written at another rate [1/s].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=10.0),))
    >>> at_write_rate(Scenario(guest=guest), 1e6).verdict
    'does_not_converge'
    """
    return predict(_written(scenario, writes_per_s), level=None, detail=detail)


def at_write_rates(scenario: Scenario, rates: Sequence[float]) -> list[Outcome]:
    """Predict a scenario at each of some write rates [1/s].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=10.0),))
    >>> [one.verdict for one in at_write_rates(Scenario(guest=guest), (10.0, 1e6))]
    ['converges', 'does_not_converge']
    """
    return predict_several([_written(scenario, rate) for rate in rates])


def _written(scenario: Scenario, writes_per_s: float) -> Scenario:
    dirty = tuple(dataclasses.replace(each, writes_per_s=writes_per_s) for each in scenario.guest.dirty)
    return dataclasses.replace(scenario, guest=dataclasses.replace(scenario.guest, dirty=dirty))


def converges_up_to(scenario: Scenario, low: float, high: float) -> float:
    """Return the write rate up to which a migration converges, between two rates [1/s].

    It is infinite where the migration converges at ``high``, and 0 where it does not at ``low``.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=10.0),))
    >>> most = converges_up_to(Scenario(guest=guest), 100.0, 1e6)
    >>> at_write_rate(Scenario(guest=guest), most).verdict
    'converges'
    """
    return _holds_up_to(lambda rate: at_write_rate(scenario, rate).verdict == "converges", low, high)


def as_quick_up_to(scenario: Scenario, other: str, low: float, high: float) -> float:
    """Return the write rate up to which a migration is about as quick as under another strategy [1/s].

    About as quick means at most :data:`LONGER` times as long. The rate is infinite where that holds at ``high``, and
    0 where it does not at ``low``.

    Parameters
    ----------
    scenario
        The migration.
    other
        Name of the other strategy.
    low, high
        The rates between which the answer is looked for [1/s].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=10.0),))
    >>> 1e3 < as_quick_up_to(Scenario(guest=guest), "stopcopy", 100.0, 1e6) < 1e5
    True
    """
    rival = dataclasses.replace(scenario, strategy=dataclasses.replace(scenario.strategy, name=other))

    def is_quicker(rate: float) -> bool:
        return at_write_rate(scenario, rate).total_time_s <= LONGER * at_write_rate(rival, rate).total_time_s

    return _holds_up_to(is_quicker, low, high)


def _holds_up_to(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the end of what holds, halving the ratio of two bounds; what holds at a rate holds at lower ones."""
    if holds(high):
        return math.inf
    if not holds(low):
        return 0.0
    while high > low * _CLOSE:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
