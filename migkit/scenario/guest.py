"""The virtual machine, or the harness's guest process, that is moved."""

from __future__ import annotations

import dataclasses

from migkit.errors import UsageError
from migkit.scenario.dirty import DirtyClass
from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun, check
from migkit.scenario.installation.devices import KINDS, check_devices
from migkit.units import KIB, MIB, PAGE_BYTES, format_size

__all__ = ["FILLS", "LAYOUTS", "LINUX_RESTART_BLOCKS", "MAX_CLASSES", "TRACKING_BYTES", "Guest", "compression_ratio"]

MAX_CLASSES = 48  # of what the engines keep in their rings
FILLS = ("random", "constant", "zero")
# Where zero pages lie in a virtual machine of 8 GiB with a database, as its first pass met them: 48 % of them before
# the rest of memory, 51 % behind it (github.com/LordWicked/live-migration-thesis-code).
ZERO_AT_START = 0.47
ZERO_AT_END = 0.5
LAYOUTS = ("interleaved", "blocks")
TRACKING_BYTES = (4 * KIB, 64 * KIB, 2 * MIB)
LINUX_RESTART_BLOCKS = 2000.0
"""Of a Linux that ticks at real-time priority: 1,580 to 2,440 were translated before its first tick."""


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guest(Noun):
    """Memory and its writers.

    Memory is the regions of ``dirty``, ``zero_bytes`` of zero pages, and pages that are written once (non-zero, never
    dirtied). ``layout`` says how they lie.

    Examples
    --------
    >>> guest = Guest(memory_bytes=512 * 2**20, zero_bytes=192 * 2**20,
    ...               dirty=(DirtyClass(region_bytes=64 * 2**20, writes_per_s=10_000),))
    >>> guest.memory_pages, guest.writes_per_s
    (131072, 10000.0)
    """

    memory_bytes: int = dataclasses.field(metadata=rule("RAM of the guest.", low=PAGE_BYTES, whole_pages=True))
    zero_bytes: int = dataclasses.field(
        default=0,
        metadata=rule("RAM that is zero at the start; outside every dirty region.", whole_pages=True),
    )
    dirty: tuple[DirtyClass, ...] = dataclasses.field(
        default=(),
        metadata=rule("Page classes; at most 48."),
    )
    layout: str = dataclasses.field(
        default="interleaved",
        metadata=rule(
            "``interleaved``: between the zero pages at both ends, sweeps come first, each in one piece; random "
            "classes, pages written once and the other zero pages lie evenly mixed behind them, and 53 MiB of these "
            "ahead of all, as in real memory. "
            "``blocks``: every class in one piece, in the order given, then pages written once, then all zero pages, "
            "as in the guests of a laboratory.",
            choices=LAYOUTS,
        ),
    )
    zero_at_start: float = dataclasses.field(
        default=ZERO_AT_START,
        metadata=rule("Share of the zero pages that lie in a row at the start of interleaved memory.", high=1.0),
    )
    zero_at_end: float = dataclasses.field(
        default=ZERO_AT_END,
        metadata=rule("Share of the zero pages that lie in a row at the end of interleaved memory.", high=1.0),
    )
    untouched_bytes: int = dataclasses.field(
        default=0,
        metadata=rule(
            "Zero pages that the guest has never touched, spread over all zero pages; to read one for the first time "
            "costs host.untouched_page_cpu as well.",
            whole_pages=True,
        ),
    )
    fill: str = dataclasses.field(
        default="random",
        metadata=rule(
            "Content of the non-zero pages: ``random`` (incompressible), ``constant`` (one non-zero word, "
            "compresses well) or ``zero`` (regions start as zero pages).",
            choices=FILLS,
        ),
    )
    compression_ratio: float = dataclasses.field(
        default=1.0,
        metadata=rule(
            "Size of the non-zero pages over their compressed size; 1: incompressible. Counts when the strategy "
            "compresses. :func:`compression_ratio` gives the bound that an entropy sets.",
            low=1.0,
            high=float(PAGE_BYTES),
        ),
    )
    tracking_bytes: int = dataclasses.field(
        default=PAGE_BYTES,
        metadata=rule(
            "What one bit of dirty tracking covers: 4 KiB, 64 KiB or 2 MiB; a write marks all of it.",
            choices=TRACKING_BYTES,
        ),
    )
    capacity_writes_per_s: float | None = dataclasses.field(
        default=None,
        metadata=rule(
            "What the guest could write flat out [writes/s]; None: it already runs flat out. A throttle of p "
            "slows a guest only when its demand exceeds (1 - p) x capacity.",
            above=True,
        ),
    )

    vcpus: int = dataclasses.field(
        default=1,
        metadata=rule("Virtual processors; each takes its time to be stopped.", low=1),
    )
    devices: tuple[tuple[str, float], ...] = dataclasses.field(
        default=(),
        metadata=rule(
            "Devices by kind, beside the usual ones: ``{ virtio = 4, vhost-user = 1, vfio = 2 }``; their state and "
            "their backends count in the downtime. Kinds: " + ", ".join(KINDS) + ".",
        ),
    )
    restart_blocks: float = dataclasses.field(
        default=0.0,
        metadata=rule(
            "Blocks of code that run from the guest's resumption until a program of it has answered: interrupts, "
            "scheduler, program. Software emulation translates each anew at the destination "
            "(host.translate_block); a Linux has some 2,000.",
        ),
    )
    device_state_bytes: float | None = dataclasses.field(
        default=None,
        metadata=rule(
            "State of these devices that is sent while the guest is stopped. None: what is usual for each."
        ),
    )

    def __post_init__(self) -> None:
        check(self, "guest")
        check_devices(self)
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
        if self.zero_at_start + self.zero_at_end > 1.0:
            raise UsageError(
                f"guest.zero_at_end: {self.zero_at_end:g} and guest.zero_at_start, {self.zero_at_start:g}, are more "
                "than all zero pages; give shares of at most 1 together"
            )
        if self.untouched_bytes > self.zero_bytes:
            raise UsageError(
                f"guest.untouched_bytes: {format_size(self.untouched_bytes)} are more than the zero pages, "
                f"{format_size(self.zero_bytes)}; raise guest.zero_bytes or give less"
            )
        over = regions + self.zero_bytes - self.memory_bytes
        if over > 0:
            raise UsageError(
                f"guest: dirty regions ({format_size(regions)}) and zero pages ({format_size(self.zero_bytes)}) "
                f"exceed the memory ({format_size(self.memory_bytes)}) by {format_size(over)}; "
                "shrink a region or add memory"
            )

    @property
    def memory_pages(self) -> int:
        """Pages of 4 KiB."""
        return self.memory_bytes // PAGE_BYTES

    @property
    def in_address_order(self) -> tuple[DirtyClass, ...]:
        """The page classes as they lie in memory; of interleaved ones, what is written in order is first."""
        if self.layout == "blocks":
            return self.dirty
        return tuple(sorted(self.dirty, key=lambda one: one.kind == "random"))

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
