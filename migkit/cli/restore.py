"""``migkit restore``: resume the guest of a checkpoint and prove it intact."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import click

from migkit.cli._command import Command
from migkit.units import duration, format_size

__all__ = ["command"]


@click.command("restore", cls=Command)
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--run", "run_for", default="1 s", show_default=True, help="How long to let the guest run.")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(checkpoint: Path, run_for: str, kind: str) -> None:
    """Resume the guest of the checkpoint FILE, let it run, and prove it bit for bit.

    The proof: its memory and registers equal those of a guest that was never stopped, at the
    same operation. A truncated or altered file is refused.
    """
    from migkit.harness.guests.restore import restore

    run_s = duration(run_for, "--run")
    found = restore(checkpoint, lambda: time.sleep(run_s))
    if kind == "json":
        click.echo(json.dumps({"schema_version": 1, **dataclasses.asdict(found), "verified": True}))
        return
    click.echo(
        f"restored {format_size(found.memory_bytes)} at operation {found.from_operations}; ran on to operation "
        f"{found.operations}; equal, bit for bit, to a guest that was never stopped"
    )
