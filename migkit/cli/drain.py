"""``migkit drain``: hosts emptied, which machine goes where and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._fleet import PATH, base_of, fleet_options, hosts_of, inventory_of, time_of
from migkit.cli._scenario import COUNT, SEED
from migkit.errors import InfeasibleError, UsageError, counted
from migkit.units import format_duration, format_rate

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.drain import Plan
    from migkit.planning.slots import Limit

_OF_ONE_PLAN: Final = ("rolling", "at_once", "service", "return_home", "most_moves", "state", "rounds", "exact")


@click.command(cls=Command)
@fleet_options
@click.option(
    "--limits",
    metavar="NAME",
    multiple=True,
    help="Slots: none, vmware, kubevirt, hco, watcher, nova, ovirt, proxmox, deckhouse, or as in host-out=2, "
    "cluster=16/2 (slots/cost); may be repeated [none].",
)
@click.option("--policy", metavar="NAME", help="Rule that ends migrations [the scenario's, else qemu].")
@click.option(
    "--each",
    is_flag=True,
    help="Say of each host, or of those named, whether it can be emptied on its own, all others staying open.",
)
@click.option("--rolling", is_flag=True, help="Empty the hosts in waves, one after the other.")
@click.option("--at-once", type=COUNT, help="Hosts in a wave [what ends first].")
@click.option("--service", metavar="TIME", help="How long a host is worked on once its wave is empty [0 s].")
@click.option("--return-home", is_flag=True, help="Bring machines back after the work on their host.")
@click.option("--most-moves", type=click.IntRange(0, 10**9), help="Budget of moves [none].")
@click.option(
    "--state",
    type=PATH,
    help="What has moved and is moving, as a table: vm, destination, progress (1: arrived). Plan the rest anew.",
)
@click.option("--improve", metavar="TIME", help="Time for the search of a better plan; 0 s: the first one [10 s].")
@click.option("--rounds", type=click.IntRange(0, 10**9), help="Rounds of the search, instead of a time.")
@click.option("--seed", type=SEED, default=0, help="Seed of the search [0].")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the plan [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option(
    "--exact",
    is_flag=True,
    help="Solve waves of at most 40 moves exactly as well, by CP-SAT (pip install 'migkit[exact]').",
)
@_output.report_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(kind: str | None, output: Path | None, report: Path | None, quiet: bool, **asked: Any) -> None:
    """Plan how hosts are emptied: which machine goes where, when, and by when all is done.

    A table of machines needs the columns vm, host and memory, one of hosts needs host, memory and link. The page
    "From a question to a size" of the reference (./run docs) has all columns, such as anti_affinity, pinned, pool,
    nic and dirty_rate.

    CSV and Parquet hold the moves, JSON the whole plan. The plan is checked by a replay that knows nothing of how it
    was made. Exit code 3: there is no plan, or none in time; what conflicts is said.
    """
    if asked.pop("each"):
        _host_by_host(asked, kind, output, report, quiet)
        return
    plan = _planned(asked, quiet)
    kind = _output.choose_format(kind, output)
    if kind == "table":
        _output.emit(_table(plan), output)
    elif kind == "json":
        _output.emit(_output.rows_as("json", [plan.to_dict()])[2:-2], output)  # one record is no list
    else:
        _output.emit(_output.rows_as(kind, plan.to_dict()["moves"], [str(name) for name in plan.moves]), output)
    _output.write_report(plan, report, quiet)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if not plan.is_in_time:
        raise InfeasibleError(plan.late)


def _planned(asked: dict[str, Any], quiet: bool) -> Plan:
    from migkit.planning.drain import drain

    limits = _limits(asked)
    base = base_of(asked["scenario"], asked["policy"], asked["max_bandwidth"])
    names = hosts_of(asked["empty"])
    times = {name: time_of(asked, name) for name in ("deadline", "service", "improve")}
    inventory = inventory_of(asked, quiet)
    plan = drain(
        inventory,
        names,
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
        exact=asked["exact"],
        state=None if asked["state"] is None else _state(asked["state"]),
    )
    _tell(plan.notes, quiet)
    return plan


def _host_by_host(
    asked: dict[str, Any], kind: str | None, output: Path | None, report: Path | None, quiet: bool
) -> None:
    """Print whether each host can be emptied on its own."""
    from migkit.planning.drain import drain_each

    given = [name for name in _OF_ONE_PLAN if asked[name]] + ([] if report is None else ["report"])
    if given:
        raise UsageError(
            f"--each: it cannot stand with --{given[0].replace('_', '-')}, which asks for one plan of all hosts; "
            "leave one of them out"
        )
    limits, base = _limits(asked), base_of(asked["scenario"], asked["policy"], asked["max_bandwidth"])
    names, deadline_s, improve_s = (
        hosts_of(asked["empty"] or ["all"]),
        time_of(asked, "deadline"),
        time_of(asked, "improve"),
    )
    found = drain_each(
        inventory_of(asked, quiet),
        names,
        base=base,
        limits=limits,
        deadline_s=math.inf if deadline_s is None else deadline_s,
        improve_s=10.0 if improve_s is None else improve_s,
        seed=asked["seed"],
    )
    _tell(found.notes, quiet)
    kind = _output.choose_format(kind, output)
    if kind == "table":
        header, *rows = found.rows()
        _output.emit(f"{found.text}\n\n{_output.columns(header, rows, left=len(header))}", output)
    elif kind == "json":
        _output.emit(_output.rows_as("json", [found.to_dict()])[2:-2], output)
    else:
        _output.emit(_output.rows_as(kind, found.to_dict()["hosts"]), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if not found.is_in_time:
        raise InfeasibleError(found.late)


def _limits(asked: dict[str, Any]) -> list[Limit]:
    from migkit.planning.slots import limits_of

    return [limit for text in asked["limits"] for limit in limits_of(text)]


def _tell(notes: Sequence[str], quiet: bool) -> None:
    for note in notes:
        _output.narrate(f"migkit: {note}", quiet)


def _state(path: Path) -> pd.DataFrame:
    """Return what has moved and is moving, from a table in any form that an inventory has."""
    import pandas as pd

    from migkit.planning.inventory.sheets import opened

    sheet = opened(path, "--state", least_rows=0)
    return pd.DataFrame(
        {name: [_part(cell) if name == "progress" else cell for cell in sheet[name]] for name in sheet}
    )


def _part(cell: Any) -> Any:
    """Return a number that a CSV file holds as text; anything else as it is, for :func:`drain` to refuse."""
    try:
        return float(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell


def _table(plan: Plan) -> str:
    """Return the plan for a person: the answer, what holds it up, hosts, moves."""
    end = format_duration(plan.makespan_s)
    lines = [
        f"{_moves(len(plan.moves))} {counted(len(plan.hosts), 'host')} in {end}{_deadline(plan)}",
        plan.bound,
        f"the first plan took {format_duration(plan.greedy_makespan_s)}; {counted(plan.rounds, 'round')} of search",
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


def _moves(number: int) -> str:
    return f"{counted(number, 'move')} {'empties' if number == 1 else 'empty'}"


def _deadline(plan: Plan) -> str:
    if math.isinf(plan.deadline_s):
        return ""
    deadline = f"the deadline of {format_duration(plan.deadline_s)}"
    return (
        f", within {deadline}" if plan.is_in_time else f": {format_duration(plan.late_by_s)} too late for {deadline}"
    )


def _until(time_s: float | None) -> str:
    return "" if time_s is None else format_duration(time_s)
