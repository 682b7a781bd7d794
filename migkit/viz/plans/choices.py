"""What to choose: settings against each other, values near an answer, and which input matters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from migkit.units import format_cost, format_duration, format_size
from migkit.viz.style import (
    INK,
    MEANINGS,
    PREDICTED,
    STRATEGIES,
    Figure,
    Spec,
    bytes_axis,
    pattern,
    scatter,
    side_by_side,
    spec,
    styled,
)
from migkit.viz.ticks import log_axis, time_axis

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["front", "near", "tornado"]

_MISSED: Final = "x-thin"
_ROOM: Final = 1.5  # above and below the values, so that an axis has ticks
_TITLES: Final = {
    "total_time_s": ("total time", "time"),
    "downtime_s": ("downtime", "time"),
    "transferred_bytes": ("sent", "size"),
    "guest_slowdown": ("slowdown of the guest", "part"),
    "converges": ("converges", "part"),
}


def front(options: pd.DataFrame) -> Figure:
    """Return downtime against total time of every choice: those on the Pareto front, the best one, and the others.

    Parameters
    ----------
    options
        One row a choice: ``changes``, ``strategy``, ``total_time_s``, ``downtime_s`` [s], ``transferred_bytes`` [B],
        ``keeps_limits``, ``on_front``, ``is_best``, as :meth:`migkit.planning.tradeoffs.Tradeoffs.to_frame` has them.

    Examples
    --------
    >>> import pandas as pd
    >>> options = pd.DataFrame({"changes": ["as it is"], "strategy": ["precopy"], "total_time_s": [9.0],
    ...     "downtime_s": [0.2], "transferred_bytes": [1e9], "keeps_limits": [True], "on_front": [True],
    ...     "is_best": [True]})
    >>> [trace.name for trace in front(options).data]
    ['pre-copy', 'the best by the weights']
    """
    ended = options[(options["total_time_s"] < math.inf) & (options["downtime_s"] < math.inf)]
    traces = []
    misses = ended[~ended["keeps_limits"]]
    if len(misses):
        traces.append(_points(misses, "misses a limit", MEANINGS["reference"].value, _MISSED, 8))
    beaten = ended[ended["keeps_limits"] & ~ended["on_front"]]
    if len(beaten):
        traces.append(_points(beaten, "beaten by another one", MEANINGS["reference"].value, "circle-open", 7))
    for name, style in STRATEGIES.items():
        some = ended[ended["on_front"] & (ended["strategy"] == name)]
        if len(some):
            traces.append(_points(some, style.label, style.colour, style.marker, 11))
    best = ended[ended["is_best"]]
    if len(best):
        traces.append(_points(best, "the best by the weights", INK, "star-open", 20))
    return styled(
        traces,
        height=400,
        xaxis={"title": {"text": "total time"}, **log_axis(ended["total_time_s"], "time")},
        yaxis={"title": {"text": "downtime"}, **log_axis(ended["downtime_s"], "time")},
    )


def _points(rows: pd.DataFrame, name: str, colour: str, symbol: str, size: int) -> dict[str, Any]:
    found: list[Any] = rows.to_dict("records")
    words = [
        f"{row['changes']}: total {format_duration(row['total_time_s'])}, down {format_cost(row['downtime_s'])}, "
        f"sends {format_size(row['transferred_bytes'])}"
        for row in found
    ]
    return scatter(
        x=rows["total_time_s"].tolist(),
        y=rows["downtime_s"].tolist(),
        mode="markers",
        name=name,
        text=words,
        hovertemplate="%{text}<extra></extra>",
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"color": colour, "width": 1.5}},
    )


def near(curve: pd.DataFrame, answer: float, title: str, write: Callable[[float], str]) -> Figure:
    """Return total time and downtime for values around an answer.

    Parameters
    ----------
    curve
        One row a value: ``value``, ``holds``, ``verdict``, ``total_time_s``, ``downtime_s`` [s]; what
        :meth:`migkit.planning.size.Size.to_frame` returns.
    answer
        Marked by an upright line.
    title
        What was asked for.
    write
        Writes a value with its unit.

    Examples
    --------
    >>> import pandas as pd
    >>> curve = pd.DataFrame({"value": [1.0, 2.0], "holds": [False, True], "verdict": ["converges"] * 2,
    ...                       "total_time_s": [20.0, 10.0], "downtime_s": [0.3, 0.2]})
    >>> near(curve, 2.0, "streams", "{:g}".format).layout.xaxis.title.text
    'streams'
    """
    panels = [_near(curve, answer, title, write, name, at == 0) for at, name in enumerate(_NEAR)]
    return side_by_side(*panels, widths=(0.5, 0.5))


_NEAR: Final = ("total_time_s", "downtime_s")


def _near(
    curve: pd.DataFrame, answer: float, title: str, write: Callable[[float], str], name: str, is_first: bool
) -> Spec:
    some = curve[(curve["verdict"] == "converges") & (curve[name] < math.inf)]
    values, shown = some[name].tolist(), [write(value) for value in some["value"]]
    low, high = (min(values) / _ROOM, max(values) * _ROOM) if values else (0.5, 2.0)
    holds = some["holds"].tolist()
    words = [
        f"{what}: {format_cost(value)}, {'holds' if one else 'misses a limit'}"
        for what, value, one in zip(shown, values, holds, strict=True)
    ]
    line = scatter(
        x=some["value"].tolist(),
        y=values,
        mode="lines+markers",
        name="converges",
        showlegend=False,
        text=words,
        hovertemplate="%{text}<extra></extra>",
        line={"color": PREDICTED.colour, "width": 2},
        marker={
            "color": PREDICTED.colour,
            "size": 9,
            "symbol": ["circle" if one else "circle-open" for one in holds],
        },
    )
    mark = scatter(
        x=[answer, answer],
        y=[low, high],
        mode="lines",
        name="the answer",
        showlegend=is_first,
        hoverinfo="skip",
        line={"color": MEANINGS["reference"].value, "dash": "dash", "width": 2},
    )
    asked = sorted({*curve["value"].tolist()})
    ticks = asked[asked.index(answer) % 2 :: 2] if answer in asked else asked[::2]  # the answer among them
    edge = [math.log10(one) for one in (curve["value"].min() / 1.05, curve["value"].max() * 1.05)]
    across = {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [write(one) for one in ticks]}
    endless = curve[~curve.index.isin(some.index)]
    never = scatter(
        x=endless["value"].tolist(),
        y=[high] * len(endless),
        mode="markers",
        name="does not converge",
        showlegend=is_first and len(endless) > 0,
        text=[f"{write(value)}: does not converge" for value in endless["value"]],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": MEANINGS["reference"].value, "symbol": "x", "size": 9},
    )
    keys = [
        _key("keeps the limits", "circle", shown=is_first and any(holds)),
        _key("misses a limit", "circle-open", shown=is_first and not all(holds)),
    ]
    return spec(
        [line, *keys, never, mark],
        xaxis={"title": {"text": title}, **across, "range": edge},
        yaxis={"title": {"text": _TITLES[name][0]}, **log_axis([low, high], "time")},
    )


def _key(name: str, symbol: str, *, shown: bool) -> dict[str, Any]:
    """Return a line of the legend: a trace without points."""
    marker = {"color": PREDICTED.colour, "symbol": symbol, "size": 9}
    return scatter(x=[None], y=[None], mode="markers", name=name, showlegend=shown, marker=marker)


def tornado(effects: pd.DataFrame, output: str) -> Figure:
    """Return what each input alone does to a result and, beside it, which part of the variance it explains.

    Parameters
    ----------
    effects
        One row an input, the one that matters most first: ``input``, ``low``, ``high``, ``first_order``,
        ``in_total``; what :meth:`migkit.planning.sensitivity.Sensitivity.to_frame` returns.
    output
        The name of the result, as in :data:`migkit.planning.sensitivity.OUTPUTS`.

    Examples
    --------
    >>> import pandas as pd
    >>> effects = pd.DataFrame({"input": ["memory_bytes"], "low": [2.0], "high": [9.0], "first_order": [0.9],
    ...                         "in_total": [0.95]})
    >>> [trace.name for trace in tornado(effects, "total_time_s").data]
    [None, 'low end of the range', 'high end of the range', 'alone', 'with all others']
    """
    names = [str(name).replace("_", " ") for name in effects["input"]]
    title, kind = _TITLES[output]
    divisor, unit = _scale(effects, kind)
    low, high = effects["low"] / divisor, effects["high"] / divisor
    left = spec(
        [
            _between(names, low.tolist(), high.tolist()),
            _ends(names, low.tolist(), "low end of the range", "circle-open"),
            _ends(names, high.tolist(), "high end of the range", "circle"),
        ],
        xaxis={"title": {"text": f"{title}{unit}"}},
        yaxis={"type": "category", "autorange": "reversed"},
    )
    right = spec(
        [
            _part(names, effects["first_order"].clip(lower=0.0).tolist(), "alone", "", -0.36),
            _part(names, effects["in_total"].clip(lower=0.0).tolist(), "with all others", "/", 0.0),
        ],
        xaxis={"title": {"text": "part of the variance"}, "tickformat": ".0%", "range": [0.0, 1.05]},
        yaxis={"type": "category", "autorange": "reversed", "showticklabels": False},
    )
    return side_by_side(left, right, widths=(0.58, 0.42), height=180 + 42 * len(names))


def _scale(effects: pd.DataFrame, kind: str) -> tuple[float, str]:
    largest = float(effects[["low", "high"]].to_numpy().max())
    if kind == "part":
        return 1.0, ""
    divisor, unit = bytes_axis(largest) if kind == "size" else time_axis(largest)
    return divisor, f" [{unit}]"


def _between(names: list[str], low: list[float], high: list[float]) -> dict[str, Any]:
    return scatter(
        x=[value for pair in zip(low, high, strict=True) for value in (*pair, None)],
        y=[value for name in names for value in (name, name, None)],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        line={"color": PREDICTED.colour, "width": 6},
    )


def _ends(names: list[str], values: list[float], label: str, symbol: str) -> dict[str, Any]:
    return scatter(
        x=values,
        y=names,
        mode="markers",
        name=label,
        marker={"color": INK, "symbol": symbol, "size": 11, "line": {"width": 2, "color": INK}},
        hovertemplate="%{y}, " + label + ": %{x:.4g}<extra></extra>",
    )


def _part(names: list[str], values: list[float], label: str, shape: str, offset: float) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": label,
        "y": names,
        "x": values,
        "width": 0.34,
        "offset": offset,
        "marker": {"color": PREDICTED.colour, "pattern": pattern(shape)},
        "hovertemplate": "%{y}: %{x:.1%}<extra>" + label + "</extra>",
    }
