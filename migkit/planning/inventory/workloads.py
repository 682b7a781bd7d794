"""Workloads whose dirty curve was measured and published, by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final, NamedTuple

from migkit.scenario import DirtyClass, curves
from migkit.units import PAGE_BYTES

__all__ = ["WORKLOADS", "Workload", "classes_of"]


class Workload(NamedTuple):
    """A dirty curve ``U(t) = a t**b``, which the memory bounds.

    Attributes
    ----------
    pages_in_first_s
        ``a`` [pages].
    exponent
        ``b``.
    source
        Who measured it.
    """

    pages_in_first_s: float
    exponent: float
    source: str


WORKLOADS: Final[Mapping[str, Workload]] = {
    "idle": Workload(0.0, 1.0, "writes nothing"),
    "memcached": Workload(
        104_586.0,
        0.662,
        "YCSB on memcached in a guest of 32 GiB, windows of 0.125 to 60 s; the law fits its 22 points within 7.6 % "
        "(A. Gudkov, Migration time prediction using calc-dirty-rate, qemu-devel, 2023)",
    ),
}


@functools.lru_cache(4096)
def classes_of(name: str, memory_bytes: int) -> tuple[DirtyClass, ...]:
    """Return the page classes of a named workload in a machine of this memory [B].

    Examples
    --------
    >>> classes_of("idle", 2**30)
    ()
    >>> len(classes_of("memcached", 2**33)) > 3
    True
    """
    law = WORKLOADS[name]
    if law.pages_in_first_s == 0.0:
        return ()
    region = memory_bytes // PAGE_BYTES * PAGE_BYTES
    return curves.power_law(region, min(law.pages_in_first_s, 4.0 * region / PAGE_BYTES), law.exponent)
