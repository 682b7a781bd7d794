"""What can be wrong with KubeVirt's, HyperConverged's and migration policies' objects beyond single options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from migkit.planning.settings import checks
from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Check, Rule, Trouble
from migkit.planning.settings.option import Option, ValueTextError
from migkit.planning.settings.products import descheduler

__all__ = ["rules"]

_API: Final = "https://github.com/kubevirt/kubevirt/blob/main/staging/src/kubevirt.io/api/core/v1/types.go"
_ADMITTER: Final = (
    "https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/webhooks/validating-webhook/admitters/"
    "migrationpolicy-admitter.go"
)
_MATCHING: Final = (
    "https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-controller/watch/migration/migrationpolicy.go"
)
_MONITOR: Final = "https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-launcher/virtwrap/live-migration-source.go"
_GATES: Final = "https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-config/featuregate/inactive.go"
_HCO: Final = "https://github.com/kubevirt/hyperconverged-cluster-operator/blob/main/docs/cluster-configuration.md"
_HCO_CHANGE: Final = "https://github.com/kubevirt/hyperconverged-cluster-operator/pull/4426"
_HYPERCONVERGED: Final = ("HyperConverged", "HyperConverged v1beta1")
_CLUSTERS: Final = ("KubeVirt", *_HYPERCONVERGED)
_ALL: Final = (*_CLUSTERS, "MigrationPolicy")
_PLACES: Final = {
    "KubeVirt": ("spec", "configuration", "migrations"),
    "HyperConverged": ("spec", "virtualization", "liveMigrationConfig"),
    "HyperConverged v1beta1": ("spec", "liveMigrationConfig"),
    "MigrationPolicy": ("spec",),
}
_TUNING_GATES: Final = ("MigrationDowntimeTuning", "MigrationStallDetection")
_GENERAL_GATES: Final = ("LiveMigration", "SRIOVLiveMigration", "VolumeMigration", "MigrationPriorityQueue")
_CLUSTER_ONLY: Final = (
    *("parallelMigrationsPerCluster", "parallelOutboundMigrationsPerNode", "progressTimeout", "disableTLS"),
    *("network", "nodeDrainTaintKey", "unsafeMigrationOverride", "matchSELinuxLevelOnMigration"),
)
_OLD_TIMEOUT: Final = "800"


def _entry(document: Document, *name: str) -> Entry | None:
    """Return an option of migrations, where the kind of object has it."""
    return document.get(*_PLACES[document.kind], *name)


def _is_on(document: Document, name: str) -> bool | None:
    entry = _entry(document, name)
    return None if entry is None else entry.text.strip().lower() == "true"


def _gates(documents: Sequence[Document]) -> set[str]:
    return {entry.text for document in documents for entry in document.entries if "featureGates" in entry.path}


def _number(document: Document, name: str) -> float | None:
    entry = _entry(document, name)
    try:
        return None if entry is None else float(entry.text)
    except ValueError:
        return None


def _no_selectors(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    if not any(document.all("spec", "selectors")):
        yield Trouble(document.first_line, f"{document.name} has no selectors, so it matches no VM", "add selectors")


def _same_selectors(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    own = sorted((entry.path, entry.text) for entry in document.all("spec", "selectors"))
    for other in checks.each(documents, "MigrationPolicy"):
        if other is document or not own or other.name >= document.name:
            continue
        if sorted((entry.path, entry.text) for entry in other.all("spec", "selectors")) == own:
            line = next(document.all("spec", "selectors")).line
            what = f"{other.name} matches the same VMs and comes first by its name, so {document.name} does nothing"
            yield Trouble(line, what, "give one of them another selector")


def _cluster_only(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.all("spec"):
        if len(entry.path) == 2 and entry.path[1] in _CLUSTER_ONLY:
            what = f"{entry.path[1]} is an option of the cluster; a MigrationPolicy has none"
            yield Trouble(entry.line, what, "move it to spec.configuration.migrations of the KubeVirt object")


def _gated(name: str, gates: tuple[str, ...]) -> Check:
    """Return a check for an option that needs one of some feature gates."""

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        clusters = list(checks.each(documents, *_CLUSTERS))
        entries = [entry for entry in document.entries if name in entry.path]
        if entries and not _gates(documents) & set(gates):
            seen = "which are not among the files given" if not clusters else "and none is enabled"
            what = f"{name} needs the feature gate {' or '.join(gates)}, {seen}"
            yield Trouble(entries[0].line, what, f"enable {gates[0]} or remove {name}")

    return found


def _two_schedules(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    ramp = [entry for entry in document.entries if "downtimeTuning" in entry.path]
    if ramp and any("stallDetector" in entry.path for entry in document.entries):
        what = "stallDetector and downtimeTuning exclude each other"
        yield Trouble(ramp[0].line, what, "keep one: the stall detector has a schedule of its own")


def _postcopy_without_disruption(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield post-copy that is never started; a policy's own permission follows its post-copy where it says none."""
    disruption = _is_on(document, "allowWorkloadDisruption")
    follows = document.kind == "MigrationPolicy" and disruption is None
    entry = _entry(document, "allowPostCopy")
    stall = "MigrationStallDetection" in _gates(documents)
    if entry is not None and _is_on(document, "allowPostCopy") and not disruption and not follows and not stall:
        what = "allowPostCopy does nothing while allowWorkloadDisruption is not true"
        yield Trouble(entry.line, what, "set allowWorkloadDisruption: true")


