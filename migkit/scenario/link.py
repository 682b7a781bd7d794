"""The path between the two hosts."""

from __future__ import annotations

import dataclasses
import math

from migkit.scenario._fields import bounded, check

__all__ = ["Link"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What the path can give, before any cap of the migration itself.

    Attributes
    ----------
    bandwidth_bytes_per_s
        Goodput that the path can give [B/s]; infinite means that nothing but the hosts limits it.
    rtt_s
        Round-trip time [s].

    Examples
    --------
    >>> Link(bandwidth_bytes_per_s=1.25e9, rtt_s=0.0002).rtt_s
    0.0002
    """

    bandwidth_bytes_per_s: float = bounded(math.inf, above=True)
    rtt_s: float = bounded(0.0)

    def __post_init__(self) -> None:
        check(self)
