"""Predicted against measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from migkit.viz.style import COLOURS, Figure, styled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predicted_against_measured"]


def predicted_against_measured(frame: pd.DataFrame) -> Figure:
    """Return one panel a quantity: each run a point, the diagonal where prediction equals measurement.

    Parameters
    ----------
    frame
        Columns ``quantity`` (with its unit, as the panel is headed), ``measured``, ``predicted``, and
        ``run`` (a name, shown on hovering).
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    figure = Figure(make_subplots(cols=max(1, len(quantities)), subplot_titles=quantities))
    for column, quantity in enumerate(quantities, 1):
        rows = frame[frame["quantity"] == quantity]
        figure.add_traces([_diagonal(rows), _points(rows)], rows=1, cols=column)
    figure.update_xaxes(title_text="measured", rangemode="tozero")
    figure.update_yaxes(title_text="predicted", rangemode="tozero")
    return styled_copy(figure)


def styled_copy(figure: Figure) -> Figure:
    """Return ``figure`` in the house layout, its axes and titles kept."""
    return styled(list(figure.data), **figure.layout.to_plotly_json(), showlegend=False)


def _diagonal(rows: pd.DataFrame) -> Any:
    largest = float(rows[["measured", "predicted"]].to_numpy().max())
    return go.Scatter(
        x=[0.0, largest], y=[0.0, largest], mode="lines", hoverinfo="skip", line={"color": "#999999", "dash": "dash"}
    )


def _points(rows: pd.DataFrame) -> Any:
    return go.Scatter(
        x=rows["measured"],
        y=rows["predicted"],
        mode="markers",
        text=rows["run"],
        marker={"color": COLOURS["blue"], "symbol": "circle", "size": 9},
        hovertemplate="%{text}: measured %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )
