"""What each round sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migkit.viz.style import MEASURED, PREDICTED, Figure, Style, bytes_axis, pattern, styled
from migkit.viz.ticks import round_axis

if TYPE_CHECKING:
    from migkit.models.result import Prediction
    from migkit.traces import Trace

__all__ = ["rounds"]


def rounds(measured: Trace | None = None, predicted: Prediction | None = None) -> Figure:
    """Return the bytes that each round sent, measured, predicted or both; the last one is the final copy.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = rounds(predicted=predict(guest=Guest(memory_bytes=2**30)))
    >>> figure.data[0].name
    'predicted'
    """
    sets = ([_measured(measured)] if measured is not None else []) + (
        [_predicted(predicted)] if predicted is not None else []
    )
    scale, unit = bytes_axis(max((value for _, values, _ in sets for value in values), default=0.0))
    traces = [bars(at, [value / scale for value in values], style) for at, values, style in sets]
    return styled(
        traces,
        barmode="group",
        xaxis=round_axis(max((len(at) for at, _, _ in sets), default=1)),
        yaxis={"title": {"text": f"sent [{unit}]"}},
    )


def bars(at: list[int], values: list[float], style: Style) -> Any:
    """Return one set of bars in ``style``; a pattern tells the sets apart without colour."""
    marker = {"color": style.colour, "pattern": pattern("/" if style is MEASURED else "")}
    return {"type": "bar", "x": at, "y": values, "name": style.label, "marker": marker}


def _measured(trace: Trace) -> tuple[list[int], list[float], Style]:
    return trace.rounds["iteration"].to_pylist(), trace.rounds["sent_bytes"].to_pylist(), MEASURED


def _predicted(result: Prediction) -> tuple[list[int], list[float], Style]:
    return [row.iteration for row in result.rounds], [row.sent_bytes for row in result.rounds], PREDICTED
