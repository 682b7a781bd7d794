"""What a guest dirties: its curve over the window, and where the rounds of pre-copy settle on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from migkit.units import format_duration, format_rate, format_size
from migkit.viz.style import (
    MEANINGS,
    MEASURED,
    PREDICTED,
    STRATEGIES,
    Figure,
    Spec,
    Style,
    line,
    scatter,
    side_by_side,
    spec,
)
from migkit.viz.ticks import log_axis

if TYPE_CHECKING:
    from migkit.models.dirty import DirtyCurve
    from migkit.models.result import Prediction

__all__ = ["dirty_curves", "settling"]

_DASHES: Final = ("dash", "dot", "dashdot", "longdash", "longdashdot", "8px,3px", "2px,5px")
_GREY: Final = MEANINGS["reference"].value
_POINT: Final = {"color": MEASURED.colour, "symbol": MEASURED.marker, "size": 12}


def dirty_curves(
    curves: Mapping[str, DirtyCurve],
    *,
    reading: tuple[float, float] | None = None,
    link_bytes_per_s: float | None = None,
) -> Figure:
    """Return dirty curves over the window and, beside them, the dirty rate that a reading in each window says.

    Parameters
    ----------
    curves
        By what each is called; the first one is drawn solid.
    reading
        Window [s] and bytes of one reading [B], drawn as a point.
    link_bytes_per_s
        What the link sends [B/s], drawn as a level beside the rates.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> from migkit.models.dirty import dirty_curve
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e4),))
    >>> figure = dirty_curves({"the guest": dirty_curve(guest)}, reading=(1.0, 3e7))
    >>> [trace.name for trace in figure.data if trace.showlegend is not False]
    ['the guest', 'one reading']
    """
    styles = dict(zip(curves, map(_style, range(len(curves)), curves), strict=True))
    written = [_curve(one.windows_s, one.unique_bytes, styles[name], format_size) for name, one in curves.items()]
    rates = [_curve(one.windows_s, one.bytes_per_s, styles[name], format_rate) for name, one in curves.items()]
    if reading is not None:
        written.append(_reading(reading[0], reading[1]))
        rates.append(_reading(reading[0], reading[1] / reading[0]))
    windows = next(iter(curves.values())).windows_s
    if link_bytes_per_s is not None:
        level = Style("the link sends", _GREY, "dash", "line-ew")
        rates.append(scatter(x=[windows[0], windows[-1]], y=[link_bytes_per_s] * 2, **line(level)))
    left = _panel(written, windows, "window", "written in the window", "size")
    right = _panel(rates, windows, "window", "dirty rate that is read", "rate")
    for trace in right["data"]:
        trace["showlegend"] = trace["name"] == "the link sends"
    return side_by_side(left, right, widths=(0.5, 0.5), gap=0.12, height=400)


def settling(
    curve: DirtyCurve, result: Prediction, link_bytes_per_s: float, *, settles: tuple[float, float], limit_s: float
) -> Figure:
    """Return how the rounds of pre-copy walk down between the dirty curve and what the link sends.

    The link sends what was left: a step sideways, onto its line. The next sync finds what was written meanwhile: a
    step down or up, onto the curve. A rule that syncs before all is sent finds the rest beside it, and its last
    steps end above the curve.

    Parameters
    ----------
    curve
        Of the guest.
    result
        The prediction whose rounds are drawn.
    link_bytes_per_s
        What the link sends [B/s].
    settles
        Length of a round [s] and bytes left [B] where the steps come to rest; zeros: they do not.
    limit_s
        The downtime limit [s].

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, predict
    >>> from migkit.models.dirty import dirty_curve
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1e4),))
    >>> figure = settling(dirty_curve(guest), predict(guest), 1e8, settles=(0.0, 0.0), limit_s=0.3)
    >>> [trace.name for trace in figure.data]
    ['written meanwhile', 'the link sends', 'rounds', 'settles here', 'downtime limit']
    """
    steps = _steps(result)
    lengths, left = [x for x, _ in steps] + [limit_s], [y for _, y in steps]
    shown = [(x, y) for x, y in zip(*curve, strict=True) if min(lengths) / 3 < x < max(lengths) * 3]
    windows, written = [x for x, _ in shown], [y for _, y in shown]
    traces = [
        _curve(windows, written, PREDICTED._replace(label="written meanwhile"), format_size),
        scatter(
            x=windows,
            y=[link_bytes_per_s * x for x in windows],
            **line(Style("the link sends", _GREY, "dash", "line-ew"), hoverinfo="skip"),
        ),
        scatter(
            x=lengths[:-1],
            y=left,
            text=[format_size(y) for y in left],
            hovertemplate="%{text} left<extra>rounds</extra>",
            **line(STRATEGIES["precopy"]._replace(label="rounds"), mode="lines+markers"),
        ),
        scatter(
            x=[settles[0] or None],
            y=[settles[1] or None],
            name="settles here",
            mode="markers",
            showlegend=settles[1] > 0.0,
            hoverinfo="skip",
            marker={"color": PREDICTED.colour, "symbol": "diamond-open", "size": 16, "line": {"width": 3}},
        ),
        scatter(
            x=[limit_s, limit_s],
            y=[min(left) / 3, max(left) * 3],
            **line(Style("downtime limit", _GREY, "dot", "line-ew"), hoverinfo="skip"),
        ),
    ]
    drawn = _panel(traces, windows, "length of the round", "left by the next bitmap sync", "size")
    return Figure({**drawn, "layout": {**drawn["layout"], "height": 400}})


def _style(number: int, name: str) -> Style:
    """Return how one of several curves is drawn: the first one solid."""
    dash = "solid" if number == 0 else _DASHES[(number - 1) % len(_DASHES)]
    return Style(name, PREDICTED.colour, dash, "circle")


def _curve(windows: Sequence[float], values: Sequence[float], style: Style, write: Callable[[float], str]) -> Any:
    """Return one curve; where it is 0, nothing is drawn."""
    said = [f"{write(y)} in {format_duration(x)}" for x, y in zip(windows, values, strict=True)]
    return scatter(
        x=list(windows),
        y=[value or None for value in values],
        text=said,
        hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        **line(style),
    )


def _reading(window_s: float, value: float) -> Any:
    style = MEASURED._replace(label="one reading")
    return scatter(x=[window_s], y=[value], **line(style, mode="markers", marker=_POINT))


def _panel(traces: list[Any], windows: Sequence[float], x_title: str, y_title: str, kind: str) -> Spec:
    values = [y for trace in traces for y in trace["y"]]
    return spec(
        traces,
        xaxis={"title": {"text": x_title}, **log_axis(windows, "time")},
        yaxis={"title": {"text": y_title}, **log_axis(values, kind)},
    )


def _steps(result: Prediction) -> list[tuple[float, float]]:
    """Return the corners of the steps: what is left when a round begins, then what the sync after it finds."""
    corners = []
    for row, after in itertools.pairwise(result.rounds):
        if row.sent_bytes > 0.0:
            corners += [(row.duration_s, row.remaining_bytes), (row.duration_s, after.remaining_bytes)]
    return [(x, y) for x, y in corners if x > 0.0 and y > 0.0]
