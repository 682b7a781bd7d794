"""KubeVirt, OpenShift Virtualization and their migration policies: the options of three kinds of objects.

The options are those of ``MigrationConfiguration`` (kubevirt.io/api/core/v1/types.go), of ``MigrationPolicy``
(migrations/v1alpha1/types.go) and of ``HyperConverged`` (api/v1 and api/v1beta1 of the operator).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from migkit.planning.settings.document import Document
from migkit.planning.settings.option import B_PER_S, MBIT_PER_S, MIB_PER_S, MS, S_PER_GIB, Option, S, Value
from migkit.planning.settings.product import Manner, Product, Snippet, Values, text_of
from migkit.planning.settings.products import descheduler, kubevirt_rules
from migkit.scenario import Policy, Scenario

__all__ = ["KUBEVIRT", "OPENSHIFT"]

_GUIDE: Final = "https://kubevirt.io/user-guide/compute/live_migration/"
_POLICIES: Final = "https://kubevirt.io/user-guide/cluster_admin/migration_policies/"
_TYPES: Final = "https://github.com/kubevirt/kubevirt/blob/main/staging/src/kubevirt.io/api/core/v1/types.go"
_HCO: Final = (
    "https://github.com/kubevirt/hyperconverged-cluster-operator/blob/main/docs/cluster-configuration.md"
    "#live-migration-configurations"
)
_MULTIFD: Final = 8  # threads of KubeVirt for a VM without limits on its processors (virt-handler/controller.go)
_CLUSTER: Final = ("spec", "configuration", "migrations")
_HCO_PLACES: Final = {
    "HyperConverged": ("spec", "virtualization", "liveMigrationConfig"),
    "HyperConverged v1beta1": ("spec", "liveMigrationConfig"),
}


def _shared(kind: str, place: tuple[str, ...], source: str, timeout_s: float) -> tuple[Option, ...]:
    """Return the options that all three kinds have."""

    def option(name: str, form: str = "whole", **what: object) -> Option:
        return Option(kind=kind, path=(*place, name), source=source, form=form, **what)  # type: ignore[arg-type]

    return (
        option(
            "bandwidthPerMigration",
            "quantity",
            unit=B_PER_S,
            low=0,
            default=math.inf,
            zero_is_unlimited=True,
            likely=(8.0 * 2**20, 50.0 * 2**30),
            mistaken=(MIB_PER_S, MBIT_PER_S),
        ),
        option(
            "completionTimeoutPerGiB",
            unit=S_PER_GIB,
            low=0,
            default=timeout_s,
            likely=(1, 3600),
            mistaken=(MS,),
        ),
        option("allowAutoConverge", "switch", default=False),
        option("allowPostCopy", "switch", default=False),
        option("allowWorkloadDisruption", "switch", default=False),
    )


def _cluster(kind: str, place: tuple[str, ...], source: str, timeout_s: float, outbound: float) -> tuple[Option, ...]:
    """Return the options of a whole cluster."""
    return (
        *_shared(kind, place, source, timeout_s),
        Option(kind=kind, path=(*place, "parallelMigrationsPerCluster"), source=source, low=1, default=5.0, up=False),
        Option(
            kind=kind,
            path=(*place, "parallelOutboundMigrationsPerNode"),
            source=source,
            low=1,
            default=outbound,
            up=False,
        ),
        Option(
            kind=kind,
            path=(*place, "progressTimeout"),
            source=source,
            unit=S,
            low=0,
            default=150.0,
            likely=(1, 3600),
            mistaken=(MS,),
        ),
        Option(kind=kind, path=(*place, "network"), source=source, form="text"),
    )


def _tuning(kind: str, place: tuple[str, ...]) -> tuple[Option, ...]:
    """Return the options that need a feature gate (alpha in 1.9)."""

    def option(*name: str, **what: object) -> Option:
        what = {"source": _TYPES, "low": 1} | what
        return Option(kind=kind, path=(*place, *name), **what)  # type: ignore[arg-type]

    ramp, stall = ("experimental", "downtimeTuning"), ("experimental", "stallDetector")
    return (
        option("maxDowntimeMs", unit=MS, high=2_000_000, default=0.9, likely=(50, 60_000), mistaken=(S,)),
        option(*ramp, "initialMs", unit=MS),
        option(*ramp, "steps"),
        option(*ramp, "startAfterIteration"),
        option(*ramp, "cooldownSeconds", unit=S),
        option(*stall, "stallMargin", low=0, high=100),
        option(*stall, "ewmaAlpha", form="number", low=1e-9, high=1),
        option(*stall, "precopyPossibleFactor", form="number", low=1),
        option("experimental", "compression", form="word", choices=("none", "zstd"), default="none"),
    )


_POLICY_OPTIONS: Final = (
    *_shared("MigrationPolicy", ("spec",), _POLICIES, 150.0),
    *_tuning("MigrationPolicy", ("spec",)),
)
_KUBEVIRT_OPTIONS: Final = (
    *_cluster("KubeVirt", _CLUSTER, _GUIDE, 150.0, 2.0),
    *_tuning("KubeVirt", _CLUSTER)[:1],
    Option(
        kind="KubeVirt",
        path=(*_CLUSTER, "disableTLS"),
        source=_GUIDE,
        form="switch",
        default=False,
    ),
    *_POLICY_OPTIONS,
    *descheduler.OPTIONS,
)
_HCO_OPTIONS: Final = (
    *(option for kind, place in _HCO_PLACES.items() for option in _cluster(kind, place, _HCO, 20.0, 1.0)),
    *_POLICY_OPTIONS,
    *descheduler.OPTIONS,
)


def _settle(values: Values, case: Scenario) -> Scenario:
    """Return the scenario under KubeVirt's rule; without the stall detector post-copy needs leave to disrupt."""
    rule = str(values.get("rule", "kubevirt"))
    disrupts = bool(values["allowWorkloadDisruption"])
    own: dict[str, float] = {
        "completion_s_per_gib": float(values["completionTimeoutPerGiB"]),
        "allow_disruption": float(disrupts),
        "allow_postcopy": float(bool(values["allowPostCopy"]) and (disrupts or rule == "kubevirt-stall")),
    }
    if rule != "kubevirt-stall":
        own["progress_timeout_s"] = float(values["progressTimeout"])
    limit = {} if rule == "kubevirt" else {"downtime_limit_s": float(values["maxDowntimeMs"])}
    cap = math.inf if math.isinf(float(values["bandwidthPerMigration"])) else _mebibytes(values)
    policy = Policy.named(rule, max_bandwidth_bytes_per_s=cap, **limit, **own)
    zstd = values["compression"] == "zstd"
    strategy = dataclasses.replace(
        case.strategy,
        name="precopy",
        auto_converge=bool(values["allowAutoConverge"]),
        streams=_MULTIFD,
        tls=not values.get("disableTLS", False),
        compression="zstd" if zstd else "none",
    )
    together = max(case.link.migrations, int(values["parallelOutboundMigrationsPerNode"]))
    return dataclasses.replace(
        case, policy=policy, strategy=strategy, link=dataclasses.replace(case.link, migrations=together)
    )


