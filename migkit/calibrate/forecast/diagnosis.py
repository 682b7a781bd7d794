"""What a log says, what its migration will do, and what would help: all that can be told from one record."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from migkit.calibrate import conditions
from migkit.calibrate.forecast.belief import Belief, allowed_bytes, course_of
from migkit.calibrate.forecast.changes import Change, changes
from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.calibrate.forecast.wording import expected
from migkit.calibrate.guest import readings, rounds
from migkit.calibrate.guest.contradictions import without_contradicted
from migkit.calibrate.guest.fitting import Fit, fit_guest
from migkit.errors import UsageError
from migkit.importers.meanings import TIMED_OUT
from migkit.importers.summary import facts
from migkit.models.predict import predict
from migkit.models.result import Point, Prediction
from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.importers import Log
    from migkit.scenario import Scenario

__all__ = ["Diagnosis", "diagnose", "moments"]

_GIVEN_UP: Final = {"failed": "failed", "cancelled": "was cancelled", TIMED_OUT: "ran into its completion timeout"}
_TOO_EARLY: Final = "What the guest writes is not known before the first pass has ended."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one record tells.

    Attributes
    ----------
    log
        The record.
    facts
        What it says, as pairs of a word and a sentence.
    sentences
        What it means, the most important first.
    outlook
        What is expected of the migration as of its last reading in which it had not ended; None: it completed, or the
        record is of dirty rates.
    changes
        What would let it converge, or end sooner, each with its effect.
    course
        What would remain from the last reading on, as predicted; of a migration that completed, from its request on.
        Empty: not known.
    allowed_bytes
        At how much left the rule switches over [B]; NaN: not known.
    fit
        The guest that the record describes; None: it does not say enough.
    answers
        Of a single dirty rate: what each guest that fits it would take.
    """

    log: Log
    facts: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    outlook: Outlook | None = None
    changes: tuple[Change, ...] = ()
    course: tuple[Point, ...] = ()
    allowed_bytes: float = math.nan
    fit: Fit | None = None
    answers: tuple[tuple[str, Prediction], ...] = ()


def diagnose(log: Log, base: Scenario | None = None) -> Diagnosis:
    """Return what a record tells.

    Parameters
    ----------
    log
        One record, as :func:`migkit.importers.read` returns them.
    base
        What is known beside it. Of a migration: policy, strategy and host, and the guest where it was measured. Of a
        dirty rate: all but how the guest writes; without it nothing is predicted.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> found = diagnose(read(data.data_path("kvm_database/precopy-16t-1.json.gz"))[0].until(80.0))
    >>> found.outlook.verdict, [one.name for one in found.changes][:2]
    ('does_not_converge', ['max-bandwidth', 'auto-converge'])
    """
    if log.kind == "dirty-rate":
        return _of_rates(log, base)
    if log.meta["outcome"] == "completed":
        return _of_completed(log)
    return _of_open(log, base)


def moments(log: Log, most: int = 24) -> tuple[float, ...]:
    """Return times, spread evenly over the readings, as of which a log can be asked [s]; the last is infinite: all.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> len(moments(read_reference("a1-q7-0"), 5)), moments(read_reference("a1-q7-0"), 5)[-1]
    (5, inf)
    """
    if log.kind != "migration":
        return (math.inf,)
    times = sorted(set(log.frame.loc[log.frame["phase"] != "done", "t_s"].dropna().tolist()))
    step = max(1, math.ceil(len(times) / (most - 1)))
    return (*times[step - 1 :: step][: most - 1], math.inf)


def _of_open(log: Log, base: Scenario | None) -> Diagnosis:
    """Return the diagnosis of a migration that is under way, or was given up: as of its last reading before that."""
    seen = log.until(math.inf)
    if seen.frame.empty:
        said = f"{_outcome(log)} The log has no reading from before that."
        return Diagnosis(log=log, facts=_facts(log), sentences=(said.lstrip(),))
    forecaster = Forecaster(base)
    outlook = forecaster.outlook(seen)
    found = forecaster.beliefs
    return Diagnosis(
        log=log,
        facts=_facts(log),
        sentences=(*_gone(log), *_will_do(outlook, found)),
        outlook=outlook,
        changes=changes(found, outlook.verdict, log),
        course=course_of(found),
        allowed_bytes=allowed_bytes(found),
        fit=_fitted(log),
    )


