"""What the residuals of scored runs say of intervals: corrections by platform, and their honest coverage.

A correction that is applied to a run must not have seen it. :func:`left_out` corrects each run by what was learned
of all other pairs of workload and host of its platform.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from migkit.calibrate.accuracy.scored import QUANTITIES, Scored
from migkit.models.result import Interval
from migkit.models.spread.interval import Bounds, corrected
from migkit.models.spread.residuals import LEARNED_AT, Residuals, kind_of, needed_groups, on_scale

__all__ = ["learned", "left_out"]

Kind = tuple[str, bool]
_NEED: Final = needed_groups(LEARNED_AT)


def learned(runs: Sequence[Scored]) -> dict[Kind, Residuals]:
    """Return the residuals of each platform that has enough groups, by platform and whether its hosts' load is known.

    Parameters
    ----------
    runs
        Scored runs with intervals at 90 %.

    Examples
    --------
    >>> learned([])
    {}
    """
    kinds: dict[Kind, list[Scored]] = {}
    for run in runs:
        kinds.setdefault(kind_of(run.case), []).append(run)
    found = {kind: _residuals(some) for kind, some in kinds.items()}
    return {kind: one for kind, one in sorted(found.items()) if one is not None}


def left_out(runs: Sequence[Scored]) -> list[Scored]:
    """Return runs with intervals that are corrected by what was learned without their workload on their host.

    Where too few groups are left to learn from, an interval is as it was drawn.

    Examples
    --------
    >>> from migkit.calibrate.accuracy import published
    >>> few = [next(published.score())]
    >>> left_out(few)[0].prediction.interval.total_time_s == few[0].prediction.interval.drawn.total_time_s
    True
    """
    kinds: dict[Kind, list[Scored]] = {}
    for run in runs:
        kinds.setdefault(kind_of(run.case), []).append(run)
    by = {
        (kind, group): _residuals([run for run in some if run.group != group])
        for kind, some in kinds.items()
        for group in {run.group for run in some}
    }
    return [_with(run, by[kind_of(run.case), run.group]) for run in runs]


def _residuals(runs: Sequence[Scored]) -> Residuals | None:
    """Return the quantiles of the residuals of runs, each group with the same weight; None: too few groups."""
    beyond = {quantity: _beyond(runs, at) for at, quantity in enumerate(QUANTITIES)}
    groups = beyond["total_time_s"]
    if len(groups) < _NEED:
        return None
    total, down, sent = (max(0.0, _quantile(found)) if len(found) >= _NEED else 0.0 for found in beyond.values())
    return Residuals(total, down, sent, groups=len(groups), hosts=len({host for host, _ in groups}))


def _beyond(runs: Sequence[Scored], at: int) -> dict[tuple[str, str], list[float]]:
    """Return how far beyond its interval each run lies in one quantity, by group."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        value = getattr(run.measured, QUANTITIES[at])
        drawn = _drawn(run)
        low, high = getattr(drawn, QUANTITIES[at])
        if not math.isnan(value) and math.isfinite(high) and run.verdict_right is not False:
            low_on, on, high_on = (float(on_scale([number] * 3)[at]) for number in (low, value, high))
            found.setdefault(run.group, []).append(max(low_on - on, on - high_on))
    return found


def _quantile(groups: dict[Any, list[float]]) -> float:
    """Return the quantile of the mean of the groups' distributions."""
    values = np.concatenate([np.array(some) for some in groups.values()])
    weights = np.concatenate([np.full(len(some), 1.0 / len(some) / len(groups)) for some in groups.values()])
    order = np.argsort(values)
    at = int(np.searchsorted(np.cumsum(weights[order]), LEARNED_AT - 1e-9))
    return float(values[order][min(at, values.size - 1)])


def _drawn(run: Scored) -> Interval:
    interval = run.prediction.interval
    assert interval is not None
    return interval.drawn or interval


def _with(run: Scored, by: Residuals | None) -> Scored:
    """Return a run whose interval is the one that was drawn, corrected by residuals."""
    drawn = _drawn(run)
    low, high = (np.array([[getattr(drawn, name)[side] for name in QUANTITIES]]) for side in (0, 1))
    found = corrected(run.case, Bounds(low, high, np.ones(1), np.ones((1, 1))), drawn.level, by)
    bounds: dict[str, Any] = {
        name: (float(found.low[0, at]), float(found.high[0, at])) for at, name in enumerate(QUANTITIES)
    }
    interval = dataclasses.replace(drawn, **bounds, drawn=drawn)
    return dataclasses.replace(run, prediction=dataclasses.replace(run.prediction, interval=interval))
