"""Whether a guest behaved alike all the time: the end of its load, growth, phases.

A stationary guest marks in each round what its curve says, give or take how well the window is known. Rounds that are
off together, one behind the other, say that the guest changed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from migkit.calibrate.guest.curve import Curve, fit_curve
from migkit.calibrate.guest.rounds import Round
from migkit.units import format_duration

__all__ = ["Changes", "fit_while_loaded", "steps_of"]

_FEW: Final = 6  # rounds of which less cannot be said to follow a pattern
_KNOWN: Final = 0.25  # a window must be known to this share of its length to say how busy the guest was
_FALLEN: Final = 0.6  # of what it marked before
_TREND: Final = 0.15
_SWING: Final = 0.25  # phases at least so far from the mean
_SURE: Final = 3.0  # standard deviations


class Changes(NamedTuple):
    """What was not stationary.

    Attributes
    ----------
    said
        In sentences; empty when the guest behaved alike all the time.
    phases
        Steps ``(duration_s, intensity)`` when it had phases, else empty.
    ended_s
        When its load fell [s]; infinite when it did not.
    """

    said: tuple[str, ...]
    phases: tuple[tuple[float, float], ...]
    ended_s: float


def fit_while_loaded(
    rounds: Sequence[Round], limit_pages: float, speeds: Sequence[float]
) -> tuple[Curve, tuple[Round, ...], Changes]:
    """Return the curve of the rounds under load, those rounds, and what changed meanwhile.

    Examples
    --------
    >>> alike = [Round(start_s=w, window_s=w, window_error_s=0.001, marked_pages=900 * w, to_send_pages=5000,
    ...                pending_pages=0) for w in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)]
    >>> fit_while_loaded(alike, 1e6, [1.0] * 7)[2].said
    ()
    """
    curve = fit_curve(rounds, limit_pages, speeds)
    end = _end_of_load(rounds, curve)
    ended_s = math.inf
    said: list[str] = []
    if end < len(rounds):
        ended_s = rounds[end].start_s
        said.append(
            f"The load fell {format_duration(ended_s)} after the request: the {len(rounds) - end} rounds from then "
            "on marked less than 0.6 of what the rounds before say. They are left out."
        )
        rounds, speeds = rounds[:end], speeds[:end]
        curve = fit_curve(rounds, limit_pages, speeds)
    phases = _steps_of(rounds, curve)
    if phases:
        low, high = min(i for _, i in phases), max(i for _, i in phases)
        period = format_duration(sum(d for d, _ in phases))
        said.append(
            f"The guest has phases of about {period}: it wrote {low:.2f} to {high:.2f} of its mean. The time of a "
            "migration depends on the phase in which it begins."
        )
    else:
        said += _trend(rounds, curve)
    return curve, tuple(rounds), Changes(tuple(said), phases, ended_s)


def _known(rounds: Sequence[Round]) -> np.ndarray:
    return np.array([r.window_error_s <= _KNOWN * r.window_s for r in rounds])


def _end_of_load(rounds: Sequence[Round], curve: Curve) -> int:
    """Return the first of the rounds at the end that all marked too little; their number when there are none."""
    known, ratios = _known(rounds), np.array(curve.ratios)
    first = len(rounds)
    while first > 0 and (ratios[first - 1] < _FALLEN or not known[first - 1]):
        first -= 1
    tail = slice(first, None)
    expected, marked = np.array(curve.expected)[tail], ratios[tail] * np.array(curve.expected)[tail]
    enough = known[tail].sum() >= 2 and first >= 3 and marked.sum() < _FALLEN * expected.sum()
    return first if enough else len(rounds)


def _steps_of(rounds: Sequence[Round], curve: Curve) -> tuple[tuple[float, float], ...]:
    """Return the phases that rounds show."""
    known = _known(rounds)
    return steps_of(np.array([r.start_s for r in rounds])[known], np.array(curve.ratios)[known])


def steps_of(starts: np.ndarray, ratios: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the phases that windows show: high and low in turn at least three times, each several windows long.

    Parameters
    ----------
    starts
        When each window began [s].
    ratios
        What was written in it, over its mean.

    Returns
    -------
    tuple
        Steps ``(duration_s, intensity)``, the high one first; empty: no phases.

    Examples
    --------
    >>> ratios = np.tile([2.0, 2.0, 0.0, 0.0], 10)
    >>> steps_of(np.arange(40) * 0.5, ratios)
    ((1.0, 2.0), (1.0, 0.0))
    """
    if ratios.size < 4 * _FEW:
        return ()
    middle = 0.5 * (np.quantile(ratios, 0.1) + np.quantile(ratios, 0.9))
    runs = [
        (bool(high), [at for at, _ in group])
        for high, group in itertools.groupby(enumerate(ratios > middle), key=lambda pair: bool(pair[1]))
    ][1:-1]
    levels = [float(ratios[ratios > middle].mean()), float(ratios[ratios <= middle].mean())]
    long_enough = np.median([len(at) for _, at in runs]) >= 2 if runs else False
    if len(runs) < 2 * 3 or not long_enough or min(levels[0] - 1.0, 1.0 - levels[1]) < _SWING * 0.5:
        return ()
    if levels[0] - levels[1] < 2 * _SWING:
        return ()
    spans = [starts[min(at[-1] + 1, starts.size - 1)] - starts[at[0]] for _, at in runs]
    high_s, low_s = (
        float(np.median([s for (h, _), s in zip(runs, spans, strict=True) if h is w])) for w in (True, False)
    )
    return ((high_s, round(levels[0], 3)), (low_s, round(levels[1], 3))) if min(high_s, low_s) > 0 else ()


def _trend(rounds: Sequence[Round], curve: Curve) -> list[str]:
    """Return a sentence when the guest marked more and more, or less and less (Kendall's rank correlation)."""
    known = _known(rounds)
    t, y = np.array([r.start_s for r in rounds])[known], np.array(curve.ratios)[known]
    if y.size < 2 * _FEW:
        return []
    later = np.triu_indices(y.size, 1)
    slopes = (y[later[1]] - y[later[0]]) / np.maximum(t[later[1]] - t[later[0]], 1e-9)
    score = float(np.sign(slopes).sum()) / math.sqrt(y.size * (y.size - 1) * (2 * y.size + 5) / 18.0)
    change = float(np.median(slopes) * (t[-1] - t[0]))
    if abs(score) < _SURE or abs(change) < _TREND:
        return []
    word = "grew" if change > 0 else "fell"
    return [
        f"Not stationary: what the guest writes {word} by {abs(change):.0%} in "
        f"{format_duration(float(t[-1] - t[0]))}. The curve is that of the whole time."
    ]
