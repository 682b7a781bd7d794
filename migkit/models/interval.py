"""Between which bounds a run will lie: the engine run again with inputs drawn from what is known of them.

Uncertain are, with the relative spread that repeated runs of the shipped reference set show:
the speed of the path, the processor's time for a zero page, both once more in the push of post-copy, which goes as
fast as the processors are at the moment, the quota that a window really sends (of either version of QEMU, when it
is not said which), the guest's write rates, where its sweeps stand, and the moments at which the sender takes
notice, of an order to go post-copy, too. To the spread of the draws comes that of the writes themselves: a round
that marks ``n`` pages marks ``n`` give or take ``sqrt(n)``.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final

import numpy as np

from migkit.kernels import layout, policy
from migkit.kernels.layout import CLASS_BASE, CLASS_SLOTS
from migkit.models.history import History, run
from migkit.models.result import Interval
from migkit.scenario.pack import Packed

__all__ = ["LEVEL", "interval"]

LEVEL: Final = 0.9
DRAWS: Final = 12
MANY_ROUNDS: Final = 60  # of which fewer draws must do
SPREADS: Final = (
    (layout.GOODPUT, 0.3),
    (layout.ZERO_CPU_S, 0.25),
    (layout.CAP, 0.006),
)
PUSH_SPREAD: Final = 0.3  # of all that the push of post-copy takes
WRITES_SPREAD: Final = 0.02
NOTICE_S: Final = 0.006  # spread of set-up and of the stop
ORDER_S: Final = 0.01  # sooner or later than expected, a switch to post-copy is asked for
FLOOR: Final = 0.0025  # no quantity is known better than this
_MEASURES: Final = (layout.TOTAL_S, layout.DOWNTIME_S, layout.SENT)


def interval(packed: Packed, result: np.ndarray, rule: Any, level: float = LEVEL, seed: int = 0) -> Interval:
    """Return the bounds at ``level`` of total time, downtime and bytes.

    Parameters
    ----------
    packed
        The scenario.
    result
        What the engine said of it (:mod:`migkit.kernels.layout`).
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
    >>> low_s < result.total_time_s < high_s
    True
    """
    if result[layout.ACTION] == layout.SETTLED:
        return Interval(
            level=level, total_time_s=(math.inf,) * 2, downtime_s=(0.0, 0.0), transferred_bytes=(math.inf,) * 2
        )
    rng = random.Random(seed)
    number = max(2, min(DRAWS, int(DRAWS * MANY_ROUNDS / (2.0 * result[layout.ITERATIONS]))))
    draws = np.array([_draw(packed, rule, rng) for _ in range(number)])
    factor = _two_sided(level)
    low_high = [_bounds(float(result[at]), draws[:, i], factor) for i, at in enumerate(_MEASURES)]
    if result[layout.ACTION] == policy.TIME_OUT:
        low_high[0] = (float(result[layout.TOTAL_S]), float(result[layout.TOTAL_S]))
    return Interval(level=level, total_time_s=low_high[0], downtime_s=low_high[1], transferred_bytes=low_high[2])


def _draw(packed: Packed, rule: Any, rng: random.Random) -> tuple[float, ...]:
    """Run the engine once with drawn inputs."""
    record = packed.record.copy()
    for slot, spread in SPREADS:
        record[slot] *= math.exp(spread * rng.gauss(0.0, 1.0))
    push = math.exp(PUSH_SPREAD * rng.gauss(0.0, 1.0))
    record[layout.POSTCOPY_GOODPUT] *= push * record[layout.GOODPUT] / packed.record[layout.GOODPUT]
    record[layout.POSTCOPY_ZERO_CPU_S] /= push
    for slot in (layout.SETUP_S, layout.LOAD_S):
        record[slot] += NOTICE_S * abs(rng.gauss(0.0, 1.0))
    version = layout.FLUSH_PAGES if rng.random() < 0.5 else layout.FLUSH_PAGES_TOO
    record[layout.FLUSH_PAGES] = record[layout.FLUSH_PAGES_TOO] = record[version]
    for c in range(int(record[layout.CLASSES])):
        base = CLASS_BASE + c * CLASS_SLOTS
        at = base + layout.WRITES_PER_S
        spread = math.hypot(WRITES_SPREAD, 1.0 / math.sqrt(1.0 + record[at]))
        record[at] *= max(0.0, 1.0 + spread * rng.gauss(0.0, 1.0))
        record[base + layout.START_PAGES] = rng.random() * record[base + layout.PAGES]
    parameters = packed.parameters.copy()
    if parameters[policy.POSTCOPY_AFTER_S] > ORDER_S:
        parameters[policy.POSTCOPY_AFTER_S] += ORDER_S * (2.0 * rng.random() - 1.0)
    result = run(packed._replace(record=record, parameters=parameters), rule, History(0, 0))
    return tuple(float(result[at]) for at in _MEASURES)


def _bounds(best: float, draws: np.ndarray, factor: float) -> tuple[float, float]:
    """Return bounds around ``best`` from the draws below and above it, each side by its own spread."""
    below = math.sqrt(float(np.mean(np.minimum(draws - best, 0.0) ** 2)) * 2.0)
    above = math.sqrt(float(np.mean(np.maximum(draws - best, 0.0) ** 2)) * 2.0)
    return max(0.0, best - factor * math.hypot(below, FLOOR * best)), best + factor * math.hypot(above, FLOOR * best)


def _two_sided(level: float) -> float:
    """Return how many standard deviations of a normal distribution hold ``level`` of it."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if math.erf(middle / math.sqrt(2.0)) < level else (low, middle)
    return high
