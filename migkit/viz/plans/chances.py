"""A drain with durations that are not certain: when all is empty with which probability, when each machine moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from migkit.units import format_duration
from migkit.viz.plans.schedule import deadline
from migkit.viz.style import INK, LEGEND, MEANINGS, PREDICTED, Figure, scatter, styled
from migkit.viz.ticks import time_axis

__all__ = ["empty_by", "rehearsed"]

_MARKED: Final = (0.5, 0.95)


def empty_by(end_s: Sequence[float], *, deadline_s: float = math.inf) -> Figure:
    """Return the probability that all is empty, over time.

    Parameters
    ----------
    end_s
        When all was empty, one for each draw [s]; infinite: never.
    deadline_s
        Drawn as an upright line where it is finite [s].

    Examples
    --------
    >>> [trace.name for trace in empty_by([10.0, 20.0, 40.0, 80.0], deadline_s=60.0).data]
    ['empty', '50 and 95 %', 'deadline']
    """
    ordered = sorted(float(one) for one in end_s)
    ended = [one for one in ordered if math.isfinite(one)]
    last_s = max([*ended, deadline_s if math.isfinite(deadline_s) else 0.0, 1e-9]) * 1.08
    scale, unit = time_axis(last_s)
    parts = [(at + 1) / len(ordered) for at in range(len(ended))]
    traces = [
        scatter(
            x=[0.0, *(one / scale for one in ended), last_s / scale],
            y=[0.0, *parts, parts[-1] if parts else 0.0],
            mode="lines",
            name="empty",
            line={"shape": "hv", "color": PREDICTED.colour, "width": 2},
            hovertemplate="%{y:.1%} by %{x:.3g} " + unit + "<extra></extra>",
        ),
        _marks(ordered, scale),
    ]
    if math.isfinite(deadline_s):
        traces.append(deadline(deadline_s / scale, 1) | {"y": [0.0, 1.0]})
    return styled(
        traces,
        xaxis={"title": {"text": f"time since the beginning [{unit}]"}, "range": [0.0, last_s / scale]},
        yaxis={"title": {"text": "probability that all is empty"}, "tickformat": ".0%", "range": [-0.02, 1.05]},
    )


def _marks(ordered: list[float], scale: float) -> dict[str, Any]:
    """Return marks at the times by which half, and nearly all, of the draws have ended."""
    at = [ordered[math.ceil(part * len(ordered) - 1e-9) - 1] for part in _MARKED]
    known = [(time_s, part) for time_s, part in zip(at, _MARKED, strict=True) if math.isfinite(time_s)]
    return scatter(
        x=[time_s / scale for time_s, _ in known],
        y=[part for _, part in known],
        mode="markers+text",
        name="50 and 95 %",
        text=[format_duration(time_s) for time_s, _ in known],
        textposition="top left",
        marker={"color": INK, "symbol": "diamond", "size": 9},
        hovertemplate="%{y:.0%} by %{text}<extra></extra>",
    )


def rehearsed(machines: Any, *, deadline_s: float = math.inf, most: int = 40) -> Figure:
    """Return when each machine moves, how late it may end, and which may never leave.

    A bar goes from the median start to the median end, a thin line on to the end with 95 %. An arrow at the edge is
    a machine that does not leave in a part of the draws, a twentieth or more.

    Parameters
    ----------
    machines
        Frame with ``vm``, ``host``, ``start_s``, ``median_s``, ``late_s`` [s] and ``leaves`` (a probability), as
        :attr:`migkit.planning.rehearsal.Rehearsal.machines` is.
    deadline_s
        Drawn as an upright line where it is finite [s].
    most
        Of how many machines; those that end last are drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> machines = pd.DataFrame({"vm": ["x", "y"], "host": ["a", "a"], "start_s": [0.0, 4.0],
    ...                          "median_s": [5.0, 9.0], "late_s": [7.0, math.inf], "leaves": [1.0, 0.9]})
    >>> [trace.name for trace in rehearsed(machines, deadline_s=20.0).data]
    ['median start to median end', 'up to 95 %', 'may stay', 'deadline']
    """
    some = machines.sort_values(["late_s", "median_s"], ascending=False, kind="stable").head(most)
    some = some.sort_values(["start_s", "median_s", "late_s"], kind="stable", na_position="last")
    rows: list[Any] = some.to_dict("records")
    times = [row[name] for row in rows for name in ("median_s", "late_s") if math.isfinite(row[name])]
    last_s = max([*times, deadline_s if math.isfinite(deadline_s) else 0.0, 1e-9]) * 1.06
    scale, unit = time_axis(last_s)
    traces = [_bars(rows, scale), _late(rows, last_s, scale), _stays(rows, last_s, scale)]
    if math.isfinite(deadline_s):
        traces.append(deadline(deadline_s / scale, len(rows)))
    return styled(
        [trace for trace in traces if trace["x"]],
        bargap=0.25,
        legend={**LEGEND, "traceorder": "normal"},
        height=170 + 18 * len(rows),
        xaxis={"title": {"text": f"time since the beginning [{unit}]"}, "range": [0.0, last_s / scale * 1.02]},
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": list(range(len(rows))),
            "ticktext": [f"{row['vm']} ({row['host']})" for row in rows],
        },
    )


def _bars(rows: list[Any], scale: float) -> dict[str, Any]:
    known = [(at, row) for at, row in enumerate(rows) if math.isfinite(row["median_s"])]
    return {
        "type": "bar",
        "orientation": "h",
        "name": "median start to median end",
        "y": [at for at, _ in known],
        "x": [(row["median_s"] - row["start_s"]) / scale for _, row in known],
        "base": [row["start_s"] / scale for _, row in known],
        "hovertext": [_words(row) for _, row in known],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": MEANINGS["leaves"].value},
    }


def _late(rows: list[Any], last_s: float, scale: float) -> dict[str, Any]:
    known = [(at, row) for at, row in enumerate(rows) if math.isfinite(row["median_s"])]
    ends = [(at, row["median_s"], row["late_s"] if math.isfinite(row["late_s"]) else last_s) for at, row in known]
    return scatter(
        x=[value for _, median_s, late_s in ends for value in (median_s / scale, late_s / scale, None)],
        y=[value for at, _, _ in ends for value in (at, at, None)],
        mode="lines",
        name="up to 95 %",
        hoverinfo="skip",
        line={"color": PREDICTED.colour, "width": 3},
    )


def _stays(rows: list[Any], last_s: float, scale: float) -> dict[str, Any]:
    known = [(at, row) for at, row in enumerate(rows) if math.isinf(row["late_s"])]
    return scatter(
        x=[last_s / scale for _ in known],
        y=[at for at, _ in known],
        mode="markers",
        name="may stay",
        text=[_words(row) for _, row in known],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": MEANINGS["postcopy"].value, "symbol": "triangle-right", "size": 11},
    )


def _words(row: Any) -> str:
    if math.isinf(row["late_s"]):
        return f"{row['vm']} on {row['host']}: leaves in {row['leaves']:.1%} of the draws"
    by = f"gone by {format_duration(row['median_s'])} with 50 %, by {format_duration(row['late_s'])} with 95 %"
    return f"{row['vm']} on {row['host']}: {by}"
