"""Pages that are made from the code: the scenario file, the policies, the commands, the public modules."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from migkit.cli import cli
from migkit.policies.built_in import BUILT_IN
from migkit.policies.presets import Preset
from migkit.policies.systems import ABILITIES
from migkit.scenario.form import keys
from migkit.units import format_duration, format_rate

FOLDER = "made"
MODULES = {
    "The front door": [
        "migkit.models.predict",
        "migkit.models.bulk.many",
        "migkit.models.simulate",
        "migkit.models.result",
        "migkit.models.alternatives",
        "migkit.front",
    ],
    "Scenarios": [
        "migkit.scenario.guest",
        "migkit.scenario.dirty",
        "migkit.scenario.curves",
        "migkit.scenario.profile",
        "migkit.scenario.link",
        "migkit.scenario.installation.host",
        "migkit.scenario.installation.platforms",
        "migkit.scenario.installation.devices",
        "migkit.scenario.installation.typical",
        "migkit.scenario.policy",
        "migkit.scenario.strategy",
        "migkit.scenario.scenario",
        "migkit.scenario.form.schema",
    ],
    "Models": [
        "migkit.models.dirty",
        "migkit.models.goodput",
        "migkit.models.comparison",
        "migkit.models.spread.interval",
    ],
    "Planning": [
        "migkit.planning.size",
        "migkit.planning.targets",
        "migkit.planning.unknowns",
        "migkit.planning.tradeoffs",
        "migkit.planning.sensitivity",
        "migkit.planning.space",
        "migkit.planning.sweep",
        "migkit.planning.inventory",
        "migkit.planning.slots",
        "migkit.planning.drain",
        "migkit.planning.rehearsal",
        "migkit.planning.rehearsal.managers",
        "migkit.planning.rehearsal.damage",
        "migkit.planning.rehearsal.upgrades",
        "migkit.planning.check",
        "migkit.planning.settings.advise",
        "migkit.planning.settings.lint",
    ],
    "Traces and importers": ["migkit.traces.schema", "migkit.traces.io", "migkit.traces.data", "migkit.importers"],
    "Calibration": [
        "migkit.calibrate.fit",
        "migkit.calibrate.guest.fitting",
        "migkit.calibrate.guest.readings",
        "migkit.calibrate.guest.rounds",
        "migkit.calibrate.guest.curve",
        "migkit.calibrate.guest.stationary",
        "migkit.calibrate.host_file",
        "migkit.calibrate.accuracy.datasets",
        "migkit.calibrate.accuracy.scoreboard",
        "migkit.calibrate.accuracy.scored",
        "migkit.calibrate.accuracy.agreement",
        "migkit.calibrate.accuracy.conformal",
        "migkit.calibrate.design",
        "migkit.calibrate.store",
        "migkit.calibrate.uncertainty",
        "migkit.calibrate.validate",
        "migkit.calibrate.baselines",
    ],
    "Pictures and widgets": [
        "migkit.viz",
        "migkit.widgets.scenarios.explorer",
        "migkit.widgets.scenarios.strategies",
        "migkit.widgets.scenarios.policies",
    ],
    "Course": [
        "migkit.course.lesson_checks",
        "migkit.course.exercises",
        "migkit.course.quantities",
        "migkit.course.autograding",
        "migkit.course.pictures",
    ],
    "Units and errors": ["migkit.units", "migkit.errors"],
}


def pages(source: Path) -> None:
    """Write all pages into ``source/made``."""
    folder = source / FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in {
        "scenario_file.md": scenario_file(),
        "policies.md": policies(),
        "commands.md": commands(),
        **modules(),
    }.items():
        _write(folder / name, text)


def scenario_file() -> str:
    """Return the page of the keys that a scenario file may hold, one section a table of the file."""
    parts = [
        "# The scenario file\n",
        "A scenario is a TOML file. `migkit schema` prints what this page says. "
        "A size, a rate or a time is text with a unit.\n",
    ]
    for table, rows in itertools.groupby(keys.document(), key=lambda row: row.key.partition(".")[0]):
        parts += [f"## {table}\n", *map(_key, rows)]
    return "\n".join(parts)


def _key(row: keys.Row) -> str:
    """Return one key as an entry of a definition list."""
    default = row.default if row.default == "required" else f"default {row.default}"
    facts = ", ".join(filter(None, (row.type, default, row.allowed)))
    column = f" Column of `predict_many`: `{row.column}`." if row.column else ""
    return f"`{row.key}`\n: *{facts}*\n\n  {row.meaning}{column}\n".replace("<", "\\<")


def policies() -> str:
    """Return the page of the named policies: what each does, its defaults, and who says so."""
    parts = ["# Policies\n", "Each policy replays the documented rule of one system.\n", *_abilities()]
    for preset in BUILT_IN:
        parts += [f"## {preset.name}\n", f"{preset.summary}\n", _table(["fact", "value"], _facts(preset)), ""]
    return "\n".join(parts)


def _abilities() -> list[str]:
    """Return the section on what each system can do at all."""
    head = ["policy", *(name.replace("_", " ") for name in ABILITIES)]
    words = [[preset.name, *(getattr(preset.system, name).word for name in ABILITIES)] for preset in BUILT_IN]
    return [
        "## What each system can do\n",
        "`always`: the system does so without being asked. `migkit schema --policies` prints this table.\n",
        _table(head, words),
        "A scenario that asks for what the system of its policy has not is answered as a what-if. Its reasons say "
        "so, and so does the command line. `migkit compare` leaves it out, and advice never names it.\n",
    ]


def _options(preset: Preset) -> list[list[str]]:
    """Return what people of the system call each of its abilities."""
    names = (*ABILITIES, "cap", "downtime_limit", "together")
    abilities = {name: getattr(preset.system, name) for name in names}
    return [[f"option: {name.replace('_', ' ')}", one.option] for name, one in abilities.items() if one.option]


def _facts(preset: Preset) -> list[list[str]]:
    cap = preset.max_bandwidth_bytes_per_s
    settings = [[f"`settings.{each.name}`", f"{each.default:g}"] for each in preset.settings]
    return [
        ["version", preset.version],
        ["source", preset.source],
        ["cap by default", "none" if math.isinf(cap) else format_rate(cap)],
        ["downtime limit by default", format_duration(preset.downtime_limit_s)],
        ["system", f"{preset.system.name}: {preset.system.source}"],
        *_options(preset),
        *settings,
    ]


def commands() -> str:
    """Return the page of the commands: what `--help-all` prints of each."""
    context = click.Context(cli, info_name="migkit")
    context.meta["migkit.help_all"] = True
    parts = ["# Commands\n"]
    for name in cli.list_commands(context):  # type: ignore[attr-defined]
        command: Any = cli.get_command(context, name)  # type: ignore[attr-defined]
        text = command.get_help(click.Context(command, parent=context, info_name=name, max_content_width=100))
        parts += [f"## migkit {name}\n", f"```text\n{text}\n```\n"]
    return "\n".join(parts)


def modules() -> dict[str, str]:
    """Return one page for each group of public modules, by file name."""
    return {f"{title.lower().replace(' ', '_')}.rst": _group(title, names) for title, names in MODULES.items()}


def _group(title: str, names: Iterable[str]) -> str:
    parts = [title, "=" * len(title), ""]
    for name in names:
        importlib.import_module(name)
        parts += [name, "-" * len(name), "", f".. automodule:: {name}", "   :members:", ""]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|").replace("<", "\\<") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a page only when it changed, so that a second build reads only what is new."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
