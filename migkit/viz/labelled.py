"""Any values by name: curves over one axis, and bars that carry their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from migkit.viz.style import MEANINGS, Figure, scatter, styled

__all__ = ["bars_by_name", "curves"]

_DASHES: Final = ("solid", "dash", "dashdot")

_ROOM: Final = 1.2  # of the longest bar, so that its number stands beside it


def curves(
    x: Sequence[float],
    named: Mapping[str, Sequence[float | None]],
    *,
    reference: Mapping[str, Sequence[float | None]] | None = None,
    x_title: str,
    y_title: str,
    level: tuple[str, float] | None = None,
    **layout: Any,
) -> Figure:
    """Return up to three curves over one axis, told apart by their dashes, and what they are compared with.

    Parameters
    ----------
    x
        Where the curves are known.
    named
        Values of each curve by its name; None where there is none.
    reference
        What they are compared with, by its name.
    x_title, y_title
        Titles of the axes, with their units.
    level
        Name and height of a level that is drawn across.
    **layout
        Adds to the layout.

    Examples
    --------
    >>> figure = curves([1, 2], {"U(t)": [3, 4]}, x_title="window [s]", y_title="dirty [MiB]", level=("all", 5))
    >>> [trace.name for trace in figure.data]
    ['U(t)', 'all']
    """
    told, compared = MEANINGS["predicted"].value, MEANINGS["reference"].value
    looks = [(name, ys, told, dash) for (name, ys), dash in zip(named.items(), _DASHES, strict=False)]
    looks += [(name, ys, compared, "dot") for name, ys in (reference or {}).items()]
    traces = [
        scatter(x=x, y=ys, name=name, mode="lines", line={"color": colour, "dash": dash, "width": 3})
        for name, ys, colour, dash in looks
    ]
    if level is not None:
        name, height = level
        style = {"color": compared, "dash": "dash", "width": 2}
        traces.append(scatter(x=[x[0], x[-1]], y=[height, height], name=name, mode="lines", line=style))
    axes = {"xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}, "rangemode": "tozero"}}
    return styled(traces, **(axes | layout))


def bars_by_name(values: Mapping[str, float], shown: Callable[[float], str], *, x_title: str) -> Figure:
    """Return one bar a name, the first at the top, with its number in words beside it.

    Parameters
    ----------
    values
        By name.
    shown
        Says a value in words, with its unit.
    x_title
        Title of the axis, with its unit.

    Examples
    --------
    >>> figure = bars_by_name({"load": 0.012}, "{:.3f} s".format, x_title="time [s]")
    >>> figure.data[0].text
    ('0.012 s',)
    """
    names = list(values)
    room = [_ROOM * min(0.0, *values.values()), _ROOM * max(0.0, *values.values())]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [values[name] for name in names],
        "y": names,
        "text": [shown(values[name]) for name in names],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": MEANINGS["predicted"].value},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    return styled(
        [bars],
        height=120 + 34 * len(names),
        margin={"l": 64, "r": 16, "t": 16, "b": 48},
        xaxis={"title": {"text": x_title}, "range": room},
        yaxis={"autorange": "reversed", "showgrid": False},
    )
