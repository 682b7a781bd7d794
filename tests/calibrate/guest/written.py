"""Guests that write page by page, as one sees them who follows them beat by beat."""

import dataclasses

import numpy as np

from migkit.calibrate.guest.beats import History
from migkit.scenario import DirtyClass

BEAT_S = 0.1
MOST_LOOKS = 8192


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """A guest of page classes, one behind the other, then pages that hold something, then zero pages."""

    dirty: tuple[DirtyClass, ...]
    memory_pages: int
    zero_pages: int = 0
    emptied: float = 0.0
    """Share of the pages of the classes that are zero whenever they have been written."""

    def followed(self, beats: int, seed: int = 1) -> History:
        """Return what it writes; phases begin with the first beat."""
        draw = np.random.default_rng(seed)
        pages, zero = [], [self._zero()]
        done = [0.0] * len(self.dirty)
        for beat in range(beats):
            found, now, first = [], zero[-1].copy(), 0
            for at, one in enumerate(self.dirty):
                rate = one.writes_per_s * _intensity(one, beat * BEAT_S)
                begun, done[at] = round(done[at]), done[at] + rate * BEAT_S
                count = round(done[at]) - begun
                if one.kind == "random":
                    numbers = draw.integers(0, one.region_pages, draw.poisson(count))
                else:
                    numbers = (begun + np.arange(count)) % one.region_pages
                found.append(first + numbers)
                first += one.region_pages
            written = np.unique(np.concatenate(found))
            now[written] = written < self.emptied * first
            pages.append(written)
            zero.append(now)
        sample = np.arange(0, self.memory_pages, max(1, self.memory_pages // MOST_LOOKS))
        return History(
            times_s=np.arange(beats + 1) * BEAT_S,
            pages=pages,
            memory_pages=self.memory_pages,
            sample=sample,
            zero=np.array([one[sample] for one in zero]),
        )

    def _zero(self) -> np.ndarray:
        """A growth's pages are zero as well."""
        zero, first = np.zeros(self.memory_pages, bool), 0
        zero[self.memory_pages - self.zero_pages :] = True
        for one in self.dirty:
            zero[first : first + one.region_pages] = one.kind == "growth"
            first += one.region_pages
        return zero


def _intensity(one: DirtyClass, at_s: float) -> float:
    if not one.phases:
        return 1.0
    rest_s = at_s % sum(duration_s for duration_s, _ in one.phases)
    for duration_s, level in one.phases:
        rest_s -= duration_s
        if rest_s < -1e-9:
            return level
    return one.phases[-1][1]
