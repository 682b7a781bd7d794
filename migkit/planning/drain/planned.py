"""The planner: waves of hosts that are emptied, first greedy, then searched."""

from __future__ import annotations

import dataclasses
import difflib
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from migkit.errors import RunError, UsageError, counted, shown
from migkit.planning.check import violations
from migkit.planning.drain import exact as solving
from migkit.planning.drain.conflicts import NOT_FOUND, Conflict, check_movable
from migkit.planning.drain.evacuation import Plan, proven
from migkit.planning.drain.problem import Fleet
from migkit.planning.drain.resume import resumed
from migkit.planning.drain.spare import spare
from migkit.planning.drain.waves import Order, Rolling, best_of, proving, rolled, searching
from migkit.planning.durations import tabulate
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit
from migkit.scenario import Guest, Scenario
from migkit.units import format_rate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Planned", "check_numbers", "checked", "decided", "first_waves", "numbers_of", "planned"]

_EXACT_S: Final = 10.0  # that CP-SAT has at least
_PART_HOSTS: Final = 100  # of a fleet that is emptied host by host, planned apart from the others


class Planned(NamedTuple):
    """A plan as the planner has it.

    Attributes
    ----------
    inventory, fleet
        Machines where they are when it begins, and the same as arrays.
    base
        Policy, strategy and constants of the hosts.
    parts
        Waves of each part of it that was planned apart.
    greedy_s
        When the first plan ends [s].
    notes
        What was assumed.
    """

    inventory: Inventory
    fleet: Fleet
    base: Scenario
    parts: Sequence[Rolling]
    greedy_s: float
    notes: Sequence[str]

    def offsets_s(self, ends_s: Sequence[float]) -> list[float]:
        """Return when each part begins if it takes so long from then on [s].

        Those that share a pool or a cluster with slots run one after the other.
        """
        free_s: dict[tuple[str, int], float] = {}
        offsets = []
        scopes = {limit.scope for limit in self.fleet.limits} & {"pool", "cluster"}
        for part, end_s in zip(self.parts, ends_s, strict=True):
            keys = [
                (scope, int(number))
                for scope in sorted(scopes)
                for number in np.unique(part.fleet.pool if scope == "pool" else part.fleet.cluster)
            ]
            offsets.append(max((free_s.get(key, 0.0) for key in keys), default=0.0))
            free_s |= dict.fromkeys(keys, offsets[-1] + end_s)
        return offsets


def planned(
    inventory: Inventory,
    empty: Sequence[str] | str,
    *,
    base: Scenario | None = None,
    limits: Iterable[Limit] = (),
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
) -> Planned:
    """Return the plan of :func:`migkit.planning.drain.ask.drain` as the planner has it, not checked.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": "web", "host": "a", "memory": "4 GiB"}],
    ...     [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "ab"])
    >>> len(planned(fleet, ["a"]).parts)
    1
    """
    check_numbers(service_s=service_s, most_moves=most_moves, improve_s=improve_s, at_once=at_once, rounds=rounds)
    if at_once is not None and not rolling:
        raise UsageError(
            f"at_once: {at_once} is the size of a wave, and all hosts are emptied in one; "
            "add rolling (--rolling), or leave it out"
        )
    if exact:
        solving.check_installed()
    began = time.monotonic()
    base = base if base is not None else Scenario(guest=Guest(memory_bytes=4096))
    hosts = numbers_of(inventory, empty, rolling)
    durations = tabulate(inventory.vms, base, float(inventory.hosts["link_bytes_per_s"].max()))
    bound_for = None
    if state is not None:
        if rolling or return_home:
            raise UsageError("state: waves cannot go on in the middle; name the hosts that are left, without rolling")
        inventory, durations, bound_for, told = resumed(inventory, durations, state)
        inventory = dataclasses.replace(inventory, notes=(*inventory.notes, *told))
        _check_bound(inventory, bound_for, hosts)
    fleet = Fleet.of(inventory, durations, tuple(limits), bound_for)
    check_movable(fleet, np.flatnonzero(np.isin(fleet.home, hosts)), list(inventory.vms["pinned"]))
    first = []
    total = max(1, int(np.isin(fleet.home, hosts).sum()))
    for part in _parts(fleet, hosts, rolling):
        some = fleet.part(part) if len(part) < len(fleet.hosts) else fleet
        order = Order(_in_order(some, fleet.hosts[hosts]), service_s, return_home, rolling)
        most = most_moves * int(np.isin(some.home, order.empty).sum()) / total
        first.append(first_waves(some, order, _sizes(order, at_once), most))
    greedy = [part for part, _ in first]
    _check_budget(greedy, most_moves)
    best = greedy
    if improve_s > 0 or rounds or exact:
        moves = sum(part.moves for part in greedy)
        until = math.inf if rounds is not None else began + improve_s
        search = searching(improve_s, rounds, until, seed, moves)
        prove = proving(max(improve_s, _EXACT_S), seed, moves) if exact else None
        best = [
            min(
                (rolled(part.fleet, part.order, size, search, prove), part),
                key=lambda one: (one.moves > most_moves, one.end_s),
            )
            for part, size in first
        ]
    found = Planned(inventory, fleet, base, greedy, 0.0, ())
    ends = [part.end_s for part in greedy]
    greedy_s = max((end + at for end, at in zip(ends, found.offsets_s(ends), strict=True)), default=0.0)
    return Planned(
        inventory, fleet, base, best, greedy_s, [*inventory.notes, *decided(fleet, greedy, base), *proven(best)]
    )


