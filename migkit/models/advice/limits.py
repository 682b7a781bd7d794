"""Which of many bounds limits the speed of a migration: cap, link, streams, encryption, TCP, processors, receiver."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from migkit.engine.packing import Packed
from migkit.models import goodput as paths
from migkit.scenario import Scenario
from migkit.units import format_rate, format_size

__all__ = ["LIMITS", "beyond", "bounds", "limited_by", "words"]

LIMITS: Final = (  # words of ``limited_by``; of equal bounds the first one counts
    *("cap", "link", "stream", "encryption", "tcp", "cores", "receiver", "processor", "guest"),
)


def bounds(case: Scenario, packed: Packed) -> dict[str, Any]:
    """Return how fast each part of a migration would be alone, by the words of :data:`LIMITS` [B/s].

    Fields that are numbers may be arrays, and ``packed`` is then of so many scenarios.

    Parameters
    ----------
    case, packed
        The scenario, and its records of :func:`migkit.models.goodput.packed`.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> case = Scenario(guest=Guest(memory_bytes=2**28), link=Link(bandwidth_bytes_per_s=3.125e9))
    >>> found = bounds(case, paths.packed(case)[0])
    >>> [float(found[name]) for name in ("cap", "link", "stream")]
    [134217728.0, 3125000000.0, 2500000000.0]
    """
    host, streams = case.host, case.strategy.streams
    cores = np.minimum(host.source_free_cores, host.destination_free_cores)
    working = np.minimum(streams, cores)
    stream = working * host.goodput_bytes_per_s
    page_cpu_s = packed.scenario.page_cpu_s
    processor: Any = math.inf
    if np.any(page_cpu_s > 0):
        with np.errstate(divide="ignore"):
            processor = packed.scenario.page_wire_bytes / page_cpu_s
    return {
        "cap": case.policy.max_bandwidth_bytes_per_s,
        "link": paths.share(case),
        "stream": np.where(working < streams, math.inf, stream),
        "encryption": working * host.tls_bytes_per_s if case.is_encrypted else math.inf,
        "tcp": streams * paths.by_protocol(case),
        "cores": np.where(working < streams, stream, math.inf),
        "receiver": host.receive_bytes_per_s,
        "processor": processor,
        "guest": math.inf,
    }


def limited_by(case: Scenario, packed: Packed) -> Any:
    """Return the place in :data:`LIMITS` of what limits the speed; ``guest`` where nothing does.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> case = Scenario(guest=Guest(memory_bytes=2**28), link=Link(bandwidth_bytes_per_s=3.125e9))
    >>> LIMITS[limited_by(case, paths.packed(case)[0])]
    'cap'
    """
    least: Any = math.inf
    place: Any = len(LIMITS) - 1
    for at, speed in enumerate(bounds(case, packed).values()):
        if np.ndim(speed) or speed < math.inf:
            place = np.where(speed < least, at, place)
            least = np.minimum(speed, least)
    return place


def beyond(speeds: dict[str, Any]) -> tuple[str, float]:
    """Return what would limit the speed if the slowest of one scenario's bounds were gone, and that speed [B/s].

    Examples
    --------
    >>> beyond({"cap": 1e8, "link": 1.25e9, "stream": 1.5e9})
    ('link', 1250000000.0)
    """
    others = sorted(speeds.items(), key=lambda item: float(item[1]))[1:]
    return others[0][0], float(others[0][1])


def words(case: Scenario, limit: str, speed_bytes_per_s: float) -> str:
    """Return one bound as a sentence names it.

    Examples
    --------
    >>> from migkit import Guest
    >>> words(Scenario(guest=Guest(memory_bytes=2**30)), "cap", 2.0**27)
    "qemu's own default cap of 128 MiB/s = 1.07 Gbit/s (parameter max-bandwidth)"
    """
    speed = format_rate(speed_bytes_per_s)
    streams = case.strategy.streams
    option = case.policy.preset.system.cap.option
    several = f"{streams} streams" if streams > 1 else "one stream"
    named = {
        "cap": f"{_whose(case)} cap of {format_size(speed_bytes_per_s)}/s = {speed}{f' ({option})' * bool(option)}",
        "link": f"the link, {speed}{_shared(case)}",
        "stream": f"{several} of the sending host, {speed}",
        "encryption": f"encryption, {speed} over {several}",
        "tcp": f"TCP's window or its losses, {speed} over {several}",
        "cores": f"the free processors, {speed}",
        "receiver": f"the receiving host, {speed}",
        "processor": f"the sender's processor, which prepares {speed}",
        "guest": "the guest itself",
    }
    return named[limit]


def _whose(case: Scenario) -> str:
    policy = case.policy
    own = policy.max_bandwidth_bytes_per_s == policy.preset.max_bandwidth_bytes_per_s
    return f"{policy.name}'s own default" if own else "the"


def _shared(case: Scenario) -> str:
    return f" for each of {case.link.migrations} migrations" if case.link.migrations > 1 else ""
