"""Lesson 5: constants fitted to real runs, judged on a run that was left out, with an interval around it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from migkit.calibrate import validate
from migkit.calibrate.fit import fit
from migkit.course.exercises import Choice, Function, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.quantities import RATE, SHARE
from migkit.traces import data, io

if TYPE_CHECKING:
    from migkit.calibrate.validate import Comparison
    from migkit.traces import Trace

__all__ = ["lesson"]

_LEFT_OUT: Final = "left-out"
_LEVEL: Final = 0.9
_RUNS: Final = {"a": "fast", "b": "free", "c": "slow"}


def lesson() -> Lesson:
    """Return lesson 5.

    Examples
    --------
    >>> [one.name for one in lesson().exercises]
    ['goodput_bytes_per_s', 'error_left_out', 'what_limits', 'half_width', 'coverage']
    """
    return Lesson(
        number=5,
        title="fit, then validate",
        exercises=(_goodput(), _error(), _what_limits(), _half_width(), _coverage()),
        predictions=(_worst_run(),),
        case={"left_out": _LEFT_OUT, "level": _LEVEL, "runs": tuple(_RUNS.values())},
    )


@functools.cache
def _runs() -> dict[str, Trace]:
    return {path.stem: io.read(path) for path in data.shipped_traces()}


@functools.cache
def _left_out() -> dict[str, Comparison]:
    """Return each run predicted from all the others."""
    return dict(zip(_runs(), validate.leave_one_out(list(_runs().values())), strict=True))


@functools.cache
def _in_sample() -> Comparison:
    """Return the run that should be left out, predicted from constants that were fitted to it as well."""
    return validate.compare(_runs()[_LEFT_OUT], fit(list(_runs().values())))


def _worst_run() -> Choice:
    def worst() -> str:
        return max(_RUNS, key=lambda letter: abs(_left_out()[_RUNS[letter]].total_time_error))

    return Choice(
        name="worst_run",
        asks="which run is predicted worst from all the others",
        options={"a": "fast: a cap of 1,280 Mbit/s", "b": "free: no cap", "c": "slow: a cap of 800 Mbit/s"},
        expected=worst,
        meaning=lambda: (
            "The errors of the total time are "
            f"{', '.join(f'{name} {100.0 * _left_out()[name].total_time_error:+.1f} %' for name in _RUNS.values())}. "
            "Under a cap the speed is known; without one the hosts themselves decide, and they are not that steady."
        ),
    )


def _goodput() -> Number:
    def first() -> dict[str, float]:
        row: dict[str, float] = _runs()["free"].rounds.slice(0, 1).to_pylist()[0]
        return row

    def total() -> float:
        outcome = _runs()["free"].outcome
        return outcome.transferred_bytes / outcome.total_time_s

    return Number(
        name="goodput_bytes_per_s",
        asks="the goodput of the first round of the run without a cap [B/s]",
        quantity=RATE,
        expected=lambda: first()["sent_bytes"] / first()["duration_s"],
        meaning=lambda: (
            f"{first()['sent_bytes'] / first()['duration_s'] / 1e6:.0f} MB/s in this round. The calibration says "
            f"{_calibrated_goodput() / 1e6:.0f} MB/s: it weighs all rounds without a cap, and distrusts one that "
            "does not fit the others."
        ),
        hint="Divide the bytes that the round sent by its duration; both stand in its row.",
        mistakes=(
            Mistake(total, "That is the mean of the whole run. Set-up, syncs and downtime are in its time."),
            Mistake(
                lambda: first()["remaining_bytes"] / first()["duration_s"],
                "You divided the memory by the time. Not all of it was sent in this round: take sent_bytes.",
            ),
            Mistake(
                lambda: first()["sent_bytes"] / _runs()["free"].outcome.total_time_s,
                "You divided the bytes of one round by the time of the whole run.",
            ),
        ),
        tolerance=0.005,
    )


def _calibrated_goodput() -> float:
    return fit([run for name, run in _runs().items() if name != _LEFT_OUT]).host.goodput_bytes_per_s


def _error() -> Number:
    def measured() -> float:
        return _runs()[_LEFT_OUT].outcome.total_time_s

    def predicted() -> float:
        return _left_out()[_LEFT_OUT].prediction.total_time_s

    return Number(
        name="error_left_out",
        asks="by how much the total time of the left-out run is predicted wrong, as a share of the measured one",
        quantity=SHARE,
        expected=lambda: _left_out()[_LEFT_OUT].total_time_error,
        meaning=lambda: (
            f"{100.0 * _left_out()[_LEFT_OUT].total_time_error:+.2f} %: predicted {predicted():.3f} s, measured "
            f"{measured():.3f} s. With the run in the fit it is {100.0 * _in_sample().total_time_error:+.2f} %; "
            "with six runs the difference is small, and only the run that was left out proves anything."
        ),
        hint="Predicted less measured, divided by measured.",
        mistakes=(
            Mistake(
                lambda: 1.0 - measured() / predicted(),
                "You divided by the prediction. An error is a share of what was measured.",
            ),
            Mistake(
                lambda: _in_sample().total_time_error,
                "You fitted to all six runs, so the prediction has seen the answer. Leave this run out of the fit.",
            ),
            Mistake(
                lambda: predicted() - measured(),
                "That is the difference in seconds. Divide it by the measured time.",
            ),
            Mistake(
                lambda: predicted() / measured(), "That is the ratio. The error is by how much it differs from 1."
            ),
        ),
        tolerance=0.005,
    )


def _what_limits() -> Choice:
    def letter() -> str:
        limits = {run: _left_out()[run].prediction.limited_by for run in ("fast", "slow", "free")}
        capped = limits["fast"] == limits["slow"] == "cap"
        return "a" if capped and limits["free"] != "cap" else "b"

    return Choice(
        name="what_limits",
        asks="why runs under a cap are predicted so much better",
        options={
            "a": "the cap sets their speed, and the cap is known",
            "b": "they were longer, so errors average out",
            "c": "their guests write less",
        },
        expected=letter,
        meaning=lambda: (
            f"limited_by says {_left_out()['slow'].prediction.limited_by} for them and "
            f"{_left_out()['free'].prediction.limited_by} for the run without one. A validation on capped runs says "
            "nothing of the goodput of the hosts: it never showed."
        ),
        wrong={
            "b": "The run without a cap lasted longer than one of them. Look at limited_by.",
            "c": "One of them writes more than the run without a cap. Look at limited_by.",
        },
    )


def _log_errors() -> np.ndarray:
    pairs = [(c.trace.outcome.total_time_s, c.prediction.total_time_s) for c in _left_out().values()]
    return np.array([math.log(measured / predicted) for measured, predicted in pairs])


def _width(quantile: float, spread: float, new: bool = True) -> float:
    count = len(_log_errors())
    return quantile * spread * (math.sqrt(1.0 + 1.0 / count) if new else 1.0)


def _student(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _half_width() -> Number:
    def spread(lost: int = 1) -> float:
        return float(np.std(_log_errors(), ddof=lost))

    count = len(data.shipped_traces())
    two_sided = _student(0.5 + _LEVEL / 2, count - 1)
    return Number(
        name="half_width",
        asks="the half width of the interval at 90 %, in logarithms of the total time",
        quantity=SHARE,
        expected=lambda: _width(two_sided, spread()),
        meaning=lambda: (
            f"A new run lies within {100.0 * (_width(two_sided, spread())):.0f} % of its prediction, nine times in "
            "ten. One odd run of six makes it so wide; that is honest, and the way to a narrower one is more runs."
        ),
        hint="t at 95 % with 5 degrees of freedom, times the standard deviation, times sqrt(1 + 1/n).",
        mistakes=(
            Mistake(
                lambda: _width(1.6449, spread()),
                "You took the normal quantile. The scatter of six runs is itself uncertain: take Student's t with "
                "5 degrees of freedom.",
            ),
            Mistake(
                lambda: _width(_student(_LEVEL, count - 1), spread()),
                "You took t at 90 %. An interval at 90 % leaves 5 % on each side, so t is taken at 95 %.",
            ),
            Mistake(
                lambda: _width(two_sided, spread(), new=False),
                "You forgot sqrt(1 + 1/n): the interval is for a new run, and the centre is uncertain, too.",
            ),
            Mistake(
                lambda: _width(two_sided, spread()) / math.sqrt(1.0 + 1.0 / count) / math.sqrt(count),
                "That is an interval for the mean. A single new run scatters sqrt(n) times as much.",
            ),
            Mistake(
                lambda: _width(_student(0.5 + _LEVEL / 2, count), spread()),
                "You took 6 degrees of freedom. The mean has used one of them up.",
            ),
            Mistake(
                lambda: _width(two_sided, spread(lost=0)),
                "Your standard deviation divides by n. Of a sample it divides by n - 1: ddof=1.",
            ),
            Mistake(
                lambda: 2.0 * _width(two_sided, spread()),
                "That is the whole width. Half of it was asked for.",
            ),
        ),
        tolerance=0.003,
    )


def _inside(low: Sequence[float], high: Sequence[float], measured: Sequence[float]) -> float:
    return float(np.mean([a <= x <= b for a, b, x in zip(low, high, measured, strict=True)]))


def _coverage() -> Function:
    cases = (
        ([1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [1.5, 2.5, 0.5, 1.2]),
        ([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [1.0, 3.0, 3.5]),
        ([1.0] * 10, [2.0] * 10, [1.5] * 9 + [2.5]),
    )
    words = (
        "for four runs, two of them inside",
        "for three runs, two of them on a bound",
        "for ten runs, nine inside",
    )
    return Function(
        name="coverage",
        asks="the share of runs that lie within their intervals",
        cases=cases,
        expected=_inside,
        meaning=lambda: (
            "An interval at 90 % is honest if it holds nine of ten runs that it has not seen: fewer, and it "
            "promises too much; all of them, and it says too little."
        ),
        hint="Count the runs with low <= measured <= high, and divide by their number.",
        mistakes=(
            Mistake(
                lambda low, high, x: _inside(low, high, x) * len(x),
                "That is how many lie inside. Divide it by the number of runs.",
            ),
            Mistake(
                lambda low, high, x: float(np.mean(np.less_equal(x, high))),
                "A run below its lower bound counts as inside. Compare with both bounds.",
            ),
            Mistake(
                lambda low, high, x: float(np.mean(np.greater_equal(x, low))),
                "A run above its upper bound counts as inside. Compare with both bounds.",
            ),
            Mistake(
                lambda low, high, x: float(np.mean(np.less(low, x) & np.less(x, high))),
                "A run on a bound counts as inside: use <=.",
            ),
            Mistake(lambda low, high, x: 1.0 - _inside(low, high, x), "That is the share that lies outside."),
        ),
        call=lambda *case: words[next(at for at, one in enumerate(cases) if one == case)],
        quantity=SHARE,
    )
