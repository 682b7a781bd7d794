"""Two calls compared by the processor time of their quickest turns, taken alternately."""

import gc
import resource
import time
from collections.abc import Callable

Call = Callable[[], object]
Clock = Callable[[], float]


def quickest_s(ours: Call, theirs: Call, turns: int, clock: Clock = time.process_time) -> tuple[float, float]:
    """Return what the quickest of many turns of either took [s].

    What else runs on a shared machine only ever adds to the processor time of a turn, by evicted caches and shared
    cores. Short turns in alternation meet its quiet moments on both sides alike.
    """
    ours_s, theirs_s = [], []
    gc.collect()
    for _ in range(turns):
        ours_s.append(_seconds(ours, clock))
        theirs_s.append(_seconds(theirs, clock))
    return min(ours_s), min(theirs_s)


def children_s() -> float:
    """Return the processor time of the processes that were started and have ended [s]."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _seconds(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
