"""OpenStack Watcher: ``watcher.conf`` and the parameters of a zone migration, above Nova."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import COUNT, Option, S
from migkit.planning.settings.product import Snippet

__all__ = ["OPTIONS", "RULES", "limits"]

_CONFIG: Final = "https://docs.openstack.org/watcher/latest/configuration/watcher.html"
_ZONES: Final = "https://docs.openstack.org/watcher/latest/strategies/zone_migration.html"
_STRATEGIES: Final = "https://docs.openstack.org/watcher/latest/strategies/index.html"
_MOST_S: Final = 3600.0
_GOALS: Final = {  # of each strategy (setup.cfg of Watcher, watcher_strategies; each strategy's get_goal_name)
    **dict.fromkeys(("basic", "vm_workload_consolidation", "node_resource_consolidation"), "server_consolidation"),
    **dict.fromkeys(("workload_balance", "workload_stabilization", "storage_capacity_balance"), "workload_balancing"),
    "outlet_temperature": "thermal_optimization",
    "uniform_airflow": "airflow_optimization",
    "noisy_neighbor": "noisy_neighbor",
    "saving_energy": "saving_energy",
    "host_maintenance": "cluster_maintaining",
    "zone_migration": "hardware_maintenance",
    "actuator": "unclassified",
    **dict.fromkeys(("dummy", "dummy_with_resize", "dummy_with_scorer"), "dummy"),
}
_NEEDED: Final = {  # of each strategy: parameters without one of which it moves nothing
    "host_maintenance": ("maintenance_node",),
    "zone_migration": ("compute_nodes", "storage_pools"),
}

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
        "openstack optimize audit create -g hardware_maintenance -s zone_migration \\\n"
        '  -p compute_nodes=\'[{"src_node": "source", "dst_node": "destination"}]\' \\\n'
        f"  -p {_PER_NODE.name}={_PER_NODE.write(per_node)} -p {_PER_POOL.name}={_PER_POOL.write(2.0)}\n"
    )
    return (
        Snippet(
            "audit", "a shell with the Watcher client, with your nodes in the place of source and destination", text
        ),
    )


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


def _mismatched(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for audit in _audits(document):
        strategy, goal = audit.get("strategy"), audit.get("goal")
        if strategy is None or goal is None or strategy.text not in _GOALS:
            continue
        right = _GOALS[strategy.text]
        if goal.text != right:
            fitting = [name for name, its in _GOALS.items() if its == goal.text]
            other = f", or -s {' or '.join(fitting)} for this goal" if fitting else ""
            what = f"the strategy {strategy.text} does not belong to the goal {goal.text}"
            yield Trouble(goal.line, what, f"write -g {right}{other}")


def _nothing_to_move(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for audit in _audits(document):
        strategy = audit.get("strategy")
        needed = _NEEDED.get(strategy.text, ()) if strategy is not None else ()
        if strategy is not None and needed and not audit.keys() & set(needed):
            what = f"the strategy {strategy.text} is given no {' and no '.join(needed)}"
            yield Trouble(strategy.line, what, f"add -p {needed[0]}=...")


def _audits(document: Document) -> Iterator[dict[str, Entry]]:
    """Yield what each command says, by name."""
    audits: dict[int, dict[str, Entry]] = {}
    for entry in document.entries:
        audits.setdefault(entry.group, {})[entry.path[-1]] = entry
    yield from audits.values()


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
        name="watcher-unread",
        level="error",
        kinds=("watcher.conf",),
        why="oslo.config refuses the whole file.",
        source=_CONFIG,
        check=checks.unread,
    ),
    Rule(
        name="watcher-goal",
        level="error",
        kinds=("audit",),
        why="Watcher refuses a strategy of another goal.",
        source=_STRATEGIES,
        check=_mismatched,
    ),
    Rule(
        name="watcher-nothing-to-move",
        level="error",
        kinds=("audit",),
        why="The strategy refuses to run without it, or ends without an action.",
        source=_STRATEGIES,
        check=_nothing_to_move,
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
