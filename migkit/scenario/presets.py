"""The documented defaults of every named policy, each with the version and the source that says so."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from migkit.kernels import policy as kernel
from migkit.units import GIB, KIB, MIB

__all__ = ["BUILT_IN", "Preset", "Setting"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One number that a rule reads; its name carries its unit.

    Attributes
    ----------
    name, default
        The documented default, in the unit that the name says; switches are 1 or 0.
    slot
        Where the rule reads it in its parameter record.
    positive
        It must not be 0.
    """

    name: str
    default: float
    slot: int
    positive: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A rule under its name, with the defaults of the system that it stands for.

    Attributes
    ----------
    name, summary
        What it is called, and what it does in one sentence.
    version, source
        For which versions of the system this holds, and what says so.
    code
        Which function of :mod:`migkit.kernels.policy`.
    rule
        A registered Python function in its place; None for the rules that come with migkit.
    max_bandwidth_bytes_per_s, downtime_limit_s
        Defaults of the fields of :class:`migkit.scenario.Policy` [B/s], [s].
    auto_converge
        The system throttles a guest that does not converge, without being asked.
    xbzrle
        The system sends pages as differences from what was sent before, without being asked.
    flush_pages
        A rate window ends with the first multiple of so many pages beyond its quota. QEMU up to 8.1 counts
        each page as it is queued, later ones when a buffer of 32 pages is flushed (qemu-file.c,
        migration-stats.c). Two different numbers: either, the version is not said, and the mean is taken.
    firmware_bytes
        Non-zero memory beside the guest's RAM [B]: 464 KiB in the reference runs of QEMU's PC with SeaBIOS (the
        blocks pc.bios and pc.rom, and low memory); 0 where the system says nothing of its machine.
    settings
        Further numbers.
    """

    name: str
    summary: str
    version: str
    source: str
    code: int
    rule: kernel.Rule | None = None
    max_bandwidth_bytes_per_s: float = math.inf
    downtime_limit_s: float = 0.3
    auto_converge: bool = False
    xbzrle: bool = False
    flush_pages: tuple[float, float] = (1.0, 32.0)
    firmware_bytes: int = 0
    settings: tuple[Setting, ...] = ()


_SEABIOS_BYTES: Final = 464 * KIB
_POSITIVE: Final = ("steps", "delay_s_per_gib", "poll_s", "short_poll_s", "ramp_steps", "headroom")


def _own(**defaults: float) -> tuple[Setting, ...]:
    """Return settings in the order in which the rule documents them."""
    slots = range(kernel.SETTINGS, kernel.PARAMETER_SLOTS)
    return tuple(
        Setting(name=name, default=default, slot=slot, positive=name in _POSITIVE)
        for slot, (name, default) in zip(slots, defaults.items(), strict=False)
    )


def _throttle(sync_s: float = 0.0) -> tuple[Setting, ...]:
    """Return the settings that QEMU adds to every manager's own."""
    return (
        Setting(name="throttle_trigger", default=0.5, slot=kernel.THROTTLE_TRIGGER),
        Setting(name="throttle_initial", default=0.2, slot=kernel.THROTTLE_INITIAL),
        Setting(name="throttle_increment", default=0.1, slot=kernel.THROTTLE_INCREMENT),
        Setting(name="throttle_max", default=0.99, slot=kernel.THROTTLE_MAX),
        Setting(name="throttle_tailslow", default=0.0, slot=kernel.THROTTLE_TAILSLOW),
        Setting(name="throttle_sync_s", default=sync_s, slot=kernel.THROTTLE_SYNC_S),
        Setting(name="switchover_bandwidth_bytes_per_s", default=0.0, slot=kernel.SWITCHOVER_BANDWIDTH),
    )


_QEMU = _throttle()
_KUBEVIRT_MONITOR: Final = "KubeVirt pkg/virt-launcher/virtwrap/live-migration-source.go"