def checked(plan: Plan, inventory: Inventory, fleet: Fleet, *, return_home: bool = False) -> Plan:
    """Return a plan that a replay has found to break no constraint.

    Raises
    ------
    RunError
        It breaks one, which is an error of the planner.
    """
    wrong = violations(inventory, plan.moves, plan.hosts, fleet.durations, fleet.limits, return_home=return_home)
    if wrong:
        broken = counted(len(wrong), "constraint")
        raise RunError(f"drain: the plan breaks {broken}, the first: {wrong[0]}; report this as an error")
    return plan


def check_numbers(**given: float | None) -> None:
    """Raise for a number of a question that is out of range."""
    for name, value in given.items():
        least = 1.0 if name == "at_once" else 0.0
        endless = name in ("deadline_s", "most_moves")
        if value is not None and (not value >= least or (math.isinf(value) and not endless)):
            raise UsageError(f"{name}: {value!r} is out of range; it must be at least {least:g}, and finite")


def first_waves(fleet: Fleet, order: Order, sizes: Sequence[int], most_moves: float) -> tuple[Rolling, int]:
    """Return the greedy waves; where there are none, the conflict names the spare host that would do."""
    try:
        return best_of(fleet, order, sizes, most_moves)
    except Conflict as conflict:
        least = spare(fleet, order)
        if least is None:
            raise
        cure = f"{least.words}, or empty fewer hosts at once" if len(order.empty) > 1 else least.words
        raise Conflict(conflict.what, conflict.constraints, cure, conflict.lead) from None


def _check_bound(inventory: Inventory, bound_for: np.ndarray, hosts: np.ndarray) -> None:
    wrong = np.flatnonzero(np.isin(bound_for, hosts))
    if wrong.size:
        vm, host = inventory.vms["vm"].iloc[wrong[0]], inventory.hosts["host"].iloc[bound_for[wrong[0]]]
        raise UsageError(
            f"state: {vm} is on its way to {host}, which is to be emptied; cancel it and leave it out of the state"
        )


