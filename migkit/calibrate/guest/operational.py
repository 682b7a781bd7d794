"""Page classes of a guest that is busy and rests in turn, fitted over operational time.

A class that writes only while the guest is busy writes ``N (1 - exp(-x tau))`` distinct pages in a window with
``tau`` busy seconds, its operational time; a sweep writes ``N min(1, x tau)``. A class that never rests writes as
much in ``t`` seconds, all of the window. Windows of many lengths hold more or less of the busy time, which tells the
two apart. Of two patterns of busy times, each has its own operational time.

The pages of each rate follow by non-negative least squares (Lawson and Hanson 1974), for random classes and sweeps
and for each level of rest at once. A sweep is taken only where random classes miss the curve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.pulses import Pulses
from migkit.scenario import DirtyClass
from migkit.units import PAGE_BYTES

__all__ = ["classes_of", "growth_of"]

_SPANS: Final = 14
_LONGEST: Final = 0.7  # of the time: the longest window
_GROUPS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # of the windows of one length, by how busy they were
_FEWER_GROUPS: Final = (0.0, 0.2, 0.5, 0.8, 1.0)  # by either of two patterns
_DECADE_RATES: Final = 8
_SLOWEST: Final = 30.0  # times the whole time, in which the slowest pages are written once
_FASTEST: Final = 3.0  # writes in the shortest window
_SHORTEST_SWEEP: Final = 0.2  # of a sweep's turn that must have been seen
_MODEL: Final = 0.015  # of a count, that no model follows
_LEAST_MISFIT: Final = 0.02  # below which a better one tells nothing
_DEARER: Final = 1.5  # where sweeps are taken, too
_EACH: Final = 1.1  # for each class: sweeps alone tell any curve, of many classes
_TOTAL: Final = 1e4  # weight of the sum of all pages
_RESTS: Final = 0.6  # of the growth while the guest is busy: less, and it rests with it
_NEIGHBOURS: Final = 1.8  # times as fast: joined into one class
_NEVER: Final[tuple[tuple[float, float], ...]] = ()
_KINDS: Final = (("random",), ("sweep",), ("random", "sweep"))
_TOGETHER: Final = 3  # manners whose kinds are tried in all combinations


class _Windows(NamedTuple):
    """Groups of like windows: mean length, busy time by pattern [s], mean count and what it may be off by [pages]."""

    length_s: Any
    busy_s: Any
    pages: Any
    scatter: Any


class _Manner(NamedTuple):
    """What a class writes while its program rests, over what it writes while busy, and that program's pattern."""

    level: float
    pattern: int = 0


class _Found(NamedTuple):
    pages: float
    rate_per_s: float
    manner: _Manner
    kind: str


def classes_of(history: History, patterns: Sequence[Pulses], limit_pages: float) -> tuple[DirtyClass, ...]:
    """Return the page classes that a history tells, with phases where the guest rests.

    Parameters
    ----------
    history
        What was written.
    patterns
        When the guest was busy; none: always.
    limit_pages
        What all classes may have together [pages].

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> beats = [np.unique(draw.integers(0, 2000, 100)) for _ in range(150)]
    >>> seen = History(times_s=np.arange(151) * 0.1, pages=beats, memory_pages=4096, sample=np.arange(4096),
    ...                zero=np.zeros((151, 4096), bool))
    >>> found = classes_of(seen, (), 4096.0)
    >>> bool(abs(sum(one.region_pages for one in found) - 2000) < 60), {one.kind for one in found}
    (True, {'random'})
    """
    windows = _windows(history, patterns)
    if windows.pages.max(initial=0.0) < 1.0:
        return ()
    manners = [_Manner(1.0)]
    for at, one in enumerate(patterns):
        manners += [_Manner(level, at) for level in sorted({one.rest_level, 0.0}, reverse=True)]
    rates = _grid(windows, float(history.times_s[-1]))

    def scored(kinds: tuple[tuple[str, ...], ...], swept: Any = rates) -> tuple[float, list[_Found]]:
        found, misfit = _fit(windows, (rates, swept), tuple(zip(manners, kinds, strict=True)), limit_pages, history)
        sweeping = sum("sweep" in kind for kind in kinds)
        return max(misfit, _LEAST_MISFIT) * _DEARER**sweeping * _EACH ** len(_joined(found)), found

    if patterns:
        best = _best(scored, len(manners))
    else:  # many sweeps tell any curve; so random classes are tried beside a single one, too, of each rate
        tried = [scored((kind,)) for kind in _KINDS]
        tried += [scored((_KINDS[2],), rates[at : at + 2]) for at in range(rates.size - 1)]
        best = min(tried, key=lambda one: one[0])[1]
    return tuple(_class(one, patterns) for one in _joined(best) if one.pages >= 1.0)


