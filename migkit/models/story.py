"""What a prediction tells a person: in one line, as text for a terminal, as HTML for a notebook."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["in_words", "line", "natural", "page", "risk", "table", "text"]

_NUMBER: Final = re.compile(r"[-+]?\.?\d|(never|without end)?$")  # how a cell of numbers begins
_WIDTH: Final = 80  # of a terminal, in characters
_ROUNDS: Final = 8  # shown in a notebook, the last one among them
_COLOURS: Final = {"converges": "#1a7f37", "does_not_converge": "#b42318"}
_OTHER_COLOUR: Final = "#9a6700"  # aborted, timed out


def line(result: Prediction) -> str:
    """Return a prediction in one line of at most 80 characters; the rounds are left out where they do not fit."""
    facts, rounds = [result.verdict], ""
    if result.verdict == "converges":
        facts += [f"total {format_duration(result.total_time_s)}", f"downtime {format_duration(result.downtime_s)}"]
        facts += [format_size(result.transferred_bytes)]
        rounds = f" in {result.iterations} rounds"
    elif result.natural_downtime_s > 0.0:
        facts.append(f"natural downtime {format_duration(result.natural_downtime_s)}")
    said = f"<Prediction: {', '.join(facts)}{rounds}>"
    return said if len(said) <= _WIDTH else f"<Prediction: {', '.join(facts)}>"


def text(result: Prediction) -> str:
    """Return a prediction as lines of at most 80 characters: the verdict, why, and the numbers."""
    rows = [("verdict", result.verdict), ("why", " ".join(result.reasons)), *_numbers(result)]
    indent = " " * 18
    return "\n".join(
        textwrap.fill(value, _WIDTH, initial_indent=f"{name:<18}", subsequent_indent=indent, break_long_words=False)
        for name, value in rows
    )


def page(result: Prediction) -> str:
    """Return a prediction as HTML: the verdict, why, the numbers, and what each round did."""
    colour, verdict = _COLOURS.get(result.verdict, _OTHER_COLOUR), in_words(result.verdict)
    reasons = "".join(f"<p>{html.escape(reason)}</p>" for reason in result.reasons)
    numbers = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in _numbers(result))
    return (
        f'<div class="migkit-prediction"><p><strong style="color:{colour}">{verdict}</strong></p>{reasons}'
        f"<table>{numbers}</table>{_rounds(result)}</div>"
    )


def in_words(verdict: str) -> str:
    """Return a verdict as people write it.

    Examples
    --------
    >>> in_words("does_not_converge")
    'does not converge'
    """
    return verdict.replace("_", " ")


def natural(result: Prediction) -> str:
    """Return the natural downtime in words, and why a verdict may differ from what it says.

    It is where the pre-copy of an unthrottled guest of constant demand settles. A guest that is throttled, whose end
    is forced, or that is caught before it has settled converges below it.
    """
    text = format_duration(result.natural_downtime_s)
    limit_s = result.downtime_limit_s
    if limit_s is None or result.reason in ("stopcopy", "postcopy", "forced", "not_admitted"):
        return text
    limit = format_duration(limit_s)
    above = result.natural_downtime_s > limit_s
    if result.verdict == "converges" and above:
        throttled = any(one.throttle > 0.0 for one in result.rounds)
        return f"{text} {'unthrottled' if throttled else 'once settled'}; it switched over before, within {limit}"
    if result.reason == "settled" and not above:
        return f"{text} in the mean; what is left stays above {limit} at each sync"
    return text


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as an HTML table, the first one as its head: numbers flush right, columns of texts flush left.

    Examples
    --------
    >>> print(table([("policy", "time"), ("qemu", "1.5 s")]).replace("<tr>", "\\n<tr>"))
    <table>
    <tr><th style="text-align:left">policy</th><th style="text-align:right">time</th></tr>
    <tr><td style="text-align:left">qemu</td><td style="text-align:right">1.5 s</td></tr></table>
    """
    sides = ["right" if all(map(_NUMBER.match, column[1:])) else "left" for column in zip(*rows, strict=True)]
    return f"<table>{''.join(_line(row, sides, 'td' if at else 'th') for at, row in enumerate(rows))}</table>"


def _line(row: Sequence[str], sides: Sequence[str], kind: str) -> str:
    cells = zip(row, sides, strict=True)
    text = "".join(f'<{kind} style="text-align:{side}">{html.escape(cell)}</{kind}>' for cell, side in cells)
    return f"<tr>{text}</tr>"


def risk(result: Prediction) -> str:
    """Return the risk of post-copy in words."""
    return f"{result.risk:.2g} to lose the guest, in {format_duration(result.exposure_s)} of exposure"


def _numbers(result: Prediction) -> list[tuple[str, str]]:
    sent = "without end" if math.isinf(result.transferred_bytes) else format_size(result.transferred_bytes)
    ends = result.verdict == "converges"
    rows = [
        ("total time", format_duration(result.total_time_s) + _between(result, "total_time_s", format_duration)),
        (
            "downtime",
            format_duration(result.downtime_s) + _between(result, "downtime_s", format_duration)
            if ends
            else "none: the guest stays",
        ),
        *_parts(result),
        ("sent", sent + _between(result, "transferred_bytes", format_size)),
        ("rounds", str(result.iterations)),
        ("natural downtime", natural(result)),
        ("guest slowdown", f"{100 * result.guest_slowdown:.1f} %"),
    ]
    if result.hosts:
        rows.append(("hosts", result.hosts))
    if result.interval is not None and result.interval.correction:
        rows.append(("intervals", result.interval.correction))
    if result.interval is not None and 0.0 < result.interval.converges < 1.0:
        rows.append(("converges in", f"{100 * result.interval.converges:.0f} % of runs"))
    if result.postcopy_faults:
        rows.append(("demand faults", f"{result.postcopy_faults:.0f}"))
        rows.append(("risk", risk(result)))
    return rows


def _parts(result: Prediction) -> list[tuple[str, str]]:
    """Return the parts of the downtime as one row."""
    if not result.downtime_parts:
        return []
    longest = sorted(result.downtime_parts, key=lambda part: -part[1])
    return [("of it", ", ".join(f"{name} {format_duration(time_s)}" for name, time_s in longest))]


def _between(result: Prediction, name: str, show: Callable[[float], str]) -> str:
    """Return the bounds of a number, where there are any."""
    if result.interval is None:
        return ""
    low, high = getattr(result.interval, name)
    if low == high:
        return ""
    return f" ({show(low)} to {show(high)} at {100 * result.interval.level:g} %)"


def _rounds(result: Prediction) -> str:
    """Return a small table of the rounds: the first ones and the last one."""
    rows = result.rounds
    if not rows:
        return ""
    shown = rows if len(rows) <= _ROUNDS else (*rows[: _ROUNDS - 1], rows[-1])
    cells = "".join(
        f"<tr><td>{row.iteration}</td><td>{format_duration(row.start_s)}</td><td>{format_duration(row.duration_s)}</td>"
        f"<td>{format_size(row.remaining_bytes)}</td><td>{format_size(row.sent_bytes)}</td></tr>"
        for row in shown
    )
    hidden = f"<caption>{len(rows) - len(shown)} of {len(rows)} rounds left out</caption>"
    head = "".join(f"<th>{name}</th>" for name in ("round", "starts at", "takes", "to send", "sent"))
    return f"<table>{hidden if len(shown) < len(rows) else ''}<tr>{head}</tr>{cells}</table>"
