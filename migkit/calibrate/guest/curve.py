"""The page classes whose syncs would have marked what a migration's syncs marked.

A sync after ``w`` seconds marks of a class of ``P`` pages, of which each is written ``x`` times a second,
``P (1 - q) (1 - exp(-x w))``: of the share ``q`` that is pending nothing is seen. Pending pages lie spread over the
classes as what there was to send did, so ``q`` follows from the classes themselves, and the fit is repeated with it.
A window that does not fit the others loses its weight (soft L1 loss).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from migkit.calibrate.guest.rounds import Round
from migkit.scenario.dirty import DirtyClass
from migkit.units import PAGE_BYTES

__all__ = ["Curve", "fit_curve"]

_TURNS: Final = 12
_DECADE_RATES: Final = 6
_MOST_RATES: Final = 60
_LONGEST: Final = 100.0  # a class that the longest window sees only a hundredth of is growth, as well as may be


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Page classes of one guest, and how well they tell its syncs.

    Attributes
    ----------
    pages, rates_per_s
        Of each class: its pages, and the writes to each of them a second.
    expected
        What each round should have marked [pages].
    ratios
        Marked over expected, a round.
    weights
        Weight that each round kept, 0 to 1.
    """

    pages: tuple[float, ...]
    rates_per_s: tuple[float, ...]
    expected: tuple[float, ...]
    ratios: tuple[float, ...]
    weights: tuple[float, ...]

    def classes(self) -> tuple[DirtyClass, ...]:
        """Return the classes of a scenario, in whole pages."""
        whole = ((int(n), x) for n, x in zip(self.pages, self.rates_per_s, strict=True))
        return tuple(DirtyClass(region_bytes=n * PAGE_BYTES, writes_per_s=n * x) for n, x in whole if n > 0)


def fit_curve(rounds: Sequence[Round], limit_pages: float, speeds: Sequence[float] | None = None) -> Curve:
    """Return the classes that tell ``rounds`` best, with at most ``limit_pages`` in all.

    Parameters
    ----------
    rounds
        What was marked and when.
    limit_pages
        Memory that is not zero [pages].
    speeds
        How fast the guest ran in each round, as a share; default 1.

    Examples
    --------
    >>> rounds = [Round(start_s=0, window_s=w, window_error_s=0.01, marked_pages=1000 * (1 - math.exp(-w)),
    ...                 to_send_pages=1000, pending_pages=0) for w in (0.1, 0.3, 1.0, 3.0)]
    >>> round(sum(fit_curve(rounds, 5000).pages))
    10...
    """
    w = np.array([r.window_s for r in rounds]) * (1.0 if speeds is None else np.asarray(speeds))
    marked = np.array([r.marked_pages for r in rounds])
    rates = _grid(w)
    seen = -np.expm1(-np.outer(w, rates))
    scatter = _scatter(rounds, marked)
    pending = np.zeros_like(seen)
    weights = np.ones(len(rounds))
    for _ in range(_TURNS):
        columns = seen * (1.0 - pending)
        pages = _solve(columns, marked, scatter / np.sqrt(weights), limit_pages)
        expected = columns @ pages
        off = (marked - expected) / scatter
        weights = 1.0 / np.sqrt(1.0 + (off / max(1.0, 3.0 * 1.4826 * float(np.median(np.abs(off))))) ** 2)
        pending = 0.5 * pending + 0.5 * _pending(rounds, seen, pages, pending)
    found = _merged(pages, rates)
    return Curve(
        pages=tuple(n for n, _ in found),
        rates_per_s=tuple(x for _, x in found),
        expected=tuple(expected.tolist()),
        ratios=tuple((marked / np.maximum(expected, 1.0)).tolist()),
        weights=tuple(weights.tolist()),
    )


def _grid(w: Any) -> Any:
    low, high = 1.0 / (_LONGEST * w.max()), 5.0 / w.min()
    return np.geomspace(low, high, min(_MOST_RATES, 1 + math.ceil(_DECADE_RATES * math.log10(high / low))))


def _scatter(rounds: Sequence[Round], marked: Any) -> Any:
    """Return what a count may be off by: the length of its window, the counting, and 3 % that no model follows."""
    timing = np.array([min(1.0, r.window_error_s / r.window_s) for r in rounds])
    alike = np.array([1.0 / r.syncs for r in rounds])
    return np.hypot(np.hypot(timing, 0.03) * marked, np.sqrt(marked + 1.0) * alike) + 1.0


def _solve(columns: Any, marked: Any, scatter: Any, limit_pages: float) -> Any:
    """Return pages a rate by non-negative least squares; a slack takes memory that is not written."""
    from scipy.optimize import nnls

    scale = max(1.0, limit_pages)
    matrix = np.zeros((marked.size + 1, columns.shape[1] + 1))
    matrix[:-1, :-1] = columns * (scale / scatter)[:, None]
    matrix[-1] = 1e5
    target = np.append(marked / scatter, 1e5)
    return nnls(matrix, target, maxiter=100 * matrix.shape[1])[0][:-1] * scale


def _pending(rounds: Sequence[Round], seen: Any, pages: Any, before: Any) -> Any:
    """Return the share of each class that was pending at the end of each round.

    The scan goes in address order and the classes lie interleaved: of what a class had to send, the share
    that is pending is that of all pages.
    """
    shares = np.zeros_like(seen)
    dirty = np.ones(seen.shape[1])
    for k, one in enumerate(rounds):
        left = min(1.0, one.pending_pages / max(1.0, one.to_send_pages))
        shares[k] = dirty * left
        dirty = shares[k] + (1.0 - shares[k]) * seen[k]
    return shares


def _merged(pages: Any, rates: Any) -> list[tuple[float, float]]:
    """Return the classes of the grid, neighbours as one that keeps pages and writes."""
    found: list[tuple[float, float]] = []
    last = -2
    for at in np.flatnonzero(pages > 1.0):
        n, x = float(pages[at]), float(rates[at])
        if at == last + 1:
            m, y = found.pop()
            n, x = n + m, (n * x + m * y) / (n + m)
            last = -2
        else:
            last = int(at)
        found.append((n, x))
    return found
