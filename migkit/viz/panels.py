"""One prediction at a glance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from migkit.units import format_duration, format_size
from migkit.viz.style import ALLOWED, PREDICTED, Figure, Spec, Style, line, scatter, side_by_side, spec
from migkit.viz.ticks import log_axis, round_axis
from migkit.viz.timeline import remaining_spec

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["convergence", "each_round", "overview"]


def overview(result: Prediction, *, limit_bytes: float | None = None) -> Figure:
    """Return what remains over time and, beside it, what each bitmap sync found left.

    Parameters
    ----------
    result
        The prediction.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = overview(predict(guest=Guest(memory_bytes=2**30)), limit_bytes=4e7)
    >>> figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text
    ('time since the request [s]', 'round')
    """
    left = remaining_spec(predicted=result)
    left["data"][2]["visible"] = False  # the level stands in the second panel, where it can be read
    return side_by_side(left, _convergence(result, limit_bytes), widths=(0.56, 0.44))


def convergence(result: Prediction, *, limit_bytes: float | None = None) -> Figure:
    """Return what each bitmap sync found left, on a logarithmic axis, against what switchover allows.

    Parameters
    ----------
    result
        The prediction.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> [trace.name for trace in convergence(predict(guest=Guest(memory_bytes=2**30))).data]
    ['left at each sync', 'switchover allowed']
    """
    return Figure(_convergence(result, limit_bytes))


def each_round(result: Prediction, *, limit_bytes: float | None = None) -> Figure:
    """Return what each round sent, how long it took, and what the bitmap sync at its begin found left.

    Parameters
    ----------
    result
        The prediction.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = each_round(predict(guest=Guest(memory_bytes=2**30)), limit_bytes=4e7)
    >>> [axis.title.text for axis in (figure.layout.yaxis, figure.layout.yaxis2, figure.layout.yaxis3)]
    ['sent in the round', 'length of the round', 'left at each sync']
    """
    sent = _bars([row.sent_bytes for row in result.rounds], "sent in the round", "size", format_size)
    took = _bars([row.duration_s for row in result.rounds], "length of the round", "time", format_duration)
    return side_by_side(sent, took, _convergence(result, limit_bytes), widths=(0.33, 0.33, 0.34), gap=0.1)


def _bars(values: list[float], title: str, kind: str, write: Callable[[float], str]) -> Spec:
    """Return one bar a round on a logarithmic axis."""
    bar = {
        "type": "bar",
        "x": list(range(1, len(values) + 1)),
        "y": [value or None for value in values],
        "name": title,
        "marker": {"color": PREDICTED.colour},
        "showlegend": False,
        "hovertext": [write(value) for value in values],
        "hovertemplate": "round %{x}: %{hovertext}<extra></extra>",
    }
    return spec(
        [bar],
        xaxis=round_axis(len(values)),
        yaxis={"title": {"text": title}, **log_axis(values, kind)},
    )


def _convergence(result: Prediction, limit_bytes: float | None) -> Spec:
    left = Style("left at each sync", PREDICTED.colour, "solid", "circle")
    left_bytes = [row.remaining_bytes or None for row in result.rounds]
    traces = [
        scatter(
            x=[row.iteration for row in result.rounds],
            y=left_bytes,
            **line(left, mode="lines+markers", showlegend=False),
        ),
        scatter(x=[0.5, len(result.rounds) + 0.5], y=[limit_bytes, limit_bytes], **line(ALLOWED, hoverinfo="skip")),
    ]
    return spec(
        traces,
        xaxis=round_axis(len(result.rounds)),
        yaxis={"title": {"text": "left at each sync"}, **log_axis([*left_bytes, limit_bytes], "size")},
    )
