"""A drain before it is made: its plan, its links, its probabilities, for a fleet that people have as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import ipywidgets as ipw

from migkit import viz
from migkit.errors import UsageError
from migkit.planning.drain import Conflict, Plan, drain
from migkit.planning.inventory import EXAMPLES, Inventory
from migkit.planning.rehearsal import Manager, Rehearsal, Upgrade, manager_of, rehearse, upgrade
from migkit.planning.rehearsal.managers import PRODUCTS
from migkit.scenario import Guest, Policy, Scenario
from migkit.units import duration, format_duration
from migkit.widgets import controls
from migkit.widgets.dropped import listing
from migkit.widgets.dropped.upload import Upload
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import literal
from migkit.widgets.running.slow_panel import SlowPanel

__all__ = ["DrainExplorer"]

_SHOWN: Final = 8
_ROUNDS: Final = 8
_DRAWS: Final = 127
_SLOTS: Final = 120
_NOTHING: Final = ("nothing", "")
_FLEETS: Final = (
    ("40 hosts, even load", "even"),
    ("a host with one busy machine", "busy"),
    ("my tables below", ""),
)
_FORMS: Final = "CSV, Parquet or JSON; exports of RVTools, OpenStack, kubectl and virsh."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What the controls say; a table is a name and its content."""

    example: str
    machines: tuple[str, bytes] | None
    hosts: tuple[str, bytes] | None
    empty: str
    at_once: int | None
    manager: str
    against: str
    deadline: str
    tries: bool
    is_new: bool = False  # the fleet was given just now, so the hosts to empty may be those of another one

    def fleet(self) -> Inventory:
        """Return the fleet that was given, else one that is made up."""
        if self.example:
            return EXAMPLES[self.example]()
        if self.machines is None or self.hosts is None:
            missing = "machines" if self.machines is None else "hosts"
            raise UsageError(f"{missing}: their table is missing; a fleet is both tables, give this one, too")
        return Inventory.read(self.machines[1], self.hosts[1])

    def names(self) -> list[str] | str:
        """Return the hosts to empty."""
        names = [name.strip() for name in self.empty.split(",") if name.strip()]
        return "all" if names == ["all"] else names

    def answer(self) -> _Answer:
        """Plan the drain, and rehearse it; of a new fleet, that of its first host."""
        fleet, manager = self.fleet(), manager_of(self.manager)
        if self.is_new and not set(self.names()) <= set(fleet.hosts["host"]):
            return dataclasses.replace(self, empty=fleet.hosts["host"].iloc[0], is_new=False).answer()
        names = self.names()
        base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name=manager.policy))
        asked: dict[str, Any] = {"deadline_s": duration(self.deadline, "deadline"), "at_once": self.at_once}
        planned = self._planned(fleet, names, manager, base, asked)
        found: Rehearsal | Upgrade
        if self.against:
            found = upgrade(fleet, names, before=self.manager, after=self.against, draws=_DRAWS, **asked)
        else:
            found = rehearse(fleet, names, manager=manager, draws=_DRAWS, fixes=self.tries, **asked)
        return _Answer(self, found, *planned)

    def _planned(
        self, fleet: Inventory, names: list[str] | str, manager: Manager, base: Scenario, asked: dict[str, Any]
    ) -> tuple[Plan | None, Any, str]:
        """Return the plan and the load of its links, or why there is no plan."""
        rolling = self.at_once is not None
        try:
            plan = drain(
                fleet,
                names,
                base=base,
                limits=manager.limits,
                rolling=rolling,
                rounds=_ROUNDS,
                improve_s=0.0,
                **asked,
            )
        except Conflict as conflict:
            return None, None, f"{conflict.lead}: {conflict.what}: {conflict.reason}"
        return plan, plan.link_load(_SLOTS), ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """A question with its rehearsal, its plan and the load of the links, or why there is no plan."""

    question: _Question
    found: Rehearsal | Upgrade
    plan: Plan | None
    loads: Any
    conflict: str


