"""Which single setting helps a drain most: each one is changed, and the drain rehearsed with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from migkit.planning.rehearsal.answer import Rehearsal, answered
from migkit.planning.rehearsal.play import Asked
from migkit.planning.slots import Limit
from migkit.planning.tradeoffs import axes, changed
from migkit.scenario import Policy, Scenario
from migkit.scenario.ability import missing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fixes"]

_TRIED: Final = 61  # draws with which every setting is tried
_NAMED: Final = 4  # of those that help most
_MATTERS: Final = 0.01
_SLOTS: Final = (0.5, 2.0)
_BUDGETS: Final = (2.0, 5.0)
_SWITCHES: Final = {
    "allow_postcopy": "post-copy permitted",
    "force_complete": "live_migration_timeout_action = force_complete",
}
_BUDGET_SETTINGS: Final = ("completion_s_per_gib", "completion_timeout_s_per_gib", "patience_iterations")


def fixes(asked: Asked, as_it_is: Rehearsal, step: Callable[[float], None] = lambda amount: None) -> pd.DataFrame:
    """Return one row a setting that would help if it alone were changed, the one that helps most first.

    Every change is tried with a few draws. The best ones are rehearsed with all draws before they are named.

    Parameters
    ----------
    asked
        The drain.
    as_it_is
        What it comes to with nothing changed; the last row says it again.
    step
        Called with the part of the work that was done since the last call.

    Returns
    -------
    table
        Columns ``setting``, ``probability``, ``median_s``, ``late_s`` [s].
    """
    import pandas as pd

    few = min(_TRIED, asked.draws)
    before = _merit(answered(dataclasses.replace(asked, draws=few)) if few < asked.draws else as_it_is)
    changes = list(_changes(asked))
    part = 1.0 / max(1.0, few * len(changes) + asked.draws * _NAMED)  # of one draw

    def told(other: Asked) -> Rehearsal:
        found = answered(other)
        step(other.draws * part)
        return found

    tried = [(_merit(told(dataclasses.replace(other, draws=few))), words, other) for words, other in changes]
    better = sorted((one for one in tried if _is_better(one[0], before)), key=lambda one: one[0])
    kept = [(words, told(other)) for _, words, other in better[:_NAMED]]
    kept = [one for one in kept if _is_better(_merit(one[1]), _merit(as_it_is))]
    kept.sort(key=lambda one: _merit(one[1]))
    return pd.DataFrame([_row(words, found) for words, found in [*kept, ("as it is", as_it_is)]])


def _is_better(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Return whether a drain goes better by more than a hundredth."""
    return -one[0] > -other[0] + _MATTERS or (one[0] <= other[0] and one[1] < other[1] * (1.0 - _MATTERS))


def _merit(found: Rehearsal) -> tuple[float, float, float]:
    """Return what is less where a drain goes better."""
    return -found.probability, found.empty_by_s(0.95), found.empty_by_s(0.5)


def _row(words: str, found: Rehearsal) -> dict[str, float | str]:
    return {
        "setting": words,
        "probability": found.probability,
        "median_s": found.empty_by_s(0.5),
        "late_s": found.empty_by_s(0.95),
    }


def _changes(asked: Asked) -> Iterator[tuple[str, Asked]]:
    """Yield each change of one setting, in words and carried out."""
    for words, base in _of_base(asked):
        yield words, dataclasses.replace(asked, base=base)
    manager = asked.manager
    for at, limit in enumerate(manager.limits):
        for slots in sorted({max(_dearest(limit), round(limit.slots * factor)) for factor in _SLOTS} - {limit.slots}):
            other = limit._replace(slots=slots)
            limits = (*manager.limits[:at], other, *manager.limits[at + 1 :])
            yield (
                f"{other} in the place of {limit.slots}",
                dataclasses.replace(asked, manager=dataclasses.replace(manager, limits=limits)),
            )
    if math.isfinite(manager.attempts) and not manager.follows_plan:
        again = dataclasses.replace(manager, attempts=math.inf)
        yield "failed migrations are tried again", dataclasses.replace(asked, manager=again)


def _dearest(limit: Limit) -> int:
    return max(limit.cost, limit.storage_cost or 0)


def _of_base(asked: Asked) -> Iterator[tuple[str, Scenario]]:
    """Yield each change of one setting of policy or strategy that the system can make."""
    link = float(asked.inventory.hosts["link_bytes_per_s"].max())
    case = dataclasses.replace(asked.base, link=dataclasses.replace(asked.base.link, bandwidth_bytes_per_s=link))
    allowed = {one.key for one in missing(case)}
    policy = asked.base.policy
    known = {setting.name: setting for setting in policy.preset.settings}
    for axis in axes(case):
        for change in axis:
            if change.field == "name" and (change.value == "stopcopy" or "allow_postcopy" in known):
                continue  # no live migration, or not how this manager is told
            other = changed(asked.base, (change,))
            if {one.key for one in missing(other)} <= allowed:
                yield change.words, other
    for name in _BUDGET_SETTINGS:
        if name in known and policy.setting(name) > 0:
            label = known[name].option or name
            for factor in _BUDGETS:
                value = policy.setting(name) * factor
                yield f"{label} = {value:g}", _with(asked.base, name, value)
    for name, words in _SWITCHES.items():
        if name in known and policy.setting(name) == 0:
            yield words, _with(asked.base, name, 1.0)


def _with(base: Scenario, name: str, value: float) -> Scenario:
    policy: Policy = base.policy
    kept = tuple(pair for pair in policy.settings if pair[0] != name)
    return dataclasses.replace(base, policy=dataclasses.replace(policy, settings=(*kept, (name, value))))
