"""Strategies of one guest side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from migkit.viz.style import (
    LEGEND,
    MEANINGS,
    STRATEGIES,
    Figure,
    Spec,
    bytes_axis,
    line,
    pattern,
    scatter,
    side_by_side,
    spec,
    styled,
)
from migkit.viz.ticks import log_axis

if TYPE_CHECKING:
    from migkit.models.bulk.several import Outcome
    from migkit.models.result import Prediction

__all__ = ["PHASES", "crossovers", "progress", "timelines"]

PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "runs at the source": (MEANINGS["precopy"].value, ""),
    "down": (MEANINGS["stopcopy"].value, "x"),
    "runs at the destination, pages still coming": (MEANINGS["postcopy"].value, "/"),
}


def timelines(results: Mapping[str, Prediction]) -> Figure:
    """Return one bar a row: where the guest runs, when it is down, when it waits for pages.

    Parameters
    ----------
    results
        Predictions by what each row is called; a strategy's name is written out.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = timelines({"precopy": predict(guest=Guest(memory_bytes=2**30))})
    >>> [trace.name for trace in figure.data]
    ['runs at the source', 'down', 'runs at the destination, pages still coming']
    """
    names = [STRATEGIES[name].label if name in STRATEGIES else name for name in results]
    spans = [_spans(result) for result in results.values()]
    traces = [
        {
            "type": "bar",
            "y": names,
            "x": [span[at] for span in spans],
            "orientation": "h",
            "name": phase,
            "marker": {"color": colour, "pattern": pattern(shape)},
            "hovertemplate": f"%{{y}}: {phase} for %{{x:.3g}} s<extra></extra>",
        }
        for at, (phase, (colour, shape)) in enumerate(PHASES.items())
    ]
    return styled(
        traces,
        barmode="stack",
        legend={**LEGEND, "traceorder": "normal"},
        height=140 + 34 * len(names),
        xaxis={"title": {"text": "time since the request [s]"}},
        yaxis={"autorange": "reversed", "automargin": True},
    )


def _spans(result: Prediction) -> tuple[float, float, float]:
    """Return seconds at the source, down, and at the destination with pages still coming."""
    total_s = result.total_time_s if math.isfinite(result.total_time_s) else result.timeline[-1].t_s
    return max(0.0, total_s - result.downtime_s - result.exposure_s), result.downtime_s, result.exposure_s


def progress(results: Mapping[str, Prediction], speeds: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Return what each strategy has sent over time and, beside it, how fast the guest runs meanwhile.

    Parameters
    ----------
    results
        Predictions by the name of their strategy.
    speeds
        Points ``(t_s, share)`` of the guest's speed by strategy, each share lasting to the next point.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> results = {"precopy": predict(guest=Guest(memory_bytes=2**30))}
    >>> figure = progress(results, {"precopy": [(0.0, 1.0), (0.6, 0.0)]})
    >>> figure.layout.yaxis2.title.text
    'speed of the guest [%]'
    """
    scale, unit = bytes_axis(max(result.timeline[-1].sent_bytes for result in results.values()))
    sent = {
        name: ([point.t_s for point in result.timeline], [point.sent_bytes / scale for point in result.timeline])
        for name, result in results.items()
    }
    speed = {
        name: ([t_s for t_s, _ in points], [100.0 * share for _, share in points]) for name, points in speeds.items()
    }
    panels = [
        spec(
            [_curve(name, x, y, stepped) for name, (x, y) in curves.items()],
            xaxis={"title": {"text": "time since the request [s]"}, "rangemode": "tozero"},
            yaxis={"title": {"text": title}, "rangemode": "tozero"},
        )
        for title, curves, stepped in (
            (f"sent [{unit}]", sent, False),
            ("speed of the guest [%]", speed, True),
        )
    ]
    return side_by_side(*panels, widths=(0.5, 0.5))


def _curve(name: str, x: list[float], y: list[float], stepped: bool) -> dict[str, Any]:
    trace = scatter(x=x, y=y, **line(STRATEGIES[name], showlegend=not stepped))
    trace["line"]["shape"] = "hv" if stepped else "linear"
    return trace


def crossovers(
    at: Sequence[float],
    sweep: Mapping[str, Sequence[Prediction] | Sequence[Outcome]],
    *,
    here: float,
    x_title: str,
    fields: Mapping[str, str],
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Return one panel a field of the results: one curve a strategy over a setting.

    Parameters
    ----------
    at
        Values of the setting, above 0.
    sweep
        By strategy, a prediction at each of them; a curve stops where its strategy does not end.
    here
        The setting now, drawn as an upright line.
    x_title
        What the setting is, with its unit.
    fields
        Title of the axis by field of the results; the ticks carry the unit.
    marks
        Settings of note by what they are, drawn as dotted upright lines where they lie between those of ``at``.

    Examples
    --------
    >>> from migkit import Guest, Strategy, predict
    >>> guest = Guest(memory_bytes=2**30)
    >>> sweep = {name: [predict(guest=guest, strategy=Strategy(name=name))] for name in STRATEGIES}
    >>> figure = crossovers([1.0], sweep, here=1.0, x_title="x", fields={"total_time_s": "total time"})
    >>> len(figure.data)
    5
    """
    panels = [
        _crossover(
            at,
            {name: [_ended(result, field) for result in results] for name, results in sweep.items()},
            here,
            {"title": {"text": x_title}},
            {"title": {"text": title}},
            _kind(field),
            marks or {},
        )
        for field, title in fields.items()
    ]
    for trace in (trace for panel in panels[1:] for trace in panel["data"]):
        trace["showlegend"] = False
    return side_by_side(*panels, widths=(1.0 / len(panels),) * len(panels))


def _ended(result: Prediction | Outcome, field: str) -> float | None:
    value = float(getattr(result, field))
    return value if math.isfinite(result.total_time_s) and value > 0 else None


def _kind(field: str) -> str:
    """Return the kind of a field's ticks."""
    return "time" if field.endswith("_s") else "size" if field.endswith("_bytes") else "count"


def _crossover(
    at: Sequence[float],
    curves: Mapping[str, Sequence[float | None]],
    here: float,
    x: Spec,
    y: Spec,
    kind: str,
    marks: Mapping[str, float],
) -> Spec:
    traces = [
        scatter(x=list(at), y=list(values), **line(STRATEGIES[name], mode="lines+markers"))
        for name, values in curves.items()
    ]
    values = [value for curve in curves.values() for value in curve if value is not None] or [1.0]
    height = [min(values), max(values)]
    traces.append(_upright("now", max(here, min(at)), height, "longdash"))
    for (name, value), dash in zip(marks.items(), ("dot", "dashdot", "dash"), strict=False):
        traces.append(_upright(name, value if min(at) <= value <= max(at) else None, height, dash))
    return spec(traces, xaxis={**x, **log_axis(at, "count")}, yaxis={**y, **log_axis(values, kind)})


def _upright(name: str, at: float | None, height: list[float], dash: str) -> Any:
    return scatter(
        x=[at, at],
        y=height,
        mode="lines",
        name=name,
        hoverinfo="skip",
        showlegend=at is not None,
        line={"color": MEANINGS["reference"].value, "dash": dash, "width": 1.5},
    )
