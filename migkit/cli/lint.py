"""``migkit lint``: files of settings against their documentation and against the machines to be moved."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._fleet import columns_of
from migkit.errors import InfeasibleError, UsageError

if TYPE_CHECKING:
    from migkit.planning.settings.lint import Lint
    from migkit.planning.settings.machines import Fleet


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--inventory",
    type=click.Path(path_type=Path),
    help="CSV or Parquet: the machines as of migkit drain, or a column name and columns as of sweeps [no machines].",
)
@click.option(
    "--vm-column",
    "vm_columns",
    metavar="OURS=THEIRS",
    multiple=True,
    help="Where a column of the inventory is, as in 'memory=RAM [MiB]'; may be repeated.",
)
@click.option("--scenario", type=click.Path(path_type=Path), help="A scenario file: one machine [none].")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    files: tuple[Path, ...],
    inventory: Path | None,
    vm_columns: tuple[str, ...],
    scenario: Path | None,
    kind: str | None,
    output: Path | None,
    quiet: bool,
) -> None:
    """Check FILES of settings that belong together, and say which machines cannot be moved under them.

    Known are nova.conf, watcher.conf, objects of KubeVirt, HyperConverged, MigrationPolicy and DeschedulerPolicy,
    datacenter.cfg and files of Proxmox' VMs, qemu.conf, libvirt.conf, vdsm.conf, instances of Incus, and commands of
    virsh, qm, incus and QMP.
    Exit code 3: something is wrong, or a machine does not converge.
    """
    from migkit.planning.settings.lint import lint

    found = lint(files, _fleet(inventory, columns_of("--vm-column", vm_columns), scenario))
    _output.emit(_render(_output.choose_format(kind, output), found), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if not found.holds:
        if quiet:
            raise SystemExit(InfeasibleError.exit_code)
        raise InfeasibleError("the settings do not hold; the findings are in the result")


def _fleet(inventory: Path | None, columns: dict[str, str], scenario: Path | None) -> Fleet | None:
    from migkit.planning.settings.machines import Fleet

    if inventory is not None and scenario is not None:
        raise UsageError("lint: an inventory and a scenario are given; leave out one of the two")
    if columns and inventory is None:
        raise UsageError("--vm-column: there is no inventory whose columns it names; give --inventory")
    if inventory is not None:
        return Fleet.load(inventory, columns)
    if scenario is not None:
        from migkit.scenario.form import schema

        return Fleet.of_scenario(schema.load(scenario), scenario.stem)
    return None


def _render(kind: str, found: Lint) -> str | bytes:
    if kind == "table":
        return "\n".join(_lines(found))
    findings = [dataclasses.asdict(finding) for finding in found.findings]
    if kind == "json":
        machines = [machine.to_dict() for machine in found.machines]
        return json.dumps({"holds": found.holds, "findings": findings, "machines": machines}, indent=2)
    if not findings:
        findings = [dict.fromkeys(("file", "line", "level", "rule", "what", "why", "do", "source"))]
    return _output.rows_as(kind, findings)


def _lines(found: Lint) -> list[str]:
    if not found.findings:
        return ["nothing is wrong"]
    lines = []
    for finding in found.findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        lines.append(f"{place}: {finding.level}: {finding.what}")
        lines.append(f"    {finding.why} To do: {finding.do}.")
        lines.append(f"    {finding.rule}, {finding.source}")
    return [_output.printable(line) for line in lines]
