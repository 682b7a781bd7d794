"""Intervals around a prediction, and how often they hold.

Three sources of scatter: the constants (drawn from the distribution of their estimates), the
guest's chance (writes fall where they fall), and what no model sees: other load, timers. The first
is propagated by drawing; the rest is taken from the relative errors of runs that were left
out, whose distribution (Student's t, ``n - 1`` degrees of freedom) widens the interval by
``t s sqrt(1 + 1/n)``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.calibrate.fit import Calibration
from migkit.calibrate.validate import Comparison
from migkit.errors import UsageError
from migkit.models.predict import predict
from migkit.models.result import Interval, Prediction
from migkit.scenario import Scenario

__all__ = ["Scatter", "coverage", "predict_interval", "scatter"]

_QUANTITIES: Final = ("total_time_s", "downtime_s", "transferred_bytes")


class Scatter(NamedTuple):
    """Spread of ``measured / predicted`` (logarithms; for the downtime: differences [s]) over left-out runs."""

    center: Mapping[str, float]
    spread: Mapping[str, float]
    runs: int


def scatter(comparisons: Sequence[Comparison]) -> Scatter:
    """Return what left-out runs say about the errors to expect.

    Raises
    ------
    UsageError
        Fewer than three runs that ended as predicted.
    """
    used = [c for c in comparisons if c.verdict_right and math.isfinite(c.prediction.total_time_s)]
    if len(used) < 3:
        raise UsageError(f"interval: {len(used)} left-out runs are too few to tell the scatter; capture at least 3")
    errors = {name: [_error(name, c) for c in used] for name in _QUANTITIES}
    return Scatter(
        {name: float(np.mean(values)) for name, values in errors.items()},
        {name: float(np.std(values, ddof=1)) for name, values in errors.items()},
        len(used),
    )


def predict_interval(
    scenario: Scenario,
    calibration: Calibration,
    seen: Scatter,
    *,
    level: float = 0.9,
    draws: int = 40,
    seed: int = 0,
) -> Prediction:
    """Predict a run with bounds within which it lies with probability ``level``.

    Parameters
    ----------
    scenario
        The run.
    calibration, seen
        Constants, and the scatter of runs that they were not fitted to.
    level
        Probability, above 0 and below 1.
    draws, seed
        How many sets of constants are drawn, and from which seed.

    Raises
    ------
    UsageError
        ``level`` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"interval: level {level:g} is not a probability; it must be above 0 and below 1")
    best = predict(calibration.scenario(scenario), level=None)
    rng = np.random.default_rng(seed)
    drawn = [predict(dataclasses.replace(scenario, host=calibration.draw(rng)), level=None) for _ in range(draws)]
    width = _student(level, seen.runs - 1) * math.sqrt(1.0 + 1.0 / seen.runs)
    bounds: dict[str, Any] = {name: _bounds(name, best, drawn, seen, width) for name in _QUANTITIES}
    return dataclasses.replace(best, interval=Interval(level=level, **bounds))


def coverage(predictions: Sequence[Prediction], comparisons: Sequence[Comparison]) -> Mapping[str, float]:
    """Return the share of runs within the intervals of their predictions, for each quantity."""
    held = {
        name: [
            getattr(p.interval, name)[0] <= getattr(c.trace.outcome, name) <= getattr(p.interval, name)[1]
            for p, c in zip(predictions, comparisons, strict=True)
            if p.interval is not None
        ]
        for name in _QUANTITIES
    }
    return {name: float(np.mean(values)) for name, values in held.items()}


def _error(name: str, one: Comparison) -> float:
    measured, predicted = getattr(one.trace.outcome, name), getattr(one.prediction, name)
    return float(measured - predicted if name == "downtime_s" else math.log(measured / predicted))


def _bounds(
    name: str, best: Prediction, drawn: Sequence[Prediction], seen: Scatter, width: float
) -> tuple[float, float]:
    value = float(getattr(best, name))
    if not math.isfinite(value):
        return value, value
    values = np.array([getattr(p, name) for p in drawn])
    values = values[np.isfinite(values)]
    if name == "downtime_s":
        half = width * math.hypot(seen.spread[name], float(np.std(values)) if values.size else 0.0)
        return max(0.0, value + seen.center[name] - half), value + seen.center[name] + half
    half = width * math.hypot(seen.spread[name], float(np.std(np.log(values / value))) if values.size else 0.0)
    return value * math.exp(seen.center[name] - half), value * math.exp(seen.center[name] + half)


def _student(level: float, freedom: int) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
