"""Which input matters: what each one alone changes, and which share of a result's variance it explains."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.errors import UsageError, shown
from migkit.models.bulk.many import predict_many
from migkit.planning.space import Range
from migkit.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OUTPUTS", "Sensitivity", "sensitivity"]

OUTPUTS: Final = ("total_time_s", "downtime_s", "transferred_bytes", "guest_slowdown", "converges")
_MOST: Final = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sensitivity:
    """Frozen result of :func:`sensitivity`.

    Attributes
    ----------
    output
        The result in question.
    inputs
        Columns that vary, the one that matters most first.
    low, high
        The output with one input at the end of its range and the others in the middle of theirs, shape (inputs,).
    first, total
        Sobol' indices of first order and in total, shape (inputs,): which share of the variance the input explains
        alone, and together with all others.
    """

    output: str
    inputs: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    total: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """Return one row an input, the one that matters most first."""
        import pandas as pd

        columns = {"low": self.low, "high": self.high, "first_order": self.first, "in_total": self.total}
        return pd.DataFrame({"input": self.inputs} | columns)

    def __repr__(self) -> str:
        return f"sensitivity of {self.output}\n{self.to_frame().to_string(index=False, float_format='{:.4g}'.format)}"


def sensitivity(
    space: Mapping[str, Range],
    base: Scenario | None = None,
    *,
    output: str = "total_time_s",
    points: int = 1024,
    seed: int = 0,
) -> Sensitivity:
    """Return what each uncertain input does to a result.

    Sobol' indices are estimated from ``points (inputs + 2)`` predictions by Saltelli et al. (2010), as
    :func:`scipy.stats.sobol_indices` does; beside them stands what each input alone does (the tornado).

    Parameters
    ----------
    space
        The range of each uncertain input, by its column of :func:`migkit.models.bulk.many.predict_many`.
    base
        What is certain.
    output
        ``total_time_s``, ``downtime_s``, ``transferred_bytes``, ``guest_slowdown`` or ``converges`` (1 or 0).
    points
        A power of 2.
    seed
        Of the sequence that is drawn.

    Raises
    ------
    UsageError
        The space, the output or the number of points is wrong; or some migrations of the space never end, so that
        their total time and bytes have no variance.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> base = Scenario(guest=Guest(memory_bytes=2**30), policy=Policy(max_bandwidth_bytes_per_s=1e9))
    >>> inputs = {"memory_bytes": Range(low=2**30, high=2**33), "rtt_s": Range(low=1e-4, high=1e-3)}
    >>> sensitivity(inputs, base, points=64).inputs
    ('memory_bytes', 'rtt_s')
    """
    _check(space, output, points)
    from scipy import stats

    names = tuple(space)

    def outputs(shares: np.ndarray) -> np.ndarray:
        return _outputs(space, base, output, shares)

    uniform: list[Any] = [stats.uniform() for _ in names]
    found = stats.sobol_indices(func=outputs, n=points, dists=uniform, rng=np.random.default_rng(seed))
    ends = np.full((len(names), 2 * len(names)), 0.5)
    for at in range(len(names)):
        ends[at, 2 * at : 2 * at + 2] = 0.0, 1.0
    tornado = outputs(ends)[0].reshape(len(names), 2)
    order = np.argsort(-found.total_order.ravel(), kind="stable")
    return Sensitivity(
        output=output,
        inputs=tuple(names[at] for at in order),
        low=tornado[order, 0],
        high=tornado[order, 1],
        first=found.first_order.ravel()[order],
        total=found.total_order.ravel()[order],
    )


def _check(space: Mapping[str, Range], output: str, points: int) -> None:
    if output not in OUTPUTS:
        raise UsageError(f"sensitivity: {shown(output)} is no result; use one of {', '.join(OUTPUTS)}")
    if not space:
        raise UsageError("sensitivity: nothing is uncertain; give the range of at least one input")
    for name, axis in space.items():
        if not isinstance(axis, Range):
            raise UsageError(f"sensitivity: {name}: {shown(axis)} is no range; write Range(low=..., high=...)")
    if points < 2 or points & (points - 1) or points > _MOST:
        raise UsageError(f"sensitivity: {points} points are no power of 2 from 2 to {_MOST}; take 1024")


def _outputs(space: Mapping[str, Range], base: Scenario | None, output: str, shares: np.ndarray) -> np.ndarray:
    """Return the output of points of the unit cube, one column each; shape (1, columns)."""
    import pandas as pd

    asked = pd.DataFrame({name: axis.column(name, shares[at]) for at, (name, axis) in enumerate(space.items())})
    found = predict_many(asked, base)
    if output == "converges":
        return (found["verdict"] == "converges").to_numpy(dtype=float)[None, :]
    values = found[output].to_numpy(dtype=float)
    endless = int(np.isinf(values).sum())
    if endless:
        share = math.ceil(100.0 * endless / len(values))
        raise UsageError(
            f"sensitivity: {share} % of the migrations never end, so {output} has no variance; "
            'ask for "converges", or narrow the ranges'
        )
    return values.copy()[None, :]
