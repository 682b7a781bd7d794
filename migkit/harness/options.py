"""How a scenario is run for real, and what of a scenario cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psutil

from migkit.errors import InfeasibleError, UsageError
from migkit.harness.codec import by_name
from migkit.harness.faults import Fault
from migkit.harness.guest import PACINGS
from migkit.scenario import Scenario, Strategy
from migkit.units import format_size

__all__ = ["Options", "admit", "refuse_what_is_not_done"]

_DONE = ("name", "auto_converge", "postcopy_after_s", "postcopy_after_rounds", "prefetch_pages", "compression", "tls")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scenario is run, beside what it says.

    Attributes
    ----------
    host, port
        Where the destination listens; port 0: any that is free.
    tracker
        One of :data:`migkit.harness.tracker.TRACKERS`; None: the best that works here.
    pacing
        ``running_time`` or ``wall_clock`` (see :mod:`migkit.harness.guest`); None: ``wall_clock`` for a
        guest with a capacity, else ``running_time``.
    flip_byte
        Alter this byte of the RAM at the destination before the guest resumes there: the run must fail.
    patience_s
        A side that hears nothing for so long takes the connection for lost [s].
    faults
        What breaks on purpose, and when.
    checkpoint
        File to which the running guest is saved before it is moved; None: none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tracker: str | None = None
    pacing: str | None = None
    flip_byte: int | None = None
    patience_s: float = 60.0
    faults: tuple[Fault, ...] = ()
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if self.pacing is not None and self.pacing not in PACINGS:
            raise UsageError(f"pacing: {self.pacing!r} is not known; use one of {', '.join(PACINGS)}")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port: {self.port} is out of range; use 0 (any) to 65535")


def refuse_what_is_not_done(scenario: Scenario) -> None:
    """Raise for a part of the strategy that the harness does not do."""
    strategy = scenario.strategy
    by_name(strategy.compression)
    plain = Strategy()
    for field in dataclasses.fields(strategy):
        if field.name not in _DONE and getattr(strategy, field.name) != getattr(plain, field.name):
            raise UsageError(f"strategy.{field.name}: the harness does not do this; leave it out")


def admit(scenario: Scenario) -> None:
    """Refuse a guest that does not fit: at first it is at the source and at the destination, both here.

    Raises
    ------
    InfeasibleError
        It needs more than the memory that is available.
    """
    guest = scenario.guest
    wanted_bytes = 2 * (guest.memory_bytes - guest.zero_bytes)
    available_bytes = psutil.virtual_memory().available
    if wanted_bytes > available_bytes:
        raise InfeasibleError(
            f"guest: source and destination need {format_size(wanted_bytes)} together, "
            f"{format_size(available_bytes)} are available here; shrink the guest or free memory"
        )
