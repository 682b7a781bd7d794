"""KubeVirt's three rules on top of QEMU's: time budget, downtime ramp, stall detector.

Its monitor (virt-launcher) polls the migration every 0.4 s; the stall detector is told of every bitmap
sync besides. Times that it compares are whole seconds, cut off, and downtimes whole milliseconds.
"""

from __future__ import annotations

import math

import numpy as np

from migkit.jit import lean
from migkit.policies import record as r
from migkit.policies.qemu import under_limit
from migkit.policies.record import Parameters, State

__all__ = ["kubevirt", "kubevirt_ramp", "kubevirt_stall"]


_MOST_RECORDS = 9
_MOST_REMAINDERS = 18

QEMU_LIMIT_S = 0.3  # before the monitor sets one
FORCED_LIMIT_S = 2000.0  # the most that QEMU takes
SLACK_S = 1e-9  # polls are this much early, so that rounding does not put them off by a window


@lean
def kubevirt(state: State, parameters: Parameters) -> int:
    """Return what KubeVirt does by its time budget, the downtime limit being constant.

    When more than 150 s for each GiB of RAM and storage have passed, turn to post-copy or stop the guest
    where that is allowed, else abort. Abort when nothing has moved for more than 150 s: the monitor looks
    whether less remains than at the poll before, which is so whenever something was sent, but for a sync
    in between; that never holds for long. Settings: budget [s/GiB], 1 to count started GB (10^9 bytes) as
    virt-launcher's code does, progress timeout [s], 1 if the guest may be disrupted, 1 if post-copy is
    permitted, poll [s].
    """
    action = _budget(state, parameters)
    if action == r.CONTINUE:
        action = under_limit(state, parameters, parameters.downtime_limit_s)
        state.wake_time_s = _budget_wake_s(state, parameters)
    return action


@lean
def kubevirt_ramp(state: State, parameters: Parameters) -> int:
    """Return what KubeVirt does when it tunes the downtime limit (VEP 291).

    As :func:`kubevirt`, with the limit set to 150 ms at the first poll; from the third iteration on and
    10 s after the last change it rises by ``max(1, (max - 150) // 7)`` ms up to the maximum, the downtime limit.
    Further settings: first limit [s], steps, wait [s], iteration.
    """
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    action = _budget(state, parameters)
    if action != r.CONTINUE:
        return action
    now_s = state.now_s
    highest_s = parameters.downtime_limit_s
    if state.event == r.SYNCED and state.iteration == settings.ramp_iteration:
        memory.change_s = max(memory.change_s, _poll_at_s(now_s, parameters))
    if now_s >= _ramp_wake_s(state, parameters):
        if memory.limit_s <= 0.0:
            memory.limit_s = min(settings.ramp_start_s, highest_s)
        else:
            span_ms = max(0.0, highest_s - settings.ramp_start_s) * 1000.0
            rise_s = max(1.0, np.floor(span_ms / settings.ramp_steps + SLACK_S)) / 1000.0
            memory.limit_s = min(memory.limit_s + rise_s, highest_s)
        memory.change_s = _poll_at_s(now_s + settings.ramp_wait_s, parameters)
    action = under_limit(state, parameters, memory.limit_s if memory.limit_s > 0.0 else QEMU_LIMIT_S)
    state.wake_time_s = min(_budget_wake_s(state, parameters), _ramp_wake_s(state, parameters))
    return action


@lean
def _ramp_wake_s(state: State, parameters: Parameters) -> float:
    """Return the poll at which the limit changes next [s]."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    if memory.limit_s <= 0.0:
        return float(settings.poll_s - SLACK_S)
    if memory.limit_s >= parameters.downtime_limit_s or state.iteration < settings.ramp_iteration:
        return math.inf
    return float(memory.change_s)


@lean
def _poll_at_s(time_s: float, parameters: Parameters) -> float:
    """Return the first poll at or after a time [s]."""
    settings = parameters.settings.kubevirt
    return float(np.ceil(time_s / settings.poll_s - SLACK_S) * settings.poll_s - SLACK_S)


@lean
def _budget_s(state: State, parameters: Parameters) -> float:
    settings = parameters.settings.kubevirt
    moved_bytes = state.guest_bytes + state.storage_bytes
    units = np.ceil(moved_bytes / 1e9) if settings.count_started_gb > 0.0 else moved_bytes / r.GIB
    return float(settings.completion_s_per_gib * units)


@lean
def _overrun_s(limit_s: float, parameters: Parameters) -> float:
    """Return the first poll that finds more whole seconds passed than ``limit_s`` [s]."""
    return _poll_at_s(np.floor(limit_s) + 1.0, parameters)


@lean
def _budget_wake_s(state: State, parameters: Parameters) -> float:
    """Return when the budget or the progress timeout is used up [s]."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    wake_s = math.inf
    if settings.completion_s_per_gib > 0.0:
        wake_s = _overrun_s(_budget_s(state, parameters), parameters)
    if memory.stuck_s > 0.0 and settings.progress_timeout_s > 0.0:
        wake_s = min(wake_s, _overrun_s(memory.stuck_s + settings.progress_timeout_s, parameters))
    return wake_s