def _mebibytes(values: Values) -> float:
    """Return the cap as virt-launcher hands it to libvirt: whole MiB/s, at least 1 (converter/vcpu/vcpu.go)."""
    return max(1.0, math.floor(float(values["bandwidthPerMigration"]) / 2**20 + 0.5)) * 2**20


_PER_CLUSTER: Final = ("parallelMigrationsPerCluster", "parallelOutboundMigrationsPerNode", "progressTimeout")


def _fields(product: Product, given: Values, names: tuple[str, ...], indent: int) -> list[str]:
    return [f"{' ' * indent}{name}: {text_of(product, given, name)}" for name in names if name in given]


_ORDINARY: Final = (
    "bandwidthPerMigration",
    "completionTimeoutPerGiB",
    "allowAutoConverge",
    "allowPostCopy",
    "allowWorkloadDisruption",
)


def _write_kubevirt(given: Values, values: Values) -> tuple[Snippet, ...]:
    cluster = _fields(KUBEVIRT, given, _PER_CLUSTER, 6)
    ramp = values.get("rule") == "kubevirt-ramp"
    gates = ["    developerConfiguration:", "      featureGates:", "      - MigrationDowntimeTuning"] if ramp else []
    head = ["apiVersion: kubevirt.io/v1", "kind: KubeVirt", "metadata:", "  name: kubevirt", "  namespace: kubevirt"]
    body = [*head, "spec:", "  configuration:", *gates, *(["    migrations:", *cluster] if cluster else [])]
    policy = _fields(KUBEVIRT, given, (*_ORDINARY, "maxDowntimeMs"), 2)
    if ramp:
        policy += ["  experimental:", "    downtimeTuning:", "      initialMs: 150"]
    snippets = [Snippet("KubeVirt", "kubectl apply, merged into the object that is there", "\n".join(body) + "\n")]
    if policy:
        snippets.append(_policy(policy))
    outbound = float(values["parallelOutboundMigrationsPerNode"])
    return (*snippets, *descheduler.limits(outbound, float(values["parallelMigrationsPerCluster"])))


