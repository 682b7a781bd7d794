"""Two hosts on one machine: network namespaces joined by a veth pair, shaped by token buckets.

A link may have lanes, for migrations that go over it at the same time: each has an address of its own at the
destination, and the kernel gives those with something to send equal parts (hierarchical token buckets). TCP alone
does not: three flows of CUBIC through one bucket settle at 13, 11 and 26 of 50 MB/s.

The namespaces have no names. They exist for as long as a process is in one of them or holds a
descriptor, so however a run ends, none is left behind.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from migkit.errors import CapabilityError
from migkit.harness.linux import calls
from migkit.harness.linux.channel import Channel

__all__ = ["ADDRESSES", "MOST_LANES", "Lane", "enter", "lane_address", "main"]

ADDRESSES: Final = {"source": "10.77.0.1", "destination": "10.77.0.2"}
MOST_LANES: Final = 64
_PREFIX_BITS: Final = 24
_OWN: Final = "/proc/thread-self/ns/net"
_FRAME_PER_PAYLOAD: Final = 1514 / 1448  # Ethernet, IP and TCP headers with time stamps, 1500 B packets
_BURST_BYTES: Final = 1 << 17  # at least two packets as the kernel hands them to the bucket
_QUEUE: Final = "50ms"
_ROOT: Final = 1 << 16  # handle 1:0; its class of all lanes is 1:1, that of the first lane 1:16
_FIRST_CLASS: Final = 16
_QUANTUM_BYTES: Final = 1 << 16  # that a lane sends in its turn: a packet as TCP hands it down
_IP: Final = 0x0800
_ADDRESS_AT: Final = {"source": 16, "destination": 12}  # of the destination in the IP header of what a side sends


class Lane(NamedTuple):
    """One lane of a link.

    Attributes
    ----------
    hosts
        A descriptor of the namespace of each side.
    address
        Where the destination listens.
    """

    hosts: Mapping[str, int]
    address: str


def lane_address(lane: int) -> str:
    """Return the address at the destination of one lane, from 0 on.

    Examples
    --------
    >>> lane_address(0), lane_address(2)
    ('10.77.0.2', '10.77.0.4')
    """
    first = int.from_bytes(socket.inet_aton(ADDRESSES["destination"]), "big")
    return socket.inet_ntoa((first + lane).to_bytes(4, "big"))


def enter(descriptor: int) -> None:
    """Move this process into a network namespace; the descriptor is closed."""
    calls.enter_namespace(descriptor)
    os.close(descriptor)


def main(config: Mapping[str, Any], owner: Channel) -> None:
    """Be a process that makes both hosts and hands them to its owner.

    Parameters
    ----------
    config
        ``bandwidth_bytes_per_s``: goodput of either direction [B/s], infinite: no token bucket; ``lanes``: how
        many migrations share it.
    owner
        Hears ``hosts`` (names), with a descriptor of the namespace of each.
    """
    try:
        hosts = {side: _host() for side in ADDRESSES}
        _join(hosts)
        for side, descriptor in hosts.items():
            calls.enter_namespace(descriptor)
            _start(side, config["bandwidth_bytes_per_s"], config["lanes"])
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


def _start(side: str, bandwidth_bytes_per_s: float, lanes: int) -> None:
    """Give this host its addresses and shape what it sends."""
    own = [ADDRESSES[side]] if side == "source" else [lane_address(lane) for lane in range(lanes)]
    with _netlink() as link:
        loopback, cable = (link.link_lookup(ifname=name)[0] for name in ("lo", side))
        for address in own:
            link.addr("add", index=cable, address=address, prefixlen=_PREFIX_BITS)
        for index in (loopback, cable):
            link.link("set", index=index, state="up")
        if math.isfinite(bandwidth_bytes_per_s):
            rate = round(bandwidth_bytes_per_s * _FRAME_PER_PAYLOAD)
            if lanes == 1:
                link.tc("add", "tbf", cable, rate=rate, burst=_BURST_BYTES, latency=_QUEUE)
            else:
                _share(link, cable, rate, lanes, _ADDRESS_AT[side])


def _share(link: Any, cable: int, rate: int, lanes: int, address_at: int) -> None:
    """Give each lane its part of what this host sends, and of what other lanes leave."""
    whole = {"burst": _BURST_BYTES, "cburst": _BURST_BYTES, "quantum": _QUANTUM_BYTES, "ceil": rate}
    link.tc("add", "htb", cable, handle=_ROOT, default=_FIRST_CLASS)
    link.tc("add-class", "htb", cable, handle=_ROOT + 1, parent=_ROOT, rate=rate, **whole)
    for lane in range(lanes):
        place = _ROOT + _FIRST_CLASS + lane
        link.tc("add-class", "htb", cable, handle=place, parent=_ROOT + 1, rate=rate // lanes, **whole)
        address = socket.inet_aton(lane_address(lane)).hex()
        key = f"0x{address}/0xffffffff+{address_at}"
        link.tc("add-filter", "u32", cable, parent=_ROOT, prio=1, protocol=_IP, target=place, keys=[key])


def _netlink() -> Any:
    """Return a connection to the kernel's network configuration of this namespace.

    Raises
    ------
    OSError
        From its use: the kernel refused.
    """
    from pyroute2 import IPRoute

    return IPRoute()
