"""Settings that a log can show, by the names of QEMU: our name, unit, factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from migkit.importers.names import Name
from migkit.units import MIB

__all__ = ["SETTINGS"]

SETTINGS: Final[Mapping[str, Name]] = {
    "downtime-limit": Name("downtime_limit_s", "ms", 1e-3),
    "max-bandwidth": Name("max_bandwidth_bytes_per_s", "B/s"),
    "avail-switchover-bandwidth": Name("switchover_bandwidth_bytes_per_s", "B/s"),
    "max-postcopy-bandwidth": Name("max_postcopy_bandwidth_bytes_per_s", "B/s"),
    "cpu-throttle-initial": Name("throttle_initial", "%", 1e-2),
    "cpu-throttle-increment": Name("throttle_increment", "%", 1e-2),
    "max-cpu-throttle": Name("throttle_max", "%", 1e-2),
    "throttle-trigger-threshold": Name("throttle_trigger", "%", 1e-2),
    "multifd-channels": Name("multifd_channels", "1"),
    "xbzrle-cache-size": Name("xbzrle_cache_bytes", "B"),
    "vcpu-dirty-limit": Name("vcpu_dirty_limit_bytes_per_s", "MiB/s", MIB),
    "x-vcpu-dirty-limit-period": Name("vcpu_dirty_limit_period_s", "ms", 1e-3),
}
