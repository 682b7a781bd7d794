"""The virtual machine, or the harness's guest process, that is moved."""

from __future__ import annotations

import dataclasses

from migkit.errors import UsageError
from migkit.scenario._fields import bounded, check, check_pages
from migkit.scenario.dirty import DirtyClass
from migkit.units import KIB, MIB, PAGE_BYTES, format_size

__all__ = ["FILLS", "MAX_CLASSES", "TRACKING_BYTES", "Guest", "compression_ratio"]

MAX_CLASSES = 48  # of what the engines keep in their rings
FILLS = ("random", "constant", "zero")
TRACKING_BYTES = (4 * KIB, 64 * KIB, 2 * MIB)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Memory and its writers.

    In address order: the regions of ``dirty`` in the order given, then pages that are
    written once (non-zero, never dirtied), then ``zero_bytes`` of zero pages to the end.

    Attributes
    ----------
    memory_bytes
        RAM of the guest [B].
    zero_bytes
        RAM that is zero at the start [B]; outside every dirty region.
    dirty
        Page classes, laid out one behind the other; at most 48.
    fill
        Content of the non-zero pages: ``random`` (incompressible), ``constant`` (one non-zero word,
        compresses well) or ``zero`` (regions start as zero pages).
    compression_ratio
        Size of the non-zero pages over their compressed size; 1: incompressible. Counts when the
        strategy compresses. :func:`compression_ratio` gives the bound that an entropy sets.
    tracking_bytes
        What one bit of dirty tracking covers [B]: 4 KiB, 64 KiB or 2 MiB; a write marks all of it.
    capacity_writes_per_s
        What the guest could write flat out [writes/s]; None: it already runs flat out. A throttle of p
        slows a guest only when its demand exceeds (1 - p) x capacity.

    Examples
    --------
    >>> guest = Guest(memory_bytes=512 * 2**20, zero_bytes=192 * 2**20,
    ...               dirty=(DirtyClass(region_bytes=64 * 2**20, writes_per_s=10_000),))
    >>> guest.memory_pages, guest.writes_per_s
    (131072, 10000.0)
    """

    memory_bytes: int = bounded(low=PAGE_BYTES)
    zero_bytes: int = bounded(0)
    dirty: tuple[DirtyClass, ...] = ()
    fill: str = bounded("random", choices=FILLS)
    compression_ratio: float = bounded(1.0, low=1.0, high=float(PAGE_BYTES))
    tracking_bytes: int = bounded(PAGE_BYTES, choices=TRACKING_BYTES)
    capacity_writes_per_s: float | None = bounded(None, above=True)

    def __post_init__(self) -> None:
        check(self, "guest")
        check_pages(self, ("memory_bytes", "zero_bytes"), "guest")
        self._check_layout()
        if self.capacity_writes_per_s is not None and self.writes_per_s > self.capacity_writes_per_s * (1 + 1e-9):
            raise UsageError(
                f"guest.capacity_writes_per_s: {self.capacity_writes_per_s:g} is below the demand of its classes, "
                f"{self.writes_per_s:g} writes/s; raise it or leave it out"
            )

    def _check_layout(self) -> None:
        if not isinstance(self.dirty, tuple) or not all(isinstance(c, DirtyClass) for c in self.dirty):
            raise UsageError(f"guest.dirty: {self.dirty!r} is not a tuple of DirtyClass; write (DirtyClass(...),)")
        if len(self.dirty) > MAX_CLASSES:
            many = f"guest.dirty: {len(self.dirty)} page classes are too many"
            raise UsageError(f"{many}; at most {MAX_CLASSES} fit, put like ones together")
        regions = sum(c.region_bytes for c in self.dirty)
        if regions + self.zero_bytes > self.memory_bytes:
            raise UsageError(
                f"guest: dirty regions ({format_size(regions)}) and zero pages ({format_size(self.zero_bytes)}) "
                f"exceed the memory ({format_size(self.memory_bytes)}); shrink a region or add memory"
            )

    @property
    def memory_pages(self) -> int:
        """Pages of 4 KiB."""
        return self.memory_bytes // PAGE_BYTES

    @property
    def zero_pages(self) -> int:
        """Pages that are zero when the migration begins."""
        return self.zero_bytes // PAGE_BYTES

    @property
    def writes_per_s(self) -> float:
        """Demand of all page classes at intensity 1 [writes/s]."""
        return float(sum(c.writes_per_s for c in self.dirty))


def compression_ratio(entropy_bits_per_byte: float) -> float:
    """Return the ratio that a coder of single bytes can reach at most: ``8 / H`` (Shannon 1948).

    Parameters
    ----------
    entropy_bits_per_byte
        Entropy ``H`` of the page content, above 0 to 8 [bit/B].

    Raises
    ------
    UsageError
        The entropy is outside its range.

    Examples
    --------
    >>> compression_ratio(8), compression_ratio(3.2)
    (1.0, 2.5)
    """
    if not 0 < entropy_bits_per_byte <= 8:
        raise UsageError(f"entropy: {entropy_bits_per_byte:g} bit/B is out of range; it must be above 0, at most 8")
    return min(8.0 / entropy_bits_per_byte, float(PAGE_BYTES))
