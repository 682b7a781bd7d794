"""The limits that a planner gives: flags, and the record that they make."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import click

from migkit import units
from migkit.errors import UsageError, shown
from migkit.planning.targets import Targets

__all__ = ["target_options"]

_OPTIONS = (
    click.option("--max-downtime", metavar="TIME", help="Longest downtime [any]."),
    click.option("--max-total-time", metavar="TIME", help="Longest total migration time [any]."),
    click.option("--max-sent", metavar="SIZE", help="Most bytes on the wire [any]."),
    click.option("--max-slowdown", metavar="PERCENT", help='Most progress that the guest may lose, "5 %" [any].'),
    click.option(
        "--probability",
        metavar="PART",
        help='Probability with which the limits are kept, "95 %" or 0.95, above one half [the middle].',
    ),
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a flag for each limit; it is called with the record ``targets`` in their place."""

    @functools.wraps(command)
    def called(
        *,
        max_downtime: str | None,
        max_total_time: str | None,
        max_sent: str | None,
        max_slowdown: str | None,
        probability: str | None,
        **others: Any,
    ) -> Any:
        targets = Targets(
            downtime_s=math.inf if max_downtime is None else units.duration(max_downtime, "--max-downtime"),
            total_time_s=math.inf if max_total_time is None else units.duration(max_total_time, "--max-total-time"),
            transferred_bytes=math.inf if max_sent is None else float(units.size(max_sent, "--max-sent")),
            guest_slowdown=math.inf if max_slowdown is None else _share(max_slowdown),
            probability=None if probability is None else _probability(probability),
        )
        return command(targets=targets, **others)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


def _share(text: str) -> float:
    """Return the share that a percentage says."""
    share = _percent(text)
    if not 0.0 < share <= 1.0:
        raise UsageError(
            f'--max-slowdown: {shown(text)} is no percentage above 0 and at most 100; write it as in "5 %"'
        )
    return share


def _probability(text: str) -> float:
    """Return a probability, written as a percentage or as a part of one."""
    try:
        found = _percent(text) if "%" in text else float(text)
    except ValueError:
        found = math.nan
    if not 0.5 < found < 1.0:
        raise UsageError(
            f'--probability: {shown(text)} is no probability above 0.5 and below 1; write it as in "95 %" or 0.95'
        )
    return found


def _percent(text: str) -> float:
    """Return the share that a percentage says; no number where it says none."""
    number, sign, rest = text.partition("%")
    try:
        return float(number) / 100.0 if sign and not rest.strip() else math.nan
    except ValueError:
        return math.nan
