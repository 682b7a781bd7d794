"""What link and hosts together can give one migration.

``B = min(link share, streams x per-stream limit, receiver)``. A stream is limited by the
sending software, TLS, one TCP window a round trip, and loss, for which
``B <= sqrt(3/2) MSS / (RTT sqrt(p))`` (Mathis et al. 1997). Work of the processor is
done by no more streams at once than processors are free.
"""

from __future__ import annotations

import math
from typing import Final

from migkit.scenario import Scenario

__all__ = ["goodput", "ramp_s"]

MSS_BYTES: Final = 1460.0
FIRST_WINDOW_BYTES: Final = 10 * MSS_BYTES  # RFC 6928


def goodput(scenario: Scenario) -> float:
    """Return what nothing but the policy's cap limits further [B/s].

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> goodput(Scenario(guest=Guest(memory_bytes=2**28), link=Link(bandwidth_bytes_per_s=1.25e9)))
    1250000000.0
    """
    link, host, strategy = scenario.link, scenario.host, scenario.strategy
    share = (link.bandwidth_bytes_per_s - link.background_bytes_per_s) / link.migrations
    working = min(strategy.streams, host.source_free_cores, host.destination_free_cores)
    by_host = working * min(host.goodput_bytes_per_s, host.tls_bytes_per_s if strategy.tls else math.inf)
    return min(share, by_host, strategy.streams * _by_protocol(scenario), host.receive_bytes_per_s)


def ramp_s(scenario: Scenario, goodput_bytes_per_s: float) -> float:
    """Return the time that slow start costs beside a flow at full speed from the first byte [s].

    The window doubles every round trip from ten segments (RFC 6928) to the bandwidth-delay
    product; until then ``2 BDP - first window`` bytes are lost to the link, less what was sent.

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> ramp_s(Scenario(guest=Guest(memory_bytes=2**28), link=Link(rtt_s=0.0)), 1e9)
    0.0
    """
    rtt_s = scenario.link.rtt_s
    first = FIRST_WINDOW_BYTES * scenario.strategy.streams
    bdp = goodput_bytes_per_s * rtt_s
    if bdp <= first:
        return 0.0
    trips = math.log2(bdp / first)
    return max(0.0, trips * rtt_s - (bdp - first) / goodput_bytes_per_s)


def _by_protocol(scenario: Scenario) -> float:
    """Return what window and loss leave one TCP stream [B/s]."""
    link = scenario.link
    if link.rtt_s == 0:
        return math.inf
    by_loss = math.inf if link.loss == 0 else math.sqrt(1.5) * MSS_BYTES / (link.rtt_s * math.sqrt(link.loss))
    return min(link.window_bytes / link.rtt_s, by_loss)
