"""Points that fill a cube evenly, few at a time: a rank-1 lattice.

The i-th of ``n`` points is ``((i g mod n) + place) / n`` with the generating vector ``g = (1, a, a^2, ...)``
(Korobov 1959). Each coordinate alone takes ``n`` values, one in each ``n``-th of its range, so that a quantile is
known far better than from as many independent draws (Sloan and Joe, Lattice Methods for Multiple Integration, 1994).
Where in their ``n``-ths the points lie is drawn once for each coordinate. Coordinates that matter most come first.
"""

from __future__ import annotations

import functools
import random
from statistics import NormalDist
from typing import Final

import numpy as np

__all__ = ["normals", "uniforms"]

_MULTIPLIER: Final = {17: 7, 31: 13, 61: 51, 127: 41, 257: 69, 509: 384, 1021: 76}  # of a prime number of points
_NORMAL: Final = NormalDist()


def uniforms(number: int, dimensions: int, seed: int, first: int = 0) -> np.ndarray:
    """Return points of the unit cube, one a row.

    Parameters
    ----------
    number
        How many: 17, 31, 61, 127, 257, 509 or 1021.
    dimensions
        Coordinates of each.
    seed
        From which the places within the parts are drawn.
    first
        Of all coordinates of the lattice, the first one that is wanted.

    Examples
    --------
    >>> points = uniforms(61, 3, seed=0)
    >>> np.diff(np.sort(points[:, 2])).round(6).max()
    np.float64(0.016393)
    """
    rng = random.Random(seed)
    place = np.array([rng.random() for _ in range(first + dimensions)])[first:]
    vector = [pow(_MULTIPLIER[number], first + at, number) for at in range(dimensions)]
    points: np.ndarray = (np.outer(np.arange(number), vector) % number + place) / number
    return points


@functools.lru_cache(32)
def normals(number: int, dimensions: int, seed: int, first: int = 0) -> np.ndarray:
    """Return the points of :func:`uniforms` as points of a standard normal distribution; they are not to be changed.

    Examples
    --------
    >>> abs(normals(61, 1, seed=0).mean()).round(1)
    np.float64(0.0)
    """
    points = np.clip(uniforms(number, dimensions, seed, first), 1e-9, 1.0 - 1e-9)
    values = np.array([_NORMAL.inv_cdf(u) for u in points.ravel().tolist()])
    values.flags.writeable = False
    return values.reshape(points.shape)
