"""Dirty curves as page classes: uniform, hot and cold, Zipf, power law, and measured ones.

Any stationary random access pattern has the curve ``U(t) = sum_i (1 - exp(-x_i t))`` over
its pages, ``x_i`` the write rate of page ``i``: a Bernstein function. Pages of about one
rate are one class of kind ``random``, so a few classes follow the whole curve, and it
stays monotone and concave beyond the windows that were measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from migkit.errors import UsageError
from migkit.scenario.dirty import LONGEST_WINDOW_S, SHORTEST_WINDOW_S, DirtyClass
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hot_cold", "measured", "power_law", "uniform", "zipf"]

_DECADE_RATES = 6  # rates a decade of the grid onto which a curve is fitted
_EXACT_RANKS = 4096  # ranks summed one by one; beyond them the integral is good to 1e-8


def uniform(region_bytes: int, writes_per_s: float) -> tuple[DirtyClass, ...]:
    """Return a uniform working set: ``U(t) = W (1 - exp(-r t / W))``.

    Parameters
    ----------
    region_bytes
        The working set [B].
    writes_per_s
        Its writes [1/s].

    Examples
    --------
    >>> len(uniform(64 * 2**20, 10_000))
    1
    """
    return (DirtyClass(region_bytes=region_bytes, writes_per_s=float(writes_per_s)),)


def hot_cold(
    region_bytes: int, writes_per_s: float, hot_region: float = 0.1, hot_writes: float = 0.9
) -> tuple[DirtyClass, DirtyClass]:
    """Return a small hot part that takes most writes and a large cold part that takes the rest.

    Parameters
    ----------
    region_bytes
        Both parts together [B].
    writes_per_s
        Writes to both [1/s].
    hot_region, hot_writes
        The hot part's share of the region and of the writes, above 0 to below 1.

    Raises
    ------
    UsageError
        A share is outside its range, or a part is smaller than a page.

    Examples
    --------
    >>> hot, cold = hot_cold(1000 * 4096, 500)
    >>> hot.region_pages, hot.writes_per_s, cold.region_pages
    (100, 450.0, 900)
    """
    for name, share in (("hot_region", hot_region), ("hot_writes", hot_writes)):
        if not 0 < share < 1:
            raise UsageError(f"{name}: {share:g} is out of range; it must be above 0 and below 1")
    total = _whole_pages(region_bytes)
    hot = round(total * hot_region)
    return (
        DirtyClass(region_bytes=hot * PAGE_BYTES, writes_per_s=writes_per_s * hot_writes),
        DirtyClass(region_bytes=(total - hot) * PAGE_BYTES, writes_per_s=writes_per_s * (1 - hot_writes)),
    )


def zipf(region_bytes: int, writes_per_s: float, exponent: float = 1.0, classes: int = 12) -> tuple[DirtyClass, ...]:
    """Return Zipf's law over pages: the page of rank ``i`` takes a share ``i**-a / sum_j j**-a`` of the writes.

    Ranks are cut into classes of equal ratio; each keeps its pages and its writes exactly.
    With 12 classes the curve of a million pages is within 3 % of the exact sum up to an exponent of 1,
    within 7 % at 2 (Zipf 1949).

    Parameters
    ----------
    region_bytes
        All pages [B].
    writes_per_s
        Writes to all of them [1/s].
    exponent
        ``a``, 0 (uniform) or more.
    classes
        How many classes at most.

    Raises
    ------
    UsageError
        A parameter is outside its range.

    Examples
    --------
    >>> law = zipf(2**30, 10_000, exponent=0.9)
    >>> sum(c.region_bytes for c in law) == 2**30, round(sum(c.writes_per_s for c in law))
    (True, 10000)
    """
    if not 0 <= exponent < math.inf:
        raise UsageError(f"exponent: {exponent:g} is out of range; it must be at least 0")
    if classes < 1:
        raise UsageError(f"classes: {classes} is too small; it must be at least 1")
    pages = _whole_pages(region_bytes)
    edges = np.unique(np.rint(np.geomspace(1, pages + 1, classes + 1)).astype(np.int64))
    mass = np.array([_rank_sum(int(a), int(b), exponent) for a, b in itertools.pairwise(edges)])
    rates = writes_per_s * mass / mass.sum()
    return _classes(np.diff(edges).astype(float), rates)


def power_law(region_bytes: int, pages_in_first_s: float, exponent: float) -> tuple[DirtyClass, ...]:
    """Return the saturating power law ``U(t) = N (1 - exp(-a t**b / N))`` (Heaps' law below saturation).

    The curve is a Bernstein function for ``0 < b <= 1``; it is fitted to classes between
    1 ms and 1000 s, within 2 %.

    Parameters
    ----------
    region_bytes
        ``N`` pages, as bytes [B].
    pages_in_first_s
        ``a``, the distinct pages of the first second were there no saturation [pages].
    exponent
        ``b``, above 0 to 1.

    Raises
    ------
    UsageError
        A parameter is outside its range.

    Examples
    --------
    >>> law = power_law(2**30, 2000, 0.6)
    >>> sum(c.region_bytes for c in law) <= 2**30
    True
    """
    if not 0 < exponent <= 1:
        raise UsageError(f"exponent: {exponent:g} is out of range; it must be above 0, at most 1")
    if not 0 < pages_in_first_s < math.inf:
        raise UsageError(f"pages_in_first_s: {pages_in_first_s:g} is out of range; it must be above 0")
    pages = _whole_pages(region_bytes)
    windows = np.geomspace(1e-3, 1e3, 49)
    unique = -pages * np.expm1(-pages_in_first_s * windows**exponent / pages)
    return measured(windows, unique, region_bytes)


def measured(
    windows_s: Sequence[float] | NDArray[np.float64],
    unique_pages: Sequence[float] | NDArray[np.float64],
    memory_bytes: int,
) -> tuple[DirtyClass, ...]:
    """Return classes whose curve follows a measured one.

    Non-negative least squares of the relative error onto a log grid of page rates, with
    the sum of all regions held to the memory (Lawson and Hanson 1974). A program that
    goes through its memory in order has a corner that no mixture of random classes has;
    when sweeps fit at least twice as well, they join the grid.

    Parameters
    ----------
    windows_s
        Lengths of the windows, above 0 [s].
    unique_pages
        Distinct 4 KiB pages written within each from a clean start [pages].
    memory_bytes
        Memory that the classes may fill at most [B].

    Raises
    ------
    UsageError
        Unlike lengths, a window that is not above 0, or a count outside the memory.

    Examples
    --------
    >>> windows = [0.1, 0.3, 1, 3, 10]
    >>> curve = [1000 * (1 - math.exp(-0.5 * t)) for t in windows]
    >>> sum(c.region_pages * -math.expm1(-c.writes_per_s * 1.0 / c.region_pages)
    ...     for c in measured(windows, curve, 2**24)) / curve[2]
    1.0...
    """
    t, u = np.asarray(windows_s, dtype=float), np.asarray(unique_pages, dtype=float)
    limit_pages = memory_bytes // PAGE_BYTES
    _check_curve(t, u, limit_pages)
    t, u = t[u > 0], u[u > 0]
    if t.size == 0:
        return ()
    rates = _rate_grid(t)
    random, misfit = _fit(_random_columns(rates, t), u, limit_pages)
    both, misfit_both = _fit(np.hstack([_random_columns(rates, t), _sweep_columns(rates, t)]), u, limit_pages)
    if misfit > 0.02 and misfit_both < misfit / 2:
        sweep = both[rates.size :]
        return _merged(both[: rates.size], rates, "random") + _merged(sweep, rates, "sweep")
    return _merged(random, rates, "random")


def _whole_pages(region_bytes: int) -> int:
    if region_bytes < PAGE_BYTES:
        raise UsageError(f"region_bytes: {region_bytes} B is less than one page; give at least 4 KiB")
    return region_bytes // PAGE_BYTES


def _rank_sum(first: int, end: int, exponent: float) -> float:
    """Return the sum of ``i**-a`` over ranks ``first`` to ``end - 1``; far ranks by the midpoint integral."""
    split = min(end, max(first, _EXACT_RANKS))
    total = float(np.sum(np.arange(first, split, dtype=float) ** -exponent))
    low, high = split - 0.5, end - 0.5
    if split == end:
        return total
    if exponent == 1:
        return total + math.log(high / low)
    return total + float(high ** (1 - exponent) - low ** (1 - exponent)) / (1 - exponent)


def _check_curve(t: Any, u: Any, limit_pages: int) -> None:
    if t.shape != u.shape or t.ndim != 1 or t.size == 0:
        raise UsageError(f"curve: {t.size} windows and {u.size} counts; give as many of both, at least one")
    if not (np.isfinite(t).all() and (t > 0).all()):
        raise UsageError("curve: a window is not above 0 s; measure it again")
    if t.min() < SHORTEST_WINDOW_S or t.max() > LONGEST_WINDOW_S:
        raise UsageError(
            f"curve: windows of {t.min():g} to {t.max():g} s are outside {SHORTEST_WINDOW_S:g} to "
            f"{LONGEST_WINDOW_S:g} s; measure it again"
        )
    if not ((u >= 0).all() and (u <= limit_pages * (1 + 1e-9)).all()):
        raise UsageError(f"curve: a count of pages is outside 0 to {limit_pages}, the memory; measure it again")


def _rate_grid(t: Any) -> Any:
    """Return page rates from a third of what the longest window sees to three times what the shortest does."""
    low, high = 0.33 / t.max(), 3.3 / t.min()
    return np.geomspace(low, high, 1 + math.ceil(_DECADE_RATES * math.log10(high / low)))


def _random_columns(rates: Any, t: Any) -> Any:
    return -np.expm1(-np.outer(t, rates))


def _sweep_columns(rates: Any, t: Any) -> Any:
    return np.minimum(1.0, np.outer(t, rates))


def _fit(columns: Any, u: Any, limit_pages: int) -> tuple[Any, float]:
    """Return pages a column, and the relative root mean square misfit; a slack takes unwritten memory."""
    from scipy.optimize import nnls

    scaled = columns / u[:, None] * limit_pages
    weight = 1e3
    matrix = np.zeros((u.size + 1, columns.shape[1] + 1))
    matrix[:-1, :-1] = scaled
    matrix[-1] = weight
    target = np.ones(u.size + 1)
    target[-1] = weight
    shares = nnls(matrix, target, maxiter=50 * matrix.shape[1])[0][:-1]
    misfit = float(np.sqrt(np.mean((scaled @ shares - 1) ** 2)))
    return shares * limit_pages, misfit


def _merged(pages: Any, rates: Any, kind: str) -> tuple[DirtyClass, ...]:
    """Return classes of the grid, each pair of neighbours as one that keeps its pages and its writes."""
    found: list[tuple[float, float]] = []
    last = -2
    for index in np.flatnonzero(pages > 1e-9 * max(1.0, pages.sum())):
        n, writes_per_s = float(pages[index]), float(pages[index] * rates[index])
        if index == last + 1:
            n, writes_per_s = n + found[-1][0], writes_per_s + found[-1][1]
            found.pop()
            last = -2
        else:
            last = int(index)
        found.append((n, writes_per_s))
    return _classes(np.array([n for n, _ in found]), np.array([w for _, w in found]), kind)


def _classes(pages: Any, writes_per_s: Any, kind: str = "random") -> tuple[DirtyClass, ...]:
    """Return classes of whole pages; cumulative rounding keeps their sum, and each class its rate a page."""
    if len(pages) == 0:
        return ()
    edges = np.concatenate([[0], np.floor(np.cumsum(pages) + 1e-6)]).astype(np.int64)
    return tuple(
        DirtyClass(region_bytes=int(n) * PAGE_BYTES, writes_per_s=float(w * n / p), kind=kind)
        for n, p, w in zip(np.diff(edges), pages, writes_per_s, strict=True)
        if n > 0
    )
