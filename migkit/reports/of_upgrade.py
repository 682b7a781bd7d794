"""The report of one drain before and after a change of manager, version or defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migkit import viz
from migkit.reports.of_rehearsal import asked, when
from migkit.reports.page import Answered, answered, paragraphs, table

if TYPE_CHECKING:
    from migkit.planning.rehearsal import Rehearsal, Upgrade

__all__ = ["page"]

_SHOWN = 40


def page(found: Upgrade) -> str:
    """Return the report as HTML."""
    first, *rest = found.sentences
    return answered(
        Answered(
            title=f"migkit: {first}",
            question=paragraphs([f"What changes {first}, with the same machines and the same draws?"]),
            inputs="<h3>Before</h3>" + asked(found.before) + "<h3>After</h3>" + asked(found.after),
            assumptions=paragraphs(f"{note[0].upper()}{note[1:]}." for note in found.after.notes),
            answer=paragraphs(f"{said[0].upper()}{said[1:]}." for said in rest),
            pictures=[
                *_drawn("Before", found.before),
                *_drawn("After", found.after),
            ],
            risks=_machines(found),
            settings="",
        )
    )


def _drawn(title: str, one: Rehearsal) -> list[tuple[str, viz.Figure]]:
    return [
        (f"{title}: by when all is empty", viz.empty_by(one.end_s.tolist(), deadline_s=one.deadline_s)),
        (f"{title}: when each machine moves", viz.rehearsed(one.machines, deadline_s=one.deadline_s)),
    ]


def _machines(found: Upgrade) -> str:
    some = found.machines[found.machines["vm"].isin([*found.given_up, *found.stays])].head(_SHOWN)
    rows: list[Any] = some.to_dict("records")
    cells = [
        (
            *(row["vm"], row["host"]),
            *(f"{100 * row[f'{name}_{at}']:.3g} %" for name in ("gives_up", "leaves") for at in ("before", "after")),
            *(when(row[f"late_{at}_s"]) for at in ("before", "after")),
            row["why"],
        )
        for row in rows
    ]
    head = (
        "machine",
        "host",
        "given up before",
        "after",
        "leaves before",
        "after",
        "95 % before",
        "after",
        "why, after",
    )
    return table(head, cells) if cells else paragraphs(["No machine fares worse."])
