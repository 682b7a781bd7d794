"""Small waves solved exactly by CP-SAT: the best plan with undivided links, and what no plan at all can beat.

**Undivided** is a plan in which every migration has, for its whole time, the most that it could take of its two
links. Its duration then does not depend on the others, and the wave is a scheduling problem: choose a destination and
a start for each machine under the capacities of links, slots, memory and anti-affinity. CP-SAT finds the best such
plan or the gap that is left. A plan that divides links may be shorter still.

**Placement** bounds every plan, divided or not: wherever machines go, a link is busy at least for the fewest bytes of
those that cross it. CP-SAT finds the placement with the least such bound.

Times are whole ticks, durations are rounded up. An undivided plan of length ``C`` becomes one of at most
``C (1 + e) + 1`` ticks, ``e = 1 / min d`` for the shortest duration ``d`` in ticks: every start is stretched by
``1 + e`` and rounded up, and ``floor(d (1 + e)) >= ceil(d)`` keeps each order. So ``(b - 1) / (1 + e)`` bounds
undivided plans where ``b`` bounds the rounded ones.
"""

from __future__ import annotations

import importlib
import math
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.errors import CapabilityError
from migkit.planning.drain import sharing
from migkit.planning.drain.bounds import Bound
from migkit.planning.drain.improve import Search
from migkit.planning.drain.problem import Problem
from migkit.planning.drain.timetable import Clock, Timetable

__all__ = ["MOST_MOVES", "Proof", "check_installed", "solved", "why_not"]

MOST_MOVES: Final = 40
_MOST_PAIRS: Final = 800  # of a machine and a destination
_TICKS: Final = 500  # of the shortest migration
_MOST_TICKS: Final = 10**9
_PARTS: Final = 1000  # of a slot


class Proof(NamedTuple):
    """What is proven of a wave.

    Attributes
    ----------
    undivided_s
        Length of the best plan with undivided links that was found; infinite where none was [s].
    undivided_bound_s
        No plan with undivided links is shorter [s].
    placement
        What no plan at all can beat.
    """

    undivided_s: float
    undivided_bound_s: float
    placement: Bound


def check_installed() -> None:
    """Raise unless CP-SAT is there.

    Raises
    ------
    CapabilityError
        The package ortools is not installed.
    """
    try:
        importlib.import_module("ortools.sat.python.cp_model")
    except ImportError as error:
        raise CapabilityError(
            "drain: exact plans need CP-SAT, which is not installed; install it: pip install 'migkit[exact]'"
        ) from error


def why_not(problem: Problem) -> str:
    """Return why a wave cannot be solved exactly, in words; empty: it can."""
    pairs = int(problem.allowed.sum())
    if problem.size > MOST_MOVES or pairs > _MOST_PAIRS:
        return f"{problem.size} moves and {pairs} pairs of machine and host are too many"
    priority = problem.fleet.priority[problem.machines]
    if priority.size and np.ptp(priority) > 0:
        return "priorities differ"
    if (problem.fleet.bound_for[problem.machines] >= 0).any():
        return "machines are under way already"
    if problem.allowed[:, problem.source].any():
        return "machines come to hosts that others leave"
    return ""


def solved(problem: Problem, clock: Clock, first: Search, time_s: float, seed: int) -> tuple[Search, Proof]:
    """Return the best undivided plan, or ``first`` where that is shorter, and what is proven.

    Parameters
    ----------
    problem, clock
        A wave that :func:`why_not` has nothing against, with at least one move.
    first
        A plan that is there already.
    time_s
        How long each of the two questions may take [s].
    seed
        Of CP-SAT.
    """
    wave = _Wave(problem, clock)
    placement = _placement(wave, time_s, seed)
    timetable, bound_s = _undivided(wave, first.timetable, time_s, seed)
    if timetable is None:
        return first, Proof(math.inf, bound_s, placement)
    key = timetable.start_s.copy()
    again = clock.run(timetable.host, key, 1.0)  # the same order without rounding to ticks
    best = min((timetable, again), key=lambda one: one.merit)
    proof = Proof(best.makespan_s, min(bound_s, best.makespan_s), placement)
    mine = Search(best, key, 1.0, first.rounds)
    return (mine if best.merit < first.timetable.merit else first), proof


