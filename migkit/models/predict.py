"""A scenario in, a prediction out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError
from migkit.kernels import _jit, layout, policy
from migkit.models import admission
from migkit.models import goodput as paths
from migkit.models.dirty import natural_downtime_s
from migkit.models.history import History, run
from migkit.models.interval import LEVEL, interval
from migkit.models.reasons import reasons
from migkit.models.result import Prediction
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.pack import Packed
from migkit.units import PAGE_BYTES

__all__ = ["predict"]

VERDICTS: Final = {
    policy.SWITCHOVER: "converges",
    policy.POSTCOPY: "converges",
    policy.ABORT: "aborted",
    policy.TIME_OUT: "timed_out",
    layout.SETTLED: "does_not_converge",
}


def predict(
    scenario: Scenario | None = None,
    *,
    guest: Guest | None = None,
    link: Link | None = None,
    host: Host | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
    level: float | None = LEVEL,
    detail: bool = True,
    seed: int = 0,
) -> Prediction:
    """Return what a migration will take, and whether it converges.

    Parameters
    ----------
    scenario
        What is moved, over what, by which rule; or give its parts.
    guest, link, host, policy, strategy
        The parts; each but the guest has a documented default.
    level
        Probability that a run lies within the prediction's interval; None: no interval, which is faster.
    detail
        False: no rounds, and of the time line only the end, which is faster.
    seed
        From which the interval's inputs are drawn; nothing else is left to chance.

    Raises
    ------
    UsageError
        Neither a scenario nor a guest, or both; a level that is not between 0 and 1.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy
    >>> guest = Guest(memory_bytes=2**29, zero_bytes=2**28,
    ...               dirty=(DirtyClass(region_bytes=2**26, writes_per_s=5000),))
    >>> result = predict(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=125e6))
    >>> result.verdict, round(result.total_time_s, 1)
    ('converges', 2.1)
    """
    if level is not None and not 0.0 < level < 1.0:
        raise UsageError(f"predict: level {level:g} is not a probability; it must be above 0 and below 1")
    case = _scenario(scenario, guest, link, host, policy, strategy)
    packed, goodput_bytes_per_s = paths.packed(case)
    refusal = admission.refusal(case)
    if refusal:
        return _refused(refusal)
    rule = _jit.callback(case.policy.rule)
    history = History() if detail else History(0, 0)
    result = run(packed, rule, history)
    _check_conservation(packed, result)
    best = _prediction(case, goodput_bytes_per_s, packed, result, history)
    return best if level is None else dataclasses.replace(best, interval=interval(packed, result, rule, level, seed))


def _scenario(scenario: Scenario | None, guest: Guest | None, *parts: Any) -> Scenario:
    if scenario is not None:
        if guest is not None or any(part is not None for part in parts):
            raise UsageError("predict: a scenario and parts of one were given; give one or the other")
        return scenario
    if guest is None:
        raise UsageError("predict: no guest was given; give a scenario or a guest")
    link, host, rule, strategy = parts
    return Scenario(
        guest=guest,
        link=link or Link(),
        host=host or Host(),
        policy=rule or Policy(),
        strategy=strategy or Strategy(),
    )


def _check_conservation(packed: Packed, result: np.ndarray) -> None:
    """Raise unless pages marked are pages sent and left, and bytes are those of the pages."""
    record = packed.record
    sent = result[layout.SENT_NORMAL] + result[layout.SENT_ZERO]
    wire_bytes = (
        result[layout.SENT_NORMAL] * record[layout.PAGE_WIRE_BYTES]
        + result[layout.SENT_ZERO] * record[layout.ZERO_WIRE_BYTES]
        - result[layout.SAVED]
    )
    if not math.isclose(result[layout.MARKED], sent + result[layout.LEFT_PAGES], rel_tol=1e-6, abs_tol=1.0):
        raise AssertionError(f"pages are not conserved: {result[layout.MARKED]} marked, {sent} sent")
    if not math.isclose(result[layout.SENT], wire_bytes + record[layout.DEVICE_BYTES], rel_tol=1e-6, abs_tol=1e6):
        raise AssertionError(f"bytes are not conserved: {result[layout.SENT]} sent, {wire_bytes} in pages")


def _prediction(
    case: Scenario,
    goodput_bytes_per_s: float,
    packed: Packed,
    result: np.ndarray,
    history: History,
) -> Prediction:
    verdict = VERDICTS[int(result[layout.ACTION])]
    endless = verdict == "does_not_converge"
    bandwidth = min(goodput_bytes_per_s, case.policy.max_bandwidth_bytes_per_s)
    natural_s = natural_downtime_s(case.guest, bandwidth, float(packed.record[layout.PAGE_WIRE_BYTES]))
    total_s = float(result[layout.TOTAL_S])
    exposure_s = float(result[layout.EXPOSURE_S])
    rounds = history.rounds(result)
    return Prediction(
        verdict=verdict,
        reasons=reasons(case, verdict, bandwidth, natural_s, result),
        total_time_s=math.inf if endless else total_s,
        downtime_s=float(result[layout.DOWNTIME_S]),
        transferred_bytes=math.inf
        if endless
        else float(result[layout.SENT]) + paths.storage_sent_bytes(case, total_s),
        iterations=int(result[layout.ITERATIONS]),
        remaining_at_switchover_bytes=float(result[layout.SWITCHOVER_PAGES]) * PAGE_BYTES,
        natural_downtime_s=natural_s,
        guest_slowdown=float(result[layout.LOST_S]) / total_s if total_s > 0 else 0.0,
        postcopy_faults=float(result[layout.FAULTS]),
        blocktime_s=float(result[layout.BLOCKTIME_S]),
        degraded_s=float(result[layout.DEGRADED_S]),
        exposure_s=exposure_s,
        risk=-math.expm1(-exposure_s / 3600.0 * case.host.failures_per_h),
        rounds=rounds,
        timeline=history.timeline(packed, result, rounds),
    )


def _refused(refusal: str) -> Prediction:
    """Return the prediction of a migration that is not admitted: nothing happens."""
    numbers = [f.name for f in dataclasses.fields(Prediction) if f.type in ("float", "int")]
    return Prediction(
        verdict="aborted",
        reasons=(refusal,),
        rounds=(),
        timeline=(),
        **dict.fromkeys(numbers, 0),  # type: ignore[arg-type]
    )
