"""``migkit import``: what a log of a migration says, whatever tool wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import MigkitError, UsageError
from migkit.traces.place import check_place

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["command"]


@click.command("import", cls=Command)
@click.argument("logs", nargs=-1, required=True)
@click.option("-o", "--output", type=_output.PLACE, help="Keep the record, one Parquet file a migration.")
@click.option("--force", is_flag=True, help="Overwrite files of that name.")
@click.option("--plot", type=_output.PLACE, help="Draw what remained over time, as an HTML file.")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(logs: tuple[str, ...], output: Path | None, force: bool, plot: Path | None, kind: str) -> None:
    """Say what logs hold: of QEMU, libvirt, Proxmox, Nova, KubeVirt, Xen, Cloud Hypervisor, CRIU.

    LOGS are files in any form (`-` is standard input): answers of query-migrate however they are wrapped,
    info migrate, virsh domjobinfo, task logs, debug logs, metrics as CSV, readings of dirty rates. They are
    recognised by what they say.
    """
    check_place(plot, "plot", force=True)
    found, problems = _read(logs)
    if found:
        _output.emit(_json(found) if kind == "json" else _text(found), None)
    if output is not None:
        _write(found, output, force)
    if plot is not None:
        _draw(found, plot)
    if problems:
        raise UsageError(" | ".join(problems))


def _read(paths: Sequence[str]) -> tuple[list[Log], list[str]]:
    """Return the records of all files, and what is wrong with those that are not read."""
    from migkit.importers import read

    found: list[Log] = []
    problems: list[str] = []
    for path in paths:
        try:
            found += read(path if path == "-" else Path(path))
        except MigkitError as error:
            problems.append(str(error))
    return found, problems


def _text(logs: Sequence[Log]) -> str:
    from migkit.importers.summary import summary

    many = len(logs) > 1
    return "\n\n".join((f"[{at}] " if many else "") + summary(log) for at, log in enumerate(logs, 1))


def _json(logs: Sequence[Log]) -> str:
    records = [
        {
            "kind": log.kind,
            "meta": dict(log.meta),
            "unknown": dict(log.unknown),
            "cannot_tell": list(log.cannot_tell),
            "next_time": list(log.next_time),
            "readings": [_row(row) for row in log.frame.to_dict("records")],
        }
        for log in logs
    ]
    return json.dumps(records, indent=2, allow_nan=False)


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): None if value != value else value for name, value in row.items()}


def _write(logs: Sequence[Log], output: Path, force: bool) -> None:
    from migkit.importers import write

    for at, log in enumerate(logs, 1):
        path = output if len(logs) == 1 else output.with_name(f"{output.stem}-{at}{output.suffix}")
        write(log, path, force=force)
        click.echo(f"wrote {path}", err=True)


def _draw(logs: Sequence[Log], plot: Path) -> None:
    from migkit import viz

    drawn = [log for log in logs if log.kind == "migration" and log.frame["remaining_bytes"].notna().any()]
    if not drawn:
        raise UsageError("plot: no log says how much remained to be sent; there is nothing to draw")
    figure = viz.imported([(_title(at, log), log.frame) for at, log in enumerate(drawn, 1)])
    _output.write_beside(plot, figure.to_html(full_html=True, config={"showSendToCloud": False}).encode())


def _title(at: int, log: Log) -> str:
    return str(log.meta["vm"] or f"migration {at}")
