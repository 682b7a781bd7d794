"""How a scenario is run for real, and what of a scenario cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import psutil

from migkit.errors import UsageError
from migkit.harness.guests.guest import PACINGS
from migkit.harness.paths.faults import Fault
from migkit.harness.paths.namespaces import Lane
from migkit.harness.protocol.encoding.codec import by_name
from migkit.scenario import Link, Scenario, Strategy
from migkit.units import format_size

__all__ = ["PATHS", "Options", "admit", "as_performed", "refuse_what_is_not_done"]

_DONE = (
    "name",
    "auto_converge",
    "postcopy_after_s",
    "postcopy_after_rounds",
    "prefetch_pages",
    "preempt",
    "compression",
    "xbzrle",
    "xbzrle_cache_bytes",
    "streams",
    "tls",
)


_SHAPED = ("bandwidth_bytes_per_s", "rtt_s", "steps")
PATHS = ("loopback", "relay", "namespaces")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scenario is run, beside what it says.

    Attributes
    ----------
    host, port
        Where the destination listens; port 0: any that is free.
    tracker
        One of :data:`migkit.harness.tracking.trackers.TRACKERS`; None: the best that works here.
    pacing
        ``running_time`` or ``wall_clock`` (see :mod:`migkit.harness.guests.guest`); None: ``wall_clock`` for a
        guest with a capacity, else ``running_time``.
    flip_byte
        Alter this byte of the RAM at the destination before the guest resumes there: the run must fail.
    patience_s
        A side that hears nothing for so long takes the connection for lost [s].
    recovery_s
        After a connection failed in post-copy, so long the sides try to go on over a new one [s].
    faults
        What breaks on purpose, and when.
    checkpoint
        File to which the running guest is saved before it is moved; None: none.
    plaintext
        Do without TLS: whoever sits on the path can read and alter the guest's memory. False: the
        connection is encrypted and both sides prove who they are, whatever ``strategy.tls`` says.
    path
        One of :data:`PATHS`. ``loopback``: straight from one side to the other; the link of the scenario
        is not read. ``relay``: a process between them gives the bandwidth, round-trip time and
        steps of the link. ``namespaces``: each side has a network of its own, joined by a cable with the
        link's bandwidth; a relay adds round-trip time and steps; ``host`` is not read.
    lane
        A place on a cable of a given bandwidth that other migrations share
        (:class:`migkit.harness.runs.together.Cable`); None: a cable for this run alone. Only for ``namespaces``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tracker: str | None = None
    pacing: str | None = None
    flip_byte: int | None = None
    patience_s: float = 60.0
    recovery_s: float = 60.0
    faults: tuple[Fault, ...] = ()
    checkpoint: Path | None = None
    plaintext: bool = False
    path: str = "loopback"
    lane: Lane | None = None

    def __post_init__(self) -> None:
        if self.pacing is not None and self.pacing not in PACINGS:
            raise UsageError(f"pacing: {self.pacing!r} is not known; use one of {', '.join(PACINGS)}")
        if self.path not in PATHS:
            raise UsageError(f"path: {self.path!r} is not known; use one of {', '.join(PATHS)}")
        if self.lane is not None and self.path != "namespaces":
            raise UsageError(f"lane: the path {self.path!r} has none; use the path namespaces, or leave lane out")
        if not self.host.strip():
            raise UsageError("host: it is empty; give the address where the destination listens")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port: {self.port} is out of range; use 0 (any) to 65535")


def as_performed(scenario: Scenario, options: Options) -> Scenario:
    """Return the scenario as it will really be run: encrypted, unless plain text is asked for by name, in blocks.

    In a scenario ``strategy.tls`` is what a prediction assumes, and off by default as hypervisors have
    it; a harness that opens a port on a real machine does not take that for consent. The harness's guest has its
    page classes one behind the other, whatever ``guest.layout`` says.

    Raises
    ------
    UsageError
        Both plain text and TLS are asked for.

    Examples
    --------
    >>> from migkit.scenario import Guest
    >>> guest = Guest(memory_bytes=2**20)
    >>> [as_performed(Scenario(guest=guest), Options(plaintext=p)).strategy.tls for p in (False, True)]
    [True, False]
    """
    if options.plaintext and scenario.strategy.tls:
        raise UsageError("strategy.tls: it is asked for, and so is plain text; leave one of them out")
    strategy = dataclasses.replace(scenario.strategy, tls=not options.plaintext)
    guest = dataclasses.replace(scenario.guest, layout="blocks")
    return dataclasses.replace(scenario, guest=guest, strategy=strategy)


def refuse_what_is_not_done(scenario: Scenario, options: Options | None = None) -> None:
    """Raise for a part of the strategy, or of the link when it is to be emulated, that the harness does not do."""
    if options is not None and options.path != "loopback":
        _refuse_unlike(scenario.link, Link(), "link", _SHAPED)
    strategy = scenario.strategy
    by_name(strategy.compression)
    plain = Strategy()
    _refuse_unlike(strategy, plain, "strategy", _DONE)


def _refuse_unlike(record: Any, plain: Any, path: str, done: tuple[str, ...]) -> None:
    for field in dataclasses.fields(record):
        if field.name not in done and getattr(record, field.name) != getattr(plain, field.name):
            raise UsageError(f"{path}.{field.name}: the harness does not do this; leave it out")


def admit(*scenarios: Scenario, copies: int = 2) -> None:
    """Refuse guests that do not fit: each is at the source and at the destination, both here.

    Parameters
    ----------
    scenarios
        The guests that are here at the same time.
    copies
        How many of each there are at the same time: 3 when one that never moves is kept beside them.

    Raises
    ------
    UsageError
        They need more than the memory that is available.
    """
    wanted_bytes = copies * sum(one.guest.memory_bytes - one.guest.zero_bytes for one in scenarios)
    available_bytes = psutil.virtual_memory().available
    if wanted_bytes > available_bytes:
        raise UsageError(
            f"guest: source and destination need {format_size(wanted_bytes)} together, "
            f"{format_size(available_bytes)} are available here; shrink the guest or free memory"
        )
