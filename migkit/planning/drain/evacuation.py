"""A plan as people read it: moves with their times, when each host is empty, what holds it up, what no plan beats."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.errors import counted
from migkit.planning.drain import usage
from migkit.planning.drain.exact import Proof
from migkit.planning.drain.resume import state_at
from migkit.planning.drain.waves import Leg, Rolling
from migkit.units import format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

    from migkit.planning.drain.problem import Fleet
    from migkit.planning.inventory import Inventory
    from migkit.planning.slots import Limit
    from migkit.scenario import Scenario

__all__ = ["Plan", "plan_of", "proven"]

_BLOCKERS: Final = 5
_CLOSE: Final = 1e-3  # above what no plan can beat, that counts as optimal
_PROVEN: Final = 5e-3  # that whole ticks cost


@dataclasses.dataclass(frozen=True)
class Plan:
    """Moves that empty hosts.

    Attributes
    ----------
    moves
        One row a move, by start: ``vm``, ``source``, ``destination``, ``wave``, ``kind`` (``out`` or ``home``),
        ``start_s``, ``end_s`` [s], ``share_bytes_per_s``: the mean of what it gets of its links [B/s].
    hosts
        One row a host that is emptied: ``host``, ``wave``, ``empty_s``: when its last machine has left, ``until_s``:
        until when it stays empty [s].
    blockers
        Which machines hold the plan up, the heaviest first: ``vm``, ``source``, ``share``: their part of what bounds
        the time, ``why``.
    makespan_s
        When all is done [s].
    greedy_makespan_s
        The same of the plan that was there at once [s].
    lower_bound_s
        No plan is shorter; with ``bounds_waves``, no timetable of these waves [s].
    bound_by
        What sets that bound, in words.
    bounds_waves
        Whether hosts are emptied in waves, so that other waves may be sooner than the bound.
    inventory
        Machines where they are when it begins, and hosts.
    demand_bytes_per_s
        The most that one migration takes of a link [B/s].
    base
        Policy, strategy and constants of the hosts.
    limits
        Slots of the manager.
    deadline_s
        By when it must be done; infinite: whenever [s].
    rounds
        Rounds of the search.
    notes
        What was assumed, as sentences.
    """

    moves: pd.DataFrame
    hosts: pd.DataFrame
    blockers: pd.DataFrame
    makespan_s: float
    greedy_makespan_s: float
    lower_bound_s: float
    bound_by: str
    inventory: Inventory = dataclasses.field(repr=False)
    demand_bytes_per_s: float
    base: Scenario = dataclasses.field(repr=False)
    limits: tuple[Limit, ...] = ()
    deadline_s: float = math.inf
    rounds: int = 0
    notes: tuple[str, ...] = ()
    bounds_waves: bool = False

    @property
    def is_in_time(self) -> bool:
        """Whether all is done by the deadline."""
        return self.makespan_s <= self.deadline_s * (1.0 + 1e-9)

    @property
    def late_by_s(self) -> float:
        """How long after the deadline all is done; 0 where it is kept [s]."""
        return 0.0 if self.is_in_time else self.makespan_s - self.deadline_s

    @property
    def bound(self) -> str:
        """What no plan, or no timetable of these waves, can beat, and why, in words."""
        what = "timetable of these waves" if self.bounds_waves else "plan"
        return f"no {what} is shorter than {format_duration(self.lower_bound_s)}, because of {self.bound_by}"

    @property
    def late(self) -> str:
        """Why the deadline is missed, in one sentence; empty where it is kept."""
        if self.is_in_time:
            return ""
        deadline, takes = format_duration(self.deadline_s), format_duration(self.makespan_s)
        asked = f"the plan is too late: the deadline is {deadline}, the plan takes {takes}"
        if self.lower_bound_s <= self.deadline_s:
            return f"drain: {asked}; {self.bound}, so that a better plan may exist: give the search more time"
        if self.bounds_waves:
            return f"drain: {asked}; {self.bound}; try waves of another size, or relax the deadline or what is scarce"
        return f"drain: {asked}; {self.bound}, so that no plan can keep it; relax the deadline or that resource"

    def state(self, now_s: float) -> pd.DataFrame:
        """Return what has moved and what is moving at a time [s], as ``drain`` takes it to plan the rest anew."""
        return state_at(self.moves, now_s)

    def link_load(self, slots: int = 200) -> pd.DataFrame:
        """Return which part of each link migrations take, as :func:`migkit.planning.drain.usage.link_load` does."""
        return usage.link_load(self.inventory, self.moves, self.demand_bytes_per_s, slots)

    def host_memory(self, slots: int = 200) -> pd.DataFrame:
        """Return how full hosts are over time, as :func:`migkit.planning.drain.usage.host_memory` does."""
        return usage.host_memory(self.inventory, self.moves, slots)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, as JSON takes them."""
        whole = {
            name: getattr(self, name) for name in ("makespan_s", "greedy_makespan_s", "lower_bound_s", "bound_by")
        }
        whole |= {"bounds_waves": self.bounds_waves, "is_in_time": self.is_in_time, "late_by_s": self.late_by_s}
        whole |= {"deadline_s": self.deadline_s if math.isfinite(self.deadline_s) else None, "rounds": self.rounds}
        tables = {name: _rows(getattr(self, name)) for name in ("moves", "hosts", "blockers")}
        return whole | tables | {"notes": list(self.notes)}


