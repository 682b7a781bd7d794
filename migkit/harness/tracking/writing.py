"""Follow a program as it writes: in beats one behind the other, which pages were written, and what some of them hold.

Each page is collected and protected again in one step, so that the distinct pages of any window of whole beats are
known. Windows shorter than a beat are counted within it, which protects nothing anew. Of all pages a fixed sample is
looked into after each beat that wrote them. This tells how many are zero, and which came to hold something.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from migkit.harness.linux.pagemap import Mapping
from migkit.harness.tracking.contents import zero_at
from migkit.harness.tracking.program import TrackedProcess
from migkit.units import PAGE_BYTES

__all__ = ["Beat", "Writing"]

Pages = npt.NDArray[np.int64]
_LOOKS: Final = 16384
_COLLECTED: Final = 0.25  # of a beat, at most, that collecting it takes
_TAKES: Final = 3
_FAULTS_PER_S: Final = 20_000.0  # that tracking may cost the program, at about 1 us each: 2 %
_LONGEST_S: Final = 1.0
_GOLDEN: Final = 0.6180339887498949


class Beat(NamedTuple):
    """What one beat showed.

    Attributes
    ----------
    end_s
        When it ended, since the beginning [s].
    pages
        Numbers of the pages written in it, ascending.
    within
        Of windows that began with it and were shorter: length [s] and distinct pages.
    zero
        Of each page of the sample whether it is zero now: 1 or 0.
    """

    end_s: float
    pages: Pages
    within: tuple[tuple[float, int], ...]
    zero: npt.NDArray[np.bool_]


class Writing:
    """A program that is followed.

    Parameters
    ----------
    process
        The program; its mappings that count are numbered page by page in order of address.
    beat_s
        How long a beat shall last [s]. It is longer where collecting it takes a quarter of it. It grows up to a
        second where the program would meet more than 20,000 protected pages a second. Then windows of ``beat_s``,
        twice as long and so on are counted within it.

    Attributes
    ----------
    pages
        How many are numbered.
    sample
        Numbers of the pages that are looked into, ascending.
    zero
        Whether each of them was zero at the beginning.
    """

    def __init__(self, process: TrackedProcess, beat_s: float) -> None:
        self._process, self._asked_s, self._beat_s = process, beat_s, beat_s
        self._first: dict[int, int] = {}
        self._starts: list[int] = []
        self.pages = 0
        for mapping in process.memory():
            self._first[mapping.start] = self.pages
            self._starts.append(mapping.start)
            self.pages += mapping.length_bytes // PAGE_BYTES
        self._is_sampled = np.zeros(self.pages, bool)
        self._is_sampled[_spread(self.pages, _LOOKS)] = True
        self.sample = np.flatnonzero(self._is_sampled)
        self.zero = self._looked(np.ones(self.sample.size, bool), self._numbered(process.held()))
        process.arm()
        self._now = self.zero.copy()
        self._took_s: collections.deque[float] = collections.deque(maxlen=_TAKES)
        self._began_s = time.perf_counter()
        self._ended_s = 0.0

    def beat(self) -> Beat:
        """Return the next beat.

        Raises
        ------
        RunError
            The program has ended, or has become another.
        """
        within = tuple(self._counted())
        self._rest_until(self._beat_s)
        before_s = time.perf_counter()
        pages = self._numbered(self._process.collect())
        after_s = time.perf_counter()
        last_s, self._ended_s = self._ended_s, (before_s + after_s) / 2 - self._began_s
        self._now = self._looked(self._now, pages)
        self._took_s.append(time.perf_counter() - before_s)
        costs = pages.size / _FAULTS_PER_S / (self._ended_s - last_s)
        sparing_s = min(max(_LONGEST_S, self._beat_s), self._beat_s * min(2.0, costs))
        takes_s = min(self._took_s) if len(self._took_s) == _TAKES else 0.0  # one that was held up says nothing
        self._beat_s = max(self._beat_s, takes_s / _COLLECTED, sparing_s)
        return Beat(self._ended_s, pages, within, self._now)

    def _rest_until(self, window_s: float) -> None:
        self._process.rest(self._began_s + self._ended_s + window_s - time.perf_counter())

    def _counted(self) -> Iterator[tuple[float, int]]:
        """Yield windows within the next beat, as far as counting leaves time for it."""
        window_s = self._asked_s
        while 1.5 * window_s < self._beat_s:
            self._rest_until(window_s)
            before_s = time.perf_counter()
            pages = self._process.written_pages()
            yield (before_s + time.perf_counter()) / 2 - self._began_s - self._ended_s, pages
            window_s *= 2.0

    def _numbered(self, found: Iterator[tuple[Mapping, Pages]]) -> Pages:
        known = (self._numbers(mapping, ranges) for mapping, ranges in found if mapping.start in self._first)
        return np.concatenate([np.zeros(0, np.int64), *known])

    def _numbers(self, mapping: Mapping, ranges: Pages) -> Pages:
        begin = (ranges[:, 0] - mapping.start) // PAGE_BYTES + self._first[mapping.start]
        count = (ranges[:, 1] - ranges[:, 0]) // PAGE_BYTES
        behind = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(begin, count) + behind

    def _looked(self, known: npt.NDArray[np.bool_], pages: Pages) -> npt.NDArray[np.bool_]:
        """Return what the sample holds now that those of its pages were looked into; the others as they were."""
        numbers = pages[self._is_sampled[pages]]
        firsts = np.array(list(self._first.values()), np.int64)
        at = np.searchsorted(firsts, numbers, side="right") - 1
        addresses = np.array(self._starts, np.int64)[at] + PAGE_BYTES * (numbers - firsts[at])
        zero = zero_at(self._process.pid, addresses.tolist())
        now = known.copy()
        now[np.searchsorted(self.sample, numbers)] = zero != 0.0
        return now


def _spread(pages: int, most: int) -> Pages:
    """Return so many numbers of pages spread evenly, by multiples of the golden ratio, all when there are no more."""
    if pages <= most:
        return np.arange(pages)
    turn: Pages = np.flatnonzero((np.arange(pages) * _GOLDEN) % 1.0 < most / pages)
    return turn
