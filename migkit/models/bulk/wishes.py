"""The bounds of many predictions, as columns: each scenario runs many times, with inputs drawn anew."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from migkit.errors import UsageError
from migkit.models.spread import interval, residuals
from migkit.scenario import Scenario

__all__ = ["Wish", "wish"]

_BOUNDS: Final = (
    ("total_time_low_s", "total_time_high_s"),
    ("downtime_low_s", "downtime_high_s"),
    ("transferred_low_bytes", "transferred_high_bytes"),
)


class Wish(NamedTuple):
    """Which bounds are asked for; see :func:`migkit.models.bulk.many.predict_many`."""

    level: float | None
    deadline_s: float | None
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are added."""
        if self.level is None:
            return ()
        names = (*(name for pair in _BOUNDS for name in pair), "probability_of_convergence")
        return names if self.deadline_s is None else (*names, "probability_in_time")

    def store(
        self, case: Scenario, results: np.ndarray, rule: Any, rows: np.ndarray, out: dict[str, np.ndarray]
    ) -> None:
        """Write the bounds of some rows into the columns.

        Parameters
        ----------
        case, rule, rows, out
            As :func:`migkit.models.bulk.many.predict_some` takes them; nothing is written without a level.
        results
            Of the engine, a row each.
        """
        if self.level is None:
            return
        drawn = interval.bounds_of(case, results, rule, self.level, self.seed)
        by = residuals.learned_for(case)
        found = interval.corrected(case, drawn, self.level, by)
        for at, (low, high) in enumerate(_BOUNDS):
            out[low][rows], out[high][rows] = found.low[:, at], found.high[:, at]
        out["probability_of_convergence"][rows] = found.probability
        if self.deadline_s is not None:
            drawn_s = interval.corrected_draws(case, drawn, by)
            out["probability_in_time"][rows] = np.mean(drawn_s <= self.deadline_s, axis=1)


def wish(level: float | None, deadline_s: float | None, seed: int) -> Wish:
    """Return what is asked for, after a look at it.

    Raises
    ------
    UsageError
        The level is no probability, or there is a deadline without one.

    Examples
    --------
    >>> wish(0.9, None, 0).columns[:2]
    ('total_time_low_s', 'total_time_high_s')
    """
    if level is not None and not 0.0 < level < 1.0:
        raise UsageError(f"predict_many: level {level:g} is not a probability; it must be above 0 and below 1")
    if level is None and deadline_s is not None:
        raise UsageError("predict_many: deadline_s needs draws; give a level as well, such as level=0.9")
    return Wish(level, deadline_s, seed)