@lean
def _budget(state: State, parameters: Parameters) -> int:
    """Return what the time budget and the progress timeout order, or CONTINUE."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    now_s = state.now_s
    if state.bandwidth_bytes_per_s * settings.poll_s >= r.PAGE_BYTES:
        memory.stuck_s = 0.0
    elif memory.stuck_s <= 0.0:
        memory.stuck_s = now_s
    over = settings.completion_s_per_gib > 0.0 and now_s >= _overrun_s(_budget_s(state, parameters), parameters)
    if over and _may_disrupt(parameters):
        return r.POSTCOPY if settings.allow_postcopy > 0.0 else r.SWITCHOVER
    return r.ABORT if now_s >= _budget_wake_s(state, parameters) else r.CONTINUE


@lean
def _may_disrupt(parameters: Parameters) -> bool:
    """Return whether the guest may be disrupted; where KubeVirt is not told, permitting post-copy says so."""
    settings = parameters.settings.kubevirt
    return settings.allow_disruption > 0.0 or settings.allow_postcopy > 0.0


@lean
def kubevirt_stall(state: State, parameters: Parameters) -> int:
    """Return what KubeVirt's stall detector does (VEP 248).

    At each bitmap sync, with r what remains: the migration is stalled when ``r >= M (1 - m)``, M the least
    that remained at syncs at least W ago. From then on it acts at a local minimum, ``r <= best (1 + m)``,
    unless ``r / b`` exceeds what is left of twice the budget: post-copy or a forced stop where that is
    allowed; else, when r / b is at most ``factor`` times the maximum (the downtime limit), the limit becomes the
    maximum for one last try of 60 s, and otherwise it aborts. ``best`` is the least until the stall; after
    W, then W/2, W/4, ... the least since then not yet tried takes its place. b is smoothed over the polls.
    When the budget is used up it goes post-copy or forces the stop where that is allowed and would end
    within twice the budget, else aborts.
    Further settings (the progress timeout is W): m, factor, decay, completion factor, wait for the last
    try [s], smoothing of b.
    """
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    now_s = state.now_s
    if memory.limit_s <= 0.0:
        memory.limit_s = min(QEMU_LIMIT_S, parameters.downtime_limit_s)
        memory.poll_s = settings.poll_s - SLACK_S
    synced = state.event == r.SYNCED
    polled = now_s >= memory.poll_s
    action = r.CONTINUE
    if polled:
        _smooth_bandwidth(state, parameters)
        memory.poll_s = _poll_at_s(now_s + 2.0 * SLACK_S, parameters)
    if synced:
        memory.left_bytes = state.remaining_bytes
        if state.iteration > 1.0 and memory.bandwidth_bytes_per_s > 0.0 and memory.tries_until_s <= 0.0:
            _note_sync(state, parameters)
            action = _act_on_stall(state, parameters)
    if action == r.CONTINUE and (polled or synced):
        action = _complete(state, parameters)
    if action == r.CONTINUE:
        action = under_limit(state, parameters, memory.limit_s)
        state.wake_time_s = memory.poll_s
    return action


@lean
def _smooth_bandwidth(state: State, parameters: Parameters) -> None:
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    share = settings.bandwidth_smoothing if memory.bandwidth_bytes_per_s > 0.0 else 1.0
    memory.bandwidth_bytes_per_s = share * state.bandwidth_bytes_per_s + (1.0 - share) * memory.bandwidth_bytes_per_s


@lean
def _note_sync(state: State, parameters: Parameters) -> None:
    """Find out whether the migration is stalled; once it is, note what remains and look for the best anew."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    now_s = state.now_s
    remaining_bytes = state.remaining_bytes
    if memory.stalled <= 0.0:
        _note_candidate(state, parameters)
        if memory.minimum_bytes > 0.0 and remaining_bytes >= memory.minimum_bytes * (1.0 - settings.stall_margin):
            count = int(memory.count)
            memory.stalled = 1.0
            memory.best_bytes = (
                memory.remainders.candidates[count - 1].remaining_bytes if count > 0 else memory.minimum_bytes
            )
            memory.patience_s = settings.stall_window_s
            memory.deadline_s = now_s + settings.stall_window_s
            memory.count = 0.0
        return
    _insert(state, remaining_bytes)
    if now_s >= memory.deadline_s:
        memory.best_bytes = _take_least(state)
        memory.patience_s *= settings.patience_decay
        memory.deadline_s = now_s + memory.patience_s


