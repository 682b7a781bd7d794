"""``migkit accuracy``: predicted against measured on the data that ship, or on runs of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.reports import tables

if TYPE_CHECKING:
    from migkit.calibrate.accuracy.scoreboard import Scoreboard

__all__ = ["command"]


@click.command("accuracy", cls=Command)
@click.argument("datasets", nargs=-1, metavar="[DATASET[=FOLDER]]...")
@click.option("-o", "--output", type=_output.WRITTEN, help="Write a report (.html), or JSON (.json).")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), help="What to print [table].")
@click.option("--json", "kind", flag_value="json", help="The same as --format json.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(datasets: tuple[str, ...], output: Path | None, kind: str | None, quiet: bool) -> None:
    """Compare predictions with what was measured, beside three simple models on the same runs.

    The first table has the median errors of each data set, and how many total times lie in intervals at 90 % that
    were corrected without their workload. Then each data set comes in detail.

    Data sets: reference-runs, harness, kvm-database, gigabit, published, field-reports; all of them when none is
    named. NAME=FOLDER scores runs of your own that have the same form:

    \b
      harness=FOLDER       two or more traces, *.parquet, that migkit capture or
                           migkit qemu capture wrote on one machine
      kvm-database=FOLDER  answers of query-migrate, SERIES-RUN.json.gz, where
                           SERIES is precopy-4t, precopy-16t, autoconverge-16t
                           or postcopy-4t
      the others           tables, whose columns data/README.md lists

    Errors are predicted less measured. "held" is
    the share of intervals at 90 % that hold the run, "left out" the same with intervals that were corrected without
    its workload. Nothing of a run goes into its own prediction.
    """
    from migkit.calibrate.accuracy.datasets import DATASETS, chosen
    from migkit.calibrate.accuracy.scoreboard import scoreboard

    asked = chosen(datasets)
    folders = sum(folder is not None for _, folder in asked.values())
    with _output.bars(quiet) as bar, bar("predict and compare", folders + len(DATASETS)) as step:
        board = scoreboard(asked, step)
    if output is not None and output.suffix == ".html":
        from migkit.reports import of_accuracy

        _output.emit(of_accuracy.page(board), output)
        _output.narrate(f"wrote {output}", quiet)
        output = None
    wanted = kind or _output.choose_format(None, output)
    _output.emit(_json(board) if wanted == "json" else _text(board), output)


def _json(board: Scoreboard) -> str:
    return json.dumps(board.to_dict(), indent=1, allow_nan=False) + "\n"


def _text(board: Scoreboard) -> str:
    from migkit.calibrate.accuracy.datasets import DATASETS

    parts = [_output.columns(tables.OVERVIEW, list(tables.overview(board)))]
    for name, splits in board.parts.items():
        rows = [line for part in splits for line in tables.lines(part)]
        parts.append(f"{name}: {DATASETS[name].title}\n{_output.columns(tables.HEAD, rows, left=2)}")
        parts.append("\n".join(f"  {part.split}: {tables.others(part.summary)}" for part in splits))
    return "\n\n".join(parts)
