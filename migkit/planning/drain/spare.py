"""The spare host that would do: the smallest one with which hosts that cannot be emptied could be.

Rolling maintenance of a full cluster is a cycle: each host waits for room on the others. One host more breaks it, as
soon as it holds what any of them must give away.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from migkit.planning.drain.destinations import placed, searched
from migkit.planning.drain.problem import Fleet, Problem
from migkit.planning.drain.waves import Order
from migkit.units import GIB, format_size

__all__ = ["Spare", "spare"]

_NAME: Final = "a spare host"
_MOST_PAIRS: Final = 2000  # of a machine and a host, that are searched exactly


class Spare(NamedTuple):
    """A host that is not there.

    Attributes
    ----------
    memory_bytes, processors
        The least that it needs [B]; infinite processors: they do not count.
    """

    memory_bytes: float
    processors: float

    @property
    def words(self) -> str:
        """What it is, in words."""
        cores = "" if math.isinf(self.processors) else f" and {self.processors:g} processors"
        return f"a spare host with {format_size(self.memory_bytes)}{cores} would do"


def spare(fleet: Fleet, order: Order) -> Spare | None:
    """Return the smallest spare host with which hosts can be emptied; None: not even the largest does.

    It stands in the cluster and at the storage of the first host that cannot be emptied, with a link as wide. It has
    at most the memory and the processors of the largest host there. Where there are too many machines for an exact
    search, a smaller one may do as well.
    """
    stuck = _stuck(fleet, order)
    if stuck is None:
        return None
    beside = fleet.cluster == fleet.cluster[stuck]
    memory, processors = fleet.capacity[beside, :2].max(axis=0)

    def does(some_bytes: float, cores: float) -> bool:
        return _stuck(_with_host(fleet, stuck, some_bytes, cores), order) is None

    if not does(memory, processors):
        return None
    least = GIB * _least(math.ceil(memory / GIB), lambda number: does(number * GIB, processors))
    cores = processors
    if math.isfinite(processors):
        cores = float(_least(math.ceil(processors), lambda number: does(least, float(number))))
    return Spare(float(least), cores)


def _least(most: int, does: Callable[[int], bool]) -> int:
    """Return the least whole number that does, up to one that is known to do, by halving."""
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if does(middle) else (middle, high)
    return high


def _stuck(fleet: Fleet, order: Order) -> int | None:
    """Return the first host that cannot be emptied in its turn; None: all can."""
    at = fleet.home.copy()
    waves = [np.array([host]) for host in order.empty] if order.rolling else [order.empty]
    for hosts in waves:
        machines = np.flatnonzero(np.isin(at, hosts))
        open_hosts = np.ones(len(fleet.hosts), dtype=bool)
        open_hosts[hosts] = False
        placement = _placed(Problem.of(fleet, machines, at, open_hosts, np.ones(open_hosts.size)))
        if placement is None:
            return int(hosts[0])
        if not order.return_home:
            at[machines] = placement
    return None


def _placed(problem: Problem) -> np.ndarray | None:
    """Return a host for each machine; None: none was found."""
    for tight in (False, True):
        host, _ = placed(problem, tight=tight)
        if (host >= 0).all():
            return host
    try:
        return searched(problem) if problem.allowed.sum() <= _MOST_PAIRS else None
    except TimeoutError:
        return None


def _with_host(fleet: Fleet, like: int, memory_bytes: float, processors: float) -> Fleet:
    """Return a fleet with an empty host more, beside another one."""
    link = fleet.link_bytes_per_s[fleet.nic[like]]
    return dataclasses.replace(
        fleet,
        hosts=np.append(fleet.hosts, _NAME),
        capacity=np.vstack([fleet.capacity, [memory_bytes, processors, fleet.capacity[like, 2]]]),
        pool=np.append(fleet.pool, fleet.pool[like]),
        cluster=np.append(fleet.cluster, fleet.cluster[like]),
        nic=np.append(fleet.nic, fleet.link_bytes_per_s.size),
        link_bytes_per_s=np.append(fleet.link_bytes_per_s, link),
    )
