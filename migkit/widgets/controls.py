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
    "TIMES",
    "WORKING_SETS",
    "WRITE_RATES",
    "choice",
    "slider",
    "strategies",
    "text",
    "write_rate",
]

_SIZES: Final = (
    *(f"{n} MiB" for n in (16, 32, 64, 96, 128, 192, 256, 384, 512, 768)),
    *(f"{n} GiB" for n in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)),
    *(f"{n} TiB" for n in (1, 1.5, 2, 3, 4, 6, 8, 12, 16)),
)
MEMORIES: Final = _SIZES[_SIZES.index("256 MiB") :]
WORKING_SETS: Final = _SIZES[: _SIZES.index("4 TiB") + 1]
WRITE_RATES: Final = (
    0,
    100,
    200,
    500,
    *(step * 10**power for power in (3, 4, 5, 6) for step in (1, 1.5, 2, 3, 5, 7)),
    10**7,
)
BANDWIDTHS: Final = (
    *(f"{n} Mbit/s" for n in (100, 150, 200, 300, 500, 700)),
    *(f"{n} Gbit/s" for n in (1, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 25, 40, 50, 75, 100, 150, 200, 300, 400)),
)
DOWNTIME_LIMITS: Final = tuple(
    units.format_duration(n / 1000)
    for n in (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000)
)
ROUND_TRIPS: Final = tuple(f"{n} ms" for n in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200))
TIMES: Final = (
    *(f"{n} s" for n in (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120)),
    *(f"{n} min" for n in (3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120)),
    *(f"{n} h" for n in (3, 4, 6, 8, 12, 24)),
)

_STYLE: Final = {"description_width": "110px"}
_WIDE: Final = {"width": "100%"}


def slider(description: str, options: Sequence[str], value: str, *, sentence: str = "") -> ipw.SelectionSlider:
    """Return a slider over ``options``, each a text with its unit; ``sentence`` is one sentence on what it sets.

    Examples
    --------
    >>> slider("memory", MEMORIES, "4 GiB", sentence="Memory of the guest.").value
    '4 GiB'
    """
    return ipw.SelectionSlider(
        description=description, options=list(options), value=value, tooltip=sentence, style=_STYLE, layout=_WIDE
    )


def write_rate(
    value: float, *, sentence: str = "Writes a second, each to a page of the working set at random."
) -> ipw.SelectionSlider:
    """Return a slider over writes a second [1/s].

    Examples
    --------
    >>> write_rate(20_000).label
    '20 000 /s'
    """
    options = [(f"{rate:,.0f} /s".replace(",", " "), float(rate)) for rate in WRITE_RATES]
    return ipw.SelectionSlider(
        description="page writes", options=options, value=float(value), tooltip=sentence, style=_STYLE, layout=_WIDE
    )


def choice(description: str, options: Sequence[tuple[str, str]], value: str, *, sentence: str = "") -> ipw.Dropdown:
    """Return a drop-down list of ``(label, value)``.

    Examples
    --------
    >>> choice("kind", [("at random", "random"), ("in order", "sweep")], "sweep").label
    'in order'
    """
    return ipw.Dropdown(
        description=description, options=list(options), value=value, tooltip=sentence, style=_STYLE, layout=_WIDE
    )


def text(description: str, value: str, *, sentence: str = "") -> ipw.Text:
    """Return a line for a value with its unit, taken over by Enter or when the focus leaves it.

    Examples
    --------
    >>> text("memory", "37 GiB", sentence="Memory of the guest.").value
    '37 GiB'
    """
    return ipw.Text(
        description=description, value=value, tooltip=sentence, continuous_update=False, style=_STYLE, layout=_WIDE
    )


def strategies(value: str) -> ipw.Dropdown:
    """Return the choice of a strategy.

    Examples
    --------
    >>> strategies("postcopy").value
    'postcopy'
    """
    options = [(STYLES[name].label, name) for name in STRATEGIES]
    return choice(
        "strategy", options, value, sentence="How the memory is moved: while the guest runs, or before or after."
    )
