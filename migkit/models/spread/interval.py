"""Between which bounds a run will lie: quantiles of the engine's runs with inputs drawn from what is known.

:mod:`migkit.models.spread.draws` says what is uncertain. The engine runs once for each point of a Latin hypercube,
up to 257 of them; each of 509 draws of what happens while the guest stands is added to one of these runs. A bound is
a quantile of these totals. What no run can undercut, the bytes of memory over the link, bounds total time from below.
At last bounds are widened by the residuals of real runs (:mod:`migkit.models.spread.residuals`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from migkit import jit
from migkit.engine import batch
from migkit.engine.records import SETTLED, Result
from migkit.models import goodput as paths
from migkit.models.result import Interval
from migkit.models.spread import draws, guests, residuals
from migkit.models.spread.hypercube import normals, uniforms
from migkit.policies import decision
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

__all__ = [
    "DOWNTIME_SCATTER",
    "DRAWS",
    "LEVEL",
    "RUN_TO_RUN",
    "Bounds",
    "bounds_of",
    "corrected",
    "corrected_draws",
    "interval",
    "runs_of",
]

LEVEL: Final = 0.9
DRAWS: Final = 509
# From one run to the next on the same machine, in logarithms. Of total time, what bytes, stop and set-up leave:
# 0.65 % of 240 KVM migrations over 1 Gbit/s (data/sysbench_kvm_1gbit.csv), 0.15 % of capped pre-copies of a database
# (data/kvm_database), 0.2 % of 63 reference runs (data/qemu). Of bytes, what the reference runs say.
RUN_TO_RUN: Final = 0.005
_BYTES_RUN_TO_RUN: Final = 0.0025
# Scale of Student's t with 2 degrees of freedom: the 240 runs say 0.176, the 17 of the database 0.164. Most stops are
# within a quarter of their median, one in seven takes more than twice as long.
DOWNTIME_SCATTER: Final = 0.176
# From one guest to another on the same machine, in logarithms: medians of downtimes of eight sizes differ by 7 % (the
# same data), and those that were told are off by as much themselves.
_GUEST_TO_GUEST: Final = 0.07 * math.sqrt(2.0)
_RUNS: Final = (257, 127, 61, 31, 17)  # of the engine
_MOST_TURNS: Final = (8000.0, 40_000.0, 40_000.0, 40_000.0)  # in all runs of an interval, but for the fewest
_POSTCOPY_TURNS: Final = 500.0  # that a push takes as long as
_PLAIN_TURNS: Final = 40_000.0  # in plain Python, a quarter of a second
_AT_ONCE: Final = 10_280  # runs of the engine, whose records stay in the cache


class Bounds(NamedTuple):
    """What the draws of each of many scenarios say.

    Attributes
    ----------
    low, high
        Arrays of shape ``(scenarios, 3)``: total time [s], downtime [s], bytes.
    probability
        Of convergence, one for each.
    total_time_s
        Of each scenario, its draws; what does not converge is infinite.
    """

    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    total_time_s: np.ndarray


def interval(case: Scenario, result: Result, rule: Any, level: float = LEVEL, seed: int = 0) -> Interval:
    """Return the bounds at ``level`` of total time, downtime and bytes.

    Parameters
    ----------
    case
        The scenario.
    result
        What the engine said of it.
    rule
        A policy of one's own, or None.
    level
        Probability that a run lies within, above 0 and below 1.
    seed
        From which the inputs are drawn.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> result = predict(guest=Guest(memory_bytes=2**28))
    >>> low_s, high_s = result.interval.total_time_s
    >>> low_s <= result.total_time_s < high_s
    True
    """
    results = np.array(result, dtype=float).reshape(1, -1)
    number = int(_numbers(_columns(results))[0])
    if number * float(result.turns) > _PLAIN_TURNS:
        jit.compile_kernels()
        rule = jit.callback(rule)
    found = bounds_of(case, results, rule, level, seed)
    by = residuals.learned_for(case)
    return dataclasses.replace(
        _interval(corrected(case, found, level, by), level),
        total_time_draws_s=tuple(corrected_draws(case, found, by)[0].tolist()),
        drawn=_interval(found, level),
        correction=residuals.sentence(case, level),
    )


def _interval(found: Bounds, level: float) -> Interval:
    low, high = found.low[0].tolist(), found.high[0].tolist()
    return Interval(
        level=level,
        total_time_s=(low[0], high[0]),
        downtime_s=(low[1], high[1]),
        transferred_bytes=(low[2], high[2]),
        converges=float(found.probability[0]),
    )


def corrected(case: Scenario, found: Bounds, level: float, by: residuals.Residuals | None) -> Bounds:
    """Return bounds widened by residuals; None: as they are.

    Examples
    --------
    >>> from migkit import Guest
    >>> case = Scenario(guest=Guest(memory_bytes=2**28))
    >>> found = Bounds(np.array([[2.0, 0.1, 1e9]]), np.array([[3.0, 0.2, 2e9]]), np.ones(1), np.full((1, 1), 2.5))
    >>> corrected(case, found, 0.9, None).high[0, 0].tolist()
    3.0
    """
    low, high = residuals.widened(case, found.low, found.high, _floor_s(case, found), level, by)
    return found._replace(low=low, high=high)


def corrected_draws(case: Scenario, found: Bounds, by: residuals.Residuals | None) -> np.ndarray:
    """Return the draws of total time in ascending order, moved as the bounds are that they would give [s].

    Examples
    --------
    >>> from migkit import Guest
    >>> case = Scenario(guest=Guest(memory_bytes=2**28))
    >>> found = Bounds(np.array([[2.0, 0.1, 1e9]]), np.array([[3.0, 0.2, 2e9]]), np.ones(1), np.array([[3.0, 2.0]]))
    >>> corrected_draws(case, found, None).tolist()
    [[2.0, 3.0]]
    """
    return residuals.stretched(found.total_time_s, _floor_s(case, found), by)


def _numbers(results: Any) -> np.ndarray:
    """Return how often the engine runs for each scenario: less often where one run takes long."""
    turns = results.turns + np.where(results.action == decision.POSTCOPY, _POSTCOPY_TURNS, 0.0)
    fits = [turns * number <= most for number, most in zip(_RUNS[:-1], _MOST_TURNS, strict=True)]
    return np.select(fits, _RUNS[:-1], _RUNS[-1])


def _parts(numbers: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the places of scenarios that take as many runs, and how many, no more together than the cache holds."""
    for number in sorted(set(numbers.tolist())):  # np.unique imports numpy.ma: a tenth of what numpy takes to start
        alike = np.flatnonzero(numbers == number)
        most = _AT_ONCE // number
        yield from ((alike[start : start + most], number) for start in range(0, alike.size, most))


