"""``migkit doctor``: what this machine can do, why not, and what would change it."""

from __future__ import annotations

import dataclasses
import json

import click

from migkit import __version__
from migkit.cli._command import Command
from migkit.errors import CapabilityError
from migkit.harness.probe import PROBES, Probe, probe, probe_all

__all__ = ["command"]


@click.command("doctor", cls=Command)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--require",
    "required",
    multiple=True,
    type=click.Choice(list(PROBES)),
    metavar="KEY",
    help="Exit 4 unless this feature is available; may be given several times, and then only these are tried.",
)
@click.option(
    "--pid", type=int, help="Say instead what a tracker has left in this process, or still holds; nothing is changed."
)
def command(style: str, required: tuple[str, ...], pid: int | None) -> None:
    """Show what this machine can do, each with the reason and the remedy."""
    if pid is not None:
        _report_process(pid, style)
        return
    found = [probe(key) for key in required] if required else probe_all()
    click.echo(as_json(found) if style == "json" else as_text(found))
    missing = [p for p in found if required and not p.available]
    if missing:
        raise CapabilityError("; ".join(f"{p.key}: {p.reason}; {p.remedy}" for p in missing))


def _report_process(pid: int, style: str) -> None:
    from migkit.harness.watching.left import LOOKED_FOR, findings

    found = findings(pid)
    if style == "json":
        click.echo(
            json.dumps({"schema_version": 1, "migkit_version": __version__, "pid": pid, "found": found}, indent=2)
        )
    else:
        said = f"found {len(found)}, changed nothing" if found else "found nothing, so there is nothing to mend"
        click.echo("\n".join([f"process {pid}: looked for {LOOKED_FOR}: {said}", *(f"  {line}" for line in found)]))


def as_json(found: list[Probe]) -> str:
    """Return the probes as the JSON text that ``--format json`` prints."""
    features = [dataclasses.asdict(p) for p in found]
    return json.dumps({"schema_version": 1, "migkit_version": __version__, "features": features}, indent=2)


def as_text(found: list[Probe]) -> str:
    """Return the probes as lines for a person, each remedy under its feature."""
    wide = max(len(p.key) for p in found)
    lines = []
    for p in found:
        lines.append(f"{'yes' if p.available else 'no ':3}  {p.key:{wide}}  {p.what}: {p.reason}")
        if p.remedy:
            lines.append(f"{'':{wide + 7}}-> {p.remedy}")
    return "\n".join(lines)