def _best(scored: Callable[[tuple[tuple[str, ...], ...]], tuple[float, list[_Found]]], count: int) -> list[_Found]:
    """Return the classes of the least score: of all kinds of all manners, or of many manners one after the other."""
    if count <= _TOGETHER:
        return min(map(scored, itertools.product(_KINDS, repeat=count)), key=lambda one: one[0])[1]
    kinds: tuple[tuple[str, ...], ...] = (_KINDS[0],) * count
    best = scored(kinds)
    for at in range(count):
        for other in _KINDS[1:]:
            tried = (*kinds[:at], other, *kinds[at + 1 :])
            found = scored(tried)
            if found[0] < best[0]:
                best, kinds = found, tried
    return best[1]


def growth_of(history: History, patterns: Sequence[Pulses], zero_pages: int, grows_s: float) -> DirtyClass | None:
    """Return the growth that a history tells; None: there is none.

    Its region has room for some time, since it lies in one piece and zero memory that is not soon filled does not.

    Parameters
    ----------
    history
        What was written.
    patterns
        When the guest was busy; none: always.
    zero_pages
        What is zero at the end, the most that its region can be.
    grows_s
        For how long it shall have room [s].

    Examples
    --------
    >>> zero = np.arange(1000) >= np.arange(0, 510, 10)[:, None]
    >>> seen = History(times_s=np.arange(51) * 0.1, pages=[np.arange(10) + 10 * k for k in range(50)],
    ...                memory_pages=1000, sample=np.arange(1000), zero=zero)
    >>> found = growth_of(seen, (), zero_pages=500, grows_s=4.0)
    >>> found.kind, found.region_pages, round(found.writes_per_s)
    ('growth', 401, 100)
    """
    if zero_pages < 1 or not history.growth.any():
        return None
    lengths_s = np.diff(history.times_s)
    rate, phases = float(history.growth.sum() / lengths_s.sum()), _NEVER
    least = _RESTS
    for one in patterns:
        busy, rest = (float(history.growth @ part / (lengths_s @ part)) for part in (one.busy, 1.0 - one.busy))
        if rest < least * busy:
            rate, phases, least = busy, one.phases(rest / busy), rest / busy
    room = min(zero_pages, 1 + int(rate * grows_s))
    return DirtyClass(region_bytes=room * PAGE_BYTES, writes_per_s=rate, kind="growth", phases=phases)


def _windows(history: History, patterns: Sequence[Pulses]) -> _Windows:
    longest = max(1, round(_LONGEST * history.beats))
    spans = sorted({round(span) for span in np.geomspace(1, longest, _SPANS)})
    counts = history.unique_pages(spans)
    lengths_s = np.diff(history.times_s)
    busy = np.array([one.busy for one in patterns]).reshape(len(patterns), history.beats)
    until_s = np.pad(np.cumsum(busy * lengths_s, axis=1), ((0, 0), (1, 0)))
    rows = []
    seen = [
        (span, history.times_s[span:] - history.times_s[:-span], until_s[:, span:] - until_s[:, :-span], column)
        for span, column in zip(spans, counts.T, strict=True)
    ]
    for beat, length_s, pages in (rows.T for rows in history.shorter()):
        seen.append((1, length_s, length_s * busy[:, beat.astype(int)], pages))
    for span, length_s, busy_s, pages in seen:
        for group in _groups(busy_s, length_s.size):
            apart = max(1.0, group.size / span)
            scatter = float(pages[group].std()) / math.sqrt(apart) if group.size > 1 else 0.1 * float(pages[group][0])
            mean = float(pages[group].mean())
            rows.append((length_s[group].mean(), mean, scatter**2 + mean / apart, *busy_s[:, group].mean(axis=1)))
    length, mean, variance, *spent = np.array(rows).T
    scatter = np.sqrt((_MODEL * mean) ** 2 + 0.25 * variance) + 1.0 + 0.002 * mean.max()
    return _Windows(length, spent, mean, scatter)


