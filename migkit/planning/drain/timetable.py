"""When each machine moves, given where it goes and who is most urgent."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from migkit.planning.drain import sharing
from migkit.planning.drain.problem import Problem

__all__ = ["Clock", "Timetable"]


@dataclasses.dataclass(frozen=True)
class Timetable:
    """Times of a wave, from its beginning [s].

    Attributes
    ----------
    host
        Destination of each machine.
    start_s, end_s
        When each begins and ends; infinite where it never could.
    sent_bytes
        What each takes of its links.
    """

    host: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    sent_bytes: np.ndarray

    @property
    def makespan_s(self) -> float:
        """When the last machine has moved [s]."""
        return float(self.end_s.max(initial=0.0))

    @property
    def merit(self) -> tuple[float, float]:
        """What a better timetable has less of: its length, then the sum of all ends."""
        return self.makespan_s, float(self.end_s.sum())


class Clock:
    """Runs a wave's migrations against each other; made once for a problem, asked for many timetables."""

    def __init__(self, problem: Problem) -> None:
        fleet, machines, slots = problem.fleet, problem.machines, problem.slots
        self.problem = problem
        durations = fleet.durations.of(machines)
        demand = np.ascontiguousarray(durations.rates_bytes_per_s[:, -1])
        self.case = sharing.Case(
            source=problem.source,
            use=fleet.use[machines],
            group=problem.group,
            outlet=fleet.nic[problem.source],
            capacity=np.concatenate([fleet.link_bytes_per_s, fleet.link_bytes_per_s]),
            slot_out=slots.out,
            slot_into=slots.into,
            cost=slots.cost,
            rates=durations.rates_bytes_per_s,
            speeds=durations.speeds_per_s,
            proportional=durations.proportional,
            least=np.minimum(fleet.efficient_bytes_per_s[machines], demand),
            demand=demand,
            under_way=fleet.bound_for[machines] >= 0,
        )

    def alone_s(self) -> np.ndarray:
        """Return how long each machine takes when it has its source's link to itself [s]."""
        case = self.case
        share = np.minimum(case.demand, case.capacity[case.outlet])
        speeds = [
            sharing.speed_at(case.rates[m], case.speeds[m], case.proportional[m], share[m])
            for m in range(self.problem.size)
        ]
        return np.array([1.0 / speed if speed > 0 else math.inf for speed in speeds])

    def run(self, host: np.ndarray, key: np.ndarray, room: float) -> Timetable:
        """Return the timetable of machines that start in the order of ``key``, higher priority first.

        ``room`` is the part of a migration's demand that its links must have left for it to start.
        """
        order = self.order(key)
        live = self.fresh(host)
        sharing.run(order, np.empty_like(order), float(room), self.case, live)
        return Timetable(host, live.start, live.end, live.sent)

    def order(self, key: np.ndarray) -> np.ndarray:
        """Return the machines: those under way, then by priority, then by key."""
        problem = self.problem
        priority = problem.fleet.priority[problem.machines]
        return np.lexsort((np.arange(key.size), key, -priority, ~self.case.under_way))

    def fresh(self, host: np.ndarray) -> sharing.Live:
        """Return what changes, before anything has moved; each machine goes to its host."""
        problem, links, size = self.problem, self.case.capacity.size, self.problem.size
        load, number, need, left, flows = np.zeros((5, links))
        share, speed, progress, sent = np.zeros((4, size))
        start, end = np.full((2, size), math.inf)
        return sharing.Live(
            host=host,
            inlet=links // 2 + problem.fleet.nic[host],
            free=problem.free.copy(),
            members=problem.members.copy(),
            slots=problem.slots.capacity.copy(),
            load=load,
            number=number,
            need=need,
            left=left,
            flows=flows,
            used=np.zeros(links, dtype=np.int64),
            growing=np.zeros(size, dtype=np.int64),
            share=share,
            speed=speed,
            progress=progress,
            start=start,
            end=end,
            sent=sent,
        )
