"""The columns of a record's frame, with their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["COLUMNS", "NO_LIMIT", "RATE_COLUMNS", "TOTALS"]

NO_LIMIT: Final = 2.0**60
"""A cap of at least this is none [B/s]: QEMU and libvirt write the largest number where there is none."""

COLUMNS: Final[Mapping[str, str]] = {
    "t_s": "time since the request, as the source counts it [s]",
    "logged_s": "clock of the log when the line was written [s]; meta['clock'] says which clock",
    "phase": "setup, precopy, stopcopy, postcopy, done or other",
    "status": "state as the source says it",
    "iteration": "bitmap syncs so far, the first one included",
    "remaining_bytes": "memory still to send [B]",
    "sent_bytes": "sent since the request [B]",
    "total_bytes": "size of memory [B]",
    "normal_pages": "pages sent in full",
    "zero_pages": "pages sent as zero pages",
    "normal_bytes": "bytes of the pages sent in full [B]",
    "page_bytes": "size of a page [B]",
    "dirtied_pages_per_s": "pages marked dirty a second, over the last sync period that was long enough",
    "bandwidth_bytes_per_s": "bytes sent a second [B/s]",
    "pages_per_s": "pages sent a second",
    "throttle": "share of time that auto-converge takes from the processors",
    "expected_downtime_s": "downtime as the source expected it [s]",
    "downtime_s": "downtime as the source counts it [s]",
    "setup_s": "time of the set-up [s]",
    "postcopy_faults": "pages that the destination asked for",
    "precopy_bytes": "sent while the guest ran at the source [B]",
    "downtime_bytes": "sent while the guest stood [B]",
    "postcopy_bytes": "sent while the guest ran at the destination [B]",
    "multifd_bytes": "sent over the channels of multifd [B]",
    "missed_zero_copy": "syncs at which zero-copy fell back to copying",
    "system_remaining_bytes": "all that is still to send, devices included [B]",
    "vfio_sent_bytes": "sent by VFIO devices [B]",
    "disk_total_bytes": "size of the disks that move [B]",
    "disk_remaining_bytes": "of the disks still to send [B]",
    "disk_sent_bytes": "sent of the disks [B]",
    "disk_bandwidth_bytes_per_s": "bytes of disks sent a second [B/s]",
    "skipped_pages": "pages passed over",
    "xbzrle_cache_bytes": "size of XBZRLE's cache [B]",
    "xbzrle_bytes": "sent by XBZRLE [B]",
    "xbzrle_pages": "pages sent as differences",
    "xbzrle_cache_misses": "pages that were not in XBZRLE's cache",
    "xbzrle_cache_miss_rate": "share of pages that were not in XBZRLE's cache",
    "xbzrle_encoding_rate": "how much smaller differences are than pages",
    "xbzrle_overflows": "pages whose difference was too large",
    "dirty_limit_throttle_s": "longest throttle of a processor in a round of the dirty limit [s]",
    "dirty_limit_ring_full_s": "expected time to fill a dirty ring [s]",
    "done": "share of all that is done, as the source says it",
    "round_bytes": "memory that the round had to send [B]",
}
RATE_COLUMNS: Final[Mapping[str, str]] = {
    "started_s": "start of the window, as the source counts it [s]",
    "logged_s": "clock of the log when the line was written [s]",
    "window_s": "length of the window [s]",
    "dirtied_bytes_per_s": "unique memory dirtied in the window, a second [B/s]",
    "vcpu": "virtual processor; -1: the whole guest",
    "mode": "page-sampling, dirty-bitmap or dirty-ring",
    "status": "unstarted, measuring or measured",
    "sample_pages_per_gib": "pages sampled of each GiB",
}
# Values of which a record keeps the last one as its totals.
TOTALS: Final = (
    "t_s",
    "downtime_s",
    "downtime_net_s",
    "total_time_net_s",
    "setup_s",
    "sent_bytes",
    "total_bytes",
    "normal_pages",
    "zero_pages",
    "page_bytes",
    "iteration",
    "postcopy_faults",
    "average_bytes_per_s",
)
