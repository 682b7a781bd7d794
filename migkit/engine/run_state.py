"""Rows of the expected-value engine's tables, its bounds, and jumps over rounds that are alike."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.engine import phases
from migkit.engine.records import MAX_SEGMENTS, PIECES, SETTLED, Counts, PackedScenario, Run, Work
from migkit.jit import inlined, lean, rarely
from migkit.policies import decision
from migkit.policies.record import Parameters, State

__all__ = ["at_least", "at_most", "give_up", "point", "remember", "row", "skip"]

FEW_PIECES: Final = 60.0  # of the ring; beyond so many, neighbours are joined ...
WOVEN_PARTS: Final = 4.0  # ... and so many times the segments that lie interleaved
LAST_PIECE: Final = PIECES - 1
LAST_SEGMENT: Final = MAX_SEGMENTS - 1

PAGE: Final = 4096.0
NOTHING: Final = 1e-4  # pages: below it is rounding
SLACK_S: Final = 1e-9  # two moments nearer than this are one
SAME: Final = 1e-9  # bandwidths that differ less are one
LOWEST: Final = 1e-3  # speed of a path in an outage [B/s]
ROUNDS_TO_SETTLE: Final = 50
OWN_ROUNDS: Final = 1000  # a rule of one's own counts them as it likes
MOST_TURNS: Final = 200_000.0  # pieces, classes and windows that are gone through, each by itself
LAST_S: Final = 1e12  # a migration that runs so long is given up, too
THROTTLE_SETTLES_S: Final = 20.0  # that does not move for so long, or is at its end, stays where it is
FEW_ROUNDS: Final = 4.0  # not worth a jump


@inlined
def at_least(value: float, bound: float) -> float:
    """Return ``max(bound, value)``, which is mostly the value: a processor goes on with it before both are known."""
    if rarely(not value > bound):
        return bound
    return value


@inlined
def at_most(value: float, bound: float) -> float:
    """Return ``min(value, bound)``, which is mostly the value, see :func:`at_least`."""
    if rarely(bound < value):
        return bound
    return value


@lean
def row(state: State, run: Run, marked: float, sync_s: float, rounds: Any) -> None:
    """Write the present sync as a row of the table of rounds."""
    if run.rounds >= len(rounds):
        return
    at = rounds[int(run.rounds)]
    at.start_s, at.sync_s = run.synced_s, sync_s
    at.marked_pages, at.left_pages = marked, run.left_pages
    at.sent_bytes, at.normal_pages, at.zero_pages = run.sent_bytes, run.normal_pages, run.zero_pages
    at.throttle = state.throttle
    run.rounds += 1.0


@lean
def point(run: Run, line: Any) -> None:
    """Write the present state as a row of the time line."""
    if line is None:
        return
    if run.points >= len(line):
        return
    at = line[int(run.points)]
    at.t_s, at.remaining_bytes, at.sent_bytes = run.now_s, run.left_pages * PAGE, run.sent_bytes
    run.points += 1.0


@inlined
def remember(steps: np.ndarray | None, state: State, run: Run) -> None:
    """Keep the counts as of the sync that left the least so far."""
    run.best_iteration = run.like_iteration = state.iteration
    _keep(run, run.best)
    if steps is not None:
        _keep(run, run.like)
        if run.mixed > 0.0:
            _keep_mixed(run, run.best)
            _keep_mixed(run, run.like)


@inlined
def _like(steps: np.ndarray | None, run: Run) -> Counts:
    """Return the counts since which rounds are compared; without steps nothing changes, so those of the best sync."""
    if steps is None:
        return run.best
    return run.like


@lean
def _compare_anew(state: State, run: Run) -> None:
    """Keep the counts as of this sync, to compare those behind it."""
    run.like_iteration = state.iteration
    _keep(run, run.like)
    _keep_mixed(run, run.like)


@inlined
def _keep(run: Run, counts: Counts) -> None:
    counts.now_s, counts.sent_bytes, counts.normal_pages = run.now_s, run.sent_bytes, run.normal_pages
    counts.marked_pages, counts.lost_s, counts.degraded_s = run.marked_pages, run.lost_s, run.degraded_s


@inlined
def _keep_mixed(run: Run, counts: Counts) -> None:
    counts.zero_pages, counts.difference_pages = run.zero_pages, run.difference_pages
    counts.saved_bytes = run.saved_bytes


@lean
def skip(
    action: int,
    scenario: PackedScenario,
    steps: np.ndarray | None,
    parameters: Parameters,
    state: State,
    run: Run,
    work: Work,
) -> int:
    """Jump over rounds that are like those before, to the policy's next appointment; without one, it is settled.

    Rounds are alike when the remainder has not sunk for long, longer than two cycles of the guest's
    phases, the throttle has not moved meanwhile, and the policy remembers what it remembered before. Before two
    cycles are over, those within one long phase, or one long step of the link, are alike until that ends.
    """
    memory = decision.remembered(state)
    alike = memory == run.remembered
    run.remembered = memory
    if parameters.throttle_rule != decision.NO_THROTTLE and run.now_s - run.best.now_s < THROTTLE_SETTLES_S:
        alike = state.throttle >= parameters.throttle_max - SAME and alike
    if not alike:
        return action
    until_s = min(state.appointment_s, parameters.time_limit_s)
    like_s = run.now_s - max(run.best.now_s, run.jumped_s)
    if run.change_s == np.inf and like_s > 2.0 * phases.longest_cycle_s(scenario, steps, work):
        if until_s == np.inf:
            return SETTLED
        _jump(run.best, run.best_iteration, until_s, state, run)
        run.jumped_s = run.now_s
        return action
    began_s = max(run.step_s, phases.last_change_s(scenario, steps, work, run.now_s))
    ends_s = min(run.change_s, phases.next_change_s(scenario, steps, work, run.now_s))
    rounds = state.iteration - run.like_iteration
    if rounds > ROUNDS_TO_SETTLE:
        if _like(steps, run).now_s >= began_s:
            counted_s = run.counted_s
            _jump(_like(steps, run), run.like_iteration, min(until_s, ends_s), state, run)
            if steps is not None and run.mixed > 0.0:
                phases.grow(scenario, steps, work, counted_s, run.counted_s)
        elif steps is not None and ends_s - run.now_s > 2.0 * (run.now_s - run.like.now_s):
            _compare_anew(state, run)
    return action


@lean
def _jump(since: Counts, iteration: float, until_s: float, state: State, run: Run) -> None:
    """Jump by whole rounds, as they were in the mean since some sync, to the last one that ends in time."""
    rounds = state.iteration - iteration
    span_s = run.now_s - since.now_s
    if span_s <= 0.0:  # rounds so short that the time has not moved
        return
    number = np.floor((until_s - run.now_s) * rounds / span_s) - 1.0
    if not number > FEW_ROUNDS:
        return
    later_s = number * span_s / rounds
    marked = run.marked_pages + number * (run.normal_pages - since.normal_pages) / rounds  # as many as are sent
    if run.mixed > 0.0:
        marked += number * (run.zero_pages - since.zero_pages) / rounds
        run.zero_pages += number * (run.zero_pages - since.zero_pages) / rounds
        run.difference_pages += number * (run.difference_pages - since.difference_pages) / rounds
        run.saved_bytes += number * (run.saved_bytes - since.saved_bytes) / rounds
    run.now_s += number * (run.now_s - since.now_s) / rounds
    run.sent_bytes += number * (run.sent_bytes - since.sent_bytes) / rounds
    run.normal_pages += number * (run.normal_pages - since.normal_pages) / rounds
    run.lost_s += number * (run.lost_s - since.lost_s) / rounds
    run.degraded_s += number * (run.degraded_s - since.degraded_s) / rounds
    run.marked_pages = marked
    state.iteration += number
    run.skipped_rounds += number
    run.window_start_s += later_s
    run.counted_s += later_s
    run.check_s += later_s
    run.synced_s += later_s
    run.slices.began_s += later_s


@lean
def give_up(steps: np.ndarray | None, parameters: Parameters, state: State, run: Run) -> int:
    """Return how a migration ends that was not decided in ``MOST_TURNS``: it times out where it can."""
    run.undecided = 1.0
    limit_s = parameters.time_limit_s
    if limit_s == np.inf:
        return SETTLED
    rounds = state.iteration - run.like_iteration
    since = _like(steps, run)
    if rounds > 0.0 and run.now_s > since.now_s:
        _jump(since, run.like_iteration, limit_s, state, run)
    run.now_s = max(run.now_s, limit_s)
    return decision.TIME_OUT
