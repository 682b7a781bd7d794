"""A drain under way: what has moved, what is moving, and what is left to plan."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.errors import UsageError, shown
from migkit.planning.durations import Durations
from migkit.planning.inventory import Inventory

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Resumed", "resumed", "state_at"]

_COLUMNS: Final = ("vm", "destination", "progress")


class Resumed(NamedTuple):
    """A fleet in the middle of a drain.

    Attributes
    ----------
    inventory
        Machines that have arrived are on their new hosts.
    durations
        Of machines that are moving, what is left.
    bound_for
        Number of the host that each machine is moving to, -1: it is not moving.
    notes
        What was assumed.
    """

    inventory: Inventory
    durations: Durations
    bound_for: np.ndarray
    notes: tuple[str, ...]


def state_at(moves: pd.DataFrame, now_s: float) -> pd.DataFrame:
    """Return the state of a plan at a time, had it been carried out to the second.

    Parameters
    ----------
    moves
        As in :class:`migkit.planning.drain.evacuation.Plan`.
    now_s
        Since its beginning [s].

    Returns
    -------
    state
        One row a machine that has begun to move: ``vm``, ``destination``, ``progress``, 1: it has arrived.

    Examples
    --------
    >>> import pandas as pd
    >>> times = {"start_s": [0.0, 6.0], "end_s": [4.0, 8.0]}
    >>> moves = pd.DataFrame({"vm": ["x", "y"], "destination": ["b", "c"]} | times)
    >>> state_at(moves, 7.0).progress.tolist()
    [1.0, 0.5]
    """
    begun = moves[moves["start_s"] < now_s].drop_duplicates("vm", keep="last")
    progress = (now_s - begun["start_s"]) / (begun["end_s"] - begun["start_s"])
    return begun[["vm", "destination"]].assign(progress=progress.clip(upper=1.0)).reset_index(drop=True)


def resumed(inventory: Inventory, durations: Durations, state: pd.DataFrame) -> Resumed:
    """Return a fleet as a drain has left it.

    A machine whose destination is gone, or whose links no longer carry it to its end, is where it was: it is planned
    anew.

    Parameters
    ----------
    inventory
        As it was, or as it is now.
    durations
        Of its machines.
    state
        One row a machine that has moved or is moving: ``vm``, ``destination``, and ``progress``, the part of its
        migration that is done, 1 where it has arrived.

    Raises
    ------
    UsageError
        A column is missing, or a row is wrong.

    Examples
    --------
    >>> import pandas as pd
    >>> from migkit.planning.inventory import Inventory
    >>> fleet = Inventory.read([{"vm": "x", "host": "a", "memory": "4 GiB"}],
    ...                        [{"host": name, "memory": "8 GiB", "link": "1 Gbit/s"} for name in "ab"])
    >>> table = Durations(np.array([[1e6, 1e9]]), np.array([[1e-4, 1e-1]]), np.array([True]))
    >>> found = resumed(fleet, table, pd.DataFrame({"vm": ["x"], "destination": ["b"], "progress": [0.5]}))
    >>> found.bound_for.tolist(), found.durations.shortest_s.round(3).tolist()
    ([1], [5.0])
    """
    hosts = {name: at for at, name in enumerate(inventory.hosts["host"])}
    vms = {name: at for at, name in enumerate(inventory.vms["vm"])}
    _check(state, vms)
    home = inventory.vms["host"].to_numpy(copy=True)
    bound_for, left = np.full(len(vms), -1, dtype=np.int64), np.ones(len(vms))
    carries = inventory.hosts["link_bytes_per_s"].to_numpy()
    anew = []
    for vm, destination, progress in zip(*(state[name].tolist() for name in _COLUMNS), strict=True):
        machine = vms[vm]
        if destination not in hosts:
            anew.append(vm)
        elif progress >= 1.0:
            home[machine] = destination
        elif home[machine] != destination:
            share = float(min(carries[hosts[destination]], carries[hosts[home[machine]]]))
            if durations.speed(machine, share) > 0.0:
                bound_for[machine], left[machine] = hosts[destination], 1.0 - progress
            else:
                anew.append(vm)
    under_way = int(np.sum(bound_for >= 0))
    notes = [f"{under_way} machines are on their way and go on"] if under_way else []
    if anew:
        notes.append(f"{', '.join(map(str, anew[:5]))}: planned anew, the destination or the link is gone")
    return Resumed(
        dataclasses.replace(inventory, vms=inventory.vms.assign(host=home)),
        dataclasses.replace(durations, speeds_per_s=durations.speeds_per_s / left[:, None]),
        bound_for,
        tuple(notes),
    )


def _check(state: pd.DataFrame, vms: dict[Any, int]) -> None:
    missing = [name for name in _COLUMNS if name not in state.columns]
    if missing:
        raise UsageError(f"state: the column {missing[0]} is missing; it needs {', '.join(_COLUMNS)}")
    for vm, progress in zip(state["vm"].tolist(), state["progress"].tolist(), strict=True):
        if vm not in vms:
            near = difflib.get_close_matches(str(vm), map(str, vms), n=1)
            hint = f' (did you mean "{near[0]}"?)' if near else ""
            raise UsageError(f"state: {shown(vm)} is not among the {len(vms)} machines; check its name{hint}")
        if not (isinstance(progress, int | float) and 0.0 <= progress <= 1.0):
            raise UsageError(f"state: progress {shown(progress)} of {vm} is out of range; give 0 to 1 (arrived)")
    twice = state["vm"][state["vm"].duplicated()].tolist()
    if twice:
        raise UsageError(f"state: {shown(twice[0])} stands in two rows; keep the later one")
