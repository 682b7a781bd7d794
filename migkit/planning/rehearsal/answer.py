"""What a rehearsal says: when hosts are empty with which probability, and which machines hold them up."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from migkit.planning.rehearsal import dispatch
from migkit.planning.rehearsal.outcomes import Outcomes
from migkit.planning.rehearsal.play import Asked, courses
from migkit.planning.rehearsal.stage import Course, Stage
from migkit.planning.rehearsal.why import Told, why
from migkit.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rehearsal", "answered"]


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """How a drain may go.

    Attributes
    ----------
    probability
        That all hosts are empty by the deadline.
    end_s
        When the last host is empty, one for each draw, ascending; infinite: never [s].
    hosts
        One row a host: ``host``, ``probability`` of being empty in time, ``median_s`` and ``late_s``: by when it is
        empty with 50 and 95 % [s].
    machines
        One row a machine that must leave, those that hold up most first: ``vm``, ``host``, ``holds_up``: part of the
        draws in which the drain ends with it or never ends because of it; ``leaves``: probability that it leaves at
        all; ``gives_up``: that at least one of its attempts fails; ``attempts``: their mean number; ``start_s``: when
        the first one begins with 50 %, where it leaves; ``median_s`` and ``late_s``: by when it has left with 50 and
        95 % [s]; ``why``: what takes its time.
    deadline_s
        By when the hosts must be empty [s].
    manager, policy
        Who empties them, by which rule.
    fixes
        One row a setting that would help, the best first, and one for as it is: ``setting``, ``probability``,
        ``median_s``, ``late_s``, each rehearsed; None where it was not asked for.
    notes
        What was assumed.
    asked
        Everything that it depends on; None where it was made by hand.
    """

    probability: float
    end_s: np.ndarray
    hosts: pd.DataFrame
    machines: pd.DataFrame
    deadline_s: float
    manager: str
    policy: str
    fixes: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    asked: Asked | None = dataclasses.field(default=None, repr=False)

    @property
    def answer(self) -> str:
        """When the hosts are empty, and with which probability, as one sentence.

        Examples
        --------
        >>> import pandas as pd
        >>> none = pd.DataFrame()
        >>> Rehearsal(0.5, np.array([1.0, 12.0]), none, none, 9.0, "nova", "nova").answer
        'nova: empty within 9 s with 50 %; empty by 1 s with 50 %, by 12 s with 95 %'
        """
        within = f"empty within {format_duration(self.deadline_s)} with {100 * self.probability:.3g} %; "
        half, most = (_when(self.empty_by_s(part)) for part in (0.5, 0.95))
        times = f"empty {half} with 50 %, {most} with 95 %"
        rule = f", rule {self.policy}" if self.policy != self.manager else ""
        return f"{self.manager}{rule}: {within if math.isfinite(self.deadline_s) else ''}{times}"

    def empty_by_s(self, probability: float) -> float:
        """Return by when all hosts are empty with a probability [s]; infinite: with less, however long one waits.

        Examples
        --------
        >>> import pandas as pd
        >>> none = pd.DataFrame()
        >>> Rehearsal(1.0, np.array([1.0, 2.0, 3.0, math.inf]), none, none, 9.0, "nova", "nova").empty_by_s(0.75)
        3.0
        """
        return by_s(self.end_s, probability)

    def to_dict(self) -> dict[str, Any]:
        """Return the rehearsal as plain values, as JSON takes them."""
        whole = {
            "probability": self.probability,
            "median_s": _plain(self.empty_by_s(0.5)),
            "late_s": _plain(self.empty_by_s(0.95)),
            "deadline_s": _plain(self.deadline_s),
            "draws": len(self.end_s),
            "manager": self.manager,
            "policy": self.policy,
        }
        tables = {"hosts": self.hosts, "machines": self.machines, "fixes": self.fixes}
        rows = {name: _rows(table) for name, table in tables.items() if table is not None}
        return whole | rows | {"notes": list(self.notes)}


def _when(time_s: float) -> str:
    return "never" if math.isinf(time_s) else f"by {format_duration(time_s)}"


def by_s(ends_s: np.ndarray, probability: float) -> float:
    """Return the least time by which this part of the draws has ended [s].

    Examples
    --------
    >>> by_s(np.array([3.0, 1.0]), 0.5)
    1.0
    """
    ordered = np.sort(ends_s, axis=0)
    return float(ordered[max(0, math.ceil(probability * len(ordered) - 1e-9) - 1)])


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: Any = frame.to_dict("records")
    return [
        {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
        for row in rows
    ]


def answered(asked: Asked) -> Rehearsal:
    """Play a drain, and say how it may go."""
    stage, found, played = courses(asked)
    empty_s = np.array([course.empty_s for course in played])
    end_s = empty_s.max(axis=1, initial=0.0)
    return Rehearsal(
        probability=float(np.mean(_in_time(end_s, asked.deadline_s))),
        end_s=np.sort(end_s),
        hosts=_hosts(asked, empty_s),
        machines=_machines(asked, stage, found, played, empty_s),
        deadline_s=asked.deadline_s,
        manager=asked.manager.name,
        policy=asked.base.policy.name,
        notes=(*asked.inventory.notes, *_assumed(asked)),
        asked=asked,
    )


def _in_time(ends_s: np.ndarray, deadline_s: float) -> np.ndarray:
    """Return what ends at all, and by the deadline."""
    return np.asarray(np.isfinite(ends_s) & (ends_s <= deadline_s))


def _assumed(asked: Asked) -> list[str]:
    if asked.draws == 1:
        return ["played once, with the durations that are expected"]
    until = format_duration(asked.until_s)
    return [f"{asked.draws} draws; what is not over {until} after its wave began counts as never"]


def _hosts(asked: Asked, empty_s: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "host": asked.inventory.hosts["host"].to_numpy()[asked.hosts],
            "probability": np.mean(_in_time(empty_s, asked.deadline_s), axis=0),
            "median_s": [by_s(column, 0.5) for column in empty_s.T],
            "late_s": [by_s(column, 0.95) for column in empty_s.T],
        }
    )


def _machines(asked: Asked, stage: Stage, found: Outcomes, played: list[Course], empty_s: np.ndarray) -> pd.DataFrame:
    """Return one row a machine that must leave."""
    import pandas as pd

    fleet = stage.fleet
    some = np.flatnonzero(np.isin(fleet.home, asked.hosts))
    told = Told(*(np.array([getattr(course, name)[some] for course in played]) for name in Told._fields))
    failed = told.tries - np.isin(told.state, (dispatch.MOVED, dispatch.RUNS))
    table = pd.DataFrame(
        {
            "vm": fleet.vms[some],
            "host": fleet.hosts[fleet.home[some]],
            "holds_up": _holds_up(asked, fleet.home[some], fleet.pinned[some], told, empty_s),
            "leaves": np.mean(np.isfinite(told.end_s), axis=0),
            "gives_up": np.mean(failed > 0, axis=0),
            "attempts": told.tries.mean(axis=0),
            "start_s": _starts(told),
            "median_s": [by_s(column, 0.5) for column in told.end_s.T],
            "late_s": [by_s(column, 0.95) for column in told.end_s.T],
            "why": why(asked.inventory, fleet, found.durations, some, told),
        }
    )
    return table.sort_values(["holds_up", "late_s"], ascending=False, kind="stable", ignore_index=True)


def _starts(told: Told) -> list[float]:
    """Return when each machine begins its first attempt in half of the draws in which it leaves [s]; NaN: never."""
    begun_s = np.where(np.isfinite(told.end_s), told.end_s - told.ran_s - told.failed_s, math.inf)
    parts = [column[np.isfinite(column)] for column in begun_s.T]
    return [max(0.0, float(np.median(part))) if part.size else math.nan for part in parts]


def _holds_up(asked: Asked, home: np.ndarray, pinned: np.ndarray, told: Told, empty_s: np.ndarray) -> np.ndarray:
    """Return the part of the draws in which each machine is the last one, or one of those that never leave."""
    place = {host: at for at, host in enumerate(asked.hosts.tolist())}
    host = np.array([place[one] for one in home.tolist()], dtype=np.int64)
    wave = host // asked.at_once
    counts = np.zeros(host.size)
    for end_s, tries, state, empty in zip(told.end_s, told.tries, told.state, empty_s, strict=True):
        stuck = np.flatnonzero(np.isinf(empty))
        if stuck.size == 0:
            counts[np.argmax(end_s)] += 1.0 if host.size else 0.0
            continue
        never = np.isinf(end_s) & (wave == stuck[0] // asked.at_once)
        guilty = never & ((tries > 0) | pinned | (state == dispatch.DOWN))
        counts[guilty if guilty.any() else never] += 1.0
    return counts / len(told.end_s)
