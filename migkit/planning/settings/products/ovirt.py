"""oVirt: ``vdsm.conf`` of the hosts, whose schedule counts where the engine sends none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import KIB_PER_S, MBIT_PER_S, MIB_PER_S, MS, Option, S
from migkit.planning.settings.product import Product, Snippet, Values, text_of
from migkit.scenario import Policy, Scenario

__all__ = ["OVIRT"]

_CONFIG: Final = "https://github.com/oVirt/vdsm/blob/master/lib/vdsm/common/config.py.in"
_MIGRATION: Final = "https://github.com/oVirt/vdsm/blob/master/lib/vdsm/virt/migration.py"
_KIND: Final = "vdsm.conf"


def _vars(name: str, **what: object) -> Option:
    return Option(kind=_KIND, path=("vars", name), source=_CONFIG, **what)  # type: ignore[arg-type]


OPTIONS: Final = (
    _vars(
        "migration_max_bandwidth",
        unit=MIB_PER_S,
        low=0,
        default=52.0 * 2**20,
        zero_is_unlimited=True,
        likely=(8, 50_000),
        mistaken=(MBIT_PER_S, KIB_PER_S),
    ),
    _vars("migration_downtime", unit=MS, low=100, default=0.5, likely=(100, 600_000), mistaken=(S,)),
    _vars("migration_downtime_steps", low=1, default=5.0),
    _vars("max_outgoing_migrations", low=1, default=2.0, up=False),
    _vars("max_incoming_migrations", low=1, default=2.0, up=False),
    _vars("migration_monitor_interval", unit=S, low=1, default=10.0),
    _vars("migration_destination_timeout", unit=S, low=1, default=21_600.0),
)


def _settle(values: Values, case: Scenario) -> Scenario:
    policy = Policy.named(
        "ovirt",
        max_bandwidth_bytes_per_s=values["migration_max_bandwidth"],
        downtime_limit_s=values["migration_downtime"],
        steps=values["migration_downtime_steps"],
        poll_s=values["migration_monitor_interval"],
    )
    together = max(case.link.migrations, int(values["max_outgoing_migrations"]))
    return dataclasses.replace(
        case,
        policy=policy,
        strategy=dataclasses.replace(case.strategy, name="precopy"),
        link=dataclasses.replace(case.link, migrations=together),
    )


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    lines = [f"{option.name} = {text_of(OVIRT, given, option.name)}" for option in OPTIONS if option.name in given]
    text = "\n".join(["[vars]", *lines]) + "\n"
    return (Snippet(_KIND, "/etc/vdsm/vdsm.conf.d/50-migration.conf of each host", text),)


def _monitor_off(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("vars", "migration_monitor_interval")
    if entry is not None and entry.text.strip() == "0":
        what = "an interval of 0 turns the monitor off, so the downtime limit is never raised"
        yield Trouble(entry.line, what, "set it to 10")


def _incoming_below(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    sent, taken = document.get("vars", "max_outgoing_migrations"), document.get("vars", "max_incoming_migrations")
    outgoing = float(sent.text) if sent is not None and sent.text.isdigit() else 2.0
    incoming = float(taken.text) if taken is not None and taken.text.isdigit() else 2.0
    if taken is not None and incoming < outgoing:
        what = f"a host sends {outgoing:g} at once and takes {incoming:g}"
        yield Trouble(taken.line, what, "with one free host the lower of the two counts; make them alike")


def _below(document: Document, entry: object) -> bool:
    return str(getattr(entry, "path", ("",))[-1]).startswith(("migration_downtime", "migration_max"))


RULES: Final = (
    *checks.of_options(OPTIONS),
    Rule(
        name="ovirt-wrong-section",
        level="error",
        kinds=(_KIND,),
        why="vdsm reads these options from the section vars alone.",
        source=_CONFIG,
        check=checks.elsewhere(OPTIONS),
    ),
    Rule(
        name="ovirt-unknown",
        level="warning",
        kinds=(_KIND,),
        why="vdsm ignores what it does not know.",
        source=_CONFIG,
        check=checks.unknown(OPTIONS, _below),
    ),
    Rule(
        name="ovirt-unread",
        level="error",
        kinds=(_KIND,),
        why="vdsm does not start with it.",
        source=_CONFIG,
        check=checks.unread,
    ),
    Rule(
        name="ovirt-monitor-off",
        level="error",
        kinds=(_KIND,),
        why="The schedule of the downtime limit acts when the monitor looks.",
        source=_MIGRATION,
        check=_monitor_off,
    ),
    Rule(
        name="ovirt-incoming-below-outgoing",
        level="note",
        kinds=(_KIND,),
        why="Each migration holds a place at both hosts.",
        source=_CONFIG,
        check=_incoming_below,
    ),
)

OVIRT: Final = Product(
    name="ovirt",
    title="oVirt, vdsm 4.5",
    options=OPTIONS,
    rules=RULES,
    settle=_settle,
    write=_write,
    cap="migration_max_bandwidth",
    downtime_limit="migration_downtime",
    together="max_outgoing_migrations",
    cures=("max_outgoing_migrations", "migration_max_bandwidth", "migration_downtime"),
    cannot=(
        "auto-converge, XBZRLE, post-copy and parallel connections are set in the engine, by the migration policy "
        "and the cluster, not in a file; a bandwidth that the engine sends has precedence over vdsm's",
    ),
)
