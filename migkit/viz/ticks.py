"""Ticks of axes, written as people write the values: 100 ms, 1 s, 10 s; round 1, 2, 3."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from migkit.units import KIB, format_cost, format_rate, format_size

__all__ = ["KINDS", "log_axis", "round_axis", "time_axis"]

_MOST: Final = 8  # ticks that an axis has room for
_FEWEST: Final = 3
_ROOM: Final = 0.07  # of the axis, between two ticks whose texts do not touch
_COARSE: Final = (1,)
_FINE: Final = (1, 2, 5)
_FINER: Final = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
_FINEST: Final = tuple(n / 10 for n in (*range(10, 20), *range(20, 50, 2), *range(50, 100, 5)))
_TIMES: Final = (*(10.0**power for power in range(-9, 2)), 60.0, 600.0, 3600.0, 36_000.0, 360_000.0, 3_600_000.0)
_SIZES: Final = tuple(10.0**tens * KIB**power for power in range(6) for tens in range(3))
_RATES: Final = tuple(10.0**power / 8 for power in range(15))
_COUNTS: Final = tuple(10.0**power for power in range(-9, 16))


def _time(value_s: float) -> str:
    """Return a time, from a minute on in minutes and hours."""
    if value_s < 60:
        return format_cost(value_s)
    return f"{value_s / 60:g} min" if value_s < 3600 else f"{value_s / 3600:g} h"


def _count(value: float) -> str:
    return f"{value:,.12g}".replace(",", " ") if value >= 1e-4 else f"{value:g}"


KINDS: Final[Mapping[str, tuple[tuple[float, ...], Callable[[float], str]]]] = {
    "time": (_TIMES, _time),
    "size": (_SIZES, format_size),
    "rate": (_RATES, format_rate),
    "count": (_COUNTS, _count),
}
"""Decades, as people count them, and how a value is written: of time [s], size [B], rate [B/s] and count."""


def log_axis(values: Iterable[float | None], kind: str) -> dict[str, Any]:
    """Return a logarithmic axis over values, its ticks written with their units.

    Parameters
    ----------
    values
        What is drawn, in the base unit of its kind; None and what is not above 0 are left out.
    kind
        ``time`` [s], ``size`` [B], ``rate`` [B/s] or ``count``.

    Raises
    ------
    KeyError
        The kind is not known.

    Examples
    --------
    >>> log_axis([0.02, 30.0], "time")["ticktext"]
    ['100 ms', '1 s', '10 s']
    >>> log_axis([17.0, 31.0], "time")["ticktext"]
    ['20 s', '25 s', '30 s']
    """
    decades, write = KINDS[kind]
    drawn = [value for value in values if value is not None and 0 < value < math.inf] or [1.0]
    low, high = min(drawn) / 1.02, max(drawn) * 1.02
    within = [_within(decades, steps, low, high) for steps in (_COARSE, _FINE, _FINER, _FINEST)]
    chosen = next((ticks for ticks in within if len(ticks) >= _FEWEST), within[-1])
    chosen = chosen if len(chosen) > 1 else sorted({min(drawn), max(drawn)})
    chosen = _apart(chosen[:: -(-len(chosen) // _MOST)], _ROOM * math.log(high / low))
    return {"type": "log", "tickmode": "array", "tickvals": chosen, "ticktext": [write(value) for value in chosen]}


def _apart(ticks: list[float], room: float) -> list[float]:
    """Return ticks without those that are too near the next one, such as 50 s and 1 min."""
    pairs = zip(ticks, [*ticks[1:], math.inf], strict=True)
    return [tick for tick, following in pairs if math.log(following) - math.log(tick) >= room]


def round_axis(rounds: int) -> dict[str, Any]:
    """Return an axis of rounds, with ticks at whole ones only.

    Examples
    --------
    >>> round_axis(4)["dtick"], round_axis(60)["dtick"]
    (1, 10)
    """
    steps = (step * 10**power for power in range(12) for step in _FINE)
    step = next(step for step in steps if rounds <= _MOST * step)
    return {"title": {"text": "round"}, "tickformat": "d", "tick0": 0, "dtick": step}


def time_axis(largest_s: float) -> tuple[float, str]:
    """Return what to divide seconds by on an axis up to ``largest_s``, and the unit's name.

    Examples
    --------
    >>> time_axis(90.0), time_axis(1800.0), time_axis(1e5)
    ((1.0, 's'), (60.0, 'min'), (3600.0, 'h'))
    """
    if largest_s <= 300.0:
        return 1.0, "s"
    return (60.0, "min") if largest_s <= 18_000.0 else (3600.0, "h")


def _within(decades: tuple[float, ...], steps: tuple[float, ...], low: float, high: float) -> list[float]:
    """Return the multiples of the decades, each below the next decade, between two bounds."""
    after = (*decades[1:], math.inf)
    return [
        decade * step
        for decade, following in zip(decades, after, strict=True)
        for step in steps
        if decade * step < following and low <= decade * step <= high
    ]
