"""What one migration rests on, and how far it may come out otherwise, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from migkit.models.predict import predict
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.models.result import Prediction
    from migkit.planning.targets import Targets
    from migkit.scenario import Scenario

__all__ = ["assumed", "risks"]

_LEVEL = 0.9


def assumed(case: Scenario, result: Prediction) -> Iterator[str]:
    """Yield what a prediction rests on.

    Examples
    --------
    >>> from migkit import Guest, Scenario, predict
    >>> case = Scenario(guest=Guest(memory_bytes=2**30))
    >>> list(assumed(case, predict(case)))[-1]
    'The guest writes nothing.'
    """
    if result.hosts:
        yield f"Hosts: {result.hosts}."
    yield "The guest writes in one manner during the whole migration, unless its page classes have phases."
    if not case.guest.dirty:
        yield "The guest writes nothing."


def risks(case: Scenario, targets: Targets) -> Iterator[str]:
    """Yield how far the migration may come out otherwise, and what would be lost.

    Examples
    --------
    >>> from migkit import Guest, Scenario
    >>> from migkit.planning.targets import Targets
    >>> next(risks(Scenario(guest=Guest(memory_bytes=2**30)), Targets()))
    'The migration converges with a probability of 100 %.'
    """
    result = predict(case, level=_LEVEL)
    told = result.interval
    if told is not None:
        yield f"The migration converges with a probability of {100 * told.converges:.3g} %."
        low, high = told.total_time_s
        yield f"With 90 % the total time lies between {format_duration(low)} and {format_duration(high)}."
        low, high = told.downtime_s
        yield f"With 90 % the downtime lies between {format_duration(low)} and {format_duration(high)}."
        low, high = told.transferred_bytes
        if high < float("inf"):
            yield f"With 90 % it sends between {format_size(low)} and {format_size(high)}."
    if targets.probability is None:
        yield "The limits are kept by what is expected; ask with a probability to keep them more surely."
    if result.exposure_s > 0.0:
        yield (
            f"For {format_duration(result.exposure_s)} a failure of either host loses the guest "
            f"(probability {result.risk:.1e}, at the stated rate of failures)."
        )
