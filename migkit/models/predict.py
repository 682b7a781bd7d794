"""A scenario in, a prediction out."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

import numpy as np

from migkit import jit
from migkit.engine.packing import Packed
from migkit.engine.records import SETTLED, Result
from migkit.errors import UsageError
from migkit.models import admission
from migkit.models import goodput as paths
from migkit.models.advice.limits import LIMITS, limited_by
from migkit.models.advice.reasons import Facts, why
from migkit.models.dirty import natural_downtime_s
from migkit.models.history import History, downtime_parts, run
from migkit.models.result import Prediction
from migkit.models.spread.interval import LEVEL, interval
from migkit.policies import decision
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.form.given import Given, scenario_of
from migkit.units import PAGE_BYTES

__all__ = ["VERDICTS", "first_remedy", "predict", "verdict_of"]

_MOST_COUNTED: Final = 2.0**53  # rounds; a double counts no more one by one
VERDICTS: Final = {
    decision.SWITCHOVER: "converges",
    decision.POSTCOPY: "converges",
    decision.ABORT: "aborted",
    decision.TIME_OUT: "timed_out",
    SETTLED: "does_not_converge",
}


def predict(
    scenario: Given | None = None,
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
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping
        (``{"guest": {"memory": "1 GiB"}}``).
    guest, link, host, policy, strategy
        What goes with a guest; each but the guest has a documented default.
    level
        Probability that a run lies within the prediction's interval; None: no interval, which is faster.
    detail
        False: no rounds, of the time line only the end, and no remedies, which is faster.
    seed
        From which the interval's inputs are drawn; nothing else is left to chance.

    Raises
    ------
    UsageError
        Neither a scenario nor a guest, or both; a file that cannot be read; a level that is not between 0 and 1.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy
    >>> guest = Guest(memory_bytes=2**29, zero_bytes=2**28,
    ...               dirty=(DirtyClass(region_bytes=2**26, writes_per_s=5000),))
    >>> result = predict(guest, policy=Policy(max_bandwidth_bytes_per_s=125e6))
    >>> result.verdict, round(result.total_time_s, 1)
    ('converges', 2.2)
    >>> predict(Guest.parse(memory="1 GiB", zero="768 MiB"), policy=Policy.parse(downtime_limit="50 ms")).verdict
    'converges'
    """
    if level is not None and not 0.0 < level < 1.0:
        raise UsageError(f"predict: level {level:g} is not a probability; it must be above 0 and below 1")
    case = scenario_of(scenario, "predict", guest=guest, link=link, host=host, policy=policy, strategy=strategy)
    packed, goodput_bytes_per_s = paths.packed(case)
    refusal = admission.refusal(case)
    if refusal:
        return _refused(refusal, LIMITS[int(limited_by(case, packed))])
    rule = jit.callback(case.policy.decider)
    history = History() if detail else History(0, 0)
    result = run(packed, rule, history)
    _check_conservation(packed, result)
    best = _prediction(case, goodput_bytes_per_s, packed, result, history, None if detail else 0)
    if level is None:
        return best
    return dataclasses.replace(best, interval=interval(case, result, rule, level, seed))


def first_remedy(case: Scenario) -> str:
    """Return the first of the remedies that :func:`predict` names, as a scenario file writes it; empty: none.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=300_000),))
    >>> first_remedy(Scenario(guest=guest)).partition(" = ")[0]
    'policy.max_bandwidth'
    """
    packed, goodput_bytes_per_s = paths.packed(case)
    if admission.refusal(case):
        return ""
    history = History(0, 0)
    result = run(packed, jit.callback(case.policy.decider), history)
    return next(iter(_prediction(case, goodput_bytes_per_s, packed, result, history, 1).remedies), "")


def _check_conservation(packed: Packed, result: Result) -> None:
    """Raise unless pages marked are pages sent and left, and bytes are those of the pages."""
    scenario = packed.scenario
    sent = result.normal_pages + result.zero_pages
    full_bytes = (
        result.normal_pages * scenario.page_wire_bytes
        + result.zero_pages * scenario.zero_wire_bytes
        + (scenario.device_bytes if result.action in (decision.SWITCHOVER, decision.POSTCOPY) else 0.0)
    )
    wire_bytes = full_bytes - result.saved_bytes
    if not math.isclose(result.marked_pages, sent + result.left_pages, rel_tol=1e-6, abs_tol=1.0):
        raise AssertionError(f"pages are not conserved: {result.marked_pages} marked, {sent} sent")
    # A jump over rounds multiplies what they have rounded.
    digits = 1e-2 if result.undecided or result.iterations > _MOST_COUNTED else 1e-6
    if abs(result.sent_bytes - wire_bytes) > max(digits * full_bytes, 1e6):
        raise AssertionError(f"bytes are not conserved: {result.sent_bytes} sent, {wire_bytes} in pages")