def bounds_of(case: Scenario, results: np.ndarray, rule: Any, level: float, seed: int) -> Bounds:
    """Return the bounds of many scenarios that differ in numbers only.

    Parameters
    ----------
    case
        A scenario whose fields that are numbers may be arrays, one value for each row of ``results``.
    results
        What the engine said of each, one a row.
    rule, level, seed
        As for :func:`interval`.

    Examples
    --------
    >>> from migkit import Guest
    >>> from migkit.models.goodput import packed
    >>> from migkit.models.history import History, run
    >>> case = Scenario(guest=Guest(memory_bytes=2**28))
    >>> result = run(packed(case)[0], None, History(0, 0))
    >>> bounds_of(case, np.array(result).reshape(1, -1), None, 0.9, seed=0).probability
    array([1.])
    """
    rows = results.shape[0]
    numbers = _numbers(_columns(results))
    found = [np.zeros((rows, 3)), np.zeros((rows, 3)), np.zeros(rows), np.zeros((rows, DRAWS))]
    for some, number in _parts(numbers):
        part = case if some.size == rows else draws.selected(case, some)
        for whole, piece in zip(found, _bounds(part, results[some], number, rule, level, seed), strict=True):
            whole[some] = piece
    return Bounds(*found)


def _columns(results: np.ndarray) -> Any:
    return np.ascontiguousarray(results.T).view(Result)


