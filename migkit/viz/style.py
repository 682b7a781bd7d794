"""How every figure looks: colours that colour-blind readers can tell, and a dash and a marker beside each colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import plotly.graph_objects as go

__all__ = [
    "ALLOWED",
    "COLOURS",
    "CONFIG",
    "LEGEND",
    "MEASURED",
    "PREDICTED",
    "STRATEGIES",
    "Figure",
    "Spec",
    "Style",
    "bytes_axis",
    "line",
    "pattern",
    "scatter",
    "side_by_side",
    "spec",
    "styled",
]

CONFIG: Final[Mapping[str, Any]] = {"showSendToCloud": False, "displaylogo": False, "responsive": True}
"""Of every figure: no button that sends data anywhere."""

COLOURS: Final[Mapping[str, str]] = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
"""The palette of Okabe and Ito (2008)."""


class Style(NamedTuple):
    """How one thing is drawn in every figure, in print as on a screen."""

    label: str
    colour: str
    dash: str
    marker: str


STRATEGIES: Final[Mapping[str, Style]] = {
    "precopy": Style("pre-copy", COLOURS["blue"], "solid", "circle"),
    "postcopy": Style("post-copy", COLOURS["vermillion"], "dash", "square"),
    "hybrid": Style("hybrid", COLOURS["green"], "dashdot", "diamond"),
    "stopcopy": Style("stop-copy", COLOURS["black"], "dot", "x"),
}
PREDICTED: Final = Style("predicted", COLOURS["blue"], "solid", "circle")
MEASURED: Final = Style("measured", COLOURS["orange"], "dot", "square")
ALLOWED: Final = Style("switchover allowed", COLOURS["vermillion"], "dash", "line-ew")

_MIB: Final = 2.0**20
_GIB: Final = 2.0**30


Spec = dict[str, Any]
"""A figure as plain values: ``data`` and ``layout``."""


class Figure(go.Figure):  # type: ignore[misc]
    """A plotly figure that is shown and written with :data:`CONFIG`."""

    def show(self, *args: Any, **kwargs: Any) -> Any:
        """Show the figure; ``config`` adds to :data:`CONFIG`."""
        return super().show(*args, **_with_config(kwargs))

    def to_html(self, *args: Any, **kwargs: Any) -> str:
        """Return the figure as HTML; ``config`` adds to :data:`CONFIG`."""
        text: str = super().to_html(*args, **_with_config(kwargs))
        return text

    def write_html(self, *args: Any, **kwargs: Any) -> None:
        """Write the figure as HTML; ``config`` adds to :data:`CONFIG`."""
        super().write_html(*args, **_with_config(kwargs))

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return super()._repr_mimebundle_(*args, **_with_config(kwargs))

    def _ipython_display_(self) -> None:
        self.show()


def _with_config(options: dict[str, Any]) -> dict[str, Any]:
    return options | {"config": {**CONFIG, **(options.get("config") or {})}}


_AXIS: Final = {
    "gridcolor": "#e5e5e5",
    "linecolor": "#999999",
    "zeroline": False,
    "ticks": "outside",
    "automargin": True,
}
LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
_LAYOUT: Final = {
    "template": "none",  # expanding a named one takes longer than all the rest
    "height": 340,
    "margin": {"l": 64, "r": 16, "t": 44, "b": 48},
    "font": {"size": 13, "family": "sans-serif", "color": "#222222"},
    "legend": LEGEND,
    "hovermode": "closest",
}


def spec(traces: list[dict[str, Any]], **layout: Any) -> Spec:
    """Return a figure of ``traces`` in the house layout as plain values, which plotly has not checked yet.

    ``layout`` adds to the layout. To check takes plotly longer than all else: do it once, with :func:`styled`
    or :func:`side_by_side`.
    """
    axes = {name: {**_AXIS, **layout.get(name, {})} for name in ("xaxis", "yaxis", *layout) if "axis" in name}
    return {"data": traces, "layout": {**_LAYOUT, **layout, **axes}}


def styled(traces: list[dict[str, Any]], **layout: Any) -> Figure:
    """Return a figure of ``traces`` in the house layout; ``layout`` adds to it."""
    return Figure(spec(traces, **layout))


def side_by_side(*panels: Spec, widths: tuple[float, ...], gap: float = 0.09) -> Figure:
    """Return ``panels`` beside each other in one figure, ``widths`` adding up to 1."""
    traces: list[Any] = []
    axes: dict[str, Any] = {}
    left = 0.0
    for number, (panel, width) in enumerate(zip(panels, widths, strict=True), 1):
        mark = "" if number == 1 else str(number)
        traces += [{**trace, "xaxis": f"x{mark}", "yaxis": f"y{mark}"} for trace in panel["data"]]
        right = 1.0 if number == len(panels) else left + width - gap / 2
        axes[f"xaxis{mark}"] = {**panel["layout"]["xaxis"], "domain": [left, right], "anchor": f"y{mark}"}
        axes[f"yaxis{mark}"] = {**panel["layout"]["yaxis"], "anchor": f"x{mark}"}
        left = right + gap
    return styled(traces, **axes)


def scatter(**options: Any) -> dict[str, Any]:
    """Return a trace of points or lines."""
    return {"type": "scatter", **options}


def line(style: Style, **options: Any) -> dict[str, Any]:
    """Return the options of a line trace drawn in ``style``."""
    return {
        "name": style.label,
        "mode": "lines",
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        "marker": {"color": style.colour, "symbol": style.marker, "size": 7},
        **options,
    }


def pattern(shape: str) -> dict[str, Any]:
    """Return the hatching of a bar over its colour; no shape, no hatching."""
    return {"shape": shape, "fgcolor": "white", "fillmode": "overlay", "solidity": 0.2}


def bytes_axis(largest_bytes: float) -> tuple[float, str]:
    """Return what to divide bytes by on an axis up to ``largest_bytes``, and the unit's name.

    Examples
    --------
    >>> bytes_axis(3e9), bytes_axis(5e6)
    ((1073741824.0, 'GiB'), (1048576.0, 'MiB'))
    """
    return (_GIB, "GiB") if largest_bytes >= 2 * _GIB else (_MIB, "MiB")
