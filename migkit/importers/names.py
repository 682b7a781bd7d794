"""One table of foreign names and units: what other tools say, under which name migkit keeps it, in which unit.

Sources of the facts: QEMU's qapi/migration.json and migration/migration-hmp-cmds.c (7.2 to 11.1), libvirt's
tools/virsh-domain-job.c and include/libvirt/libvirt-domain.h, qemu-server's PVE/QemuMigrate.pm (4 to 9), KubeVirt's
pkg/virt-launcher/virtwrap/live-migration-source.go and pkg/monitoring/metrics/virt-handler, QEMU's
tests/migration/guestperf/progress.py, CRIU's images/stats.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from migkit.units import GIB, KIB, MIB

__all__ = ["LISTS", "TABLES", "UNITS", "UNITS_OF", "Name"]

MEGABIT: Final = 1e6 / 8  # [B]


class Name(NamedTuple):
    """What a foreign name becomes: our name, the unit that it is in, and the factor to ours."""

    ours: str
    unit: str
    factor: float = 1


def _bytes(ours: str) -> Name:
    return Name(ours, "B")


def _count(ours: str) -> Name:
    return Name(ours, "1")


def _ms(ours: str) -> Name:
    return Name(ours, "ms", 1e-3)


_QMP_RAM: Final = {
    "total": _bytes("total_bytes"),
    "remaining": _bytes("remaining_bytes"),
    "transferred": _bytes("sent_bytes"),
    "duplicate": Name("zero_pages", "pages"),
    "skipped": Name("skipped_pages", "pages"),
    "normal": Name("normal_pages", "pages"),
    "normal-bytes": _bytes("normal_bytes"),
    "dirty-pages-rate": Name("dirtied_pages_per_s", "pages/s"),
    "mbps": Name("bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
    "dirty-sync-count": _count("iteration"),
    "postcopy-requests": _count("postcopy_faults"),
    "page-size": _bytes("page_bytes"),
    "multifd-bytes": _bytes("multifd_bytes"),
    "pages-per-second": Name("pages_per_s", "pages/s"),
    "precopy-bytes": _bytes("precopy_bytes"),
    "downtime-bytes": _bytes("downtime_bytes"),
    "postcopy-bytes": _bytes("postcopy_bytes"),
    "dirty-sync-missed-zero-copy": _count("missed_zero_copy"),
}
_QMP: Final = {
    "total-time": _ms("t_s"),
    "setup-time": _ms("setup_s"),
    "downtime": _ms("downtime_s"),
    "expected-downtime": _ms("expected_downtime_s"),
    "remaining": _bytes("system_remaining_bytes"),
    "cpu-throttle-percentage": Name("throttle", "%", 1e-2),
    "dirty-limit-throttle-time-per-round": Name("dirty_limit_throttle_s", "us", 1e-6),
    "dirty-limit-ring-full-time": Name("dirty_limit_ring_full_s", "us", 1e-6),
    "postcopy-blocktime": _ms("postcopy_blocktime_s"),
    "postcopy-vcpu-blocktime": _ms("postcopy_vcpu_blocktime_s"),
    "postcopy-latency": Name("postcopy_latency_s", "ns", 1e-9),
    "postcopy-non-vcpu-latency": Name("postcopy_non_vcpu_latency_s", "ns", 1e-9),
    "postcopy-vcpu-latency": Name("postcopy_vcpu_latency_s", "ns", 1e-9),
    "postcopy-latency-dist": _count("postcopy_latency_counts"),
    **{f"ram.{theirs}": name for theirs, name in _QMP_RAM.items()},
    **{f"disk.{theirs}": Name(f"disk_{name.ours}", name.unit, name.factor) for theirs, name in _QMP_RAM.items()},
    "disk.total": _bytes("disk_total_bytes"),
    "disk.remaining": _bytes("disk_remaining_bytes"),
    "disk.transferred": _bytes("disk_sent_bytes"),
    "disk.mbps": Name("disk_bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
    "vfio.transferred": _bytes("vfio_sent_bytes"),
    "xbzrle-cache.cache-size": _bytes("xbzrle_cache_bytes"),
    "xbzrle-cache.bytes": _bytes("xbzrle_bytes"),
    "xbzrle-cache.pages": Name("xbzrle_pages", "pages"),
    "xbzrle-cache.cache-miss": Name("xbzrle_cache_misses", "pages"),
    "xbzrle-cache.cache-miss-rate": _count("xbzrle_cache_miss_rate"),
    "xbzrle-cache.encoding-rate": _count("xbzrle_encoding_rate"),
    "xbzrle-cache.overflow": _count("xbzrle_overflows"),
}
LISTS: Final = frozenset({"postcopy_vcpu_blocktime_s", "postcopy_vcpu_latency_s", "postcopy_latency_counts"})
"""Names that may hold several numbers: one for each vCPU, or one for each range of latencies."""
_HMP: Final = {
    "total time": _ms("t_s"),
    "downtime": _ms("downtime_s"),
    "expected downtime": _ms("expected_downtime_s"),
    "setup": _ms("setup_s"),
    "transferred ram": Name("sent_bytes", "KiB", KIB),
    "throughput": Name("bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
    "remaining ram": Name("remaining_bytes", "KiB", KIB),
    "total ram": Name("total_bytes", "KiB", KIB),
    "duplicate": Name("zero_pages", "pages"),
    "skipped": Name("skipped_pages", "pages"),
    "normal": Name("normal_pages", "pages"),
    "normal bytes": Name("normal_bytes", "KiB", KIB),
    "dirty sync count": _count("iteration"),
    "page size": Name("page_bytes", "KiB", KIB),
    "multifd bytes": Name("multifd_bytes", "KiB", KIB),
    "pages-per-second": Name("pages_per_s", "pages/s"),
    "dirty pages rate": Name("dirtied_pages_per_s", "pages/s"),
    "postcopy request count": _count("postcopy_faults"),
    "precopy ram": Name("precopy_bytes", "KiB", KIB),
    "downtime ram": Name("downtime_bytes", "KiB", KIB),
    "postcopy ram": Name("postcopy_bytes", "KiB", KIB),
    "Zero-copy-send fallbacks happened": _count("missed_zero_copy"),
    "transferred disk": Name("disk_sent_bytes", "KiB", KIB),
    "remaining disk": Name("disk_remaining_bytes", "KiB", KIB),
    "total disk": Name("disk_total_bytes", "KiB", KIB),
    "cache size": _bytes("xbzrle_cache_bytes"),
    "xbzrle transferred": Name("xbzrle_bytes", "KiB", KIB),
    "xbzrle pages": Name("xbzrle_pages", "pages"),
    "xbzrle cache miss": Name("xbzrle_cache_misses", "pages"),
    "xbzrle cache miss rate": _count("xbzrle_cache_miss_rate"),
    "xbzrle encoding rate": _count("xbzrle_encoding_rate"),
    "xbzrle overflow": _count("xbzrle_overflows"),
    "cpu throttle percentage": Name("throttle", "%", 1e-2),
    "CPU Throttle (%)": Name("throttle", "%", 1e-2),
    "dirty-limit throttle time": Name("dirty_limit_throttle_s", "us", 1e-6),
    "dirty-limit ring full time": Name("dirty_limit_ring_full_s", "us", 1e-6),
    "Dirty-limit Throttle (us)": Name("dirty_limit_throttle_s", "us", 1e-6),
    "Dirty-limit Ring Full (us)": Name("dirty_limit_ring_full_s", "us", 1e-6),
    "postcopy blocktime": _ms("postcopy_blocktime_s"),
    "Postcopy Blocktime (ms)": _ms("postcopy_blocktime_s"),
    "vfio device transferred": Name("vfio_sent_bytes", "KiB", KIB),
    # The layout of QEMU 10.1: "Group: name=value, name=value", keyed by group and name.
    "Time (ms).total": _ms("t_s"),
    "Time (ms).setup": _ms("setup_s"),
    "Time (ms).exp_down": _ms("expected_downtime_s"),
    "Time (ms).down": _ms("downtime_s"),
    **dict.fromkeys(
        ("Bandwidth (mbps)", "Throughput (Mbps)", "Throughput (mbps)"),
        Name("bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
    ),
    "Sizes.pagesize": _bytes("page_bytes"),
    "Sizes.total": _bytes("total_bytes"),
    "Sizes (KB).psize": Name("page_bytes", "KiB", KIB),
    "Sizes (KB).pagesize": Name("page_bytes", "KiB", KIB),
    "Sizes (KB).total": Name("total_bytes", "KiB", KIB),
    "Sizes (KB).transferred": Name("sent_bytes", "KiB", KIB),
    "Sizes (KB).remain": Name("remaining_bytes", "KiB", KIB),
    "Sizes (KB).precopy": Name("precopy_bytes", "KiB", KIB),
    "Sizes (KB).multifd": Name("multifd_bytes", "KiB", KIB),
    "Sizes (KB).postcopy": Name("postcopy_bytes", "KiB", KIB),
    "Transfers.transferred": _bytes("sent_bytes"),
    "Transfers.remain": _bytes("remaining_bytes"),
    "Channels.precopy": _bytes("precopy_bytes"),
    "Channels.multifd": _bytes("multifd_bytes"),
    "Channels.postcopy": _bytes("postcopy_bytes"),
    "Page Types.normal": Name("normal_pages", "pages"),
    "Page Types.zero": Name("zero_pages", "pages"),
    "Pages.normal": Name("normal_pages", "pages"),
    "Pages.zero": Name("zero_pages", "pages"),
    "Pages.rate_per_sec": Name("pages_per_s", "pages/s"),
    "Page Rates (pps).transfer": Name("pages_per_s", "pages/s"),
    "Page Rates (pps).dirty": Name("dirtied_pages_per_s", "pages/s"),
    "Others.dirty_pages_rate": Name("dirtied_pages_per_s", "pages/s"),
    "Others.dirty_syncs": _count("iteration"),
    "Others.downtime_ram": _bytes("downtime_bytes"),
    "Others.downtime_bytes": _bytes("downtime_bytes"),
    "Remaining": _bytes("system_remaining_bytes"),
    "XBZRLE.size": _bytes("xbzrle_cache_bytes"),
    "XBZRLE.transferred": _bytes("xbzrle_bytes"),
    "XBZRLE.pages": Name("xbzrle_pages", "pages"),
    "XBZRLE.miss": Name("xbzrle_cache_misses", "pages"),
    "XBZRLE.miss_rate": _count("xbzrle_cache_miss_rate"),
    "XBZRLE.encode_rate": _count("xbzrle_encoding_rate"),
    "XBZRLE.overflow": _count("xbzrle_overflows"),
    "Postcopy Latency (ns)": Name("postcopy_latency_s", "ns", 1e-9),
    "Postcopy non-vCPU Latencies (ns)": Name("postcopy_non_vcpu_latency_s", "ns", 1e-9),
    "Others.postcopy_req": _count("postcopy_faults"),
    "Others.zerocopy_fallbacks": _count("missed_zero_copy"),
}
_VIRSH: Final = {
    "Time elapsed": _ms("t_s"),
    "Time elapsed w/o network": _ms("total_time_net_s"),
    "Data processed": _bytes("data_sent_bytes"),
    "Data remaining": _bytes("data_remaining_bytes"),
    "Data total": _bytes("data_total_bytes"),
    "Memory processed": _bytes("sent_bytes"),
    "Memory remaining": _bytes("remaining_bytes"),
    "Memory total": _bytes("total_bytes"),
    "Memory bandwidth": Name("bandwidth_bytes_per_s", "B/s"),
    "Dirty rate": Name("dirtied_pages_per_s", "pages/s"),
    "Page size": _bytes("page_bytes"),
    "Iteration": _count("iteration"),
    "Postcopy requests": _count("postcopy_faults"),
    "File processed": _bytes("disk_sent_bytes"),
    "File remaining": _bytes("disk_remaining_bytes"),
    "File total": _bytes("disk_total_bytes"),
    "File bandwidth": Name("disk_bandwidth_bytes_per_s", "B/s"),
    "Constant pages": Name("zero_pages", "pages"),
    "Normal pages": Name("normal_pages", "pages"),
    "Normal data": _bytes("normal_bytes"),
    "Total downtime": _ms("downtime_s"),
    "Downtime": _ms("downtime_s"),
    "Expected downtime": _ms("expected_downtime_s"),
    "Downtime w/o network": _ms("downtime_net_s"),
    "Setup time": _ms("setup_s"),
    "Compression cache": _bytes("xbzrle_cache_bytes"),
    "Compressed data": _bytes("xbzrle_bytes"),
    "Compressed pages": Name("xbzrle_pages", "pages"),
    "Compression cache misses": Name("xbzrle_cache_misses", "pages"),
    "Compression overflows": _count("xbzrle_overflows"),
    "Auto converge throttle": Name("throttle", "%", 1e-2),
}
_JOBSTATS: Final = {  # libvirt's typed parameters: jobStats() of its bindings, virsh domjobinfo --rawstats
    "time_elapsed": _ms("t_s"),
    "time_elapsed_net": _ms("total_time_net_s"),
    "downtime": _ms("downtime_s"),
    "downtime_net": _ms("downtime_net_s"),
    "setup_time": _ms("setup_s"),
    "data_total": _bytes("data_total_bytes"),
    "data_processed": _bytes("data_sent_bytes"),
    "data_remaining": _bytes("data_remaining_bytes"),
    "memory_total": _bytes("total_bytes"),
    "memory_processed": _bytes("sent_bytes"),
    "memory_remaining": _bytes("remaining_bytes"),
    "memory_bps": Name("bandwidth_bytes_per_s", "B/s"),
    "memory_constant": Name("zero_pages", "pages"),
    "memory_normal": Name("normal_pages", "pages"),
    "memory_normal_bytes": _bytes("normal_bytes"),
    "memory_dirty_rate": Name("dirtied_pages_per_s", "pages/s"),
    "memory_page_size": _bytes("page_bytes"),
    "memory_iteration": _count("iteration"),
    "memory_postcopy_requests": _count("postcopy_faults"),
    "disk_total": _bytes("disk_total_bytes"),
    "disk_processed": _bytes("disk_sent_bytes"),
    "disk_remaining": _bytes("disk_remaining_bytes"),
    "disk_bps": Name("disk_bandwidth_bytes_per_s", "B/s"),
    "compression_cache": _bytes("xbzrle_cache_bytes"),
    "compression_bytes": _bytes("xbzrle_bytes"),
    "compression_pages": Name("xbzrle_pages", "pages"),
    "compression_cache_misses": Name("xbzrle_cache_misses", "pages"),
    "compression_overflow": _count("xbzrle_overflows"),
    "auto_converge_throttle": Name("throttle", "%", 1e-2),
}
_KUBEVIRT: Final = {  # its launcher's "Migration info for": MiB are cut to whole ones
    "TimeElapsed": _ms("t_s"),
    "DataProcessed": _bytes("data_sent_bytes"),
    "DataRemaining": _bytes("data_remaining_bytes"),
    "DataTotal": _bytes("data_total_bytes"),
    "MemoryProcessed": _bytes("sent_bytes"),
    "MemoryRemaining": _bytes("remaining_bytes"),
    "MemoryTotal": _bytes("total_bytes"),
    "MemoryBandwidth": Name("bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
    "DirtyRate": Name("dirtied_bytes_per_s", "Mbit/s", MEGABIT),
    "Iteration": _count("iteration"),
    "PostcopyRequests": _count("postcopy_faults"),
    "ConstantPages": Name("zero_pages", "pages"),
    "NormalPages": Name("normal_pages", "pages"),
    "NormalData": _bytes("normal_bytes"),
    "ExpectedDowntime": _ms("expected_downtime_s"),
    "Downtime": _ms("downtime_s"),
    "DowntimeNet": _ms("downtime_net_s"),
    "DiskMbps": Name("disk_bandwidth_bytes_per_s", "Mbit/s", MEGABIT),
}
_METRICS: Final = {
    "kubevirt_vmi_migration_data_remaining_bytes": _bytes("remaining_bytes"),
    "kubevirt_vmi_migration_data_processed_bytes": _bytes("sent_bytes"),
    "kubevirt_vmi_migration_data_total_bytes": _bytes("total_bytes"),
    "kubevirt_vmi_migration_data_bytes_total": _bytes("total_bytes"),
    "kubevirt_vmi_migration_dirty_memory_rate_bytes": Name("dirtied_bytes_per_s", "B/s"),
    "kubevirt_vmi_migration_memory_transfer_rate_bytes": Name("bandwidth_bytes_per_s", "B/s"),
    "kubevirt_vmi_migration_disk_transfer_rate_bytes": Name("bandwidth_bytes_per_s", "B/s"),
    "kubevirt_vmi_migration_start_time_seconds": Name("request_s", "s"),
    "kubevirt_vmi_migration_end_time_seconds": Name("end_s", "s"),
    "kubevirt_vmi_migration_succeeded": _count("succeeded"),
    "kubevirt_vmi_migration_failed": _count("failed"),
    "libvirt_domain_job_info_time_elapsed_seconds": Name("t_s", "s"),
    **{
        f"libvirt_domain_job_info_{part}_{left}_bytes": _bytes(f"{ours}{left}_bytes".replace("processed", "sent"))
        for part, ours in (("data", "data_"), ("memory", ""), ("file", "disk_"))
        for left in ("total", "processed", "remaining")
    },
}
_GUESTPERF: Final = {
    "duration": _ms("t_s"),
    "downtime": _ms("downtime_s"),
    "downtime_expected": _ms("expected_downtime_s"),
    "setup_time": _ms("setup_s"),
    "throttle_pcent": Name("throttle", "%", 1e-2),
    "dirty_limit_throttle_time_per_round": Name("dirty_limit_throttle_s", "us", 1e-6),
    "dirty_limit_ring_full_time": Name("dirty_limit_ring_full_s", "us", 1e-6),
    "now": Name("logged_s", "s"),
    "ram.transferred_bytes": _bytes("sent_bytes"),
    "ram.remaining_bytes": _bytes("remaining_bytes"),
    "ram.total_bytes": _bytes("total_bytes"),
    "ram.duplicate_pages": Name("zero_pages", "pages"),
    "ram.skipped_pages": Name("skipped_pages", "pages"),
    "ram.normal_pages": Name("normal_pages", "pages"),
    "ram.normal_bytes": _bytes("normal_bytes"),
    "ram.dirty_rate_pps": Name("dirtied_pages_per_s", "pages/s"),
    "ram.transfer_rate_mbs": Name("bandwidth_bytes_per_s", "Mbit/s", MEGABIT),  # QEMU's mbps, whatever the name says
    "ram.iterations": _count("iteration"),
}
_CLOUD_HYPERVISOR: Final = {
    "iter": _count("iteration"),
    "total": _bytes("sent_bytes"),
    "curr": _bytes("round_bytes"),
    "bw": Name("bandwidth_bytes_per_s", "B/s"),
    "transfer": Name("round_s", "s"),
    "overhead": Name("overhead_s", "s"),
    "est_downtime": Name("expected_downtime_s", "s"),
    "elapsed": Name("t_s", "s"),
    "avg_bw": Name("average_bytes_per_s", "B/s"),
}
_CRIU: Final = {
    "dump.freezing_time": Name("freezing_s", "us", 1e-6),
    "dump.frozen_time": Name("frozen_s", "us", 1e-6),
    "dump.memdump_time": Name("memory_dump_s", "us", 1e-6),
    "dump.memwrite_time": Name("memory_write_s", "us", 1e-6),
    "dump.pages_scanned": Name("scanned_pages", "pages"),
    "dump.pages_skipped_parent": Name("unchanged_pages", "pages"),
    "dump.pages_written": Name("normal_pages", "pages"),
    "dump.pages_lazy": Name("lazy_pages", "pages"),
    "dump.page_pipes": _count("page_pipes"),
    "dump.page_pipe_bufs": _count("page_pipe_buffers"),
    "dump.irmap_resolve": Name("inode_resolve_s", "us", 1e-6),
    "dump.shpages_scanned": Name("shared_scanned_pages", "pages"),
    "dump.shpages_skipped_parent": Name("shared_unchanged_pages", "pages"),
    "dump.shpages_written": Name("shared_written_pages", "pages"),
    "restore.pages_compared": Name("compared_pages", "pages"),
    "restore.pages_skipped_cow": Name("shared_cow_pages", "pages"),
    "restore.forking_time": Name("forking_s", "us", 1e-6),
    "restore.restore_time": Name("restore_s", "us", 1e-6),
    "restore.pages_restored": Name("restored_pages", "pages"),
}
_VDSM: Final = {
    "total": _bytes("total_bytes"),
    "processed": _bytes("sent_bytes"),
    "remaining": _bytes("remaining_bytes"),
    "speed": Name("bandwidth_bytes_per_s", "MB/s"),
    "dirty": Name("dirtied_pages_per_s", "pages/s"),
    "iteration": _count("iteration"),
}
TABLES: Final[Mapping[str, Mapping[str, Name]]] = {
    "qmp": _QMP,
    "hmp": _HMP,
    "virsh": _VIRSH,
    "jobstats": _JOBSTATS,
    "kubevirt": _KUBEVIRT,
    "metrics": _METRICS,
    "guestperf": _GUESTPERF,
    "cloud-hypervisor": _CLOUD_HYPERVISOR,
    "criu": _CRIU,
    "vdsm": _VDSM,
}

# Units as tools print them, to ours (bytes, seconds, bytes a second, pages, shares).
UNITS: Final[Mapping[str, float]] = {
    "": 1,
    **dict.fromkeys(("B", "byte", "bytes", "B/s", "bytes/second", "pages", "page", "pages/s", "pps", "times"), 1),
    **dict.fromkeys(("s", "sec", "secs", "seconds"), 1),
    **dict.fromkeys(("kbytes", "KiB", "Ki", "K", "KiB/s"), KIB),
    **dict.fromkeys(("MiB", "Mi", "M", "MiB/s"), MIB),
    **dict.fromkeys(("GiB", "Gi", "G", "GiB/s"), GIB),
    **dict.fromkeys(("TiB", "Ti", "T", "TiB/s"), GIB * KIB),
    **dict.fromkeys(("kB", "KB", "kB/s", "KB/s"), 1e3),
    **dict.fromkeys(("MB", "MB/s"), 1e6),
    **dict.fromkeys(("GB", "GB/s"), 1e9),
    **dict.fromkeys(("mbps", "Mbps", "Mb/s", "Mbit/s"), MEGABIT),
    **dict.fromkeys(("Gbps", "Gb/s", "Gbit/s"), 1e3 * MEGABIT),
    **dict.fromkeys(("kbps", "Kbps", "kbit/s"), 1e-3 * MEGABIT),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    "us": 1e-6,
    "ns": 1e-9,
    "min": 60,
    "%": 1e-2,
}
# Where a tool's unit is not what it says: QEMU's MB/s of dirty rates and Proxmox's MB/s are powers of two.
UNITS_OF: Final[Mapping[str, Mapping[str, float]]] = {
    "hmp": {"KB": KIB, "MB": MIB, "MB/s": MIB},
    "virsh": {"MB/s": MIB},
    "proxmox": {"MB": MIB, "MB/s": MIB},
    "vdsm": {"MB": MIB, "MB/s": MIB, "MBps": MIB, "Mbps": MIB},
}
