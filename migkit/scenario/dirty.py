"""How a guest dirties its memory: a small set of page classes."""

from __future__ import annotations

import dataclasses

from migkit.errors import UsageError
from migkit.scenario._fields import bounded, check

__all__ = ["KINDS", "DirtyClass"]

KINDS = ("random", "sweep")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirtyClass:
    """A region of the guest's memory that is written at one rate in one manner.

    Attributes
    ----------
    region_bytes
        Size of the region [B], a whole number of 4 KiB pages.
    writes_per_s
        Writes a second of guest running time at intensity 1; each goes to one page of the region.
    kind
        ``random``: every write picks a page uniformly; ``sweep``: writes go through the region in order and wrap.
    phases
        Repeating steps ``(duration_s, intensity)``; empty means intensity 1 for ever.
    phase_offset_s
        Where in that cycle the migration begins [s].

    Examples
    --------
    >>> DirtyClass(region_bytes=64 * 2**20, writes_per_s=10_000).region_pages
    16384
    """

    region_bytes: int = bounded(low=4096)
    writes_per_s: float = bounded(low=0)
    kind: str = bounded("random", choices=KINDS)
    phases: tuple[tuple[float, float], ...] = ()
    phase_offset_s: float = bounded(0.0)

    def __post_init__(self) -> None:
        check(self)
        if self.region_bytes % 4096:
            raise UsageError(
                f"dirtyclass.region_bytes: {self.region_bytes} B is no whole number of pages; use a multiple of 4 KiB"
            )
        for duration_s, intensity in self.phases:
            if not (duration_s > 0 and intensity >= 0):
                raise UsageError(
                    f"dirtyclass.phases: ({duration_s:g} s, {intensity:g}) is not a step; "
                    "the time must be above 0 and the intensity at least 0"
                )

    @property
    def region_pages(self) -> int:
        """Pages of 4 KiB in the region."""
        return self.region_bytes // 4096
