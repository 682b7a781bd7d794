"""The documented defaults of every named policy, each with the version and the source that says so."""

from __future__ import annotations

from typing import Any, Final

from migkit.policies import decision as kernel
from migkit.policies.presets import Preset, Setting
from migkit.policies.systems import SYSTEMS
from migkit.units import GIB, KIB, MIB

__all__ = ["BUILT_IN"]

_SEABIOS_BYTES: Final = 464 * KIB
_POSITIVE: Final = ("steps", "delay_s_per_gib", "poll_s", "short_poll_s", "ramp_steps", "headroom")

_OPTIONS: Final = {  # what people of the system call a setting
    "completion_timeout_s_per_gib": "live_migration_completion_timeout",
    "force_complete": "live_migration_timeout_action",
    "completion_s_per_gib": "completionTimeoutPerGiB",
    "progress_timeout_s": "progressTimeout",
    "allow_disruption": "allowWorkloadDisruption",
    "stop_at_timeout": "timeout_strategy=ignore",
    "secure": "migration: secure",
}


def _own(**defaults: float) -> tuple[Setting, ...]:
    """Return a policy's own settings."""
    return tuple(
        Setting(name=name, default=value, positive=name in _POSITIVE, option=_OPTIONS.get(name, ""))
        for name, value in defaults.items()
    )


def _qemu(**changes: float) -> tuple[Setting, ...]:
    """Return the settings that QEMU adds to every manager's own, with what differs in a version."""
    usual = {
        "throttle_trigger": 0.5,
        "throttle_initial": 0.2,
        "throttle_increment": 0.1,
        "throttle_max": 0.99,
        "throttle_tailslow": 0.0,
        "throttle_sync_s": 0.0,
        "switchover_bandwidth_bytes_per_s": 0.0,
        "sync_at_threshold": 0.0,
    }
    return tuple(Setting(name=name, default=value, common=True) for name, value in (usual | changes).items())


_QEMU: Final = _qemu()
_NOVA: Final = (
    *_own(
        steps=10.0,
        delay_s_per_gib=75.0,
        completion_timeout_s_per_gib=800.0,
        force_complete=0.0,
        allow_postcopy=0.0,
        poll_s=0.5,
    ),
    *_QEMU,
)
_KUBEVIRT_MONITOR: Final = "KubeVirt pkg/virt-launcher/virtwrap/live-migration-source.go"


def _kubevirt(
    own: dict[str, float], *, completion_s_per_gib: float = 150.0, **patience_s: float
) -> tuple[Setting, ...]:
    """Return what all rules of KubeVirt read, with how long they wait for progress, then their own."""
    common = {"completion_s_per_gib": completion_s_per_gib, "count_started_gb": 0.0}
    permits = {"allow_disruption": 0.0, "allow_postcopy": 0.0, "poll_s": 0.4}
    return _own(**common, **patience_s, **permits, **own) + _QEMU


def _of_system(**fields: Any) -> Preset:
    """Return the preset of the system that has its name."""
    return Preset(system=SYSTEMS[fields["name"]], **fields)


