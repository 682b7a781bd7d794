"""The path between the two hosts."""

from __future__ import annotations

import dataclasses
import math

from migkit.errors import UsageError
from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun, check
from migkit.units import MIB, format_rate

__all__ = ["Link"]


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link(Noun):
    """What the path can give, before any cap of the migration itself.

    Examples
    --------
    >>> Link(bandwidth_bytes_per_s=1.25e9, rtt_s=0.0002, steps=((2.0, 1.0), (0.5, 0.0))).rtt_s
    0.0002
    """

    bandwidth_bytes_per_s: float = dataclasses.field(
        default=math.inf,
        metadata=rule(
            "Goodput that the path can give; infinite means that nothing but the hosts limits it.",
            above=True,
        ),
    )
    rtt_s: float = dataclasses.field(default=0.0, metadata=rule("Round-trip time."))
    window_bytes: float = dataclasses.field(
        default=math.inf,
        metadata=rule(
            "Largest TCP window of one stream; a stream moves at most one window a round trip.",
            above=True,
        ),
    )
    queue_bytes: float = dataclasses.field(
        default=2.0 * MIB,
        metadata=rule(
            "What is on its way on a busy connection ahead of a page that is sent now: in the buffer of the "
            "sender, which Linux lets grow to 4 MiB (``net.ipv4.tcp_wmem``) with its overhead, half of it pages, "
            "and in the queues of the path. Who demands a page without ``strategy.preempt`` waits for it.",
        ),
    )
    loss: float = dataclasses.field(
        default=0.0,
        metadata=rule("Share of packets lost, 0 to below 1; it limits each stream (Mathis et al. 1997).", high=0.99),
    )
    background_bytes_per_s: float = dataclasses.field(
        default=0.0,
        metadata=rule("Traffic of others on the path; the migration has what is left."),
    )
    migrations: int = dataclasses.field(
        default=1,
        metadata=rule("Migrations that share the path meanwhile, this one included; each has an equal part.", low=1),
    )
    steps: tuple[tuple[float, float], ...] = dataclasses.field(
        default=(),
        metadata=rule(
            "Steps ``(duration_s, share)`` from the request on: which share of its bandwidth the path gives; 0 is "
            "an outage. After the last step it gives all of it. Empty: all of it always.",
        ),
    )

    def __post_init__(self) -> None:
        check(self, "link")
        if self.background_bytes_per_s >= self.bandwidth_bytes_per_s:
            raise UsageError(
                f"link.background_bytes_per_s: {format_rate(self.background_bytes_per_s)} leaves nothing of the "
                f"bandwidth ({format_rate(self.bandwidth_bytes_per_s)}); lower it or raise the bandwidth"
            )
        if any(share > 1 for _, share in self.steps):
            raise UsageError(
                f"link.steps: the share {max(share for _, share in self.steps):g} is too large; "
                "it must be at most 1; set the bandwidth to the most that the path gives"
            )
