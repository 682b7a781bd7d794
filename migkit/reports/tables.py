"""The tables of ``migkit accuracy``, for the terminal and for its page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from migkit.calibrate.accuracy.agreement import Errors, Summary
    from migkit.calibrate.accuracy.scoreboard import Part, Scoreboard

__all__ = ["HEAD", "OVERVIEW", "lines", "others", "overview"]

HEAD: Final = ("split", "", "runs", "median", "95th", "bias", "held", "left out", "width")
OVERVIEW: Final = (
    *("data set", "runs", "verdicts", "total time", "bytes", "downtime", "in interval"),
    *("geometric", "working set", "piecewise"),
)
_QUANTITIES: Final = (("total_time_s", "total time"), ("downtime_s", "downtime"), ("transferred_bytes", "bytes"))


def overview(board: Scoreboard) -> Iterator[list[str]]:
    """Yield the cells of :data:`OVERVIEW` for each data set."""
    for name, whole in board.whole.items():
        found, left = whole.summary, whole.left_out.total_time_s
        cells = [name, str(found.rows), f"{found.verdicts_right}/{found.verdicts}"]
        cells += [_median(found.total_time_s), _median(found.transferred_bytes), _median(found.downtime_s, 1e3)]
        cells.append(f"{left.held}/{left.intervals}" if left.intervals else "")
        yield cells + [_simple(errors["total_time_s"]) for errors in found.baselines.values()]


def _median(errors: Errors, scale: float = 0.0) -> str:
    if not errors.rows:
        return ""
    return f"{scale * errors.median:.1f} ms" if scale else _percent(errors.median)


def _simple(off: float) -> str:
    return "" if math.isnan(off) else f"{100 * off:.0f} %" if math.isfinite(off) else "no end"


def lines(part: Part) -> Iterator[tuple[str, ...]]:
    """Yield the cells of :data:`HEAD` for each quantity that was reported."""
    title = part.split
    for name, shown in _QUANTITIES:
        errors, left = getattr(part.summary, name), getattr(part.left_out, name)
        if errors.intervals:
            in_seconds = name == "downtime_s"
            yield (
                title,
                shown,
                str(errors.intervals),
                *_errors(errors, in_seconds),
                *_intervals(errors, left, in_seconds),
            )
            title = ""
    if part.summary.verdicts:
        right = f"{part.summary.verdicts_right} right"
        yield (title, "verdict", str(part.summary.verdicts), right, "", "", "", "", "")


def others(found: Summary) -> str:
    """Return what simple models make of the same runs, in a sentence."""
    told = []
    for model, errors in found.baselines.items():
        off = errors["total_time_s"]
        total = "" if math.isnan(off) else f"{_percent(off)} off, " if math.isfinite(off) else "without end, "
        right = f"{errors['verdicts_right']:.0f} of {found.verdicts} verdicts right"
        told.append(f"{model.replace('_', ' ')} {total}{right}")
    return "; ".join(told)


def _errors(errors: Errors, in_seconds: bool) -> tuple[str, ...]:
    if not errors.rows:
        return ("", "", "")
    if in_seconds:
        return tuple(f"{1e3 * value:.1f} ms" for value in (errors.median, errors.percentile_95, errors.bias))
    return (_percent(errors.median), _percent(errors.percentile_95), f"{100 * errors.bias:+.2f} %")


def _intervals(errors: Errors, left: Errors, in_seconds: bool) -> tuple[str, ...]:
    width = "" if math.isnan(errors.width) else f"{errors.width:.2f}"
    width = f"{1e3 * errors.width:.0f} ms" if in_seconds and width else width
    return (f"{100 * errors.coverage:.0f} %", f"{100 * left.coverage:.0f} %", width)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
