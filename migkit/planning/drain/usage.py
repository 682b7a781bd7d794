"""How full links and hosts are while a plan is carried out."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.inventory import Inventory

__all__ = ["host_memory", "link_load"]


def link_load(inventory: Inventory, moves: pd.DataFrame, demand_bytes_per_s: float, slots: int = 200) -> pd.DataFrame:
    """Return which part of each link migrations take over time, as a mean of each interval.

    Who moves at a time is known from the moves; their shares are max-min, as the planner has them.

    Parameters
    ----------
    inventory
        Machines and hosts.
    moves
        ``source``, ``destination``, ``start_s``, ``end_s`` [s].
    demand_bytes_per_s
        The most that one migration takes of a link [B/s].
    slots
        Into how many equal intervals the time is cut.

    Returns
    -------
    load
        One row a link and direction that is used, as in ``h0 out``; one column an interval, named by its begin [s];
        cells from 0 to 1. Hosts that share a network path have one row, named by the path.

    Examples
    --------
    >>> import pandas as pd
    >>> from migkit.planning.inventory import Inventory
    >>> fleet = Inventory.read([{"vm": "x", "host": "a", "memory": "4 GiB"}],
    ...                        [{"host": name, "memory": "8 GiB", "link": "1 Gbit/s"} for name in "ab"])
    >>> moves = pd.DataFrame({"source": ["a"], "destination": ["b"], "start_s": [0.0], "end_s": [10.0]})
    >>> link_load(fleet, moves, 6.25e7, slots=2).to_dict("index")
    {'a out': {0.0: 0.5, 5.0: 0.5}, 'b in': {0.0: 0.5, 5.0: 0.5}}
    """
    import pandas as pd

    names, carries, out, into = _links(inventory, moves)
    start, end = moves["start_s"].to_numpy(dtype=float), moves["end_s"].to_numpy(dtype=float)
    edges = np.linspace(0.0, float(end.max(initial=0.0)), slots + 1)
    busy = np.zeros((len(names), slots))
    times = np.unique(np.concatenate([start, end]))
    for begin, stop in itertools.pairwise(times):
        active = np.flatnonzero((start <= begin) & (end >= stop))
        if not active.size:
            continue
        share = _max_min(out[active], into[active], carries, demand_bytes_per_s)
        used = np.bincount(out[active], share, carries.size) + np.bincount(into[active], share, carries.size)
        first = int(np.searchsorted(edges, begin, "right")) - 1
        last = int(np.searchsorted(edges, stop, "left"))
        spent = np.minimum(edges[first + 1 : last + 1], stop) - np.maximum(edges[first:last], begin)
        busy[:, first:last] += (used / carries)[:, None] * spent
    busy = np.divide(busy, np.diff(edges), out=busy, where=np.diff(edges) > 0.0)
    table = pd.DataFrame(busy, index=names, columns=[float(one) for one in edges[:-1]])
    return table[(table > 0.0).any(axis=1)].clip(upper=1.0)


def _links(inventory: Inventory, moves: pd.DataFrame) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return links by name with what they carry [B/s], and the links out and in of each move."""
    hosts = inventory.hosts
    path = hosts["nic"].where(hosts["nic"].notna(), hosts["host"])
    carried = hosts["link_bytes_per_s"].groupby(path, sort=False).max()
    place = {name: at for at, name in enumerate(carried.index)}
    number = {host: place[name] for host, name in zip(hosts["host"], path, strict=True)}
    names = [f"{name} {way}" for way in ("out", "in") for name in carried.index]
    out = moves["source"].map(number).to_numpy(dtype=np.int64)
    into = moves["destination"].map(number).to_numpy(dtype=np.int64) + len(place)
    return names, np.tile(carried.to_numpy(dtype=float), 2), out, into


def _max_min(out: np.ndarray, into: np.ndarray, carries: np.ndarray, demand: float) -> np.ndarray:
    """Return max-min shares by progressive filling [B/s]; see :mod:`migkit.planning.drain.sharing`."""
    share = np.zeros(out.size)
    grows = np.ones(out.size, dtype=bool)
    left = carries.copy()
    while grows.any():
        flows = np.bincount(out[grows], minlength=carries.size) + np.bincount(into[grows], minlength=carries.size)
        used = flows > 0
        step = min(float((left[used] / flows[used]).min()), demand - float(share[grows].max()))
        share[grows] += step
        left = left - step * flows
        full = left <= 1e-9 * carries
        grows &= ~(full[out] | full[into] | (share >= demand * (1.0 - 1e-12)))
    return share


def host_memory(inventory: Inventory, moves: pd.DataFrame, slots: int = 200) -> pd.DataFrame:
    """Return which part of each host's memory machines hold over time, the most of each interval.

    A machine holds memory on both hosts while it moves.

    Parameters
    ----------
    inventory
        Machines and hosts before anything moves.
    moves
        ``vm``, ``source``, ``destination``, ``start_s``, ``end_s`` [s].
    slots
        Into how many equal intervals the time is cut.

    Returns
    -------
    held
        One row a host; one column an interval, named by its begin [s]; cells from 0 on, 1 is full.

    Examples
    --------
    >>> import pandas as pd
    >>> from migkit.planning.inventory import Inventory
    >>> fleet = Inventory.read([{"vm": "x", "host": "a", "memory": "4 GiB"}],
    ...                        [{"host": name, "memory": "8 GiB", "link": "1 Gbit/s"} for name in "ab"])
    >>> moves = pd.DataFrame({"vm": ["x"], "source": ["a"], "destination": ["b"], "start_s": [4.0], "end_s": [8.0]})
    >>> host_memory(fleet, moves, slots=4).to_numpy().tolist()
    [[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]]
    """
    import pandas as pd

    hosts, vms = inventory.hosts, inventory.vms
    place = {name: at for at, name in enumerate(hosts["host"])}
    memory = dict(zip(vms["vm"], vms["memory_bytes"], strict=True))
    held = np.bincount(vms["host"].map(place), weights=vms["memory_bytes"], minlength=len(place))
    edges = np.linspace(0.0, float(moves["end_s"].max()) if len(moves) else 0.0, slots + 1)
    most = np.zeros((len(place), slots))
    columns = ("vm", "source", "destination", "start_s", "end_s")
    rows = list(zip(*(moves[name] for name in columns), strict=True))
    events = [(float(end), 0, place[source], -memory[vm]) for vm, source, _, _, end in rows]
    events += [(float(start), 1, place[target], memory[vm]) for vm, _, target, start, _ in rows]
    at = 0
    waiting = sorted(events)
    for slot in range(slots):
        most[:, slot] = held
        while at < len(waiting) and waiting[at][0] < edges[slot + 1]:
            _, _, host, change = waiting[at]
            held[host] += change
            most[host, slot] = max(most[host, slot], held[host])
            at += 1
    table = most / hosts["memory_bytes"].to_numpy(dtype=float)[:, None]
    return pd.DataFrame(table, index=list(hosts["host"]), columns=[float(one) for one in edges[:-1]])
