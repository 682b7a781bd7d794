"""What remained to be sent over time, as logs of other tools tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from migkit.viz.style import COLOURS, MEASURED, Figure, bytes_axis, scatter, spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["imported"]

_DASHES: Final = ("solid", "dash", "dot", "dashdot")  # a fourth line of a colour-blind reader is still told apart


def imported(logs: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Return what remained over time, one line a migration.

    Parameters
    ----------
    logs
        A title and the frame of each, with ``t_s`` [s] and ``remaining_bytes`` [B]; readings without one of them are
        left out. Without any time the number of the reading is drawn instead.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> [line.name for line in imported([("a1", read_reference("a1-q7-0").frame)]).data]
    ['a1']
    """
    colours = [MEASURED.colour, *(value for name, value in COLOURS.items() if name not in ("orange", "ink", "grey"))]
    largest = max((float(frame["remaining_bytes"].max()) for _, frame in logs), default=0.0)
    scale, unit = bytes_axis(largest)
    timed = all(frame["t_s"].notna().any() for _, frame in logs)
    traces = []
    for at, (title, frame) in enumerate(logs):
        told = frame.dropna(subset=["remaining_bytes", "t_s"] if timed else ["remaining_bytes"])
        traces.append(
            scatter(
                x=(told["t_s"] if timed else told.reset_index().index).tolist(),
                y=(told["remaining_bytes"] / scale).tolist(),
                name=title,
                mode="lines+markers" if len(told) < 100 else "lines",
                line={"color": colours[at % len(colours)], "dash": _DASHES[at % len(_DASHES)]},
                showlegend=True,
            )
        )
    return Figure(
        spec(
            traces,
            xaxis={"title": {"text": "time since the request [s]" if timed else "reading"}},
            yaxis={"title": {"text": f"remaining [{unit}]"}, "rangemode": "tozero"},
        )
    )
