"""Designed experiments: which scenarios to run, how often, in which order.

A design is a TOML file of scenario keys with lists of values, and of the scenario that they change::

    [guest]                                      # or in a scenario file of its own, or as flags
    memory = "256 MiB"

    [grid.policy]                                # every combination of these
    max_bandwidth = ["50 MB/s", "100 MB/s"]
    [grid.strategy]
    name = ["precopy", "postcopy"]

    [[points]]                                   # instead or besides: points that are listed
    guest.memory = "256 MiB"

Each listed point is combined with the whole grid; what neither says is as in the scenario at hand.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from migkit.errors import UsageError
from migkit.scenario.form import schema

__all__ = ["Point", "Run", "ordered", "read"]

Tables = dict[str, Any]
_MOST_RUNS: Final = 100_000
_SCENARIO: Final = ("schema_version", "guest", "link", "host", "policy", "strategy")


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One scenario of a design: what it says of each key that the design varies, by ``table.key``."""

    number: int
    changes: Mapping[str, Any]

    def applied(self, tables: Mapping[str, Any]) -> Tables:
        """Return the tables of a scenario with these changes."""
        changed = {name: dict(table) if isinstance(table, Mapping) else table for name, table in tables.items()}
        for key, value in self.changes.items():
            table, _, name = key.partition(".")
            changed.setdefault(table, {})[name] = value
        return changed


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of a point; ``repeat`` counts from 1."""

    point: Point
    repeat: int

    @property
    def name(self) -> str:
        """The name of its trace, without a suffix."""
        return f"{self.point.number:03d}-{self.repeat}"


def read(path: Path) -> tuple[list[Point], Tables]:
    """Return the points of a design, and the tables of the scenario in the same file, not yet checked.

    Raises
    ------
    UsageError
        The file cannot be read, or is no design.
    """
    tables = schema.read(path)
    scenario: Tables = {name: tables.pop(name) for name in _SCENARIO if name in tables}
    return points(tables, str(path)), scenario


def points(design: Mapping[str, Any], where: str = "grid") -> list[Point]:
    """Return the points of a design that was read.

    Examples
    --------
    >>> design = {"grid": {"strategy": {"name": ["precopy", "postcopy"]}}, "points": [{"guest": {"memory": "1 GiB"}}]}
    >>> [dict(point.changes) for point in points(design)]
    [{'guest.memory': '1 GiB', 'strategy.name': 'precopy'}, {'guest.memory': '1 GiB', 'strategy.name': 'postcopy'}]
    """
    unknown = sorted(set(design) - {"grid", "points"})
    if unknown:
        raise UsageError(
            f"{where}: {unknown[0]!r} is not known; use [grid.TABLE], [[points]] and the tables of a scenario"
        )
    grid = _flat(design.get("grid", {}), where)
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UsageError(f"{where}: grid.{key} is no list of values; write it as {key} = [FIRST, SECOND]")
    listed = design.get("points", [{}])
    if not isinstance(listed, list) or not (grid or listed != [{}]):
        raise UsageError(f"{where}: it varies nothing; give [grid.TABLE] with lists of values, or [[points]]")
    _check_count(len(listed) * math.prod(map(len, grid.values())), f"{where}: ")
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    changes = [_flat(each, where) | more for each in listed for more in combinations]
    return [Point(number, change) for number, change in enumerate(changes, 1)]


def ordered(design: Sequence[Point], repeats: int, seed: int) -> list[Run]:
    """Return every run of a design in random order, so that a drift of the machine falls on all points alike."""
    _check_count(len(design) * repeats, "")
    runs = [Run(point, repeat) for point in design for repeat in range(1, repeats + 1)]
    random.Random(seed).shuffle(runs)
    return runs


def _check_count(count: int, where: str) -> None:
    """Refuse more runs than anybody waits for, before they are listed."""
    if count > _MOST_RUNS:
        raise UsageError(f"{where}{count} runs are asked for; at most {_MOST_RUNS} can be; vary less at a time")


def _flat(tables: Any, where: str) -> dict[str, Any]:
    """Return the keys of tables as ``table.key``."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"{where}: keys stand in the tables of a scenario, as in [grid.policy] or policy.name = ...")
    return {f"{name}.{key}": value for name, table in tables.items() for key, value in table.items()}