def plan_of(
    parts: Sequence[Rolling],
    offsets_s: Sequence[float],
    least_offsets_s: Sequence[float],
    greedy_s: float,
    deadline_s: float,
    notes: Sequence[str],
    *,
    inventory: Inventory,
    fleet: Fleet,
    base: Scenario,
) -> Plan:
    """Return the plan of the parts of a fleet, each beginning at its offset, and at the least at another one [s]."""
    import pandas as pd

    legs = [(leg, offset, part) for part, offset in zip(parts, offsets_s, strict=True) for leg in part.legs]
    moves = pd.concat([_moves(leg, offset) for leg, offset, _ in legs] or [_no_moves()], ignore_index=True)
    hosts = pd.concat(
        [_hosts(leg, offset, part) for leg, offset, part in legs if leg.kind == "out"], ignore_index=True
    )
    ends = [part.end_s + offset for part, offset in zip(parts, offsets_s, strict=True)]
    last = int(np.argmax(ends)) if ends else 0
    least = [part.bound_s + offset for part, offset in zip(parts, least_offsets_s, strict=True)]
    tight = int(np.argmax(least)) if least else 0
    return Plan(
        moves=moves.sort_values(["start_s", "end_s", "vm"], ignore_index=True),
        hosts=hosts,
        blockers=_blockers(parts[last]),
        makespan_s=max(ends, default=0.0),
        greedy_makespan_s=greedy_s,
        lower_bound_s=_rounded(least[tight], max(ends, default=0.0)) if least else 0.0,
        bound_by=_bound_by(parts[tight]),
        inventory=inventory,
        demand_bytes_per_s=fleet.demand_bytes_per_s,
        base=base,
        limits=fleet.limits,
        deadline_s=deadline_s,
        rounds=sum(leg.rounds for leg, _, _ in legs),
        bounds_waves=any(part.order.rolling for part in parts),
        notes=tuple(notes),
    )


def proven(parts: Sequence[Rolling]) -> list[str]:
    """Return what was solved exactly, a sentence a leg; nothing where it was not asked for."""
    legs = [leg for part in parts for leg in part.legs if leg.proof is not None]
    told = []
    for leg in legs:
        name = f"exact, wave {leg.wave} {leg.kind}" if len(legs) > 1 else "exact"
        told.append(f"{name}: {_said(leg)}")
    return told


def _said(leg: Leg) -> str:
    proof, mine_s = leg.proof, leg.timetable.makespan_s
    if not isinstance(proof, Proof):
        return f"not solved, because {proof}"
    gap = mine_s / leg.bound_s - 1.0 if leg.bound_s > 0 else math.inf
    close = "it is optimal" if gap < _CLOSE else f"it is within {100 * gap:.2g} % of what no plan can beat"
    if math.isinf(proof.undivided_s):
        return f"{close}; no plan with undivided links was found in the time"
    undivided = format_duration(proof.undivided_s)
    left = proof.undivided_s / proof.undivided_bound_s - 1.0 if proof.undivided_bound_s > 0 else math.inf
    best = (
        f"takes {undivided}, proven"
        if left < _PROVEN
        else f"that was found takes {undivided}, within {100 * left:.2g} %"
    )
    return f"{close}; the best plan in which no migration has less than its full share of its links {best}"


def _rounded(bound_s: float, end_s: float) -> float:
    """Return a bound that rounding alone has put above the end as the end itself."""
    return end_s if end_s < bound_s <= end_s * (1.0 + 1e-9) else bound_s


