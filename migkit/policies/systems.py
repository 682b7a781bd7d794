"""What each system can do at all, how people ask it to, and who says so: one table by system and version.

A policy names its system (:class:`migkit.policies.presets.Preset`). A scenario may ask for what the system has not,
as a what-if: a prediction and the command line say so, ``compare`` and advice keep off it
(:func:`migkit.scenario.ability.missing`).
"""

from __future__ import annotations

import dataclasses
from typing import Final, NamedTuple

__all__ = ["ABILITIES", "OWN_SYSTEM", "SYSTEMS", "Ability", "System", "of_qemu"]


class Ability(NamedTuple):
    """Whether a system can do one thing.

    Attributes
    ----------
    has
        It can.
    option
        What people of the system call it, as they would type it; empty where there is nothing to set.
    always
        It does so without being asked.
    methods
        Which of several methods it has; empty: any.
    number
        The only number that it takes; 0: any.
    """

    has: bool
    option: str = ""
    always: bool = False
    methods: tuple[str, ...] = ()
    number: int = 0

    @property
    def word(self) -> str:
        """One word for a table: no, yes or always."""
        return "always" if self.always else "yes" if self.has else "no"


NO: Final = Ability(False)


def _yes(option: str, *methods: str) -> Ability:
    return Ability(True, option, methods=methods)


