"""The manner of moving: what is copied while the guest runs, and where it runs meanwhile."""

from __future__ import annotations

import dataclasses
import math

from migkit.errors import UsageError
from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun, check
from migkit.units import MIB, PAGE_BYTES

__all__ = ["COMPRESSIONS", "STRATEGIES", "Strategy"]

STRATEGIES = ("precopy", "stopcopy", "postcopy", "hybrid")
COMPRESSIONS = ("none", "zlib", "zstd", "lz4")


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Strategy(Noun):
    """A strategy; every switch but ``preempt`` is off by default.

    What another manner of moving would look at may stand here as well and changes nothing, so that one
    file serves all of them: ``postcopy_after_s`` counts for ``hybrid`` alone.

    Examples
    --------
    >>> Strategy(name="hybrid", postcopy_after_s=2.0).streams
    1
    """

    name: str = dataclasses.field(
        default="precopy",
        metadata=rule(
            "``precopy``: copy while the guest runs at the source, repeat what it dirties; ``stopcopy``: stop, "
            "copy, resume; ``postcopy``: resume at the destination at once and bring pages on demand and by push; "
            "``hybrid``: pre-copy first, then post-copy.",
            choices=STRATEGIES,
        ),
    )
    postcopy_after_s: float | None = dataclasses.field(
        default=None,
        metadata=rule("``hybrid`` goes post-copy at this time since the request."),
    )
    postcopy_after_rounds: int | None = dataclasses.field(
        default=None,
        metadata=rule(
            "``hybrid`` goes post-copy at the end of this round, unless the time above came first. With neither "
            "of the two given it does so after the first round.",
            low=1,
        ),
    )
    prefetch_pages: int = dataclasses.field(
        default=0,
        metadata=rule("Neighbours that post-copy, alone or of a hybrid, sends behind each page that faulted."),
    )
    preempt: bool = dataclasses.field(
        default=True,
        metadata=rule(
            "Post-copy answers the guest's demands over a connection of their own (QEMU's ``postcopy-preempt``). "
            "Off: they wait behind what is on its way on the one connection, ``link.queue_bytes`` of it.",
        ),
    )
    auto_converge: bool = dataclasses.field(
        default=False,
        metadata=rule("Throttle a guest that dirties faster than the link drains, by the policy's steps."),
    )
    dirty_limit_bytes_per_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule(
            "Limit on what the guest may dirty while it does not converge; its readers run on.",
            above=True,
        ),
    )
    compression: str = dataclasses.field(
        default="none",
        metadata=rule("``none``, ``zlib``, ``zstd`` or ``lz4``, on each stream.", choices=COMPRESSIONS),
    )
    xbzrle: bool = dataclasses.field(
        default=False,
        metadata=rule(
            "Send a page that was sent before as the difference from its last sent content (XBZRLE), where a "
            "cache at the source still holds that. Each page has one place in the cache: its number modulo the "
            "cache's pages. As in QEMU nothing is remembered of the first pass, a page keeps its place until it "
            "was not sent for two passes, and a policy compares what is left in whole pages with the bandwidth on "
            "the wire.",
        ),
    )
    xbzrle_cache_bytes: int = dataclasses.field(
        default=64 * MIB,
        metadata=rule("Size of that cache; QEMU takes powers of two, 64 MiB by default.", low=PAGE_BYTES),
    )
    streams: int = dataclasses.field(default=1, metadata=rule("Parallel connections.", low=1, high=256))
    tls: bool = dataclasses.field(default=False, metadata=rule("Encrypt each stream."))
    storage_bytes: int = dataclasses.field(
        default=0,
        metadata=rule("Disks that are copied along over the same path; 0: storage is shared."),
    )
    storage_dirty_bytes_per_s: float = dataclasses.field(
        default=0.0,
        metadata=rule("What the guest writes to those disks meanwhile; it is sent as well."),
    )
    checkpoint_bytes: int = dataclasses.field(
        default=0,
        metadata=rule("Checkpoint written to disk before the first byte is sent; 0: none."),
    )

    def __post_init__(self) -> None:
        check(self, "strategy")
        if self.xbzrle and self.compression != "none":
            raise UsageError(
                f'strategy.xbzrle: differences are not compressed; set compression to "none", not '
                f'"{self.compression}", or xbzrle to false'
            )
        if self.storage_dirty_bytes_per_s and not self.storage_bytes:
            raise UsageError(
                "strategy.storage_dirty_bytes_per_s: no storage is copied along; give storage_bytes or leave it out"
            )
