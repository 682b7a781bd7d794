"""The path between the two hosts."""

from __future__ import annotations

import dataclasses
import math

from migkit.errors import UsageError
from migkit.scenario._fields import bounded, check, check_steps
from migkit.units import MIB, format_rate

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
    window_bytes
        Largest TCP window of one stream [B]; a stream moves at most one window a round trip.
    queue_bytes
        What is on its way on a busy connection ahead of a page that is sent now: in the buffer of the sender,
        which Linux lets grow to 4 MiB (``net.ipv4.tcp_wmem``) with its overhead, half of it pages, and in the
        queues of the path. Who demands a page without ``strategy.preempt`` waits for it [B].
    loss
        Share of packets lost, 0 to below 1; it limits each stream (Mathis et al. 1997).
    background_bytes_per_s
        Traffic of others on the path [B/s]; the migration has what is left.
    migrations
        Migrations that share the path meanwhile, this one included; each has an equal part.
    steps
        Steps ``(duration_s, share)`` from the request on: which share of its bandwidth the path gives;
        0 is an outage. After the last step it gives all of it. Empty: all of it always.

    Examples
    --------
    >>> Link(bandwidth_bytes_per_s=1.25e9, rtt_s=0.0002, steps=((2.0, 1.0), (0.5, 0.0))).rtt_s
    0.0002
    """

    bandwidth_bytes_per_s: float = bounded(math.inf, above=True)
    rtt_s: float = bounded(0.0)
    window_bytes: float = bounded(math.inf, above=True)
    queue_bytes: float = bounded(2.0 * MIB)
    loss: float = bounded(0.0, high=0.99)
    background_bytes_per_s: float = bounded(0.0)
    migrations: int = bounded(1, low=1)
    steps: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        check(self, "link")
        check_steps(self.steps, "link.steps")
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
