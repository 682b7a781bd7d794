"""Rounds of the page-level simulator that are alike: they are jumped over, or the run is given up.

The rule is that of the expected-value engine (:func:`migkit.engine.run_state.skip`), made for numbers that
have a spread. Rounds are alike when no sync has left less for ROUNDS_TO_SETTLE rounds and two cycles of the guest's
phases, the throttle has come to its end, and the policy remembers what it remembered before. What is left after a
sync must also stay away from what would end the migration by SIGMAS standard deviations, as measured over these
rounds; otherwise chance decides, and the run goes on.

If the policy waits for nothing, the guest does not converge. If it waits for a time, the run jumps to the last
round before it; the rounds on the way are taken to be as the mean of those seen.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import PAGE_WIRE_BYTES, ZERO_WIRE_BYTES
from migkit.engine.run_state import OWN_ROUNDS, ROUNDS_TO_SETTLE
from migkit.jit import assign, jit, lean
from migkit.policies import decision
from migkit.policies.record import Parameters, State
from migkit.simulator import steps
from migkit.simulator.guest import DEGRADED_S, LOST_S, MARK_S, WORK
from migkit.simulator.sender import (
    BYTES,
    CHANGE,
    CHECK,
    DIFFERENCES,
    LEFT,
    MARKED,
    NORMAL,
    SAVED,
    SEND_SLOTS,
    SYNC_BYTES,
    SYNCS,
    WINDOW_START,
    ZERO,
    T,
)

__all__ = ["WATCH_SLOTS", "after_sync", "gave_up"]

# Slots of what is watched
BEST: Final = 0  # pages left by the sync that left the least so far ...
BEST_T: Final = 1  # ... and the counts as of then
BEST_ITERATION: Final = 2
BEST_COUNTS: Final = 3  # of the sender, COUNTS of them
BEST_LOST: Final = 10
BEST_DEGRADED: Final = 11
GAPS: Final = 12  # sum of what was left since beyond what the policy waits for [pages] ...
SQUARES: Final = 13  # ... and of its squares
MEMORY: Final = 14  # a sum over what the policy remembers
THROTTLE: Final = 15
SAME_THROTTLE: Final = 16  # syncs in a row
SKIPPED: Final = 17  # rounds
JUMPED: Final = 18  # pages sent by these
WATCH_SLOTS: Final = 20

# Why a run was given up; 0: it came to an end
ALIKE: Final = 1  # rounds are alike, and the policy waits for nothing
BY_SYNCS: Final = 2  # not decided within MOST_SYNCS
BY_WORK: Final = 3  # not decided within most_work
BY_TIME: Final = 4  # not over within MOST_S

MOST_SYNCS: Final = 20_000.0  # not counting those that were jumped over
SEND_WORK: Final = 10.0  # of a page, when to draw one is 1; that takes about 10 ns
LEAST_WORK: Final = 8e7  # about a second: no guest is too small for that
WORK_A_PAGE: Final = 2000.0
MOST_WORK: Final = 1.6e9  # and no guest so large that it may have more, but for ...
PASSES: Final = 20.0  # ... so many passes
MOST_S: Final = 1e13  # later, moments 10 ms apart are one
SIGMAS: Final = 5.0
FEW_ROUNDS: Final = 4.0  # not worth a jump
CYCLES: Final = 2.0
COUNTS: Final = (NORMAL, ZERO, DIFFERENCES, SAVED)  # that grow from round to round
ADJUSTED_S: Final = 10.0  # for which dirty-limit's throttle must not have changed
SAME: Final = 1e-9


@lean
def gave_up(action: int, state: State, send: np.ndarray, guest: np.ndarray, watch: np.ndarray, pages: int) -> float:
    """Return why a run that goes on is given up; 0: it is not."""
    if action == layout.SETTLED:
        return float(ALIKE)
    if action not in (decision.CONTINUE, decision.SYNC):
        return 0.0
    if state.iteration - watch[SKIPPED] > MOST_SYNCS:
        return float(BY_SYNCS)
    sent = send[NORMAL] + send[ZERO] - watch[JUMPED]
    if guest[WORK] + SEND_WORK * sent > most_work(float(pages)):
        return float(BY_WORK)
    return float(BY_TIME) if send[T] > MOST_S else 0.0


@lean
def most_work(pages: float) -> float:
    """Return what a run may cost that comes to no end, by the guest's pages."""
    return SEND_WORK * PASSES * pages + min(max(LEAST_WORK, WORK_A_PAGE * pages), MOST_WORK)