class _Wave:
    """What both questions have in common: who may go where, how fast, for how long."""

    def __init__(self, problem: Problem, clock: Clock) -> None:
        fleet, case = problem.fleet, clock.case
        self.problem, self.case = problem, case
        self.pairs = [(int(m), int(h)) for m, h in np.argwhere(problem.allowed)]
        out = case.capacity[case.outlet]
        self.share = {(m, h): float(min(case.demand[m], out[m], fleet.carries[h])) for m, h in self.pairs}
        self.time_s = {
            (m, h): 1.0 / float(sharing.speed_at(case.rates[m], case.speeds[m], case.proportional[m], share))
            for (m, h), share in self.share.items()
        }
        shortest = min(self.time_s.values())
        whole = sum(max(self.time_s[pair] for pair in self.pairs if pair[0] == m) for m in range(problem.size))
        self.tick_s = max(shortest / _TICKS, whole / _MOST_TICKS)
        self.ticks = {pair: max(1, math.ceil(time_s / self.tick_s - 1e-9)) for pair, time_s in self.time_s.items()}
        self.horizon = sum(max(self.ticks[pair] for pair in self.pairs if pair[0] == m) for m in range(problem.size))

    def model(self) -> tuple[Any, dict[tuple[int, int], Any]]:
        """Return a model with a literal for each pair: each machine goes to one host, and hosts have room."""
        cp: Any = importlib.import_module("ortools.sat.python.cp_model")
        model = cp.CpModel()
        goes = {pair: model.new_bool_var("") for pair in self.pairs}
        problem = self.problem
        for m in range(problem.size):
            model.add_exactly_one(goes[pair] for pair in self.pairs if pair[0] == m)
        for h in {h for _, h in self.pairs}:
            here = [pair for pair in self.pairs if pair[1] == h]
            self._room(model, goes, here, h)
            for group in {int(problem.group[m]) for m, _ in here if problem.group[m] >= 0}:
                most = 1 - int(problem.members[group, h])
                model.add(sum(goes[pair] for pair in here if problem.group[pair[0]] == group) <= max(0, most))
        return model, goes

    def _room(self, model: Any, goes: Any, here: list[tuple[int, int]], host: int) -> None:
        problem = self.problem
        use = problem.fleet.use[problem.machines]
        for kind in range(use.shape[1]):
            free = float(problem.free[host, kind])
            if math.isfinite(free):
                taken = sum(round(float(use[m, kind]) * _PARTS) * goes[m, h] for m, h in here)
                model.add(taken <= round(max(0.0, free) * _PARTS * (1.0 + 1e-12)))


def _solver(time_s: float, seed: int) -> Any:
    cp: Any = importlib.import_module("ortools.sat.python.cp_model")
    solver = cp.CpSolver()
    solver.parameters.max_time_in_seconds = max(0.1, time_s)
    solver.parameters.random_seed = seed % 2**31
    solver.parameters.num_workers = 2
    return solver


def _placement(wave: _Wave, time_s: float, seed: int) -> Bound:
    """Return what the best placement leaves to the busiest link or the longest migration."""
    model, goes = wave.model()
    fleet, problem = wave.problem.fleet, wave.problem
    sent = fleet.fewest_bytes[problem.machines]
    end = model.new_int_var(0, 2 * wave.horizon + 1, "")
    for m, h in wave.pairs:
        model.add(end >= math.floor(wave.time_s[m, h] / wave.tick_s)).only_enforce_if(goes[m, h])
    for path in {int(fleet.nic[h]) for _, h in wave.pairs}:
        busy = [
            math.floor(sent[m] / fleet.link_bytes_per_s[path] / wave.tick_s) * goes[m, h]
            for m, h in wave.pairs
            if fleet.nic[h] == path
        ]
        model.add(sum(busy) <= end)
    model.minimize(end)
    solver = _solver(time_s, seed)
    solver.solve(model)
    bound_s = max(0.0, solver.best_objective_bound) * wave.tick_s
    weight = sent / fleet.carries[problem.source]
    return Bound(bound_s, "placement", "the links into the hosts that have room", weight)