def runs_of(wide: Scenario, runs: int, rule: Any) -> Any:
    """Return what the engine says of each of many scenarios that differ in numbers only, one column a result.

    Parameters
    ----------
    wide
        A scenario whose fields that are numbers may be arrays, one value for each run.
    runs
        How many there are.
    rule
        A policy of one's own, or None.

    Examples
    --------
    >>> from migkit import Guest
    >>> runs_of(draws.drawn(Scenario(guest=Guest(memory_bytes=2**28)), 17, 1, seed=0), 17, None).total_s.shape
    (17,)
    """
    packed, _ = paths.packed(wide, runs)
    out = np.zeros(runs * Result.SIZE)
    batch.migrate_many(batch.without_steps(packed, rule), out, rule)
    return _columns(out.reshape(runs, -1))


def _bounds(case: Scenario, results: np.ndarray, number: int, rule: Any, level: float, seed: int) -> Bounds:
    rows = results.shape[0]
    best = _columns(results)
    wide = draws.drawn(case, number, rows, seed)
    runs = runs_of(wide, number * rows, rule)
    ends = np.isin(runs.action, (decision.SWITCHOVER, decision.POSTCOPY)).reshape(rows, number)
    stored = paths.storage_sent_bytes(wide, runs.total_s)
    which = _partners(number)
    setup_s, stopped_s = draws.additions(case, DRAWS, seed)
    z, of_run = normals(DRAWS, draws.SCATTERS, seed), normals(number, 2, seed, draws.SPARE)
    converged, settled = ends[:, which], (runs.action == SETTLED).reshape(rows, number)
    stirred_bytes, stirred_s = _stirred(case, runs, of_run[:, 1])
    total_s = np.where(settled, math.inf, runs.total_s.reshape(rows, number))[:, which]
    added_s = setup_s + stopped_s + stirred_s[:, which]
    total_s = np.where(converged, total_s * np.exp(RUN_TO_RUN * z[:, 0]) + added_s, total_s)
    stands_s = np.where(ends, runs.downtime_s.reshape(rows, number), math.nan)[:, which]
    downtime_s = np.maximum(0.0, stands_s + stopped_s) * np.exp(_downtimes_off(case, seed))
    sent_bytes = np.where(settled, math.inf, (runs.sent_bytes + stored).reshape(rows, number))
    sent_bytes = sent_bytes * np.exp(_BYTES_RUN_TO_RUN * of_run[:, 0]) + stirred_bytes
    own = best.total_s, best.downtime_s, best.sent_bytes + paths.storage_sent_bytes(case, best.total_s)
    unending = best.action == SETTLED
    own = (np.where(unending, math.inf, own[0]), own[1], np.where(unending, math.inf, own[2]))
    bounds = [_quantiles(values, level) for values in (total_s, downtime_s, sent_bytes)]
    low = np.column_stack([np.minimum(one[0], value) for one, value in zip(bounds, own, strict=True)])
    high = np.column_stack([np.maximum(one[1], value) for one, value in zip(bounds, own, strict=True)])
    low[:, 0] = np.maximum(low[:, 0], np.minimum(own[0], _least_s(case, low[:, 2])))
    return Bounds(low, high, ends.mean(axis=1), np.where(converged, total_s, math.inf))


