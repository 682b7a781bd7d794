"""``migkit drain``: hosts emptied, which machine goes where and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import COUNT, SEED
from migkit.errors import InfeasibleError, UsageError
from migkit.units import duration, format_duration, format_rate

if TYPE_CHECKING:
    from migkit.planning.drain import Plan
    from migkit.planning.inventory import Inventory
    from migkit.scenario import Scenario

_PATH = click.Path(path_type=Path)


@click.command(cls=Command)
@click.option(
    "--inventory", "vms", type=_PATH, help="Machines: CSV, Parquet, JSON, an export of RVTools, OpenStack, kubectl."
)
@click.option("--hosts", type=_PATH, help="Hosts, in any of these forms.")
@click.option(
    "--empty", metavar="HOSTS", multiple=True, help="Hosts to empty, commas between, or all; may be repeated."
)
@click.option("--deadline", metavar="TIME", help="By when all must be done [none].")
@click.option(
    "--limits",
    metavar="NAME",
    multiple=True,
    help="Slots: none, vmware, kubevirt, hco, watcher, nova, ovirt, proxmox, deckhouse, or as in host-out=2, "
    "cluster=16/2 (slots/cost); may be repeated [none].",
)
@click.option("--scenario", type=_PATH, help="Scenario file whose policy, strategy, hosts and link constants hold.")
@click.option("--policy", metavar="NAME", help="Rule that ends migrations [the scenario's, else qemu].")
@click.option("--max-bandwidth", metavar="RATE", help="Cap of one migration; unlimited: none [the policy's].")
@click.option("--rolling", is_flag=True, help="Empty the hosts in waves, one after the other.")
@click.option("--at-once", type=COUNT, help="Hosts in a wave [what ends first].")
@click.option("--service", metavar="TIME", help="How long a host is worked on once its wave is empty [0 s].")
@click.option("--return-home", is_flag=True, help="Bring machines back after the work on their host.")
@click.option("--most-moves", type=click.IntRange(0, 10**9), help="Budget of moves [none].")
@click.option("--improve", metavar="TIME", help="Time for the search of a better plan; 0 s: the first one [10 s].")
@click.option("--rounds", type=click.IntRange(0, 10**9), help="Rounds of the search, instead of a time.")
@click.option("--seed", type=SEED, default=0, help="Seed of the search [0].")
@click.option("--workload", metavar="NAME", help="Workload of machines that say nothing: idle, memcached [idle].")
@click.option(
    "--vm-column",
    "vm_columns",
    metavar="OURS=THEIRS",
    multiple=True,
    help="Where a column of the machines is, as in 'memory=RAM [MiB]'; may be repeated.",
)
@click.option("--host-column", "host_columns", metavar="OURS=THEIRS", multiple=True, help="The same for the hosts.")
@click.option("--gantt", type=_PATH, help="HTML file for a picture of the plan.")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the plan [table].")
@click.option("-o", "--output", type=_PATH, help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(kind: str | None, output: Path | None, gantt: Path | None, quiet: bool, **asked: Any) -> None:
    """Plan how hosts are emptied: which machine goes where, when, and by when all is done.

    CSV and Parquet hold the moves, JSON the whole plan. The plan is checked by a replay that knows nothing of how it
    was made. Exit code 3: there is no plan, or none in time; what conflicts is said.
    """
    plan = _planned(asked, quiet)
    kind = _output.choose_format(kind, output)
    if kind == "table":
        _output.emit(_table(plan), output)
    elif kind == "json":
        _output.emit(_output.rows_as("json", [plan.to_dict()])[2:-2], output)  # one record is no list
    else:
        _output.emit(_output.rows_as(kind, plan.to_dict()["moves"]), output)
    if gantt is not None:
        _draw(plan, gantt, quiet)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if not plan.is_in_time:
        raise InfeasibleError(plan.late)


def _planned(asked: dict[str, Any], quiet: bool) -> Plan:
    from migkit.planning.drain import drain
    from migkit.planning.slots import limits_of

    limits = [limit for text in asked["limits"] for limit in limits_of(text)]
    base = _base(asked["scenario"], asked["policy"], asked["max_bandwidth"])
    names = [name.strip() for text in asked["empty"] for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--empty: no host was given; name hosts with commas between, or all")
    times = {name: _time(asked, name) for name in ("deadline", "service", "improve")}
    inventory = _inventory(asked, quiet)
    plan = drain(
        inventory,
        "all" if names == ["all"] else names,
        base=base,
        limits=limits,
        deadline_s=math.inf if times["deadline"] is None else times["deadline"],
        rolling=asked["rolling"],
        at_once=asked["at_once"],
        service_s=times["service"] or 0.0,
        return_home=asked["return_home"],
        most_moves=math.inf if asked["most_moves"] is None else asked["most_moves"],
        improve_s=10.0 if times["improve"] is None else times["improve"],
        rounds=asked["rounds"],
        seed=asked["seed"],
    )
    for note in plan.notes:
        _output.narrate(f"migkit: {note}", quiet)
    return plan


def _time(asked: dict[str, Any], name: str) -> float | None:
    return None if asked[name] is None else duration(asked[name], f"--{name}")


def _inventory(asked: dict[str, Any], quiet: bool) -> Inventory:
    """Read both tables; what is wrong with them goes to stderr as a table, before the error."""
    from migkit.planning.inventory import Inventory, InventoryError

    for name, option in (("vms", "--inventory"), ("hosts", "--hosts")):
        if asked[name] is None:
            raise UsageError(
                f"{option}: it is missing; name the file of the {'machines' if name == 'vms' else 'hosts'}"
            )
    try:
        return Inventory.read(
            asked["vms"],
            asked["hosts"],
            vm_columns=_columns("--vm-column", asked["vm_columns"]),
            host_columns=_columns("--host-column", asked["host_columns"]),
            workload=asked["workload"],
        )
    except InventoryError as error:
        rows = [[one.table, str(one.row or ""), one.column, one.value, one.allowed] for one in error.problems]
        header = ["table", "row", "column", "value", "allowed"]
        for line in _output.columns(header, rows, left=5).splitlines():
            _output.narrate(line, quiet)
        raise


def _columns(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not (ours and equals and theirs):
            raise UsageError(f"{option}: {text!r} says no column; write OURS=THEIRS, as in 'memory=RAM [MiB]'")
        if ours in found:
            raise UsageError(f"{option}: {ours} is given twice; give it once")
        found[ours] = theirs
    return found


def _base(path: Path | None, policy: str | None, cap: str | None) -> Scenario:
    from migkit.scenario.form import schema

    tables: dict[str, Any] = schema.read(path) if path is not None else {}
    tables = {"guest": {"memory": "1 GiB"}, **tables}
    given = {"name": policy, "max_bandwidth": cap}
    changes = {key: value for key, value in given.items() if value is not None}
    if changes:
        old = tables.get("policy", {})
        tables["policy"] = (old if isinstance(old, dict) and policy is None else {}) | changes
    return schema.from_mapping(tables, path.parent if path is not None else Path())


def _table(plan: Plan) -> str:
    """Return the plan for a person: the answer, what holds it up, hosts, moves."""
    end = format_duration(plan.makespan_s)
    lines = [
        f"{len(plan.moves)} moves empty {len(plan.hosts)} hosts in {end}"
        + ("" if math.isinf(plan.deadline_s) else f", deadline {format_duration(plan.deadline_s)}"),
        f"no plan is shorter than {format_duration(plan.lower_bound_s)}: {plan.bound_by} needs that long",
        f"the first plan took {format_duration(plan.greedy_makespan_s)}; {plan.rounds} rounds of search",
        "checked by a replay: no constraint is broken",
    ]
    found = plan.to_dict()
    blockers = [
        [row["vm"], row["source"], f"{100 * row['share']:.0f} %", format_duration(row["end_s"]), row["why"]]
        for row in found["blockers"]
    ]
    hosts = [
        [row["host"], str(row["wave"]), format_duration(row["empty_s"]), _until(row["until_s"])]
        for row in found["hosts"]
    ]
    moves = [
        [
            *(row["vm"], row["source"], row["destination"], str(row["wave"]), row["kind"]),
            *(format_duration(row["start_s"]), format_duration(row["end_s"])),
            format_rate(row["share_bytes_per_s"]),
        ]
        for row in found["moves"]
    ]
    tables = [
        ("what holds it up", _output.columns(["machine", "host", "part", "ends", "why"], blockers, left=5)),
        ("hosts", _output.columns(["host", "wave", "empty at", "until"], hosts)),
        (
            "moves",
            _output.columns(["machine", "from", "to", "wave", "kind", "starts", "ends", "mean share"], moves, left=3),
        ),
    ]
    return "\n".join([*lines, *(f"\n{title}\n{text}" for title, text in tables)])


def _until(time_s: float | None) -> str:
    return "" if time_s is None else format_duration(time_s)


def _draw(plan: Plan, path: Path, quiet: bool) -> None:
    from migkit.viz.gantt import gantt

    figure = gantt(plan.moves, plan.hosts, deadline_s=plan.deadline_s)
    _output.write_beside(path, figure.to_html(include_plotlyjs=True).encode())
    _output.narrate(f"wrote {path}", quiet)
