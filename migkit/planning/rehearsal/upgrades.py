"""The same drain before and after a change of manager, version or defaults: which machines fare worse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import UsageError, shown
from migkit.planning.inventory import Inventory
from migkit.planning.rehearsal.answer import Rehearsal
from migkit.planning.rehearsal.managers import PRODUCTS, Manager, manager_of
from migkit.planning.rehearsal.rehearsing import rehearse
from migkit.scenario import Scenario
from migkit.scenario.policy import presets
from migkit.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Upgrade", "changed_to", "upgrade"]

_MATTERS: Final = 0.05  # of a probability
_NAMED: Final = 5


@dataclasses.dataclass(frozen=True)
class Upgrade:
    """How one drain differs before and after a change.

    Attributes
    ----------
    before, after
        Both rehearsals, of the same draws.
    machines
        One row a machine, those whose chances fall most first: ``vm``, ``host``, ``gives_up_before``,
        ``gives_up_after``: probability that one of its attempts is given up; ``leaves_before``, ``leaves_after``;
        ``late_before_s``, ``late_after_s``: by when it has left with 95 % [s]; ``why``: as after the change.
    """

    before: Rehearsal
    after: Rehearsal
    machines: pd.DataFrame

    @property
    def given_up(self) -> list[str]:
        """Names of machines whose attempts are given up more often than before."""
        more = self.machines["gives_up_after"] > self.machines["gives_up_before"] + _MATTERS
        return list(self.machines["vm"][more])

    @property
    def stays(self) -> list[str]:
        """Names of machines that leave less often than before."""
        less = self.machines["leaves_after"] < self.machines["leaves_before"] - _MATTERS
        return list(self.machines["vm"][less])

    @property
    def sentences(self) -> list[str]:
        """What the change does, in sentences."""
        given_up, stays = _counted(self.given_up), _counted(self.stays)
        parts = [f"{100 * one.probability:.3g} %" for one in (self.before, self.after)]
        times = [_when(one.empty_by_s(0.95)) for one in (self.before, self.after)]
        return [
            f"from {_name(self.before)} to {_name(self.after)}",
            f"attempts are given up more often: {given_up}",
            f"less likely to leave at all: {stays}",
            f"all empty in time with {parts[0]} before, {parts[1]} after",
            f"all empty with 95 %: {times[0]} before, {times[1]} after",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, as JSON takes them."""
        rows: Any = self.machines.replace({float("inf"): None}).to_dict("records")
        both = {"before": self.before.to_dict(), "after": self.after.to_dict()}
        return {"given_up": self.given_up, "stays": self.stays, "machines": rows} | both


def _name(one: Rehearsal) -> str:
    return one.manager if one.manager == one.policy else f"{one.manager} ({one.policy})"


def _counted(names: Sequence[str]) -> str:
    if not names:
        return "no machine"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} machine{'s' if len(names) > 1 else ''} ({', '.join(names[:_NAMED])}{more})"


def _when(time_s: float) -> str:
    return "never" if time_s == float("inf") else f"by {format_duration(time_s)}"


def changed_to(name: str, manager: Manager, base: Scenario) -> tuple[Manager, Scenario]:
    """Return manager and base after a change: to another manager and its rule, or to another policy alone.

    The cap of the policy is kept where it was given.

    Raises
    ------
    UsageError
        It is neither.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name="kubevirt"))
    >>> who, other = changed_to("openshift-2026", manager_of("openshift"), base)
    >>> who.limits[1].slots, other.policy.setting("completion_s_per_gib")
    (1, 20.0)
    >>> changed_to("kubevirt-stall", manager_of("kubevirt"), base)[0].name
    'kubevirt'
    """
    known = {preset.name for preset in presets()}
    if name not in PRODUCTS and name not in known:
        raise UsageError(f"against: {shown(name)} is no manager ({', '.join(PRODUCTS)}) and no policy")
    who = PRODUCTS.get(name, manager)
    rule = who.policy if name in PRODUCTS else name
    return who, dataclasses.replace(base, policy=dataclasses.replace(base.policy, name=rule, settings=()))


def upgrade(
    inventory: Inventory,
    empty: Sequence[str] | str,
    *,
    before: Manager | str,
    after: Manager | str,
    base: Scenario | None = None,
    base_after: Scenario | None = None,
    **asked: Any,
) -> Upgrade:
    """Return how a drain differs after a change.

    Parameters
    ----------
    inventory, empty
        As for :func:`migkit.planning.rehearsal.rehearsing.rehearse`.
    before, after
        The managers.
    base, base_after
        What migrations have in common before and after; None: each manager's policy, and the defaults.
    **asked
        Further arguments of :func:`migkit.planning.rehearsal.rehearsing.rehearse`; they hold for both.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": "db", "host": "a", "memory": "4 GiB", "dirty_1_region": "1 GiB", "dirty_1_writes_per_s": 5000}],
    ...     [{"host": name, "memory": "64 GiB", "link": "500 Mbit/s"} for name in "ab"])
    >>> upgrade(fleet, ["a"], before="openshift", after="openshift-2026", draws=17).given_up
    ['db']
    """
    old, new = manager_of(before), manager_of(after)
    first = rehearse(inventory, empty, manager=old, base=base, **asked)
    second = rehearse(inventory, empty, manager=new, base=base_after, **asked)
    return Upgrade(first, second, _table(first, second))


def _table(before: Rehearsal, after: Rehearsal) -> pd.DataFrame:
    names = ["gives_up", "leaves", "late_s"]
    old, new = before.machines[["vm", *names]], after.machines[["vm", "host", *names, "why"]]
    both = new.merge(old, on="vm", suffixes=("_after", "_before"))
    both = both.rename(columns={"late_s_after": "late_after_s", "late_s_before": "late_before_s"})
    fall = both["leaves_before"] - both["leaves_after"] + both["gives_up_after"] - both["gives_up_before"]
    order = fall.sort_values(ascending=False, kind="stable").index
    columns = ["vm", "host", *(f"{n}_{when}" for n in names[:2] for when in ("before", "after"))]
    return both.loc[order, [*columns, "late_before_s", "late_after_s", "why"]].reset_index(drop=True)
