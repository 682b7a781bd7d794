"""From a first timetable to better ones: greedy at once, then large-neighbourhood search (Shaw 1998).

A round takes some machines off their destinations, those of the host that is done last among them, puts each back
where its link is done first, and moves them in the order. What is not worse is kept, so that no result is worse than
the greedy one. The same seed and the same number of rounds give the same plan.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from migkit.planning.drain.destinations import Room
from migkit.planning.drain.timetable import Clock, Timetable

__all__ = ["Search", "greedy", "improved", "rounds_within"]

_ROOMS: Final = (1.0, 0.75, 0.5, 0.25)
_EVENTS_PER_S: Final = 2.0e5  # of machines times migrations at once; half of what a usual processor does
_CLOSE: Final = 1.0 + 1e-4  # of the bound; no round is worth its time beyond it
_STALLED: Final = 600


class Search(NamedTuple):
    """A timetable, and what led to it."""

    timetable: Timetable
    key: np.ndarray
    room: float
    rounds: int = 0


def greedy(clock: Clock, host: np.ndarray) -> Search:
    """Return the best of the plain orders: longest first and shortest first, links filled more or less."""
    alone_s = clock.alone_s()
    tries = [
        Search(clock.run(host, key, room), key, room)
        for key in (-alone_s, alone_s)
        for room in (_ROOMS if key is not alone_s else (1.0,))
    ]
    return min(tries, key=lambda one: one.timetable.merit)


def rounds_within(time_s: float, moves: int) -> int:
    """Return how many rounds of so many moves take about this time on a usual processor [s]."""
    return max(0, int(time_s * _EVENTS_PER_S / max(20.0, moves * math.sqrt(moves))))


def improved(
    clock: Clock,
    first: Search,
    room: Room,
    bound_s: float,
    rounds: int,
    seed: int,
    until: float,
    step: Callable[[float], None],
) -> Search:
    """Return a timetable that is not worse.

    Parameters
    ----------
    clock, first
        The wave, and where to begin.
    room
        What is left on hosts with that placement; it is changed.
    bound_s
        No timetable is shorter; the search ends there [s].
    rounds, seed
        How long to search, and the seed of its choices.
    until
        Time of :func:`time.monotonic` at which the search ends however many rounds are left.
    step
        Called with each round's part of the time.
    """
    draw = np.random.default_rng(seed)
    best, idle, done = first, 0, 0
    while done < rounds and idle < _STALLED and best.timetable.makespan_s > bound_s * _CLOSE:
        if time.monotonic() > until:
            break
        tried, changes = _neighbour(clock, best, room, draw)
        done += 1
        step(1.0)
        if tried is not None and tried.timetable.merit <= best.timetable.merit:
            idle = 0 if tried.timetable.merit < best.timetable.merit else idle + 1
            best = tried
        else:
            idle += 1
            _undo(room, changes)
    return best._replace(rounds=done)


Changes = list[tuple[int, int, int]]


def _undo(room: Room, changes: Changes) -> None:
    for m, _, after in changes:
        if after >= 0:
            room.put(m, after, -1)
    for m, before, _ in changes:
        room.put(m, before)


def _neighbour(clock: Clock, best: Search, room: Room, draw: np.random.Generator) -> tuple[Search | None, Changes]:
    """Return a timetable near the best one, None where a machine found no place, and what changed."""
    host, key = best.timetable.host.copy(), best.key.copy()
    how, size = draw.random(), int(draw.integers(1, 9))
    filled = float(draw.choice(_ROOMS)) if draw.random() < 0.1 else best.room
    some = _chosen(best.timetable, clock.case.outlet, size, draw)
    changes: Changes = []
    if how < 0.65:
        for m in some:
            room.put(m, int(host[m]), -1)
        for m in some:
            before = int(host[m])
            host[m] = _another(room, m, draw)
            changes.append((m, before, int(host[m])))
            if host[m] < 0:
                changes += [(other, int(best.timetable.host[other]), -1) for other in some[len(changes) :]]
                return None, changes
            room.put(m, int(host[m]))
    if how > 0.4:
        span = float(np.ptp(key)) or 1.0
        early = draw.random(len(some)) < 0.7
        key[some] += np.where(early, -1.0, 1.0) * draw.random(len(some)) * span
    return Search(clock.run(host, key, filled), key, filled), changes


def _chosen(timetable: Timetable, outlet: np.ndarray, size: int, draw: np.random.Generator) -> list[int]:
    """Return some machines: those that end last, those beside them on either end, and any."""
    last = int(np.argmax(timetable.end_s))
    beside = np.flatnonzero((timetable.host == timetable.host[last]) | (outlet == outlet[last]))
    late = np.argsort(-timetable.end_s, kind="stable")[: 4 * size]
    pool = (beside, late, np.arange(outlet.size))[int(draw.integers(3))]
    found = draw.choice(pool, min(size, pool.size), replace=False)
    return list(dict.fromkeys([last, *found.tolist()])) if draw.random() < 0.6 else found.tolist()


def _another(room: Room, m: int, draw: np.random.Generator) -> int:
    """Return one of the three hosts that are done first with a machine; -1: none has room."""
    fitting = room.fitting(m)
    if not fitting.size:
        return -1
    busy = room.busy_s(m, fitting)
    near = fitting[np.argsort(busy * (1.0 + 0.1 * draw.random(busy.size)), kind="stable")[:3]]
    return int(near[min(near.size - 1, int(draw.exponential(0.7)))])
