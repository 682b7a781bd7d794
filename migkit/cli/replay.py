"""``migkit replay``: what other rules would have done in a recorded migration, and when."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import UsageError
from migkit.units import duration, format_duration, format_size

if TYPE_CHECKING:
    from migkit.calibrate.replay import Order, Replayed
    from migkit.importers import Log

__all__ = ["command"]

_ORDERS_SHOWN = 3


@click.command("replay", cls=Command)
@click.argument("record", type=click.Path(path_type=Path))
@click.option(
    "--policy", "names", multiple=True, metavar="NAME", help="Which rule; repeat it for more [all of them]."
)
@click.option("--downtime-limit", metavar="TIME", help="Of each rule that has one [its own].")
@click.option(
    "--setting", "settings", multiple=True, metavar="NAME=NUMBER", help="Of the rule, as in a scenario file."
)
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    record: Path, names: tuple[str, ...], downtime_limit: str | None, settings: tuple[str, ...], kind: str
) -> None:
    """Say what each rule would have done in the migration recorded in RECORD, and when.

    RECORD is a trace of migkit or any log that `migkit import` reads; of a log with several migrations the last one
    counts. The rule reads what was read then; its orders (limit, throttle) are told and not obeyed. For example:

    \b
      migkit replay run.parquet --policy kubevirt-stall --policy proxmox

    Exit code 2: RECORD has no readings of pre-copy, or there is no such rule or setting.
    """
    from migkit.calibrate.replay import replay
    from migkit.scenario.policy import presets

    log = _log(record)
    chosen = names or tuple(preset.name for preset in presets())
    if settings and len(chosen) != 1:
        raise UsageError("--setting: name one rule with --policy, whose setting it is")
    found = [replay(log, _policy(name, downtime_limit, settings)) for name in chosen]
    click.echo(_json(found) if kind == "json" else _table(found))


def _log(record: Path) -> Log:
    from migkit.importers import read

    found = [log for log in read(record) if log.kind == "migration" and len(log.frame)]
    if not found:
        raise UsageError(f"{record}: holds no reading of a migration; migkit import says what it holds")
    return found[-1]


def _policy(name: str, downtime_limit: str | None, settings: tuple[str, ...]) -> Any:
    from migkit.scenario import Policy

    changes: dict[str, Any] = {}
    for text in settings:
        key, _, value = text.partition("=")
        try:
            changes[key.strip()] = float(value)
        except ValueError as error:
            raise UsageError(f"--setting: {text!r} is not NAME=NUMBER; write it as in poll_s=2") from error
    policy = Policy.named(name, settings=tuple(changes.items()))
    if downtime_limit is None:
        return policy
    return dataclasses.replace(policy, downtime_limit_s=duration(downtime_limit, "--downtime-limit"))


def _table(found: list[Replayed]) -> str:
    rows = [
        [
            one.policy,
            one.action or "has not decided by the end",
            format_duration(one.t_s),
            format_size(one.remaining_bytes),
            format_duration(one.downtime_s) if one.downtime_s == one.downtime_s else "",
            _orders(one.orders),
        ]
        for one in found
    ]
    return _output.columns(["policy", "it", "at", "left", "that takes", "it ordered"], rows, left=2)


def _orders(orders: tuple[Order, ...]) -> str:
    shown = [_order(one) for one in orders[-_ORDERS_SHOWN:]]
    hidden = len(orders) - len(shown)
    return ", ".join(([f"{hidden} more"] if hidden else []) + shown)


def _order(one: Order) -> str:
    value = f"limit {format_duration(one.value)}" if one.what == "downtime_limit_s" else f"throttle {one.value:.0%}"
    return f"{value} at {format_duration(one.t_s)}"


def _json(found: list[Replayed]) -> str:
    records = [{name: _output.finite(value) for name, value in dataclasses.asdict(one).items()} for one in found]
    return json.dumps(records, indent=2, allow_nan=False)
