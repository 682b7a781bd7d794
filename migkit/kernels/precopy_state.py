"""Slots of the running state of the expected-value engine, its tables, and jumps over rounds that are alike."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.kernels import layout, policy
from migkit.kernels._jit import inlined, lean
from migkit.kernels.layout import (
    CLASS_BASE,
    CLASS_SLOTS,
    CLASSES,
    POINT_SLOTS,
    ROUND_SLOTS,
    SETTLED,
)

__all__ = ["point", "remember", "row", "skip"]

# Slots of the running state: those that begin at 0 ...
BYTES: Final = 0  # on the wire so far
NORMAL: Final = 1  # pages sent so far
ZERO: Final = 2
HEAD: Final = 3  # first piece of the ring
WINDOW_BYTES: Final = 4
SYNC_BYTES: Final = 5  # on the wire when the last sync was
MARKED_ALL: Final = 6
LOST: Final = 7
DEGRADED: Final = 8
THROTTLED: Final = 9  # the throttle that MARK assumes
STOPPED: Final = 10
ROW: Final = 11
POINT: Final = 12
PASSED: Final = 13  # pages sent since the ring was turned last
ON_ZERO: Final = 14  # which share of the run ahead is zero pages
BEST_ITERATION: Final = 15  # the sync that left the least so far
REMEMBERED: Final = 16  # a sum over what the policy remembers
SKIPPED: Final = 17  # rounds that were jumped over
ZEROED: Final = 20
# ... and those that are set
T: Final = 20  # now [s]
WINDOW_START: Final = 21
LEFT: Final = 22  # pending pages
COUNT: Final = 23  # pieces in the ring
MARK: Final = 24  # writes are counted up to this time
SPEED: Final = 25  # of the path at present [B/s]
CHANGE: Final = 26  # when that ends [s]
SYNCED_S: Final = 27  # when the last sync began
CHECK: Final = 28  # when the sender looks at the rule next, if the cap does not bind
NORMAL_QUOTA: Final = 29  # full pages of a window
ZERO_QUOTA: Final = 30
WINDOW: Final = 31  # its length [s]
PLAIN: Final = 32  # 1: no phases and nothing that slows the guest but a throttle
BEST: Final = 33  # counts as of the sync that left the least, COUNTED of them
MOST: Final = 39  # the sender's own limit within a burst [B/s]
# The run of pages ahead of the scan pointer, which cost alike
AHEAD: Final = 40  # its pending pages
ZEROS_BEHIND: Final = 41  # zero pages that follow it
ROOM: Final = 42  # pages of it that the present window still takes
QUOTA: Final = 43  # pages of it that a window takes
WIRE_BYTES: Final = 44  # what a page of it costs ...
PAGE_S: Final = 45
FULL_BANDWIDTH: Final = 46  # a window full of it [B/s]
# Of runs whose pages do not cost alike (precopy_mixed)
MIXED: Final = 48  # above 0: there are such
PASS: Final = 49  # its number
AT_PIECE: Final = 50  # in which piece the run ahead lies, from the head on ...
AT_PAGE: Final = 51  # ... and the page at which it ends
RUN_SEGMENT: Final = 52
RUN_PAGES: Final = 53  # pending when it began
RUN_WRITES: Final = 54  # of its class when it began
DIFFERENT: Final = 55  # which share of it goes as differences ...
DIFFERENCE_BYTES: Final = 56  # ... and what one costs
DIFFERENCES: Final = 57  # sent so far
SAVED: Final = 58  # what they were shorter than full pages [B]
BEST_MIXED: Final = 59  # as BEST, of the counts that only such runs have
READ_AHEAD: Final = 63  # of what is written to soon; nobody asks for it
RUN_SLOTS: Final = 64

# The ring, the classes' writes and where their sweeps stand lie in one work array.
PIECES: Final = 64  # a power of two
LAST_PIECE: Final = PIECES - 1
PIECE_SLOTS: Final = 4  # segment, pages, pending share, first page within the segment
WRITES: Final = PIECES * PIECE_SLOTS
MAX_CLASSES: Final = 64  # a power of two
LAST_CLASS: Final = MAX_CLASSES - 1
POSITIONS: Final = WRITES + MAX_CLASSES
NEWLY: Final = POSITIONS + MAX_CLASSES  # share of each class that the last sync found dirty
ZERO_SHARES: Final = NEWLY  # of each piece, from the start of post-copy on
TALLIES: Final = NEWLY + MAX_CLASSES  # of each class, and ...
TALLY_SLOTS: Final = 8
CLASS_BINS: Final = TALLIES + MAX_CLASSES * TALLY_SLOTS  # ... of each bin of each class (precopy_mixed)
BINS: Final = 16  # a class
BIN_SLOTS: Final = 10
WORK_SLOTS: Final = CLASS_BINS + MAX_CLASSES * BINS * BIN_SLOTS

PAGE: Final = 4096.0
NOTHING: Final = 1e-4  # pages: below it is rounding
SLACK_S: Final = 1e-9  # two moments nearer than this are one
SAME: Final = 1e-9  # bandwidths that differ less are one
LOWEST: Final = 1e-3  # speed of a path in an outage [B/s]
ROUNDS_TO_SETTLE: Final = 50
OWN_ROUNDS: Final = 1000  # a rule of one's own counts them as it likes
MAX_ROUNDS: Final = 20_000.0
FEW_ROUNDS: Final = 4.0  # not worth a jump
COUNTED: Final = 6  # counts that grow from round to round
COUNTED_MIXED: Final = 3  # and those that only do where pages do not cost alike


@lean
def row(state: np.ndarray, run: np.ndarray, marked: float, sync_s: float, rounds: np.ndarray) -> None:
    """Write the present sync as a row of the table of rounds."""
    at = int(run[ROW]) * ROUND_SLOTS
    if at + ROUND_SLOTS > rounds.size:
        return
    rounds[at] = run[T]
    rounds[at + 1] = sync_s
    rounds[at + 2] = marked
    rounds[at + 3] = run[LEFT]
    rounds[at + 4] = run[BYTES]
    rounds[at + 5] = run[NORMAL]
    rounds[at + 6] = run[ZERO]
    rounds[at + 7] = state[policy.THROTTLE]
    run[ROW] += 1.0


@lean
def point(run: np.ndarray, line: np.ndarray | None) -> None:
    """Write the present state as a row of the time line."""
    if line is None:
        return
    at = int(run[POINT]) * POINT_SLOTS
    if at + POINT_SLOTS > line.size:
        return
    line[at] = run[T]
    line[at + 1] = run[LEFT] * PAGE
    line[at + 2] = run[BYTES]
    run[POINT] += 1.0


@inlined
def remember(steps: np.ndarray | None, state: np.ndarray, run: np.ndarray) -> None:
    """Keep the counts as of the sync that left the least so far."""
    run[BEST_ITERATION] = state[policy.ITERATION]
    for i in range(COUNTED):
        run[BEST + i] = run[_counted(i)]
    if steps is not None and run[MIXED] > 0.0:
        for i in range(COUNTED_MIXED):
            run[BEST_MIXED + i] = run[_counted_mixed(i)]


@lean
def _counted(i: int) -> int:
    """Return the slot of the i-th count that grows from round to round."""
    return (T, BYTES, NORMAL, MARKED_ALL, LOST, DEGRADED)[i]


@lean
def _counted_mixed(i: int) -> int:
    """Return the slot of the i-th count that grows only where pages do not cost alike."""
    return (ZERO, DIFFERENCES, SAVED)[i]


@lean
def skip(
    action: int,
    record: np.ndarray,
    steps: np.ndarray | None,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
) -> int:
    """Jump over rounds that are like those before, to the policy's next appointment; without one, it is settled.

    Rounds are alike when the remainder has not sunk for long, longer than two cycles of the guest's
    phases, the throttle has come to its end, and the policy remembers what it remembered before.
    """
    memory = 0.0
    for i in range(policy.MEMORY, policy.STATE_SLOTS):
        memory += state[i] * (i + 1.0)
    alike = memory == run[REMEMBERED]
    run[REMEMBERED] = memory
    if parameters[policy.THROTTLE_RULE] != policy.NO_THROTTLE:
        alike = alike and state[policy.THROTTLE] >= parameters[policy.THROTTLE_MAX] - SAME
    cycle_s = _longest_cycle_s(record, steps)
    rounds = state[policy.ITERATION] - run[BEST_ITERATION]
    until_s = min(state[policy.WAKE_TIME_S], parameters[policy.TIME_LIMIT_S])
    if state[policy.ITERATION] - run[SKIPPED] > MAX_ROUNDS or (
        alike and until_s == np.inf and run[T] - run[BEST] > 2.0 * cycle_s
    ):
        return SETTLED
    if until_s == np.inf:
        return action
    number = math.floor((until_s - run[T]) * rounds / (run[T] - run[BEST])) - 1.0
    if alike and cycle_s == 0.0 and run[CHANGE] == np.inf and number > FEW_ROUNDS:
        later_s = number * (run[T] - run[BEST]) / rounds
        marked = run[MARKED_ALL] + number * (run[NORMAL] - run[BEST + 2]) / rounds  # as many as are sent
        if steps is not None and run[MIXED] > 0.0:
            marked += number * (run[ZERO] - run[BEST_MIXED]) / rounds
            for i in range(COUNTED_MIXED):
                run[_counted_mixed(i)] += number * (run[_counted_mixed(i)] - run[BEST_MIXED + i]) / rounds
        for i in range(COUNTED):
            run[_counted(i)] += number * (run[_counted(i)] - run[BEST + i]) / rounds
        run[MARKED_ALL] = marked
        state[policy.ITERATION] += number
        run[SKIPPED] += number
        run[WINDOW_START] += later_s
        run[MARK] += later_s
        run[CHECK] += later_s
    return action


@lean
def _longest_cycle_s(record: np.ndarray, steps: np.ndarray | None) -> float:
    longest_s = 0.0
    if steps is None:
        return longest_s
    for c in range(int(record[CLASSES])):
        base = CLASS_BASE + c * CLASS_SLOTS
        cycle_s = 0.0
        for i in range(int(record[base + layout.PHASE_COUNT])):
            cycle_s += steps[2 * (int(record[base + layout.PHASE_FIRST]) + i)]
        longest_s = max(longest_s, cycle_s)
    return longest_s