def verdict_of(case: Scenario, action: int) -> str:
    """Return the verdict that goes with the last action of a migration.

    Raises
    ------
    UsageError
        A rule of one's own returned what is no action.

    Examples
    --------
    >>> from migkit import Guest
    >>> verdict_of(Scenario(guest=Guest(memory_bytes=4096)), decision.SWITCHOVER)
    'converges'
    """
    if action not in VERDICTS:
        raise UsageError(
            f"policy {case.policy.name}: its rule returned {action}, which is no action; "
            "return CONTINUE, SYNC, SWITCHOVER, POSTCOPY or ABORT of migkit.policies.decision"
        )
    return VERDICTS[action]


def _prediction(
    case: Scenario,
    goodput_bytes_per_s: float,
    packed: Packed,
    result: Result,
    history: History,
    most: int | None,
) -> Prediction:
    verdict = verdict_of(case, int(result.action))
    endless = verdict == "does_not_converge"
    bandwidth = min(goodput_bytes_per_s, case.policy.max_bandwidth_bytes_per_s)
    natural_s = natural_downtime_s(case.guest, bandwidth, float(packed.scenario.page_wire_bytes))
    natural_s = _as_shown(natural_s, result, history.last.bandwidth_bytes_per_s)
    told = why(case, verdict, Facts(packed, bandwidth, natural_s, history.last), result, most)
    total_s = float(result.total_s)
    exposure_s = float(result.exposure_s)
    rounds = history.rounds(packed, result)
    return Prediction(
        verdict=verdict,
        reason=told.reason,
        limited_by=told.limited_by,
        remedies=told.remedies,
        reasons=told.sentences,
        total_time_s=math.inf if endless else total_s,
        downtime_s=float(result.downtime_s),
        transferred_bytes=math.inf if endless else float(result.sent_bytes) + paths.storage_sent_bytes(case, total_s),
        iterations=int(result.iterations),
        remaining_at_switchover_bytes=float(result.switchover_pages) * PAGE_BYTES,
        downtime_limit_s=history.last.downtime_limit_s if math.isfinite(history.last.downtime_limit_s) else None,
        natural_downtime_s=natural_s,
        guest_slowdown=float(result.lost_s) / total_s if total_s > 0 else 0.0,
        postcopy_faults=float(result.faults),
        blocktime_s=float(result.blocktime_s),
        degraded_s=float(result.degraded_s),
        exposure_s=exposure_s,
        risk=float(-np.expm1(np.array([-exposure_s / 3600.0 * case.host.failures_per_h]))[0]),  # as in a frame
        rounds=rounds,
        timeline=history.timeline(packed, result, rounds),
        downtime_parts=downtime_parts(case, packed, result),
        hosts=case.hosts_known,
    )


def _as_shown(natural_s: float, result: Result, measured_bytes_per_s: float) -> float:
    """Return the natural downtime within what the rule has shown of a guest that was not slowed [s].

    Where a rule syncs often, the pages that wait to be sent are not marked again, and less is left than whole rounds
    would leave. A rule that switched over had no more left than it allows; one that never would had more at every
    sync. What is left is told in seconds as the rule tells it, by the bandwidth that it measured.
    """
    if result.degraded_s > 0.0 or result.undecided > 0.0 or not measured_bytes_per_s > 0.0:
        return natural_s
    left_s = float(result.switchover_pages) * PAGE_BYTES / measured_bytes_per_s
    if result.action == decision.SWITCHOVER:
        return min(natural_s, left_s)
    return max(natural_s, left_s) if result.action == SETTLED else natural_s


def _refused(refusal: str, limit: str) -> Prediction:
    """Return the prediction of a migration that is not admitted: nothing happens."""
    numbers = [f.name for f in dataclasses.fields(Prediction) if f.type in ("float", "int")]
    return Prediction(
        verdict="aborted",
        reason="not_admitted",
        downtime_limit_s=None,
        limited_by=limit,
        reasons=(refusal,),
        rounds=(),
        timeline=(),
        **dict.fromkeys(numbers, 0),  # type: ignore[arg-type]
    )
