"""One migration to predict or to run: guest, link, host, policy, strategy."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np

from migkit.scenario.form.declaration import documented, rule
from migkit.scenario.form.fields import Noun
from migkit.scenario.guest import Guest
from migkit.scenario.installation.host import Host
from migkit.scenario.installation.platforms import platform_of
from migkit.scenario.link import Link
from migkit.scenario.policy import Policy
from migkit.scenario.strategy import Strategy

__all__ = ["Scenario"]


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Noun):
    """The shared noun of simulator, harness, hypervisor lab and traces.

    Examples
    --------
    >>> Scenario(guest=Guest(memory_bytes=256 * 2**20)).policy.name
    'qemu'
    """

    guest: Guest = dataclasses.field(metadata=rule("What is moved."))
    link: Link = dataclasses.field(default=Link(), metadata=rule("The path between the two hosts."))
    host: Host = dataclasses.field(default=Host(), metadata=rule("What the two hosts and their software cost."))
    policy: Policy = dataclasses.field(default=Policy(), metadata=rule("When to switch over, throttle or give up."))
    strategy: Strategy = dataclasses.field(default=Strategy(), metadata=rule("The manner of moving."))

    def __post_init__(self) -> None:
        platform = self.host.platform or platform_of(self.policy.name)
        object.__setattr__(self, "host", self.host.on(platform))

    @property
    def hosts_known(self) -> str:
        """Whether the constants of the hosts are stated, or which platform's typical ones stand in, in a few words.

        Examples
        --------
        >>> guest = Guest(memory_bytes=2**28)
        >>> Scenario(guest=guest).hosts_known
        'uncalibrated: typical of qemu-kvm'
        >>> Scenario(guest=guest, host=Host(goodput_bytes_per_s=1e9, load_s=0.01)).hosts_known
        'as stated, the rest typical of qemu-kvm'
        """
        platform = self.host.platform or platform_of(self.policy.name)
        if not self.host.uncertain:
            return "as stated"
        return f"{'as stated, the rest' if self.host.is_calibrated else 'uncalibrated:'} typical of {platform}"

    @property
    def is_encrypted(self) -> bool:
        """Whether each stream is encrypted: the strategy says so, or the system does so without being asked.

        Proxmox sends pages through an ssh tunnel unless its setting ``secure`` is 0 (datacenter.cfg, migration).

        Examples
        --------
        >>> guest = Guest(memory_bytes=2**32)
        >>> Scenario(guest=guest, policy=Policy(name="proxmox")).is_encrypted
        True
        >>> Scenario(guest=guest, policy=Policy.named("proxmox", secure=0)).is_encrypted
        False
        """
        preset = self.policy.preset
        tunnel = any(one.name == "secure" for one in preset.settings) and self.policy.setting("secure") > 0
        return self.strategy.tls or preset.system.tls.always or tunnel

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
        if self.policy.preset.system.xbzrle.always and self.strategy.compression == "none":
            return cast(float, 2.0 ** np.ceil(np.log2(self.guest.memory_bytes / 10.0)))
        return None
