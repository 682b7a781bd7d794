"""How many migrations a manager lets run at once, as slots of hosts, network paths, storage pools and clusters.

Sources: VMware vSphere, limits on simultaneous migrations (https://techdocs.broadcom.com); KubeVirt, live migration
(https://kubevirt.io/user-guide/compute/live_migration); OpenShift's hyperconverged-cluster-operator
(https://github.com/kubevirt/hyperconverged-cluster-operator/pull/4426); OpenStack Watcher, weights of the workload
applier (https://docs.openstack.org/watcher); Nova, ``max_concurrent_live_migrations``
(https://docs.openstack.org/nova/latest/configuration/config.html); oVirt vdsm, ``max_outgoing_migrations`` and
``max_incoming_migrations`` (https://github.com/oVirt/vdsm); Proxmox VE, ``max_workers`` of datacenter.cfg
(https://pve.proxmox.com/wiki/Manual:_datacenter.cfg); Deckhouse's virtualization, pull request 1082.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from migkit.errors import UsageError, shown

__all__ = ["MANAGERS", "Limit", "limits_of"]

SCOPES: Final = ("host", "nic", "pool", "cluster")
DIRECTIONS: Final = ("both", "out", "in")


class Limit(NamedTuple):
    """Slots of each host, path, pool or cluster.

    Attributes
    ----------
    scope
        Whose slots: ``host``, ``nic``, ``pool`` or ``cluster``.
    slots
        How many each has.
    direction
        ``out``: migrations that leave it pay; ``in``: those that come; ``both``: either, one that stays within pays
        once.
    cost
        Slots that a migration takes.
    storage_cost
        Slots that a migration takes which copies disks; None: the same.
    """

    scope: str
    slots: int
    direction: str = "both"
    cost: int = 1
    storage_cost: int | None = None

    def __str__(self) -> str:
        way = {"both": "", "out": " out", "in": " in"}[self.direction]
        return f"{self.slots} slot{'s' if self.slots > 1 else ''} a {self.scope}{way}"


MANAGERS: Final[Mapping[str, tuple[Limit, ...]]] = {
    "none": (),
    "vmware": (Limit("host", 16, cost=2, storage_cost=8), Limit("nic", 8), Limit("pool", 128, storage_cost=16)),
    "kubevirt": (Limit("cluster", 5), Limit("host", 2, "out")),
    "hco": (Limit("cluster", 5), Limit("host", 1, "out")),
    "watcher": (Limit("cluster", 6), Limit("host", 2), Limit("pool", 2)),
    "nova": (Limit("host", 1, "out"),),
    "ovirt": (Limit("host", 2, "out"), Limit("host", 2, "in")),
    "proxmox": (Limit("cluster", 4),),
    "deckhouse": (Limit("host", 1, "out"), Limit("host", 1, "in")),
}
_TEXT: Final = re.compile(r"(\w+)(?:[-.](in|out|both))?\s*=\s*(\d+)(?:\s*/\s*(\d+)(?:\s*,\s*(\d+))?)?")


def limits_of(text: str) -> tuple[Limit, ...]:
    """Return the limits of a manager, or the one that ``SCOPE[-DIRECTION]=SLOTS[/COST[,STORAGE_COST]]`` says.

    Raises
    ------
    UsageError
        It is neither.

    Examples
    --------
    >>> limits_of("kubevirt")[1]
    Limit(scope='host', slots=2, direction='out', cost=1, storage_cost=None)
    >>> limits_of("host-in=4/2")
    (Limit(scope='host', slots=4, direction='in', cost=2, storage_cost=None),)
    """
    if text in MANAGERS:
        return MANAGERS[text]
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"limits: {shown(text)} is not known; use one of {', '.join(MANAGERS)}, or a limit such as host-out=2"
        )
    scope, direction, slots, cost, storage = found.groups()
    if scope not in SCOPES:
        raise UsageError(f"limits: {shown(scope)} has no slots; use one of {', '.join(SCOPES)}")
    limit = Limit(scope, int(slots), direction or "both", int(cost or 1), int(storage) if storage else None)
    dearest = max(limit.cost, limit.storage_cost or 0)
    if limit.cost < 1 or dearest > limit.slots:
        raise UsageError(
            f"limits: {shown(text)} lets no migration run; the cost must be at least 1, at most the slots"
        )
    return (limit,)
