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

from migkit.engine.records import SETTLED, PackedScenario
from migkit.engine.run_state import OWN_ROUNDS, ROUNDS_TO_SETTLE
from migkit.jit import assign, jit, lean
from migkit.policies import decision
from migkit.policies.record import Parameters, State
from migkit.simulator import steps as time_steps
from migkit.simulator.records import Room, Watch

__all__ = ["after_sync", "gave_up"]

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
ADJUSTED_S: Final = 10.0  # for which dirty-limit's throttle must not have changed
SAME: Final = 1e-9


@lean
def gave_up(action: int, room: Room, pages: int) -> float:
    """Return why a run that goes on is given up; 0: it is not."""
    if action == SETTLED:
        return float(ALIKE)
    if action not in (decision.CONTINUE, decision.SYNC):
        return 0.0
    send, watch = room.send, room.watch
    if room.state.iteration - watch.skipped_rounds > MOST_SYNCS:
        return float(BY_SYNCS)
    sent = send.normal_pages + send.zero_pages - watch.jumped_pages
    if room.guest.work + SEND_WORK * sent > most_work(float(pages)):
        return float(BY_WORK)
    return float(BY_TIME) if send.now_s > MOST_S else 0.0


@lean
def most_work(pages: float) -> float:
    """Return what a run may cost that comes to no end, by the guest's pages."""
    return SEND_WORK * PASSES * pages + min(max(LEAST_WORK, WORK_A_PAGE * pages), MOST_WORK)


@jit
def after_sync(
    scenario: PackedScenario,
    steps: np.ndarray,
    parameters: Parameters,
    room: Room,
    rule: Any,
) -> int:
    """Watch what a sync left; where rounds are alike, jump over them or return SETTLED, otherwise CONTINUE."""
    state, send, watch = room.state, room.send, room.watch
    memory = decision.remembered(state)
    alike = memory == watch.remembered
    watch.remembered = memory
    watch.same_throttle = watch.same_throttle + 1.0 if state.throttle == watch.throttle else 0.0
    watch.throttle = state.throttle
    if send.left_pages < watch.best_left_pages * (1.0 - 1e-3) or watch.best_iteration == 0.0:
        _remember(room)
        return decision.CONTINUE
    gap = send.left_pages - state.wake_remaining_bytes / decision.PAGE_BYTES
    watch.gap_pages += gap
    watch.squared_gaps += gap * gap
    least = OWN_ROUNDS if parameters.policy == decision.REGISTERED else ROUNDS_TO_SETTLE
    seen = state.iteration - watch.best_iteration
    if seen <= least or not alike or not _is_out_of_reach(watch, seen):
        return decision.CONTINUE
    seen_s = send.now_s - watch.best.now_s
    if not _throttle_is_at_its_end(parameters, state, watch, seen, seen_s):
        return decision.CONTINUE
    if seen_s <= CYCLES * time_steps.longest_cycle_s(scenario, steps, room.guest) or send.change_s < np.inf:
        return decision.CONTINUE
    until_s = _appointment_s(parameters, state, room.spare, rule)
    if until_s == np.inf:
        return SETTLED
    number = math.floor((until_s - send.now_s) * seen / seen_s) - 1.0
    if number > FEW_ROUNDS:
        _jump(scenario, room, number, number / seen)
    return decision.CONTINUE


@lean
def _remember(room: Room) -> None:
    """Begin to watch anew from the present sync on."""
    send, watch, best = room.send, room.watch, room.watch.best
    watch.best_left_pages = send.left_pages
    watch.best_iteration = room.state.iteration
    best.now_s = send.now_s
    best.normal_pages, best.zero_pages = send.normal_pages, send.zero_pages
    best.difference_pages, best.saved_bytes = send.difference_pages, send.saved_bytes
    best.lost_s, best.degraded_s = room.guest.lost_s, room.guest.degraded_s
    watch.gap_pages = watch.squared_gaps = 0.0


@lean
def _is_out_of_reach(watch: Watch, seen: float) -> bool:
    """Return whether what syncs leave stays clear of what the policy waits for."""
    mean = watch.gap_pages / seen
    spread = math.sqrt(max(0.0, watch.squared_gaps / seen - mean * mean))
    return bool(mean > SIGMAS * spread)


@lean
def _throttle_is_at_its_end(parameters: Parameters, state: State, watch: Watch, seen: float, seen_s: float) -> bool:
    """Return whether the throttle changes no more: at its most, or for dirty-limit as it was for long."""
    if parameters.throttle_rule == decision.NO_THROTTLE:
        return True
    if parameters.throttle_rule == decision.DIRTY_LIMIT:
        return bool(watch.same_throttle >= seen and seen_s > ADJUSTED_S)
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
def _jump(scenario: PackedScenario, room: Room, number: float, times: float) -> None:
    """Let a number of rounds pass, which is ``times`` those that were watched."""
    state, send, guest, watch = room.state, room.send, room.guest, room.watch
    best = watch.best
    later_s = (send.now_s - best.now_s) * times
    normal_pages = np.round((send.normal_pages - best.normal_pages) * times)
    zero_pages = np.round((send.zero_pages - best.zero_pages) * times)
    saved_bytes = np.round((send.saved_bytes - best.saved_bytes) * times)
    send.normal_pages += normal_pages
    send.zero_pages += zero_pages
    send.difference_pages += np.round((send.difference_pages - best.difference_pages) * times)
    send.saved_bytes += saved_bytes
    send.sent_bytes += normal_pages * scenario.page_wire_bytes + zero_pages * scenario.zero_wire_bytes - saved_bytes
    send.marked_pages += normal_pages + zero_pages  # as many as are sent
    watch.jumped_pages += normal_pages + zero_pages
    guest.lost_s += (guest.lost_s - best.lost_s) * times
    guest.degraded_s += (guest.degraded_s - best.degraded_s) * times
    send.now_s += later_s
    send.window_start_s += later_s
    send.check_s += later_s
    send.synced_bytes = send.sent_bytes
    send.syncs += number
    for k in range(len(room.cache)):
        room.cache[k].sync += number
    guest.until_s += later_s
    guest.slices.began_s += later_s
    state.now_s = send.now_s
    state.round_start_s += later_s
    state.iteration += number
    watch.skipped_rounds += number
    _remember(room)
