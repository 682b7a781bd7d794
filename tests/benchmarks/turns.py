"""Two calls compared by the processor time of their quickest turns, taken alternately."""

import gc
import resource
import statistics
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


def middle_ratio(ours: Call, theirs: Call, turns: int, clock: Clock = time.process_time) -> tuple[float, float]:
    """Return how many times as long ours takes, in the middle of many pairs of turns, and its quickest turn [s].

    A processor may run faster for some turns. Those of a pair follow each other, so mostly it does so for both.
    """
    gc.collect()
    pairs = [(_seconds(ours, clock), _seconds(theirs, clock)) for _ in range(turns)]
    return statistics.median(one / other for one, other in pairs), min(one for one, _ in pairs)


def judge(record_property: Callable[[str, object], None], what: str, figure: float, **aim: float) -> None:
    """Print and record a figure beside its aim, ``at_least`` or ``at_most``, and fail at half as good as that.

    A shared machine has turns on which an aim is missed that holds on others, so missing it is no alarm; a
    figure half as good is.
    """
    [(side, value)] = aim.items()
    alarm = {"at_least": value / 2, "at_most": value * 2}[side]
    holds = figure >= alarm if side == "at_least" else figure <= alarm
    met = figure >= value if side == "at_least" else figure <= value
    record_property("figure", figure)
    record_property(side, value)
    verdict = "met" if met else "missed"
    words = f"{what}: {figure:.3g}; aim {side.replace('_', ' ')} {value:g} ({verdict}), alarm {alarm:g}"
    print(words)
    assert holds, words


def children_s() -> float:
    """Return the processor time of the processes that were started and have ended [s]."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _seconds(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
