"""``migkit tradeoffs``: what a system could be told to do with one guest, and what no other choice beats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_from, scenario_options
from migkit.cli._targets import target_options
from migkit.errors import UsageError, shown

if TYPE_CHECKING:
    from migkit.planning.targets import Targets
    from migkit.planning.tradeoffs import Tradeoffs

_GOALS = {
    "downtime": "downtime_s",
    "total-time": "total_time_s",
    "sent": "transferred_bytes",
    "slowdown": "guest_slowdown",
    "risk": "risk",
}


@click.command(cls=Command)
@scenario_options
@target_options
@click.option(
    "--weight",
    multiple=True,
    metavar="GOAL=NUMBER",
    help=f"How much a goal counts, one of {', '.join(_GOALS)}; repeat it for more; 0 leaves it out [1].",
)
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@_output.report_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    targets: Targets,
    weight: tuple[str, ...],
    kind: str | None,
    output: Path | None,
    report: Path | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Show which settings of the scenario's system are worth a choice, and the best one.

    Every combination of up to three changes that the system can make is predicted. The table has those that keep the
    limits and that no other one beats in every goal; an arrow marks the best by the weights.
    Exit code 3: none keeps the limits.
    """
    from migkit.planning.tradeoffs import tradeoffs

    found = tradeoffs(scenario_from(scenario, flags, quiet), targets=targets, weights=_weights(weight))
    _output.write_report(found, report, quiet)
    _output.emit(_render(_output.choose_format(kind, output), found), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)


def _weights(texts: tuple[str, ...]) -> dict[str, float] | None:
    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name.strip() not in _GOALS:
            raise UsageError(f"--weight: {shown(text)} names no goal; write one of {', '.join(_GOALS)}, as in risk=2")
        try:
            weights[_GOALS[name.strip()]] = float(number)
        except ValueError as error:
            raise UsageError(f"--weight: {shown(text)} has no number; write it as in {name.strip()}=2") from error
    return weights or None


def _render(kind: str, found: Tradeoffs) -> str | bytes:
    if kind == "table":
        return f"{found!r}\n\n{found.cure}" if found.cure else repr(found)
    rows = found.to_frame().to_dict("records")
    if kind == "json":
        return json.dumps([{str(key): _output.finite(value) for key, value in row.items()} for row in rows], indent=2)
    return _output.rows_as(kind, [{str(key): value for key, value in row.items()} for row in rows])
