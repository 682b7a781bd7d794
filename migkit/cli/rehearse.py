"""``migkit rehearse``: how a manager would empty hosts, and with which probability it does so in time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._fleet import base_of, fleet_options, hosts_of, inventory_of, time_of
from migkit.cli._scenario import COUNT, SEED
from migkit.errors import UsageError
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.planning.rehearsal import Rehearsal, Upgrade

_SHOWN = 10


@click.command(cls=Command)
@fleet_options
@click.option(
    "--manager",
    metavar="NAME",
    default="kubevirt",
    help="Who empties them: kubevirt, openshift, openshift-2026, deckhouse, nova, watcher, ovirt, proxmox, incus, "
    "vmware; plan: what migkit drain plans [kubevirt].",
)
@click.option("--policy", metavar="NAME", help="Rule that ends migrations [the scenario's, else the manager's].")
@click.option("--limits", metavar="NAME", multiple=True, help="Slots, as migkit drain takes them [the manager's].")
@click.option("--at-once", type=COUNT, help="Hosts in a wave, one wave after the other [all in one].")
@click.option("--service", metavar="TIME", help="How long a host is worked on once its wave is empty [0 s].")
@click.option(
    "--fail",
    metavar="WHAT",
    multiple=True,
    help="What breaks: link:HOST@TIME, link:HOST@TIME=50 % (what is left), host:HOST@TIME; may be repeated.",
)
@click.option("--fixes", is_flag=True, help="Rehearse it with each single setting changed as well.")
@click.option(
    "--against",
    metavar="NAME",
    help="The same drain after a change to this manager or policy: which machines are given up then.",
)
@click.option("--draws", type=click.IntRange(1, 1021), default=509, help="How often it is played [509].")
@click.option("--seed", type=SEED, default=0, help="Seed of the draws [0].")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the answer [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@_output.report_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(kind: str | None, output: Path | None, report: Path | None, quiet: bool, **asked: Any) -> None:
    """Play a drain many times as a manager would carry it out, with durations that are not certain.

    Says with which probability the hosts are empty by the deadline, by when they are with 50 and 95 %, which machines
    hold it up and why, and, with --fixes, which single setting helps most. CSV and Parquet hold the machines, JSON
    everything.
    """
    from migkit.planning.rehearsal import Upgrade

    if asked["against"] is not None and asked["fixes"]:
        raise UsageError("--fixes: it was given with --against; ask one of the two")
    found = _rehearsed(asked, quiet)
    kind = _output.choose_format(kind, output)
    if kind == "table":
        _output.emit(_differences(found) if isinstance(found, Upgrade) else _table(found), output)
    elif kind == "json":
        _output.emit(_output.rows_as("json", [found.to_dict()])[2:-2], output)  # one record is no list
    else:
        _output.emit(_output.rows_as(kind, found.to_dict()["machines"]), output)
    _output.write_report(found, report, quiet)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)


def _rehearsed(asked: dict[str, Any], quiet: bool) -> Rehearsal | Upgrade:
    import dataclasses

    from migkit.planning.rehearsal import Upgrade, manager_of, rehearse, upgrade
    from migkit.planning.rehearsal.damage import failure_of
    from migkit.planning.rehearsal.rehearsing import size_of
    from migkit.planning.rehearsal.upgrades import changed_to
    from migkit.planning.slots import limits_of

    names = hosts_of(asked["empty"])
    manager = manager_of(asked["manager"])
    if asked["limits"]:
        limits = tuple(limit for text in asked["limits"] for limit in limits_of(text))
        manager = dataclasses.replace(manager, limits=limits)
    base = base_of(asked["scenario"], asked["policy"], asked["max_bandwidth"], otherwise=manager.policy)
    deadline_s, service_s = time_of(asked, "deadline"), time_of(asked, "service")
    given: dict[str, Any] = {
        "deadline_s": math.inf if deadline_s is None else deadline_s,
        "at_once": asked["at_once"],
        "service_s": service_s or 0.0,
        "failures": [failure_of(text) for text in asked["fail"]],
        "draws": size_of(asked["draws"]),
        "seed": asked["seed"],
    }
    inventory = inventory_of(asked, quiet)
    found: Rehearsal | Upgrade
    if asked["against"] is None:
        with _output.bars(quiet) as bar, bar("rehearse", 1.0) as step:
            found = rehearse(inventory, names, manager=manager, base=base, fixes=asked["fixes"], step=step, **given)
    else:
        after, base_after = changed_to(asked["against"], manager, base)
        found = upgrade(inventory, names, before=manager, after=after, base=base, base_after=base_after, **given)
    for note in (found.after if isinstance(found, Upgrade) else found).notes:
        _output.narrate(f"migkit: {note}", quiet)
    return found


def _differences(found: Upgrade) -> str:
    """Return for a person what a change does: in sentences, then machine by machine."""
    machines = [
        [
            *(row["vm"], row["host"]),
            *(_part(row[f"gives_up_{when}"]) for when in ("before", "after")),
            *(_part(row[f"leaves_{when}"]) for when in ("before", "after")),
            *(_when(row[f"late_{when}_s"]) for when in ("before", "after")),
            row["why"],
        ]
        for row in found.to_dict()["machines"]
        if row["vm"] in {*found.given_up, *found.stays}
    ][:_SHOWN]
    header = ["machine", "host", "given up", "after", "leaves", "after", "95 %", "after", "why, after"]
    table = f"\n\n{_output.columns(header, machines, left=9)}" if machines else ""
    return "\n".join(found.sentences) + table


def _table(found: Rehearsal) -> str:
    """Return the answer for a person: the probability, hosts, what holds them up, what would help."""
    rows = found.to_dict()
    lines = [found.answer]
    hosts = [
        [row["host"], _part(row["probability"]), _when(row["median_s"]), _when(row["late_s"])]
        for row in rows["hosts"]
    ]
    blocking = [row for row in rows["machines"] if row["holds_up"] > 0][:_SHOWN]
    machines = [
        [row["vm"], row["host"], _part(row["holds_up"]), _part(row["gives_up"]), _when(row["late_s"]), row["why"]]
        for row in blocking
    ]
    tables = [("hosts", _output.columns(["host", "in time", "50 %", "95 %"], hosts))]
    if machines:
        header = ["machine", "host", "holds up", "gives up", "95 %", "why"]
        tables.append(("what holds it up", _output.columns(header, machines, left=6)))
    if found.fixes is not None:
        fixes = [
            [row["setting"], _part(row["probability"]), _when(row["median_s"]), _when(row["late_s"])]
            for row in rows["fixes"][:_SHOWN]
        ]
        tables.append(("one setting changed", _output.columns(["setting", "in time", "50 %", "95 %"], fixes)))
    return "\n".join([*lines, *(f"\n{title}\n{text}" for title, text in tables)])


def _part(part: float) -> str:
    return f"{100 * part:.3g} %"


def _when(time_s: float | None) -> str:
    return "never" if time_s is None or math.isinf(time_s) else format_duration(time_s)
