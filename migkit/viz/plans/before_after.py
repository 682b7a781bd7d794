"""The same drain before and after a change: by when all hosts are empty, with which probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from migkit.viz.plans.schedule import deadline
from migkit.viz.style import PREDICTED, Figure, Style, line, scatter, styled
from migkit.viz.ticks import time_axis

__all__ = ["before_after"]

_STYLES: Final = (PREDICTED, Style("after", PREDICTED.colour, "dash", "square"))


def before_after(ends_s: Mapping[str, Sequence[float]], *, deadline_s: float = math.inf) -> Figure:
    """Return the probability that all is empty, over time, of one drain or of two.

    Parameters
    ----------
    ends_s
        By name, when the last host was empty in each draw, ascending; infinite: never [s].
    deadline_s
        Drawn as an upright line where it is finite [s].

    Examples
    --------
    >>> drawn = before_after({"nova": [10.0, 20.0, 30.0, math.inf]}, deadline_s=25.0)
    >>> list(drawn.data[0].y), drawn.data[-1].name
    ([0.0, 0.25, 0.5, 0.75, 0.75], 'deadline')
    """
    known = [t_s for ends in ends_s.values() for t_s in ends if math.isfinite(t_s)]
    edge_s = 1.05 * max([*known, deadline_s if math.isfinite(deadline_s) else 0.0, 1e-9])
    scale, unit = time_axis(edge_s)
    pairs = zip(ends_s.items(), _STYLES, strict=False)
    traces = [_steps(name, ends, (edge_s, scale, unit), style) for (name, ends), style in pairs]
    if math.isfinite(deadline_s):
        traces.append(deadline(deadline_s / scale, 1) | {"y": [0.0, 1.0]})
    return styled(
        traces,
        xaxis={"title": {"text": f"time since the beginning [{unit}]"}, "range": [0.0, edge_s / scale]},
        yaxis={"title": {"text": "probability that all is empty"}, "tickformat": ".0%", "range": [-0.02, 1.05]},
    )


def _steps(name: str, ends_s: Sequence[float], axis: tuple[float, float, str], style: Style) -> dict[str, Any]:
    edge_s, scale, unit = axis
    ended = [t_s for t_s in ends_s if math.isfinite(t_s)]
    return scatter(
        x=[t_s / scale for t_s in (0.0, *ended, edge_s)],
        y=[at / len(ends_s) for at in (*range(len(ended) + 1), len(ended))],
        hovertemplate="%{y:.0%} by %{x:.3g} " + unit + "<extra></extra>",
        **{**line(Style(name, *style[1:])), "line": {**line(style)["line"], "shape": "hv"}},
    )
