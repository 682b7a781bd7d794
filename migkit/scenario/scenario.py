"""One migration to predict or to run: guest, link, host, policy, strategy."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np

from migkit.scenario.guest import Guest
from migkit.scenario.host import Host
from migkit.scenario.link import Link
from migkit.scenario.policy import Policy
from migkit.scenario.strategy import Strategy

__all__ = ["Scenario"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The shared noun of simulator, harness, hypervisor lab and traces.

    Examples
    --------
    >>> Scenario(guest=Guest(memory_bytes=256 * 2**20)).policy.name
    'qemu'
    """

    guest: Guest
    link: Link = Link()
    host: Host = Host()
    policy: Policy = Policy()
    strategy: Strategy = Strategy()

    @property
    def xbzrle_cache_bytes(self) -> float | None:
        """What the source remembers of pages that it sent [B]; None: pages are sent in full.

        Some systems send differences without being asked, and remember a tenth of the memory, up to a power of two
        (Proxmox, qemu-server PVE/QemuMigrate.pm); not beside a compression, since differences are not compressed.

        Examples
        --------
        >>> guest = Guest(memory_bytes=2**32)
        >>> Scenario(guest=guest).xbzrle_cache_bytes is None
        True
        >>> print(Scenario(guest=guest, policy=Policy(name="proxmox")).xbzrle_cache_bytes)
        536870912.0
        """
        if self.strategy.xbzrle:
            return self.strategy.xbzrle_cache_bytes
        if self.policy.preset.xbzrle and self.strategy.compression == "none":
            return cast(float, 2.0 ** np.ceil(np.log2(self.guest.memory_bytes / 10.0)))
        return None
