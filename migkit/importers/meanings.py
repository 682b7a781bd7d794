"""What states and numbers mean, by tool and by version.

Sources of the facts: QEMU's qapi/migration.json, migration/migration.c and docs/about/removed-features.rst
(7.2 to 11.1), libvirt's documentation of virDomainGetJobStats, qemu-server's PVE/QemuMigrate.pm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["BEFORE", "MEANINGS", "OUTCOMES", "PHASES", "SINCE", "SOURCES", "TIMED_OUT"]

TIMED_OUT: Final = "timed out"  # what manages it lost patience; what came of that is told apart
PHASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("none", "setup", "wait-unplug"), "setup"),
    **dict.fromkeys(("active", "running"), "precopy"),
    **dict.fromkeys(("pre-switchover", "device"), "stopcopy"),
    **dict.fromkeys(
        ("postcopy-active", "postcopy-paused", "postcopy-recover-setup", "postcopy-recover", "postcopy-device"),
        "postcopy",
    ),
    **dict.fromkeys(("completed", "cancelling", "cancelled", "failing", "failed"), "done"),
    **dict.fromkeys(("colo", TIMED_OUT), "other"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "completed": "completed",
    "failed": "failed",
    "failing": "failed",
    "cancelled": "cancelled",
    "cancelling": "cancelled",
}
SOURCES: Final[Mapping[str, str]] = {
    "qmp": "answers of QEMU's query-migrate",
    "hmp": "QEMU's monitor, info migrate",
    "virsh": "virsh domjobinfo",
    "jobstats": "libvirt's job statistics",
    "libvirt-guest": "libvirt's log of a guest",
    "proxmox": "a task log of Proxmox VE",
    "vdsm": "a log of oVirt's vdsm",
    "nova": "a log of OpenStack Nova",
    "kubevirt": "a log of KubeVirt's virt-launcher",
    "kubevirt-status": "the status of a migration in KubeVirt",
    "trace-events": "QEMU's trace events",
    "metrics": "samples of Prometheus",
    "xen": "a log of Xen's xl or libxc",
    "cloud-hypervisor": "a log of Cloud Hypervisor",
    "vmware": "a log of VMware's vMotion",
    "hyper-v": "events of Hyper-V",
    "progress": "progress lines of a tool",
    "guestperf": "a report of QEMU's guestperf",
    "criu": "statistics of CRIU",
    "dirty-rate": "a reading of the dirty rate",
    "trace": "a trace of migkit",
}

# Since (and before) which version of QEMU a field or state is reported.
SINCE: Final[Mapping[str, tuple[int, int]]] = {
    "ram.page-size": (2, 9),
    "ram.multifd-bytes": (3, 0),
    "ram.pages-per-second": (4, 0),
    "ram.precopy-bytes": (7, 0),
    "ram.dirty-sync-missed-zero-copy": (7, 1),
    "dirty-limit-throttle-time-per-round": (8, 1),
    "postcopy-recover-setup": (9, 1),
    "new-hmp": (10, 1),
    "postcopy-latency": (10, 1),
    "postcopy-device": (10, 2),
    "failing": (11, 0),
    "remaining": (11, 1),
}
BEFORE: Final[Mapping[str, tuple[int, int]]] = {"ram.skipped": (9, 1), "compression": (9, 1), "disk.total": (9, 1)}

# What a number means, where tools or versions differ: {our name: ((family, since, before, words), ...)}; the first
# that fits is taken.
MEANINGS: Final[Mapping[str, tuple[tuple[str, tuple[int, int], tuple[int, int], str], ...]]] = {
    "downtime_s": (
        (
            "qmp hmp guestperf proxmox",
            (0, 0),
            (99, 0),
            "QEMU counts it at the source: with a return path until the destination has loaded the guest, else "
            "until the source has sent the last byte; resuming and announcing at the destination are not in it",
        ),
        (
            "criu",
            (0, 0),
            (99, 0),
            "of the dump only: the time to freeze the processes and the time that they stood frozen; copying images "
            "and restoring come on top",
        ),
        (
            "cloud-hypervisor",
            (0, 0),
            (99, 0),
            "Cloud Hypervisor counts it at the source: the last pass, the state of the guest and its completion",
        ),
        ("vmware", (0, 0), (99, 0), "the guest stood stunned for as long, as its own monitor counts it"),
        (
            "hyper-v",
            (0, 0),
            (99, 0),
            "Hyper-V calls it the blackout: the guest stands from its pause to its resumption",
        ),
        (
            "trace-events",
            (0, 0),
            (99, 0),
            "from the checkpoint src-downtime-start to src-downtime-end, by the stamps of the trace at the source",
        ),
        (
            "virsh jobstats kubevirt",
            (0, 0),
            (99, 0),
            "libvirt counts it from the stop of the guest to its start at the destination, by the clocks of both "
            "hosts; 'w/o network' leaves out the difference of the clocks and the way between",
        ),
    ),
    "downtime_s:postcopy": (
        (
            "qmp hmp guestperf",
            (0, 0),
            (99, 0),
            "with post-copy it ends when the package of device state is sent; the destination loads it after that "
            "(from QEMU 10.2 the state postcopy-device), so the real pause is longer",
        ),
    ),
    "iteration": (
        (
            "qmp hmp",
            (11, 1),
            (99, 0),
            "from QEMU 11.1 it counts passes; syncs of the throttle and of the end are probably not among them",
        ),
        (
            "qmp hmp guestperf virsh jobstats kubevirt",
            (0, 0),
            (11, 1),
            "it counts every sync of the dirty bitmap, those of the throttle's timer and of the end included",
        ),
    ),
    "expected_downtime_s": (
        (
            "qmp hmp guestperf virsh jobstats kubevirt",
            (0, 0),
            (11, 1),
            "QEMU renews it at a sync only (dirty bytes of the last sync over the bandwidth), and before the first "
            "one it is the downtime limit: no forecast",
        ),
    ),
    "average_bytes_per_s": (
        ("proxmox", (0, 0), (99, 0), "Proxmox divides the guest's memory by the time: not what the link carried"),
    ),
}
