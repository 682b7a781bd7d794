"""One measured migration beside what was predicted of it."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple

from migkit.calibrate.baselines import BASELINES, Estimate
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import Scenario

__all__ = ["QUANTITIES", "Origin", "Scored", "predicted", "scored"]

QUANTITIES: Final = ("total_time_s", "downtime_s", "transferred_bytes")


class Origin(NamedTuple):
    """Where a measured migration comes from, and what its prediction knew.

    Attributes
    ----------
    run
        Its name within the data set.
    workload
        What the guest did; with ``host`` it says which runs belong together when runs are split.
    host
        Which machines moved it.
    split
        What the prediction was fitted to, in words; empty: nothing.
    """

    run: str
    workload: str
    host: str
    split: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """A run, and its prediction from a scenario that holds nothing of the run itself.

    Attributes
    ----------
    origin
        Where it comes from.
    case
        The scenario that was predicted.
    measured
        What happened: NaN where it was not reported, an empty verdict likewise.
    prediction
        What was predicted, with its interval.
    """

    origin: Origin
    case: Scenario
    measured: Estimate
    prediction: Prediction

    @property
    def group(self) -> tuple[str, str]:
        """Host and workload: runs that share both are never split."""
        return self.origin.host, self.origin.workload

    @property
    def verdict_right(self) -> bool | None:
        """Whether the verdict is that of the run; None: none was reported."""
        return self.prediction.verdict == self.measured.verdict if self.measured.verdict else None

    def error(self, quantity: str, model: str = "") -> float | None:
        """Return predicted against measured: relative, of the downtime in seconds; None: nothing was reported.

        Parameters
        ----------
        quantity
            One of :data:`QUANTITIES`.
        model
            Whose prediction: one of :data:`migkit.calibrate.baselines.BASELINES`; empty: migkit's.
        """
        told = BASELINES[model](self.case) if model else self.prediction
        measured = getattr(self.measured, quantity)
        if math.isnan(measured):
            return None
        off = float(getattr(told, quantity) - measured)
        return off if quantity == "downtime_s" else off / measured

    def holds(self, quantity: str) -> bool | None:
        """Return whether the interval holds what was measured; None: nothing was."""
        measured = getattr(self.measured, quantity)
        if math.isnan(measured) or self.prediction.interval is None:
            return None
        low, high = getattr(self.prediction.interval, quantity)
        return bool(low <= measured <= high)

    def width(self, quantity: str) -> float:
        """Return the upper over the lower bound of the interval, of a downtime their difference [s].

        NaN: one of them is not finite, or the lower one is 0.
        """
        if self.prediction.interval is None:
            return math.nan
        low, high = getattr(self.prediction.interval, quantity)
        if quantity == "downtime_s":
            return float(high - low)
        return high / low if low > 0.0 and math.isfinite(high) else math.nan


def scored(
    origin: Origin,
    case: Scenario,
    *,
    verdict: str = "",
    total_time_s: float | None = None,
    downtime_s: float | None = None,
    transferred_bytes: float | None = None,
    prediction: Prediction | None = None,
) -> Scored:
    """Predict a scenario, and put what was measured of it beside.

    Parameters
    ----------
    origin
        Where the run comes from.
    case
        Its scenario.
    verdict, total_time_s, downtime_s, transferred_bytes
        What was measured; None: it was not reported.
    prediction
        What :func:`predicted` says of the scenario, where it is known already.

    Examples
    --------
    >>> from migkit import Guest
    >>> one = scored(Origin("a", "idle", "b"), Scenario(guest=Guest(memory_bytes=2**28)), total_time_s=2.0)
    >>> one.holds("total_time_s"), one.holds("downtime_s")
    (True, None)
    """
    total, down, sent = (math.nan if v is None else float(v) for v in (total_time_s, downtime_s, transferred_bytes))
    return Scored(origin, case, Estimate(total, down, sent, verdict), prediction or predicted(case))


def predicted(case: Scenario) -> Prediction:
    """Return the prediction of a scenario with its interval, as scores need it.

    Examples
    --------
    >>> from migkit import Guest
    >>> predicted(Scenario(guest=Guest(memory_bytes=2**28))).interval.level
    0.9
    """
    return predict(case, detail=False)
