"""The report of a drain as it is planned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from migkit import viz
from migkit.errors import counted
from migkit.planning.convergence import never_converging
from migkit.reports import inputs, pasting
from migkit.reports.page import Answered, answered, paragraphs, table
from migkit.units import format_duration, format_rate

if TYPE_CHECKING:
    from migkit.planning.drain import Plan

__all__ = ["page"]

_MOST_MOVES = 2000


def page(plan: Plan) -> str:
    """Return the report as HTML."""
    hosts = counted(len(plan.hosts), "host")
    by = "" if math.isinf(plan.deadline_s) else f" within {format_duration(plan.deadline_s)}"
    limits = ", ".join(str(limit) for limit in plan.limits) or "none"
    parts, counts = never_converging(plan.inventory, plan.base)
    return answered(
        Answered(
            title=f"migkit: {hosts} to empty",
            question=paragraphs([f"How are {hosts} emptied{by}? ({_names(plan)})"]),
            inputs=inputs.of_fleet(plan.inventory)
            + paragraphs([f"Slots: {limits}."])
            + inputs.of_scenario(plan.base, guest=False),
            assumptions=paragraphs([*(f"{note[0].upper()}{note[1:]}." for note in plan.notes), *_assumed(plan)]),
            answer=paragraphs(_answer(plan)) + _hosts(plan),
            pictures=[
                ("Each migration, by the host that is emptied", _gantt(plan)),
                ("Links", viz.link_load(plan.link_load())),
                ("Memory of hosts", viz.host_memory(plan.host_memory())),
                ("Machines that never converge", viz.never_converging(parts, counts.tolist())),
            ],
            risks=_risks(plan),
            settings=_moves(plan) + pasting.commands(plan.moves.head(_MOST_MOVES), plan.base.policy.name),
        )
    )


def _names(plan: Plan) -> str:
    names = plan.hosts["host"].tolist()
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _gantt(plan: Plan) -> viz.Figure:
    deadline_s = plan.deadline_s if plan.deadline_s < 4.0 * plan.makespan_s else math.inf
    return viz.gantt(plan.moves, plan.hosts, deadline_s=deadline_s)


def _answer(plan: Plan) -> Iterator[str]:
    yield f"{counted(len(plan.moves), 'move')} in {format_duration(plan.makespan_s)}."
    if math.isfinite(plan.deadline_s):
        yield "The deadline is kept." if plan.is_in_time else f"{plan.late[0].upper()}{plan.late[1:]}."
    yield f"{plan.bound[0].upper()}{plan.bound[1:]}."


def _hosts(plan: Plan) -> str:
    found: list[Any] = plan.to_dict()["hosts"]
    rows = [(row["host"], str(row["wave"]), format_duration(row["empty_s"]), _until(row["until_s"])) for row in found]
    return table(("host", "wave", "empty at", "until"), rows)


def _until(time_s: float | None) -> str:
    return "the end" if time_s is None else format_duration(time_s)


def _assumed(plan: Plan) -> Iterator[str]:
    yield "Each migration takes the time that is expected at its share of the links; a rehearsal shows the spread."
    yield "Links are shared max-min. A machine holds memory on both hosts while it moves."
    yield "The plan was checked by a replay that knows nothing of how it was made."
    yield f"One migration takes at most {format_rate(plan.demand_bytes_per_s)} of a link."


def _risks(plan: Plan) -> str:
    found: list[Any] = plan.to_dict()["blockers"]
    rows = [(row["vm"], row["source"], f"{100 * row['share']:.0f} %", row["why"]) for row in found]
    held = table(("machine", "host", "part", "why"), rows)
    slack = plan.deadline_s - plan.makespan_s
    said = ["These machines hold the plan up; what delays one of them delays all."]
    if 0.0 <= slack < math.inf:
        said.append(f"{format_duration(slack)} are left until the deadline.")
    return paragraphs(said) + held


def _moves(plan: Plan) -> str:
    found: list[Any] = plan.to_dict()["moves"]
    rows = [
        (
            *(row["vm"], row["source"], row["destination"], str(row["wave"]), row["kind"]),
            *(format_duration(row["start_s"]), format_duration(row["end_s"])),
            format_rate(row["share_bytes_per_s"]),
        )
        for row in found[:_MOST_MOVES]
    ]
    head = ("machine", "from", "to", "wave", "kind", "starts", "ends", "mean share")
    left = len(found) - len(rows)
    more = (
        paragraphs([f"{counted(left, 'further move')}: see the table that migkit drain -o FILE.csv writes."])
        if left
        else ""
    )
    return f"<details><summary>{counted(len(found), 'move')}</summary>{table(head, rows)}{more}</details>"
