"""Fields that somebody set and that change nothing under the strategy and the policy beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from migkit.scenario.ability import missing
from migkit.scenario.scenario import Scenario

__all__ = ["idle"]

_RUNS_AT_DESTINATION: Final = ("postcopy", "hybrid")
_COPIES_FIRST: Final = ("precopy", "hybrid")
_NEEDS: Final = {  # of each field: the strategies that look at it
    "strategy.postcopy_after": ("hybrid",),
    "strategy.postcopy_after_rounds": ("hybrid",),
    "strategy.prefetch_pages": _RUNS_AT_DESTINATION,
    "strategy.preempt": _RUNS_AT_DESTINATION,
    "policy.max_postcopy_bandwidth": _RUNS_AT_DESTINATION,
    "strategy.auto_converge": _COPIES_FIRST,
    "strategy.dirty_limit": _COPIES_FIRST,
    "strategy.xbzrle": _COPIES_FIRST,
    "strategy.xbzrle_cache": _COPIES_FIRST,
    "policy.downtime_limit": _COPIES_FIRST,
}


def idle(case: Scenario, given: Iterable[str]) -> list[str]:
    """Return a sentence for each of the keys ``given`` that changes nothing, and for what the system has not.

    Parameters
    ----------
    case
        The scenario.
    given
        Keys of a scenario file that somebody wrote, such as ``"strategy.postcopy_after"``.

    Examples
    --------
    >>> from migkit import Guest
    >>> idle(Scenario(guest=Guest(memory_bytes=2**20)), ["strategy.postcopy_after"])
    ['strategy.postcopy_after: changes nothing under precopy; it counts for hybrid']
    """
    name = case.strategy.name
    found = [
        f"{key}: changes nothing under {name}; it counts for {' and '.join(_NEEDS[key])}"
        for key in given
        if key in _NEEDS and name not in _NEEDS[key]
    ]
    preset = case.policy.preset
    if preset.counts_passes and "policy.downtime_limit" in given and name in _COPIES_FIRST:
        found.append(f"policy.downtime_limit: changes nothing under {preset.name}, whose rule counts passes")
    found += [f"{one.key}: {one.sentence}" for one in missing(case)]
    if case.guest.layout == "blocks":
        places = ("guest.zero_at_start", "guest.zero_at_end")
        found += [f"{key}: changes nothing in blocks, where zero pages lie last" for key in places if key in given]
    if "strategy.xbzrle_cache" in given and case.xbzrle_cache_bytes is None:
        found.append("strategy.xbzrle_cache: changes nothing without strategy.xbzrle")
    return found
