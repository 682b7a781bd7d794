"""Which scenarios a sweep asks: every combination of levels, or points that fill the space evenly.

Any part of a design is made from its number alone, so that a sweep of any size needs the memory of one part, and so
that a part is the same wherever it is computed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError, shown
from migkit.models.bulk.frames import column_of
from migkit.units import PAGE_BYTES

__all__ = ["DESIGNS", "Design", "Range"]

_MOST_LEVELS: Final = 10_000_000  # of one axis

DESIGNS: Final = ("grid", "lhs", "sobol")
_MOST_IN_MEMORY: Final = 10_000_000  # points of a Latin hypercube, which is drawn as a whole
_MOST: Final = {"grid": 1 << 40, "sobol": 1 << 30, "lhs": _MOST_IN_MEMORY}
_INSTEAD: Final = {"grid": "", "sobol": "; take a grid", "lhs": ', as it is drawn as a whole; take "sobol"'}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Values between two bounds.

    Attributes
    ----------
    low, high
        Bounds, both included, in the unit of the column.
    log
        Equal ratios in the place of equal differences.
    points
        How many levels a grid takes of it, at least 2; None where the design is no grid.

    Examples
    --------
    >>> Range(low=1.0, high=100.0, log=True, points=3).levels().tolist()
    [1.0, 10.0, 100.0]
    """

    low: float
    high: float
    log: bool = False
    points: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(f"sweep: the range {self.low:g} to {self.high:g} is empty; low must be below high")
        if self.log and self.low <= 0.0:
            raise UsageError(f"sweep: a range in equal ratios cannot begin at {self.low:g}; it must be above 0")
        if self.points is not None and self.points < 2:
            raise UsageError(f"sweep: {self.points} points are no range; take at least 2")
        if self.points is not None and self.points > _MOST_LEVELS:
            raise UsageError(f"sweep: a range of {self.points:,} points is too fine; take at most {_MOST_LEVELS:,}")

    def at(self, share: Any) -> np.ndarray:
        """Return the values at shares of the way from ``low`` (0) to ``high`` (1)."""
        if self.log:
            found = self.low * (self.high / self.low) ** np.asarray(share)
        else:
            found = self.low + (self.high - self.low) * np.asarray(share)
        return np.asarray(np.clip(found, self.low, self.high))

    def levels(self) -> np.ndarray:
        """Return the levels that a grid takes."""
        return self.at(np.linspace(0.0, 1.0, _levels_of(self)))

    def column(self, name: str, share: Any) -> np.ndarray:
        """Return the values of a column at shares of the way: counts are whole numbers, memory is whole pages."""
        return _whole(name, self.at(share))


def _levels_of(axis: Range) -> int:
    if axis.points is None:
        raise UsageError("sweep: a grid needs the number of points of each range; give points")
    return axis.points


Axis = Range | Sequence[Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Scenarios by number.

    Attributes
    ----------
    space
        An axis by the name of a column of :func:`migkit.models.bulk.many.predict_many`: a :class:`Range`, or levels.
    kind
        ``grid``: every combination, the last axis fastest; ``lhs``: a Latin hypercube (McKay et al. 1979); ``sobol``:
        a scrambled Sobol' sequence (Owen 1998).
    points
        How many scenarios; None for a grid, whose axes say it.
    seed
        Of what is drawn.

    Examples
    --------
    >>> limits = Range(low=0.1, high=0.3, points=2)
    >>> design = Design(space={"memory_bytes": [2**30, 2**31], "downtime_limit_s": limits})
    >>> design.size, {name: values.tolist() for name, values in design.rows(1, 3).items()}
    (4, {'memory_bytes': [1073741824, 2147483648], 'downtime_limit_s': [0.3, 0.1]})
    """

    space: Mapping[str, Axis]
    kind: str = "grid"
    points: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in DESIGNS:
            raise UsageError(f"sweep: the design {shown(self.kind)} is not known; use one of {', '.join(DESIGNS)}")
        if not self.space:
            raise UsageError("sweep: nothing varies; name a column and its values")
        for name, axis in self.space.items():
            _check_axis(name, axis)
        if self.kind == "grid":
            if self.points is not None:
                raise UsageError("sweep: a grid has as many points as its axes say; leave out points")
        elif self.points is None or self.points < 1:
            raise UsageError(f"sweep: a design of kind {self.kind} needs a number of points, 1 or more")
        most = _MOST[self.kind]
        if self.size > most:
            raise UsageError(
                f"sweep: {self.size:,} scenarios are too many for a design of kind {self.kind}; "
                f"at most {most:,} have numbers{_INSTEAD[self.kind]}"
            )

    @property
    def size(self) -> int:
        """Number of scenarios."""
        if self.points is not None:
            return self.points
        return math.prod(_levels_of(axis) if isinstance(axis, Range) else len(axis) for axis in self.space.values())

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Return the columns of the scenarios from ``start`` to before ``stop``."""
        stop = min(stop, self.size)
        if self.kind == "grid":
            levels = self._levels()
            places = np.unravel_index(np.arange(start, stop), [len(one) for one in levels])
            return {name: one[place] for name, one, place in zip(self.space, levels, places, strict=True)}
        shares = _shares(self.kind, len(self.space), self.points or 0, self.seed, start, stop)
        return {name: _of_shares(name, axis, shares[:, at]) for at, (name, axis) in enumerate(self.space.items())}

    def _levels(self) -> list[np.ndarray]:
        return [
            _whole(name, axis.levels()) if isinstance(axis, Range) else np.asarray(axis)
            for name, axis in self.space.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which say the whole design."""
        space = {
            name: dataclasses.asdict(axis) if isinstance(axis, Range) else np.asarray(axis).tolist()
            for name, axis in self.space.items()
        }
        return {"space": space, "kind": self.kind, "points": self.points, "seed": self.seed}


def _check_axis(name: str, axis: Axis) -> None:
    column = column_of(name)
    if isinstance(axis, Range):
        if column.is_text or column.field.kind == "true or false":
            raise UsageError(f"sweep: {name} is no number; give a list of its values")
    elif isinstance(axis, str) or not isinstance(axis, Sequence | np.ndarray) or len(axis) == 0:
        raise UsageError(f"sweep: {name}: {shown(axis)} is neither a range nor a list of values; write [1, 2, 3]")


def _of_shares(name: str, axis: Axis, shares: np.ndarray) -> np.ndarray:
    if isinstance(axis, Range):
        return axis.column(name, shares)
    levels = np.asarray(axis)
    return np.asarray(levels[np.minimum((shares * len(levels)).astype(np.int64), len(levels) - 1)])


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    """Return counts as whole numbers, and memory as whole pages."""
    field = column_of(name).field
    if not field.is_int:
        return values
    unit = PAGE_BYTES if field.rule.whole_pages else 1
    return np.asarray(np.rint(values / unit).astype(np.int64) * unit)


def _shares(kind: str, dimensions: int, points: int, seed: int, start: int, stop: int) -> np.ndarray:
    """Return points of the unit cube, one row a scenario."""
    if kind == "lhs":
        return _hypercube(dimensions, points, seed)[start:stop]
    from scipy.stats import qmc

    sequence = qmc.Sobol(dimensions, scramble=True, seed=seed)
    if start:
        sequence.fast_forward(start)
    return np.asarray(sequence.random(1 << (stop - start - 1).bit_length())[: stop - start])


@functools.lru_cache(maxsize=1)
def _hypercube(dimensions: int, points: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc

    return np.asarray(qmc.LatinHypercube(dimensions, seed=seed).random(points))
