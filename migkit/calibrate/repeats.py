"""Runs that were given twice: one run is one measurement, however many copies of its file there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from migkit.errors import UsageError

if TYPE_CHECKING:
    from migkit.importers import Log
    from migkit.traces import Trace

__all__ = ["refuse_repeats", "same_log", "same_trace"]

Run = TypeVar("Run")


def refuse_repeats(what: str, runs: Sequence[Run], same: Callable[[Run, Run], bool]) -> None:
    """Refuse runs of which two are the same one.

    Parameters
    ----------
    what
        What they are given to, as the message begins.
    runs
        In the order in which they were given.
    same
        Says whether two of them are one.

    Raises
    ------
    UsageError
        Two of them are the same run.

    Examples
    --------
    >>> refuse_repeats("calibration", [1.0, 2.0, 1.0], lambda one, other: one == other)
    Traceback (most recent call last):
    migkit.errors.UsageError: calibration: runs 1 and 3 of 3 hold the same readings, so that one run would count \
twice; give each run once
    """
    for (i, one), (j, other) in itertools.combinations(enumerate(runs, 1), 2):
        if same(one, other):
            raise UsageError(
                f"{what}: runs {i} and {j} of {len(runs)} hold the same readings, so that one run would count twice; "
                "give each run once"
            )


def same_log(one: Log, other: Log) -> bool:
    """Say whether two logs hold the same readings and totals.

    Examples
    --------
    >>> from migkit.importers import read
    >>> line = '{"status": "completed", "total-time": 5500, "ram": {"remaining": 0}}\\n'
    >>> same_log(read(line)[0], read(line)[0]), same_log(read(line)[0], read(line.replace("55", "56"))[0])
    (True, False)
    """
    return one.meta["totals"] == other.meta["totals"] and one.frame.equals(other.frame)


def same_trace(one: Trace, other: Trace) -> bool:
    """Say whether two traces hold the same outcome, rounds and samples.

    Examples
    --------
    >>> from migkit.traces import data, io
    >>> slow, fast = (io.read(data.data_path(f"traces/{name}.parquet")) for name in ("slow", "fast"))
    >>> same_trace(slow, slow), same_trace(slow, fast)
    (True, False)
    """
    tables = ((one.rounds, other.rounds), (one.samples, other.samples))
    return one.outcome == other.outcome and all(a.to_pandas().equals(b.to_pandas()) for a, b in tables)
