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
    line,
    pattern,
    scatter,
    side_by_side,
    spec,
    styled,
)
from migkit.viz.ticks import log_axis

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["PHASES", "crossovers", "timelines"]

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


def crossovers(
    at: Sequence[float],
    sweep: Mapping[str, Sequence[Prediction]],
    *,
    here: float,
    x_title: str,
    fields: Mapping[str, str],
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
        )
        for field, title in fields.items()
    ]
    for trace in (trace for panel in panels[1:] for trace in panel["data"]):
        trace["showlegend"] = False
    return side_by_side(*panels, widths=(1.0 / len(panels),) * len(panels))


def _ended(result: Prediction, field: str) -> float | None:
    value = float(getattr(result, field))
    return value if math.isfinite(result.total_time_s) and value > 0 else None


def _kind(field: str) -> str:
    """Return the kind of a field's ticks."""
    return "time" if field.endswith("_s") else "size" if field.endswith("_bytes") else "count"


def _crossover(
    at: Sequence[float], curves: Mapping[str, Sequence[float | None]], here: float, x: Spec, y: Spec, kind: str
) -> Spec:
    traces = [
        scatter(x=list(at), y=list(values), **line(STRATEGIES[name], mode="lines+markers"))
        for name, values in curves.items()
    ]
    values = [value for curve in curves.values() for value in curve if value is not None] or [1.0]
    traces.append(_here(max(here, min(at)), min(values), max(values)))
    return spec(traces, xaxis={**x, **log_axis(at, "count")}, yaxis={**y, **log_axis(values, kind)})


def _here(here: float, lowest: float, highest: float) -> Any:
    return scatter(
        x=[here, here],
        y=[lowest, highest],
        mode="lines",
        name="now",
        hoverinfo="skip",
        line={"color": MEANINGS["reference"].value, "dash": "longdash", "width": 1},
    )
