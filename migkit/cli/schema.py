"""``migkit schema``: every key that a scenario file may hold, and what the system of each policy can do."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.policies.presets import Preset
from migkit.policies.systems import ABILITIES
from migkit.scenario.form import keys
from migkit.scenario.policy import presets


@click.command(cls=Command)
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print it [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("--policies", is_flag=True, help="List the policies instead, and what the system of each can do.")
def command(kind: str | None, output: Path | None, policies: bool) -> None:
    """List the keys of a scenario file: type, default, what is allowed, meaning.

    With --policies, list the named policies: version, source, and what the system of each can do.
    """
    kind = _output.choose_format(kind, output)
    if policies:
        text = _abilities() if kind == "table" else _output.rows_as(kind, list(map(_flat, presets())))
        _output.emit(text, output)
        return
    rows = keys.document()
    if kind == "table":
        _output.emit("\n".join(map(_entry, rows)), output)
    else:
        _output.emit(_output.rows_as(kind, [row._asdict() for row in rows]), output)


def _abilities() -> str:
    """Return the table of the policies, then the address that says so of each."""
    header = ["policy", *(name.replace("_", "-") for name in ABILITIES)]
    words = [[preset.name, *(getattr(preset.system, name).word for name in ABILITIES)] for preset in presets()]
    sources = [[preset.name, preset.system.name, preset.system.source] for preset in presets()]
    always = "always: the system does so without being asked."
    return f"{_output.columns(header, words, left=1)}\n\n{always}\n\n" + _output.columns(
        ["policy", "system", "source"], sources, left=3
    )


def _flat(preset: Preset) -> dict[str, Any]:
    """Return a policy as a row: what it is, and for each ability a word and what people call it."""
    system = preset.system
    row = {"policy": preset.name, "summary": preset.summary, "version": preset.version, "rule": preset.source}
    row |= {"system": system.name, "source": system.source}
    for name in ABILITIES:
        ability = getattr(system, name)
        row |= {name: ability.word, f"{name}_option": ability.option}
    return row


def _entry(row: keys.Row) -> str:
    facts = ", ".join(
        filter(None, (row.type, f"default {row.default}".replace("default required", "required"), row.allowed))
    )
    return (
        f"{row.key}\n    {facts}\n{textwrap.fill(row.meaning, 96, initial_indent='    ', subsequent_indent='    ')}"
    )