def numbers_of(inventory: Inventory, empty: Sequence[str] | str, rolling: bool) -> np.ndarray:
    """Return the numbers of the hosts to empty.

    Raises
    ------
    UsageError
        A name is not known or named twice, there is none, or no host would be left.

    Examples
    --------
    >>> hosts = [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abc"]
    >>> numbers_of(Inventory.read([{"vm": "web", "host": "a", "memory": "4 GiB"}], hosts), ["c"], False)
    array([2])
    """
    names = inventory.hosts["host"].tolist()
    place = {name: at for at, name in enumerate(names)}
    if isinstance(empty, str):
        empty = names if empty == "all" else [empty]
    if not empty:
        raise UsageError("empty: no host was given; name at least one, or all")
    unknown = [name for name in empty if name not in place]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise UsageError(f"empty: {shown(unknown[0])} is not among the {len(names)} hosts; check its name{hint}")
    twice = [name for name, count in Counter(empty).items() if count > 1]
    if twice:
        raise UsageError(f"empty: {shown(twice[0])} is named twice; name it once")
    if len(empty) == len(names) and not rolling:
        if len(names) == 1:
            raise UsageError(
                f"empty: {shown(names[0])} is the only host, so that its machines have no place; add a host"
            )
        raise UsageError(
            f"empty: all {len(names)} hosts at once leave none for the machines; "
            "empty them in waves (--rolling), or ask for each on its own (--each)"
        )
    return np.array([place[name] for name in empty], dtype=np.int64)


def _parts(fleet: Fleet, hosts: np.ndarray, rolling: bool) -> list[np.ndarray]:
    """Return the hosts of each part of the fleet that is planned apart.

    Hosts that are emptied at once, and few hosts, are one part. A large fleet is cut by cluster, pool and path.
    """
    total = len(fleet.hosts)
    if not rolling or total <= _PART_HOSTS:
        return [np.arange(total)]
    order = np.lexsort((np.arange(total), fleet.nic, fleet.pool, fleet.cluster))
    changes = np.diff(fleet.cluster[order]) != 0
    parts: list[list[int]] = [[]]
    for at, host in enumerate(order.tolist()):
        same_path = at > 0 and fleet.nic[host] == fleet.nic[order[at - 1]]
        if at > 0 and not same_path and (changes[at - 1] or len(parts[-1]) >= _PART_HOSTS):
            parts.append([])
        parts[-1].append(host)
    return [np.array(sorted(part)) for part in parts if np.isin(part, hosts).any()]


def _in_order(fleet: Fleet, names: np.ndarray) -> np.ndarray:
    """Return the numbers of those hosts that are in a part of the fleet, in the order of their names."""
    place = {name: at for at, name in enumerate(fleet.hosts)}
    return np.array([place[name] for name in names if name in place], dtype=np.int64)


def _sizes(order: Order, at_once: int | None) -> list[int]:
    """Return how many hosts a wave may empty: what was asked, else sizes that share all evenly over waves.

    One size stands for each number of waves, so that 40 hosts are tried by 40, 20, 14, 10, 8, 7, 6, 5, 4, 3, 2 and 1.
    """
    number = len(order.empty)
    if not order.rolling:
        return [number]
    if at_once is not None:
        return [min(at_once, number)]
    return sorted({math.ceil(number / waves) for waves in range(1, number + 1)}, reverse=True)


def _check_budget(parts: Sequence[Rolling], most_moves: float) -> None:
    needed = sum(part.moves for part in parts)
    if needed > most_moves:
        raise Conflict(
            "the budget of moves is too small",
            [f"at most {counted(int(most_moves), 'move')} may be made", f"the plan needs {needed}"],
            "allow more moves, empty fewer hosts, or do without the return home",
            NOT_FOUND,
        )


def decided(fleet: Fleet, parts: Sequence[Rolling], base: Scenario) -> list[str]:
    """Say what was decided without being asked."""
    told = []
    link, most = float(fleet.link_bytes_per_s.max()), fleet.demand_bytes_per_s
    if most < link:
        cap = most == base.policy.max_bandwidth_bytes_per_s
        by = f"the cap of the policy {base.policy.name}" if cap else "the hosts' streams"
        of = f"a link of {format_rate(link)}" if math.isfinite(link) else "an unlimited link"
        told.append(f"one migration takes at most {format_rate(most)} of {of}: {by}")
    if len(parts) > 1:
        size = f"{len(parts)} parts of about {_PART_HOSTS} hosts"
        told.append(f"the fleet was planned in {size}; no machine changes its part")
    largest = max((len(leg.hosts) for part in parts for leg in part.legs), default=0)
    if parts and parts[0].order.rolling:
        told.append(f"waves of up to {counted(largest, 'host')}")
    return told
