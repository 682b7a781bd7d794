"""What real guests do that no scenario holds: how full they are, how idle, and how much faster they could be.

A guest that a test made is the same in each run: those of the harness and of QEMU's emulator hold no such surprise. A
guest that people use differs:

* What is not zero differs from run to run: the page cache holds what was read before. In four series of 3 to 5 runs
  of one database each, non-zero memory differed by 1.2, 1.3, 1.2 and 1.6 % (standard deviation; data/kvm_database).
  17 runs in four series leave 13 degrees of freedom: a normal distribution that is 8 % wider has the bounds at 90 %
  of Student's t. That of idle guests of 1 to 8 GiB, booted alike, differed by 0.2 % (data/sysbench_kvm_1gbit.csv). A
  scenario holds what one look found, so that the next run is off from it by ``sqrt(2)`` times as much.
* It writes faster or slower from run to run: by 1 to 5 % in the first passes of three of these series, and by 1 to
  4 % in the mean of the rounds behind them. The two are not correlated (-0.9, 0.0 and 0.3), so each page class
  differs on its own. The fuller a guest was, the more its first pass marked: a correlation of 0.5 to 0.8. That is of
  the class with most pages; of later rounds there is none (-0.5, -0.6 and 0.8).
* A guest that is said to write nothing writes all the same: 40 to 750 pages a second were sent again of idle guests
  (the same data, and a guest of 2 GiB in data/field_reports that re-sent 6,677 pages in 13 s).
* A guest that is throttled may have been waiting, so that it does not slow in full: the database did 0.92, 0.81 and
  0.72 of its operations when 20, 30 and 40 % of its time were taken, as one does that could write 1.2 times as much.
  Half of the guests are taken to run flat out, as a scenario without a capacity says.

What any throttled guest can write, one that a test made included, is not the same from run to run: measured flat out
on one machine it differed by up to 20 %, and in slices of 10 ms by 10 % (standard deviation of 34 under 99 %).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from migkit.models.spread.change import changed
from migkit.scenario import Guest, Scenario
from migkit.scenario.installation.platforms import platform_of
from migkit.units import PAGE_BYTES

__all__ = ["COORDINATES", "differing", "is_real", "stirred_pages"]

COORDINATES: Final = 2  # that a draw of a guest takes beside those of its page classes
_MADE: Final = ("qemu-tcg", "harness")  # platforms whose guests a test made
_FEW_RUNS: Final = 1.08  # t(0.95; 13 degrees of freedom) over that of a normal distribution
_CONTENT: Final = 0.0135 * math.sqrt(2.0) * _FEW_RUNS  # of what is not zero, of a guest that writes
_IDLE_CONTENT: Final = 0.002 * math.sqrt(2.0)
_WRITES: Final = 0.04 * math.sqrt(2.0) * _FEW_RUNS  # of the write rate of a class, early and late rounds pooled
_TOGETHER: Final = 0.65  # correlation of that of the largest class with what is not zero
_STIRRED_PAGES_PER_S: Final = 130.0  # by an idle guest, sent again
_STIRRED_SPREAD: Final = 1.2
_STIRRED_S: Final = 10.0  # as long as most of them took; later, it writes to the same pages
_LARGEST: Final = 2.0**62
_HEADROOM: Final = 0.25  # of the logarithm of capacity over demand, half a normal distribution
_CAPACITY: Final = 0.1  # of the logarithm of a capacity that was measured


def is_real(case: Scenario) -> bool:
    """Say whether people use the guest, rather than that a test made it.

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> guest = Guest(memory_bytes=2**28)
    >>> is_real(Scenario(guest=guest)), is_real(Scenario(guest=guest, host=Host(platform="harness")))
    (True, False)
    """
    return (case.host.platform or platform_of(case.policy.name)) not in _MADE


def differing(
    case: Scenario, z_content: np.ndarray, z_headroom: np.ndarray, z_writes: Sequence[np.ndarray]
) -> Scenario:
    """Return a scenario of many draws with guests that differ in non-zero memory, write rates and capacity.

    Parameters
    ----------
    case
        Its fields that are numbers may be arrays, one value for each draw.
    z_content, z_headroom
        Points of a standard normal distribution, one for each draw.
    z_writes
        The same of each page class.

    Examples
    --------
    >>> from migkit import Guest
    >>> case = Scenario(guest=Guest(memory_bytes=2**30, zero_bytes=2**29))
    >>> zero = differing(case, np.array([-2.0, 0.0, 2.0]), np.zeros(3), ()).guest.zero_bytes
    >>> (zero / 2**29).round(3).tolist()
    [1.006, 1.0, 0.994]
    """
    if case.strategy.auto_converge and case.guest.capacity_writes_per_s is not None:
        capacity = case.guest.capacity_writes_per_s * np.exp(_CAPACITY * z_headroom)
        case = changed(case, {"guest": changed(case.guest, {"capacity_writes_per_s": capacity})})
    if not is_real(case):
        return case
    most = functools.reduce(np.maximum, (np.asarray(one.region_bytes) for one in case.guest.dirty), np.zeros(1))
    dirty = tuple(
        changed(one, {"writes_per_s": one.writes_per_s * _faster(np.asarray(one.region_bytes) == most, z_content, z)})
        for one, z in zip(case.guest.dirty, z_writes, strict=True)
    )
    guest = changed(case.guest, {"dirty": dirty})
    if np.any(guest.zero_bytes) and guest.fill != "zero":
        guest = _as_full(guest, z_content)
    if case.strategy.auto_converge and guest.capacity_writes_per_s is None and guest.dirty:
        capacity = sum(one.writes_per_s for one in dirty) * np.exp(_HEADROOM * np.maximum(z_headroom, 0.0))
        guest = changed(guest, {"capacity_writes_per_s": capacity})
    return changed(case, {"guest": guest})


def _faster(is_largest: np.ndarray, z_content: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return how much faster a class is written than expected, in each draw."""
    together = np.where(is_largest, _TOGETHER, 0.0)
    factor: np.ndarray = np.exp(_WRITES * (together * z_content + np.sqrt(1.0 - together**2) * z))
    return factor