@jit
def after_sync(
    record: np.ndarray,
    sums: np.ndarray,
    parameters: Parameters,
    state: State,
    spare: tuple[State, Parameters],
    send: np.ndarray,
    guest: np.ndarray,
    watch: np.ndarray,
    rule: Any,
) -> int:
    """Watch what a sync left; where rounds are alike, jump over them or return SETTLED, otherwise CONTINUE."""
    memory = decision.remembered(state)
    alike = memory == watch[MEMORY]
    watch[MEMORY] = memory
    watch[SAME_THROTTLE] = watch[SAME_THROTTLE] + 1.0 if state.throttle == watch[THROTTLE] else 0.0
    watch[THROTTLE] = state.throttle
    if send[LEFT] < watch[BEST] * (1.0 - 1e-3) or watch[BEST_ITERATION] == 0.0:
        _remember(state, send, guest, watch)
        return decision.CONTINUE
    gap = send[LEFT] - state.wake_remaining_bytes / decision.PAGE_BYTES
    watch[GAPS] += gap
    watch[SQUARES] += gap * gap
    least = OWN_ROUNDS if parameters.policy == decision.REGISTERED else ROUNDS_TO_SETTLE
    seen = state.iteration - watch[BEST_ITERATION]
    if seen <= least or not alike or not _is_out_of_reach(watch, seen):
        return decision.CONTINUE
    seen_s = send[T] - watch[BEST_T]
    if not _throttle_is_at_its_end(parameters, state, watch, seen, seen_s):
        return decision.CONTINUE
    if seen_s <= CYCLES * steps.longest_cycle_s(record, sums) or send[CHANGE] < np.inf:
        return decision.CONTINUE
    until_s = _appointment_s(parameters, state, spare, rule)
    if until_s == np.inf:
        return layout.SETTLED
    number = math.floor((until_s - send[T]) * seen / seen_s) - 1.0
    if number > FEW_ROUNDS:
        _jump(record, state, send, guest, watch, number, number / seen)
    return decision.CONTINUE


@lean
def _remember(state: State, send: np.ndarray, guest: np.ndarray, watch: np.ndarray) -> None:
    """Begin to watch anew from the present sync on."""
    watch[BEST] = send[LEFT]
    watch[BEST_T] = send[T]
    watch[BEST_ITERATION] = state.iteration
    for i in range(len(COUNTS)):
        watch[BEST_COUNTS + i] = send[COUNTS[i]]
    watch[BEST_LOST], watch[BEST_DEGRADED] = guest[LOST_S], guest[DEGRADED_S]
    watch[GAPS] = watch[SQUARES] = 0.0


@lean
def _is_out_of_reach(watch: np.ndarray, seen: float) -> bool:
    """Return whether what syncs leave stays clear of what the policy waits for."""
    mean = watch[GAPS] / seen
    spread = math.sqrt(max(0.0, watch[SQUARES] / seen - mean * mean))
    return bool(mean > SIGMAS * spread)


@lean
def _throttle_is_at_its_end(
    parameters: Parameters, state: State, watch: np.ndarray, seen: float, seen_s: float
) -> bool:
    """Return whether the throttle changes no more: at its most, or for dirty-limit as it was for long."""
    if parameters.throttle_rule == decision.NO_THROTTLE:
        return True
    if parameters.throttle_rule == decision.DIRTY_LIMIT:
        return bool(watch[SAME_THROTTLE] >= seen and seen_s > ADJUSTED_S)
    return bool(state.throttle >= parameters.throttle_max - SAME)


@jit
def _appointment_s(parameters: Parameters, state: State, spare: tuple[State, Parameters], rule: Any) -> float:
    """Return until when the policy answers the same; a throttle at its end keeps looking, and nothing comes of it."""
    if parameters.throttle_rule == decision.NO_THROTTLE:
        return float(min(state.wake_time_s, parameters.time_limit_s))
    asked, alone = spare
    assign(asked, state)
    assign(alone, parameters)
    alone.throttle_rule = decision.NO_THROTTLE
    decision.decide(asked, alone, rule)
    return float(min(asked.wake_time_s, parameters.time_limit_s))


@jit
def _jump(
    record: np.ndarray,
    state: State,
    send: np.ndarray,
    guest: np.ndarray,
    watch: np.ndarray,
    number: float,
    times: float,
) -> None:
    """Let a number of rounds pass, which is ``times`` those that were watched."""
    later_s = (send[T] - watch[BEST_T]) * times
    more = np.zeros(len(COUNTS))
    for i in range(len(COUNTS)):
        more[i] = np.round((send[COUNTS[i]] - watch[BEST_COUNTS + i]) * times)
        send[COUNTS[i]] += more[i]
    send[BYTES] += more[0] * record[PAGE_WIRE_BYTES] + more[1] * record[ZERO_WIRE_BYTES] - more[3]
    send[MARKED] += more[0] + more[1]  # as many as are sent
    watch[JUMPED] += more[0] + more[1]
    guest[LOST_S] += (guest[LOST_S] - watch[BEST_LOST]) * times
    guest[DEGRADED_S] += (guest[DEGRADED_S] - watch[BEST_DEGRADED]) * times
    for slot in (T, WINDOW_START, CHECK):
        send[slot] += later_s
    send[SYNC_BYTES] = send[BYTES]
    send[SYNCS] += number
    for slot in range(SEND_SLOTS, send.size, 2):
        send[slot + 1] += number
    guest[MARK_S] += later_s
    state.now_s = send[T]
    state.round_start_s += later_s
    state.iteration += number
    watch[SKIPPED] += number
    _remember(state, send, guest, watch)
