"""Draws of many machines of one installation: hosts and links are common to all of a draw, each guest is its own.

A sum over machines spreads by what they have in common: were every machine drawn with hosts of its own, the errors
would cancel. So the i-th draw has the same hosts for all machines, and each guest takes its own draws in an order of
its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.models import admission
from migkit.models.bulk import frames
from migkit.models.bulk.many import cases
from migkit.models.spread import draws
from migkit.models.spread.change import changed
from migkit.models.spread.hypercube import normals
from migkit.models.spread.interval import RUN_TO_RUN, runs_of
from migkit.policies import decision
from migkit.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ends", "Scatter", "ends", "scatter"]

_RUNS: Final = 60_000  # of the engine at a time, whose records fit in memory
_REFUSED_S: Final = 1.0  # until a manager takes notice that a migration is not admitted
_ENDS_WELL: Final = (decision.SWITCHOVER, decision.POSTCOPY)
_GIVES_UP: Final = (decision.ABORT, decision.TIME_OUT)


class Ends(NamedTuple):
    """When migrations end, one way or the other, in each draw.

    Attributes
    ----------
    total_s
        Total migration time; infinite where it does not converge [s]. Shape (draws, rows, shares).
    gave_up_s
        When the rule gives up; infinite where it does not [s]. The same shape.
    """

    total_s: np.ndarray
    gave_up_s: np.ndarray


class Scatter(NamedTuple):
    """What further draws add to the times of a run.

    Attributes
    ----------
    factor
        Of total time, of each machine. Shape (draws, machines).
    added_s
        Set-up and switchover, the same for all machines [s]. Shape (draws,).
    """

    factor: np.ndarray
    added_s: np.ndarray


def ends(
    frame: pd.DataFrame,
    base: Scenario,
    shares_bytes_per_s: np.ndarray,
    number: int,
    seed: int,
    wanted: np.ndarray | None = None,
) -> Ends:
    """Return when each machine's migration ends at each of its shares of a link.

    Parameters
    ----------
    frame
        Machines, as :func:`migkit.predict_many` takes them.
    base
        What has no column.
    shares_bytes_per_s
        Of shape (machines, shares).
    number
        Draws: 17, 31, 61, 127 or 257; 1: what is expected, nothing drawn.
    seed
        From which the inputs are drawn.
    wanted
        Whether each machine is worked out; the others never end. None: all of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from migkit import Guest
    >>> vms = pd.DataFrame({"memory_bytes": [2**28, 2**30]})
    >>> base = Scenario(guest=Guest(memory_bytes=4096))
    >>> found = ends(vms, base, np.full((2, 1), 1e8), number=17, seed=0)
    >>> found.total_s.shape, bool(found.total_s.max() < 13.0), bool(np.isinf(found.gave_up_s).all())
    ((17, 2, 1), True, True)
    """
    rows, shares = shares_bytes_per_s.shape
    total_s, gave_up_s = np.full((2, number, rows, shares), math.inf)
    orders = _orders(rows, number, seed)
    table = frames.read(frame)
    good = np.ones(rows, dtype=bool) if wanted is None else wanted
    for some, case, rule in cases(table, base, good, max(1, _RUNS // number)):
        for at in range(shares):
            link = changed(case.link, {"bandwidth_bytes_per_s": shares_bytes_per_s[some, at]})
            there = changed(case, {"link": link})
            found = _ends(there, some.size, number, rule, seed, orders[some])
            total_s[:, some, at], gave_up_s[:, some, at] = found
    return Ends(total_s, gave_up_s)


def _ends(case: Scenario, rows: int, number: int, rule: Any, seed: int, orders: np.ndarray) -> Ends:
    """Return the ends of some machines at one share each, of shape (draws, rows)."""
    wide = case if number == 1 else draws.drawn(case, number, rows, seed, orders)
    runs = runs_of(wide, number * rows, rule)
    total_s = runs.total_s
    well = np.where(np.isin(runs.action, _ENDS_WELL), total_s, math.inf)
    badly = np.where(np.isin(runs.action, _GIVES_UP), total_s, math.inf)
    refused = np.broadcast_to(admission.refused(wide), well.shape)
    well, badly = np.where(refused, math.inf, well), np.where(refused, _REFUSED_S, badly)
    return Ends(well.reshape(rows, number).T, badly.reshape(rows, number).T)


def _orders(rows: int, number: int, seed: int) -> np.ndarray:
    """Return one order of the draws for each row, of shape (rows, draws)."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(number), (rows, 1)), axis=1)


def scatter(base: Scenario, machines: int, number: int, seed: int) -> Scatter:
    """Return what makes one run differ from the next, apart from its inputs.

    Parameters
    ----------
    base
        Whose hosts set up and switch over.
    machines
        How many run, each scattered apart from the others.
    number
        Draws: 17, 31, 61, 127, 257, 509 or 1021; 1: nothing is drawn.
    seed
        From which the draws come.

    Examples
    --------
    >>> from migkit import Guest
    >>> found = scatter(Scenario(guest=Guest(memory_bytes=2**28)), machines=3, number=509, seed=0)
    >>> found.factor.shape, round(float(found.factor.std()), 3)
    ((509, 3), 0.005)
    """
    if number == 1:
        return Scatter(np.ones((1, machines)), np.zeros(1))
    factor = np.exp(RUN_TO_RUN * normals(number, draws.SCATTERS, seed)[:, 0])[_orders(machines, number, seed + 1).T]
    setup_s, stopped_s = draws.additions(base, number, seed)
    apart = np.random.default_rng(seed + 2).permutation(
        number
    )  # from the draws of the engine, which have the same points
    return Scatter(factor, np.broadcast_to(setup_s + stopped_s, (1, number))[0][apart])