def _policy(lines: list[str]) -> Snippet:
    head = ["apiVersion: migrations.kubevirt.io/v1alpha1", "kind: MigrationPolicy", "metadata:", "  name: advised"]
    selectors = ["  selectors:", "    virtualMachineInstanceSelector:", "      migration: advised"]
    text = "\n".join([*head, "spec:", *selectors, *lines]) + "\n"
    return Snippet("MigrationPolicy", "kubectl apply; label the VMs migration=advised", text)


def _write_openshift(given: Values, values: Values) -> tuple[Snippet, ...]:
    fields = _fields(OPENSHIFT, given, (*_PER_CLUSTER, *_ORDINARY), 6)
    head = [
        "apiVersion: hco.kubevirt.io/v1",
        "kind: HyperConverged",
        "metadata:",
        "  name: kubevirt-hyperconverged",
        "  namespace: openshift-cnv",
        "spec:",
        "  virtualization:",
        "    liveMigrationConfig:",
    ]
    text = "\n".join([*head, *fields]) + "\n"
    outbound = float(values["parallelOutboundMigrationsPerNode"])
    return (
        Snippet("HyperConverged", "oc apply, merged into the object that is there", text),
        *descheduler.limits(outbound, float(values["parallelMigrationsPerCluster"])),
    )


def _said(documents: Sequence[Document]) -> dict[str, Value]:
    """Return which rule is in force, and the permission to disrupt that follows a policy's post-copy."""
    gates = {entry.text for document in documents for entry in document.entries if "featureGates" in entry.path}
    tuned = any("downtimeTuning" in entry.path for document in documents for entry in document.entries)
    said: dict[str, Value] = {"rule": "kubevirt"}
    if "MigrationStallDetection" in gates:
        said["rule"] = "kubevirt-stall"
    elif "MigrationDowntimeTuning" in gates and tuned:
        said["rule"] = "kubevirt-ramp"
    for document in documents:
        permits = document.get("spec", "allowPostCopy")
        if document.kind == "MigrationPolicy" and permits and not document.get("spec", "allowWorkloadDisruption"):
            said["allowWorkloadDisruption"] = document.on("spec", "allowPostCopy")
    return said


_POSTCOPY: Final = Manner(
    "post-copy at the timeout", {"allowPostCopy": True, "allowWorkloadDisruption": True}, at_timeout=True
)
_MANNERS: Final = (Manner("pre-copy", {}), Manner("auto-converge", {"allowAutoConverge": True}), _POSTCOPY)
_RAMP: Final = Manner("pre-copy with a downtime ramp (gate MigrationDowntimeTuning)", {"rule": "kubevirt-ramp"})
_CURES: Final = (
    "parallelOutboundMigrationsPerNode",
    "bandwidthPerMigration",
    "completionTimeoutPerGiB",
)

KUBEVIRT: Final = Product(
    name="kubevirt",
    title="KubeVirt 1.4 to 1.9",
    options=_KUBEVIRT_OPTIONS,
    rules=kubevirt_rules.rules(_KUBEVIRT_OPTIONS, _HCO_OPTIONS),
    settle=_settle,
    said=_said,
    write=_write_kubevirt,
    manners=(*_MANNERS[:2], _RAMP, _POSTCOPY),
    cap="bandwidthPerMigration",
    downtime_limit="maxDowntimeMs",
    together="parallelOutboundMigrationsPerNode",
    patience="completionTimeoutPerGiB",
    cures=_CURES,
    cannot=(
        "the downtime limit can be set only with the feature gate MigrationDowntimeTuning or "
        "MigrationStallDetection; without one it is QEMU's 300 ms",
        f"the number of streams cannot be set: it is {_MULTIFD} unless the VM has limits on its processors",
    ),
)
OPENSHIFT: Final = Product(
    name="openshift",
    title="OpenShift Virtualization (HyperConverged), July 2026",
    options=_HCO_OPTIONS,
    settle=_settle,
    said=_said,
    write=_write_openshift,
    manners=_MANNERS,
    cap="bandwidthPerMigration",
    together="parallelOutboundMigrationsPerNode",
    patience="completionTimeoutPerGiB",
    cures=_CURES,
    cannot=(
        "the downtime limit cannot be set in HyperConverged: it is QEMU's 300 ms",
        f"the number of streams cannot be set: it is {_MULTIFD} unless the VM has limits on its processors",
    ),
)
