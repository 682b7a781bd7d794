"""The manner of moving: what is copied while the guest runs, and where it runs meanwhile."""

from __future__ import annotations

import dataclasses

from migkit.scenario._fields import bounded, check

__all__ = ["STRATEGIES", "Strategy"]

STRATEGIES = ("precopy", "stopcopy", "postcopy")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy.

    Attributes
    ----------
    name
        ``precopy``: copy while the guest runs at the source, repeat what it dirties; ``stopcopy``: stop,
        copy, resume; ``postcopy``: resume at the destination at once and bring pages on demand and by push.
    """

    name: str = bounded("precopy", choices=STRATEGIES)

    def __post_init__(self) -> None:
        check(self)