def _no_moves() -> pd.DataFrame:
    import pandas as pd

    names = ("vm", "source", "destination", "wave", "kind", "start_s", "end_s", "share_bytes_per_s")
    return pd.DataFrame({name: [] for name in names})


def _moves(leg: Leg, offset_s: float) -> pd.DataFrame:
    import pandas as pd

    fleet, problem, timetable = leg.problem.fleet, leg.problem, leg.timetable
    spent_s = timetable.end_s - timetable.start_s
    return pd.DataFrame(
        {
            "vm": fleet.vms[problem.machines],
            "source": fleet.hosts[problem.source],
            "destination": fleet.hosts[timetable.host],
            "wave": leg.wave,
            "kind": leg.kind,
            "start_s": leg.start_s + offset_s + timetable.start_s,
            "end_s": leg.start_s + offset_s + timetable.end_s,
            "share_bytes_per_s": timetable.sent_bytes / spent_s,
        }
    )


def _hosts(leg: Leg, offset_s: float, part: Rolling) -> pd.DataFrame:
    """Return when each host of a wave is empty; one that nobody works on stays so to the end."""
    import pandas as pd

    start_s = leg.start_s + offset_s
    empty_s = np.full(len(leg.hosts), start_s)
    for at, host in enumerate(leg.hosts):
        ends = leg.timetable.end_s[leg.problem.source == host]
        empty_s[at] = start_s + ends.max(initial=0.0)
    waves = sum(one.kind == "out" for one in part.legs)
    stays = waves == 1 and not part.order.return_home
    until_s = math.inf if stays else start_s + leg.timetable.makespan_s + part.order.service_s
    return pd.DataFrame(
        {"host": leg.problem.fleet.hosts[leg.hosts], "wave": leg.wave, "empty_s": empty_s, "until_s": until_s}
    )


def _bound_by(part: Rolling) -> str:
    """Return what bounds the longest wave."""
    longest = max(part.legs, key=lambda leg: leg.bound_s, default=None)
    if longest is None or not longest.bounds:
        return "nothing"
    first = longest.bounds[0]
    said = f"the migration of {first.what} alone" if first.kind == "machine" else first.what
    waves = sum(leg.kind == "out" for leg in part.legs)
    if len(part.legs) > 1:
        legs = f"{counted(waves, 'wave')}{' out and home' if len(part.legs) > waves else ''}"
        said = f"{legs} one after the other (the longest by {said})"
    worked_s = waves * part.order.service_s
    return said if worked_s == 0 else f"{said} and {format_duration(worked_s)} of work on the hosts"


def _blockers(part: Rolling) -> pd.DataFrame:
    """Return the machines with the largest part of what bounds the wave that takes longest."""
    import pandas as pd

    longest = max(part.legs, key=lambda leg: leg.timetable.makespan_s, default=None)
    rows: list[dict[str, Any]] = []
    if longest is not None and longest.bounds:
        problem, first = longest.problem, longest.bounds[0]
        total_s = float(first.weight_s.sum())
        heaviest = np.argsort(-first.weight_s, kind="stable")[:_BLOCKERS]
        rows = [
            {
                "vm": problem.fleet.vms[problem.machines[m]],
                "source": problem.fleet.hosts[problem.source[m]],
                "share": float(first.weight_s[m]) / total_s,
                "end_s": longest.start_s + float(longest.timetable.end_s[m]),
                "why": _why(longest, m),
            }
            for m in heaviest.tolist()
            if first.weight_s[m] > 0
        ]
    return pd.DataFrame(rows, columns=["vm", "source", "share", "end_s", "why"])


def _why(leg: Leg, m: int) -> str:
    """Say what makes a machine long: its memory, or how often its pages go again; and what is scarce."""
    fleet, machine = leg.problem.fleet, leg.problem.machines[m]
    memory = float(fleet.use[machine, 0] + (fleet.use[machine, 2] if fleet.copies[machine] else 0.0))
    sent = float(fleet.fewest_bytes[machine])
    again = f", sends it {sent / memory:.1f} times over" if sent > 1.2 * memory else ""
    spent_s = float(leg.timetable.end_s[m] - leg.timetable.start_s[m])
    first = leg.bounds[0]
    scarce = "is alone longer than all else" if first.kind == "machine" else f"{first.what} is what is scarce"
    return f"has {format_size(memory)}{again}, takes {format_duration(spent_s)}; {scarce}"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: Any = frame.to_dict("records")
    return [{key: None if value == math.inf else value for key, value in row.items()} for row in rows]
