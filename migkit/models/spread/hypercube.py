"""Points that fill a cube evenly, few at a time: a Latin hypercube whose coordinates are uncorrelated.

Each coordinate alone takes ``n`` values, one in each ``n``-th of its range, so that a quantile is known better than
from as many independent draws (McKay, Beckman, Conover, A comparison of three methods for selecting values of input
variables, Technometrics 1979). In which order it takes them is shuffled. A shuffled order is correlated with those
of earlier coordinates by ``1 / sqrt(n)``, which makes a sum of both too wide or too narrow; that part is taken out of
its normal scores, and what is left is ranked anew (Owen, Controlling correlations in Latin hypercube samples, JASA
1994). With ``n`` points that is possible for ``n / 2`` coordinates; later ones are shuffled only. Coordinates that
matter most come first.

Orders belong to the number of points, and a seed moves the points within their ``n``-ths: another seed moves a bound
by little. For 60 scenarios of the data that ship, bounds from 127 or 257 points are 3 to 5 % of an interval's width
(root mean square) off those from 20,000 independent ones.
"""

from __future__ import annotations

import functools
import random
from statistics import NormalDist
from typing import Final

import numpy as np

__all__ = ["normals", "uniforms"]

_NORMAL: Final = NormalDist()
_PASSES: Final = 3  # of ranking anew, behind which correlations are below 1 % for 100 points


def uniforms(number: int, dimensions: int, seed: int, first: int = 0) -> np.ndarray:
    """Return points of the unit cube, one a row.

    Parameters
    ----------
    number
        How many.
    dimensions
        Coordinates of each.
    seed
        From which the places within the parts are drawn.
    first
        Of all coordinates, the first one that is wanted.

    Examples
    --------
    >>> points = uniforms(61, 3, seed=0)
    >>> (np.sort(points[:, 2]) * 61).astype(int).tolist() == list(range(61))
    True
    """
    rng = random.Random(seed)
    place = np.array([rng.random() for _ in range(first + dimensions)])[first:]
    points: np.ndarray = (_orders(number, first + dimensions)[first:].T + place) / number
    return points


@functools.lru_cache(32)
def normals(number: int, dimensions: int, seed: int, first: int = 0) -> np.ndarray:
    """Return the points of :func:`uniforms` as points of a standard normal distribution; they are not to be changed.

    Examples
    --------
    >>> points = normals(127, 20, seed=0)
    >>> bool(np.abs(np.corrcoef(points.T) - np.eye(20)).max() < 0.02)
    True
    """
    points = np.clip(uniforms(number, dimensions, seed, first), 1e-9, 1.0 - 1e-9)
    values = np.array([_NORMAL.inv_cdf(u) for u in points.ravel().tolist()])
    values.flags.writeable = False
    return values.reshape(points.shape)


@functools.lru_cache(32)
def _orders(number: int, dimensions: int) -> np.ndarray:
    """Return in which of ``number`` parts each point lies, one coordinate a row; more of them change none."""
    rng = random.Random(number)
    scores = np.array([_NORMAL.inv_cdf((at + 0.5) / number) for at in range(number)])
    scores /= np.sqrt(scores @ scores) or 1.0
    apart = np.zeros((min(dimensions, number // 2), number))  # what is normal and uncorrelated, of length 1 each
    orders = np.empty((dimensions, number), dtype=np.int64)
    for at in range(dimensions):
        order = _ranks(np.array([rng.random() for _ in range(number)]))
        if at < len(apart):
            before = apart[:at]
            for _ in range(_PASSES if at else 0):
                order = _ranks(_without(before, scores[order]))
            rest = _without(before, scores[order])
            apart[at] = rest / (np.sqrt(rest @ rest) or 1.0)
        orders[at] = order
    return orders


def _without(before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values less what they have in common with rows of length 1."""
    rest: np.ndarray = values - (before @ values) @ before
    return rest


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks: np.ndarray = values.argsort(kind="stable").argsort(kind="stable")
    return ranks
