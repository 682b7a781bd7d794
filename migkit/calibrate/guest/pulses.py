"""When a guest was busy and when it rested, from what it wrote beat by beat.

Two levels, and the most likely way from one to the other and back (Viterbi 1967), where each change costs as much as
``2 log n`` of the logarithm of likelihood for ``n`` beats. A beat in which the level changes was busy in part.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Pulses", "apart_by", "clipped", "durations_of", "pulses_of"]

_CHANGE: Final = 2.0
_TURNS: Final = 20
_APART: Final = 2.5  # robust standard deviations between the levels
_SWING: Final = 0.08  # of the mean, between the levels
_CHANGES: Final = 5  # of the level: two whole runs of either one
_MANY: Final = 6  # from so many on, a run may be unlike the others
_ALIKE: Final = 0.35  # median deviation of the runs' durations, as a share of their median
_ALL_ALIKE: Final = 0.1  # deviation of each where there are few
_STILL: Final = 0.03  # a rest that writes no more than so much of what is written while busy writes nothing


class Pulses(NamedTuple):
    """A guest that is busy and rests in turn.

    Attributes
    ----------
    busy
        Share of each beat in which it was busy.
    busy_s, rest_s
        How long it usually was either [s].
    rest_level
        What it writes while it rests, over what it writes while it is busy.
    """

    busy: npt.NDArray[np.float64]
    busy_s: float
    rest_s: float
    rest_level: float

    @classmethod
    def of(cls, busy: npt.NDArray[np.float64], durations_s: tuple[float, float], rest_level: float) -> Pulses:
        """Return the pattern with these durations; a rest that writes next to nothing writes nothing.

        Examples
        --------
        >>> Pulses.of(np.zeros(0), (2.0, 1.0), 0.01).rest_level
        0.0
        """
        return cls(busy, *durations_s, rest_level if rest_level > _STILL else 0.0)

    def phases(self, level: float, begins_s: float = 0.0) -> tuple[tuple[float, float], ...]:
        """Return the phases of a page class that writes at this level while the guest rests.

        Parameters
        ----------
        level
            Over what it writes while the guest is busy.
        begins_s
            Where in the cycle, which begins with the busy time, the steps begin [s].

        Examples
        --------
        >>> Pulses(np.zeros(0), 2.0, 1.0, 0.0).phases(0.25, begins_s=0.5)
        ((1.5, 1.0), (1.0, 0.25), (0.5, 1.0))
        """
        steps = ((self.busy_s, 1.0), (self.rest_s, level))
        if begins_s > self.busy_s:
            begins_s, steps = begins_s - self.busy_s, steps[::-1]
        (first_s, intensity), other = steps
        cut = ((first_s - begins_s, intensity), other, (begins_s, intensity))
        return tuple(step for step in cut if step[0] > 0.0)

    def stands_s(self, lengths_s: npt.NDArray[np.float64]) -> float:
        """Return where in the cycle, which begins with the busy time, the guest is at the end of its beats [s].

        Examples
        --------
        >>> busy = np.array([0.0, 0.5, 1.0, 1.0, 0.25, 0.0, 0.0])
        >>> round(Pulses(busy, 0.3, 0.4, 0.0).stands_s(np.full(7, 0.1)), 3)
        0.575
        >>> round(Pulses(busy[:4], 0.3, 0.4, 0.0).stands_s(np.full(4, 0.1)), 3)
        0.25
        """
        is_busy = self.busy >= 0.5
        changes = np.flatnonzero(np.diff(is_busy))
        if not changes.size:
            return 0.0 if is_busy[-1] else self.busy_s
        last = int(changes[-1])
        share = self.busy if is_busy[-1] else 1.0 - self.busy
        since_s = float((share[last:] * lengths_s[last:]).sum())
        return since_s if is_busy[-1] else self.busy_s + since_s


def pulses_of(rates: npt.NDArray[np.float64], lengths_s: npt.NDArray[np.float64]) -> Pulses | None:
    """Return when the guest was busy; None: it wrote alike all the time, or without a pattern.

    Parameters
    ----------
    rates
        What each beat wrote [pages/s].
    lengths_s
        How long each lasted [s].

    Examples
    --------
    >>> found = pulses_of(np.tile([900.0] * 10 + [100.0] * 5, 6), np.full(90, 0.1))
    >>> round(found.busy_s, 2), round(found.rest_s, 2), round(found.rest_level, 2)
    (1.0, 0.5, 0.11)
    >>> pulses_of(np.full(90, 500.0), np.full(90, 0.1)) is None
    True
    """
    held = clipped(rates)
    is_busy = _two_levels(held)
    if is_busy is None:
        return None
    path = _likeliest(held, is_busy)
    changes = np.flatnonzero(np.diff(path))
    if changes.size < _CHANGES:
        return None
    inside = np.ones(rates.size, bool)
    inside[changes] = inside[changes + 1] = False
    if not ((path & inside).any() and (~path & inside).any()):
        return None
    top, rest = float(np.median(held[path & inside])), float(np.median(held[~path & inside]))
    scatter = 1.4826 * float(np.median(np.abs(held - np.where(path, top, rest))[inside]))
    if top - rest < apart_by(held, scatter):
        return None
    busy = path.astype(float)
    for at in changes:
        busy[at : at + 2] = np.clip((held[at : at + 2] - rest) / (top - rest), 0.0, 1.0)
    durations = durations_of(path, busy, lengths_s, changes)
    return None if durations is None else Pulses.of(busy, durations, rest / top)


def clipped(rates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return rates with the few that are highest or lowest held within the others.

    Examples
    --------
    >>> float(clipped(np.array([5.0] * 98 + [0.0, 90.0])).max())
    5.0
    """
    low, high = np.quantile(rates, [0.02, 0.98])
    held: npt.NDArray[np.float64] = np.clip(rates, low, high)
    return held


