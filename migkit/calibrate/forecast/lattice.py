"""Points that fill a square or a cube evenly, few at a time: a rank-1 lattice.

The i-th of ``n`` points is ``((i g mod n) + place) / n`` with the generating vector ``g = (1, a, a^2)`` (Korobov
1959). Each coordinate alone takes ``n`` values, one in each ``n``-th of its range (Sloan and Joe, Lattice Methods for
Multiple Integration, 1994). Where in their ``n``-ths the points lie is drawn once for each coordinate. The first
point has the smallest first coordinate.
"""

from __future__ import annotations

import functools
import random
from statistics import NormalDist
from typing import Final

import numpy as np

__all__ = ["normals"]

_MULTIPLIER: Final = 7  # for 17 points in up to three dimensions
_NORMAL: Final = NormalDist()


@functools.lru_cache(32)
def normals(number: int, dimensions: int, seed: int) -> np.ndarray:
    """Return points of a standard normal distribution, one a row; they are not to be changed.

    Parameters
    ----------
    number
        How many; a prime number.
    dimensions
        Coordinates of each, at most three.
    seed
        From which the places within the parts are drawn.

    Examples
    --------
    >>> points = normals(17, 2, seed=0)
    >>> points.shape, int(points[:, 0].argmin())
    ((17, 2), 0)
    """
    rng = random.Random(seed)
    place = np.array([rng.random() for _ in range(dimensions)])
    vector = [pow(_MULTIPLIER, at, number) for at in range(dimensions)]
    points = (np.outer(np.arange(number), vector) % number + place) / number
    values = np.array([_NORMAL.inv_cdf(u) for u in np.clip(points, 1e-9, 1.0 - 1e-9).ravel().tolist()])
    values.flags.writeable = False
    return values.reshape(points.shape)