def _gone(log: Log) -> tuple[str, ...]:
    ended = _outcome(log)
    return (f"{ended} What follows was to be expected at its last reading before that.",) if ended else ()


def _outcome(log: Log) -> str:
    """Return in words how a migration was given up; empty: it was not."""
    outcome = log.meta["outcome"]
    if outcome not in _GIVEN_UP:
        return ""
    total_s = log.meta["totals"].get("total_time_s")
    when = f" after {format_duration(total_s)}" if total_s else ""
    return f"The migration {_GIVEN_UP[outcome]}{when}."


def _will_do(outlook: Outlook, found: list[Belief]) -> list[str]:
    """Return the forecast in sentences."""
    verdict, *more = (text for text in expected(outlook) if text)
    if outlook.verdict == "not_known":
        why = "The log has too few of the counters that a forecast needs." if outlook.iteration > 1 else _TOO_EARLY
        return [why, *(f"It {text}." for text in more)]
    said = [f"It {', '.join([verdict, *more])}."]
    if outlook.verdict == "does_not_converge" and found:
        case = found[0].case
        speed = min(case.policy.max_bandwidth_bytes_per_s, case.link.bandwidth_bytes_per_s)
        left = f"{format_size(outlook.remaining_bytes)} = {format_duration(outlook.remaining_bytes / speed)}"
        limit = format_duration(case.policy.downtime_limit_s)
        said.append(f"At the last reading {left} at {format_rate(speed)} was left. The downtime limit is {limit}.")
    return said


def _of_completed(log: Log) -> Diagnosis:
    """Return the diagnosis of a migration that came to its end: what its guest is, and whether that fits."""
    fit = _fitted(log)
    end_s = log.meta["totals"].get("total_time_s")
    said = ["It completed" + (f" after {format_duration(end_s)}." if end_s else ".")]
    if fit is None or fit.family:
        said += ["It does not tell enough of its guest to predict the next migration.", *log.next_time]
        return Diagnosis(log=log, facts=_facts(log), sentences=tuple(said), fit=fit)
    held = conditions.of_log(log)
    case = conditions.scenario(fit.guest, held)
    checks = [f"{text.removesuffix('.')}." for text in conditions.self_check(fit.guest, held, log)]
    return Diagnosis(
        log=log,
        facts=_facts(log),
        sentences=(
            *said,
            f"Its guest is fitted to {fit.said[0]}.",
            *(text[:1].upper() + text[1:] for text in checks),
        ),
        course=predict(case, level=None).timeline,
        allowed_bytes=held.speed_bytes_per_s * case.policy.downtime_limit_s,
        fit=fit,
    )


def _of_rates(log: Log, base: Scenario | None) -> Diagnosis:
    if base is None:
        said = "A dirty rate does not tell the memory of its guest: give it to have a migration predicted."
        return Diagnosis(log=log, facts=_facts(log), sentences=(said,))
    found = fit_guest(
        (), readings.of_log(log), memory_bytes=base.guest.memory_bytes, zero_bytes=base.guest.zero_bytes
    )
    members = [(one.name, one.guest) for one in found.family] or [("as measured", found.guest)]
    answers = [(name, predict(conditions.with_guest(base, guest), level=None)) for name, guest in members]
    said = f"{_open(answers)} " + " ".join(found.said)
    return Diagnosis(log=log, facts=_facts(log), sentences=(said,), fit=found, answers=tuple(answers))


def _open(answers: list[tuple[str, Prediction]]) -> str:
    """Return in words whether guests that fit one reading converge."""
    ending = sum(told.verdict == "converges" for _, told in answers)
    if ending == len(answers):
        return "It converges, whichever of these guests it is."
    return "It is open whether it converges." if ending else "It does not converge, whichever of these guests it is."


def _fitted(log: Log) -> Fit | None:
    """Return the guest that a migration describes; None where it says too little."""
    observed = rounds.of_log(log)
    if observed is None:
        return None
    try:
        return without_contradicted(fit_guest([observed]), [(log, conditions.of_log(log))])
    except UsageError:  # which says what the log lacks; a log need not describe its guest
        return None


def _facts(log: Log) -> tuple[tuple[str, str], ...]:
    return tuple(facts(log))