class DrainExplorer(SlowPanel):
    """When is the host empty? A plan, the links under it, and how a manager would really carry it out.

    Parameters
    ----------
    fleet
        One of :data:`migkit.planning.inventory.EXAMPLES` to begin with.
    manager, against
        Who empties the host, and whom to compare with: names of :func:`migkit.planning.rehearsal.manager_of`.
    deadline
        By when it must be empty, one of :data:`migkit.widgets.controls.TIMES`.

    Attributes
    ----------
    fleet, machines, hosts, empty, at_once, manager, against, deadline, tries
        The controls.
    gantt, load, chances
        Figures: who moves when, how busy the links are, by when all hosts are empty with which probability.
    plan, loads, rehearsal, upgrade
        The last answer; the plan is None where there is none, the upgrade where nothing is compared.

    Examples
    --------
    >>> explorer = DrainExplorer()
    >>> explorer.plan.is_in_time, 0.0 <= explorer.rehearsal.probability <= 1.0
    (True, True)
    """

    def __init__(
        self, fleet: str = "even", *, manager: str = "openshift-2026", against: str = "", deadline: str = "60 s"
    ) -> None:
        super().__init__()
        self.fleet = controls.choice("fleet", _FLEETS, fleet, sentence="Made up, or yours as two tables.")
        self.machines = Upload("machines", f"The table of your machines: {_FORMS}")
        self.hosts = Upload("hosts", f"The table of their hosts: {_FORMS}")
        self.empty = controls.text(
            "empty",
            EXAMPLES[fleet]().hosts["host"].iloc[0],
            sentence="Hosts to empty, commas between, or all (in waves).",
        )
        at_once = [("all in one wave", ""), *((f"{n} at once", str(n)) for n in (1, 2, 4, 8))]
        self.at_once = controls.choice("waves", at_once, "", sentence="How many hosts are emptied at the same time.")
        names = [(name, name) for name in PRODUCTS]
        self.manager = controls.choice(
            "manager", names, manager, sentence="Who empties them: its slots, rule and retries."
        )
        self.against = controls.choice(
            "compare with", [_NOTHING, *names], against, sentence="The same drain after a change to this manager."
        )
        self.deadline = controls.slider("deadline", controls.TIMES, deadline, sentence="By when they must be empty.")
        self.tries = ipw.Checkbox(
            description="try settings",
            tooltip="Rehearse it with each single setting changed, and say what helps most.",
        )
        self.tables = ipw.HTML()
        answer = self._job()()
        self.gantt = LiveFigure(viz.Figure(), name="migkit-drain")
        self.load = LiveFigure(viz.Figure(), name="migkit-links")
        self._planned = ipw.VBox(
            [ipw.HTML("<b>As planned:</b> who moves when, and how busy the links are"), self.gantt, self.load]
        )
        self.chances = LiveFigure(_chances(answer), name="migkit-chances")
        self._take(answer)
        self._show(self.status, self.chances, self.tables, self._planned)

    def code(self) -> str:
        """Return Python that plans and rehearses this drain."""
        asked = self._question
        fleet = f"EXAMPLES[{literal(asked.example)}]()"
        if not asked.example and asked.machines is not None and asked.hosts is not None:
            fleet = f"Inventory.read({literal(asked.machines[0])}, {literal(asked.hosts[0])})"
        rest = f"deadline_s={duration(asked.deadline, 'deadline')!r}, at_once={asked.at_once!r}"
        play = (
            f"upgrade(fleet, names, before={literal(asked.manager)}, after={literal(asked.against)}, "
            f"draws={_DRAWS}, {rest})"
            if asked.against
            else f"rehearse(fleet, names, manager=manager, draws={_DRAWS}, fixes={asked.tries}, {rest})"
        )
        return "\n".join(
            [
                "from migkit import Guest, Policy, Scenario, drain, rehearse, upgrade, viz",
                "from migkit.planning.inventory import EXAMPLES, Inventory",
                "from migkit.planning.rehearsal import manager_of",
                "",
                f"fleet, names = {fleet}, {literal(asked.names())}",
                f"manager = manager_of({literal(asked.manager)})",
                "base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name=manager.policy))",
                f"common = dict(base=base, limits=manager.limits, rolling={asked.at_once is not None}, {rest})",
                f"plan = drain(fleet, names, rounds={_ROUNDS}, improve_s=0.0, **common)",
                f"loads = plan.link_load({_SLOTS})",
                f"found = {play}",
                "viz.gantt(plan.moves, plan.hosts)",
            ]
        )

    def _controls(self) -> Sequence[ipw.Widget]:
        return [
            *(self.fleet, self.empty, self.deadline, self.manager, self.against, self.at_once, self.tries),
            *(self.machines, self.hosts),
        ]

    def _job(self) -> Callable[[], _Answer]:
        if self._moved in (self.machines, self.hosts):
            self._set(self.fleet, "")
        return _Question(
            example=self.fleet.value,
            machines=self.machines.value,
            hosts=self.hosts.value,
            empty=self.empty.value,
            at_once=int(self.at_once.value) if self.at_once.value else None,
            manager=self.manager.value,
            against=self.against.value,
            deadline=self.deadline.value,
            tries=self.tries.value,
            is_new=self._moved in (self.fleet, self.machines, self.hosts),
        ).answer

    def _take(self, result: _Answer) -> None:
        self._question, self.plan, self.loads = result.question, result.plan, result.loads
        self._set(self.empty, result.question.empty)
        found = result.found
        self.rehearsal = found.after if isinstance(found, Upgrade) else found
        self.upgrade = found if isinstance(found, Upgrade) else None
        self.headline.value = listing.paragraphs(_sentences(result))
        self._planned.layout.display = "none" if result.plan is None else None
        if result.plan is not None:
            self.gantt.follow(viz.gantt(result.plan.moves, result.plan.hosts, deadline_s=result.plan.deadline_s))
            self.load.follow(viz.link_load(result.loads))
        self.chances.follow(_chances(result))
        self.tables.value = _tables(result)


