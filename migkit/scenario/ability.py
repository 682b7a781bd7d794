"""What a scenario asks for and the system of its policy has not."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple

from migkit.policies.systems import ABILITIES, System
from migkit.scenario.scenario import Scenario
from migkit.scenario.strategy import Strategy

__all__ = ["Missing", "missing", "within"]

_PLAIN: Final = Strategy()
_POSTCOPY: Final = ("postcopy", "hybrid")


class Missing(NamedTuple):
    """One thing that a scenario asks for and the system has not.

    Attributes
    ----------
    key
        The key of a scenario file that asks for it.
    sentence
        What is missing, where, and what an answer then means.
    """

    key: str
    sentence: str


def missing(case: Scenario) -> tuple[Missing, ...]:
    """Return what the scenario asks for and its policy's system has not; empty: nothing.

    Such a scenario is answered nevertheless, since people ask what it would come to; the answer says so.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> guest = Guest(memory_bytes=2**30)
    >>> [one.key for one in missing(Scenario(guest=guest, policy=Policy(name="xen"), strategy=Strategy(streams=4)))]
    ['strategy.streams']
    >>> missing(Scenario(guest=guest, policy=Policy(name="libvirt"), strategy=Strategy(streams=4)))
    ()
    """
    system = case.policy.preset.system
    return tuple(
        Missing(key, f"{system.name} cannot do this: {what}; the answer is what it would come to if it could")
        for ability, key, what in _asked(case.strategy, system)
        if not _has(system, ability, case.strategy)
    )


def within(strategy: Strategy, system: System) -> Strategy | None:
    """Return a strategy without what a system has not; None: it cannot move in that manner.

    Examples
    --------
    >>> from migkit import Policy
    >>> xen = Policy(name="xen").preset.system
    >>> within(Strategy(streams=4), xen) == Strategy()
    True
    >>> within(Strategy(name="postcopy"), xen) is None
    True
    """
    if strategy.name in _POSTCOPY and not system.postcopy.has:
        return None
    lacking = [ability for ability, _, _ in _asked(strategy, system) if not _has(system, ability, strategy)]
    changes = {field: getattr(_PLAIN, field) for ability in lacking for field in _FIELDS.get(ability, ())}
    return dataclasses.replace(strategy, **changes) if changes else strategy


_FIELDS: Final = {  # of a strategy: what asks for an ability
    "auto_converge": ("auto_converge",),
    "dirty_limit": ("dirty_limit_bytes_per_s",),
    "tls": ("tls",),
    "xbzrle": ("xbzrle",),
    "compression": ("compression",),
    "streams": ("streams",),
    "postcopy_streams": ("streams",),
    "storage": ("storage_bytes", "storage_dirty_bytes_per_s"),
}


def _asked(strategy: Strategy, system: System) -> list[tuple[str, str, str]]:
    """Return each ability that a strategy asks for, with the key that does and the words for it."""
    postcopy, several = strategy.name in _POSTCOPY, strategy.streams > 1
    each_alone = system.streams.has and system.postcopy.has
    asked = [
        (postcopy, "postcopy", "name", strategy.name),
        (strategy.auto_converge, "auto_converge", "auto_converge", ""),
        (strategy.dirty_limit_bytes_per_s < math.inf, "dirty_limit", "dirty_limit", ""),
        (strategy.tls, "tls", "tls", ""),
        (strategy.xbzrle, "xbzrle", "xbzrle", ""),
        (strategy.compression != "none", "compression", "compression", strategy.compression),
        (several, "streams", "streams", ""),
        (several and postcopy and each_alone, "postcopy_streams", "streams", ""),
        (strategy.storage_bytes > 0, "storage", "storage", ""),
    ]
    return [(name, f"strategy.{key}", words or ABILITIES[name]) for asks, name, key, words in asked if asks]


def _has(system: System, name: str, strategy: Strategy) -> bool:
    ability = getattr(system, name)
    if name == "compression" and ability.methods and strategy.compression not in ability.methods:
        return False
    return bool(ability.has)
