"""Page classes of a guest that is busy and rests in turn, fitted over operational time.

A class that writes only while the guest is busy writes ``N (1 - exp(-x tau))`` distinct pages in a window with
``tau`` busy seconds, its operational time; a sweep writes ``N min(1, x tau)``. A class that never rests writes as
much in ``t`` seconds, all of the window. Windows of many lengths hold more or less of the busy time, which tells the
two apart.

The pages of each rate follow by non-negative least squares (Lawson and Hanson 1974), for random classes and sweeps
and for each level of rest at once. A sweep is taken only where random classes miss the curve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
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
_DECADE_RATES: Final = 8
_SLOWEST: Final = 30.0  # times the whole time, in which the slowest pages are written once
_FASTEST: Final = 3.0  # writes in the shortest window
_SHORTEST_SWEEP: Final = 0.2  # of a sweep's turn that must have been seen
_MODEL: Final = 0.015  # of a count, that no model follows
_LEAST_MISFIT: Final = 0.02  # below which a better one tells nothing
_DEARER: Final = 1.5  # for each step from random classes to sweeps, to both
_TOTAL: Final = 1e4  # weight of the sum of all pages
_RESTS: Final = 0.6  # of the growth while the guest is busy: less, and it rests with it
_NEIGHBOURS: Final = 1.8  # times as fast: joined into one class
_NEVER: Final[tuple[tuple[float, float], ...]] = ()
_KINDS: Final = (("random",), ("sweep",), ("random", "sweep"))


class _Windows(NamedTuple):
    """Groups of like windows: mean length and busy time [s], mean count and what it may be off by [pages]."""

    length_s: Any
    busy_s: Any
    pages: Any
    scatter: Any


class _Found(NamedTuple):
    pages: float
    rate_per_s: float
    level: float
    kind: str


def classes_of(history: History, pulses: Pulses | None, limit_pages: float) -> tuple[DirtyClass, ...]:
    """Return the page classes that a history tells, with phases where the guest rests.

    Parameters
    ----------
    history
        What was written.
    pulses
        When the guest was busy; None: always.
    limit_pages
        What all classes may have together [pages].

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> beats = [np.unique(draw.integers(0, 2000, 100)) for _ in range(150)]
    >>> seen = History(times_s=np.arange(151) * 0.1, pages=beats, memory_pages=4096, sample=np.arange(4096),
    ...                zero=np.zeros((151, 4096), bool))
    >>> found = classes_of(seen, None, 4096.0)
    >>> bool(abs(sum(one.region_pages for one in found) - 2000) < 60), {one.kind for one in found}
    (True, {'random'})
    """
    windows = _windows(history, pulses)
    if windows.pages.max(initial=0.0) < 1.0:
        return ()
    levels = [1.0] if pulses is None else sorted({1.0, pulses.rest_level, 0.0}, reverse=True)
    rates = _grid(windows, float(history.times_s[-1]))
    best, least = [], math.inf
    for kinds in itertools.product(_KINDS, repeat=len(levels)):
        found, misfit = _fit(windows, rates, tuple(zip(levels, kinds, strict=True)), limit_pages, history)
        dear = sum(_KINDS.index(one) for one in kinds)
        score = max(misfit, _LEAST_MISFIT) * _DEARER**dear
        if score < least:
            best, least = found, score
    return tuple(_class(one, pulses) for one in _joined(best) if one.pages >= 1.0)


def growth_of(history: History, pulses: Pulses | None, zero_pages: int, grows_s: float) -> DirtyClass | None:
    """Return the growth that a history tells; None: there is none.

    Its region has room for some time, since it lies in one piece and zero memory that is not soon filled does not.

    Parameters
    ----------
    history
        What was written.
    pulses
        When the guest was busy; None: always.
    zero_pages
        What is zero at the end, the most that its region can be.
    grows_s
        For how long it shall have room [s].

    Examples
    --------
    >>> zero = np.arange(1000) >= np.arange(0, 510, 10)[:, None]
    >>> seen = History(times_s=np.arange(51) * 0.1, pages=[np.arange(10) + 10 * k for k in range(50)],
    ...                memory_pages=1000, sample=np.arange(1000), zero=zero)
    >>> found = growth_of(seen, None, zero_pages=500, grows_s=4.0)
    >>> found.kind, found.region_pages, round(found.writes_per_s)
    ('growth', 401, 100)
    """
    if zero_pages < 1 or not history.growth.any():
        return None
    lengths_s = np.diff(history.times_s)
    rate, phases = float(history.growth.sum() / lengths_s.sum()), _NEVER
    if pulses is not None:
        busy, rest = (float(history.growth @ part / (lengths_s @ part)) for part in (pulses.busy, 1.0 - pulses.busy))
        if rest < _RESTS * busy:
            rate, phases = busy, pulses.phases(rest / busy)
    room = min(zero_pages, 1 + int(rate * grows_s))
    return DirtyClass(region_bytes=room * PAGE_BYTES, writes_per_s=rate, kind="growth", phases=phases)


def _windows(history: History, pulses: Pulses | None) -> _Windows:
    longest = max(1, round(_LONGEST * history.beats))
    spans = sorted({round(span) for span in np.geomspace(1, longest, _SPANS)})
    counts = history.unique_pages(spans)
    lengths_s = np.diff(history.times_s)
    busy = np.ones(history.beats) if pulses is None else pulses.busy
    until_s = np.concatenate([[0.0], np.cumsum(busy * lengths_s)])
    rows = []
    seen = [
        (span, history.times_s[span:] - history.times_s[:-span], until_s[span:] - until_s[:-span], column)
        for span, column in zip(spans, counts.T, strict=True)
    ]
    for beat, length_s, pages in (rows.T for rows in history.shorter()):
        seen.append((1, length_s, length_s * busy[beat.astype(int)], pages))
    for span, length_s, busy_s, pages in seen:
        for group in _groups(busy_s, pulses):
            apart = max(1.0, group.size / span)
            scatter = float(pages[group].std()) / math.sqrt(apart) if group.size > 1 else 0.1 * float(pages[group][0])
            mean = float(pages[group].mean())
            rows.append((length_s[group].mean(), busy_s[group].mean(), mean, scatter**2 + mean / apart))
    columns = np.array(rows).T
    top = columns[2].max()
    scatter = np.sqrt((_MODEL * columns[2]) ** 2 + 0.25 * columns[3]) + 1.0 + 0.002 * top
    return _Windows(columns[0], columns[1], columns[2], scatter)


def _groups(busy_s: Any, pulses: Pulses | None) -> list[Any]:
    if pulses is None:
        return [np.arange(busy_s.size)]
    edges = np.quantile(busy_s, _GROUPS)
    group = np.clip(np.searchsorted(edges, busy_s, side="right") - 1, 0, len(_GROUPS) - 2)
    return [np.flatnonzero(group == one) for one in np.unique(group)]


def _grid(windows: _Windows, whole_s: float) -> Any:
    low, high = 1.0 / (_SLOWEST * whole_s), _FASTEST / float(windows.length_s.min())
    return np.geomspace(low, high, 1 + math.ceil(_DECADE_RATES * math.log10(high / low)))


def _fit(
    windows: _Windows, rates: Any, manners: Sequence[tuple[float, tuple[str, ...]]], limit: float, history: History
) -> tuple[list[_Found], float]:
    """Return the classes of such manners that tell the windows best, and the mean square of what they are off by."""
    from scipy.optimize import nnls

    columns, names = [], []
    for level, kinds in manners:
        spent_s = level * windows.length_s + (1.0 - level) * windows.busy_s
        for kind, rate in itertools.product(kinds, rates.tolist()):
            if kind == "random":
                columns.append(-np.expm1(-rate * spent_s))
            elif rate * history.times_s[-1] > _SHORTEST_SWEEP:
                columns.append(np.minimum(1.0, rate * spent_s))
            else:
                continue
            names.append((rate, level, kind))
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
    for one in sorted(found, key=lambda each: (each.level, each.kind, each.rate_per_s)):
        last = joined[-1] if joined else None
        if (
            last
            and (last.level, last.kind) == (one.level, one.kind)
            and one.rate_per_s < _NEIGHBOURS * last.rate_per_s
        ):
            pages = last.pages + one.pages
            writes = last.pages * last.rate_per_s + one.pages * one.rate_per_s
            joined[-1] = one._replace(pages=pages, rate_per_s=writes / pages)
        else:
            joined.append(one)
    return joined


def _class(one: _Found, pulses: Pulses | None) -> DirtyClass:
    pages = int(one.pages)
    phases = pulses.phases(one.level) if pulses is not None and one.level < 1.0 else ()
    return DirtyClass(
        region_bytes=pages * PAGE_BYTES, writes_per_s=pages * one.rate_per_s, kind=one.kind, phases=phases
    )
