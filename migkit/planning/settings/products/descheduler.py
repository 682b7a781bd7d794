"""The Kubernetes descheduler above KubeVirt: how many virtual machines it may evict at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Rule, Trouble
from migkit.planning.settings.option import Option
from migkit.planning.settings.product import Snippet

__all__ = ["OPTIONS", "RULES", "limits"]

_README: Final = "https://github.com/kubernetes-sigs/descheduler/blob/master/README.md"
_KIND: Final = "DeschedulerPolicy"
_PER_NODE: Final = Option(kind=_KIND, path=("maxNoOfPodsToEvictPerNode",), source=_README, low=0, up=False)
_TOTAL: Final = Option(kind=_KIND, path=("maxNoOfPodsToEvictTotal",), source=_README, low=0, up=False)
OPTIONS: Final = (
    _PER_NODE,
    _TOTAL,
    Option(kind=_KIND, path=("maxNoOfPodsToEvictPerNamespace",), source=_README, low=0, up=False),
)
_HYPERCONVERGED: Final = ("HyperConverged", "HyperConverged v1beta1")
_CLUSTER_LIMITS: Final = {  # of the descheduler, of the cluster, and its default by kind of object
    _PER_NODE.name: ("parallelOutboundMigrationsPerNode", {"KubeVirt": 2.0}),
    _TOTAL.name: ("parallelMigrationsPerCluster", {"KubeVirt": 5.0, **dict.fromkeys(_HYPERCONVERGED, 5.0)}),
}


def limits(per_node: float, total: float) -> tuple[Snippet, ...]:
    """Return limits that keep the descheduler within what KubeVirt migrates at once."""
    lines = [
        'apiVersion: "descheduler/v1alpha2"',
        'kind: "DeschedulerPolicy"',
        f"{_PER_NODE.name}: {_PER_NODE.write(per_node)}",
        f"{_TOTAL.name}: {_TOTAL.write(total)}",
    ]
    return (Snippet(_KIND, "the policy of the descheduler, beside its profiles", "\n".join(lines) + "\n"),)


def _beyond_cluster(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield a limit above that of the cluster that is among the files."""
    for cluster in checks.each(documents, "KubeVirt", *_HYPERCONVERGED):
        for option in (_PER_NODE, _TOTAL):
            entry = document.get(*option.path)
            name, defaults = _CLUSTER_LIMITS[option.name]
            most = _written(cluster, name, defaults.get(cluster.kind, 1.0))
            if entry is not None and not option.outside(entry.text) and option.written(entry.text) > most:
                what = f"{option.name} = {entry.text} evicts more than the {most:g} that {name} lets migrate at once"
                yield Trouble(entry.line, what, f"lower it to {most:g}: the others wait as pending migrations")


def _written(cluster: Document, name: str, default: float) -> float:
    entries: list[Entry] = [entry for entry in cluster.entries if entry.path[-1] == name]
    try:
        return float(entries[-1].text) if entries else default
    except ValueError:
        return default


def _unlimited(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    if document.get(*_PER_NODE.path) is None and document.get(*_TOTAL.path) is None:
        what = "the number of evictions has no limit"
        yield Trouble(document.first_line, what, f"set {_PER_NODE.name} to what KubeVirt migrates at once")


RULES: Final = (
    Rule(
        name="descheduler-beyond-cluster",
        level="warning",
        kinds=(_KIND,),
        why="Each eviction of a VM is a migration that waits for a slot of KubeVirt.",
        source=_README,
        check=_beyond_cluster,
    ),
    Rule(
        name="descheduler-unlimited",
        level="note",
        kinds=(_KIND,),
        why="All limits are off unless they are set.",
        source=_README,
        check=_unlimited,
    ),
)
