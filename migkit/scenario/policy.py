"""Named rules that decide when a migration goes on, switches over, throttles or gives up."""

from __future__ import annotations

import dataclasses
import math

from migkit.scenario._fields import bounded, check

__all__ = ["Policy"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A hypervisor's or manager's rule and its settings.

    Attributes
    ----------
    name
        Which rule; ``qemu`` is documented in :mod:`migkit.kernels.policy`.
    max_bandwidth_bytes_per_s
        Cap on what the migration sends [B/s]. QEMU's own default is 128 MiB/s.
    downtime_limit_s
        The pause that may be planned for at switchover [s]. QEMU's default is 300 ms.
    time_limit_s
        Give up when the migration has lasted this long [s].
    """

    name: str = bounded("qemu", choices=("qemu",))
    max_bandwidth_bytes_per_s: float = bounded(128.0 * 2**20, above=True)
    downtime_limit_s: float = bounded(0.3, high=2000.0)
    time_limit_s: float = bounded(math.inf, above=True)

    def __post_init__(self) -> None:
        check(self, "policy")
