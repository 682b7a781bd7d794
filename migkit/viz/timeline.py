"""What remains to be sent, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migkit.viz.style import (
    ALLOWED,
    MEASURED,
    PREDICTED,
    Figure,
    Spec,
    Style,
    bytes_axis,
    line,
    scatter,
    spec,
)

if TYPE_CHECKING:
    from migkit.models.result import Prediction
    from migkit.traces import Trace

__all__ = ["prediction", "remaining", "remaining_spec"]


def prediction(result: Prediction, *, limit_bytes: float | None = None) -> Figure:
    """Return what remains over time as predicted, each bitmap sync marked.

    Parameters
    ----------
    result
        The prediction.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = prediction(predict(guest=Guest(memory_bytes=2**30)))
    >>> [trace.name for trace in figure.data]
    ['predicted', 'bitmap sync', 'switchover allowed']
    """
    return remaining(predicted=result, limit_bytes=limit_bytes)


def remaining(
    measured: Trace | None = None, predicted: Prediction | None = None, *, limit_bytes: float | None = None
) -> Figure:
    """Return what remains over time, measured, predicted or both.

    Parameters
    ----------
    measured
        A trace; its samples are drawn.
    predicted
        A prediction; its time line is drawn, each bitmap sync marked.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit.traces import data, io
    >>> [trace.name for trace in remaining(io.read(data.shipped_traces()[0])).data]
    ['measured']
    """
    return Figure(remaining_spec(measured, predicted, limit_bytes=limit_bytes))


def remaining_spec(
    measured: Trace | None = None, predicted: Prediction | None = None, *, limit_bytes: float | None = None
) -> Spec:
    """Return what :func:`remaining` draws, as plain values that plotly has not checked yet.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> drawn = remaining_spec(predicted=predict(guest=Guest(memory_bytes=2**30)))
    >>> [trace["name"] for trace in drawn["data"]]
    ['predicted', 'bitmap sync', 'switchover allowed']
    """
    lines = ([_measured(measured)] if measured is not None else []) + (
        [_predicted(predicted)] if predicted is not None else []
    )
    largest = max((y for _, ys, _ in lines for y in ys), default=0.0)
    end_s = max((xs[-1] for xs, _, _ in lines if xs), default=0.0)
    scale, unit = bytes_axis(largest)
    traces = [scatter(x=xs, y=[y / scale for y in ys], **line(style)) for xs, ys, style in lines]
    if predicted is not None:
        traces += [_syncs(predicted, scale), _level(limit_bytes, end_s, scale)]
    return spec(
        traces,
        xaxis={"title": {"text": "time since the request [s]"}},
        yaxis={"title": {"text": f"remaining [{unit}]"}, "rangemode": "tozero"},
    )


def _measured(trace: Trace) -> tuple[list[float], list[float], Style]:
    start_ns = trace.samples["monotonic_ns"][0].as_py()
    times_s = [(ns - start_ns) / 1e9 for ns in trace.samples["monotonic_ns"].to_pylist()]
    return times_s, trace.samples["remaining_bytes"].to_pylist(), MEASURED


def _predicted(result: Prediction) -> tuple[list[float], list[float], Style]:
    return [p.t_s for p in result.timeline], [p.remaining_bytes for p in result.timeline], PREDICTED


def _syncs(result: Prediction, scale: float) -> Any:
    return scatter(
        x=[row.start_s + row.sync_s for row in result.rounds],
        y=[row.remaining_bytes / scale for row in result.rounds],
        name="bitmap sync",
        mode="markers",
        marker={"color": PREDICTED.colour, "symbol": "circle-open", "size": 8, "line": {"width": 2}},
        text=[f"round {row.iteration}" for row in result.rounds],
        hovertemplate="%{text}: %{y:.3g} left at %{x:.3g} s<extra></extra>",
    )


def _level(limit_bytes: float | None, end_s: float, scale: float) -> Any:
    level = None if limit_bytes is None else limit_bytes / scale
    return scatter(
        x=[0.0, end_s], y=[level, level], **line(ALLOWED, hoverinfo="skip", showlegend=limit_bytes is not None)
    )
