"""What no timetable of a wave can beat, resource by resource.

A migration takes at least ``min b / s(b)`` bytes of each link it crosses (see :mod:`migkit.planning.durations`), its
slots for at least its shortest time, and that time itself. A resource is busy at least as long as all that must use
it take of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from migkit.planning.drain.problem import Problem
from migkit.planning.drain.timetable import Clock

__all__ = ["Bound", "bounds"]


class Bound(NamedTuple):
    """A least time, and what sets it.

    Attributes
    ----------
    time_s
        No timetable is shorter [s].
    kind
        ``machine``, ``link`` or ``slots``.
    what
        Which one, in words.
    weight_s
        What each machine adds to it [s].
    """

    time_s: float
    kind: str
    what: str
    weight_s: np.ndarray


def bounds(problem: Problem, clock: Clock) -> list[Bound]:
    """Return the least times that each kind of resource sets, the greatest first."""
    if not problem.size:
        return []
    found = [_machine(problem, clock), *_links(problem), *_slots(problem, clock)]
    return sorted(found, key=lambda one: -one.time_s)


def _machine(problem: Problem, clock: Clock) -> Bound:
    alone_s = clock.alone_s()
    longest = int(np.argmax(alone_s))
    weight = np.where(np.arange(problem.size) == longest, alone_s, 0.0)
    return Bound(float(alone_s[longest]), "machine", str(problem.fleet.vms[problem.machines[longest]]), weight)


def _links(problem: Problem) -> list[Bound]:
    """Return the bounds of the busiest path out, and of all paths in together."""
    fleet = problem.fleet
    sent = fleet.fewest_bytes[problem.machines]
    nic = fleet.nic[problem.source]
    busy = np.bincount(nic, weights=sent, minlength=fleet.link_bytes_per_s.size) / fleet.link_bytes_per_s
    worst = int(np.argmax(busy))
    sources = np.unique(problem.source[nic == worst])
    out = Bound(
        float(busy[worst]),
        "link",
        f"the link of {_named(fleet, sources)}",
        np.where(nic == worst, sent / fleet.link_bytes_per_s[worst], 0.0),
    )
    open_paths = np.unique(fleet.nic[problem.allowed.any(axis=0)])
    carried = float(fleet.link_bytes_per_s[open_paths].sum())
    if carried == 0.0:
        return [out]
    return [out, Bound(float(sent.sum() / carried), "link", "the links of all destinations", sent / carried)]


def _slots(problem: Problem, clock: Clock) -> list[Bound]:
    """Return the bounds of slots that machines must pay whatever their destination."""
    fleet, slots = problem.fleet, problem.slots
    alone_s = clock.alone_s()
    found = []
    for at, limit in enumerate(fleet.limits):
        if limit.direction == "in":
            continue
        taken_s = slots.cost[at] * alone_s / limit.slots
        owner = slots.out[at][problem.source]
        there = owner >= 0
        if not there.any():
            continue
        busy = np.bincount(owner[there], weights=taken_s[there])
        worst = int(np.argmax(busy))
        mine = owner == worst
        whose = "" if limit.scope == "cluster" else f" of {_named(fleet, np.unique(problem.source[mine]))}"
        found.append(Bound(float(busy[worst]), "slots", f"{limit}{whose}", np.where(mine, taken_s, 0.0)))
    return found


def _named(fleet: object, hosts: np.ndarray) -> str:
    names = fleet.hosts[hosts]  # type: ignore[attr-defined]
    return str(names[0]) if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
