"""``migkit compare``: one guest under several policies and strategies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._scenario import scenario_options, tables_from
from migkit.errors import InfeasibleError, UsageError
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.models.result import Prediction


@click.command()
@scenario_options
@click.option("--policies", metavar="NAMES", help="all, or names with commas between [the scenario's].")
@click.option("--strategies", metavar="NAMES", default="all", help="all, or names with commas between [all].")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    policies: str | None,
    strategies: str,
    kind: str | None,
    output: Path | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Predict the migration of SCENARIO under each policy and each strategy.

    A policy stands there with its own defaults, except for the cap, the downtime limit and the
    time limit that the scenario gives. Exit code 3: under none of them does it converge.
    """
    tables, folder = tables_from(scenario, flags)
    results = _predict_all(tables, folder, policies, strategies)
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
    tables: Mapping[str, Any], folder: Path, policies: str | None, strategies: str
) -> dict[tuple[str, str], Prediction]:
    from migkit.models.predict import predict
    from migkit.scenario import schema
    from migkit.scenario.policy import presets
    from migkit.scenario.strategy import STRATEGIES

    own = schema.from_mapping(tables, folder)
    rules = _names("policies", policies or own.policy.name, [preset.name for preset in presets()])
    manners = _names("strategies", strategies, list(STRATEGIES))
    return {
        (rule, manner): predict(schema.from_mapping(_changed(tables, own.policy.name, rule, manner), folder))
        for rule in rules
        for manner in manners
    }


def _names(what: str, text: str, known: list[str]) -> list[str]:
    """Return the names that an option says, in the order given, each once."""
    names = known if text == "all" else list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"{what}: {name!r} is not known; use all, or some of {', '.join(known)}")
    return names


def _changed(tables: Mapping[str, Any], own: str, rule: str, manner: str) -> dict[str, Any]:
    """Return the tables with another policy and strategy, without settings of the old policy."""
    policy = dict(tables.get("policy", {})) | {"name": rule}
    if rule != own:
        policy.pop("settings", None)
    return dict(tables) | {"policy": policy, "strategy": dict(tables.get("strategy", {})) | {"name": manner}}


def _table(results: Mapping[tuple[str, str], Prediction]) -> str:
    header = ["policy", "strategy", "verdict", "total time", "downtime", "sent", "rounds", "slowdown", "faults"]
    rows = [
        [
            rule,
            manner,
            result.verdict.replace("_", " "),
            format_duration(result.total_time_s),
            format_duration(result.downtime_s),
            "without end" if result.transferred_bytes == float("inf") else format_size(result.transferred_bytes),
            str(result.iterations),
            f"{100 * result.guest_slowdown:.1f} %",
            f"{result.postcopy_faults:.0f}",
        ]
        for (rule, manner), result in results.items()
    ]
    return _output.columns(header, rows, left=3)
