"""How a guest dirties its memory: a small set of page classes."""

from __future__ import annotations

import dataclasses

from migkit.scenario._fields import bounded, check, check_pages, check_steps
from migkit.units import PAGE_BYTES

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
    sweep_offset_bytes
        Where a sweep stands when the migration begins, from the start of its region and around its end [B].
        None, not known: half-way, since to stand just at an end of the region would be a coincidence; intervals
        then take it to be anywhere.
    reads_per_s
        Reads a second of guest running time at intensity 1, in the manner of the writes. They dirty nothing;
        after a switch to post-copy they fault like writes.
    rewrite_bytes
        Bytes of a page that one write changes [B], in the guests of real runs.
    phases
        Repeating steps ``(duration_s, intensity)``; empty means intensity 1 for ever.
    phase_offset_s
        Where in that cycle the migration begins [s].

    Examples
    --------
    >>> DirtyClass(region_bytes=64 * 2**20, writes_per_s=10_000).region_pages
    16384
    """

    region_bytes: int = bounded(low=PAGE_BYTES)
    writes_per_s: float = bounded()
    kind: str = bounded("random", choices=KINDS)
    sweep_offset_bytes: int | None = bounded(None)
    reads_per_s: float = bounded(0.0)
    rewrite_bytes: int = bounded(8, low=1, high=PAGE_BYTES)
    phases: tuple[tuple[float, float], ...] = ()
    phase_offset_s: float = bounded(0.0)

    def __post_init__(self) -> None:
        check(self, "guest.dirty")
        check_pages(self, ("region_bytes",), "guest.dirty")
        check_steps(self.phases, "guest.dirty.phases")

    @property
    def region_pages(self) -> int:
        """Pages of 4 KiB in the region."""
        return self.region_bytes // PAGE_BYTES
