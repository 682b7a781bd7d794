"""One wave as arrays: which machines must move, what hosts have, what a migration takes of each resource."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from migkit.planning.durations import Durations
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit

__all__ = ["KINDS", "Fleet", "Problem"]

KINDS = ("memory", "processors", "local disks")


@dataclasses.dataclass(frozen=True)
class Fleet:
    """An inventory as arrays that do not change while it is drained.

    Attributes
    ----------
    capacity
        Memory [B], processors and local disks [B] of each host; shape (hosts, 3).
    use
        The same of each machine; shape (machines, 3).
    home
        Host of each machine at the beginning.
    group
        Anti-affinity group of each machine, -1 for none.
    pool, cluster, nic
        Number of each host's pool, cluster and network path.
    link_bytes_per_s
        What each path carries each way.
    copies
        Whether each machine's disks are copied along.
    bound_for
        Host that each machine is moving to already, -1: it is not.
    """

    vms: Any
    hosts: Any
    capacity: np.ndarray
    use: np.ndarray
    home: np.ndarray
    group: np.ndarray
    pool: np.ndarray
    cluster: np.ndarray
    nic: np.ndarray
    link_bytes_per_s: np.ndarray
    priority: np.ndarray
    pinned: np.ndarray
    copies: np.ndarray
    bound_for: np.ndarray
    durations: Durations
    fewest_bytes: np.ndarray
    efficient_bytes_per_s: np.ndarray
    group_names: np.ndarray
    limits: tuple[Limit, ...]

    @classmethod
    def of(
        cls,
        inventory: Inventory,
        durations: Durations,
        limits: Sequence[Limit],
        bound_for: np.ndarray | None = None,
    ) -> Fleet:
        """Return an inventory as arrays; nothing is moving unless ``bound_for`` says so."""
        import pandas as pd

        vms, hosts = inventory.vms, inventory.hosts
        place = {name: at for at, name in enumerate(hosts["host"])}
        own = [f"\0{at}" for at in range(len(hosts))]
        nics = hosts["nic"].where(hosts["nic"].notna(), own)
        nic = _codes(nics)
        link = np.zeros(nic.max() + 1)
        np.maximum.at(link, nic, hosts["link_bytes_per_s"].to_numpy())
        home = vms["host"].map(place).to_numpy(dtype=np.int64)
        most = link[nic].max()
        return cls(
            vms=vms["vm"].to_numpy(),
            hosts=hosts["host"].to_numpy(),
            capacity=hosts[["memory_bytes", "processors", "local_disk_bytes"]].to_numpy(dtype=float),
            use=vms[["memory_bytes", "processors", "local_disk_bytes"]].to_numpy(dtype=float),
            home=home,
            group=_codes(vms["anti_affinity"]),
            pool=_codes(hosts["pool"]),
            cluster=_codes(hosts["cluster"]),
            nic=nic,
            link_bytes_per_s=link,
            priority=vms["priority"].to_numpy(dtype=float),
            pinned=vms["pinned"].notna().to_numpy(),
            copies=(vms["local_disk_bytes"] > 0).to_numpy(),
            bound_for=bound_for if bound_for is not None else np.full(len(vms), -1, dtype=np.int64),
            durations=durations,
            fewest_bytes=durations.fewest_bytes(np.full(len(vms), most)),
            efficient_bytes_per_s=durations.efficient_bytes_per_s(),
            group_names=pd.factorize(vms["anti_affinity"])[1].to_numpy(),
            limits=tuple(limits),
        )

    def part(self, hosts: np.ndarray) -> Fleet:
        """Return some hosts and the machines on them as a fleet of their own."""
        number = np.full(len(self.hosts), -1, dtype=np.int64)
        number[hosts] = np.arange(hosts.size)
        vms = np.flatnonzero(number[self.home] >= 0)
        _, nic = np.unique(self.nic[hosts], return_inverse=True)
        link = np.zeros(nic.max() + 1)
        link[nic] = self.link_bytes_per_s[self.nic[hosts]]
        return dataclasses.replace(
            self,
            vms=self.vms[vms],
            hosts=self.hosts[hosts],
            capacity=self.capacity[hosts],
            use=self.use[vms],
            home=number[self.home[vms]],
            group=self.group[vms],
            pool=self.pool[hosts],
            cluster=self.cluster[hosts],
            nic=nic,
            link_bytes_per_s=link,
            priority=self.priority[vms],
            pinned=self.pinned[vms],
            copies=self.copies[vms],
            bound_for=np.where(self.bound_for[vms] >= 0, number[self.bound_for[vms]], -1),
            durations=self.durations.of(vms),
            fewest_bytes=self.fewest_bytes[vms],
            efficient_bytes_per_s=self.efficient_bytes_per_s[vms],
        )

    @property
    def demand_bytes_per_s(self) -> float:
        """The most that one migration takes of a link [B/s]."""
        return float(self.durations.rates_bytes_per_s[:, -1].max())

    @property
    def carries(self) -> np.ndarray:
        """What the path of each host carries [B/s]."""
        return np.asarray(self.link_bytes_per_s[self.nic])

    def taken(self, at: np.ndarray) -> np.ndarray:
        """Return what machines take of each host where they are; shape (hosts, 3)."""
        out = np.zeros_like(self.capacity)
        np.add.at(out, at, self.use)
        return out

    def may_go(
        self, machines: np.ndarray, at: np.ndarray, open_hosts: np.ndarray, ignored: Collection[str] = ()
    ) -> np.ndarray:
        """Return which open hosts share cluster and storage with each machine, over links on which it ends.

        Parameters
        ----------
        machines, at
            Numbers of machines, and the host that every machine of the fleet is on.
        open_hosts
            Hosts that may be destinations.
        ignored
            Of ``cluster``, ``storage pool`` and ``link``, what does not count.

        Returns
        -------
        good
            Of shape (machines, hosts).
        """
        source = at[machines]
        good = (source[:, None] != np.arange(len(self.hosts))[None, :]) & open_hosts[None, :]
        if "cluster" not in ignored:
            good &= self.cluster[source][:, None] == self.cluster[None, :]
        if "storage pool" not in ignored:
            good &= (self.pool[source][:, None] == self.pool[None, :]) | self.copies[machines][:, None]
        if "link" not in ignored:
            alone = np.minimum(self.carries[source][:, None], self.carries[None, :])
            good &= alone >= self.critical_bytes_per_s[machines][:, None]
        return np.asarray(good)

    @property
    def critical_bytes_per_s(self) -> np.ndarray:
        """The least share at which each machine ends [B/s]; infinite where it never does."""
        least = np.where(self.durations.proportional, 0.0, self.durations.rates_bytes_per_s[:, 0])
        return np.where(self.durations.ends, least, np.inf)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Machines that must move, and the room for them.

    Attributes
    ----------
    machines
        Their numbers in the fleet.
    source
        Host that each leaves.
    open_hosts
        Hosts that may be destinations at all.
    allowed
        Hosts that each may go to; shape (machines, hosts).
    free
        What hosts have left before anything moves, below 0 where they hold too much; shape (hosts, 3).
    members
        Machines of each anti-affinity group on each host, those that move included; shape (groups, hosts).
    group
        Group of each machine among those of ``members``, -1 for none.
    weight
        How many times as busy as it is each host counts as a destination; more than 1: it is to be emptied later.
    """

    fleet: Fleet
    machines: np.ndarray
    source: np.ndarray
    open_hosts: np.ndarray
    allowed: np.ndarray
    free: np.ndarray
    members: np.ndarray
    group: np.ndarray
    weight: np.ndarray
    slots: Slots

    @classmethod
    def of(
        cls,
        fleet: Fleet,
        machines: np.ndarray,
        at: np.ndarray,
        open_hosts: np.ndarray,
        weight: np.ndarray,
        to: np.ndarray | None = None,
    ) -> Problem:
        """Return the problem of moving machines from where they are to open hosts, or each to its host in ``to``."""
        free = fleet.capacity - fleet.taken(at)
        allowed = fleet.may_go(machines, at, open_hosts)
        if to is not None:
            allowed &= to[:, None] == np.arange(len(fleet.hosts))[None, :]
        bound = fleet.bound_for[machines]
        allowed &= (bound[:, None] < 0) | (bound[:, None] == np.arange(len(fleet.hosts))[None, :])
        groups, group = np.unique(fleet.group[machines], return_inverse=True)
        offset = int(groups.size > 0 and groups[0] < 0)
        members = np.zeros((groups.size - offset, len(fleet.hosts)), dtype=np.int16)
        code = {int(name): number for number, name in enumerate(groups[offset:])}
        for machine in np.flatnonzero(np.isin(fleet.group, groups[offset:])).tolist():
            members[code[int(fleet.group[machine])], at[machine]] += 1
        slots = Slots.of(fleet, machines)
        return cls(fleet, machines, at[machines], open_hosts, allowed, free, members, group - offset, weight, slots)

    @property
    def size(self) -> int:
        """How many machines move."""
        return int(self.machines.size)


