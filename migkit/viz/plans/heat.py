"""Tables of parts as heat maps: how full links and hosts are over time, and which machines never converge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from migkit.units import format_rate
from migkit.viz.style import INK, MEANINGS, PREDICTED, Figure, styled
from migkit.viz.ticks import time_axis

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["host_memory", "link_load", "never_converging"]

_MOST_ROWS: Final = 40
_MOST_WRITTEN: Final = 400  # cells that have room for a number
_BAR: Final = {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%", "title": {"side": "right"}}


def link_load(load: pd.DataFrame) -> Figure:
    """Return which part of each link migrations take over time; the busiest links are drawn.

    Parameters
    ----------
    load
        One row a link and direction, one column an interval of equal length named by its begin [s], cells from 0 to
        1: what :meth:`migkit.planning.drain.Plan.link_load` returns.

    Examples
    --------
    >>> import pandas as pd
    >>> figure = link_load(pd.DataFrame([[1.0, 0.5], [0.0, 0.5]], index=["a out", "b in"], columns=[0.0, 10.0]))
    >>> figure.data[0].y, figure.layout.xaxis.title.text
    (('a out', 'b in'), 'time since the beginning [s]')
    """
    return _over_time(load, "part of the link in use")


def host_memory(held: pd.DataFrame) -> Figure:
    """Return which part of each host's memory machines hold over time; the fullest hosts are drawn.

    A machine counts on both hosts while it moves.

    Parameters
    ----------
    held
        One row a host, one column an interval of equal length named by its begin [s], cells from 0 to 1: what
        :meth:`migkit.planning.drain.Plan.host_memory` returns.

    Examples
    --------
    >>> import pandas as pd
    >>> figure = host_memory(pd.DataFrame([[0.8, 0.0], [0.3, 0.6]], index=["a", "b"], columns=[0.0, 10.0]))
    >>> figure.data[0].colorbar.title.text
    'part of the memory in use'
    """
    return _over_time(held, "part of the memory in use")


def _over_time(table: pd.DataFrame, title: str) -> Figure:
    begins_s = [float(one) for one in table.columns]
    step_s = begins_s[1] - begins_s[0] if len(begins_s) > 1 else 1.0
    edges_s = [*begins_s, begins_s[-1] + step_s] if begins_s else []
    scale, unit = time_axis(edges_s[-1] if edges_s else 0.0)
    busiest = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index[:_MOST_ROWS]]
    shown = table.loc[[name for name in table.index if name in set(busiest.index)]]
    left = len(table) - len(shown)
    rows = f"the {len(shown)} busiest of {len(table)}" if left else None
    return styled(
        [
            {
                "type": "heatmap",
                "x": [one / scale for one in edges_s],
                "y": [str(name) for name in shown.index],
                "z": shown.to_numpy().tolist(),
                **_colours(title),
                "hovertemplate": "%{y}, %{x:.3g} " + unit + ": %{z:.0%}<extra></extra>",
            }
        ],
        height=150 + 20 * max(4, len(shown)),
        xaxis={"title": {"text": f"time since the beginning [{unit}]"}, "showgrid": False},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False, "title": {"text": rows}},
    )


def never_converging(
    parts: pd.DataFrame, counts: Sequence[int] | None = None, *, rows: str = "memory of the machine"
) -> Figure:
    """Return which part of the machines of each class never converges on each share of a link.

    Parameters
    ----------
    parts
        One row a class of machines, one column a share of a link [B/s], cells from 0 to 1: what
        :func:`migkit.planning.convergence.never_converging` returns.
    counts
        How many machines each class has, written beside its name; None: not written.
    rows
        What the classes are, as the axis is headed.

    Examples
    --------
    >>> import pandas as pd
    >>> figure = never_converging(pd.DataFrame([[1.0, 0.25]], index=["16 GiB"], columns=[1.25e8, 1.25e9]), [4])
    >>> figure.data[0].x, figure.data[0].y
    (('1 Gbit/s', '10 Gbit/s'), ('16 GiB (4)',))
    """
    names = [str(name) for name in parts.index]
    if counts is not None:
        names = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    written = parts.size <= _MOST_WRITTEN
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": [format_rate(float(share)) for share in parts.columns],
        "y": names,
        "z": parts.to_numpy().tolist(),
        **_colours("part that never converges", MEANINGS["postcopy"].value),
        "texttemplate": "%{z:.0%}" if written else "",
        "textfont": {"color": INK},
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{y} at %{x}: %{z:.0%} never converge<extra></extra>",
    }
    return styled(
        [trace],
        height=150 + 26 * max(3, len(names)),
        xaxis={"title": {"text": "what each migration gets of the link"}, "type": "category", "showgrid": False},
        yaxis={"title": {"text": rows}, "type": "category", "autorange": "reversed", "showgrid": False},
    )


def _colours(title: str, colour: str = PREDICTED.colour) -> dict[str, Any]:
    """Return a scale from nothing, through which the page shines, to full."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    steps = [(part, f"rgba({red},{green},{blue},{round(part, 2)})") for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    bar = {**_BAR, "title": {**_BAR["title"], "text": title}}  # type: ignore[dict-item]
    return {"zmin": 0.0, "zmax": 1.0, "colorscale": steps, "colorbar": bar}