def _as_full(guest: Guest, z: np.ndarray) -> Guest:
    """Return a guest with more or less that is not zero, and regions that fit into it."""
    content = np.asarray(guest.memory_bytes - guest.zero_bytes, dtype=float)
    factor = np.exp(np.where(_writes_per_s(guest) > 0.0, _CONTENT, _IDLE_CONTENT) * z)
    told = np.asarray(guest.zero_bytes) > 0  # else none is left, or nobody counted them
    factor = np.where(told, factor, 1.0)
    zero = _whole(np.maximum(guest.memory_bytes - content * factor, 0.0))
    regions = sum(np.asarray(one.region_bytes, dtype=float) for one in guest.dirty)
    fits = np.minimum(1.0, (guest.memory_bytes - zero) / np.maximum(regions, 1.0))
    dirty = tuple(
        changed(one, {"region_bytes": np.maximum(_whole(one.region_bytes * fits), PAGE_BYTES)}) for one in guest.dirty
    )
    untouched = np.minimum(guest.untouched_bytes, zero)
    return changed(guest, {"zero_bytes": zero, "untouched_bytes": untouched, "dirty": dirty})


def _whole(values: Any) -> np.ndarray:
    """Return bytes of whole pages: as integers, which divide in a tenth of the time, where these are as large."""
    whole: np.ndarray = np.floor(np.asarray(values, dtype=float) / PAGE_BYTES) * PAGE_BYTES
    return whole.astype(np.int64) if whole.max(initial=0.0) < _LARGEST else whole


def stirred_pages(case: Scenario, total_s: Any, z: np.ndarray) -> Any:
    """Return what a guest that is said to write nothing makes a pre-copy send again [pages].

    Parameters
    ----------
    case
        The scenario.
    total_s
        How long each draw takes [s].
    z
        Points of a standard normal distribution for each draw.

    Examples
    --------
    >>> from migkit import Guest
    >>> stirred_pages(Scenario(guest=Guest(memory_bytes=2**30)), 10.0, np.zeros(1)).tolist()
    [[1300.0]]
    """
    writes_per_s = _writes_per_s(case.guest)
    if np.all(writes_per_s > 0.0) or case.strategy.name == "stopcopy" or not is_real(case):
        return 0.0
    held = (case.guest.memory_bytes - case.guest.zero_bytes) / PAGE_BYTES
    pages = _STIRRED_PAGES_PER_S * np.minimum(total_s, _STIRRED_S) * np.exp(_STIRRED_SPREAD * z)
    idle = np.reshape(writes_per_s, (-1, 1)) == 0.0
    return np.where(idle, np.minimum(pages, np.reshape(held, (-1, 1))), 0.0)


def _writes_per_s(guest: Guest) -> np.ndarray:
    """Return what all page classes write together, of each of many guests."""
    return np.asarray(sum(np.asarray(one.writes_per_s, dtype=float) for one in guest.dirty), dtype=float)
