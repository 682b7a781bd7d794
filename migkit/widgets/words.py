"""Results in words, as HTML for a page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Final

from migkit import units
from migkit.models.result import Prediction
from migkit.viz.style import STRATEGIES as STYLES

__all__ = ["summary", "table"]

_CELL: Final = 'style="text-align:right;padding:2px 10px"'


def summary(result: Prediction) -> str:
    """Return one result: its verdict, its numbers and why.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> "<b>converges</b>" in summary(predict(guest=Guest(memory_bytes=2**28)))
    True
    """
    numbers = " &ensp; ".join(f"{name} <b>{value}</b>" for name, value in _numbers(result).items())
    return f"<b>{result.verdict}</b> &ensp; {numbers}<br>{html.escape(' '.join(result.reasons))}"


def table(results: Mapping[str, Prediction]) -> str:
    """Return several results as a table, a row each; a strategy's name is written in its colour.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> table({"precopy": predict(guest=Guest(memory_bytes=2**28))}).count("<tr>")
    2
    """
    columns = ("verdict", *_numbers(next(iter(results.values()))))
    head = "".join(f"<th {_CELL}>{name}</th>" for name in ("", *columns))
    rows = "".join(_row(name, result) for name, result in results.items())
    return f"<table><tr>{head}</tr>{rows}</table>"


def _row(name: str, result: Prediction) -> str:
    style = STYLES.get(name)
    label, colour = (style.label, style.colour) if style else (name, "inherit")
    cells = "".join(f"<td {_CELL}>{value}</td>" for value in (result.verdict, *_numbers(result).values()))
    return f'<tr><th {_CELL}><span style="color:{colour}">{html.escape(label)}</span></th>{cells}</tr>'


def _numbers(result: Prediction) -> dict[str, str]:
    ends = math.isfinite(result.total_time_s)
    return {
        "total time": units.format_duration(result.total_time_s) if ends else "no end",
        "downtime": units.format_duration(result.downtime_s) if ends else "none",
        "sent": units.format_size(result.transferred_bytes) if ends else "no end",
        "rounds": str(result.iterations),
        "guest slowdown": f"{100 * result.guest_slowdown:.1f} %",
        "demand faults": f"{result.postcopy_faults:,.0f}".replace(",", " "),
        "risk": f"{result.risk:.2g}",
    }
