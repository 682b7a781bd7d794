"""Sliders and choices over values as people write them: text with units, parsed by :mod:`migkit.units`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ipywidgets as ipw

from migkit import units
from migkit.scenario.strategy import STRATEGIES
from migkit.viz.style import STRATEGIES as STYLES

__all__ = [
    "BANDWIDTHS",
    "DOWNTIME_LIMITS",
    "MEMORIES",
    "ROUND_TRIPS",
    "WORKING_SETS",
    "WRITE_RATES",
    "choice",
    "slider",
    "strategies",
    "write_rate",
]

_SIZES: Final = tuple(f"{n} MiB" for n in (16, 32, 64, 96, 128, 192, 256, 384, 512, 768)) + tuple(
    f"{n} GiB" for n in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
)
MEMORIES: Final = _SIZES[_SIZES.index("256 MiB") :]
WORKING_SETS: Final = _SIZES
WRITE_RATES: Final = (
    0,
    100,
    200,
    500,
    *(step * 10**power for power in (3, 4, 5) for step in (1, 1.5, 2, 3, 5, 7)),
    10**6,
)
BANDWIDTHS: Final = tuple(f"{n} Mbit/s" for n in (100, 150, 200, 300, 500, 700)) + tuple(
    f"{n} Gbit/s" for n in (1, 1.5, 2, 2.5, 3, 4, 5, 7, 10)
)
DOWNTIME_LIMITS: Final = tuple(
    units.format_duration(n / 1000)
    for n in (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000)
)
ROUND_TRIPS: Final = tuple(f"{n} ms" for n in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50))

_STYLE: Final = {"description_width": "110px"}
_WIDE: Final = ipw.Layout(width="440px")


def slider(description: str, options: Sequence[str], value: str) -> ipw.SelectionSlider:
    """Return a slider over ``options``, each a text with its unit.

    Examples
    --------
    >>> slider("memory", MEMORIES, "4 GiB").value
    '4 GiB'
    """
    return ipw.SelectionSlider(
        description=description, options=list(options), value=value, style=_STYLE, layout=_WIDE
    )


def write_rate(value: float) -> ipw.SelectionSlider:
    """Return a slider over writes a second [1/s].

    Examples
    --------
    >>> write_rate(20_000).label
    '20 000 /s'
    """
    options = [(f"{rate:,.0f} /s".replace(",", " "), float(rate)) for rate in WRITE_RATES]
    return ipw.SelectionSlider(
        description="page writes", options=options, value=float(value), style=_STYLE, layout=_WIDE
    )


def choice(description: str, options: Sequence[tuple[str, str]], value: str) -> ipw.Dropdown:
    """Return a drop-down list of ``(label, value)``.

    Examples
    --------
    >>> choice("kind", [("at random", "random"), ("in order", "sweep")], "sweep").label
    'in order'
    """
    return ipw.Dropdown(description=description, options=list(options), value=value, style=_STYLE, layout=_WIDE)


def strategies(value: str) -> ipw.Dropdown:
    """Return the choice of a strategy.

    Examples
    --------
    >>> strategies("postcopy").value
    'postcopy'
    """
    return choice("strategy", [(STYLES[name].label, name) for name in STRATEGIES], value)
