"""The report of ``migkit accuracy``: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from migkit import __version__, viz
from migkit.calibrate.accuracy.datasets import DATASETS
from migkit.reports import page as html_page
from migkit.reports import tables

if TYPE_CHECKING:
    from migkit.calibrate.accuracy.scoreboard import Scoreboard

__all__ = ["page"]


def page(board: Scoreboard) -> str:
    """Return the report as HTML: of each data set the errors, simple models on the same runs, and every run drawn."""
    parts = [
        "<h1>migkit: predicted against measured</h1>",
        "<p>Nothing of a run goes into its own prediction. Errors are predicted less measured. Intervals are those "
        "at 90 %: <em>held</em> as they are shipped, <em>left out</em> with a correction that was learned without "
        "the workload of the run.</p>",
    ]
    parts.append(html_page.table(tables.OVERVIEW, tables.overview(board)))
    for name, splits in board.parts.items():
        parts.append(f"<h2>{html.escape(name)}: {html.escape(DATASETS[name].title)}</h2>")
        parts.append(html_page.table(tables.HEAD, [line for part in splits for line in tables.lines(part)]))
        parts += [f"<p>{html.escape(part.split)}: {html.escape(tables.others(part.summary))}</p>" for part in splits]
        frame = board.whole[name].to_frame()
        if not frame.empty:
            parts += html_page.figures([("Each run", viz.predicted_against_measured(frame))])
    return html_page.document("migkit accuracy", [*parts, *_learned(board), f"<p>migkit {__version__}</p>"])


def _learned(board: Scoreboard) -> list[str]:
    rows = [
        (
            platform,
            "known" if known else "typical",
            *(f"{100 * math.expm1(max(0.0, move)):.1f} %" for move in one[:3]),
            f"{one.groups}",
            f"{one.hosts}",
        )
        for (platform, known), one in board.learned.items()
    ]
    if not rows:
        return []
    head = ("platform", "hosts", "total time", "downtime", "bytes", "workloads", "hosts")
    return ["<h2>By how much intervals are widened</h2>", html_page.table(head, rows)]
