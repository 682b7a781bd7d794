"""The question and its answer: ``drain``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from migkit.planning.drain.evacuation import Plan, plan_of
from migkit.planning.drain.planned import check_numbers, checked, planned
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit
from migkit.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["drain"]


def drain(
    inventory: Inventory,
    empty: Sequence[str] | str,
    *,
    base: Scenario | None = None,
    limits: Iterable[Limit] = (),
    deadline_s: float = math.inf,
    rolling: bool = False,
    at_once: int | None = None,
    service_s: float = 0.0,
    return_home: bool = False,
    most_moves: float = math.inf,
    improve_s: float = 10.0,
    rounds: int | None = None,
    seed: int = 0,
    exact: bool = False,
    state: pd.DataFrame | None = None,
) -> Plan:
    """Return a plan that empties hosts, checked by :func:`migkit.planning.check.violations`.

    The first plan is greedy; large-neighbourhood search improves it. Migrations share links max-min, each takes as
    long as the fast engine predicts at its share, and a machine holds memory on both hosts while it moves.

    Parameters
    ----------
    inventory
        Machines and hosts.
    empty
        Hosts to empty, or ``"all"``.
    base
        Policy, strategy and constants of the hosts; its guest and its bandwidth do not count. None: the defaults.
    limits
        Slots of the manager, as in :data:`migkit.planning.slots.MANAGERS`.
    deadline_s
        By when all must be done [s].
    rolling
        Empty the hosts in waves, one after the other; else all of them are empty at the end.
    at_once
        Hosts in a wave; None: what ends first.
    service_s
        How long a host is worked on once its wave is empty [s].
    return_home
        Bring machines back to their hosts after the work.
    most_moves
        Budget of migrations.
    improve_s
        Time for the search [s]; 0: the greedy plan.
    rounds
        Rounds of the search instead of a time, so that the plan is the same on every machine.
    seed
        Seed of the search.
    exact
        Solve waves of at most 40 moves exactly, too, by CP-SAT, in at most ``improve_s`` or 10 s; notes say the gap.
    state
        What has moved and is moving already, where the drain is under way: one row a machine, ``vm``,
        ``destination``, and ``progress``, 1 where it has arrived. The plan begins now, and what is moving goes on.

    Raises
    ------
    UsageError
        A host is not known, or numbers are out of range.
    CapabilityError
        An exact plan was asked for, and the package ortools is not installed.
    Conflict
        There is no plan; the smallest set of constraints that conflict is in the message.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": f"vm{k}", "host": "a", "memory": "4 GiB"} for k in range(4)],
    ...     [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abc"])
    >>> plan = drain(fleet, ["a"])
    >>> sorted(set(plan.moves.destination)), plan.makespan_s <= 1.1 * plan.lower_bound_s
    (['b', 'c'], True)
    """
    check_numbers(deadline_s=deadline_s)
    found = planned(
        inventory,
        empty,
        base=base,
        limits=limits,
        rolling=rolling,
        at_once=at_once,
        service_s=service_s,
        return_home=return_home,
        most_moves=most_moves,
        improve_s=improve_s,
        rounds=rounds,
        seed=seed,
        exact=exact,
        state=state,
    )
    plan = plan_of(
        found.parts,
        found.offsets_s([part.end_s for part in found.parts]),
        found.offsets_s([part.bound_s for part in found.parts]),
        found.greedy_s,
        deadline_s,
        found.notes,
        inventory=found.inventory,
        fleet=found.fleet,
        base=found.base,
    )
    return checked(plan, found.inventory, found.fleet, return_home=return_home)