@lean
def _note_candidate(state: State, parameters: Parameters) -> None:
    """Move the records of W ago and before into the minimum; each is lower than those before it. Note the newest."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    before_s = state.now_s - settings.stall_window_s
    candidates = memory.remainders.candidates
    old = 0
    count = int(memory.count)
    while old < count and candidates[old].time_s <= before_s:
        memory.minimum_bytes = candidates[old].remaining_bytes
        old += 1
    count -= old
    for i in range(count if old > 0 else 0):
        candidates[i].time_s = candidates[old + i].time_s
        candidates[i].remaining_bytes = candidates[old + i].remaining_bytes
    least = candidates[count - 1].remaining_bytes if count > 0 else memory.minimum_bytes
    if least <= 0.0 or state.remaining_bytes < least:
        count = min(count + 1, _MOST_RECORDS)
        candidates[count - 1].time_s = state.now_s
        candidates[count - 1].remaining_bytes = state.remaining_bytes
    memory.count = count


@lean
def _insert(state: State, remaining_bytes: float) -> None:
    """Put a number among the sorted ones; the largest is lost when there are too many."""
    memory = state.memory.kubevirt
    remainders = memory.remainders.sorted_bytes
    at = int(memory.count)
    if at < _MOST_REMAINDERS:
        memory.count += 1.0
    else:
        at -= 1
        remaining_bytes = min(remaining_bytes, remainders[at])
    while at > 0 and remainders[at - 1] > remaining_bytes:
        remainders[at] = remainders[at - 1]
        at -= 1
    remainders[at] = remaining_bytes


@lean
def _take_least(state: State) -> float:
    memory = state.memory.kubevirt
    remainders = memory.remainders.sorted_bytes
    least = float(remainders[0])
    count = int(memory.count) - 1
    for i in range(count):
        remainders[i] = remainders[i + 1]
    memory.count = count
    return least


@lean
def _implied_ms(state: State, remaining_bytes: float) -> float:
    memory = state.memory.kubevirt
    return (
        float(np.floor(remaining_bytes / memory.bandwidth_bytes_per_s * 1000.0))
        if memory.bandwidth_bytes_per_s > 0.0
        else math.inf
    )


@lean
def _ends_in_time(state: State, parameters: Parameters, implied_ms: float) -> bool:
    """Return whether the rest would be sent within twice the budget."""
    settings = parameters.settings.kubevirt
    within_s = np.floor(settings.completion_factor * _budget_s(state, parameters))
    return implied_ms <= (within_s - np.floor(state.now_s)) * 1000.0


@lean
def _act_on_stall(state: State, parameters: Parameters) -> int:
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    remaining_bytes = state.remaining_bytes
    if memory.stalled <= 0.0 or remaining_bytes > memory.best_bytes * (1.0 + settings.stall_margin):
        return r.CONTINUE
    implied_ms = _implied_ms(state, remaining_bytes)
    if not _ends_in_time(state, parameters, implied_ms):
        return r.CONTINUE
    if _may_disrupt(parameters):
        return _disrupt(state, parameters)
    if implied_ms > parameters.downtime_limit_s * 1000.0 * settings.possible_factor:
        return r.ABORT
    _try_with(state, parameters, parameters.downtime_limit_s)
    return r.CONTINUE


@lean
def _disrupt(state: State, parameters: Parameters) -> int:
    settings = parameters.settings.kubevirt
    if settings.allow_postcopy > 0.0:
        return r.POSTCOPY
    _try_with(state, parameters, FORCED_LIMIT_S)
    return r.CONTINUE


@lean
def _try_with(state: State, parameters: Parameters, limit_s: float) -> None:
    """Let QEMU try with this limit for the last time."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    memory.limit_s = limit_s
    memory.tries_until_s = np.floor(state.now_s) + settings.switchover_timeout_s


@lean
def _complete(state: State, parameters: Parameters) -> int:
    """Return what is ordered when the budget or the last try is used up, or CONTINUE."""
    settings = parameters.settings.kubevirt
    memory = state.memory.kubevirt
    tries = memory.tries_until_s > 0.0
    until_s = memory.tries_until_s if tries else _budget_s(state, parameters)
    if np.floor(state.now_s + SLACK_S) <= until_s or (not tries and settings.completion_s_per_gib <= 0.0):
        return r.CONTINUE
    in_time = not tries and _ends_in_time(state, parameters, _implied_ms(state, memory.left_bytes))
    if in_time and _may_disrupt(parameters):
        return _disrupt(state, parameters)
    return r.ABORT
