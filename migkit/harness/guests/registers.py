"""Which registers a guest can have: what a checkpoint or another host says of one is held against this.

The writers take their place from the registers, so a wrong one would send their writes anywhere. Tick, class and
position say how much every page class must have done by then, so the counters follow from them:

===============================  ===========================================================================
register                         allowed
===============================  ===========================================================================
``SEED``, ``READ_SUM``           any; a sum is at least 0
``TICK``                         0 to 2^60 ns of ticks
``CLASS``                        0, or the number of a page class of the guest
``DONE``                         0 to what that class does within the tick
``RUNNING_NS``, ``OWED_NS``      0 to 2^60 ns (36 years)
``STOPPED_NS``                   0 to 2^60 ns; when it does not run, the clock at its stop
``COUNTS`` of a class            what its rate, phases and offset give between the ends of this tick and the last
``COUNTS`` of no class           0
``WRITES``                       the sum of the classes' writes
``OPERATIONS``                   the sum of their writes and reads
all others                       0
===============================  ===========================================================================
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.harness.guests import writers
from migkit.harness.guests.machine import class_table
from migkit.scenario import Guest

__all__ = ["wrong"]

_MOST_NS: Final = 1 << 60
_TICK_NS: Final = round(writers.TICK_S * 1e9)
_NAMED: Final = (
    *(writers.SEED, writers.OPERATIONS, writers.WRITES, writers.TICK, writers.CLASS, writers.DONE),
    *(writers.READ_SUM, writers.RUNNING_NS, writers.OWED_NS, writers.STOPPED_NS),
)
_READS: Final = writers.COUNTS + writers.MAX_CLASSES

Words = npt.NDArray[np.int64]


def wrong(registers: Words, guest: Guest) -> str:
    """Return what no such guest can have in its registers, in words; empty when nothing is wrong.

    Examples
    --------
    >>> guest = Guest(memory_bytes=4096)
    >>> registers = np.zeros(writers.REGISTERS, np.int64)
    >>> wrong(registers, guest)
    ''
    >>> registers[writers.CLASS] = -7
    >>> wrong(registers, guest)
    'class -7 is not within 0 to 0'
    """
    if registers.size != writers.REGISTERS:
        return f"there are {registers.size} of them, not {writers.REGISTERS}"
    values = [int(value) for value in registers]
    classes = len(guest.dirty)
    return (
        _outside("tick", values[writers.TICK], _MOST_NS // _TICK_NS)
        or _outside("class", values[writers.CLASS], max(classes - 1, 0))
        or _outside("running time", values[writers.RUNNING_NS], _MOST_NS)
        or _outside("granted time", values[writers.OWED_NS], _MOST_NS)
        or _outside("time of the stop", values[writers.STOPPED_NS], _MOST_NS)
        or _outside("sum of reads", values[writers.READ_SUM], (1 << 63) - 1)
        or _unused(values, classes)
        or _miscounted(values, guest)
    )


def _outside(name: str, value: int, most: int) -> str:
    return "" if 0 <= value <= most else f"{name} {value} is not within 0 to {most}"


def _unused(values: list[int], classes: int) -> str:
    """Say which register is set that stands for nothing."""
    used = {*_NAMED, *range(writers.COUNTS, writers.COUNTS + classes), *range(_READS, _READS + classes)}
    at = next((at for at, value in enumerate(values) if value and at not in used), None)
    return "" if at is None else f"number {at} is {values[at]}, but stands for nothing"


def _miscounted(values: list[int], guest: Guest) -> str:
    """Say which counter does not follow from the place in time."""
    classes = len(guest.dirty)
    wrote = values[writers.COUNTS : writers.COUNTS + classes]
    read = values[_READS : _READS + classes]
    if values[writers.WRITES] != sum(wrote):
        return f"writes {values[writers.WRITES]} are not the sum of those of its classes, {sum(wrote)}"
    if values[writers.OPERATIONS] != sum(wrote) + sum(read):
        return f"operations {values[writers.OPERATIONS]} are not all writes and reads, {sum(wrote) + sum(read)}"
    bounds = _bounds(guest, values[writers.TICK])
    for number, (done, (low, high)) in enumerate(zip(wrote + read, bounds, strict=True)):
        if not low <= done <= high:
            what = "writes" if number < classes else "reads"
            return f"{done} {what} of class {number % classes} are not within {low} to {high} at this tick"
    at = values[writers.CLASS]
    most = sum(high - low for low, high in (bounds[at], bounds[classes + at])) if classes else 0
    return _outside("position in the tick", values[writers.DONE], most)


def _bounds(guest: Guest, tick: int) -> list[tuple[int, int]]:
    """Return the least and the most writes of each class, then its reads, from the end of ``tick`` to the next.

    Where phases meet, rounding may put off one operation, or do it twice.
    """
    table, phases = class_table(guest)
    rows = table.reshape(-1, writers.CLASS_COLUMNS)
    return [
        _between(row, phases, tick, row[column])
        for column in (writers.WRITES_PER_S, writers.READS_PER_S)
        for row in rows
    ]


def _between(row: np.ndarray, phases: np.ndarray, tick: int, rate: float) -> tuple[int, int]:
    first = int(row[writers.FIRST_PHASE])
    own = phases[first : first + 2 * int(row[writers.PHASES])]
    cycle_s = float(own[::2].sum())
    times_s = [row[writers.OFFSET_S] + number * writers.TICK_S for number in (0, tick, tick + 1)]
    start, low, high = (math.floor(rate * writers.intensity_s(time_s, own)) for time_s in times_s)
    slack = own.size * (2 + int(times_s[2] / cycle_s)) if cycle_s else 0
    return max(low - start - slack, 0), high - start + slack
