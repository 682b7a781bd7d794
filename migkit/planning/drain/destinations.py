"""Where each machine goes: the host whose incoming link is done first, else any that the exact search finds."""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.planning.drain.problem import Problem

__all__ = ["Room", "placed", "searched"]

_MOST_PAIRS: Final = 200_000  # of a machine and a host, that the exact search takes
_SEARCH_S: Final = 20.0


class Room:
    """What destinations have left, and how busy their links are, while machines are put on them."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.free = np.maximum(problem.free, 0.0)
        self.members = problem.members.copy()
        fleet = problem.fleet
        self.work_s = np.zeros(len(fleet.hosts))
        self.cost_s = fleet.fewest_bytes[problem.machines]
        self.carries = fleet.carries
        self.weight = problem.weight

    def fitting(self, m: int) -> np.ndarray:
        """Return the hosts that may take one machine now."""
        problem = self.problem
        use = problem.fleet.use[problem.machines[m]]
        good = problem.allowed[m] & np.all(use <= self.free * (1.0 + 1e-12), axis=1)
        if problem.group[m] >= 0:
            good &= self.members[problem.group[m]] == 0
        return np.flatnonzero(good)

    def put(self, m: int, host: int, sign: int = 1) -> None:
        """Put a machine on a host (1), or take it off again (-1)."""
        problem = self.problem
        self.free[host] -= sign * problem.fleet.use[problem.machines[m]]
        self.work_s[host] += sign * self.cost_s[m] / self.carries[host]
        if problem.group[m] >= 0:
            self.members[problem.group[m], host] += sign

    def busy_s(self, m: int, hosts: np.ndarray) -> np.ndarray:
        """Return when the incoming link of each host is done, were one more machine to come [s]."""
        return np.asarray((self.work_s[hosts] + self.cost_s[m] / self.carries[hosts]) * self.weight[hosts])


def placed(problem: Problem, *, tight: bool = False) -> tuple[np.ndarray, Room]:
    """Return a host for each machine, -1 where none was left, and the room that remains.

    The largest machine comes first. It goes to the host whose incoming link is done first, or, ``tight``, to the
    host where it leaves the least memory.
    """
    room = Room(problem)
    host = np.full(problem.size, -1, dtype=np.int64)
    use = problem.fleet.use[problem.machines]
    for m in np.lexsort((np.arange(problem.size), -use[:, 0], -(problem.group >= 0).astype(int))).tolist():
        fitting = room.fitting(m)
        if fitting.size:
            score = room.free[fitting, 0] if tight else room.busy_s(m, fitting)
            host[m] = int(fitting[np.argmin(score)])
            room.put(m, int(host[m]))
    return host, room


def searched(problem: Problem) -> np.ndarray | None:
    """Return a host for each machine by mixed-integer programming (HiGHS); None: there is none.

    Raises
    ------
    TimeoutError
        The search is too large or took too long to tell.
    """
    from scipy import optimize, sparse

    pairs = np.argwhere(problem.allowed)
    if len(np.unique(pairs[:, 0])) < problem.size:
        return None
    if len(pairs) > _MOST_PAIRS:
        raise TimeoutError
    machine, host = pairs.T
    rows: list[sparse.csr_array] = [_sums(machine, np.ones(len(pairs)), problem.size)]
    low, high = [np.ones(problem.size)], [np.ones(problem.size)]
    use = problem.fleet.use[problem.machines]
    for kind in range(use.shape[1]):
        bounded = np.isfinite(problem.free[:, kind])
        if bounded.any():
            most = np.where(bounded, np.maximum(problem.free[:, kind], 0.0), 0.0)
            scale = max(1.0, float(most.max()))
            rows.append(_sums(host, np.where(bounded[host], use[machine, kind] / scale, 0.0), bounded.size))
            low.append(np.full(bounded.size, -np.inf))
            high.append(most / scale * (1.0 + 1e-12))
    if problem.members.size:
        grouped = problem.group[machine] >= 0
        key = np.where(grouped, problem.group[machine] * problem.members.shape[1] + host, 0)
        rows.append(_sums(key, grouped.astype(float), problem.members.size))
        low.append(np.full(problem.members.size, -np.inf))
        high.append(np.maximum(1.0 - problem.members.ravel(), 0.0))
    found = optimize.milp(
        np.zeros(len(pairs)),
        constraints=optimize.LinearConstraint(sparse.vstack(rows), np.concatenate(low), np.concatenate(high)),
        integrality=np.ones(len(pairs), dtype=np.int64),
        bounds=optimize.Bounds(0, 1),
        options={"time_limit": _SEARCH_S},
    )
    if found.status == 2:  # proven infeasible
        return None
    if found.x is None:
        raise TimeoutError
    chosen = pairs[found.x > 0.5]
    out = np.empty(problem.size, dtype=np.int64)
    out[chosen[:, 0]] = chosen[:, 1]
    return out


def _sums(row: np.ndarray, value: np.ndarray, rows: int):  # type: ignore[no-untyped-def]
    from scipy import sparse

    return sparse.csr_array((value, (row, np.arange(row.size))), shape=(rows, row.size))
