"""The report of ``migkit accuracy``: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from migkit import __version__, viz
from migkit.calibrate.accuracy.datasets import DATASETS
from migkit.calibrate.accuracy.scored import QUANTITIES
from migkit.cli.reports import page as html_page
from migkit.cli.reports import tables
from migkit.units import MIB

if TYPE_CHECKING:
    from migkit.calibrate.accuracy.scoreboard import Part, Scoreboard

__all__ = ["page"]

_SHOWN = {
    "total_time_s": ("total time [s]", 1.0),
    "downtime_s": ("downtime [s]", 1.0),
    "transferred_bytes": ("sent [MiB]", MIB),
}


def page(board: Scoreboard) -> str:
    """Return the report as HTML: of each data set the errors, simple models on the same runs, and every run drawn."""
    parts = [
        "<h1>migkit: predicted against measured</h1>",
        "<p>Nothing of a run goes into its own prediction. Errors are predicted less measured. Intervals are those "
        "at 90 %: <em>held</em> as they are shipped, <em>left out</em> with a correction that was learned without "
        "the workload of the run.</p>",
    ]
    parts.append(html_page.table(tables.OVERVIEW, tables.overview(board)))
    drawn = 0
    for name, splits in board.parts.items():
        parts.append(f"<h2>{html.escape(name)}: {html.escape(DATASETS[name].title)}</h2>")
        parts.append(html_page.table(tables.HEAD, [line for part in splits for line in tables.lines(part)]))
        parts += [f"<p>{html.escape(part.split)}: {html.escape(tables.others(part.summary))}</p>" for part in splits]
        frame = pd.DataFrame(list(_rows(splits)))
        if not frame.empty:
            parts += html_page.figures([("Each run", viz.predicted_against_measured(frame))], first=drawn == 0)
            drawn += 1
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


def _rows(splits: Sequence[Part]) -> Iterator[dict[str, object]]:
    """Yield a row a run and quantity that was both measured and predicted."""
    for part in splits:
        for run in part.runs:
            for name in QUANTITIES:
                title, scale = _SHOWN[name]
                pair = getattr(run.measured, name) / scale, getattr(run.prediction, name) / scale
                if all(map(math.isfinite, pair)):
                    yield {"run": run.origin.run, "quantity": title, "measured": pair[0], "predicted": pair[1]}
