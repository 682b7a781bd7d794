"""The report of what could be set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migkit import viz
from migkit.reports import inputs, likely, pasting
from migkit.reports.page import Answered, answered, paragraphs, table
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.planning.tradeoffs import Option, Tradeoffs

__all__ = ["page"]

_WORDS = {
    "downtime_s": "downtime",
    "total_time_s": "total time",
    "transferred_bytes": "sent",
    "guest_slowdown": "slowdown of the guest",
    "risk": "risk",
}


def page(found: Tradeoffs) -> str:
    """Return the report as HTML."""
    best, first = found.best, found.options[0]
    said = f"The best one by the weights: {best.words}."
    weights = ", ".join(f"{_WORDS[name]} {weight:g}" for name, weight in found.weights.items())
    return answered(
        Answered(
            title="migkit: what could be set",
            question=paragraphs(
                [
                    f"Which settings of {first.scenario.policy.name} are worth a choice, and which is best?",
                    f"Limits: {found.targets.words()}.",
                ]
            ),
            inputs=inputs.of_scenario(first.scenario) + paragraphs([f"Weights: {weights}."]),
            assumptions=paragraphs(
                [
                    *likely.assumed(best.scenario, best.result),
                    f"{len(found.options)} combinations of at most three changes were predicted.",
                ]
            ),
            answer=paragraphs([said, found.cure] if found.cure else [said]) + _front(found),
            pictures=[("Downtime against total time of every choice", viz.front(found.to_frame()))],
            risks=paragraphs(likely.risks(best.scenario, found.targets)),
            settings=pasting.settings(best.scenario, found.targets),
        )
    )


def _front(found: Tradeoffs) -> str:
    head = ("", "change", "total time", "downtime", "sent", "slowdown", "risk")
    return table(head, (_row(option, option is found.best) for option in found.front))


def _row(option: Option, is_best: bool) -> tuple[str, ...]:
    result = option.result
    return (
        "best" if is_best else "",
        option.words,
        format_duration(result.total_time_s),
        format_duration(result.downtime_s),
        format_size(result.transferred_bytes),
        f"{100 * result.guest_slowdown:.1f} %",
        f"{result.risk:.1e}",
    )
