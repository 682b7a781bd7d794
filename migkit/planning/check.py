"""An independent checker of plans: it replays the moves event by event and knows nothing of how they were planned.

It takes the inventory as it was read, the moves with their starts, and how fast each machine migrates at a share. It
works out itself what each migration gets of the links, when it ends, and what every host holds meanwhile.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.planning.slots import Limit
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.durations import Durations
    from migkit.planning.inventory import Inventory

__all__ = ["replayed", "violations"]

_CLOSE: Final = 1e-6  # relative; times and amounts that differ by less are equal
Way = tuple[str, str]


def violations(
    inventory: Inventory,
    moves: pd.DataFrame,
    emptied: pd.DataFrame,
    durations: Durations,
    limits: Sequence[Limit] = (),
    *,
    deadline_s: float = math.inf,
    return_home: bool = False,
    most_moves: float = math.inf,
) -> list[str]:
    """Return what a plan breaks, each in one sentence; none: it may be carried out.

    Parameters
    ----------
    inventory
        Machines and hosts before anything moves.
    moves
        ``vm``, ``source``, ``destination``, ``start_s``, ``end_s``.
    emptied
        ``host``, ``empty_s``, ``until_s``: between these times it must hold no machine.
    durations
        Of the inventory's machines, in their order.
    limits
        Slots that must not be exceeded.
    deadline_s, return_home, most_moves
        As :func:`migkit.planning.drain.drain`.

    Examples
    --------
    >>> import pandas as pd
    >>> from migkit.planning.durations import Durations
    >>> from migkit.planning.inventory import Inventory
    >>> fleet = Inventory.read([{"vm": "x", "host": "a", "memory": "4 GiB"}],
    ...                        [{"host": name, "memory": "8 GiB", "link": "1 Gbit/s"} for name in "ab"])
    >>> table = Durations(np.array([[1e6, 1e9]]), np.array([[1e-4, 1e-1]]), np.array([True]))
    >>> moves = pd.DataFrame({"vm": ["x"], "source": ["a"], "destination": ["b"], "start_s": [0.0], "end_s": [1.0]})
    >>> emptied = pd.DataFrame({"host": ["a"], "empty_s": [80.0], "until_s": [90.0]})
    >>> violations(fleet, moves, emptied, table)
    ['x: it is said to end at 1 s, it ends at 80 s']
    """
    state = _State(inventory, limits)
    broken = [*state.wrong_names(moves)]
    if broken:
        return broken
    ends_s, times = replayed(inventory, moves, durations)
    broken += _wrong_ends(moves, ends_s)
    broken += state.replay(moves, ends_s)
    broken += _not_empty(inventory, moves, ends_s, emptied)
    if times > deadline_s * (1.0 + _CLOSE):
        broken.append(f"all is done at {format_duration(times)}, the deadline is {format_duration(deadline_s)}")
    if len(moves) > most_moves:
        broken.append(f"there are {len(moves)} moves, at most {most_moves:g} are allowed")
    if return_home:
        away = [vm for vm, host, home in state.places() if host != home]
        broken += [f"{vm}: it does not return home" for vm in away]
    return broken


def replayed(inventory: Inventory, moves: pd.DataFrame, durations: Durations) -> tuple[np.ndarray, float]:
    """Return when each move ends if all start as planned and share the links [s], and when the last does.

    A move that never ends has an infinite end.
    """
    nic = dict(zip(inventory.hosts["host"], inventory.hosts["nic"], strict=True))
    path = {host: name if name is not None else f"{host}\0" for host, name in nic.items()}
    carries: dict[Way, float] = {}
    for host, rate in zip(inventory.hosts["host"], inventory.hosts["link_bytes_per_s"], strict=True):
        for way in ("out", "in"):
            carries[way, path[host]] = max(rate, carries.get((way, path[host]), 0.0))
    row = {vm: at for at, vm in enumerate(inventory.vms["vm"])}
    wires = _Wires(carries)
    machine = [row[vm] for vm in moves["vm"]]
    ways = [
        (("out", path[source]), ("in", path[target]))
        for source, target in zip(moves["source"], moves["destination"], strict=True)
    ]
    ends = np.full(len(moves), math.inf)
    starts = sorted(zip(moves["start_s"].tolist(), range(len(moves)), strict=True))
    flows = _Flows(durations, machine, ways, wires)
    at = 0
    while at < len(starts) or flows.running:
        start_s = starts[at][0] if at < len(starts) else math.inf
        next_s = flows.next_end_s()
        if math.isinf(start_s) and math.isinf(next_s):
            break
        if next_s <= start_s + _CLOSE * max(1.0, start_s):
            for move in flows.finish(next_s):
                ends[move] = next_s
            continue
        while at < len(starts) and starts[at][0] <= start_s + 1e-12:
            flows.start(starts[at][1], start_s)
            at += 1
        flows.share(start_s)
    return ends, float(ends.max(initial=0.0))


class _Wires:
    """Links, by direction and path, and who is on each."""

    def __init__(self, carries: dict[Way, float]) -> None:
        self.carries = carries
        self.users: dict[Way, set[int]] = defaultdict(set)


class _Flows:
    """Migrations that run: their progress, and when each would end as things are.

    Only migrations connected by a chain of links to one that began or ended change their share, so only these are
    worked out again.
    """

    def __init__(self, durations: Durations, machine: list[int], ways: list[tuple[Way, Way]], wires: _Wires) -> None:
        self.durations, self.machine, self.ways, self.wires = durations, machine, ways, wires
        self.most = durations.rates_bytes_per_s[:, -1].tolist()
        self.running: dict[int, tuple[float, float, float]] = {}  # progress, speed, since
        self.queue: list[tuple[float, int, int]] = []
        self.version: dict[int, int] = defaultdict(int)
        self.touched: set[Way] = set()

    def start(self, move: int, now_s: float) -> None:
        self.running[move] = (0.0, 0.0, now_s)
        for way in self.ways[move]:
            self.wires.users[way].add(move)
            self.touched.add(way)

    def next_end_s(self) -> float:
        while self.queue and self.queue[0][2] != self.version[self.queue[0][1]]:
            heapq.heappop(self.queue)
        return self.queue[0][0] if self.queue else math.inf

    def finish(self, now_s: float) -> list[int]:
        """Take off what ends now, together with what ends so little later that rounding makes the difference."""
        done = []
        while self.next_end_s() <= now_s * (1.0 + 1e-9) + 1e-9:
            _, move, _ = heapq.heappop(self.queue)
            done.append(move)
            self.version[move] += 1
            del self.running[move]
            for way in self.ways[move]:
                self.wires.users[way].discard(move)
                self.touched.add(way)
        self.share(now_s)
        return done

    def share(self, now_s: float) -> None:
        """Work out the shares of everyone that a change may reach."""
        moves = self._reached()
        self.touched.clear()
        shares = _max_min(moves, self.ways, self.wires.carries, [self.most[self.machine[move]] for move in moves])
        for move, share in zip(moves, shares, strict=True):
            progress, speed, since_s = self.running[move]
            progress += speed * (now_s - since_s)
            speed = self.durations.speed(self.machine[move], share)
            self.running[move] = (progress, speed, now_s)
            self.version[move] += 1
            if speed > 0:
                end_s = now_s + max(0.0, 1.0 - progress) / speed
                heapq.heappush(self.queue, (end_s, move, self.version[move]))

    def _reached(self) -> list[int]:
        found: set[int] = set()
        ahead, seen = list(self.touched), set(self.touched)
        while ahead:
            for move in self.wires.users[ahead.pop()]:
                if move not in found:
                    found.add(move)
                    new = [way for way in self.ways[move] if way not in seen]
                    seen.update(new)
                    ahead += new
        return sorted(found)


def _max_min(
    moves: Sequence[int], ways: Sequence[tuple[Way, Way]], carries: dict[Way, float], most: Sequence[float]
) -> list[float]:
    """Return max-min shares by settling the narrowest place again and again: a link, or a migration's own most."""
    share = [math.nan] * len(moves)
    left = {way: carries[way] for move in moves for way in ways[move]}
    users: dict[Way, set[int]] = defaultdict(set)
    for at, move in enumerate(moves):
        for way in ways[move]:
            users[way].add(at)
    open_ = set(range(len(moves)))
    while open_:
        link, level = min(
            ((way, left[way] / len(them)) for way, them in users.items() if them), key=lambda one: (one[1], one[0])
        )
        modest = [at for at in open_ if most[at] <= level]
        settled = modest or sorted(users[link])
        for at in settled:
            share[at] = min(most[at], level) if modest else level
            open_.discard(at)
            for way in ways[moves[at]]:
                users[way].discard(at)
                left[way] = max(0.0, left[way] - share[at])
    return share


