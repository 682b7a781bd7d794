"""Hosts emptied in waves: each wave empties some hosts at once, lets them be worked on, and may bring all back."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from migkit import jit
from migkit.planning.drain import bounds, exact, improve
from migkit.planning.drain.conflicts import NOT_FOUND, Conflict, place
from migkit.planning.drain.destinations import Room
from migkit.planning.drain.problem import Fleet, Problem
from migkit.planning.drain.timetable import Clock, Timetable

__all__ = ["Leg", "Order", "Rolling", "best_of", "rolled"]

_FRUGAL = 1e9  # where moves are scarce, no machine goes to a host that is still to be emptied if another has room
_WORSE = 4  # sizes of waves that may end later, one after the other, before smaller ones are given up
_WORTH_COMPILING = 24  # migrations of one wave; fewer take less in plain Python than loading compiled kernels


@dataclasses.dataclass(frozen=True)
class Order:
    """What is asked of one part of a fleet.

    Attributes
    ----------
    empty
        Hosts to empty, in the order in which they are worked on.
    service_s
        How long a host is worked on once it is empty [s].
    return_home
        Machines come back to their hosts after the work on them.
    rolling
        Hosts may be emptied in several waves; else all at once.
    shun
        A host that is to be emptied later counts as this many times as busy when a destination is chosen.
    """

    empty: np.ndarray
    service_s: float = 0.0
    return_home: bool = False
    rolling: bool = False
    shun: float = 4.0


@dataclasses.dataclass(frozen=True)
class Leg:
    """Migrations that run against each other: those of one wave, out or home.

    Attributes
    ----------
    wave
        Number, from 1.
    kind
        ``out`` or ``home``.
    hosts
        Hosts that are emptied, or filled again.
    start_s
        When it begins [s].
    bounds
        What no timetable of it can beat, the greatest first.
    search
        The timetable, and the order and room from which it follows.
    proof
        What was proven of it exactly, or why nothing was, in words; None: it was not asked for.
    """

    wave: int
    kind: str
    hosts: np.ndarray
    start_s: float
    problem: Problem
    search: improve.Search
    bounds: Sequence[bounds.Bound]
    proof: exact.Proof | str | None = None

    @property
    def timetable(self) -> Timetable:
        """When each machine moves."""
        return self.search.timetable

    @property
    def rounds(self) -> int:
        """Rounds of the search that found it."""
        return self.search.rounds

    @property
    def end_s(self) -> float:
        """When the last of them has ended [s]."""
        return self.start_s + self.timetable.makespan_s

    @property
    def bound_s(self) -> float:
        """No timetable of it is shorter [s]."""
        return self.bounds[0].time_s if self.bounds else 0.0


@dataclasses.dataclass(frozen=True)
class Rolling:
    """All waves of one part of a fleet, one after the other."""

    fleet: Fleet
    legs: tuple[Leg, ...]
    order: Order

    @property
    def end_s(self) -> float:
        """When the last work on a host has ended and the last machine is back [s]."""
        outs = [leg.end_s + self.order.service_s for leg in self.legs if leg.kind == "out"]
        return max([*outs, *(leg.end_s for leg in self.legs)], default=0.0)

    @property
    def moves(self) -> int:
        """How many migrations there are."""
        return sum(leg.problem.size for leg in self.legs)

    @property
    def bound_s(self) -> float:
        """No timetable of these waves is shorter [s]."""
        waves = sum(leg.kind == "out" for leg in self.legs)
        return sum(leg.bound_s for leg in self.legs) + waves * self.order.service_s


Searching = Callable[[Clock, improve.Search, Room, float, int], improve.Search]
Proving = Callable[[Problem, Clock, improve.Search], tuple[improve.Search, exact.Proof]]


def rolled(
    fleet: Fleet, order: Order, at_once: int, search: Searching | None = None, prove: Proving | None = None
) -> Rolling:
    """Return waves of at most ``at_once`` hosts, each as large as there is room for.

    ``search`` improves the greedy timetable of each leg, and ``prove`` solves it exactly; None leaves it.

    Raises
    ------
    Conflict
        Not even one host can be emptied.
    """
    at = fleet.home.copy()
    waiting = order.empty.tolist()
    now = 0.0
    legs: list[Leg] = []
    size = at_once
    while waiting:
        problem = None
        while problem is None:
            hosts = np.array(waiting[:size], dtype=np.int64)
            later = np.array(waiting[size:], dtype=np.int64)
            problem, host = _wave(fleet, order, at, hosts, later, may_shrink=order.rolling and len(hosts) > 1)
            size = size if problem is not None else len(hosts) // 2
        waiting = waiting[size:]
        wave = 1 + sum(leg.kind == "out" for leg in legs)
        leg = _leg(wave, "out", hosts, now, problem, host, search, prove)
        legs.append(leg)
        before = at.copy()
        at[problem.machines] = leg.timetable.host
        now = leg.end_s + order.service_s
        if order.return_home and problem.size:
            back = _home(fleet, at, problem.machines, before, hosts)
            legs.append(_leg(wave, "home", hosts, now, back, before[problem.machines], search, prove))
            at = before
            now = legs[-1].end_s
    return Rolling(fleet, tuple(legs), order)


def best_of(fleet: Fleet, order: Order, sizes: Sequence[int], most_moves: float) -> tuple[Rolling, int]:
    """Return the greedy waves that end first within a budget of moves, and how many hosts they empty at once.

    ``sizes`` are the numbers that are tried, descending. Smaller waves are tried until several sizes in turn end
    later than the best one, or the work on the hosts alone would.

    Raises
    ------
    Conflict
        Not even one host can be emptied.
    """
    tried: list[tuple[Rolling, int]] = []
    if order.rolling and math.isfinite(most_moves):
        frugal = dataclasses.replace(order, shun=_FRUGAL)
        tried = [(rolled(fleet, frugal, size), size) for size in sizes]
    best_s, later = math.inf, 0
    for size in sizes:
        if later == _WORSE or math.ceil(len(order.empty) / size) * order.service_s > best_s:
            break
        tried.append((rolled(fleet, order, size), size))
        one = tried[-1][0]
        later = later + 1 if one.end_s > best_s else 0
        if one.moves <= most_moves:
            best_s = min(best_s, one.end_s)
    return min(tried, key=lambda one: (max(one[0].moves, most_moves), one[0].end_s, one[0].moves))


def searching(time_s: float, rounds: int | None, until: float, seed: int, moves: int) -> Searching:
    """Return what improves each leg: a part of the time, or of the rounds, as large as its part of the work."""
    spent = [0]

    def search(clock: Clock, first: improve.Search, room: Room, bound_s: float, size: int) -> improve.Search:
        part = size / max(1, moves)
        number = int(rounds * part) if rounds is not None else improve.rounds_within(time_s * part, size)
        left = max(0.0, until - time.monotonic())
        share = min(1.0, 1.5 * size / max(1, moves - spent[0]))
        spent[0] += size
        return improve.improved(clock, first, room, bound_s, number, seed, time.monotonic() + left * share, _nothing)

    return search


def proving(time_s: float, seed: int, moves: int) -> Proving:
    """Return what solves each leg exactly, in a part of the time as large as its part of the moves [s]."""

    def prove(problem: Problem, clock: Clock, first: improve.Search) -> tuple[improve.Search, exact.Proof]:
        return exact.solved(problem, clock, first, 0.5 * time_s * problem.size / max(1, moves), seed)

    return prove


def _nothing(amount: float) -> None:
    """Take a step of progress that nobody watches."""


def _wave(
    fleet: Fleet, order: Order, at: np.ndarray, hosts: np.ndarray, later: np.ndarray, *, may_shrink: bool
) -> tuple[Problem | None, np.ndarray]:
    """Return the problem of emptying hosts and a placement; None where there is none and fewer may be tried."""
    machines = np.flatnonzero(np.isin(at, hosts) | (fleet.bound_for >= 0))
    open_hosts = np.ones(len(fleet.hosts), dtype=bool)
    open_hosts[hosts] = False
    weight = np.ones(len(fleet.hosts))
    weight[later] = order.shun
    problem = Problem.of(fleet, machines, at, open_hosts, weight)
    try:
        return problem, place(problem)
    except Conflict:
        if not may_shrink:
            raise
        return None, machines


def _home(fleet: Fleet, at: np.ndarray, machines: np.ndarray, before: np.ndarray, hosts: np.ndarray) -> Problem:
    open_hosts = np.zeros(len(fleet.hosts), dtype=bool)
    open_hosts[hosts] = True
    return Problem.of(fleet, machines, at, open_hosts, np.ones(len(open_hosts)), before[machines])


def _leg(
    wave: int,
    kind: str,
    hosts: np.ndarray,
    start_s: float,
    problem: Problem,
    host: np.ndarray,
    search: Searching | None,
    prove: Proving | None,
) -> Leg:
    if problem.size >= _WORTH_COMPILING:
        jit.compile_kernels()
    clock = Clock(problem)
    found = improve.greedy(clock, host)
    limits = bounds.bounds(problem, clock)
    if search is not None and problem.size > 1:
        room = Room(problem)
        for m in range(problem.size):
            room.put(m, int(found.timetable.host[m]))
        found = search(clock, found, room, limits[0].time_s, problem.size)
    if not math.isfinite(found.timetable.makespan_s):
        raise _stuck(problem, found.timetable)
    if prove is None or not problem.size:
        return Leg(wave, kind, hosts, start_s, problem, found, limits)
    refused = exact.why_not(problem)
    if refused:
        return Leg(wave, kind, hosts, start_s, problem, found, limits, refused)
    found, proof = prove(problem, clock, found)
    limits = sorted([*limits, proof.placement], key=lambda one: -one.time_s)
    return Leg(wave, kind, hosts, start_s, problem, found, limits, proof)


def _stuck(problem: Problem, timetable: Timetable) -> Conflict:
    m = int(np.argmax(timetable.end_s))
    fleet = problem.fleet
    return Conflict(
        f"{fleet.vms[problem.machines[m]]} never finds its way",
        [f"{fleet.hosts[timetable.host[m]]} is full until machines leave it", "those wait for each other"],
        "add a spare host",
        NOT_FOUND,
    )
