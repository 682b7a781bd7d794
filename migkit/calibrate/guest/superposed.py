"""Two patterns of busy times and rests at once, as of two programs, from what a guest wrote beat by beat.

The rate is ``base + a x + b y``, where ``x`` and ``y`` are 1 while the one program is busy, the other. So it has four
levels. The most likely way through them (Viterbi 1967) is that of a factorial hidden Markov model (Ghahramani and
Jordan 1997): each change of either program costs as much as ``2 log n`` of the logarithm of likelihood for ``n``
beats. The levels follow by least squares from the way, and the way from the levels, until neither moves.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from migkit.calibrate.guest.pulses import Pulses, apart_by, clipped, durations_of, pulses_of

__all__ = ["patterns_of"]

_CHANGE: Final = 2.0
_DEARER: Final = 10.0  # five changes: by how much two programs must tell the rates better than one
_TURNS: Final = 4
_CLUSTERS: Final = (3, 4, 5, 6)  # of rates, from which levels are guessed
_CLUSTER_TURNS: Final = 30
_LEAST: Final = 20  # beats without a change, from which levels are told


class _Way(NamedTuple):
    """Which programs were busy in each beat, of shape (n, 2), what it costs, and the levels: base, a, b [pages/s]."""

    cost: float
    busy: Any
    levels: Any


def patterns_of(rates: npt.NDArray[np.float64], lengths_s: npt.NDArray[np.float64]) -> tuple[Pulses, ...]:
    """Return when the guest was busy, by pattern: none, one, or two that are superposed.

    Parameters
    ----------
    rates
        What each beat wrote [pages/s].
    lengths_s
        How long each lasted [s].

    Examples
    --------
    >>> one, other = np.tile([600.0] * 10 + [0.0] * 7, 9), np.tile([900.0] * 6 + [200.0] * 3, 17)
    >>> found = patterns_of(one + other, np.full(153, 0.1))
    >>> sorted((round(each.busy_s, 1), round(each.rest_s, 1)) for each in found)
    [(0.6, 0.3), (1.0, 0.7)]
    >>> patterns_of(np.full(90, 500.0), np.full(90, 0.1))
    ()
    """
    two = _two(clipped(rates), lengths_s)
    if two is not None:
        return two
    one = pulses_of(rates, lengths_s)
    return () if one is None else (one,)


def _two(rates: Any, lengths_s: Any) -> tuple[Pulses, Pulses] | None:
    if rates.size < _LEAST:
        return None
    one, way = _way(rates, 1), _way(rates, 2)
    if way is None or (one is not None and one.cost < way.cost + _DEARER * math.log(rates.size)):
        return None
    base, *heights = way.levels.tolist()
    if min(heights) < apart_by(rates, _scatter(rates, way)):
        return None
    found = []
    for own, other in ((0, 1), (1, 0)):
        under = base + heights[other] * way.busy[:, other]
        share, rest = (rates - under) / heights[own], base / (base + heights[own])
        pulses = _pulses(way.busy[:, own] > 0, share, lengths_s, rest)
        if pulses is None:
            return None
        found.append(pulses)
    return found[0], found[1]


def _way(rates: Any, programs: int) -> _Way | None:
    """Return the way that costs least, of so many programs; None: there are not so many."""
    ways = (_settled(rates, _variance(rates), levels) for levels in _guesses(rates, programs))
    return min((one for one in ways if one is not None), key=lambda one: one.cost, default=None)


def _variance(rates: Any) -> float:
    """Return how much beats differ from their neighbours, those of a busy guest: a rest is all too calm."""
    high = rates >= np.median(rates)
    steps = np.diff(rates)[high[1:] & high[:-1]]
    noise = 1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2.0) if steps.size else 0.0
    return noise**2 + 1.0


def _guesses(rates: Any, programs: int) -> list[tuple[float, ...]]:
    """Return levels to begin with: base, and what each program adds."""
    found = []
    for count in _CLUSTERS:
        base, *above = _centres(rates, count)
        added = [level - base for level in above]
        found += [(base, *some) for some in itertools.combinations_with_replacement(added, programs)]
    return found


def _centres(rates: Any, count: int) -> list[float]:
    """Return the centres of so many clusters of rates, in order (k-means)."""
    centres = np.quantile(rates, (np.arange(count) + 0.5) / count)
    for _ in range(_CLUSTER_TURNS):
        nearest = np.abs(rates[:, None] - centres).argmin(axis=1)
        moved = [rates[nearest == at].mean() if (nearest == at).any() else centres[at] for at in range(count)]
        if np.allclose(centres, moved):
            break
        centres = np.array(moved)
    return sorted(centres.tolist())


def _settled(rates: Any, variance: float, levels: Any) -> _Way | None:
    """Return the way and the levels that agree; None: one of the programs is not there."""
    levels = np.array(levels)
    for _ in range(_TURNS):
        cost, busy = _likeliest(rates, levels, variance)
        inside = _inside(busy)
        if inside.sum() < _LEAST:
            return None
        table = np.column_stack([np.ones(rates.size), busy])[inside]
        moved = np.linalg.lstsq(table, rates[inside], rcond=None)[0]
        if moved[1:].min() <= 0.0:
            return None
        if np.allclose(moved, levels, rtol=1e-3):
            break
        levels = moved
    return _Way(cost, busy, np.maximum(levels, 0.0))


def _likeliest(rates: Any, levels: Any, variance: float) -> tuple[float, Any]:
    """Return what the likeliest way costs, and which programs were busy on it."""
    states = np.array(list(itertools.product((0, 1), repeat=len(levels) - 1)))
    change = _CHANGE * math.log(rates.size)
    changes = change * np.abs(states[:, None, :] - states[None]).sum(axis=2)
    off = (rates[:, None] - levels[0] - states @ levels[1:]) ** 2 / (2.0 * variance)
    costs = np.minimum(off, change)  # one beat that is off is no run
    came = np.zeros(costs.shape, int)
    best = costs[0]
    for at in range(1, rates.size):
        total = best[:, None] + changes
        came[at] = total.argmin(axis=0)
        best = total.min(axis=0) + costs[at]
    path = np.zeros(rates.size, int)
    state = int(best.argmin())
    for at in range(rates.size - 1, -1, -1):
        path[at] = state
        state = came[at, state]
    return float(best.min()), states[path]


def _inside(busy: Any) -> Any:
    """Return which beats lie within runs."""
    inside = np.ones(len(busy), bool)
    changes = np.flatnonzero(np.abs(np.diff(busy, axis=0)).any(axis=1))
    inside[changes] = inside[changes + 1] = False
    return inside


def _scatter(rates: Any, way: _Way) -> float:
    off = rates - way.levels[0] - way.busy @ way.levels[1:]
    return 1.4826 * float(np.median(np.abs(off)[_inside(way.busy)]))


def _pulses(path: Any, share: Any, lengths_s: Any, rest_level: float) -> Pulses | None:
    """Return the pattern of one program; ``share`` is what it added in each beat over what it adds while busy."""
    changes = np.flatnonzero(np.diff(path))
    busy = path.astype(float)
    for at in changes:
        busy[at : at + 2] = np.clip(share[at : at + 2], 0.0, 1.0)
    durations = durations_of(path, busy, lengths_s, changes)
    return None if durations is None else Pulses.of(busy, durations, rest_level)
