"""One prediction at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migkit.viz.remaining import prediction
from migkit.viz.rounds import rounds
from migkit.viz.style import Figure, side_by_side

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["overview"]


def overview(result: Prediction, *, limit_bytes: float | None = None) -> Figure:
    """Return what remains over time and, beside it, what each round sent.

    Parameters
    ----------
    result
        The prediction.
    limit_bytes
        Where switchover is allowed [B], drawn as a level.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> figure = overview(predict(guest=Guest(memory_bytes=2**30)), limit_bytes=4e7)
    >>> figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text
    ('time since the request [s]', 'round')
    """
    bars = rounds(predicted=result)
    bars.data[0].showlegend = False
    return side_by_side(prediction(result, limit_bytes=limit_bytes), bars, widths=(0.62, 0.38))
