"""Incus: what an instance lets people set of its migration; speed and downtime are not among it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import Option, Value
from migkit.planning.settings.product import Product, Snippet, Values, text_of
from migkit.scenario import Policy, Scenario

__all__ = ["INCUS"]

_OPTIONS: Final = "https://linuxcontainers.org/incus/docs/main/reference/instance_options/"
_MOVE: Final = "https://linuxcontainers.org/incus/docs/main/howto/move_instances/"
_KIND: Final = "incus"
_EVACUATE: Final = ("auto", "live-migrate", "refresh-migrate", "migrate", "stop", "stateful-stop", "force-stop")

OPTIONS: Final = (
    Option(kind=_KIND, path=("config", "migration.stateful"), source=_OPTIONS, form="switch", default=False),
    Option(
        kind=_KIND,
        path=("config", "cluster.evacuate"),
        source=_OPTIONS,
        form="word",
        choices=_EVACUATE,
        default="auto",
    ),
)


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under QEMU's rule with Incus' throttling: QEMU's cap and downtime limit stay."""
    strategy = dataclasses.replace(case.strategy, name="precopy", auto_converge=True, tls=True)
    return dataclasses.replace(case, policy=Policy.named("incus"), strategy=strategy)


def _write(given: Values, values: Values) -> tuple[Snippet, ...]:
    wanted: dict[str, Value] = {"migration.stateful": True, "cluster.evacuate": "live-migrate"}
    pairs = [f"{name}={text_of(INCUS, wanted, name)}" for name in wanted]
    return (Snippet(_KIND, "a shell, once for each instance", f"incus config set web1 {' '.join(pairs)}\n"),)


def _stateless_live(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("config", "cluster.evacuate")
    if (
        entry is not None
        and entry.text.strip() in ("live-migrate", "stateful-stop")
        and not document.on("config", "migration.stateful")
    ):
        what = f"cluster.evacuate = {entry.text} cannot be done while migration.stateful is not true"
        yield Trouble(entry.line, what, "set migration.stateful: true, and start the instance again")


def _not_live(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("config", "cluster.evacuate")
    if entry is not None and entry.text.strip() == "migrate" and document.on("config", "migration.stateful"):
        what = "an evacuation moves this instance cold, although it could move live"
        yield Trouble(entry.line, what, "set cluster.evacuate: auto or live-migrate")


def _containers_only(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = document.get("config", "cluster.evacuate")
    machine = document.text("type") == "virtual-machine" or document.get("config", "migration.stateful") is not None
    if entry is not None and entry.text.strip() == "refresh-migrate" and machine:
        what = "refresh-migrate is for containers, and this is a virtual machine"
        yield Trouble(entry.line, what, "set cluster.evacuate: live-migrate")


def _below(document: Document, entry: Entry) -> bool:
    return entry.path[-1].startswith("migration.") and entry.path[-1] not in _OF_CONTAINERS


_OF_CONTAINERS: Final = ("migration.incremental.memory", "migration.incremental.memory.goal")


def _rule(name: str, level: str, why: str, source: str, check: object) -> Rule:
    return Rule(name=f"incus-{name}", level=level, kinds=(_KIND,), why=why, source=source, check=check)  # type: ignore[arg-type]


RULES: Final = (
    *checks.of_options(OPTIONS),
    _rule("stateless-live", "error", "Live migration requires migration.stateful.", _MOVE, _stateless_live),
    _rule("moved-cold", "note", "The method migrate stops the instance.", _OPTIONS, _not_live),
    _rule("containers-only", "error", "The method is supported for containers only.", _OPTIONS, _containers_only),
    _rule("unknown", "error", "Incus refuses keys that it has not.", _OPTIONS, checks.unknown(OPTIONS, _below)),
)

INCUS: Final = Product(
    name="incus",
    title="Incus 7",
    options=OPTIONS,
    rules=RULES,
    settle=_settle,
    write=_write,
    cannot=(
        "bandwidth, downtime limit, streams and post-copy cannot be set in Incus: QEMU's 128 MiB/s and 300 ms hold",
        "auto-converge is always on; an evacuation moves one instance for each 16 processors of the server at once",
    ),
)
