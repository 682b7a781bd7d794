"""A number that nobody stated or measured: what is typical, how far others lie from it, and who says so."""

from __future__ import annotations

__all__ = ["Estimate", "Typical"]


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

    def __getnewargs__(self) -> tuple[float, float, str]:  # type: ignore[override]
        """Return what a copy is made from."""
        return float(self), self.spread, self.source


class Estimate(Typical):
    """A value that logs of these very hosts tell with a spread; no platform's typical value takes its place.

    Examples
    --------
    >>> from migkit import Host
    >>> Host(load_s=Estimate(0.005, spread=0.2, source="a log"), platform="xen").load_s
    0.005
    """

    __slots__ = ()
