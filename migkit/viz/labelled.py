"""Any values by name: curves over one axis, bars that carry their numbers, tables with units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from migkit.units import format_duration, format_rate, format_size
from migkit.viz.style import MEANINGS, Figure, scatter, styled

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

__all__ = ["bars_by_name", "curves", "table"]

_DASHES: Final = ("solid", "dash", "dashdot")

_BY_END: Final[tuple[tuple[str, Callable[[float], str]], ...]] = (
    ("_bytes_per_s", format_rate),
    ("_per_s", "{:,.0f}".format),
    ("_bytes", format_size),
    ("_s", format_duration),
)
_ROOM: Final = 0.15  # of the width, beside a bar, for its number


def curves(
    x: Sequence[float],
    named: Mapping[str, Sequence[float | None]],
    *,
    reference: Mapping[str, Sequence[float | None]] | None = None,
    x_title: str,
    y_title: str,
    level: tuple[str, float] | None = None,
    **layout: Any,
) -> Figure:
    """Return up to three curves over one axis, told apart by their dashes, and what they are compared with.

    Parameters
    ----------
    x
        Where the curves are known.
    named
        Values of each curve by its name; None where there is none.
    reference
        What they are compared with, by its name.
    x_title, y_title
        Titles of the axes, with their units.
    level
        Name and height of a level that is drawn across.
    **layout
        Adds to the layout.

    Examples
    --------
    >>> figure = curves([1, 2], {"U(t)": [3, 4]}, x_title="window [s]", y_title="dirty [MiB]", level=("all", 5))
    >>> [trace.name for trace in figure.data]
    ['U(t)', 'all']
    """
    told, compared = MEANINGS["predicted"].value, MEANINGS["reference"].value
    looks = [(name, ys, told, dash) for (name, ys), dash in zip(named.items(), _DASHES, strict=False)]
    looks += [(name, ys, compared, "dot") for name, ys in (reference or {}).items()]
    traces = [
        scatter(x=x, y=ys, name=name, mode="lines", line={"color": colour, "dash": dash, "width": 3})
        for name, ys, colour, dash in looks
    ]
    if level is not None:
        name, height = level
        style = {"color": compared, "dash": "dash", "width": 2}
        traces.append(scatter(x=[x[0], x[-1]], y=[height, height], name=name, mode="lines", line=style))
    axes = {"xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}, "rangemode": "tozero"}}
    return styled(traces, **(axes | layout))


def bars_by_name(values: Mapping[str, float], shown: Callable[[float], str], *, x_title: str) -> Figure:
    """Return one bar a name, the first at the top, with its number in words beside it.

    Parameters
    ----------
    values
        By name.
    shown
        Says a value in words, with its unit.
    x_title
        Title of the axis, with its unit.

    Examples
    --------
    >>> figure = bars_by_name({"load": 0.012}, "{:.3f} s".format, x_title="time [s]")
    >>> figure.data[0].text
    ('0.012 s',)
    """
    names = list(values)
    low, high = min(0.0, *values.values()), max(0.0, *values.values())
    room = _ROOM * (high - low)
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [values[name] for name in names],
        "y": names,
        "text": [shown(values[name]) for name in names],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": MEANINGS["predicted"].value},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    return styled(
        [bars],
        height=120 + 34 * len(names),
        margin={"l": 64, "r": 16, "t": 16, "b": 48},
        xaxis={"title": {"text": x_title}, "range": [low - room * (low < 0.0), high + room * (high > 0.0)]},
        yaxis={"autorange": "reversed", "showgrid": False},
    )


def table(frame: pd.DataFrame, *, shares: Iterable[str] = ()) -> Styler:
    """Return a frame as a table without its index: sizes, times and rates in words, texts at the left.

    Other numbers have four digits.

    Parameters
    ----------
    frame
        Columns whose names end in ``_bytes``, ``_s``, ``_bytes_per_s`` or ``_per_s`` are in that unit.
    shares
        Columns of shares between 0 and 1, to be shown in percent.

    Examples
    --------
    >>> import pandas as pd
    >>> found = table(pd.DataFrame({"memory_bytes": [2**30], "late_s": [90.0], "held": [0.25]}), shares=["held"])
    >>> [part in found.to_html() for part in ("1 GiB", "90 s", "25 %")]
    [True, True, True]
    """
    shows: dict[Any, Any] = {name: show for name in frame.columns if (show := _by_end(str(name))) is not None}
    plain = [name for name in frame.columns if name not in shows and frame[name].dtype.kind == "f"]
    shows |= dict.fromkeys(plain, "{:.4g}".format) | dict.fromkeys(shares, _percent)
    left = {"text-align": "left"}
    texts: list[Any] = [name for name in frame.columns if name not in shows and frame[name].dtype.kind not in "biuf"]
    heads: list[Any] = [
        {"selector": f"th.col{frame.columns.get_loc(name)}", "props": list(left.items())} for name in texts
    ]
    looks = frame.style.format(shows, na_rep="").hide(axis="index").set_table_styles(heads)
    return looks.set_properties(subset=texts, **left)


def _by_end(name: str) -> Callable[[float], str] | None:
    return next((show for end, show in _BY_END if name.endswith(end)), None)


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"
