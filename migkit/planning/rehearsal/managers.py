"""How managers empty a host: which rule ends a migration, how many run at once, what follows one that failed.

A manager asks for all migrations of a host at once. They wait in its queue for slots and start wherever there is
room; the host with the largest free part of its memory is taken, as schedulers that spread their load do. What a
manager does with a migration that its rule gave up is what they differ in most.

Sources: KubeVirt, ``handleMigrationBackoff`` and ``handleTargetPodCreation`` of
pkg/virt-controller/watch/migration/migration.go (a migration of an evacuation that failed is made anew after 20 s,
then 40 s, and so on; those that wait look for a slot every 5 s, each at its own moment, so that the next one is any
of them); oVirt engine, ``HostPreparingForMaintenanceIdleTime`` (300 s between two attempts to empty a host); Nova,
Watcher, Proxmox VE and Incus try each migration of an evacuation once. Limits: :mod:`migkit.planning.slots`; rules of
migrations: :mod:`migkit.policies.built_in`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Final

from migkit.errors import UsageError, shown
from migkit.planning.slots import MANAGERS as LIMITS
from migkit.planning.slots import Limit

__all__ = ["PRODUCTS", "Manager", "manager_of"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """How a manager empties hosts.

    Attributes
    ----------
    name
        What it is called.
    policy
        The rule of its migrations, a name of :func:`migkit.scenario.policy.presets`.
    limits
        How many migrations run at once.
    attempts
        How often it tries one migration; infinite: until it succeeds.
    backoff_s, backoff_factor
        Time between the first failure and the next attempt [s], and by how much it grows with each failure.
    is_shuffled
        Those that wait get their turn in any order; else in the order of the inventory.
    follows_plan
        It is no manager but the plan of :func:`migkit.planning.drain.drain`, carried out in its order.
    """

    name: str
    policy: str = "qemu"
    limits: tuple[Limit, ...] = ()
    attempts: float = 1.0
    backoff_s: float = 0.0
    backoff_factor: float = 1.0
    is_shuffled: bool = False
    follows_plan: bool = False


def _of_kubevirt(name: str, policy: str, limits: str) -> Manager:
    return Manager(
        name=name,
        policy=policy,
        limits=LIMITS[limits],
        attempts=math.inf,
        backoff_s=20.0,
        backoff_factor=2.0,
        is_shuffled=True,
    )


PRODUCTS: Final[Mapping[str, Manager]] = {
    one.name: one
    for one in (
        Manager(name="plan", follows_plan=True),
        _of_kubevirt("kubevirt", "kubevirt", "kubevirt"),
        _of_kubevirt("openshift", "kubevirt", "kubevirt"),
        _of_kubevirt("openshift-2026", "openshift-2026", "hco"),
        _of_kubevirt("deckhouse", "deckhouse", "deckhouse"),
        Manager(name="nova", policy="nova", limits=LIMITS["nova"]),
        Manager(name="watcher", policy="nova", limits=LIMITS["watcher"]),
        Manager(name="ovirt", policy="ovirt", limits=LIMITS["ovirt"], attempts=math.inf, backoff_s=300.0),
        Manager(name="proxmox", policy="proxmox", limits=LIMITS["proxmox"]),
        Manager(name="incus", policy="incus", limits=(Limit("host", 1, "out"),)),
        Manager(name="vmware", policy="vmware-like", limits=LIMITS["vmware"]),
    )
}


def manager_of(given: Manager | str) -> Manager:
    """Return a manager by its name.

    Raises
    ------
    UsageError
        There is none of this name.

    Examples
    --------
    >>> manager_of("openshift-2026").limits[1]
    Limit(scope='host', slots=1, direction='out', cost=1, storage_cost=None)
    """
    if isinstance(given, Manager):
        return given
    if given not in PRODUCTS:
        near = difflib.get_close_matches(given, PRODUCTS, n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise UsageError(f"manager: {shown(given)} is not known; use one of {', '.join(PRODUCTS)}{hint}")
    return PRODUCTS[given]
