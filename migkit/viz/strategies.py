"""Strategies of one guest side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go

from migkit.viz.style import COLOURS, STRATEGIES, Figure, line, styled

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["PHASES", "crossover", "timelines"]

PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "runs at the source": (COLOURS["sky"], ""),
    "down": (COLOURS["vermillion"], "x"),
    "runs at the destination, pages still coming": (COLOURS["green"], "/"),
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
        go.Bar(
            y=names,
            x=[span[at] for span in spans],
            orientation="h",
            name=phase,
            marker={"color": colour, "pattern": {"shape": shape, "fgcolor": "white", "solidity": 0.2}},
            hovertemplate=f"%{{y}}: {phase} for %{{x:.3g}} s<extra></extra>",
        )
        for at, (phase, (colour, shape)) in enumerate(PHASES.items())
    ]
    return styled(
        traces,
        barmode="stack",
        height=140 + 34 * len(names),
        xaxis={"title": {"text": "time since the request [s]"}},
        yaxis={"autorange": "reversed", "automargin": True},
    )


def _spans(result: Prediction) -> tuple[float, float, float]:
    """Return seconds at the source, down, and at the destination with pages still coming."""
    total_s = result.total_time_s if math.isfinite(result.total_time_s) else result.timeline[-1].t_s
    return max(0.0, total_s - result.downtime_s - result.exposure_s), result.downtime_s, result.exposure_s


def crossover(
    at: Sequence[float], curves: Mapping[str, Sequence[float]], here: float, *, x_title: str, y_title: str
) -> Figure:
    """Return one curve a strategy over a setting, and where the setting stands now.

    Parameters
    ----------
    at
        Values of the setting.
    curves
        By strategy, a value at each of them; NaN or infinite where the strategy does not end.
    here
        The setting now.
    x_title, y_title
        What the axes show, with units.
    """
    traces = [
        go.Scatter(x=list(at), y=[_finite(value) for value in values], **line(STRATEGIES[name], mode="lines+markers"))
        for name, values in curves.items()
    ]
    largest = max((v for values in curves.values() for v in values if math.isfinite(v)), default=1.0)
    traces.append(_here(here, largest))
    return styled(
        traces,
        xaxis={"title": {"text": x_title}, "type": "log"},
        yaxis={"title": {"text": y_title}, "type": "log"},
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None


def _here(here: float, largest: float) -> Any:
    return go.Scatter(
        x=[here, here],
        y=[1e-3, max(largest, 2e-3)],
        mode="lines",
        name="now",
        hoverinfo="skip",
        line={"color": "#999999", "dash": "longdash", "width": 1},
    )
