"""Each host on its own: can it be emptied, by when, what holds it up, and what would help."""

from __future__ import annotations

import dataclasses
import html
import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.errors import counted
from migkit.models import story
from migkit.planning.drain.conflicts import Conflict, check_movable
from migkit.planning.drain.evacuation import Plan, plan_of
from migkit.planning.drain.planned import check_numbers, checked, decided, first_waves, numbers_of
from migkit.planning.drain.problem import Fleet
from migkit.planning.drain.waves import Order, Rolling, rolled, searching
from migkit.planning.durations import tabulate
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit
from migkit.scenario import Guest, Scenario
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HostByHost", "drain_each"]

_NAMED: Final = 5  # hosts that a sentence names
_SHOWN: Final = 12  # rows in a notebook


@dataclasses.dataclass(frozen=True, repr=False)
class HostByHost:
    """Whether each host can be emptied while all others stay open.

    Attributes
    ----------
    hosts
        One row a host, those that miss the deadline first, then the slowest: ``host``, ``in_time``, ``machines``: how
        many must leave, ``memory_bytes``: theirs [B], ``empty_s``: when the last one has left, infinite where there
        is no plan [s], ``lower_bound_s``: no plan is shorter [s], ``held_up_by``: the machine with the largest part
        of that, empty where there is no plan, ``why``: what takes its time, or what conflicts and what to do.
    deadline_s
        By when each must be empty [s]; infinite: whenever.
    notes
        What was assumed, as sentences.
    """

    hosts: pd.DataFrame
    deadline_s: float
    notes: tuple[str, ...] = ()

    @property
    def is_in_time(self) -> bool:
        """Whether every host can be emptied by the deadline."""
        return bool(self.hosts["in_time"].all())

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        rows: list[dict[str, Any]] = self.to_dict()["hosts"]
        good = [row for row in rows if row["in_time"]]
        by = "" if math.isinf(self.deadline_s) else f" within {format_duration(self.deadline_s)}"
        said = f"{len(good)} of {counted(len(rows), 'host')} can be emptied{by}, each while all others stay open"
        if good:
            said += f"; {good[0]['host']} takes longest, {format_duration(good[0]['empty_s'])}"
        return said

    @property
    def late(self) -> str:
        """Which hosts miss the deadline or have no plan, in one sentence; empty where there are none."""
        names = [row["host"] for row in self.to_dict()["hosts"] if not row["in_time"]]
        if not names:
            return ""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        verb = "misses the deadline or has" if len(names) == 1 else "miss the deadline or have"
        return f"drain: {', '.join(names[:_NAMED])}{more} {verb} no plan; the table says why, and what to do"

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table as text, its header first."""
        header = ("host", "in time", "memory", "empty in", "held up by", "why")
        found: list[dict[str, Any]] = self.to_dict()["hosts"]
        return [header, *(_row(one) for one in found)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them; what is infinite is None."""
        hosts: Any = self.hosts.to_dict("records")
        return {
            "is_in_time": self.is_in_time,
            "deadline_s": _finite(self.deadline_s),
            "hosts": [{name: _finite(value) for name, value in row.items()} for row in hosts],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        header, *rows = self.rows()
        more = len(rows) - _SHOWN
        left = f"<p>The frame <code>hosts</code> has {more} more.</p>" if more > 0 else ""
        return f"<p>{html.escape(self.text)}</p>{story.table([header, *rows[:_SHOWN]])}{left}"

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([self.text, "", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)])


