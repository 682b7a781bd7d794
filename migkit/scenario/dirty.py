"""How a guest dirties its memory: a small set of page classes."""

from __future__ import annotations

import dataclasses

from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun, check
from migkit.units import PAGE_BYTES

__all__ = ["KINDS", "LONGEST_WINDOW_S", "SHORTEST_WINDOW_S", "DirtyClass"]

KINDS = ("random", "sweep", "growth")
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 1e-9, 1e10
"""Between what a window of a measured curve lasts: no clock tells less, no program runs for longer."""


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DirtyClass(Noun):
    """A region of the guest's memory that is written at one rate in one manner.

    Examples
    --------
    >>> DirtyClass(region_bytes=64 * 2**20, writes_per_s=10_000).region_pages
    16384
    """

    region_bytes: int = dataclasses.field(
        metadata=rule("Size of the region, a whole number of 4 KiB pages.", low=PAGE_BYTES, whole_pages=True),
    )
    writes_per_s: float = dataclasses.field(
        metadata=rule("Writes a second of guest running time at intensity 1; each goes to one page of the region."),
    )
    kind: str = dataclasses.field(
        default="random",
        metadata=rule(
            "``random``: every write picks a page uniformly; ``sweep``: writes go through the region in order and "
            "wrap; ``growth``: zero pages that are written once, in order, such as a page cache that fills.",
            choices=KINDS,
        ),
    )
    sweep_offset_bytes: int | None = dataclasses.field(
        default=None,
        metadata=rule(
            "Where a sweep stands when the migration begins, from the start of its region and around its end. "
            "None, not known: half-way, since to stand just at an end of the region would be a coincidence; "
            "intervals then take it to be anywhere. Of a growth, how much is written by then; None: nothing.",
        ),
    )
    reads_per_s: float = dataclasses.field(
        default=0.0,
        metadata=rule(
            "Reads a second of guest running time at intensity 1, in the manner of the writes. They dirty "
            "nothing; after a switch to post-copy they fault like writes.",
        ),
    )
    rewrite_bytes: int = dataclasses.field(
        default=8,
        metadata=rule("Bytes of a page that one write changes, in the guests of real runs.", low=1, high=PAGE_BYTES),
    )
    zero_share: float = dataclasses.field(
        default=0.0,
        metadata=rule(
            "Share of the region's pages that hold nothing but zeros at any moment, such as memory that a system "
            "empties before a program uses it: each write leaves its page zero with this probability. Such a page is "
            "sent as a zero page. What is left is counted in whole pages, whatever they hold.",
            high=1.0,
        ),
    )
    phases: tuple[tuple[float, float], ...] = dataclasses.field(
        default=(),
        metadata=rule("Repeating steps ``(duration_s, intensity)``; empty means intensity 1 for ever."),
    )
    phase_offset_s: float | None = dataclasses.field(
        default=None,
        metadata=rule(
            "Where in that cycle the migration begins. None, not known: at its start; intervals then take it to be "
            "anywhere, for all classes of the same phases at once."
        ),
    )

    def __post_init__(self) -> None:
        check(self, "guest.dirty")

    @property
    def region_pages(self) -> int:
        """Pages of 4 KiB in the region."""
        return self.region_bytes // PAGE_BYTES

    @property
    def mean_intensity(self) -> float:
        """What the rates are multiplied by in the mean over the phases.

        Examples
        --------
        >>> DirtyClass(region_bytes=2**20, writes_per_s=1.0, phases=((1.0, 1.0), (3.0, 0.0))).mean_intensity
        0.25
        """
        cycle_s = sum(duration_s for duration_s, _ in self.phases)
        return sum(duration_s * level for duration_s, level in self.phases) / cycle_s if cycle_s > 0.0 else 1.0
