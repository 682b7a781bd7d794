"""What link and hosts together can give one migration.

``B = min(link share, streams x per-stream limit, receiver)``. A stream is limited by the
sending software, TLS, one TCP window a round trip, and loss, for which
``B <= sqrt(3/2) MSS / (RTT sqrt(p))`` (Mathis et al. 1997). Work of the processor is
done by no more streams at once than processors are free.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np

from migkit.engine.packing import Packed, pack
from migkit.scenario import Scenario

__all__ = [
    "by_protocol",
    "goodput",
    "in_flight_s",
    "lead_s",
    "packed",
    "path",
    "ramp_s",
    "share",
    "storage_sent_bytes",
]

MSS_BYTES: Final = 1460.0
FIRST_WINDOW_BYTES: Final = 10 * MSS_BYTES  # RFC 6928


def goodput(scenario: Scenario) -> Any:
    """Return what nothing but the policy's cap limits further [B/s]: the path, less writes to storage copied along.

    Fields that are numbers may be arrays, one value for each of many scenarios; so may the result be.

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> goodput(Scenario(guest=Guest(memory_bytes=2**28), link=Link(bandwidth_bytes_per_s=1.25e9)))
    1250000000.0
    """
    memory = path(scenario)
    left = np.asarray(memory - scenario.strategy.storage_dirty_bytes_per_s)
    return _plain(np.where(left > 0, left, memory))


def path(scenario: Scenario) -> Any:
    """Return what link, streams and hosts carry, memory and storage together [B/s].

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> path(Scenario(guest=Guest(memory_bytes=2**28), link=Link(rtt_s=0.1, window_bytes=2**20)))
    10485760.0
    """
    return _plain(_least(_by_hosts(scenario), _behind_the_sender(scenario)))


def _by_hosts(scenario: Scenario) -> Any:
    """Return what the sending software gives, all streams together [B/s]."""
    host, strategy = scenario.host, scenario.strategy
    working = _least(strategy.streams, host.source_free_cores, host.destination_free_cores)
    return working * _least(host.goodput_bytes_per_s, host.tls_bytes_per_s if scenario.is_encrypted else math.inf)


def _behind_the_sender(scenario: Scenario) -> Any:
    """Return what network and receiver take in [B/s]."""
    host, strategy = scenario.host, scenario.strategy
    return _least(share(scenario), strategy.streams * by_protocol(scenario), host.receive_bytes_per_s)


def share(scenario: Scenario) -> Any:
    """Return what the link gives this migration, beside other traffic and other migrations [B/s].

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> share(Scenario(guest=Guest(memory_bytes=2**28), link=Link(bandwidth_bytes_per_s=1e9, migrations=4)))
    250000000.0
    """
    link = scenario.link
    return (link.bandwidth_bytes_per_s - link.background_bytes_per_s) / link.migrations


def lead_s(scenario: Scenario, goodput_bytes_per_s: Any) -> Any:
    """Return the time before the first byte of memory: checkpoint, storage, and what TCP loses at its start [s].

    A checkpoint takes ``size / disk speed``. Storage is copied at the goodput that its writes leave, under the
    policy's cap; see :func:`storage_sent_bytes`.

    Examples
    --------
    >>> from migkit import Guest, Host, Scenario, Strategy
    >>> lead_s(Scenario(guest=Guest(memory_bytes=2**28), host=Host(disk_bytes_per_s=1e8),
    ...                 strategy=Strategy(checkpoint_bytes=10**8)), 1e9)
    1.0
    """
    strategy = scenario.strategy
    speed = np.minimum(goodput_bytes_per_s, scenario.policy.max_bandwidth_bytes_per_s)
    checkpoint = strategy.checkpoint_bytes / scenario.host.disk_bytes_per_s
    return _plain(checkpoint + strategy.storage_bytes / speed + ramp_s(scenario, goodput_bytes_per_s))


def storage_sent_bytes(scenario: Scenario, total_time_s: Any) -> Any:
    """Return what storage adds to the bytes on the wire: its size, and what the guest writes to it meanwhile [B].

    Examples
    --------
    >>> from migkit import Guest, Scenario, Strategy
    >>> strategy = Strategy(storage_bytes=10**9, storage_dirty_bytes_per_s=1e6)
    >>> storage_sent_bytes(Scenario(guest=Guest(memory_bytes=2**28), strategy=strategy), 10.0)
    1010000000.0
    """
    strategy = scenario.strategy
    return strategy.storage_bytes + strategy.storage_dirty_bytes_per_s * total_time_s


def packed(scenario: Scenario, rows: int | None = None) -> tuple[Packed, Any]:
    """Return the records that the kernels take, and the goodput [B/s]; with ``rows`` of many scenarios.

    Examples
    --------
    >>> from migkit import Guest, Scenario
    >>> packed(Scenario(guest=Guest(memory_bytes=2**28)))[1]
    2500000000.0
    """
    speed = goodput(scenario)
    on_their_way_s = in_flight_s(scenario) if np.any(scenario.host.in_flight_bytes) else 0.0
    return pack(scenario, speed, lead_s(scenario, speed), rows, in_flight_s=on_their_way_s), speed


def in_flight_s(scenario: Scenario) -> Any:
    """Return for how long bytes that count as sent are still on their way when the guest stops [s].

    A sender that is faster than the path fills the buffers of each connection. One that a cap holds back below the
    path's speed leaves them empty, and so does a guest that has been stopped from the start.

    Examples
    --------
    >>> from migkit import Guest, Host, Link, Scenario
    >>> guest, host = Guest(memory_bytes=2**30), Host(in_flight_bytes=1.6e7)
    >>> in_flight_s(Scenario(guest=guest, host=host, link=Link(bandwidth_bytes_per_s=1e8)))
    0.16
    >>> in_flight_s(Scenario(guest=guest, host=host, link=Link(bandwidth_bytes_per_s=1e9)))  # QEMU's cap binds
    0.0
    """
    guest, behind = scenario.guest, _behind_the_sender(scenario)
    full = (behind < _by_hosts(scenario)) & (behind < scenario.policy.max_bandwidth_bytes_per_s)
    buffers = scenario.host.in_flight_bytes * scenario.strategy.streams
    held = np.minimum(buffers, guest.memory_bytes - guest.zero_bytes)
    return _plain(np.where(full & (scenario.strategy.name != "stopcopy"), held / behind, 0.0))


def ramp_s(scenario: Scenario, goodput_bytes_per_s: Any) -> Any:
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
    speed = np.where(
        np.isfinite(goodput_bytes_per_s), goodput_bytes_per_s, 1.0
    )  # nothing is lost to a path without end
    bdp = speed * rtt_s
    trips = np.log2(np.maximum(bdp / first, 1.0))
    return _plain(np.where(bdp > first, np.maximum(0.0, trips * rtt_s - (bdp - first) / speed), 0.0))


def by_protocol(scenario: Scenario) -> Any:
    """Return what window and loss leave one TCP stream [B/s].

    Examples
    --------
    >>> from migkit import Guest, Link, Scenario
    >>> link = Link(rtt_s=0.05, window_bytes=2**20)
    >>> float(by_protocol(Scenario(guest=Guest(memory_bytes=2**28), link=link)))
    20971520.0
    """
    link = scenario.link
    with np.errstate(divide="ignore"):
        by_window = np.divide(link.window_bytes, link.rtt_s)
        by_loss = np.divide(math.sqrt(1.5) * MSS_BYTES, link.rtt_s * np.sqrt(link.loss))
    return _least(by_window, by_loss)


def _least(*values: Any) -> Any:
    return functools.reduce(np.minimum, values)


def _plain(value: Any) -> Any:
    """Return one number as Python's, many as they are."""
    return float(value) if np.ndim(value) == 0 else value
