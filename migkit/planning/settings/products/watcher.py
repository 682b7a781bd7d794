"""OpenStack Watcher: ``watcher.conf`` and the parameters of a zone migration, above Nova."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import COUNT, Option, S
from migkit.planning.settings.product import Snippet

__all__ = ["OPTIONS", "RULES", "limits"]

_CONFIG: Final = "https://docs.openstack.org/watcher/latest/configuration/watcher.html"
_ZONES: Final = "https://docs.openstack.org/watcher/latest/strategies/zone_migration.html"
_MOST_S: Final = 3600.0

_RETRIES: Final = Option(
    kind="watcher.conf", path=("nova", "migration_max_retries"), source=f"{_CONFIG}#nova", low=1, default=180.0
)
_INTERVAL: Final = Option(
    kind="watcher.conf",
    path=("nova", "migration_interval"),
    source=f"{_CONFIG}#nova",
    form="number",
    unit=S,
    low=0.1,
    default=5.0,
)
_TOTAL: Final = Option(
    kind="audit", path=("parameters", "parallel_total"), source=_ZONES, unit=COUNT, low=0, default=6.0, up=False
)
_PER_NODE: Final = Option(
    kind="audit", path=("parameters", "parallel_per_node"), source=_ZONES, unit=COUNT, low=0, default=2.0, up=False
)
_PER_POOL: Final = Option(
    kind="audit", path=("parameters", "parallel_per_pool"), source=_ZONES, unit=COUNT, low=0, default=2.0, up=False
)
OPTIONS: Final = (
    _RETRIES,
    _INTERVAL,
    Option(
        kind="watcher.conf",
        path=("watcher_applier", "rollback_when_actionplan_failed"),
        source=f"{_CONFIG}#watcher_applier",
        form="switch",
        default=False,
        deprecated="deprecated since 2026.1, as it does not work; remove it",
    ),
    _TOTAL,
    _PER_NODE,
    _PER_POOL,
)


def limits(per_node: float) -> tuple[Snippet, ...]:
    """Return the parameters of a zone migration that moves so many at once from each node."""
    text = (
        "openstack optimize audit create -g cluster_maintaining -s zone_migration \\\n"
        f"  -p {_PER_NODE.name}={_PER_NODE.write(per_node)} -p {_PER_POOL.name}={_PER_POOL.write(2.0)}\n"
    )
    return (Snippet("audit", "a shell with the Watcher client", text),)


def _number(document: Document, option: Option) -> float:
    entry = document.get(*option.path)
    if entry is None or option.outside(entry.text):
        assert isinstance(option.default, float)
        return option.default
    return option.written(entry.text)


def _timeout(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    seconds = _number(document, _RETRIES) * _number(document, _INTERVAL)
    entry = document.get(*_RETRIES.path) or document.get(*_INTERVAL.path)
    if entry is not None and not 900.0 <= seconds <= _MOST_S:
        what = f"Watcher gives up on a migration after {seconds:g} s"
        yield Trouble(entry.line, what, "keep retries times interval within 900 and 3,600 s")


def _old_group(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.all("nova_client"):
        what = f"{entry.path[-1]} stands in [nova_client], which is deprecated since 2026.1"
        yield Trouble(entry.line, what, "move it to [nova]")


def _node_above_total(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    node, total = _number(document, _PER_NODE), _number(document, _TOTAL)
    entry = document.get(*_PER_NODE.path) or document.get(*_TOTAL.path)
    if entry is not None and node > total:
        what = f"{node:g} at once for each node is more than {total:g} in all"
        yield Trouble(entry.line, what, "lower parallel_per_node or raise parallel_total")


RULES: Final = (
    *checks.of_options(OPTIONS),
    Rule(
        name="watcher-timeout",
        level="warning",
        kinds=("watcher.conf",),
        why="Shorter waits fail actions that would end well, longer ones hide faults.",
        source=f"{_CONFIG}#nova.migration_max_retries",
        check=_timeout,
    ),
    Rule(
        name="watcher-old-group",
        level="warning",
        kinds=("watcher.conf",),
        why="The options moved to the group nova.",
        source=f"{_CONFIG}#nova",
        check=_old_group,
    ),
    Rule(
        name="watcher-wrong-section",
        level="error",
        kinds=("watcher.conf",),
        why="An option counts only in its own section.",
        source=f"{_CONFIG}#nova",
        check=checks.elsewhere(OPTIONS),
    ),
    Rule(
        name="watcher-node-above-total",
        level="warning",
        kinds=("audit",),
        why="The limit of the whole holds first, so the limit of a node does nothing.",
        source=_ZONES,
        check=_node_above_total,
    ),
)
