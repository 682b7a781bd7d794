"""What a planner may turn: the quantity of a scenario that an inverse question asks for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final

from migkit import units
from migkit.errors import UsageError, shown
from migkit.scenario import Guest, Scenario
from migkit.units import PAGE_BYTES, format_duration, format_rate, format_size

__all__ = ["UNKNOWNS", "Unknown", "unknown"]

_MOST_MEMORY_BYTES: Final = float(2**50)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A quantity that :func:`migkit.planning.size.size` finds.

    Attributes
    ----------
    name
        What a command calls it.
    meaning
        One sentence.
    least
        True: the least value that does is asked for; False: the largest.
    whole
        True: it is counted.
    bounds
        Lowest and highest value that make sense for a scenario, in the unit of the name.
    put
        Returns the scenario with another value.
    value
        Returns the scenario's own value.
    shown
        Returns a value as a person reads it, in three digits and a unit.
    one
        Returns how much one of a unit is, by its name in such a text.
    """

    name: str
    meaning: str
    least: bool
    whole: bool
    bounds: Callable[[Scenario], tuple[float, float]]
    put: Callable[[Scenario, float], Scenario]
    value: Callable[[Scenario], float]
    shown: Callable[[float], str]
    one: Callable[[str], float]

    def rounded(self, value: float, digits: int) -> float:
        """Return the value in so many digits of the unit that a person reads, on the side of the easier values."""
        text, factor = self._in_unit(value)
        if not text:
            return value
        step = 10.0 ** (math.floor(math.log10(value / factor)) - digits + 1)
        short = (math.ceil if self.least else math.floor)(value / factor / step) * step * factor
        return float(math.floor(short)) if self.whole else short

    def precise(self, value: float, digits: int) -> str:
        """Return the value as a person reads it, in so many digits."""
        text, factor = self._in_unit(value)
        return f"{_figure(value / factor, digits)} {text}" if text else self.shown(value)

    def _in_unit(self, value: float) -> tuple[str, float]:
        text = self.shown(value).partition(" ")[2]
        return text, self.one(text) if text else 1.0


def _figure(value: float, digits: int) -> str:
    """Return a number in so many digits, and thousands with commas."""
    return f"{value:.{digits}g}" if value < 1000.0 else f"{float(f'{value:.{digits}g}'):,.0f}"


def unknown(name: str) -> Unknown:
    """Return the unknown of this name.

    Raises
    ------
    UsageError
        There is none.

    Examples
    --------
    >>> unknown("bandwidth").least, unknown("parallel").least
    (True, False)
    """
    if name not in UNKNOWNS:
        raise UsageError(f"size: {shown(name)} cannot be asked for; use one of {', '.join(UNKNOWNS)}")
    return UNKNOWNS[name]


def _with_bandwidth(case: Scenario, value: float) -> Scenario:
    """Return the scenario with ``value`` left to the migration by the link, and a cap that does not hinder it."""
    link = dataclasses.replace(case.link, bandwidth_bytes_per_s=value + case.link.background_bytes_per_s)
    policy = dataclasses.replace(case.policy, max_bandwidth_bytes_per_s=value)
    return dataclasses.replace(case, link=link, policy=policy)


def _bandwidth(case: Scenario) -> float:
    link = case.link.bandwidth_bytes_per_s - case.link.background_bytes_per_s
    return min(link, case.policy.max_bandwidth_bytes_per_s)


def _with_cap(case: Scenario, value: float) -> Scenario:
    policy = dataclasses.replace(case.policy, max_bandwidth_bytes_per_s=value)
    return dataclasses.replace(case, policy=policy)


def _with_limit(case: Scenario, value: float) -> Scenario:
    return dataclasses.replace(case, policy=dataclasses.replace(case.policy, downtime_limit_s=value))


def _with_streams(case: Scenario, value: float) -> Scenario:
    return dataclasses.replace(case, strategy=dataclasses.replace(case.strategy, streams=int(value)))


def _with_migrations(case: Scenario, value: float) -> Scenario:
    return dataclasses.replace(case, link=dataclasses.replace(case.link, migrations=int(value)))


