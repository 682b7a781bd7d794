"""The report of a drain as a manager would carry it out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from migkit import viz
from migkit.errors import counted
from migkit.planning.convergence import never_converging
from migkit.reports import inputs
from migkit.reports.page import Answered, answered, paragraphs, table
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.planning.rehearsal import Rehearsal

__all__ = ["asked", "page", "when"]

_SHOWN = 20


def page(found: Rehearsal) -> str:
    """Return the report as HTML."""
    hosts = counted(len(found.hosts), "host")
    by = "" if math.isinf(found.deadline_s) else f" within {format_duration(found.deadline_s)}"
    return answered(
        Answered(
            title=f"migkit: {hosts} emptied by {found.manager}",
            question=paragraphs([f"How likely does {found.manager} empty {hosts}{by}, and what holds it up?"]),
            inputs=asked(found),
            assumptions=paragraphs(f"{note[0].upper()}{note[1:]}." for note in found.notes),
            answer=paragraphs(_answer(found)) + _hosts(found),
            pictures=list(_pictures(found)),
            risks=_risks(found),
            settings=_fixes(found),
        )
    )


def asked(found: Rehearsal) -> str:
    """Return what a rehearsal depends on, as tables."""
    rows = [("manager", found.manager), ("rule", found.policy), ("draws", str(len(found.end_s)))]
    if found.asked is None:
        return table(("rehearsal", ""), rows)
    manager = found.asked.manager
    tries = "until it succeeds" if math.isinf(manager.attempts) else f"{manager.attempts:g}"
    rows += [
        ("slots", ", ".join(str(limit) for limit in manager.limits) or "none"),
        ("attempts of one migration", tries),
        ("hosts in a wave", str(found.asked.at_once)),
        ("failures", str(len(found.asked.failures))),
    ]
    return (
        table(("rehearsal", ""), rows)
        + inputs.of_fleet(found.asked.inventory)
        + inputs.of_scenario(found.asked.base, guest=False)
    )


def _pictures(found: Rehearsal) -> Iterator[tuple[str, viz.Figure]]:
    yield "By when all is empty", viz.empty_by(found.end_s.tolist(), deadline_s=found.deadline_s)
    yield "When each machine moves, those that end last", viz.rehearsed(found.machines, deadline_s=found.deadline_s)
    if found.asked is not None:
        parts, counts = never_converging(found.asked.inventory, found.asked.base)
        yield "Machines that never converge", viz.never_converging(parts, counts.tolist())


def _answer(found: Rehearsal) -> Iterator[str]:
    if math.isfinite(found.deadline_s):
        yield f"All is empty within {format_duration(found.deadline_s)} with {100 * found.probability:.3g} %."
    for part in (0.5, 0.95):
        by_s = found.empty_by_s(part)
        yield f"All is {'never empty' if math.isinf(by_s) else f'empty by {when(by_s)}'} with {100 * part:g} %."


def _hosts(found: Rehearsal) -> str:
    rows: list[Any] = found.hosts.to_dict("records")
    cells = [
        (row["host"], f"{100 * row['probability']:.3g} %", when(row["median_s"]), when(row["late_s"])) for row in rows
    ]
    return table(("host", "in time", "50 %", "95 %"), cells)


def _risks(found: Rehearsal) -> str:
    rows: list[Any] = found.machines[found.machines["holds_up"] > 0].head(_SHOWN).to_dict("records")
    cells = [
        (
            *(row["vm"], row["host"], f"{100 * row['holds_up']:.3g} %", f"{100 * row['gives_up']:.3g} %"),
            *(f"{100 * row['leaves']:.3g} %", when(row["late_s"]), row["why"]),
        )
        for row in rows
    ]
    head = ("machine", "host", "holds up", "given up", "leaves", "95 %", "why")
    return paragraphs(["These machines hold it up, in that part of the draws."]) + table(head, cells)


def _fixes(found: Rehearsal) -> str:
    """Return which single setting helps most, each rehearsed; where it was not asked for, how to ask."""
    if found.fixes is None:
        return paragraphs(["Rehearse with fixes (--fixes) to see which single setting helps most."])
    rows: list[Any] = found.fixes.head(_SHOWN).to_dict("records")
    cells = [
        (row["setting"], f"{100 * row['probability']:.3g} %", when(row["median_s"]), when(row["late_s"]))
        for row in rows
    ]
    return table(("one setting changed", "in time", "50 %", "95 %"), cells)


def when(time_s: float) -> str:
    """Return a time, or that there is none.

    Examples
    --------
    >>> when(90.0), when(math.inf)
    ('90 s', 'never')
    """
    return format_duration(time_s) if math.isfinite(time_s) else "never"
