"""Two hosts on one machine: network namespaces joined by a veth pair, shaped by token buckets.

The namespaces have no names. They exist for as long as a process is in one of them or holds a
descriptor, so however a run ends, none is left behind.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Final

from migkit.errors import CapabilityError
from migkit.harness.linux import calls
from migkit.harness.linux.channel import Channel

__all__ = ["ADDRESSES", "enter", "main"]

ADDRESSES: Final = {"source": "10.77.0.1", "destination": "10.77.0.2"}
_PREFIX_BITS: Final = 30
_OWN: Final = "/proc/thread-self/ns/net"
_FRAME_PER_PAYLOAD: Final = 1514 / 1448  # Ethernet, IP and TCP headers with time stamps, 1500 B packets
_BURST_BYTES: Final = 1 << 17  # at least two packets as the kernel hands them to the bucket
_QUEUE: Final = "50ms"


def enter(descriptor: int) -> None:
    """Move this process into a network namespace; the descriptor is closed."""
    calls.enter_namespace(descriptor)
    os.close(descriptor)


def main(config: Mapping[str, Any], owner: Channel) -> None:
    """Be a process that makes both hosts and hands them to its owner.

    Parameters
    ----------
    config
        ``bandwidth_bytes_per_s``: goodput of either direction [B/s], infinite: no token bucket.
    owner
        Hears ``hosts`` (names), with a descriptor of the namespace of each.
    """
    try:
        hosts = {side: _host() for side in ADDRESSES}
        _join(hosts)
        for side, descriptor in hosts.items():
            calls.enter_namespace(descriptor)
            _start(side, config["bandwidth_bytes_per_s"])
    except ImportError as error:
        raise CapabilityError(
            'path: namespaces need the package pyroute2, which is not installed; pip install "migkit[netem]"'
        ) from error
    except OSError as error:
        raise CapabilityError(
            f"path: the namespaces cannot be made ({error}); run as root, see migkit doctor"
        ) from error
    owner.send({"hosts": list(hosts)}, list(hosts.values()))


def _host() -> int:
    """Enter a new namespace and return a descriptor of it."""
    calls.new_network()
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def _join(hosts: Mapping[str, int]) -> None:
    """Lay a cable from here, the destination, to the source."""
    with _netlink() as link:
        link.link("add", ifname="destination", kind="veth", peer={"ifname": "source", "net_ns_fd": hosts["source"]})


def _start(side: str, bandwidth_bytes_per_s: float) -> None:
    """Give this host its address and shape what it sends."""
    with _netlink() as link:
        loopback, cable = (link.link_lookup(ifname=name)[0] for name in ("lo", side))
        link.addr("add", index=cable, address=ADDRESSES[side], prefixlen=_PREFIX_BITS)
        for index in (loopback, cable):
            link.link("set", index=index, state="up")
        if math.isfinite(bandwidth_bytes_per_s):
            rate = round(bandwidth_bytes_per_s * _FRAME_PER_PAYLOAD)
            link.tc("add", "tbf", cable, rate=rate, burst=_BURST_BYTES, latency=_QUEUE)


def _netlink() -> Any:
    """Return a connection to the kernel's network configuration of this namespace.

    Raises
    ------
    OSError
        From its use: the kernel refused.
    """
    from pyroute2 import IPRoute

    return IPRoute()