def _always(option: str = "") -> Ability:
    return Ability(True, option, always=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A hypervisor with its manager, and what it can do.

    Attributes
    ----------
    name
        With the versions for which this holds.
    source
        Address of the public page that says so.
    postcopy
        It can resume a guest at the destination before its memory is there.
    auto_converge
        It can throttle a guest that does not converge, by QEMU's rule.
    dirty_limit
        It can limit what each virtual processor dirties (QEMU from 8.1).
    tls
        It can encrypt what it sends, by TLS or through a tunnel.
    xbzrle
        It can send a page as the difference from what was sent of it before.
    compression
        It can compress pages.
    streams
        It can send over several connections (QEMU: multifd).
    postcopy_streams
        It can go post-copy where it sends over several connections.
    storage
        It can copy disks along.
    cap, downtime_limit, together
        What people call the cap on bandwidth, the downtime limit, and the number of migrations at once; not something
        that a scenario asks for, but what advice names.
    """

    name: str
    source: str
    postcopy: Ability = NO
    auto_converge: Ability = NO
    dirty_limit: Ability = NO
    tls: Ability = NO
    xbzrle: Ability = NO
    compression: Ability = NO
    streams: Ability = NO
    postcopy_streams: Ability = NO
    storage: Ability = NO
    cap: Ability = NO
    downtime_limit: Ability = NO
    together: Ability = NO


ABILITIES: Final = {  # field of a system: its name in a sentence
    "postcopy": "post-copy",
    "auto_converge": "auto-converge",
    "dirty_limit": "dirty-limit",
    "tls": "encryption",
    "xbzrle": "XBZRLE",
    "compression": "compression",
    "streams": "several streams",
    "postcopy_streams": "post-copy beside several streams",
    "storage": "copying storage along",
}


def _qemu(name: str, **changes: Ability) -> System:
    """Return QEMU as its monitor offers it, with what differs by version."""
    usual = {
        "postcopy": _yes("capability postcopy-ram, migrate-start-postcopy"),
        "auto_converge": _yes("capability auto-converge"),
        "dirty_limit": _yes("capability dirty-limit"),
        "tls": _yes("parameter tls-creds"),
        "xbzrle": _yes("capability xbzrle"),
        "compression": _yes("parameter multifd-compression", "zlib", "zstd"),
        "streams": _yes("capability multifd, parameter multifd-channels"),
        "postcopy_streams": _yes("capabilities multifd and postcopy-ram, from 10.1"),
        "storage": _yes("blockdev-mirror to an NBD server at the destination"),
        "cap": _yes("parameter max-bandwidth"),
        "downtime_limit": _yes("parameter downtime-limit"),
    }
    source = "https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (qapi/migration.json)"
    return System(name=name, source=source, **(usual | changes))


def _kubevirt(name: str, source: str, prefix: str = "", **changes: Ability) -> System:
    usual = {
        "postcopy": _yes(f"{prefix}allowPostCopy"),
        "auto_converge": _yes(f"{prefix}allowAutoConverge"),
        "tls": _yes(f"on unless {prefix}disableTLS"),
        "streams": Ability(True, "multifd threads, on unless the VM has processor limits", number=8),
        "postcopy_streams": _yes(f"{prefix}allowPostCopy"),
        "storage": _yes("volumes that are not shared are copied along"),
        "cap": _yes(f"{prefix}bandwidthPerMigration"),
        "together": _yes(f"{prefix}parallelOutboundMigrationsPerNode"),
    }
    return System(name=name, source=source, **(usual | changes))


def _nova(name: str, **changes: Ability) -> System:
    usual = {
        "postcopy": _yes("live_migration_permit_post_copy"),
        "auto_converge": _yes("live_migration_permit_auto_converge"),
        "tls": _yes("live_migration_with_native_tls"),
        "storage": _yes("openstack server migrate --block-migration"),
        "cap": _yes("live_migration_bandwidth"),
        "downtime_limit": _yes("live_migration_downtime"),
        "together": _yes("max_concurrent_live_migrations"),
    }
    source = "https://docs.openstack.org/nova/latest/configuration/config.html (group libvirt)"
    return System(name=name, source=source, **(usual | changes))


_KUBEVIRT_GUIDE: Final = "https://kubevirt.io/user-guide/compute/live_migration/"
_CLOUD_HYPERVISOR_DOCS: Final = (
    "https://github.com/cloud-hypervisor/cloud-hypervisor/blob/main/docs/live_migration.md"
)
_ANY: Final = Ability(True)

# What the rule of a policy of one's own can do is its author's matter; the harness does all of it.
OWN_SYSTEM: Final = System(
    name="a system of one's own",
    source="registered in Python",
    **dict.fromkeys((*ABILITIES, "cap", "downtime_limit", "together"), _ANY),
)

SYSTEMS: Final = {
    "qemu": _qemu("QEMU, version not said"),
    "qemu-7": _qemu("QEMU 5.0 to 8.1", postcopy_streams=NO),
    "qemu-8.2": _qemu("QEMU 8.2 to 9.1", postcopy_streams=NO),
    "qemu-10": _qemu("QEMU 9.2 to 10.0", postcopy_streams=NO),
    "qemu-10.1": _qemu("QEMU 10.1 to 11.0"),
    "qemu-11.1": _qemu("QEMU 11.1"),
    "libvirt": System(
        name="libvirt",
        source="https://www.libvirt.org/manpages/virsh.html (migrate)",
        postcopy=_yes("--postcopy, virsh migrate-postcopy"),
        auto_converge=_yes("--auto-converge"),
        tls=_yes("--tls"),
        xbzrle=_yes("--compressed --comp-methods xbzrle"),
        compression=_yes("--parallel --compressed --comp-methods zlib or zstd", "zlib", "zstd"),
        streams=_yes("--parallel --parallel-connections"),
        postcopy_streams=_yes("--postcopy --parallel, with QEMU 10.1"),
        storage=_yes("--copy-storage-all"),
        cap=_yes("--bandwidth, virsh migrate-setspeed"),
        downtime_limit=_yes("virsh migrate-setmaxdowntime"),
    ),
    "nova": _nova("Nova before 2026.1"),
    "nova-2026.1": _nova(
        "Nova 33.0 (2026.1)",
        streams=_yes("live_migration_parallel_connections"),
        postcopy_streams=_yes("live_migration_parallel_connections, with QEMU 10.1"),
    ),
    "kubevirt": _kubevirt("KubeVirt 1.4 to 1.9", _KUBEVIRT_GUIDE),
    "kubevirt-ramp": _kubevirt(
        "KubeVirt after 1.9", _KUBEVIRT_GUIDE, downtime_limit=_yes("experimental.downtimeTuning maxDowntimeMs")
    ),
    "kubevirt-stall": _kubevirt(
        "KubeVirt 1.9 with stall detection", _KUBEVIRT_GUIDE, downtime_limit=_yes("experimental maxDowntimeMs")
    ),
    "openshift-2026": _kubevirt(
        "OpenShift Virtualization, July 2026",
        "https://github.com/kubevirt/hyperconverged-cluster-operator/pull/4426",
        "spec.liveMigrationConfig.",
    ),
    "deckhouse": _kubevirt(
        "Deckhouse Virtualization Platform, 2025 and later",
        "https://github.com/deckhouse/virtualization/pull/1082, https://github.com/deckhouse/virtualization/pull/2362",
        together=_yes("parallel-outbound-migrations-per-node, parallel-inbound-migrations-per-node"),
    ),
    "ovirt": System(
        name="oVirt, vdsm 4.5",
        source="https://www.ovirt.org/documentation/administration_guide/ (cluster, migration policy)",
        postcopy=_yes("migration policy Post-copy migration"),
        auto_converge=_yes("migration policy, autoConvergence"),
        tls=_yes("Enable migration encryption"),
        xbzrle=_yes("migration policy, migrationCompression"),
        streams=_yes("Parallel Migrations"),
        cap=_yes("Migration bandwidth limit"),
        downtime_limit=_yes("custom migration downtime of the VM"),
        together=_yes("migration policy, maxMigrations"),
    ),
    "proxmox": System(
        name="Proxmox VE 8 and 9",
        source="https://pve.proxmox.com/pve-docs/qm.1.html, https://pve.proxmox.com/pve-docs/datacenter.cfg.5.html",
        auto_converge=_always(),
        tls=_yes("migration: secure, an ssh tunnel; the default"),
        xbzrle=_always(),
        storage=_yes("qm migrate --with-local-disks"),
        cap=_yes("bwlimit, qm set --migrate_speed"),
        downtime_limit=_yes("qm set --migrate_downtime"),
    ),
    "incus": System(
        name="Incus 7.3",
        source="https://github.com/lxc/incus/blob/main/internal/server/instance/drivers/driver_qemu.go",
        auto_converge=_always(),
        tls=_always("HTTPS between the servers"),
        storage=_yes("incus move, with the root volume"),
    ),
    "xen": System(
        name="Xen 4.6 and later",
        source="https://xenbits.xen.org/docs/unstable/man/xl.1.html (migrate)",
        tls=_yes("xl migrate -s ssh"),
    ),
    "xen-4.5": System(
        name="Xen 4.5 and earlier",
        source="https://xenbits.xen.org/docs/4.5-testing/man/xl.1.html (migrate)",
        tls=_yes("xl migrate -s ssh"),
    ),
    "cloud-hypervisor": System(
        name="Cloud Hypervisor 52 and later",
        source=_CLOUD_HYPERVISOR_DOCS,
        tls=_yes("tls_dir, in newer versions"),
        streams=_yes("connections"),
        downtime_limit=_yes("downtime_ms"),
    ),
    "cloud-hypervisor-51": System(name="Cloud Hypervisor up to 51", source=_CLOUD_HYPERVISOR_DOCS),
    "criu-phaul": System(
        name="P.Haul 0.1",
        source="https://github.com/checkpoint-restore/p.haul/blob/master/phaul/iters.py",
        storage=_yes("the file system driver of the container"),
    ),
    "criu-go-phaul": System(
        name="go-criu 4 to 8", source="https://github.com/checkpoint-restore/go-criu/blob/master/phaul/client.go"
    ),
    "vmware-like": System(
        name="vSphere 5.0 and later",
        source="https://techdocs.broadcom.com/us/en/vmware-cis/vsphere.html (migration with vMotion)",
        tls=_yes("Encrypted vMotion, from 6.5"),
        streams=_always("stream helpers, by the speed of the network adapter"),
        storage=_yes("Storage vMotion"),
    ),
    "hyperv-like": System(
        name="Hyper-V, as documented in 2009 and later",
        source="https://learn.microsoft.com/en-us/powershell/module/hyper-v/set-vmhost",
        compression=_yes("Set-VMHost -VirtualMachineMigrationPerformanceOption Compression"),
        streams=_yes("Set-VMHost -VirtualMachineMigrationPerformanceOption SMB"),
        storage=_yes("Move-VM -IncludeStorage"),
        together=_yes("Set-VMHost -MaximumVirtualMachineMigrations"),
    ),
}

_QEMU_BEFORE: Final = (((8, 2), "qemu-7"), ((9, 2), "qemu-8.2"), ((10, 1), "qemu-10"), ((11, 1), "qemu-10.1"))


def of_qemu(version: object) -> str:
    """Return the named policy of a version of QEMU, ``qemu`` where none is said.

    Examples
    --------
    >>> of_qemu("7.2.22"), of_qemu("10.0.2"), of_qemu("10.2.1"), of_qemu("11.1.3"), of_qemu(None)
    ('qemu-7', 'qemu-10', 'qemu-10.1', 'qemu-11.1', 'qemu')
    """
    numbers = str(version or "").split(".")
    if len(numbers) < 2 or not all(part.isdigit() for part in numbers[:2]):
        return "qemu"
    at = int(numbers[0]), int(numbers[1])
    return next((name for before, name in _QEMU_BEFORE if at < before), "qemu-11.1")
