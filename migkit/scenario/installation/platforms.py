"""What the constants of two hosts typically are, by the platform that runs on them, with spreads and sources.

A constant that nobody stated is a distribution (:class:`migkit.scenario.installation.typical.Typical`). Its median
and its spread come from what people published about migrations on such hosts. :data:`USUAL` is QEMU on KVM under
libvirt or another manager, which is what most hosts are; the other platforms say what differs from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from migkit.scenario.installation.typical import Typical

__all__ = ["PLATFORMS", "UNKNOWN", "USUAL", "platform_of"]

UNKNOWN: Final = "qemu-kvm"  # of a host of which nothing is said

_SYSBENCH: Final = "240 KVM migrations over 1 Gbit/s, github.com/Sxmindu/Live-Migration"
_POSTGRES: Final = "KVM migrations of a database, github.com/LordWicked/live-migration-thesis-code"
_REPORTS: Final = "field reports of QEMU 2.5 to 10.2 on KVM, data/field_reports"
_PUBLISHED: Final = (
    "J. Quintela (multifd zero pages), Yuan Liu (multifd QPL), qemu-devel, data/published_measurements.csv"
)
_REFERENCE: Final = "63 reference runs, data/qemu"
_PROXMOX: Final = "task log of Proxmox VE 9 over the ssh tunnel; log lines are whole seconds"
_CLOUD: Final = "github.com/cloud-hypervisor/cloud-hypervisor/pull/7979"
_CLARK: Final = "Clark et al., NSDI 2005: downtimes of 60 to 210 ms"
_VMWARE: Final = "Nelson, Lim, Hutchins, USENIX ATC 2005; VMware: under a second"
_SOURCE: Final = "source program"

USUAL: Final[Mapping[str, Typical]] = MappingProxyType(
    {
        "goodput_bytes_per_s": Typical(2.5e9, 0.45, f"2.2 to 3.7 GB/s a stream where no link binds: {_PUBLISHED}"),
        "zero_page_cpu_s": Typical(5e-7, 0.7, f"0.19 to 1.6 us: {_SYSBENCH}; {_REPORTS}"),
        "postcopy_zero_page_cpu_s": Typical(2.4e-7, 0.5, f"{_POSTGRES}; {_REFERENCE}"),
        "sync_base_s": Typical(1e-3, 0.7, _REPORTS),
        "sync_per_page_s": Typical(1e-10, 1.0, f"the stop of post-copy does not grow from 1 to 8 GiB: {_SYSBENCH}"),
        "setup_s": Typical(0.012, 0.9, f"1 to 78 ms: {_POSTGRES}; {_SYSBENCH}; {_REPORTS}"),
        "stop_s": Typical(2e-3, 0.7, _REPORTS),
        "stop_per_vcpu_s": Typical(1e-4, 0.7, _REPORTS),
        "flush_disks_s": Typical(4e-3, 1.1, _REPORTS),
        "machine_state_bytes": Typical(300_000.0, 0.5, "vmstate of a PC with a few virtio devices"),
        "load_s": Typical(0.012, 1.1, f"4 to 80 ms: {_SYSBENCH}; {_REPORTS}"),
        "resume_s": Typical(1e-3, 0.7, _REPORTS),
        "translate_block_s": Typical(0.0, 0.0, "no software emulation"),
        "announce_s": Typical(0.0, 0.0, "QEMU net/announce.c"),
        "reconnect_s": Typical(0.05, 0.7, _REPORTS),
        "in_flight_bytes": Typical(0.0, 0.0, "not known before hosts are calibrated"),
        "release_s": Typical(0.0, 0.0, "not known before hosts are calibrated"),
        "fault_service_s": Typical(1.7e-4, 0.5, _POSTGRES),
        "tls_bytes_per_s": Typical(6.25e8, 0.3, "about 5 Gbit/s a stream"),
        "zlib_bytes_per_s": Typical(1.0e8, 0.3, "QEMU docs/devel/migration"),
        "zstd_bytes_per_s": Typical(3.2e8, 0.3, "QEMU docs/devel/migration"),
        "lz4_bytes_per_s": Typical(7.0e8, 0.3, "lz4.org"),
        "xbzrle_bytes_per_s": Typical(1.6e9, 0.3, "the harness's kernel"),
        "window_extra_s": Typical(
            5e-4, 1.0, "capped rows reach 98.5 to 100 % of their cap, data/published_measurements.csv"
        ),
        "command_s": Typical(0.01, 0.0, _REFERENCE),
        "disk_bytes_per_s": Typical(1.0e9, 0.3, "one NVMe drive"),
    }
)

PLATFORMS: Final[Mapping[str, Mapping[str, Typical]]] = MappingProxyType(
    {
        "qemu-kvm": {},
        "qemu-tcg": {
            "goodput_bytes_per_s": Typical(1.5e9, 0.3, _REFERENCE),
            "zero_page_cpu_s": Typical(2.1e-7, 0.25, _REFERENCE),
            "postcopy_zero_page_cpu_s": Typical(
                2.9e-7, 0.5, f"{_REFERENCE}; 0.5 to 0.9 us in all on a slower machine"
            ),
            "setup_s": Typical(0.006, 0.3, _REFERENCE),
            **dict.fromkeys(("sync_base_s", "sync_per_page_s", "stop_s", "stop_per_vcpu_s"), Typical(0.0)),
            **dict.fromkeys(("flush_disks_s", "machine_state_bytes", "load_s", "resume_s"), Typical(0.0)),
            "translate_block_s": Typical(6e-6, 0.3, "5 to 7 us: guests with Linux by QEMU 7.2 and 10.0"),
            "fault_service_s": Typical(1.4e-4, 0.5, "74 to 160 us: capped post-copies by QEMU 10.0 and 11.1"),
            "window_extra_s": Typical(1e-4, 0.5, f"{_REFERENCE}; 0.02 to 0.03 ms on another machine"),
        },
        "proxmox": {
            "tls_bytes_per_s": Typical(7.5e8, 0.25, _PROXMOX),
            "setup_s": Typical(0.4, 0.8, _PROXMOX),
        },
        "cloud-hypervisor": {
            "goodput_bytes_per_s": Typical(1.9e9, 0.3, _CLOUD),
            "sync_base_s": Typical(2e-3, 1.0, _CLOUD),
            "stop_s": Typical(2e-3, 0.7, _CLOUD),
            "flush_disks_s": Typical(1e-3, 0.7, _CLOUD),
            "load_s": Typical(0.035, 0.6, f"{_CLOUD}: 7 + 19 + 1 + 3 + 10 ms"),
            "reconnect_s": Typical(0.7, 0.4, "github.com/cloud-hypervisor/cloud-hypervisor/issues/3767"),
        },
        "xen": {
            "goodput_bytes_per_s": Typical(1.0e9, 0.4, "xen-api doc/content/design/migration-tls.md"),
            "tls_bytes_per_s": Typical(4.0e8, 0.4, "xen-api doc/content/design/migration-tls.md"),
            "stop_s": Typical(0.02, 0.8, _CLARK),
            "load_s": Typical(0.06, 0.8, _CLARK),
        },
        "vmware-like": {
            "stop_s": Typical(0.02, 0.8, _VMWARE),
            "load_s": Typical(0.15, 0.8, _VMWARE),
        },
        "hyperv-like": {
            "stop_s": Typical(0.02, 0.8, _VMWARE),
            "load_s": Typical(0.15, 0.8, _VMWARE),
        },
        "criu": {
            "stop_s": Typical(5e-3, 0.8, "criu.org/P.Haul"),
            "load_s": Typical(0.1, 0.9, "criu.org/P.Haul"),
        },
        "harness": {
            "zero_page_cpu_s": Typical(2.1e-7, 0.25, "migkit's harness"),
            **dict.fromkeys(("sync_base_s", "sync_per_page_s", "stop_s", "stop_per_vcpu_s"), Typical(0.0)),
            **dict.fromkeys(("flush_disks_s", "machine_state_bytes", "load_s", "resume_s"), Typical(0.0)),
            **dict.fromkeys(("announce_s", "reconnect_s", "fault_service_s"), Typical(0.0)),
            "setup_s": Typical(0.006, 0.3, "migkit's harness"),
            "window_extra_s": Typical(0.0),
        },
    }
)
_BY_POLICY: Final = (  # beginnings of the names of policies whose system is no plain QEMU
    ("proxmox", "proxmox"),
    ("cloud-hypervisor", "cloud-hypervisor"),
    ("xen", "xen"),
    ("vmware", "vmware-like"),
    ("hyperv", "hyperv-like"),
    ("criu", "criu"),
)


def platform_of(policy: str) -> str:
    """Return the platform on which the system of a named policy runs.

    Examples
    --------
    >>> platform_of("xen-4.5"), platform_of("nova")
    ('xen', 'qemu-kvm')
    """
    return next((platform for start, platform in _BY_POLICY if policy.startswith(start)), UNKNOWN)
