"""``migkit compare``: one guest under several policies and strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_options, tables_from
from migkit.errors import InfeasibleError
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.models.result import Prediction


@click.command(cls=Command)
@scenario_options
@click.option(
    "--policies",
    metavar="NAMES",
    multiple=True,
    help="all, or names with commas between; may be repeated [the scenario's].",
)
@click.option(
    "--strategies", metavar="NAMES", multiple=True, help="all, or names with commas between; may be repeated [all]."
)
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    policies: tuple[str, ...],
    strategies: tuple[str, ...],
    kind: str | None,
    output: Path | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Predict the migration of SCENARIO under several policies and strategies, side by side.

    Without --policies only the scenario's policy is compared, under every strategy. Each policy has its own
    defaults, except for the cap, the downtime limit and the time limit that the scenario gives.
    Exit code 3: the migration converges under none of them.
    """
    tables, folder = tables_from(scenario, flags)
    results = _predict_all(tables, folder, policies, strategies)
    for rule in _unable(results):
        _output.narrate(f"migkit: {rule}: left out where its system has no such strategy", quiet)
    kind = _output.choose_format(kind, output)
    if kind == "table":
        _output.emit(_table(results), output)
    else:
        rows = [{"policy": p, "strategy": s} | _output.flat(result) for (p, s), result in results.items()]
        _output.emit(_output.rows_as(kind, rows), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if all(result.verdict != "converges" for result in results.values()):
        if quiet:
            raise SystemExit(InfeasibleError.exit_code)
        raise InfeasibleError("it converges under none of them; the reasons are in the result")


def _predict_all(
    tables: dict[str, Any], folder: Path, policies: tuple[str, ...], strategies: tuple[str, ...]
) -> Mapping[tuple[str, str], Prediction]:
    from migkit.models.alternatives import compare

    guest = tables.get("guest")
    if isinstance(guest, dict) and isinstance(guest.get("profile"), str):
        tables = tables | {"guest": guest | {"profile": str(folder / guest["profile"])}}
    return compare(
        tables,
        policies=_names(policies) if policies else None,
        strategies=_names(strategies) if strategies else "all",
    )


def _unable(results: Mapping[tuple[str, str], Prediction]) -> list[str]:
    """Return the policies that lack a strategy which others have."""
    rules = dict.fromkeys(rule for rule, _ in results)
    manners = {manner for _, manner in results}
    return [rule for rule in rules if any((rule, manner) not in results for manner in manners)]


def _names(texts: Sequence[str]) -> list[str]:
    """Return the names that an option says, in the order given."""
    return [name.strip() for text in texts for name in text.split(",")]


def _table(results: Mapping[tuple[str, str], Prediction]) -> str:
    header = ["policy", "strategy", "verdict", "total time", "downtime", "sent", "rounds", "slowdown", "faults"]
    rows = [
        [
            rule,
            manner,
            result.verdict,
            format_duration(result.total_time_s),
            _output.downtime(result),
            "without end" if result.transferred_bytes == float("inf") else format_size(result.transferred_bytes),
            str(result.iterations),
            f"{100 * result.guest_slowdown:.1f} %",
            f"{result.postcopy_faults:.0f}",
        ]
        for (rule, manner), result in results.items()
    ]
    return _output.columns(header, rows, left=3)
