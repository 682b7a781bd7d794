"""Predicted against measured, and by how much predictions are off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from migkit.viz.style import MEANINGS, PREDICTED, Figure, Spec, scatter, side_by_side, spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predicted_against_measured", "residuals"]

_ERRORS: Final = {
    "total_time_error": ("error of the total time [%]", 100.0),
    "downtime_error_s": ("error of the downtime [ms]", 1000.0),
}
_MARKS: Final = {"predicted": (False, "circle"), "used in the fit": (True, "circle-open")}


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
    figure = side_by_side(*panels, widths=(1.0 / len(panels),) * len(panels), gap=0.12)
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


def residuals(frame: pd.DataFrame) -> Figure:
    """Return the errors of total time and downtime: a column a run, filled where the run was not used in the fit.

    Parameters
    ----------
    frame
        One row a run: ``name``, ``used``, ``total_time_error`` (a share), ``downtime_error_s`` [s].

    Examples
    --------
    >>> import pandas as pd
    >>> errors = {"total_time_error": [0.0, 0.1], "downtime_error_s": [0.0, 0.01]}
    >>> rows = pd.DataFrame({"name": ["a", "b"], "used": [True, False], **errors})
    >>> [trace.name for trace in residuals(rows).data][:2]
    ['predicted', 'used in the fit']
    """
    panels = [_residual_panel(frame, column, *words) for column, words in _ERRORS.items()]
    for trace in panels[1]["data"]:
        trace["showlegend"] = False
    return side_by_side(*panels, widths=(0.5, 0.5))


def _residual_panel(frame: pd.DataFrame, column: str, title: str, scale: float) -> Spec:
    names = frame["name"].tolist()
    points = [
        _residual_points(frame[frame["used"] == used], column, scale, label, mark)
        for label, (used, mark) in _MARKS.items()
    ]
    return spec(
        [*points, _zero(names)],
        xaxis={"title": {"text": "run"}, "type": "category", "categoryorder": "array", "categoryarray": names},
        yaxis={"title": {"text": title}},
    )


def _residual_points(rows: pd.DataFrame, column: str, scale: float, label: str, mark: str) -> dict[str, Any]:
    colour = PREDICTED.colour
    return scatter(
        x=rows["name"].tolist(),
        y=(rows[column] * scale).tolist(),
        name=label,
        mode="markers",
        showlegend=True,
        marker={"color": colour, "symbol": mark, "size": 10, "line": {"width": 2, "color": colour}},
        hovertemplate="%{x}: %{y:.3g}<extra></extra>",
    )


def _zero(names: list[str]) -> dict[str, Any]:
    return scatter(
        x=[names[0], names[-1]],
        y=[0.0, 0.0],
        mode="lines",
        name="measured",
        hoverinfo="skip",
        line={"color": MEANINGS["measured"].value, "dash": "dot", "width": 2},
    )