def apart_by(rates: npt.NDArray[np.float64], scatter: float) -> float:
    """Return by how much two levels of rates must differ that are two, where rates scatter so much around them.

    Examples
    --------
    >>> apart_by(np.array([100.0, 300.0]), scatter=20.0)
    50.0
    """
    return max(_APART * scatter, _SWING * float(rates.mean()))


def _two_levels(rates: Any) -> Any:
    """Return which beats are nearer to the higher of two levels (k-means); None where there is one level only."""
    low, high = np.quantile(rates, [0.15, 0.85])
    for _ in range(_TURNS):
        above = rates > 0.5 * (low + high)
        if above.all() or not above.any():
            return None
        low, high = rates[~above].mean(), rates[above].mean()
    return above


def _likeliest(rates: Any, above: Any) -> Any:
    """Return whether each beat is on the higher level on the most likely way."""
    high, low = np.median(rates[above]), np.median(rates[~above])
    variance = float(np.median(np.abs(rates - np.where(above, high, low))) * 1.4826) ** 2 + 1.0
    costs = np.stack([(rates - low) ** 2, (rates - high) ** 2]) / (2.0 * variance)
    change = _CHANGE * math.log(rates.size)
    costs[1] = np.clip(costs[1] - costs[0], -change, change)  # so one beat that is far off makes no run
    costs[0] = 0.0
    came = np.zeros((2, rates.size), int)
    best = costs[:, 0]
    for at in range(1, rates.size):
        other = best[::-1] + change
        came[:, at] = np.where(best <= other, (0, 1), (1, 0))
        best = np.minimum(best, other) + costs[:, at]
    path = np.zeros(rates.size, bool)
    level = int(best[1] < best[0])
    for at in range(rates.size - 1, -1, -1):
        path[at] = level
        level = int(came[level, at])
    return path


def durations_of(path: Any, busy: Any, lengths_s: Any, changes: Any) -> tuple[float, float] | None:
    """Return how long the guest usually is busy and rests [s]; None: too few whole runs, or very unlike ones.

    Parameters
    ----------
    path
        Whether it was busy, beat by beat.
    busy
        For which share of each beat.
    lengths_s
        How long each beat lasted [s].
    changes
        The last beat of each run but the last one.

    Examples
    --------
    >>> path = np.tile([True] * 6 + [False] * 4, 4)
    >>> found = durations_of(path, path.astype(float), np.full(40, 0.1), np.flatnonzero(np.diff(path)))
    >>> [round(one, 2) for one in found]
    [0.6, 0.4]
    """
    if len(changes) < _CHANGES:
        return None
    found: dict[bool, list[float]] = {True: [], False: []}
    for begin, end in itertools.pairwise(changes):
        share = busy if path[end] else 1.0 - busy
        around = slice(begin, end + 2)
        found[bool(path[end])].append(float((share[around] * lengths_s[around]).sum()))
    usual = []
    for level in (True, False):
        runs = np.array(found[level])
        middle = float(np.median(runs))
        off = np.abs(runs - middle) / middle
        alike = np.median(off) <= _ALIKE if len(changes) >= _MANY else off.max() <= _ALL_ALIKE
        if middle <= 2.0 * float(np.median(lengths_s)) or not alike:
            return None
        usual.append(middle)
    return usual[0], usual[1]
