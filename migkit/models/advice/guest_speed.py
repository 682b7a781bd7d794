"""How fast a guest runs from the request to the end of its migration, phase by phase."""

from __future__ import annotations

import math
from typing import NamedTuple

from migkit.models.result import Prediction

__all__ = ["Phase", "phases", "speed_over_time"]


class Phase(NamedTuple):
    """A time in which the guest runs at one speed."""

    start_s: float  # since the request
    end_s: float
    speed: float  # share of its full speed, 0 while it is down

    @property
    def lost_s(self) -> float:
        """Progress that the guest loses in the phase [s]."""
        return (1.0 - self.speed) * (self.end_s - self.start_s)


def phases(result: Prediction) -> tuple[Phase, ...]:
    """Return the phases of a predicted migration, in order and without gaps.

    While the guest runs at the source, each round has the speed that its throttle leaves. The guest loses more than
    that: ``guest_slowdown x total_time_s - sum(throttle x duration)``. The rest is spread evenly over the push of
    post-copy, where it waits for pages; without a push, over the time at the source.

    Examples
    --------
    >>> from migkit import Guest, Strategy, predict
    >>> [round(phase.speed, 2) for phase in phases(predict(guest=Guest(memory_bytes=2**28)))]
    [1.0, 1.0, 1.0, 0.0]
    >>> stopped = predict(guest=Guest(memory_bytes=2**28), strategy=Strategy(name="stopcopy"))
    >>> phases(stopped)[-1].speed
    0.0
    """
    end_s = result.total_time_s if math.isfinite(result.total_time_s) else result.timeline[-1].t_s
    stop_s = max(0.0, end_s - result.downtime_s - result.exposure_s)
    start_s = min(end_s, stop_s + result.downtime_s)
    rounds = _rounds(result, stop_s)
    left_s = max(0.0, result.guest_slowdown * end_s - sum(phase.lost_s for phase in rounds))
    if result.exposure_s > 0:
        push = Phase(start_s, end_s, max(0.0, 1.0 - left_s / (end_s - start_s)))
        return (*rounds, Phase(stop_s, start_s, 0.0), push)
    share = left_s / stop_s if stop_s > 0 else 0.0
    slowed = tuple(phase._replace(speed=max(0.0, phase.speed - share)) for phase in rounds)
    return (*slowed, Phase(stop_s, start_s, 0.0)) if start_s > stop_s else slowed


def speed_over_time(result: Prediction) -> list[tuple[float, float]]:
    """Return points ``(t_s, share)`` of the guest's speed, each share lasting to the next point, until the end.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> [share for _, share in speed_over_time(predict(guest=Guest(memory_bytes=2**28)))]
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    found = phases(result)
    return [*((phase.start_s, phase.speed) for phase in found), (found[-1].end_s, found[-1].speed)]


def _rounds(result: Prediction, stop_s: float) -> tuple[Phase, ...]:
    """Return the time at the source, round by round."""
    starts_s = [0.0, *(min(row.start_s, stop_s) for row in result.rounds)]
    ends_s = [*starts_s[1:], stop_s]
    speeds = [1.0, *(1.0 - row.throttle for row in result.rounds)]
    return tuple(Phase(*one) for one in zip(starts_s, ends_s, speeds, strict=True) if one[1] > one[0])
