"""What each part of a path would give alone, and which of them limits a migration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from migkit.units import format_rate
from migkit.viz.style import INK, MEANINGS, PREDICTED, Figure, pattern, styled

__all__ = ["speeds"]

_GREY: Final = MEANINGS["reference"].value


def speeds(bounds: Mapping[str, float], limit: str) -> Figure:
    """Return one bar a part of the path: how fast it would be alone; the slowest one limits the migration.

    Parameters
    ----------
    bounds
        Speeds by what each part is called [B/s]; parts without a bound are left out.
    limit
        The part that limits; its bar is drawn full, the others are hatched.

    Examples
    --------
    >>> figure = speeds({"link": 1.25e9, "encryption": 6.25e8, "receiver": float("inf")}, "encryption")
    >>> list(figure.data[0].y), list(figure.data[0].text)
    (['link', 'encryption'], ['10 Gbit/s', '5 Gbit/s limits'])
    """
    told = {name: speed for name, speed in bounds.items() if speed < math.inf}
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": list(told),
        "x": [speed * 8 / 1e9 for speed in told.values()],
        "text": [format_rate(speed) + " limits" * (name == limit) for name, speed in told.items()],
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"color": INK},
        "hoverinfo": "skip",
        "marker": {
            "color": [PREDICTED.colour if name == limit else _GREY for name in told],
            "pattern": {**pattern(""), "shape": ["" if name == limit else "/" for name in told]},
        },
    }
    return styled(
        [bar],
        height=110 + 34 * len(told),
        margin={"l": 90, "r": 120, "t": 20, "b": 48},
        xaxis={"title": {"text": "speed of each part alone [Gbit/s]"}, "rangemode": "tozero"},
        yaxis={"autorange": "reversed"},
    )
