"""``migkit advise``: settings of a product with which a migration keeps its limits, to paste."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_from, scenario_options
from migkit.cli._targets import target_options
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.planning.settings.advise import Advice
    from migkit.planning.targets import Targets

_PRODUCTS = ("qemu", "libvirt", "nova", "kubevirt", "openshift", "proxmox", "ovirt", "incus")


@click.command(cls=Command)
@scenario_options
@click.option("--for", "product", type=click.Choice(_PRODUCTS), required=True, help="The product to set.")
@target_options
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    product: str,
    targets: Targets,
    kind: str | None,
    output: Path | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Find settings of a product with which the migration of SCENARIO keeps its limits, and write them to paste.

    Manner, streams, cap, downtime limit and timeout are looked for in this order, the least intrusive first: a cap
    comes before another downtime limit than the default. The policy of the scenario does not count. Each text is
    read back as `migkit lint` reads it and predicted again before it is printed.
    Exit code 3: nothing that the product can be told keeps the limits.
    """
    from migkit.planning.settings.advise import advise

    found = advise(scenario_from(scenario, flags, quiet=True), product, targets)
    _output.emit(_render(_output.choose_format(kind, output), found), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)


def _render(kind: str, found: Advice) -> str | bytes:
    if kind == "json":
        return json.dumps(found.to_dict(), indent=2, allow_nan=False)
    if kind != "table":
        return _output.rows_as(
            kind,
            [
                {"setting": name, "value": text, "unit": found.units[name], "source": found.sources[name]}
                for name, text in found.settings.items()
            ],
        )
    return "\n".join(_parts(found))


def _parts(found: Advice) -> list[str]:
    result = found.result
    times = f"total time {format_duration(result.total_time_s)}, downtime {format_duration(result.downtime_s)}"
    parts = [f"{found.product}: {found.manner}. {found.targets.words().capitalize()}."]
    parts.append(f"Predicted under what is below: {times}, sent {format_size(result.transferred_bytes)}.")
    for snippet in found.snippets:
        parts += ["", f"--- {snippet.place}", snippet.text.rstrip("\n")]
    if found.settings:
        rows = [[name, _shown(text, found.units[name]), found.sources[name]] for name, text in found.settings.items()]
        parts += ["", _output.columns(["setting", "value", "documented at"], rows, left=3)]
    if found.cannot:
        parts += ["", *(f"Note: {sentence}." for sentence in found.cannot)]
    parts += [f"Note: {note.what}; {note.do}." for note in found.notes if note.level != "error"]
    return parts


def _shown(text: str, unit: str) -> str:
    """Return a value with its unit; a flag is given, and a quantity has a suffix of its own."""
    if not text:
        return "given"
    return f"{text}, in {unit}" if text[-1:].isalpha() and unit else f"{text} {unit}".strip()
