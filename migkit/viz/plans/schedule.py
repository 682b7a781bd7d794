"""A plan over time: one row a lane of a host, one bar a migration."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Any, Final

from migkit.units import format_duration
from migkit.viz.style import INK, LEGEND, MEANINGS, Figure, pattern, scatter, styled
from migkit.viz.ticks import time_axis

__all__ = ["deadline", "gantt", "lanes"]

_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "out": ("leaves its host", MEANINGS["leaves"].value, ""),
    "home": ("returns home", MEANINGS["returns"].value, "/"),
}
_MOST_ROWS: Final = 60  # beyond them rows get thinner instead of the figure taller


def gantt(moves: Any, hosts: Any = None, *, deadline_s: float = math.inf) -> Figure:
    """Return who migrates when, in rows by the host that is emptied; migrations side by side have lanes of their own.

    Parameters
    ----------
    moves
        Frame with ``vm``, ``source``, ``destination``, ``kind``, ``start_s`` and ``end_s`` [s].
    hosts
        Frame with ``host`` and ``empty_s`` [s], drawn as marks; None: no marks.
    deadline_s
        Drawn as an upright line where it is finite [s].

    Examples
    --------
    >>> import pandas as pd
    >>> moves = pd.DataFrame({"vm": ["x", "y"], "source": ["a", "a"], "destination": ["b", "c"],
    ...                       "kind": ["out", "out"], "start_s": [0.0, 2.0], "end_s": [3.0, 5.0]})
    >>> [trace.name for trace in gantt(moves, deadline_s=6.0).data]
    ['leaves its host', 'deadline']
    """
    owner = [row.source if row.kind == "out" else row.destination for row in moves.itertuples()]
    rows = lanes(owner, moves["start_s"].tolist(), moves["end_s"].tolist())
    names = list(dict.fromkeys(owner))
    order = sorted(set(rows), key=lambda row: (names.index(row[0]), row[1]))
    place = {row: at for at, row in enumerate(order)}
    scale, unit = time_axis(float(moves["end_s"].max()) if len(moves) else 0.0)
    traces = [_bars(moves, rows, place, kind, scale) for kind in _KINDS if (moves["kind"] == kind).any()]
    if hosts is not None and len(hosts):
        traces.append(_marks(hosts, place, scale))
    if math.isfinite(deadline_s):
        traces.append(deadline(deadline_s / scale, len(order)))
    return styled(
        traces,
        barmode="overlay",
        bargap=0.15,
        legend={**LEGEND, "traceorder": "normal"},
        height=160 + 18 * min(_MOST_ROWS, len(order)),
        xaxis={"title": {"text": f"time since the beginning [{unit}]"}, "rangemode": "tozero"},
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": [place[row] for row in order if row[1] == 0],
            "ticktext": [row[0] for row in order if row[1] == 0],
            "automargin": True,
        },
    )


def lanes(owner: list[Any], start_s: list[float], end_s: list[float]) -> list[tuple[Any, int]]:
    """Return a row for each interval: its owner, and the first lane of it that is free.

    Examples
    --------
    >>> lanes(["a", "a", "a"], [0.0, 1.0, 2.0], [2.0, 3.0, 4.0])
    [('a', 0), ('a', 1), ('a', 0)]
    """
    free: dict[Any, list[int]] = {}
    busy: dict[Any, list[tuple[float, int]]] = {}
    count: dict[Any, int] = {}
    rows: list[tuple[Any, int]] = [("", 0)] * len(owner)
    for at in sorted(range(len(owner)), key=lambda k: (start_s[k], end_s[k])):
        who = owner[at]
        ends, unused = busy.setdefault(who, []), free.setdefault(who, [])
        while ends and ends[0][0] <= start_s[at] + 1e-9:
            heapq.heappush(unused, heapq.heappop(ends)[1])
        lane = heapq.heappop(unused) if unused else count.get(who, 0)
        count[who] = max(count.get(who, 0), lane + 1)
        heapq.heappush(ends, (end_s[at], lane))
        rows[at] = (who, lane)
    return rows


def _bars(
    moves: Any, rows: list[tuple[Any, int]], place: Mapping[Any, int], kind: str, scale: float
) -> dict[str, Any]:
    label, colour, shape = _KINDS[kind]
    some = [at for at, one in enumerate(moves["kind"]) if one == kind]
    part = moves.iloc[some]
    spent = ((part["end_s"] - part["start_s"]) / scale).tolist()
    texts = [
        f"{row.vm}: {row.source} to {row.destination}, {format_duration(row.start_s)} to {format_duration(row.end_s)}"
        for row in part.itertuples()
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": label,
        "y": [place[rows[at]] for at in some],
        "x": spent,
        "base": (part["start_s"] / scale).tolist(),
        "hovertext": texts,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": colour, "pattern": pattern(shape), "line": {"color": "rgba(0,0,0,0.35)", "width": 0.5}},
    }


def _marks(hosts: Any, place: Mapping[Any, int], scale: float) -> dict[str, Any]:
    known = [(place[host, 0], empty_s) for host, empty_s in zip(hosts["host"], hosts["empty_s"], strict=True)
             if (host, 0) in place]  # fmt: skip
    return scatter(
        x=[empty_s / scale for _, empty_s in known],
        y=[row for row, _ in known],
        mode="markers",
        name="empty",
        marker={"symbol": "diamond", "size": 8, "color": INK},
        text=[f"empty at {format_duration(empty_s)}" for _, empty_s in known],
        hovertemplate="%{text}<extra></extra>",
    )


def deadline(at: float, rows: int) -> dict[str, Any]:
    """Return an upright line over rows at a place of the time axis, in the unit of that axis.

    Examples
    --------
    >>> deadline(30.0, 4)["y"]
    [-0.5, 3.5]
    """
    return scatter(
        x=[at, at],
        y=[-0.5, rows - 0.5],
        mode="lines",
        name="deadline",
        hoverinfo="skip",
        line={"color": MEANINGS["reference"].value, "dash": "dash", "width": 2},
    )
