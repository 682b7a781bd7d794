"""A number that nobody stated or measured: what is typical, how far others lie from it, and who says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

__all__ = ["Estimate", "Typical"]

_NORMAL_OF_MEDIAN: Final = 1.4826  # standard deviation over the median distance from the median, and
_ERROR_OF_MEDIAN: Final = 1.2533  # standard error of a median over that of a mean: both of a normal distribution


class Typical(float):
    """A typical value with its spread; a plain number in its place was stated or calibrated, and is exact.

    The value is the median of a log-normal distribution: a draw is ``value * exp(spread * z)`` with ``z`` from the
    standard normal distribution. A spread of 0 is a documented default that is not in doubt.

    Attributes
    ----------
    spread
        Standard deviation of the logarithm; 0.5 puts nine of ten values between 0.44 and 2.3 times the median.
    source
        Who measured it, or which source program says so.

    Examples
    --------
    >>> load_s = Typical(0.012, spread=0.9, source="field reports")
    >>> 2 * load_s, load_s.spread
    (0.024, 0.9)
    """

    __slots__ = ("source", "spread")

    spread: float
    source: str

    def __new__(cls, value: float, spread: float = 0.0, source: str = "") -> Typical:
        """Return the number with its spread and source."""
        self = super().__new__(cls, value)
        self.spread, self.source = spread, source
        return self

    @property
    def is_uncertain(self) -> bool:
        """Whether draws differ from the value."""
        return self.spread > 0.0

    def __getnewargs__(self) -> tuple[float, float, str]:  # type: ignore[override]
        """Return what a copy is made from."""
        return float(self), self.spread, self.source


class Estimate(Typical):
    """A value that logs of these very hosts tell with a spread; no platform's typical value takes its place.

    Attributes
    ----------
    factors
        By what each run that told the value differed from it, in ascending order; a draw is multiplied by one of
        them, or lies between two neighbours. Runs may be of two kinds, such as stops that wait for a disk and stops
        that do not, which no log-normal distribution holds. Empty: runs are not known one by one.

    Examples
    --------
    >>> from migkit import Host
    >>> Host(load_s=Estimate(0.005, spread=0.2, source="a log"), platform="xen").load_s
    0.005
    """

    __slots__ = ("factors",)

    factors: tuple[float, ...]

    def __new__(
        cls, value: float, spread: float = 0.0, source: str = "", factors: tuple[float, ...] = ()
    ) -> Estimate:
        """Return the number with its spread and source, and how runs differed from it."""
        self = super().__new__(cls, value, spread, source)
        assert isinstance(self, Estimate)
        self.factors = factors
        return self

    @classmethod
    def of_runs(cls, values: Sequence[float], source: str) -> Estimate:
        """Return the median of what single runs told, with its standard error; a draw differs as these runs do.

        Parameters
        ----------
        values
            All above 0, one a run.
        source
            Which runs.

        Examples
        --------
        >>> one = Estimate.of_runs([0.02, 0.08, 0.02], "three stops")
        >>> one, one.factors
        (0.02, (1.0, 1.0, 4.0))
        """
        middle = median(values)
        off = _ERROR_OF_MEDIAN * _NORMAL_OF_MEDIAN * median(abs(value - middle) for value in values)
        factors = tuple(sorted(value / middle for value in values))
        return cls(middle, off / middle / math.sqrt(len(values)), source, factors)

    @property
    def is_uncertain(self) -> bool:
        """Whether draws differ from the value."""
        return self.spread > 0.0 or bool(self.factors)

    def __getnewargs__(self) -> tuple[float, float, str, tuple[float, ...]]:  # type: ignore[override]
        """Return what a copy is made from."""
        return float(self), self.spread, self.source, self.factors