def _undivided(wave: _Wave, first: Timetable, time_s: float, seed: int) -> tuple[Timetable | None, float]:
    """Return the best undivided plan that was found, and what none can beat [s]."""
    cp: Any = importlib.import_module("ortools.sat.python.cp_model")
    model, goes = wave.model()
    starts = [model.new_int_var(0, wave.horizon, "") for _ in range(wave.problem.size)]
    moves = {
        (m, h): model.new_optional_fixed_size_interval_var(starts[m], wave.ticks[m, h], goes[m, h], "")
        for m, h in wave.pairs
    }
    end = model.new_int_var(0, wave.horizon, "")
    for m, h in wave.pairs:
        model.add(end >= starts[m] + wave.ticks[m, h]).only_enforce_if(goes[m, h])
        model.add_hint(goes[m, h], bool(first.host[m] == h))
    _links(wave, model, moves)
    _slots(wave, model, moves)
    model.minimize(end)
    solver = _solver(time_s, seed)
    status = solver.solve(model)
    stretch = 1.0 + 1.0 / min(wave.ticks.values())
    bound_s = max(0.0, (solver.best_objective_bound - 1.0) / stretch) * wave.tick_s
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return None, bound_s
    host = np.array(
        [next(h for m, h in wave.pairs if m == at and solver.value(goes[m, h])) for at in range(len(starts))]
    )
    start_s = np.array([solver.value(one) * wave.tick_s for one in starts])
    chosen = list(enumerate(host.tolist()))
    end_s = start_s + np.array([wave.time_s[pair] for pair in chosen])
    sent = np.array([wave.share[pair] * wave.time_s[pair] for pair in chosen])
    return Timetable(host, start_s, end_s, sent), bound_s


def _links(wave: _Wave, model: Any, moves: dict[tuple[int, int], Any]) -> None:
    """Let no link carry more than it can; a byte a second of each is rounding."""
    case, fleet = wave.case, wave.problem.fleet
    half = case.capacity.size // 2
    crossing: dict[int, list[tuple[int, int]]] = {}
    for m, h in wave.pairs:
        for link in (int(case.outlet[m]), half + int(fleet.nic[h])):
            crossing.setdefault(link, []).append((m, h))
    for link, pairs in crossing.items():
        most = math.floor(float(case.capacity[link])) + wave.problem.size
        model.add_cumulative([moves[pair] for pair in pairs], [round(wave.share[pair]) for pair in pairs], most)


def _slots(wave: _Wave, model: Any, moves: dict[tuple[int, int], Any]) -> None:
    """Let migrations take no more slots than there are; one at both ends is paid once."""
    slots, source = wave.problem.slots, wave.problem.source
    paying: dict[int, list[tuple[tuple[int, int], int]]] = {}
    for limit in range(slots.out.shape[0]):
        for m, h in wave.pairs:
            for owner in {int(slots.out[limit, source[m]]), int(slots.into[limit, h])} - {-1}:
                cost = math.ceil(float(slots.cost[limit, m]) * _PARTS - 1e-6)
                paying.setdefault(owner, []).append(((m, h), cost))
    for owner, costs in paying.items():
        most = math.floor(float(slots.capacity[owner]) * _PARTS + 1e-6)
        model.add_cumulative([moves[pair] for pair, _ in costs], [cost for _, cost in costs], most)
