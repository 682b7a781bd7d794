"""``migkit schema``: every key that a scenario file may hold."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from migkit.cli import _output
from migkit.scenario import reference


@click.command()
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print it [table].")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write instead of stdout.")
def command(kind: str | None, output: Path | None) -> None:
    """List the keys of a scenario file: type, default, what is allowed, meaning."""
    rows = reference.document()
    kind = _output.choose_format(kind, output)
    if kind == "table":
        _output.emit("\n".join(map(_entry, rows)), output)
    else:
        _output.emit(_output.rows_as(kind, [row._asdict() for row in rows]), output)


def _entry(row: reference.Row) -> str:
    facts = ", ".join(
        filter(None, (row.type, f"default {row.default}".replace("default required", "required"), row.allowed))
    )
    return (
        f"{row.key}\n    {facts}\n{textwrap.fill(row.meaning, 96, initial_indent='    ', subsequent_indent='    ')}"
    )
