"""The two who may carry out a drain, each ready to do so once a draw: a manager with its queue, and a plan."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple, Protocol

import numpy as np

from migkit.planning.drain import sharing
from migkit.planning.drain.planned import Planned
from migkit.planning.drain.problem import Fleet, Problem
from migkit.planning.drain.timetable import Clock
from migkit.planning.drain.waves import Leg
from migkit.planning.rehearsal import dispatch
from migkit.planning.rehearsal.managers import Manager
from migkit.planning.rehearsal.outcomes import Outcomes

__all__ = ["Course", "ManagerStage", "PlanStage", "Stage"]

NOTHING: Final = dispatch.Damage(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


class Course(NamedTuple):
    """How one draw went.

    Attributes
    ----------
    empty_s
        When each host that is emptied has lost its last machine; infinite: never [s].
    end_s
        When each machine has left; infinite: never [s]. Those that need not move: 0.
    waited_s, failed_s, ran_s
        How long it waited for its first attempt, what attempts and pauses took that came to nothing, and how long the
        last attempt ran [s].
    tries
        Attempts of each machine.
    state
        As in :mod:`migkit.planning.rehearsal.dispatch`.
    share_bytes_per_s
        What each got of its links while it migrated [B/s].
    """

    empty_s: np.ndarray
    end_s: np.ndarray
    waited_s: np.ndarray
    failed_s: np.ndarray
    ran_s: np.ndarray
    tries: np.ndarray
    state: np.ndarray
    share_bytes_per_s: np.ndarray

    @classmethod
    def empty(cls, hosts: int, machines: int) -> Course:
        """Return the course before anything moves."""
        zeros = np.zeros((5, machines))
        return cls(
            np.zeros(hosts),
            zeros[0],
            zeros[1],
            zeros[2],
            zeros[3],
            np.zeros(machines, dtype=np.int64),
            np.full(machines, dispatch.WAITS, dtype=np.int64),
            zeros[4],
        )


class Stage(Protocol):
    """Who carries out a drain."""

    fleet: Fleet
    hosts: np.ndarray

    def play(self, outcomes: Outcomes, draw: int, seed: int, until_s: float) -> Course:
        """Return how one draw goes."""
        ...


def _tale(patience: np.ndarray, problem: Problem, fleet: Fleet) -> dispatch.Tale:
    size, hosts = problem.size, len(fleet.hosts)
    zeros = np.zeros((6, size))
    return dispatch.Tale(
        patience=patience,
        allowed=problem.allowed,
        is_shut=np.zeros(hosts, dtype=bool),
        harm=np.zeros(hosts, dtype=np.int64),
        size=fleet.capacity[:, 0],
        nic=fleet.nic,
        worn=zeros[0],
        pace=zeros[1],
        state=np.full(size, dispatch.WAITS, dtype=np.int64),
        tries=np.zeros(size, dtype=np.int64),
        ready_s=zeros[2],
        begun_s=zeros[3],
        first_s=zeros[4],
        spent_s=zeros[5],
    )


def _written(course: Course, machines: np.ndarray, tale: dispatch.Tale, live: sharing.Live, start_s: float) -> None:
    """Write what became of machines, from a clock that began at ``start_s`` [s]."""
    tried = tale.tries > 0
    moved = tale.state == dispatch.MOVED
    end_s = np.where(np.isfinite(live.end), live.end, math.inf)
    course.end_s[machines] = start_s + end_s
    course.waited_s[machines] = np.where(tried, tale.first_s, math.inf)
    course.failed_s[machines] = np.where(tried, tale.begun_s - tale.first_s, 0.0)
    course.ran_s[machines] = np.where(moved, live.end - tale.begun_s, 0.0)
    course.tries[machines] = tale.tries
    course.state[machines] = tale.state
    with np.errstate(divide="ignore", invalid="ignore"):
        busy_s = tale.spent_s + course.ran_s[machines]
        mean = np.where(busy_s > 0, live.sent / busy_s, 0.0)
    course.share_bytes_per_s[machines] = np.where(tale.state == dispatch.RUNS, live.share, mean)


class ManagerStage:
    """A manager that empties hosts wave by wave.

    Parameters
    ----------
    fleet
        The inventory.
    hosts
        Hosts to empty.
    manager
        Its limits and what it tries again.
    at_once
        Hosts in a wave.
    service_s
        How long each wave is worked on once it is empty [s].
    damage
        What breaks.
    """

    def __init__(
        self,
        fleet: Fleet,
        hosts: np.ndarray,
        manager: Manager,
        at_once: int,
        service_s: float = 0.0,
        damage: dispatch.Damage = NOTHING,
    ) -> None:
        everybody = np.arange(len(fleet.vms))
        some = everybody if at_once < hosts.size else np.flatnonzero(np.isin(fleet.home, hosts))
        free = np.ones(len(fleet.hosts), dtype=bool)
        problem = Problem.of(fleet, some, fleet.home, free, np.ones(free.size))
        allowed = fleet.may_go(some, fleet.home, free, ("link",))
        allowed[np.arange(some.size), problem.source] = True  # once it has left
        self.problem = dataclasses.replace(problem, allowed=allowed)
        self.fleet, self.hosts, self.damage = fleet, hosts, damage
        self.retries = manager.attempts, manager.backoff_s, manager.backoff_factor
        self.is_shuffled = manager.is_shuffled
        self.waves = [hosts[at : at + at_once] for at in range(0, hosts.size, at_once)]
        self.service_s = service_s
        self.clock = Clock(self.problem)

    def play(self, outcomes: Outcomes, draw: int, seed: int, until_s: float) -> Course:
        """Return how one draw goes."""
        problem, fleet = self.problem, self.fleet
        speeds, patience = outcomes.clocks(draw)
        some = problem.machines
        base = self.clock.case
        case = base._replace(
            source=base.source.copy(),
            outlet=base.outlet.copy(),
            capacity=base.capacity.copy(),
            rates=outcomes.rates_bytes_per_s[some],
            speeds=speeds[some],
            proportional=outcomes.proportional[some],
            demand=np.ascontiguousarray(outcomes.rates_bytes_per_s[some, -1]),
        )
        live = self.clock.fresh(problem.source.copy())
        tale = _tale(patience[some], problem, fleet)
        course = Course.empty(self.hosts.size, len(fleet.vms))
        order = self._order(np.random.default_rng([seed, draw]))
        now, done, at, scratch = 0.0, 0, 0, np.empty_like(order)
        for wave in self.waves:
            tale.is_shut[wave] = True
            left_from = np.where(np.isin(case.source, wave), case.source, -1)
            queue = order[(left_from[order] >= 0) & ~fleet.pinned[some[order]]]
            tale.state[queue], tale.tries[queue] = dispatch.WAITS, 0
            waiting = np.resize(queue, order.size)
            rules = dispatch.Rules(-1.0, 1, *self.retries, now + until_s)
            end_s, done = dispatch.dispatch(
                waiting,
                queue.size,
                scratch,
                now,
                rules,
                self.damage,
                done,
                base.capacity,
                case,
                live,
                tale,
            )
            for host in wave.tolist():
                still = np.any(case.source == host)
                last_s = max(now, float(live.end[left_from == host].max(initial=0.0)))
                course.empty_s[at] = math.inf if still else last_s
                at += 1
            tale.is_shut[wave] = False
            now = end_s + self.service_s
            if not np.isfinite(course.empty_s[:at]).all():
                course.empty_s[at:] = math.inf
                break
        _written(course, some, tale, live, 0.0)
        return course

    def _order(self, draw: np.random.Generator) -> np.ndarray:
        """Return the queue: by priority, then as the manager has it."""
        size = self.problem.size
        key = draw.permutation(size) if self.is_shuffled else np.arange(size)
        return self.clock.order(key)


class PlanStage:
    """A plan that is carried out in its order: each migration starts when what it waits for has ended."""

    def __init__(self, planned: Planned, hosts: np.ndarray) -> None:
        self.fleet, self.planned, self.hosts = planned.fleet, planned, hosts
        self.clocks = [[Clock(leg.problem) for leg in part.legs] for part in planned.parts]
        vm = {name: at for at, name in enumerate(planned.fleet.vms)}
        host = {name: at for at, name in enumerate(planned.fleet.hosts[hosts])}
        self.vms = [np.array([vm[name] for name in part.fleet.vms], dtype=np.int64) for part in planned.parts]
        self.names = [
            np.array([host.get(name, -1) for name in part.fleet.hosts], dtype=np.int64) for part in planned.parts
        ]

    def play(self, outcomes: Outcomes, draw: int, seed: int, until_s: float) -> Course:
        """Return how one draw goes; nothing is left to chance but the durations."""
        course = Course.empty(self.hosts.size, len(self.fleet.vms))
        clocks = outcomes.clocks(draw)
        ends = [self._part(number, outcomes, clocks, until_s, course) for number in range(len(self.planned.parts))]
        for number, offset_s in enumerate(self.planned.offsets_s(ends)):
            course.end_s[self.vms[number]] += offset_s
            course.empty_s[self.names[number][self.names[number] >= 0]] += offset_s
        return course

    def _part(
        self,
        number: int,
        outcomes: Outcomes,
        clocks: tuple[np.ndarray, np.ndarray],
        until_s: float,
        course: Course,
    ) -> float:
        """Carry out the waves of one part of the fleet; return when it ends [s]."""
        part, now, end_s = self.planned.parts[number], 0.0, 0.0
        for leg, clock in zip(part.legs, self.clocks[number], strict=True):
            leg_s = self._leg(leg, clock, outcomes, clocks, self.vms[number], now, until_s, course)
            if leg.kind == "out":
                self._note_empty(leg, number, now, course)
            now += leg_s + (part.order.service_s if leg.kind == "out" else 0.0)
            end_s = max(end_s, now)
        return end_s

    def _leg(
        self,
        leg: Leg,
        clock: Clock,
        outcomes: Outcomes,
        clocks: tuple[np.ndarray, np.ndarray],
        vms: np.ndarray,
        now: float,
        until_s: float,
        course: Course,
    ) -> float:
        """Carry out one wave; return how long it takes [s]."""
        some = vms[leg.problem.machines]
        if not math.isfinite(now):
            course.end_s[some] = math.inf
            return math.inf
        case = clock.case._replace(
            source=clock.case.source.copy(),
            outlet=clock.case.outlet.copy(),
            rates=outcomes.rates_bytes_per_s[some],
            speeds=clocks[0][some],
            proportional=outcomes.proportional[some],
        )
        live = clock.fresh(leg.timetable.host.copy())
        tale = _tale(clocks[1][some], leg.problem, leg.problem.fleet)
        rules = dispatch.Rules(leg.search.room, 0, math.inf, 0.0, 1.0, until_s)
        waiting = clock.order(leg.search.key)
        end_s, _ = dispatch.dispatch(
            waiting, waiting.size, np.empty_like(waiting), 0.0, rules, NOTHING, 0, case.capacity, case, live, tale
        )
        _written(course, some, tale, live, now)
        return end_s

    def _note_empty(self, leg: Leg, number: int, now: float, course: Course) -> None:
        problem = leg.problem
        ends = course.end_s[self.vms[number][problem.machines]]
        for host in leg.hosts.tolist():
            at = self.names[number][host]
            if at >= 0:
                course.empty_s[at] = max(now, float(ends[problem.source == host].max(initial=0.0)))
