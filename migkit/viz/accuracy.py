"""Predicted against measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from migkit.viz.style import MEANINGS, PREDICTED, Figure, Spec, scatter, side_by_side, spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predicted_against_measured"]


_QUANTITIES: Final[Mapping[str, tuple[str, float]]] = {
    "total_time_s": ("total time [s]", 1.0),
    "transferred_bytes": ("sent [MiB]", 2.0**20),
    "downtime_s": ("downtime [s]", 1.0),
}


def predicted_against_measured(frame: pd.DataFrame) -> Figure:
    """Return one panel a quantity: each run a point, the diagonal where prediction equals measurement.

    Parameters
    ----------
    frame
        One row a run and quantity: ``quantity`` (with its unit, as the panel is headed), ``measured``,
        ``predicted`` and ``run`` (a name, shown on hovering); or one row a run, as
        :func:`migkit.calibrate.validate.to_frame` returns it.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = {"run": [0], "total_time_s_measured": [2.0], "total_time_s_predicted": [2.1]}
    >>> predicted_against_measured(pd.DataFrame(columns)).layout.xaxis.title.text
    'measured total time [s]'
    """
    if "quantity" not in frame:
        frame = _a_row_a_quantity(frame)
    quantities = list(dict.fromkeys(frame["quantity"]))
    panels = [_panel(frame[frame["quantity"] == quantity], quantity) for quantity in quantities]
    figure = side_by_side(*panels, widths=(1.0 / len(panels),) * len(panels))
    figure.layout.showlegend = False
    return figure


def _a_row_a_quantity(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "run": frame["run"],
                "quantity": title,
                "measured": frame[f"{name}_measured"] / scale,
                "predicted": frame[f"{name}_predicted"] / scale,
            }
        )
        for name, (title, scale) in _QUANTITIES.items()
        if f"{name}_measured" in frame
    ]
    return pd.concat(parts, ignore_index=True)


def _panel(rows: pd.DataFrame, quantity: str) -> Spec:
    return spec(
        [_diagonal(rows), _points(rows)],
        xaxis={"title": {"text": f"measured {quantity}"}, "rangemode": "tozero"},
        yaxis={"title": {"text": f"predicted {quantity}"}, "rangemode": "tozero"},
    )


def _diagonal(rows: pd.DataFrame) -> Any:
    largest = float(rows[["measured", "predicted"]].to_numpy().max())
    return scatter(
        x=[0.0, largest],
        y=[0.0, largest],
        mode="lines",
        hoverinfo="skip",
        line={"color": MEANINGS["reference"].value, "dash": "dash"},
    )


def _points(rows: pd.DataFrame) -> Any:
    return scatter(
        x=rows["measured"],
        y=rows["predicted"],
        mode="markers",
        text=rows["run"],
        marker={"color": PREDICTED.colour, "symbol": "circle", "size": 9},
        hovertemplate="%{text}: measured %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )
