"""What a guest wrote while it was followed: the distinct pages of every window, from every start.

A page counts in a window if one of its beats wrote it. Pages of a sample are known to be zero or not after each beat.
So the pages of a window that are zero at its end, which cost next to nothing to send, are counted apart. Those that
hold something for the first time, growth, are left out.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.calibrate.guest.readings import Reading

__all__ = ["History"]

_SURE: Final = 3.0  # standard deviations
_LEAST: Final = 8.0  # pages of the sample that tell a growth
_HALF: Final = 0.25  # of a growth at least, in either half of the time
_USUAL: Final = 0.5  # of the median length of a beat
_MOST_PAGES: Final = 1 << 20  # whose windows are counted; of more, a share


@dataclasses.dataclass(frozen=True, slots=False, kw_only=True, eq=False)
class History:
    """Beats one behind the other.

    Attributes
    ----------
    times_s
        When the first beat began, 0, and when each ended: ``n + 1`` values [s].
    pages
        Numbers of the pages that each beat wrote.
    within
        Of each beat the windows that began with it and were shorter: length [s] and distinct pages. Empty: none.
    counts_zero
        Whether windows count the pages that are zero at their end, instead of those that hold something.
    memory_pages
        How many there are.
    sample
        Numbers of the pages of the sample, ascending.
    zero
        Whether each of them was zero at each of the ``n + 1`` moments.
    """

    times_s: npt.NDArray[np.float64]
    pages: Sequence[npt.NDArray[np.int64]]
    memory_pages: int
    sample: npt.NDArray[np.int64]
    zero: npt.NDArray[np.bool_]
    within: Sequence[Sequence[tuple[float, int]]] = ()
    counts_zero: bool = False

    @property
    def beats(self) -> int:
        """How many there are."""
        return len(self.pages)

    @property
    def full_pages(self) -> float:
        """How many pages hold something at the end."""
        return float(1.0 - self.zero[-1].mean()) * self.memory_pages

    @functools.cached_property
    def grows(self) -> npt.NDArray[np.bool_]:
        """Which pages of the sample hold something for the first time: none where as many were emptied meanwhile.

        Both halves of the time must have their part in it, else it was a burst.
        """
        half = int(np.searchsorted(self.times_s, 0.5 * self.times_s[-1]))
        first, middle, last = self.zero[0], self.zero[half], self.zero[-1]
        filled, emptied = int((first & ~last).sum()), int((~first & last).sum())
        early, late = int(first.sum()) - int(middle.sum()), int(middle.sum()) - int(last.sum())
        net = filled - emptied
        sure = net > max(_LEAST, _SURE * math.sqrt(filled + emptied)) and min(early, late) > _HALF * net
        return (first & ~last) if sure else np.zeros_like(first)

    @functools.cached_property
    def growth(self) -> npt.NDArray[np.float64]:
        """Pages that came to hold something for the first time, beat by beat, all sampled pages scaled up."""
        filled = self.grows & self.zero[:-1] & ~self.zero[1:]
        scale = self.memory_pages / max(1, self.sample.size)
        counts: npt.NDArray[np.float64] = scale * filled.sum(axis=1)
        return counts

    @functools.cached_property
    def rates(self) -> npt.NDArray[np.float64]:
        """Distinct pages that each beat wrote, over its length [1/s]."""
        counts: npt.NDArray[np.float64] = np.array([one.size for one in self.pages]) / np.diff(self.times_s)
        return counts

    @functools.cached_property
    def beats_written(self) -> npt.NDArray[np.int64]:
        """In how many beats each page of the memory was written, in the order of addresses."""
        return np.bincount(np.concatenate(self.pages), minlength=self.memory_pages)

    def unique_pages(self, spans: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return distinct pages written in windows, of those that are to be sent again in full, or as zero pages.

        Parameters
        ----------
        spans
            Lengths of windows [beats].

        Returns
        -------
        array
            Shape ``(beats, len(spans))``: of the window that begins with each beat; not-a-number where it has no end.

        Examples
        --------
        >>> one = np.array([5]), np.array([5, 6]), np.array([7])
        >>> seen = History(times_s=np.arange(4.0), pages=one, memory_pages=8, sample=np.arange(8),
        ...                zero=np.zeros((4, 8), bool))
        >>> seen.unique_pages([1, 2]).tolist()
        [[1.0, 2.0], [2.0, 3.0], [1.0, nan]]
        """
        every = math.ceil(self.memory_pages / _MOST_PAGES)
        kept = [one[one % every == 0] // every for one in self.pages] if every > 1 else self.pages
        numbers, places = np.unique(np.concatenate(kept), return_inverse=True)
        of_beats = np.split(places, np.cumsum([one.size for one in kept])[:-1])
        next_at = np.full(numbers.size, self.beats * 2)
        found = np.full((self.beats, len(spans)), math.nan)
        for start in range(self.beats - 1, -1, -1):
            next_at[of_beats[start]] = start
            ahead = np.bincount(np.minimum(next_at - start, self.beats), minlength=self.beats + 1)[:-1].cumsum()
            for at, span in enumerate(spans):
                if start + span <= self.beats:
                    found[start, at] = every * ahead[span - 1]
        return found * self._counted(spans)

    def _counted(self, spans: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return which share of the pages of windows so long counts: zero at their end, or neither zero nor grown."""
        if not (self.zero.any() or self.grows.any()):
            return np.full(len(spans), 0.0 if self.counts_zero else 1.0)
        written = np.zeros((self.beats, self.sample.size), bool)
        for row, one in zip(written, self.pages, strict=True):
            row[np.searchsorted(self.sample, np.intersect1d(one, self.sample, assume_unique=True))] = True
        before = np.vstack([np.zeros(written.shape[1], np.int32), np.cumsum(written, axis=0, dtype=np.int32)])
        return np.array([self._share(before, span) for span in spans])

    def _share(self, before: Any, span: int) -> float:
        marked = before[span:] > before[:-span]
        zero = self.zero[span:]
        counted = marked & (zero if self.counts_zero else ~zero & ~self.grows)
        return float(counted.sum() / marked.sum()) if marked.any() else float(not self.counts_zero)

    def shorter(self) -> list[npt.NDArray[np.float64]]:
        """Return windows shorter than a beat, those that go together: beat, length [s] and pages of each, (n, 3).

        Pages count as those of a beat do.

        Examples
        --------
        >>> seen = History(times_s=np.arange(3.0), pages=[np.arange(5)] * 2, memory_pages=8, sample=np.arange(8),
        ...                zero=np.zeros((3, 8), bool), within=[[], [(0.1, 2), (0.2, 3)]])
        >>> [rows.tolist() for rows in seen.shorter()]
        [[[1.0, 0.1, 2.0]], [[1.0, 0.2, 3.0]]]
        """
        share = float(self._counted([1])[0]) if any(self.within) else 1.0
        places = itertools.zip_longest(*([(at, *one) for one in row] for at, row in enumerate(self.within)))
        return [np.array([row for row in place if row]) * (1.0, 1.0, share) for place in places]

    def readings(self, spans: Sequence[int]) -> list[Reading]:
        """Return the mean count of windows of each length, over all their starts, and of those shorter than a beat.

        Examples
        --------
        >>> one = np.array([5]), np.array([5, 6]), np.array([7])
        >>> History(times_s=np.arange(4.0), pages=one, memory_pages=8, sample=np.arange(8),
        ...         zero=np.zeros((4, 8), bool)).readings([2])
        [Reading(window_s=2.0, pages=2.5)]
        """
        counts = np.nanmean(self.unique_pages(spans), axis=0)
        lengths = [float((self.times_s[span:] - self.times_s[:-span]).mean()) for span in spans]
        found = [Reading(*rows[:, 1:].mean(axis=0).tolist()) for rows in self.shorter()]
        return found + [Reading(length_s, float(pages)) for length_s, pages in zip(lengths, counts, strict=True)]

    def part(self, first: int, end: int) -> History:
        """Return the beats from ``first`` to before ``end``."""
        return History(
            times_s=self.times_s[first : end + 1] - self.times_s[first],
            pages=self.pages[first:end],
            memory_pages=self.memory_pages,
            sample=self.sample,
            zero=self.zero[first : end + 1],
            within=self.within[first:end],
            counts_zero=self.counts_zero,
        )

    def settled(self) -> History:
        """Return the beats from the first one that is as long as beats usually are: windows of as many are alike.

        Examples
        --------
        >>> seen = History(times_s=np.array([0.0, 0.1, 0.3, 0.7, 1.5, 2.3, 3.1]), pages=[np.arange(5)] * 6,
        ...                memory_pages=8, sample=np.arange(8), zero=np.zeros((7, 8), bool))
        >>> seen.settled().times_s.round(1).tolist()
        [0.0, 0.4, 1.2, 2.0, 2.8]
        """
        lengths_s = np.diff(self.times_s)
        return self.part(int(np.argmax(lengths_s >= _USUAL * np.median(lengths_s))), self.beats)
