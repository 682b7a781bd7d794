"""Many guests at once, against the same rounds: how well each tells them, and what each leaves dirty.

A few rounds leave many guests open. So the guests that may be are laid out as a grid: one page class, or two of which
each marks a share of what a round marked, at random or in order. Rates follow from the windows that were seen,
between pages that no window sees twice and pages that every window sees. Sizes follow from what the rounds marked.
Each guest then gets a weight by how well it tells the rounds.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from migkit.calibrate.guest.rounds import Round
from migkit.scenario import DirtyClass
from migkit.units import PAGE_BYTES

__all__ = ["Shapes", "Told", "grid"]

_SLOWEST: Final = 0.03  # writes to a page in the longest window
_FASTEST: Final = 6.0  # ... in the shortest window, seen or to come
_DECADE_RATES: Final = 3
_MOST_RATES: Final = 16
_PARTS: Final = tuple((at + 0.5) / 10 for at in range(10))  # of what a round marks, by the slower of two classes
_ONE: Final = 0.25  # prior probability of one class
_IN_ORDER: Final = 0.3  # of a class that sweeps
_LIMIT: Final = 1.05  # of the memory: a count may be off


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Guests of at most as many classes as there are columns.

    Attributes
    ----------
    pages, rates_per_s, sweeps
        Of each class: its pages, writes to each of them a second, and whether it is a sweep. Shape: guests, classes.
    prior
        How probable each guest is before the rounds are known; the sum is 1.
    """

    pages: Any
    rates_per_s: Any
    sweeps: Any
    prior: Any

    def classes(self, at: int) -> tuple[DirtyClass, ...]:
        """Return the page classes of one guest."""
        rows = zip(self.pages[at].tolist(), self.rates_per_s[at].tolist(), self.sweeps[at].tolist(), strict=True)
        return tuple(
            DirtyClass(
                region_bytes=int(pages) * PAGE_BYTES,
                writes_per_s=int(pages) * rate,
                kind="sweep" if sweep else "random",
            )
            for pages, rate, sweep in rows
            if pages >= 1.0
        )

    def told(self, seen: Sequence[Round], speeds: Sequence[float]) -> Told:
        """Return what each guest says of rounds in which it ran at ``speeds``, a share each.

        A sync after ``w`` seconds marks ``P (1 - q) (1 - exp(-x w))`` of a class of ``P`` pages that are written
        ``x`` times a second each, of which the share ``q`` was still pending; of a sweep ``P (1 - q) min(1, x w)``.
        """
        dirty = np.ones_like(self.pages)
        ratios = np.empty((self.pages.shape[0], len(seen)))
        for at, (one, speed) in enumerate(zip(seen, speeds, strict=True)):
            pending = dirty * min(1.0, one.pending_pages / max(1.0, one.to_send_pages))
            newly = (1.0 - pending) * self._written(one.window_s * speed)
            expected = np.maximum((newly * self.pages).sum(axis=1), 1e-12)
            ratios[:, at] = np.log(max(one.marked_pages, 1.0) / expected)
            dirty = pending + newly
        return Told(ratios, dirty)

    def _written(self, window_s: float) -> Any:
        """Return the share of each class that is written in a window."""
        written = self.rates_per_s * window_s
        return np.where(self.sweeps, np.minimum(1.0, written), -np.expm1(-written))

    def larger(self, factors: Any) -> Shapes:
        """Return guests of so many times as many pages, written as often each."""
        return dataclasses.replace(self, pages=self.pages * factors[:, None])

    def within(self, limit_pages: float) -> Shapes:
        """Return those that fit in the memory; the others have no probability."""
        pages = self.pages.sum(axis=1)
        prior = np.where(pages <= max(_LIMIT * limit_pages, float(pages.min())), self.prior, 0.0)
        whole = np.minimum(1.0, limit_pages / np.maximum(pages, 1.0))
        return dataclasses.replace(self.larger(whole), prior=prior / max(prior.sum(), 1e-300))


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What guests say of rounds.

    Attributes
    ----------
    ratios
        Marked over expected, as logarithms. Shape: guests, rounds.
    dirty
        Share of each class that is dirty after the last sync. Shape: guests, classes.
    """

    ratios: Any
    dirty: Any


def grid(seen: Sequence[Round], shortest_s: float = math.inf) -> Shapes:
    """Return the guests that may be, of which each marks about one page in a window of the middle length.

    Parameters
    ----------
    seen
        The rounds.
    shortest_s
        The shortest window to come [s]. Pages that each window so far found written may be written so often that
        this one finds them, too.

    Examples
    --------
    >>> one = Round(start_s=0.0, window_s=2.0, window_error_s=0.01, marked_pages=900, to_send_pages=1000,
    ...             pending_pages=0)
    >>> found = grid([one])
    >>> len(found.prior) > 100, round(float(found.prior.sum()), 6)
    (True, 1.0)
    >>> shares = (found.pages * found._written(2.0)).sum(axis=1)
    >>> bool(np.allclose(shares, 1.0))
    True
    """
    windows_s = [one.window_s for one in seen]
    least_s, longest_s = min(windows_s), max(windows_s)
    middle_s = float(np.sqrt(least_s * longest_s))
    rates = _rates(_SLOWEST / longest_s, _FASTEST / least_s)
    hotter = []
    if len(seen) > 1 and shortest_s < least_s:  # one window alone tells of no pages that all of them find
        hotter = _rates(_FASTEST / least_s, _FASTEST / shortest_s)[1:]
    rows = [((rate, 0.0), (1.0, 0.0), (sweep, False)) for rate in rates for sweep in (False, True)]
    alone = len(rows)
    for slow, fast in (*itertools.combinations(rates, 2), *itertools.product(rates, hotter)):
        for part, sweep in itertools.product(_PARTS, (False, True)):
            rows.append(((slow, fast), (part, 1.0 - part), (sweep, False)))
    rates_per_s, parts, sweeps = (np.array(column) for column in zip(*rows, strict=True))
    prior = np.where(sweeps[:, 0], _IN_ORDER, 1.0 - _IN_ORDER)
    prior[:alone] *= _ONE / prior[:alone].sum()
    prior[alone:] *= (1.0 - _ONE) / prior[alone:].sum()
    unit = Shapes(pages=parts, rates_per_s=rates_per_s, sweeps=sweeps.astype(bool), prior=prior)
    return dataclasses.replace(unit, pages=parts / np.maximum(unit._written(middle_s), 1e-12))


def _rates(low: float, high: float) -> list[float]:
    """Return rates evenly spread over their logarithms, both ends among them."""
    count = min(_MOST_RATES, 1 + math.ceil(_DECADE_RATES * math.log10(high / low)))
    return [float(rate) for rate in np.geomspace(low, high, count)]
