"""How every figure looks: one meaning a colour, a dash and a marker beside each, readable on light and dark pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import plotly.graph_objects as go

__all__ = [
    "ALLOWED",
    "COLOURS",
    "CONFIG",
    "GRID",
    "INK",
    "LEGEND",
    "MEANINGS",
    "MEASURED",
    "PREDICTED",
    "STRATEGIES",
    "Figure",
    "Meaning",
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

INK: Final = "#757575"
"""Colour of text and of what is drawn like text.

It can be read on white and on black. A live figure replaces it by the colour of the page's text.
"""
GRID: Final = "rgba(127,127,127,0.25)"
_PAPER_INK: Final = "#222222"  # on a page that is surely white
_EDGE: Final = "rgba(127,127,127,0.8)"
_CLEAR: Final = "rgba(0,0,0,0)"
# In a notebook the ink of a shown figure is the colour of the page's text, also after a change of theme. The rules
# stand in an output of their own, which takes no room.
_DRAWN_INK: Final = f"rgb({', '.join(str(int(INK[at : at + 2], 16)) for at in (1, 3, 5))})"
_THEMED: Final = f"""\
<style class="migkit-themed">
.jp-OutputArea-child:has(> .jp-OutputArea-output > style.migkit-themed) {{ display: none }}
.js-plotly-plot [style*="fill: {_DRAWN_INK}"] {{ fill: var(--jp-ui-font-color1, {INK}) !important }}
.js-plotly-plot [style*="stroke: {_DRAWN_INK}"] {{ stroke: var(--jp-ui-font-color1, {INK}) !important }}
</style>"""

COLOURS: Final[Mapping[str, str]] = {
    "ink": INK,
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#8C8C8C",
}
"""The palette of Okabe and Ito (2008); its black is the ink of the page, and grey is for reference lines."""


class Meaning(NamedTuple):
    """What a colour means in every figure and in every table."""

    colour: str  # its name in COLOURS, as texts name it
    says: str

    @property
    def value(self) -> str:
        """The colour as figures take it."""
        return COLOURS[self.colour]


MEANINGS: Final[Mapping[str, Meaning]] = {
    "precopy": Meaning("blue", "pre-copy: the guest runs at the source while its memory is copied"),
    "stopcopy": Meaning("ink", "stop-copy: the guest is down"),
    "postcopy": Meaning("vermillion", "post-copy: the guest runs at the destination while pages still come"),
    "hybrid": Meaning("green", "hybrid: pre-copy that ends as post-copy"),
    "predicted": Meaning("purple", "what a model says"),
    "measured": Meaning("orange", "what a run or a log says"),
    "reference": Meaning("grey", "a limit, a deadline, the diagonal, or where a slider stands"),
    "leaves": Meaning("sky", "a machine leaves its host"),
    "returns": Meaning("yellow", "a machine returns to its host"),
}
"""The one meaning of each colour. A text names a colour by ``MEANINGS[...].colour``."""


class Style(NamedTuple):
    """How one thing is drawn in every figure, in print as on a screen."""

    label: str
    colour: str
    dash: str
    marker: str


STRATEGIES: Final[Mapping[str, Style]] = {
    "precopy": Style("pre-copy", MEANINGS["precopy"].value, "solid", "circle"),
    "postcopy": Style("post-copy", MEANINGS["postcopy"].value, "dash", "square"),
    "hybrid": Style("hybrid", MEANINGS["hybrid"].value, "dashdot", "diamond"),
    "stopcopy": Style("stop-copy", MEANINGS["stopcopy"].value, "dot", "x"),
}
PREDICTED: Final = Style("predicted", MEANINGS["predicted"].value, "solid", "circle")
MEASURED: Final = Style("measured", MEANINGS["measured"].value, "dot", "square")
ALLOWED: Final = Style("switchover allowed", MEANINGS["reference"].value, "dash", "line-ew")

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
        """Return the figure as HTML for a white page; ``config`` adds to :data:`CONFIG`."""
        text: str = go.Figure.to_html(self._on_paper(), *args, **_with_config(kwargs))
        return text

    def write_html(self, *args: Any, **kwargs: Any) -> None:
        """Write the figure as HTML for a white page; ``config`` adds to :data:`CONFIG`."""
        go.Figure.write_html(self._on_paper(), *args, **_with_config(kwargs))

    def _on_paper(self) -> go.Figure:
        """Return the figure with dark ink: a file may be read by anything, and is printed."""
        return go.Figure(json.loads(self.to_json().replace(INK, _PAPER_INK)), skip_invalid=False)

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return super()._repr_mimebundle_(*args, **_with_config(kwargs))

    def _ipython_display_(self) -> None:
        from IPython import display

        show: Any = display.display
        show({"text/html": _THEMED, "text/plain": ""}, raw=True)
        self.show()


def _with_config(options: dict[str, Any]) -> dict[str, Any]:
    return options | {"config": {**CONFIG, **(options.get("config") or {})}}


_AXIS: Final = {
    "gridcolor": GRID,
    "linecolor": _EDGE,
    "tickcolor": _EDGE,
    "zeroline": False,
    "ticks": "outside",
    "automargin": True,
}
_STANDOFF: Final = 8  # of the title of an upright axis from the numbers beside it [px]
LEGEND: Final = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
_LAYOUT: Final = {
    "template": "none",  # expanding a named one takes longer than all the rest
    "height": 340,
    "margin": {"l": 56, "r": 16, "t": 44, "b": 48},
    "font": {"size": 13, "family": "sans-serif", "color": INK},
    "paper_bgcolor": _CLEAR,
    "plot_bgcolor": _CLEAR,
    "legend": LEGEND,
    "hovermode": "closest",
}


def spec(traces: list[dict[str, Any]], **layout: Any) -> Spec:
    """Return a figure of ``traces`` in the house layout as plain values, which plotly has not checked yet.

    ``layout`` adds to the layout. To check takes plotly longer than all else: do it once, with :func:`styled`
    or :func:`side_by_side`.
    """
    axes = {name: {**_AXIS, **layout.get(name, {})} for name in ("xaxis", "yaxis", *layout) if "axis" in name}
    for name, axis in axes.items():
        if name.startswith("yaxis") and "title" in axis:
            axis["title"] = {"standoff": _STANDOFF, **axis["title"]}
    return {"data": traces, "layout": {**_LAYOUT, **layout, **axes}}


def styled(traces: list[dict[str, Any]], **layout: Any) -> Figure:
    """Return a figure of ``traces`` in the house layout; ``layout`` adds to it."""
    return Figure(spec(traces, **layout))


def side_by_side(*panels: Spec, widths: tuple[float, ...], gap: float = 0.09, **layout: Any) -> Figure:
    """Return ``panels`` beside each other in one figure, ``widths`` adding up to 1; ``layout`` adds to the layout.

    A live figure puts them below each other where it is narrow: ``layout.meta`` says how many there are.
    """
    traces: list[Any] = []
    axes: dict[str, Any] = {}
    left, room = 0.0, 1.0 - gap * (len(panels) - 1)
    for number, (panel, width) in enumerate(zip(panels, widths, strict=True), 1):
        mark = "" if number == 1 else str(number)
        traces += [{**trace, "xaxis": f"x{mark}", "yaxis": f"y{mark}"} for trace in panel["data"]]
        right = 1.0 if number == len(panels) else left + width * room
        axes[f"xaxis{mark}"] = {**panel["layout"]["xaxis"], "domain": [left, right], "anchor": f"y{mark}"}
        axes[f"yaxis{mark}"] = {**panel["layout"]["yaxis"], "anchor": f"x{mark}"}
        left = right + gap
    return styled(traces, meta={"panels": len(panels)}, **axes, **layout)


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
