"""What takes a machine's time in a drain, in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from migkit.planning.drain.problem import Fleet
from migkit.planning.durations import Durations
from migkit.planning.inventory import Inventory
from migkit.planning.rehearsal import dispatch
from migkit.units import format_duration, format_rate, format_size

__all__ = ["Told", "why"]


class Told(NamedTuple):
    """What all draws say of some machines; the names of :class:`migkit.planning.rehearsal.stage.Course`.

    Each has the shape (draws, machines).
    """

    end_s: np.ndarray
    waited_s: np.ndarray
    failed_s: np.ndarray
    ran_s: np.ndarray
    tries: np.ndarray
    state: np.ndarray
    share_bytes_per_s: np.ndarray


def why(inventory: Inventory, fleet: Fleet, durations: Durations, machines: np.ndarray, told: Told) -> list[str]:
    """Return one sentence a machine.

    Parameters
    ----------
    inventory, fleet, durations
        The fleet, and what is expected of its migrations.
    machines
        Their numbers.
    told
        How they fared.
    """
    pinned = inventory.vms["pinned"].tolist()
    share = _share(told)
    said = []
    for at, machine in enumerate(machines.tolist()):
        if fleet.pinned[machine]:
            said.append(f"cannot migrate ({pinned[machine]})")
        elif np.mean(np.isfinite(told.end_s[:, at])) < 0.5:
            said.append(_stays(told, at, _needs(durations, machine, share[at])))
        else:
            said.append(_leaves(told, at, fleet, machine, _needs(durations, machine, share[at])))
    return said


def _share(told: Told) -> list[float]:
    """Return what each machine mostly gets of its links [B/s]; 0 where it never migrates."""
    shares = [column[column > 0] for column in told.share_bytes_per_s.T]
    return [float(np.median(some)) if some.size else 0.0 for some in shares]


def _needs(durations: Durations, machine: int, share_bytes_per_s: float) -> str:
    """Say what share a machine needs to end, if it gets less."""
    if not durations.ends[machine]:
        most = float(durations.rates_bytes_per_s[machine, -1])
        return f"it does not end at any share up to {format_rate(most)}"
    least = 0.0 if durations.proportional[machine] else float(durations.rates_bytes_per_s[machine, 0])
    if least > share_bytes_per_s > 0:
        return f"it ends at {format_rate(least)} or more and gets {format_rate(share_bytes_per_s)}"
    return f"it gets {format_rate(share_bytes_per_s)}" if share_bytes_per_s > 0 else ""


def _stays(told: Told, at: int, needs: str) -> str:
    """Say why a machine does not leave in most draws."""
    stays = ~np.isfinite(told.end_s[:, at])
    state, tries = told.state[stays, at], told.tries[stays, at]
    if np.mean(state == dispatch.DOWN) > 0.5:
        return "is down with its host"
    if np.mean(tries == 0) > 0.5:
        return "finds no slot, or no host with room for it"
    number = float(np.median(tries))
    failures = tries - (state == dispatch.RUNS)
    if np.median(failures) < 1:
        return f"never ends and keeps its slot: {needs}"
    times = "once" if number == 1 else f"{number:.0f} times"
    return f"is tried {times} and given up: {needs}"


def _leaves(told: Told, at: int, fleet: Fleet, machine: int, needs: str) -> str:
    """Say what takes most of the time of a machine that leaves."""
    gone = np.isfinite(told.end_s[:, at])
    waited, failed, ran = (float(np.mean(part[gone, at])) for part in (told.waited_s, told.failed_s, told.ran_s))
    lost = f"given up {np.mean(told.tries[gone, at]) - 1.0:.1f} times before"
    if failed > max(waited, ran):
        return f"is {lost}, which takes {format_duration(failed)}: {needs}"
    has = f"migrates {format_size(float(fleet.use[machine, 0]))} in {format_duration(ran)}"
    if waited > ran:
        return f"waits {format_duration(waited)} for its turn, {has}"
    return f"{has}: {needs}" + (f"; {lost}" if failed > 0 else "")