def drain_each(
    inventory: Inventory,
    hosts: Sequence[str] | str = "all",
    *,
    base: Scenario | None = None,
    limits: Iterable[Limit] = (),
    deadline_s: float = math.inf,
    improve_s: float = 10.0,
    seed: int = 0,
) -> HostByHost:
    """Return for each host whether it can be emptied by a deadline while all other hosts stay open.

    It is the question before a maintenance: which hosts can go at all, and what holds up those that cannot. Each host
    is planned as :func:`migkit.planning.drain.ask.drain` plans it. The search for a better plan goes to the hosts
    whose first plan is too late although a better one may not be.

    Parameters
    ----------
    inventory
        Machines and hosts.
    hosts
        Names of hosts, or ``"all"``.
    base
        Policy, strategy and constants of the hosts; its guest and its bandwidth do not count. None: the defaults.
    limits
        Slots of the manager, as in :data:`migkit.planning.slots.MANAGERS`.
    deadline_s
        By when each must be empty [s].
    improve_s
        Time for the searches together [s]; 0: the first plans.
    seed
        Seed of the searches.

    Raises
    ------
    UsageError
        A host is not known, or numbers are out of range.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": "web", "host": "a", "memory": "4 GiB"},
    ...      {"vm": "gpu", "host": "b", "memory": "4 GiB", "pinned": "GPU passthrough"}],
    ...     [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abc"])
    >>> drain_each(fleet, deadline_s=1800.0).hosts[["host", "in_time", "held_up_by"]].values.tolist()
    [['b', False, ''], ['a', True, 'web'], ['c', True, '']]
    """
    check_numbers(deadline_s=deadline_s, improve_s=improve_s)
    base = base if base is not None else Scenario(guest=Guest(memory_bytes=4096))
    numbers = numbers_of(inventory, hosts, rolling=True)
    durations = tabulate(inventory.vms, base, float(inventory.hosts["link_bytes_per_s"].max()))
    fleet = Fleet.of(inventory, durations, tuple(limits), None)
    one = _OneHost(inventory, fleet, base, deadline_s)
    found = {host: one.first(host) for host in numbers.tolist()}
    unsure = [host for host, plan in found.items() if isinstance(plan, Plan) and one.may_be_in_time(plan)]
    for host in unsure:
        found[host] = one.searched(host, improve_s / len(unsure), seed)
    rows = [one.row(host, plan) for host, plan in found.items()]
    notes = (*inventory.notes, *decided(fleet, (), base))
    return HostByHost(_sorted(rows), deadline_s, notes)


class _OneHost:
    """Plans of a fleet that empty one host."""

    def __init__(self, inventory: Inventory, fleet: Fleet, base: Scenario, deadline_s: float) -> None:
        self.inventory, self.fleet, self.base, self.deadline_s = inventory, fleet, base, deadline_s

    def first(self, host: int) -> Plan | Conflict:
        """Return the greedy plan, or why there is none."""
        machines = np.flatnonzero(self.fleet.home == host)
        try:
            check_movable(self.fleet, machines, self.inventory.vms["pinned"].tolist())
            part, _ = first_waves(self.fleet, _order(host), [1], math.inf)
        except Conflict as conflict:
            return conflict
        return self._plan(part)

    def may_be_in_time(self, plan: Plan) -> bool:
        """Return whether a plan is too late, and a better one may not be."""
        return not plan.is_in_time and plan.lower_bound_s <= self.deadline_s

    def searched(self, host: int, time_s: float, seed: int) -> Plan:
        """Return the best plan that a search finds in a time [s]."""
        search = searching(time_s, None, time.monotonic() + time_s, seed, int(np.sum(self.fleet.home == host)))
        return self._plan(rolled(self.fleet, _order(host), 1, search))

    def _plan(self, part: Rolling) -> Plan:
        plan = plan_of(
            [part],
            [0.0],
            [0.0],
            part.end_s,
            self.deadline_s,
            (),
            inventory=self.inventory,
            fleet=self.fleet,
            base=self.base,
        )
        return checked(plan, self.inventory, self.fleet)

    def row(self, host: int, plan: Plan | Conflict) -> dict[str, Any]:
        """Return the row of the table."""
        there = self.fleet.home == host
        row: dict[str, Any] = {"host": self.fleet.hosts[host], "in_time": False, "machines": int(there.sum())}
        row["memory_bytes"] = float(self.fleet.use[there, 0].sum())
        if isinstance(plan, Conflict):
            return row | {"empty_s": math.inf, "lower_bound_s": math.inf, "held_up_by": "", "why": plan.reason}
        heaviest: list[dict[str, Any]] = plan.to_dict()["blockers"][:1]
        held = heaviest[0] if heaviest else {"vm": "", "why": "nothing has to leave"}
        row |= {"in_time": plan.is_in_time, "empty_s": plan.makespan_s, "lower_bound_s": plan.lower_bound_s}
        late = "" if plan.is_in_time else f"; {plan.bound.partition(',')[0]}"
        return row | {"held_up_by": held["vm"], "why": f"{held['why']}{late}"}


def _order(host: int) -> Order:
    return Order(np.array([host], dtype=np.int64))


def _sorted(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame, those that miss the deadline first, then the slowest."""
    import pandas as pd

    place = [(row["in_time"], -row["empty_s"], at) for at, row in enumerate(rows)]
    return pd.DataFrame([rows[at] for *_, at in sorted(place)])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    empty_s = row["empty_s"]
    return (
        row["host"],
        "yes" if row["in_time"] else "no",
        format_size(row["memory_bytes"]),
        "never" if empty_s is None else format_duration(empty_s),
        row["held_up_by"],
        row["why"],
    )


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value
