"""The report of an inverse answer: how much is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migkit import viz
from migkit.planning.unknowns import unknown
from migkit.reports import inputs, likely, pasting
from migkit.reports.page import Answered, answered, paragraphs, table
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    from migkit.planning.size import Size

__all__ = ["page"]


def page(found: Size) -> str:
    """Return the report as HTML."""
    asked = unknown(found.unknown)
    name = asked.name.replace("_", " ")
    extreme = "least" if asked.least else "largest"
    picture = viz.near(found.to_frame(), found.value, name, asked.shown)
    return answered(
        Answered(
            title=f"migkit: the {extreme} {name}",
            question=paragraphs([f"What is the {extreme} {name} with which {found.targets.words()}?"]),
            inputs=inputs.of_scenario(found.scenario),
            assumptions=paragraphs(likely.assumed(found.scenario, found.result)),
            answer=paragraphs([f"{found.text[0].upper()}{found.text[1:]}"]) + _curve(found),
            pictures=[(f"Total time and downtime around the {extreme} {name}", picture)],
            risks=paragraphs(likely.risks(found.scenario, found.targets)),
            settings=pasting.settings(found.scenario, found.targets),
        )
    )


def _curve(found: Size) -> str:
    show = unknown(found.unknown).shown
    rows = [
        (
            show(near.value) + (" (the answer)" if near.value == found.value else ""),
            format_duration(near.total_time_s),
            format_duration(near.downtime_s) if near.verdict == "converges" else "",
            format_size(near.transferred_bytes) if near.verdict == "converges" else "without end",
            f"{100 * near.guest_slowdown:.1f} %",
            "holds" if near.holds else near.verdict.replace("_", " ") if near.verdict != "converges" else "misses",
        )
        for near in found.curve
    ]
    return table((found.unknown.replace("_", " "), "total time", "downtime", "sent", "slowdown", "limits"), rows)
