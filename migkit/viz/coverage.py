"""Intervals of predictions beside what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migkit.viz.style import MEASURED, PREDICTED, Figure, scatter, styled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["intervals"]

_HELD: Final = ("interval holds", PREDICTED.marker, 6, 1.5)
_MISSED: Final = ("interval misses", "x", 10, 3.0)


def intervals(frame: pd.DataFrame, quantity: str = "total time [s]") -> Figure:
    """Return one bar a run, from the lower to the upper bound over what was measured.

    A bar that crosses 1 holds the run. Runs are in the order of their lower bounds.

    Parameters
    ----------
    frame
        One row a run and quantity: ``quantity``, ``measured``, ``predicted``, ``low``, ``high`` in one unit, and
        ``run`` (a name, shown on hovering).
    quantity
        Which rows are drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"run": "a", "quantity": "downtime [s]", "measured": 2.0, "predicted": 2.1, "low": 1.9, "high": 2.4}
    >>> [trace.name for trace in intervals(pd.DataFrame([row]), "downtime [s]").data]
    ['interval holds', 'measured']
    """
    rows = frame[(frame["quantity"] == quantity) & (frame["measured"] > 0.0)].copy()
    rows["place"] = (rows["low"] / rows["measured"]).rank(method="first")
    held = (rows["low"] <= rows["measured"]) & (rows["measured"] <= rows["high"])
    bars = [_bars(rows[mask], *look) for mask, look in ((held, _HELD), (~held, _MISSED)) if mask.any()]
    return styled(
        [*bars, _level(len(rows))],
        xaxis={"title": {"text": "runs, in the order of their lower bounds"}, "showticklabels": False},
        yaxis={"title": {"text": f"predicted / measured {quantity.partition(' [')[0]}"}},
    )


def _bars(rows: pd.DataFrame, name: str, symbol: str, size_px: int, thickness_px: float) -> Any:
    measured, predicted = rows["measured"], rows["predicted"]
    error = {"array": (rows["high"] - predicted) / measured, "arrayminus": (predicted - rows["low"]) / measured}
    return scatter(
        x=rows["place"],
        y=predicted / measured,
        name=name,
        mode="markers",
        showlegend=True,
        text=rows["run"],
        marker={"color": PREDICTED.colour, "symbol": symbol, "size": size_px},
        error_y={**error, "color": PREDICTED.colour, "width": 0, "thickness": thickness_px},
        hovertemplate="%{text}: predicted %{y:.3f} of what was measured<extra></extra>",
    )


def _level(runs: int) -> Any:
    return scatter(
        x=[0.5, runs + 0.5],
        y=[1.0, 1.0],
        name=MEASURED.label,
        mode="lines",
        showlegend=True,
        hoverinfo="skip",
        line={"color": MEASURED.colour, "dash": MEASURED.dash, "width": 2},
    )
