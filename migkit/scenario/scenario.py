"""One migration to predict or to run: guest, link, host, policy, strategy."""

from __future__ import annotations

import dataclasses

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