def _pauses(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = _entry(document, "allowWorkloadDisruption")
    if entry is not None and _is_on(document, "allowWorkloadDisruption") and not _is_on(document, "allowPostCopy"):
        what = "a VM that is not done at its timeout is paused until all of its memory is sent"
        yield Trouble(entry.line, what, "set allowPostCopy: true, or expect the pause")


def _node_above_cluster(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    node, cluster = _number(document, "parallelOutboundMigrationsPerNode"), None
    cluster = _number(document, "parallelMigrationsPerCluster") or 5.0
    entry = _entry(document, "parallelOutboundMigrationsPerNode")
    if node is not None and entry is not None and node > cluster:
        what = f"{node:g} at once from a node is more than {cluster:g} in the cluster"
        yield Trouble(entry.line, what, "lower it, or raise parallelMigrationsPerCluster")


def _timeout_below_cap(cap: Option) -> Check:
    """Return a check for a time budget in which the cap cannot even send the memory once."""

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        entry, timeout = _entry(document, "bandwidthPerMigration"), _number(document, "completionTimeoutPerGiB")
        default = 20.0 if document.kind in _HYPERCONVERGED else 150.0
        timeout = default if timeout is None else timeout
        try:
            bandwidth = cap.written(entry.text) if entry is not None else 0.0
        except ValueTextError:
            return
        if entry is not None and bandwidth > 0.0 and 0.0 < timeout < 2**30 / bandwidth:
            needs = 2**30 / bandwidth
            what = f"at {entry.text}/s one GiB takes {needs:.3g} s, and completionTimeoutPerGiB allows {timeout:g} s"
            yield Trouble(
                entry.line, what, f"raise the bandwidth to {2**30 / timeout / 2**20 * 2:.0f}Mi or the timeout"
            )

    return found


def _other_version(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield options that stand where another version of the object has them."""
    wrong = next(_PLACES[kind] for kind in _HYPERCONVERGED if kind != document.kind)
    right = _PLACES[document.kind]
    for entry in document.all(*wrong):
        what = f"{entry.path[-1]} stands in {'.'.join(wrong)}, which {document.kind} does not have"
        yield Trouble(entry.line, what, f"move it to {'.'.join(right)}")


def _wrong_place(options: Sequence[Option]) -> Check:
    """Return a check for options of migrations at a place where this kind of object has none of them."""
    everywhere = checks.elsewhere([option for option in options if option.name not in _COMMON])

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        other = tuple(_PLACES[kind] for kind in _HYPERCONVERGED if document.kind in _HYPERCONVERGED)
        rest = tuple(entry for entry in document.entries if entry.path[:-1] not in other)
        yield from everywhere(dataclasses.replace(document, entries=rest), documents)

    return found


_COMMON: Final = ("network", "compression", "steps")  # names that other parts of the objects may have, too


def _changed_default(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    missing = [
        name
        for name in ("completionTimeoutPerGiB", "parallelOutboundMigrationsPerNode")
        if _entry(document, name) is None
    ]
    if missing:
        what = f"{' and '.join(missing)} not set: since July 2026 the defaults are 20 s/GiB and 1, before 150 and 2"
        yield Trouble(document.first_line, what, "write down the values that you want")


def _old_timeout(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = _entry(document, "completionTimeoutPerGiB")
    if entry is not None and entry.text.strip() == _OLD_TIMEOUT:
        what = "800 s/GiB was the default up to KubeVirt 1.3; a VM of 8 GiB that never ends waits for 107 min"
        yield Trouble(entry.line, what, "lower it to what a migration needs; 150 is the default since 1.4")


def _general_gate(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    for entry in document.entries:
        if "featureGates" in entry.path and entry.text in _GENERAL_GATES:
            yield Trouble(entry.line, f"the gate {entry.text} does nothing: the feature is always on", "remove it")


def _no_tls(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    entry = _entry(document, "disableTLS")
    if entry is not None and _is_on(document, "disableTLS"):
        what = "the memory of the VMs crosses the network unencrypted"
        yield Trouble(entry.line, what, "use it only on a network of its own")


def _below(document: Document, entry: Entry) -> bool:
    """Say whether an entry stands where only options of migrations stand."""
    if document.kind == "MigrationPolicy":
        return len(entry.path) == 2 and entry.path[0] == "spec" and entry.path[1] not in _CLUSTER_ONLY
    others = (*_CLUSTER_ONLY, *_RARE) if document.kind == "KubeVirt" else ()
    return entry.path[:-1] == _PLACES[document.kind] and entry.path[-1] not in others


_RARE: Final = ("utilityVolumesTimeout",)


def rules(kubevirt: Sequence[Option], hyperconverged: Sequence[Option]) -> tuple[Rule, ...]:
    """Return the rules of all kinds.

    Parameters
    ----------
    kubevirt, hyperconverged
        The options of a cluster of each product.
    """
    options = tuple(dict.fromkeys((*kubevirt, *hyperconverged)))
    cap = next(option for option in options if option.name == "bandwidthPerMigration")
    return (*checks.of_options(options), *_own(options, cap), *descheduler.RULES)


def _rule(name: str, level: str, kinds: tuple[str, ...], why: str, source: str, check: Check) -> Rule:
    return Rule(name=f"kubevirt-{name}", level=level, kinds=kinds, why=why, source=source, check=check)


def _own(options: Sequence[Option], cap: Option) -> tuple[Rule, ...]:
    policy, hco = ("MigrationPolicy",), _HYPERCONVERGED
    alpha = "The gates are alpha and off; the API refuses the option, or nothing reads it."
    return (
        _rule("no-selectors", "error", policy, "A policy without selectors is skipped.", _MATCHING, _no_selectors),
        _rule("same-selectors", "warning", policy, "Ties go to the first name.", _MATCHING, _same_selectors),
        _rule("cluster-only", "error", policy, "The API drops fields that it has not.", _API, _cluster_only),
        _rule("downtime-gate", "error", _ALL, alpha, _ADMITTER, _gated("maxDowntimeMs", _TUNING_GATES)),
        _rule("ramp-gate", "error", _ALL, alpha, _ADMITTER, _gated("downtimeTuning", _TUNING_GATES[:1])),
        _rule("stall-gate", "error", _ALL, alpha, _ADMITTER, _gated("stallDetector", _TUNING_GATES[1:])),
        _rule("two-schedules", "error", policy, "The API refuses both at once.", _ADMITTER, _two_schedules),
        _rule(
            "post-copy-never",
            "warning",
            _ALL,
            "At the timeout KubeVirt acts only where the workload may be disrupted; else it cancels.",
            _MONITOR,
            _postcopy_without_disruption,
        ),
        _rule("pauses", "note", _ALL, "Without post-copy the guest is suspended.", _MONITOR, _pauses),
        _rule(
            "node-above-cluster",
            "warning",
            _CLUSTERS,
            "The limit of the cluster holds first, so that of a node does nothing.",
            _API,
            _node_above_cluster,
        ),
        _rule(
            "timeout-below-cap",
            "error",
            _ALL,
            "No VM whose memory is in use can end in time.",
            _API,
            _timeout_below_cap(cap),
        ),
        _rule("place", "error", _ALL, "The API drops fields that it has not.", _API, _wrong_place(options)),
        _rule("hco-place", "error", hco, "The field moved between v1beta1 and v1.", _HCO, _other_version),
        _rule("hco-defaults", "note", hco, "An upgrade changes what is not written.", _HCO_CHANGE, _changed_default),
        _rule(
            "old-timeout",
            "warning",
            _ALL,
            "A migration that cannot end holds its slot, and a drain waits.",
            "https://github.com/kubevirt/kubevirt/pull/12848",
            _old_timeout,
        ),
        _rule("general-gate", "note", _CLUSTERS, "Gates of general features are ignored.", _GATES, _general_gate),
        _rule("no-tls", "warning", _CLUSTERS, "KubeVirt calls this usually a bad idea.", _API, _no_tls),
        _rule("twice", "warning", _ALL, "YAML keeps one of several equal keys.", _API, checks.repeated),
        _rule(
            "unknown", "error", _ALL, "The API drops fields that it has not.", _API, checks.unknown(options, _below)
        ),
    )
