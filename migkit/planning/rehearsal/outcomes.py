"""What becomes of a migration at each share of a link, in each draw: when it ends well, and when it is given up.

At a steady share the engine says both. Under a changing share two clocks run: progress ``s(b) = 1 / T(b)`` towards
the end, and patience ``g(b) = 1 / G(b)`` towards the time at which the manager's rule gives up. Whichever integral is
1 first decides. A time budget is a clock that runs alike at every share; a budget of iterations runs with the share.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from migkit import jit
from migkit.models.spread.joint import Ends, Scatter, ends, scatter
from migkit.planning.durations import Durations, asked, tabulate
from migkit.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcomes", "drawn", "expected"]

_BELOW: Final = np.array([0.3, 0.7, 0.9, 0.96])  # of the critical share; a draw may end a little below it
_ABOVE: Final = np.linspace(0.0, 1.0, 12) ** 2.5
_JUST_BELOW: Final = 0.96


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Ends of migrations over shares of a link.

    Attributes
    ----------
    rates_bytes_per_s
        Shares at the knots, ascending; shape (machines, knots).
    total_s, gave_up_s
        Total migration time, and when it is given up; infinite: never [s]. Shape (points, machines, knots).
    proportional
        True: the machine ends at any share, and below the first knot its speed is in proportion to it.
    scatter
        What the draws add to the points; draw ``d`` has the point ``d`` modulo their number.
    durations
        What is expected, as the planner has it.
    """

    rates_bytes_per_s: np.ndarray
    total_s: np.ndarray
    gave_up_s: np.ndarray
    proportional: np.ndarray
    scatter: Scatter
    durations: Durations

    @property
    def draws(self) -> int:
        """How many there are."""
        return int(self.scatter.added_s.size)

    def clocks(self, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """Return progress and patience a second of each machine at each knot [1/s].

        More of a link never takes longer, and patience runs on above the share at which a migration would end.
        """
        point = draw % self.total_s.shape[0]
        total_s = self.total_s[point] * self.scatter.factor[draw][:, None] + self.scatter.added_s[draw]
        speeds = np.minimum.accumulate((1.0 / total_s)[:, ::-1], axis=1)[:, ::-1]
        patience = np.maximum.accumulate(1.0 / self.gave_up_s[point], axis=1)
        return np.ascontiguousarray(speeds), np.ascontiguousarray(patience)


def expected(vms: pd.DataFrame, base: Scenario, link_bytes_per_s: float) -> Outcomes:
    """Return what is expected: one draw, whose times are the planner's.

    Parameters
    ----------
    vms, base, link_bytes_per_s
        As for :func:`migkit.planning.durations.tabulate`.

    Examples
    --------
    >>> from migkit import Guest
    >>> from migkit.planning.inventory import read_machines
    >>> vms = read_machines([{"vm": "web", "host": "a", "memory": "4 GiB"}])
    >>> found = expected(vms, Scenario(guest=Guest(memory_bytes=2**30)), 1e9)
    >>> bool(found.clocks(0)[0][0, -1] == found.durations.speeds_per_s[0, -1])
    True
    """
    table = tabulate(vms, base, link_bytes_per_s)
    frame, base = asked(vms, base, link_bytes_per_s)
    least = table.rates_bytes_per_s[:, :1] * _JUST_BELOW
    gave_up_s = np.broadcast_to(ends(frame, base, least, 1, 0).gave_up_s, (1, *table.speeds_per_s.shape))
    with np.errstate(divide="ignore"):
        total_s = 1.0 / table.speeds_per_s[None]
    return Outcomes(
        table.rates_bytes_per_s, total_s, gave_up_s, table.proportional, scatter(base, len(vms), 1, 0), table
    )


def drawn(
    vms: pd.DataFrame,
    base: Scenario,
    link_bytes_per_s: float,
    *,
    draws: int,
    points: int,
    seed: int,
    wanted: np.ndarray | None = None,
) -> Outcomes:
    """Return draws of what may come: hosts and links common to all machines, guests apart.

    Parameters
    ----------
    vms, base, link_bytes_per_s
        As for :func:`migkit.planning.durations.tabulate`.
    draws
        How many: 17, 31, 61, 127, 257, 509 or 1021.
    points
        How many of them the engine works out, the others scatter around these: 17, 31, 61, 127 or 257.
    seed
        From which they come.
    wanted
        Whether each machine may move at all; None: all of them.

    Examples
    --------
    >>> from migkit import Guest
    >>> from migkit.planning.inventory import read_machines
    >>> vms = read_machines([{"vm": "web", "host": "a", "memory": "4 GiB"}])
    >>> found = drawn(vms, Scenario(guest=Guest(memory_bytes=2**30)), 1e9, draws=61, points=17, seed=0)
    >>> found.draws, found.total_s.shape
    (61, (17, 1, 16))
    """
    jit.compile_kernels()
    table = tabulate(vms, base, link_bytes_per_s)
    frame, base = asked(vms, base, link_bytes_per_s)
    least, most = table.rates_bytes_per_s[:, :1], table.rates_bytes_per_s[:, -1:]
    rates = np.concatenate([least * _BELOW, least * (most / least) ** _ABOVE], axis=1)
    found = _ends(frame, base, rates, table.proportional, points, seed, wanted)
    return Outcomes(
        rates, found.total_s, found.gave_up_s, table.proportional, scatter(base, len(vms), draws, seed), table
    )


def _ends(
    frame: pd.DataFrame,
    base: Scenario,
    rates: np.ndarray,
    proportional: np.ndarray,
    points: int,
    seed: int,
    wanted: np.ndarray | None,
) -> Ends:
    """Return the ends at all knots; far below what links ever share, those of machines that always end in proportion.

    There a migration takes thousands of rounds, so that these knots would take most of the time of all.
    """
    low, high = rates[:, : _BELOW.size], rates[:, _BELOW.size :]
    given_up = np.isfinite(ends(frame, base, low[:, :1], 1, seed, wanted).gave_up_s[0, :, 0])
    simple = proportional & ~given_up
    above = ends(frame, base, high, points, seed, wanted)
    below = ends(frame, base, low, points, seed, ~simple if wanted is None else wanted & ~simple)
    below.total_s[:, simple] = above.total_s[:, simple, :1] / _BELOW
    below.gave_up_s[:, simple] = above.gave_up_s[:, simple, :1]
    return Ends(*(np.concatenate(pair, axis=2) for pair in zip(below, above, strict=True)))
