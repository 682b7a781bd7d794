"""Why machines have no place: the smallest set of constraints that cannot hold together, in words."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from migkit.errors import InfeasibleError, counted
from migkit.planning.drain.destinations import placed, searched
from migkit.planning.drain.problem import KINDS, Fleet, Problem
from migkit.units import format_rate, format_size

__all__ = ["NONE", "NOT_FOUND", "Conflict", "explained", "place"]

NONE: Final = "there is no plan"
NOT_FOUND: Final = "no plan was found"
_ALL: Final = ("cluster", "storage pool", "link", *KINDS, "anti-affinity")


class Conflict(InfeasibleError):  # noqa: N818 - what the error is about
    """Constraints contradict each other.

    Attributes
    ----------
    constraints
        The smallest set that cannot hold together, each in words.
    advice
        What to do.
    lead
        Whether there is no plan, or none was found.
    """

    def __init__(self, what: str, constraints: Sequence[str], advice: str, lead: str = NONE) -> None:
        self.what, self.constraints, self.advice, self.lead = what, tuple(constraints), advice, lead
        super().__init__(f"drain: {lead}: {what}: {self.reason}")

    @property
    def reason(self) -> str:
        """What conflicts, and what to do."""
        return f"{'; and '.join(self.constraints)}; {self.advice}"


def place(problem: Problem) -> np.ndarray:
    """Return a host for each machine.

    Raises
    ------
    Conflict
        There is none.
    """
    try:
        host = _found(problem)
    except TimeoutError as error:
        raise _unproven() from error
    if host is None:
        raise explained(problem)
    return host


def _found(problem: Problem) -> np.ndarray | None:
    """Return a host for each machine, None where there is none; TimeoutError: it cannot be told."""
    for tight in (False, True):
        host, _ = placed(problem, tight=tight)
        if (host >= 0).all():
            return host
    return searched(problem)


def _is_impossible(problem: Problem) -> bool:
    """Return whether it is proven that there is no placement."""
    try:
        return _found(problem) is None
    except TimeoutError:
        return False


def _unproven() -> Conflict:
    return Conflict(
        "the search took too long", ["that there is none is not proven"], "empty fewer hosts at once", NOT_FOUND
    )


def explained(problem: Problem) -> Conflict:
    """Return the conflict of a problem that has no placement: of one machine if one alone has none, else of all."""
    single, several = _without_any(problem), int((~problem.open_hosts).sum()) > 1
    if single is not None:
        problem = single
    for size in range(1, len(_ALL) + 1):
        for kept in itertools.combinations(_ALL, size):
            if _is_impossible(_relaxed(problem, [name for name in _ALL if name not in kept])):
                names = problem.fleet.vms[problem.machines]
                who = str(names[0]) if len(names) == 1 else f"{len(names)} machines"
                return Conflict(
                    f"{who} have no place" if len(names) > 1 else f"{who} has no place",
                    [_WORDS[name](problem) for name in kept],
                    "empty fewer hosts at once, or add a host" if several else "add a host",
                )
    return _unproven()


def _without_any(problem: Problem) -> Problem | None:
    """Return the problem of the first machine that no host could take if it moved alone."""
    use = problem.fleet.use[problem.machines]
    for m in range(problem.size):
        good = problem.allowed[m] & np.all(use[m] <= np.maximum(problem.free, 0.0), axis=1)
        if problem.group[m] >= 0:
            good &= problem.members[problem.group[m]] == 0
        if not good.any():
            return _only(problem, m)
    return None


def _only(problem: Problem, m: int) -> Problem:
    one = np.array([m])
    slots = dataclasses.replace(problem.slots, cost=problem.slots.cost[:, one])
    return dataclasses.replace(
        problem,
        machines=problem.machines[one],
        source=problem.source[one],
        allowed=problem.allowed[one],
        group=problem.group[one],
        slots=slots,
    )


def _relaxed(problem: Problem, ignored: Sequence[str]) -> Problem:
    """Return the problem without some of its constraints."""
    fleet = problem.fleet
    at = fleet.home.copy()
    at[problem.machines] = problem.source
    allowed = fleet.may_go(problem.machines, at, problem.open_hosts, ignored)
    free = problem.free.copy()
    for kind, name in enumerate(KINDS):
        if name in ignored:
            free[:, kind] = np.inf
    group = np.full_like(problem.group, -1) if "anti-affinity" in ignored else problem.group
    members = problem.members[:0] if "anti-affinity" in ignored else problem.members
    return dataclasses.replace(problem, allowed=allowed, free=free, group=group, members=members)


def _of_memory(problem: Problem) -> str:
    return f"memory ({_against(problem, 0, format_size)})"


def _of_processors(problem: Problem) -> str:
    return f"processors ({_against(problem, 1, '{:g}'.format)})"


def _of_disks(problem: Problem) -> str:
    return f"local disks ({_against(problem, 2, format_size)})"


def _against(problem: Problem, kind: int, shown: Callable[[float], str]) -> str:
    free = np.maximum(problem.free[problem.open_hosts, kind], 0.0)
    use = problem.fleet.use[problem.machines, kind]
    if use.size == 1:
        return f"{shown(float(use[0]))} needed, no open host has more than {shown(float(free.max(initial=0.0)))} free"
    if use.sum() > free.sum():
        hosts = counted(free.size, "open host")
        return f"{shown(float(use.sum()))} must move, {shown(float(free.sum()))} are free on {hosts}"
    return (
        f"{shown(float(use.sum()))} must move in pieces of up to {shown(float(use.max()))}; "
        f"{shown(float(free.sum()))} are free in {counted(free.size, 'piece')} of up to {shown(float(free.max()))}"
    )


def _of_groups(problem: Problem) -> str:
    sizes = np.bincount(problem.group[problem.group >= 0], minlength=problem.members.shape[0])
    room = (problem.members[:, problem.open_hosts] == 0).sum(axis=1)
    worst = int(np.argmax(sizes - room))
    machine = problem.machines[np.flatnonzero(problem.group == worst)[0]]
    name = problem.fleet.group_names[problem.fleet.group[machine]]
    return f"anti-affinity (group {name}: {sizes[worst]} must move, {_without(int(room[worst]))} of it)"


def _without(hosts: int) -> str:
    return f"{counted(hosts, 'open host')} {'has' if hosts == 1 else 'have'} none"


def _of_clusters(problem: Problem) -> str:
    return f"cluster (no other open host is in that of {_homes(problem)})"


def _of_pools(problem: Problem) -> str:
    return f"storage pool (no other open host has that of {_homes(problem)})"


def _of_links(problem: Problem) -> str:
    need = float(problem.fleet.critical_bytes_per_s[problem.machines].max())
    most = float(problem.fleet.carries[problem.source].max())
    if np.isinf(need):
        return f"link (it dirties memory faster than {format_rate(problem.fleet.demand_bytes_per_s)} carries)"
    return f"link (it ends only at {format_rate(need)} or more; the link has {format_rate(most)})"


def _homes(problem: Problem) -> str:
    names = problem.fleet.hosts[np.unique(problem.source)]
    return str(names[0]) if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


_WORDS: Final = {
    "memory": _of_memory,
    "processors": _of_processors,
    "local disks": _of_disks,
    "anti-affinity": _of_groups,
    "cluster": _of_clusters,
    "storage pool": _of_pools,
    "link": _of_links,
}


def check_movable(fleet: Fleet, machines: np.ndarray, reasons: Sequence[str | None]) -> None:
    """Raise for machines that cannot migrate, whatever the destination.

    Raises
    ------
    Conflict
        A machine is pinned, or dirties memory faster than its link carries.
    """
    pinned = [int(m) for m in machines if fleet.pinned[m]]
    if pinned:
        first = pinned[0]
        more = f" and {counted(len(pinned) - 1, 'more machine')}" if len(pinned) > 1 else ""
        host = fleet.hosts[fleet.home[first]]
        raise Conflict(
            f"{host} cannot be emptied",
            [f"{fleet.vms[first]}{more} cannot migrate ({reasons[first]})"],
            "shut it down, or leave that host out",
        )
    stuck = machines[fleet.carries[fleet.home[machines]] < fleet.critical_bytes_per_s[machines]]
    if stuck.size:
        first = int(stuck[0])
        more = f", and {counted(stuck.size - 1, 'more machine')} likewise" if stuck.size > 1 else ""
        need = fleet.critical_bytes_per_s[first]
        ends = f"ends at {format_rate(float(need))} or more" if np.isfinite(need) else "never ends on its link"
        have = min(float(fleet.carries[fleet.home[first]]), fleet.demand_bytes_per_s)
        raise Conflict(
            f"{fleet.hosts[fleet.home[first]]} cannot be emptied",
            [f"{fleet.vms[first]} {ends}{more}", f"one migration is carried at {format_rate(have)} at most"],
            "allow it a longer downtime, raise the cap (--max-bandwidth), or use auto-converge or post-copy",
        )