class _State:
    """What every host holds, as moves begin and end."""

    def __init__(self, inventory: Inventory, limits: Sequence[Limit]) -> None:
        vms, hosts = inventory.vms, inventory.hosts
        self.vms = {row["vm"]: row for row in vms.to_dict("records")}
        self.hosts = {row["host"]: row for row in hosts.to_dict("records")}
        self.home = dict(zip(vms["vm"], vms["host"], strict=True))
        self.place = dict(self.home)
        self.limits = limits
        self.slots: dict[tuple[int, Any], float] = defaultdict(float)
        self.holds: dict[str, dict[str, None]] = {host: {} for host in self.hosts}
        self.used = {host: dict.fromkeys(_AMOUNTS, 0.0) for host in self.hosts}
        for vm, host in self.home.items():
            self._put(vm, host)

    def places(self) -> Iterable[tuple[str, str, str]]:
        """Yield each machine, where it is, and where it was."""
        return ((vm, host, self.home[vm]) for vm, host in self.place.items())

    def wrong_names(self, moves: pd.DataFrame) -> list[str]:
        """Say which moves are of machines or hosts that are not there."""
        broken = [f"{vm}: there is no such machine" for vm in moves["vm"] if vm not in self.vms]
        for column in ("source", "destination"):
            broken += [f"{host}: there is no such host" for host in moves[column] if host not in self.hosts]
        return broken

    def replay(self, moves: pd.DataFrame, ends_s: np.ndarray) -> list[str]:
        """Return what is broken while moves begin and end; at one time ends come first."""
        rows: list[Any] = moves.to_dict("records")
        starts = moves["start_s"].to_numpy(dtype=float)
        events = [(float(end), 0, at) for at, end in enumerate(ends_s) if math.isfinite(end)]
        events += [(float(start) * (1.0 + 1e-9) + 1e-7, 1, at) for at, start in enumerate(starts)]
        broken: list[str] = []
        moving: set[str] = set()
        for _, begins, at in sorted(events):
            broken += self._begin(rows[at], moving) if begins else self._end(rows[at], moving)
        return broken

    def _begin(self, move: dict[str, Any], moving: set[str]) -> list[str]:
        vm, source, target = move["vm"], move["source"], move["destination"]
        said = f"{vm} to {target} at {format_duration(move['start_s'])}"
        broken = []
        if self.vms[vm]["pinned"] is not None:
            broken.append(f"{said}: it cannot migrate ({self.vms[vm]['pinned']})")
        if vm in moving:
            broken.append(f"{said}: it is moving already")
        if self.place[vm] != source or source == target:
            broken.append(f"{said}: it is on {self.place[vm]}, not on {source}")
        moving.add(vm)
        group = self.vms[vm]["anti_affinity"]
        if group is not None and any(self.vms[other]["anti_affinity"] == group for other in self.holds[target]):
            broken.append(f"{said}: another machine of the group {group} is there")
        a, b = self.hosts[source], self.hosts[target]
        if a["cluster"] != b["cluster"]:
            broken.append(f"{said}: that host is in another cluster")
        if a["pool"] != b["pool"] and not self.vms[vm]["local_disk_bytes"] > 0:
            broken.append(f"{said}: that host has another storage pool")
        self._put(vm, target)
        broken += [f"{said}: {over}" for over in self._over(target, vm)]
        return broken + [f"{said}: {over}" for over in self._pay(vm, source, target, 1)]

    def _end(self, move: dict[str, Any], moving: set[str]) -> list[str]:
        vm, source, target = move["vm"], move["source"], move["destination"]
        moving.discard(vm)
        self.holds[source].pop(vm, None)
        for name in _AMOUNTS:
            self.used[source][name] -= self.vms[vm][name]
        self.place[vm] = target
        self._pay(vm, source, target, -1)
        return []

    def _put(self, vm: str, host: str) -> None:
        self.holds[host][vm] = None
        for name in _AMOUNTS:
            self.used[host][name] += self.vms[vm][name]

    def _over(self, host: str, vm: str) -> list[str]:
        return [
            f"{what} {shown(self.used[host][name])} of {shown(self.hosts[host][name])}"
            for name, (what, shown) in _AMOUNTS.items()
            if self.vms[vm][name] > 0 and self.used[host][name] > self.hosts[host][name] * (1.0 + _CLOSE)
        ]

    def _pay(self, vm: str, source: str, target: str, sign: int) -> list[str]:
        over = []
        for number, limit in enumerate(self.limits):
            copies = self.vms[vm]["local_disk_bytes"] > 0
            cost = limit.storage_cost if copies and limit.storage_cost is not None else limit.cost
            ends = {self._owner(limit.scope, source)} if limit.direction != "in" else set()
            ends |= {self._owner(limit.scope, target)} if limit.direction != "out" else set()
            for owner in sorted(ends, key=str):
                self.slots[number, owner] += sign * cost
                if sign > 0 and self.slots[number, owner] > limit.slots:
                    over.append(f"{self.slots[number, owner]:g} of {limit} are taken")
        return over

    def _owner(self, scope: str, host: str) -> Any:
        name = host if scope == "host" else self.hosts[host][scope]
        return f"{host}\0" if scope == "nic" and name is None else name


