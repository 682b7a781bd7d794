"""Predicted against measured, on runs that the constants were not fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from migkit.calibrate.baselines import BASELINES
from migkit.calibrate.fit import Calibration, fit
from migkit.errors import UsageError
from migkit.models.predict import predict
from migkit.models.result import Prediction

if TYPE_CHECKING:
    import pandas as pd

    from migkit.scenario import Scenario
    from migkit.traces import Trace

__all__ = ["Comparison", "compare", "constants", "leave_one_out", "residuals", "rows", "to_frame"]


class Comparison(NamedTuple):
    """One run, what was predicted of it, and by how much the two differ.

    Attributes
    ----------
    trace, prediction
        Measured and predicted.
    total_time_error, bytes_error
        (predicted - measured) / measured.
    downtime_error_s
        Predicted - measured [s].
    verdict_right
        Whether the verdicts agree.
    """

    trace: Trace
    prediction: Prediction
    total_time_error: float
    bytes_error: float
    downtime_error_s: float
    verdict_right: bool


def compare(trace: Trace, calibration: Calibration) -> Comparison:
    """Predict the run of ``trace`` with calibrated constants, and compare.

    The guest is in the middle of its work when the run begins: where its trace tells how far its phases
    were, the scenario says so.
    """
    prediction = predict(calibration.scenario(trace.scenario), level=None)
    outcome = trace.outcome
    return Comparison(
        trace,
        prediction,
        _relative(prediction.total_time_s, outcome.total_time_s),
        _relative(prediction.transferred_bytes, outcome.transferred_bytes),
        prediction.downtime_s - outcome.downtime_s,
        prediction.verdict == outcome.verdict,
    )


def constants(calibration: Calibration) -> pd.DataFrame:
    """Return one row a fitted constant: its value, its standard error, and what told it.

    Both numbers have the unit in which the name ends.

    Examples
    --------
    >>> from migkit import Host
    >>> known = dict(standard_errors={"load_s": 0.002}, identified_by={"load_s": "6 rows"}, covariance=((4e-6,),))
    >>> found = Calibration(
    ...     host=Host(load_s=0.02), constants=("load_s",), **known, refused={}, residuals={}, runs=6, kind="harness")
    >>> constants(found).to_dict("records")
    [{'constant': 'load_s', 'value': 0.02, 'standard_error': 0.002, 'told_by': '6 rows'}]
    """
    import pandas as pd

    told = [
        (name, getattr(calibration.host, name), calibration.standard_errors[name], calibration.identified_by[name])
        for name in calibration.constants
    ]
    return pd.DataFrame(told, columns=["constant", "value", "standard_error", "told_by"])


def residuals(traces: Mapping[str, Trace], used: Sequence[str], calibration: Calibration) -> pd.DataFrame:
    """Return one row a run: by how much its prediction is off, and whether the constants were fitted to it.

    Parameters
    ----------
    traces
        Runs by name.
    used
        Names of those that the constants were fitted to.
    calibration
        The constants.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``used``, ``total_time_error`` and ``bytes_error`` (shares), ``downtime_error_s`` [s].
    """
    import pandas as pd

    compared = {name: compare(trace, calibration) for name, trace in traces.items()}
    return pd.DataFrame(
        {
            "name": list(compared),
            "used": [name in used for name in compared],
            "total_time_error": [one.total_time_error for one in compared.values()],
            "bytes_error": [one.bytes_error for one in compared.values()],
            "downtime_error_s": [one.downtime_error_s for one in compared.values()],
        }
    )


def leave_one_out(traces: Sequence[Trace]) -> tuple[Comparison, ...]:
    """Predict every run from constants fitted to all the others.

    Raises
    ------
    UsageError
        Fewer than three traces.
    """
    if len(traces) < 3:
        raise UsageError(f"validation: {len(traces)} traces are too few to leave one out; capture at least 3")
    return tuple(compare(t, fit([o for o in traces if o is not t])) for t in traces)


def rows(comparisons: Sequence[Comparison], *, baselines: bool = True) -> list[dict[str, Any]]:
    """Return one row a run and quantity-wise columns; with the simple baselines on the same rows."""
    return [_row(at, one, baselines) for at, one in enumerate(comparisons)]


def to_frame(comparisons: Sequence[Comparison], *, baselines: bool = True) -> pd.DataFrame:
    """Return :func:`rows` as a frame."""
    import pandas as pd

    return pd.DataFrame(rows(comparisons, baselines=baselines))


def _row(at: int, one: Comparison, baselines: bool) -> dict[str, Any]:
    scenario, outcome, prediction = one.trace.scenario, one.trace.outcome, one.prediction
    seen = one.trace.machine.get("postcopy", {})
    row: dict[str, Any] = _design(at, scenario)
    row |= {
        "verdict_measured": outcome.verdict,
        "verdict_predicted": prediction.verdict,
        "total_time_s_measured": outcome.total_time_s,
        "total_time_s_predicted": prediction.total_time_s,
        "total_time_error": one.total_time_error,
        "downtime_s_measured": outcome.downtime_s,
        "downtime_s_predicted": prediction.downtime_s,
        "downtime_error_s": one.downtime_error_s,
        "transferred_bytes_measured": outcome.transferred_bytes,
        "transferred_bytes_predicted": prediction.transferred_bytes,
        "bytes_error": one.bytes_error,
        "postcopy_faults_measured": float(seen.get("faults", 0)),
        "postcopy_faults_predicted": prediction.postcopy_faults,
        "blocktime_s_measured": float(seen.get("blocktime_s", 0.0)),
        "blocktime_s_predicted": prediction.blocktime_s,
    }
    for name, model in BASELINES.items() if baselines else ():
        estimate = model(scenario)
        row[f"{name}_total_time_error"] = _relative(estimate.total_time_s, outcome.total_time_s)
        row[f"{name}_bytes_error"] = _relative(estimate.transferred_bytes, outcome.transferred_bytes)
        row[f"{name}_verdict"] = estimate.verdict
    return row


def _design(at: int, scenario: Scenario) -> dict[str, Any]:
    return {
        "run": at,
        "strategy": scenario.strategy.name,
        "memory_bytes": scenario.guest.memory_bytes,
        "writes_per_s": scenario.guest.writes_per_s,
        "max_bandwidth_bytes_per_s": scenario.policy.max_bandwidth_bytes_per_s,
        "downtime_limit_s": scenario.policy.downtime_limit_s,
    }


def _relative(predicted: float, measured: float) -> float:
    if measured == 0:
        return 0.0 if predicted == 0 else math.inf
    return (predicted - measured) / measured
