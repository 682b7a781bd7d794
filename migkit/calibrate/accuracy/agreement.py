"""Errors of predictions in a few numbers: how large, to which side, how often an interval holds, how wide it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from migkit.calibrate.accuracy.scored import QUANTITIES, Scored
from migkit.calibrate.baselines import BASELINES

__all__ = ["MODELS", "Errors", "Summary", "summary"]

MODELS: Final = ("geometric", "working_set", "piecewise")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How far predictions of one quantity are off, where it was reported.

    Errors are relative; those of downtimes are in seconds. NaN: nothing was reported.

    Attributes
    ----------
    rows
        Runs that report the quantity and that were predicted to end.
    median, percentile_95
        Of the size of the errors.
    bias
        The median error; positive: too much was predicted.
    intervals
        Runs that report the quantity.
    held
        How many of their intervals hold it.
    width
        The median of the upper over the lower bound; of a downtime, of their difference.
    """

    rows: int
    median: float
    percentile_95: float
    bias: float
    intervals: int
    held: int
    width: float

    @property
    def coverage(self) -> float:
        """Share of intervals that hold."""
        return self.held / self.intervals if self.intervals else math.nan


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a set of runs says of the predictions.

    Attributes
    ----------
    rows
        Number of runs.
    groups
        Number of pairs of host and workload among them.
    verdicts, verdicts_right
        Runs whose verdict is known, and how many of them got it.
    total_time_s, downtime_s, transferred_bytes
        The errors.
    baselines
        Of each simple model: the median size of its error in total time, the same of bytes, and its right verdicts.
    """

    rows: int
    groups: int
    verdicts: int
    verdicts_right: int
    total_time_s: Errors
    downtime_s: Errors
    transferred_bytes: Errors
    baselines: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what is no number is None."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}


def summary(runs: Sequence[Scored]) -> Summary:
    """Return what runs say of the predictions.

    Examples
    --------
    >>> from migkit import Guest
    >>> from migkit.calibrate.accuracy.scored import Origin, scored
    >>> from migkit.scenario import Scenario
    >>> case = Scenario(guest=Guest(memory_bytes=2**28))
    >>> found = summary([scored(Origin("a", "idle", "b"), case, verdict="converges", total_time_s=2.0)])
    >>> found.verdicts_right, found.total_time_s.held, found.downtime_s.rows
    (1, 1, 0)
    """
    told = [run.verdict_right for run in runs if run.verdict_right is not None]
    errors: dict[str, Any] = {quantity: _errors(runs, quantity) for quantity in QUANTITIES}
    return Summary(
        rows=len(runs),
        groups=len({run.group for run in runs}),
        verdicts=len(told),
        verdicts_right=sum(told),
        baselines={model: _baseline(runs, model) for model in MODELS},
        **errors,
    )


def _errors(runs: Sequence[Scored], quantity: str) -> Errors:
    off = _finite([run.error(quantity) for run in runs])
    holds = [run.holds(quantity) for run in runs]
    told = [held for held in holds if held is not None]
    widths = _finite([run.width(quantity) for run, held in zip(runs, holds, strict=True) if held is not None])
    return Errors(
        rows=off.size,
        median=_median(np.abs(off)),
        percentile_95=float(np.percentile(np.abs(off), 95)) if off.size else math.nan,
        bias=_median(off),
        intervals=len(told),
        held=sum(told),
        width=_median(widths),
    )


def _baseline(runs: Sequence[Scored], model: str) -> dict[str, float]:
    known = [run for run in runs if run.measured.verdict]
    right = sum(BASELINES[model](run.case).verdict == run.measured.verdict for run in known)
    told = {
        quantity: np.array([off for run in runs if (off := run.error(quantity, model)) is not None])
        for quantity in ("total_time_s", "transferred_bytes")
    }
    return {
        "total_time_s": _median(np.abs(told["total_time_s"])),
        "transferred_bytes": _median(np.abs(told["transferred_bytes"])),
        "verdicts_right": right,
    }


def _finite(values: Sequence[float | None]) -> np.ndarray:
    return np.array([value for value in values if value is not None and math.isfinite(value)])


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else math.nan


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