BUILT_IN: Final = (
    _of_system(
        name="qemu",
        summary="Switch over when the rest would take no longer than the downtime limit at the measured bandwidth.",
        version="not said: the mean of windows up to 8.1 and later",
        source="QEMU migration/migration.c, ram.c, options.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        settings=_QEMU,
    ),
    _of_system(
        name="qemu-7",
        summary="As qemu; a rate window counts each page as it is queued.",
        version="5.0 to 8.1",
        source="QEMU migration/qemu-file.c, migration.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(1.0, 1.0),
        firmware_bytes=_SEABIOS_BYTES,
        demands_at_once=False,
        push_follows=True,
        settings=_QEMU,
    ),
    _of_system(
        name="qemu-8.2",
        summary="As qemu; a rate window counts flushed buffers.",
        version="8.2 to 9.1",
        source="QEMU migration/migration-stats.c, qemu-file.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(32.0, 32.0),
        firmware_bytes=_SEABIOS_BYTES,
        settings=_QEMU,
    ),
    _of_system(
        name="qemu-10",
        summary="As qemu-8.2; a throttled guest is synced every 5 s, too.",
        version="9.2 to 10.0",
        source="QEMU migration/cpu-throttle.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(32.0, 32.0),
        firmware_bytes=_SEABIOS_BYTES,
        settings=_qemu(throttle_sync_s=5.0),
    ),
    _of_system(
        name="qemu-10.1",
        summary="As qemu-10; post-copy keeps its cap up to the last page.",
        version="10.1 to 11.0",
        source="QEMU migration/migration.c (migration_iteration_run)",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(32.0, 32.0),
        firmware_bytes=_SEABIOS_BYTES,
        push_follows=True,
        keeps_cap=True,
        settings=_qemu(throttle_sync_s=5.0),
    ),
    _of_system(
        name="qemu-11.1",
        summary="As qemu-10.1; it syncs also when the rest just equals the threshold, or nothing is left.",
        version="11.1",
        source="QEMU migration/migration.c, https://www.qemu.org/docs/master/devel/migration/index.html",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(32.0, 32.0),
        firmware_bytes=_SEABIOS_BYTES,
        push_follows=True,
        keeps_cap=True,
        settings=_qemu(throttle_sync_s=5.0, sync_at_threshold=1.0),
    ),
    _of_system(
        name="libvirt",
        summary="As qemu without its bandwidth cap; libvirt has no convergence rule of its own.",
        version="10",
        source="virsh manual; libvirt src/qemu/qemu_migration.c",
        code=kernel.QEMU,
        settings=_QEMU,
    ),
    _of_system(
        name="nova",
        summary="Raise the downtime limit in ten steps by the time that has passed; abort at 800 s/GiB.",
        version="OpenStack 2019 (Stein) to 2025.2",
        source="nova/virt/libvirt/migration.py, nova/virt/libvirt/driver.py, nova/conf/libvirt.py",
        code=kernel.NOVA,
        own=kernel.NovaSettings,
        downtime_limit_s=0.5,
        settings=_NOVA,
    ),
    _of_system(
        name="nova-2026.1",
        summary="As nova; it can send over several connections, each of which takes up to a processor.",
        version="33.0 (2026.1)",
        source="nova/conf/libvirt.py, https://docs.openstack.org/nova/latest/admin/live-migration-usage.html",
        code=kernel.NOVA,
        own=kernel.NovaSettings,
        downtime_limit_s=0.5,
        settings=_NOVA,
    ),
    _of_system(
        name="kubevirt",
        summary="A constant limit; abort after 150 s/GiB, or when nothing has moved for 150 s.",
        version="1.4 to 1.9 (up to 1.3: 800 s/GiB)",
        source=f"{_KUBEVIRT_MONITOR}, pkg/virt-config/virt-config.go",
        code=kernel.KUBEVIRT,
        own=kernel.KubevirtSettings,
        settings=_kubevirt({}, progress_timeout_s=150.0),
    ),
    _of_system(
        name="openshift-2026",
        summary="As kubevirt; abort after 20 s/GiB.",
        version="OpenShift Virtualization from July 2026; one outbound migration a node",
        source="https://github.com/kubevirt/hyperconverged-cluster-operator/pull/4426",
        code=kernel.KUBEVIRT,
        own=kernel.KubevirtSettings,
        settings=_kubevirt({}, completion_s_per_gib=20.0, progress_timeout_s=150.0),
    ),
    _of_system(
        name="deckhouse",
        summary="As kubevirt with a cap of 640 MiB/s, about 5 Gbit/s.",
        version="Deckhouse Virtualization Platform from May 2025; one outbound migration a node",
        source="https://github.com/deckhouse/virtualization/pull/1082",
        code=kernel.KUBEVIRT,
        own=kernel.KubevirtSettings,
        max_bandwidth_bytes_per_s=640.0 * MIB,
        settings=_kubevirt({}, progress_timeout_s=150.0),
    ),
    _of_system(
        name="kubevirt-ramp",
        summary="From the third iteration on, raise the limit every 10 s from 150 to 900 ms.",
        version="after 1.9 (August 2026), gate MigrationDowntimeTuning",
        source=f"{_KUBEVIRT_MONITOR}; KubeVirt enhancement VEP 291",
        code=kernel.KUBEVIRT_RAMP,
        own=kernel.KubevirtSettings,
        downtime_limit_s=0.9,
        settings=_kubevirt(
            {"ramp_start_s": 0.15, "ramp_steps": 7.0, "ramp_wait_s": 10.0, "ramp_iteration": 3.0},
            progress_timeout_s=150.0,
        ),
    ),
    _of_system(
        name="kubevirt-stall",
        summary="Find out that the remaining bytes no longer fall, then act at a local minimum.",
        version="1.9, gate MigrationStallDetection",
        source="KubeVirt pkg/virt-launcher/virtwrap/stall-detector.go, live-migration-source.go; VEP 248",
        code=kernel.KUBEVIRT_STALL,
        own=kernel.KubevirtSettings,
        downtime_limit_s=0.9,
        settings=_kubevirt(
            {
                "stall_margin": 0.04,
                "possible_factor": 1.5,
                "patience_decay": 0.5,
                "completion_factor": 2.0,
                "switchover_timeout_s": 60.0,
                "bandwidth_smoothing": 0.4,
            },
            stall_window_s=40.0,
        ),
    ),
    _of_system(
        name="ovirt",
        summary="Raise the limit with the iterations: 101, 104, 120, 189, 500 ms; then abort.",
        version="vdsm 4.5, legacy schedule",
        source="vdsm lib/vdsm/virt/migration.py, lib/vdsm/common/config.py",
        code=kernel.OVIRT,
        own=kernel.OvirtSettings,
        max_bandwidth_bytes_per_s=52.0 * MIB,
        downtime_limit_s=0.5,
        settings=_own(steps=5.0, patience_iterations=42.0, poll_s=10.0) + _QEMU,
    ),
    _of_system(
        name="proxmox",
        summary="Double the limit of 100 ms when more than five polls saw no progress; with auto-converge, XBZRLE "
        "and, unless secure = 0, an ssh tunnel.",
        version="Proxmox VE 8 and 9",
        source="qemu-server src/PVE/QemuMigrate.pm, src/PVE/QemuMigrate/Helpers.pm",
        code=kernel.PROXMOX,
        own=kernel.ProxmoxSettings,
        max_bandwidth_bytes_per_s=16.0 * GIB,
        downtime_limit_s=0.1,
        settings=_own(poll_s=1.0, short_poll_s=0.1, patience_polls=5.0, secure=1.0) + _QEMU,
    ),
    _of_system(
        name="incus",
        summary="As qemu; auto-converge always, from 20 % dirtied on, its first throttle is 50 %.",
        version="Incus 7.3; the version of QEMU not said",
        source="https://github.com/lxc/incus/blob/main/internal/server/instance/drivers/driver_qemu.go",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        settings=_qemu(throttle_trigger=0.2, throttle_initial=0.5),
    ),
    _of_system(
        name="xen",
        summary="At most 5 passes, or one of fewer than 50 pages, then stop and copy.",
        version="4.6 and later",
        source="Xen tools/libs/guest/xg_sr_save.c",
        code=kernel.XEN,
        counts_passes=True,
        own=kernel.XenSettings,
        settings=_own(passes=5.0, dirty_pages=50.0),
    ),
    _of_system(
        name="xen-4.5",
        summary="At most 29 passes, or one of fewer than 50 pages, or 3 times the guest's pages sent.",
        version="4.5 and earlier",
        source="Xen tools/libxc/xc_domain_save.c",
        code=kernel.XEN_4_5,
        counts_passes=True,
        own=kernel.XenSettings,
        settings=_own(passes=29.0, dirty_pages=50.0, factor=3.0),
    ),
    _of_system(
        name="cloud-hypervisor",
        summary="Stop when the fresh dirty list would take at most 300 ms at the last round's bandwidth.",
        version="52 and later",
        source="Cloud Hypervisor vmm/src/lib.rs, vmm/src/api/mod.rs, vm-migration/src/context.rs",
        code=kernel.CLOUD_HYPERVISOR,
        own=kernel.CloudHypervisorSettings,
        settings=_own(timeout_s=3600.0, stop_at_timeout=0.0),
    ),
    _of_system(
        name="cloud-hypervisor-51",
        summary="Send all memory, then what was dirtied at most 5 times, then pause the guest.",
        version="up to 51",
        source="Cloud Hypervisor vmm/src/lib.rs (send_migration)",
        code=kernel.COUNTED_PASSES,
        counts_passes=True,
        own=kernel.CountedSettings,
        settings=_own(passes=6.0),
    ),
    _of_system(
        name="criu-phaul",
        summary="Stop after a pass of at most 64 pages, after growth by more than 10 %, or after pass number 8.",
        version="P.Haul 0.1",
        source="checkpoint-restore/p.haul phaul/iters.py",
        code=kernel.CRIU_PHAUL,
        counts_passes=True,
        own=kernel.PhaulSettings,
        settings=_own(passes=8.0, few_pages=64.0, growth_percent=10.0),
    ),
    _of_system(
        name="criu-go-phaul",
        summary="Stop after a pass of fewer than 64 pages, after growth by 32 pages or more, or after 8 passes; "
        "the first grows from nothing, so it is the only one.",
        version="go-criu 4 to 8",
        source="checkpoint-restore/go-criu phaul/client.go",
        code=kernel.CRIU_GO_PHAUL,
        counts_passes=True,
        own=kernel.PhaulSettings,
        settings=_own(passes=8.0, few_pages=64.0, growth_pages=32.0),
    ),
    _of_system(
        name="vmware-like",
        summary="Slow the guest below the send rate, switch over within the limit: it always ends.",
        version="as documented for vSphere 5.0 and later; constants are not published",
        source="blogs.vmware.com, February 2011 and later",
        code=kernel.VMWARE_LIKE,
        own=kernel.VmwareSettings,
        downtime_limit_s=0.5,
        settings=_own(headroom=0.8),
    ),
    _of_system(
        name="hyperv-like",
        summary="At most 10 passes, then stop and copy.",
        version="as documented in 2009",
        source="Directions on Microsoft, 2009",
        code=kernel.COUNTED_PASSES,
        counts_passes=True,
        own=kernel.CountedSettings,
        settings=_own(passes=10.0),
    ),
)