def _sentences(answer: _Answer) -> list[str]:
    """Return what the plan says and what the rehearsal says, the rehearsal first."""
    plan, found = answer.plan, answer.found
    if isinstance(found, Upgrade):
        first, *others = found.sentences
        said = [f"{first[:1].upper()}{first[1:]}: {'; '.join(others)}."]
    else:
        said = [f"{found.answer}."]
    if plan is None:
        return [*said, f"{answer.conflict[0].upper()}{answer.conflict[1:]}."]
    moves = f"Planned: {len(plan.moves)} moves in {format_duration(plan.makespan_s)}; {plan.bound}."
    return [*said, moves, *([f"Notes: {'; '.join(plan.notes)}."] if plan.notes else [])]


def _chances(answer: _Answer) -> viz.Figure:
    found = answer.found
    both = (found.before, found.after) if isinstance(found, Upgrade) else (found,)
    return viz.before_after({one.manager: one.end_s.tolist() for one in both}, deadline_s=both[0].deadline_s)


def _tables(answer: _Answer) -> str:
    """Return which machines hold the hosts up, or fare worse, and which settings help."""
    found = answer.found
    if isinstance(found, Upgrade):
        worse = {*found.given_up, *found.stays}
        lines = [
            [row["vm"], row["host"], _part(row["gives_up_before"]), _part(row["gives_up_after"]), row["why"]]
            for row in found.to_dict()["machines"]
            if row["vm"] in worse
        ]
        return listing.rows(["machine", "host", "given up before", "after", "why"], lines[:_SHOWN])
    rows = found.to_dict()
    machines = [
        [row["vm"], row["host"], _part(row["holds_up"]), _when(row["late_s"]), row["why"]]
        for row in rows["machines"]
        if row["holds_up"] > 0
    ]
    fixes = [[row["setting"], _part(row["probability"]), _when(row["late_s"])] for row in rows.get("fixes", [])]
    return listing.rows(["machine", "host", "holds it up", "gone by, 95 %", "why"], machines[:_SHOWN]) + listing.rows(
        ["one setting changed", "in time", "empty by, 95 %"], fixes[:_SHOWN]
    )


def _part(part: float) -> str:
    return f"{100 * part:.3g} %"


def _when(time_s: float | None) -> str:
    return "never" if time_s is None else format_duration(time_s)
