"""A migration under way: what was read of it, and what is expected of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from migkit.viz.style import ALLOWED, MEANINGS, MEASURED, PREDICTED, Figure, Style, bytes_axis, line, scatter, spec
from migkit.viz.ticks import log_axis

if TYPE_CHECKING:
    from migkit.models.result import Point

__all__ = ["ends", "forecast"]


def forecast(
    times_s: Sequence[float],
    remaining_bytes: Sequence[float],
    course: Sequence[Point] = (),
    *,
    allowed_bytes: float = math.nan,
    interval_s: tuple[float, float] | None = None,
    measured: str = "as logged",
    logarithmic: bool = True,
) -> Figure:
    """Return what remained, what is expected to remain, and between which times the end is expected.

    Parameters
    ----------
    times_s, remaining_bytes
        Readings so far [s since the request, B].
    course
        What is expected to remain from the last reading on; empty: not known.
    allowed_bytes
        At how much left the rule switches over [B]; NaN: not known.
    interval_s
        Bounds of the end [s]; an infinite one reaches to the edge of the figure. None: not known.
    measured
        What the readings are called.
    logarithmic
        Whether the axis of what remains is logarithmic, which shows short rounds beside the first one.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> told = predict(Guest(memory_bytes=2**30))
    >>> drawn = forecast([0.0, 1.0], [2**30, 2**29], told.timeline, allowed_bytes=4e7, interval_s=(1.0, math.inf))
    >>> [trace.name for trace in drawn.data]
    ['as logged', 'predicted', 'switchover allowed', 'ends here with 90 %']
    """
    drawn = [*remaining_bytes, *(point.remaining_bytes for point in course)]
    largest, least = max(drawn, default=0.0), _least(drawn, allowed_bytes)
    last_s = max([*times_s, *(point.t_s for point in course)], default=0.0)
    scale, unit = (1.0, "") if logarithmic else bytes_axis(largest)
    bounds = _drawn(interval_s, last_s)
    last_s = max(last_s, *(bound for bound in bounds if bound is not None), 0.0)
    allowed = None if math.isnan(allowed_bytes) else allowed_bytes / scale
    readings = Style(measured, MEASURED.colour, MEASURED.dash, MEASURED.marker)
    mode = "lines+markers" if len(times_s) < 60 else "lines"
    traces = [
        scatter(x=list(times_s), y=[value / scale or None for value in remaining_bytes], **line(readings, mode=mode)),
        scatter(
            x=[point.t_s for point in course],
            y=[point.remaining_bytes / scale or (None if logarithmic else 0.0) for point in course],
            **line(PREDICTED, showlegend=bool(course)),
        ),
        scatter(
            x=[0.0, last_s], y=[allowed, allowed], **line(ALLOWED, hoverinfo="skip", showlegend=allowed is not None)
        ),
        _band(bounds, (least / scale if logarithmic else 0.0, largest / scale)),
    ]
    heights: dict[str, Any] = {"title": {"text": f"remaining [{unit}]"}, "rangemode": "tozero"}
    if logarithmic:
        heights = {"title": {"text": "remaining"}, **log_axis([least, largest], "size")}
    return Figure(
        spec(
            traces,
            xaxis={"title": {"text": "time since the request [s]"}, "rangemode": "tozero"},
            yaxis=heights,
        )
    )


def _least(drawn: Sequence[float], allowed_bytes: float) -> float:
    """Return the least that a logarithmic axis must show [B]."""
    some = [value for value in (*drawn, allowed_bytes) if value > 0.0]
    return min(some, default=1.0)


def _drawn(interval_s: tuple[float, float] | None, last_s: float) -> tuple[float | None, float | None]:
    """Return the bounds that can be drawn; None: there are none."""
    if interval_s is None or not math.isfinite(interval_s[0]):
        return None, None
    low_s, high_s = interval_s
    return low_s, high_s if math.isfinite(high_s) else max(last_s, 1.25 * low_s)


def _band(bounds: tuple[float | None, float | None], heights: tuple[float, float]) -> dict[str, Any]:
    low, high = bounds
    return scatter(
        x=[low, low, high, high],
        y=[heights[0], heights[1], heights[1], heights[0]],
        showlegend=low is not None,
        name="ends here with 90 %",
        mode="lines",
        fill="toself",
        hoverinfo="name",
        line={"color": PREDICTED.colour, "width": 0},
        opacity=0.3,
    )


def ends(looks: Sequence[tuple[float, float, float, float]]) -> Figure:
    """Return which end was expected at each look, with its bounds: a forecast that is right is level.

    Parameters
    ----------
    looks
        Of each look its time, the end that was expected then, and that end's bounds, all since the request [s].
        What is infinite is left out.

    Examples
    --------
    >>> [trace.name for trace in ends([(1.0, 9.0, 8.0, 11.0), (2.0, 9.5, 9.0, math.inf)]).data]
    ['90 % of ends', 'expected end', 'now']
    """
    known = [look for look in looks if math.isfinite(look[1])]
    held = [look for look in known if math.isfinite(look[3])]
    times = [look[0] for look in known]
    now_s = looks[-1][0] if looks else 0.0
    traces = [
        scatter(
            x=[look[0] for look in held] + [look[0] for look in reversed(held)],
            y=[look[2] for look in held] + [look[3] for look in reversed(held)],
            name="90 % of ends",
            mode="lines",
            fill="toself",
            hoverinfo="skip",
            line={"color": PREDICTED.colour, "width": 0},
            opacity=0.3,
        ),
        scatter(x=times, y=[look[1] for look in known], **line(Style("expected end", *PREDICTED[1:]))),
        scatter(x=[0.0, now_s], y=[0.0, now_s], **line(Style("now", MEANINGS["reference"].value, "dot", "line-ew"))),
    ]
    return Figure(
        spec(
            traces,
            xaxis={"title": {"text": "asked at [s]"}, "rangemode": "tozero"},
            yaxis={"title": {"text": "expected end [s]"}, "rangemode": "tozero"},
        )
    )