def _downtimes_off(case: Scenario, seed: int) -> np.ndarray:
    """Return by how much downtimes of runs are off, in logarithms, one for each draw.

    Draws of hosts whose downtimes are known run by run hold it already; what is left is how one guest differs from
    another.
    """
    if draws.holds_downtimes(case.host):
        return _GUEST_TO_GUEST * normals(DRAWS, draws.SCATTERS, seed)[:, 1]
    return DOWNTIME_SCATTER * _of_student(seed)


@functools.lru_cache(8)
def _of_student(seed: int) -> np.ndarray:
    """Return draws of Student's t with 2 degrees of freedom, ``(2 u - 1) / sqrt(2 u (1 - u))``."""
    u = uniforms(DRAWS, draws.SCATTERS, seed)[:, 1]
    values: np.ndarray = (2.0 * u - 1.0) / np.sqrt(2.0 * u * (1.0 - u))
    return values


def _stirred(case: Scenario, runs: Any, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a pre-copy of a guest that is said to write nothing sends again [B], and how long it takes [s]."""
    total_s = runs.total_s.reshape(-1, z.size)
    precopy = (runs.action == decision.SWITCHOVER).reshape(total_s.shape)
    again_bytes = np.where(precopy, guests.stirred_pages(case, total_s, z), 0.0) * PAGE_BYTES
    speed = np.minimum(paths.goodput(case), case.policy.max_bandwidth_bytes_per_s)
    return again_bytes, again_bytes / np.reshape(speed, (-1, 1))


@functools.cache
def _partners(number: int) -> np.ndarray:
    """Return which run of the engine each draw goes with: in an order that has nothing to do with that of either."""
    return np.array(random.Random(number).sample(range(DRAWS), DRAWS)) % number


def _floor_s(case: Scenario, found: Bounds) -> Any:
    """Return the total time that no run can undercut [s]."""
    return _least_s(case, np.maximum(found.low[:, 2], _content_bytes(case)))


def _content_bytes(case: Scenario) -> Any:
    """Return what has to be sent of the memory at least once [B]."""
    guest = case.guest
    if guest.fill == "zero":
        return 0.0
    ratio = guest.compression_ratio if case.strategy.compression != "none" else 1.0
    return (guest.memory_bytes - guest.zero_bytes) / ratio


def _least_s(case: Scenario, sent_bytes: np.ndarray) -> Any:
    """Return how long bytes take on the link alone [s]."""
    link = case.link
    share = (link.bandwidth_bytes_per_s - link.background_bytes_per_s) / link.migrations
    with np.errstate(invalid="ignore"):
        least: Any = np.where(np.isinf(sent_bytes), math.inf, sent_bytes / share)
    return least


def _quantiles(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both bounds of each row of values, of those that are numbers; 0 where none is."""
    count = np.sum(~np.isnan(values), axis=1)
    ordered = _ordered(values, level) if np.all(count == values.shape[1]) else np.sort(values, axis=1)
    rows = np.arange(values.shape[0])

    def at(share: float) -> np.ndarray:
        place = np.clip(share * count - 0.5, 0.0, np.maximum(count - 1, 0))  # the points lie in the middle of n parts
        below = place.astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low, high, part = ordered[rows, below], ordered[rows, above], place - below
        with np.errstate(invalid="ignore"):
            between = np.where(part > 0.0, low + (high - low) * part, low)
        return np.where(count > 0, np.where(np.isinf(high) & (part > 0.0), high, between), 0.0)

    return at((1.0 - level) / 2.0), at((1.0 + level) / 2.0)


def _ordered(values: np.ndarray, level: float) -> np.ndarray:
    """Return each row with the values around both quantiles where ascending order would have them."""
    number = values.shape[1]
    places = [
        math.floor(min(max(share * number - 0.5, 0.0), number - 1)) for share in ((1 - level) / 2, (1 + level) / 2)
    ]
    near = [min(max(place + step, 0), number - 1) for place in places for step in (-1, 0, 1, 2)]
    ordered: np.ndarray = np.partition(values, sorted(set(near)), axis=1)
    return ordered