def _kubevirt(own: dict[str, float], **patience_s: float) -> tuple[Setting, ...]:
    """Return what all rules of KubeVirt read, with how long they wait for progress, then their own."""
    common = {"completion_s_per_gib": 150.0, "count_started_gb": 0.0}
    permits = {"allow_disruption": 0.0, "allow_postcopy": 0.0, "poll_s": 0.4}
    return _own(**common, **patience_s, **permits, **own) + _QEMU


BUILT_IN: Final = (
    Preset(
        name="qemu",
        summary="Switch over when the rest would take no longer than the downtime limit at the measured bandwidth.",
        version="not said: the mean of windows up to 8.1 and later",
        source="QEMU migration/migration.c, ram.c, options.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        settings=_QEMU,
    ),
    Preset(
        name="qemu-7",
        summary="As qemu; a rate window counts each page as it is queued.",
        version="5.0 to 8.1",
        source="QEMU migration/qemu-file.c, migration.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(1.0, 1.0),
        firmware_bytes=_SEABIOS_BYTES,
        settings=_QEMU,
    ),
    Preset(
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
    Preset(
        name="qemu-10",
        summary="As qemu-8.2; a throttled guest is synced every 5 s, too.",
        version="9.2 and later",
        source="QEMU migration/cpu-throttle.c",
        code=kernel.QEMU,
        max_bandwidth_bytes_per_s=128.0 * MIB,
        flush_pages=(32.0, 32.0),
        firmware_bytes=_SEABIOS_BYTES,
        settings=_throttle(sync_s=5.0),
    ),
    Preset(
        name="libvirt",
        summary="As qemu without its bandwidth cap; libvirt has no convergence rule of its own.",
        version="10",
        source="virsh manual; libvirt src/qemu/qemu_migration.c",
        code=kernel.QEMU,
        settings=_QEMU,
    ),
    Preset(
        name="nova",
        summary="Raise the downtime limit in ten steps by the time that has passed; abort at 800 s/GiB.",
        version="OpenStack 2019 (Stein) to 2026",
        source="nova/virt/libvirt/migration.py, nova/virt/libvirt/driver.py, nova/conf/libvirt.py",
        code=kernel.NOVA,
        downtime_limit_s=0.5,
        settings=_own(
            steps=10.0,
            delay_s_per_gib=75.0,
            completion_timeout_s_per_gib=800.0,
            force_complete=0.0,
            allow_postcopy=0.0,
            poll_s=0.5,
        )
        + _QEMU,
    ),
    Preset(
        name="kubevirt",
        summary="A constant limit; abort after 150 s/GiB, or when nothing has moved for 150 s.",
        version="1.4 to 1.9 (up to 1.3: 800 s/GiB)",
        source=f"{_KUBEVIRT_MONITOR}, pkg/virt-config/virt-config.go",
        code=kernel.KUBEVIRT,
        settings=_kubevirt({}, progress_timeout_s=150.0),
    ),
    Preset(
        name="kubevirt-ramp",
        summary="From the third iteration on, raise the limit every 10 s from 150 to 900 ms.",
        version="after 1.9 (August 2026), gate MigrationDowntimeTuning",
        source=f"{_KUBEVIRT_MONITOR}; KubeVirt enhancement VEP 291",
        code=kernel.KUBEVIRT_RAMP,
        downtime_limit_s=0.9,
        settings=_kubevirt(
            {"ramp_start_s": 0.15, "ramp_steps": 7.0, "ramp_wait_s": 10.0, "ramp_iteration": 3.0},
            progress_timeout_s=150.0,
        ),
    ),
    Preset(
        name="kubevirt-stall",
        summary="Find out that the remaining bytes no longer fall, then act at a local minimum.",
        version="1.9, gate MigrationStallDetection",
        source="KubeVirt pkg/virt-launcher/virtwrap/stall-detector.go, live-migration-source.go; VEP 248",
        code=kernel.KUBEVIRT_STALL,
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
    Preset(
        name="ovirt",
        summary="Raise the limit with the iterations: 101, 104, 120, 189, 500 ms; then abort.",
        version="vdsm 4.5, legacy schedule",
        source="vdsm lib/vdsm/virt/migration.py, lib/vdsm/common/config.py",
        code=kernel.OVIRT,
        max_bandwidth_bytes_per_s=52.0 * MIB,
        downtime_limit_s=0.5,
        settings=_own(steps=5.0, patience_iterations=42.0, poll_s=10.0) + _QEMU,
    ),
    Preset(
        name="proxmox",
        summary="Double the limit of 100 ms when more than five polls saw no progress; with auto-converge, XBZRLE.",
        version="Proxmox VE 8 and 9",
        source="qemu-server src/PVE/QemuMigrate.pm, src/PVE/QemuMigrate/Helpers.pm",
        code=kernel.PROXMOX,
        max_bandwidth_bytes_per_s=16.0 * GIB,
        downtime_limit_s=0.1,
        auto_converge=True,
        xbzrle=True,
        settings=_own(poll_s=1.0, short_poll_s=0.1, patience_polls=5.0) + _QEMU,
    ),
    Preset(
        name="xen",
        summary="At most 5 passes, or one of fewer than 50 pages, then stop and copy.",
        version="4.6 and later",
        source="Xen tools/libs/guest/xg_sr_save.c",
        code=kernel.XEN,
        settings=_own(passes=5.0, dirty_pages=50.0),
    ),
    Preset(
        name="xen-4.5",
        summary="At most 29 passes, or one of fewer than 50 pages, or 3 times the guest's pages sent.",
        version="4.5 and earlier",
        source="Xen tools/libxc/xc_domain_save.c",
        code=kernel.XEN_4_5,
        settings=_own(passes=29.0, dirty_pages=50.0, factor=3.0),
    ),
    Preset(
        name="cloud-hypervisor",
        summary="Stop when the fresh dirty list would take at most 300 ms at the last round's bandwidth.",
        version="52 and later",
        source="Cloud Hypervisor vmm/src/lib.rs, vmm/src/api/mod.rs, vm-migration/src/context.rs",
        code=kernel.CLOUD_HYPERVISOR,
        settings=_own(timeout_s=3600.0, stop_at_timeout=0.0),
    ),
    Preset(
        name="criu-phaul",
        summary="Stop after a pass of at most 64 pages, after growth by more than 10 %, or after pass number 8.",
        version="P.Haul 0.1",
        source="checkpoint-restore/p.haul phaul/iters.py",
        code=kernel.CRIU_PHAUL,
        settings=_own(passes=8.0, few_pages=64.0, growth_percent=10.0),
    ),
    Preset(
        name="criu-go-phaul",
        summary="Stop after a pass of fewer than 64 pages, after growth by 32 pages or more, or after 8 passes; "
        "the first grows from nothing, so it is the only one.",
        version="go-criu 4 to 8",
        source="checkpoint-restore/go-criu phaul/client.go",
        code=kernel.CRIU_GO_PHAUL,
        settings=_own(passes=8.0, few_pages=64.0, growth_pages=32.0),
    ),
    Preset(
        name="vmware-like",
        summary="Slow the guest below the send rate, switch over within the limit: it always ends.",
        version="as documented for vSphere 5.0 and later; constants are not published",
        source="blogs.vmware.com, February 2011 and later",
        code=kernel.VMWARE_LIKE,
        downtime_limit_s=0.5,
        settings=_own(headroom=0.8),
    ),
    Preset(
        name="hyperv-like",
        summary="At most 10 passes, then stop and copy.",
        version="as documented in 2009",
        source="Directions on Microsoft, 2009",
        code=kernel.HYPERV_LIKE,
        settings=_own(passes=10.0),
    ),
)