def _with_writes(case: Scenario, value: float) -> Scenario:
    factor = value / case.guest.writes_per_s
    dirty = tuple(dataclasses.replace(one, writes_per_s=one.writes_per_s * factor) for one in case.guest.dirty)
    return dataclasses.replace(case, guest=dataclasses.replace(case.guest, dirty=dirty))


def _writes_bounds(case: Scenario) -> tuple[float, float]:
    own = case.guest.writes_per_s
    if own <= 0.0:
        raise UsageError("size: writes of a guest that writes nothing cannot be scaled; give it page classes")
    most = case.guest.capacity_writes_per_s
    return own * 1e-4, own * 1e4 if most is None else most


def _regions_bytes(guest: Guest) -> int:
    return sum(one.region_bytes for one in guest.dirty)


def _with_memory(case: Scenario, value: float) -> Scenario:
    """Return the scenario with other memory; the dirty regions stay, of the rest the same share is zero."""
    guest = case.guest
    regions = _regions_bytes(guest)
    rest = guest.memory_bytes - regions
    share = guest.zero_bytes / rest if rest else 0.0
    memory_bytes = int(value) * PAGE_BYTES
    zero_pages = int(share * (memory_bytes - regions) / PAGE_BYTES)
    changed = dataclasses.replace(guest, memory_bytes=memory_bytes, zero_bytes=zero_pages * PAGE_BYTES)
    return dataclasses.replace(case, guest=changed)


def _memory_bounds(case: Scenario) -> tuple[float, float]:
    return max(1.0, _regions_bytes(case.guest) / PAGE_BYTES), _MOST_MEMORY_BYTES / PAGE_BYTES


def _bandwidth_bounds(case: Scenario) -> tuple[float, float]:
    return 12_500.0, 12.5e12


UNKNOWNS: Final = {
    one.name: one
    for one in (
        Unknown(
            name="bandwidth",
            meaning="What the link leaves to the migration, with a cap as wide.",
            least=True,
            whole=False,
            bounds=_bandwidth_bounds,
            put=_with_bandwidth,
            value=_bandwidth,
            shown=format_rate,
            one=lambda unit: units.rate(f"1 {unit}"),
        ),
        Unknown(
            name="max_bandwidth",
            meaning="The policy's cap, on the link as it is.",
            least=True,
            whole=False,
            bounds=_bandwidth_bounds,
            put=_with_cap,
            value=lambda case: case.policy.max_bandwidth_bytes_per_s,
            shown=format_rate,
            one=lambda unit: units.rate(f"1 {unit}"),
        ),
        Unknown(
            name="downtime_limit",
            meaning="The policy's downtime limit.",
            least=True,
            whole=False,
            bounds=lambda case: (1e-6, 2000.0),
            put=_with_limit,
            value=lambda case: case.policy.downtime_limit_s,
            shown=format_duration,
            one=lambda unit: units.duration(f"1 {unit}"),
        ),
        Unknown(
            name="streams",
            meaning="Parallel connections.",
            least=True,
            whole=True,
            bounds=lambda case: (1.0, 256.0),
            put=_with_streams,
            value=lambda case: float(case.strategy.streams),
            shown=lambda value: f"{value:.0f}",
            one=lambda unit: 1.0,
        ),
        Unknown(
            name="writes",
            meaning="The guest's writes, all page classes in the same proportion.",
            least=False,
            whole=False,
            bounds=_writes_bounds,
            put=_with_writes,
            value=lambda case: case.guest.writes_per_s,
            shown=lambda value: f"{_figure(value, 3)} writes/s",
            one=lambda unit: 1.0,
        ),
        Unknown(
            name="memory",
            meaning="The guest's memory; its dirty regions stay, of the rest the same share is zero.",
            least=False,
            whole=True,
            bounds=_memory_bounds,
            put=_with_memory,
            value=lambda case: float(case.guest.memory_pages),
            shown=lambda value: format_size(value * PAGE_BYTES),
            one=lambda unit: units.size(f"1 {unit}") / PAGE_BYTES,
        ),
        Unknown(
            name="parallel",
            meaning="Migrations that share the link, each with an equal part.",
            least=False,
            whole=True,
            bounds=lambda case: (1.0, 10_000.0),
            put=_with_migrations,
            value=lambda case: float(case.link.migrations),
            shown=lambda value: f"{value:.0f}",
            one=lambda unit: 1.0,
        ),
    )
}