_AMOUNTS: Final = {
    "memory_bytes": ("memory", format_size),
    "processors": ("processors", "{:g}".format),
    "local_disk_bytes": ("local disks", format_size),
}


def _wrong_ends(moves: pd.DataFrame, ends_s: np.ndarray) -> list[str]:
    broken = []
    for vm, start, said, found in zip(moves["vm"], moves["start_s"], moves["end_s"], ends_s, strict=True):
        if not start >= 0:
            broken.append(f"{vm}: it starts at {start} s, before the plan")
        if math.isinf(found):
            broken.append(f"{vm}: it never ends at the share of its links")
        elif abs(found - said) > _CLOSE * max(1.0, found):
            broken.append(f"{vm}: it is said to end at {format_duration(said)}, it ends at {format_duration(found)}")
    return broken


def _not_empty(inventory: Inventory, moves: pd.DataFrame, ends_s: np.ndarray, emptied: pd.DataFrame) -> list[str]:
    """Return hosts that hold a machine while they must be empty."""
    stays: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    since: dict[str, tuple[str, float]] = {
        vm: (host, 0.0) for vm, host in zip(inventory.vms["vm"], inventory.vms["host"], strict=True)
    }
    rows: Any = zip(moves["start_s"], ends_s, moves["vm"], moves["destination"], strict=True)
    for start_s, end_s, vm, target in sorted(rows):
        host, from_s = since[vm]
        stays[host].append((from_s, float(end_s), vm))
        since[vm] = (target, float(start_s))
    for vm, (host, from_s) in since.items():
        stays[host].append((from_s, math.inf, vm))
    broken = []
    for host, empty_s, until_s in zip(emptied["host"], emptied["empty_s"], emptied["until_s"], strict=True):
        slack = _CLOSE * max(1.0, empty_s)
        inside = [vm for low, high, vm in stays[host] if low < until_s - slack and high > empty_s + slack]
        broken += [f"{host}: {vm} is on it while it must be empty" for vm in itertools.islice(inside, 3)]
    return broken