def _groups(busy_s: Any, count: int) -> list[Any]:
    """Return groups of windows that were about as busy, by each pattern."""
    group = np.zeros(count, int)
    shares = _GROUPS if len(busy_s) == 1 else _FEWER_GROUPS
    for one in busy_s:
        edges = np.quantile(one, shares)
        group = group * len(shares) + np.clip(np.searchsorted(edges, one, side="right") - 1, 0, len(shares) - 2)
    return [np.flatnonzero(group == one) for one in np.unique(group)]


def _grid(windows: _Windows, whole_s: float) -> Any:
    low, high = 1.0 / (_SLOWEST * whole_s), _FASTEST / float(windows.length_s.min())
    return np.geomspace(low, high, 1 + math.ceil(_DECADE_RATES * math.log10(high / low)))


def _fit(
    windows: _Windows,
    rates: tuple[Any, Any],
    manners: Sequence[tuple[_Manner, tuple[str, ...]]],
    limit: float,
    history: History,
) -> tuple[list[_Found], float]:
    """Return the classes of such manners that tell the windows best, and the mean square of what they are off by.

    ``rates`` are those of random classes and of sweeps, for each page of theirs [1/s].
    """
    from scipy.optimize import nnls

    columns, names = [], []
    for manner, kinds in manners:
        busy_s = windows.busy_s[manner.pattern] if windows.busy_s else windows.length_s
        spent_s = manner.level * windows.length_s + (1.0 - manner.level) * busy_s
        named = [(kind, rate) for kind in kinds for rate in rates[kind == "sweep"].tolist()]
        for kind, rate in named:
            if kind == "random":
                columns.append(-np.expm1(-rate * spent_s))
            elif rate * history.times_s[-1] > _SHORTEST_SWEEP:
                columns.append(np.minimum(1.0, rate * spent_s))
            else:
                continue
            names.append((rate, manner, kind))
    table = np.array(columns).T
    matrix = np.zeros((windows.pages.size + 1, table.shape[1] + 1))
    matrix[:-1, :-1] = table * (limit / windows.scatter)[:, None]
    matrix[-1] = _TOTAL
    target = np.append(windows.pages / windows.scatter, _TOTAL)
    pages = nnls(matrix, target, maxiter=200 * matrix.shape[1])[0][:-1] * limit
    off = (table @ pages - windows.pages) / windows.scatter
    return [_Found(float(n), *name) for n, name in zip(pages, names, strict=True) if n > 0.5], float(np.mean(off**2))


def _joined(found: Sequence[_Found]) -> list[_Found]:
    """Return classes whose neighbours on the grid are one that keeps their pages and their writes."""
    joined: list[_Found] = []
    for one in sorted(found, key=lambda each: (each.manner, each.kind, each.rate_per_s)):
        last = joined[-1] if joined else None
        if (
            last
            and (last.manner, last.kind) == (one.manner, one.kind)
            and one.rate_per_s < _NEIGHBOURS * last.rate_per_s
        ):
            pages = last.pages + one.pages
            writes = last.pages * last.rate_per_s + one.pages * one.rate_per_s
            joined[-1] = one._replace(pages=pages, rate_per_s=writes / pages)
        else:
            joined.append(one)
    return joined


def _class(one: _Found, patterns: Sequence[Pulses]) -> DirtyClass:
    pages, (level, pattern) = int(one.pages), one.manner
    phases = patterns[pattern].phases(level) if level < 1.0 else ()
    return DirtyClass(
        region_bytes=pages * PAGE_BYTES, writes_per_s=pages * one.rate_per_s, kind=one.kind, phases=phases
    )
