"""``migkit size``: the least or the largest of one quantity with which a migration keeps its limits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_from, scenario_options
from migkit.cli._targets import target_options

if TYPE_CHECKING:
    from migkit.planning.size import Size
    from migkit.planning.targets import Targets

_PLAIN = ("unknown", "value", "beside", "until", "binding", "cure", "carried", "also")
_FIND = ("bandwidth", "max_bandwidth", "downtime_limit", "streams", "writes", "memory", "parallel")


@click.command(cls=Command)
@scenario_options
@click.option(
    "--find",
    type=click.Choice([name.replace("_", "-") for name in _FIND]),
    default="bandwidth",
    help="What to find: the least of the first four, the largest of the others [bandwidth].",
)
@target_options
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@_output.report_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    find: str,
    targets: Targets,
    kind: str | None,
    output: Path | None,
    report: Path | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Find the bandwidth, limit, streams, writes, memory or parallel migrations that just keep the limits.

    The scenario is that of `migkit predict`; the migration must converge, and keep each limit that is given. The
    answer comes with what is missed just beside it and with a table of what lies around it.
    Exit code 3: no value does.
    """
    from migkit.planning.size import size

    case = scenario_from(scenario, flags, quiet)
    found = size(case, find=find.replace("-", "_"), targets=targets)
    _output.write_report(found, report, quiet)
    _output.emit(_render(_output.choose_format(kind, output), found), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)


def _render(kind: str, found: Size) -> str | bytes:
    if kind == "table":
        return repr(found)
    if kind != "json":
        return _output.rows_as(kind, [near._asdict() for near in found.curve])
    record = {name: _output.finite(getattr(found, name)) for name in _PLAIN}
    record |= {
        "text": found.text,
        "result": found.result.to_dict(),
        "targets": {name: _output.finite(value) for name, value in dataclasses.asdict(found.targets).items()},
        "curve": [{name: _output.finite(value) for name, value in near._asdict().items()} for near in found.curve],
    }
    return json.dumps(record, indent=2, allow_nan=False)