@dataclasses.dataclass(frozen=True)
class Slots:
    """Slots as resources: one for each host, path, pool or cluster that a limit counts.

    Attributes
    ----------
    capacity
        Slots of each resource.
    out, into
        Resource that a migration pays when it leaves or comes to a host, -1 for none; shape (limits, hosts).
    cost
        Slots that each machine takes; shape (limits, machines).
    """

    capacity: np.ndarray
    out: np.ndarray
    into: np.ndarray
    cost: np.ndarray

    @classmethod
    def of(cls, fleet: Fleet, machines: np.ndarray) -> Slots:
        """Return the slots that the limits of a fleet give."""
        capacity: list[float] = []
        hosts = len(fleet.hosts)
        shape = (len(fleet.limits), hosts)
        out, into = np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
        cost = np.zeros((len(fleet.limits), machines.size))
        owner = {"host": np.arange(hosts), "nic": fleet.nic, "pool": fleet.pool, "cluster": fleet.cluster}
        for at, limit in enumerate(fleet.limits):
            number = owner[limit.scope] - owner[limit.scope].min()
            resources = len(capacity) + number
            capacity += [float(limit.slots)] * (int(number.max()) + 1)
            if limit.direction != "in":
                out[at] = resources
            if limit.direction != "out":
                into[at] = resources
            dear = limit.cost if limit.storage_cost is None else limit.storage_cost
            cost[at] = np.where(fleet.copies[machines], dear, limit.cost)
        return cls(np.array(capacity), out, into, cost)


def _codes(names: Any) -> np.ndarray:
    """Return a number for each name; -1 where there is none."""
    import pandas as pd

    return np.asarray(pd.factorize(names)[0], dtype=np.int64)
