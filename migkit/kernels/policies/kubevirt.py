"""KubeVirt's three rules on top of QEMU's: time budget, downtime ramp, stall detector.

Its monitor (virt-launcher) polls the migration every 0.4 s; the stall detector is told of every bitmap
sync besides. Times that it compares are whole seconds, cut off, and downtimes whole milliseconds.
"""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import lean
from migkit.kernels.policies import record as r
from migkit.kernels.policies.qemu import under_limit

__all__ = ["kubevirt", "kubevirt_ramp", "kubevirt_stall"]

# Settings of all three rules, from r.SETTINGS on.
_BUDGET = r.SETTINGS  # completion timeout [s/GiB]; 0: none
_WHOLE_GB = r.SETTINGS + 1  # 1: per started 10^9 bytes
_PROGRESS = r.SETTINGS + 2  # progress timeout [s]; 0: none. Stall: its window W
_DISRUPT = r.SETTINGS + 3  # 1: the guest may be disrupted to finish
_POSTCOPY = r.SETTINGS + 4  # 1: post-copy is permitted, and so is disruption
_POLL = r.SETTINGS + 5  # [s]
_RAMP_START = r.SETTINGS + 6  # ramp: first limit [s]
_RAMP_STEPS = r.SETTINGS + 7
_RAMP_WAIT = r.SETTINGS + 8  # ramp: between two changes [s]
_RAMP_ITERATION = r.SETTINGS + 9  # ramp: no change before it
_MARGIN = r.SETTINGS + 6  # stall: m
_FACTOR = r.SETTINGS + 7  # stall: implied downtime / limit that is still worth a try
_DECAY = r.SETTINGS + 8  # stall: of the patience
_COMPLETION = r.SETTINGS + 9  # stall: budgets within which an implied downtime must end
_SWITCHOVER_WAIT = r.SETTINGS + 10  # stall: for the last try [s]
_SMOOTHING = r.SETTINGS + 11  # stall: of the bandwidth

_STUCK_S = r.MEMORY  # since when nothing moves; 0: it does
_LIMIT_S = r.MEMORY + 1  # limit in force; 0: the monitor has not yet set one
_CHANGE_S = r.MEMORY + 2  # the poll that may change it next

_POLL_S = r.MEMORY + 3  # next poll
_BANDWIDTH = r.MEMORY + 4  # smoothed; 0: no sample yet
_LEFT = r.MEMORY + 5  # at the last bitmap sync
_MINIMUM = r.MEMORY + 6  # of the records older than the window; 0: none yet
_STALLED = r.MEMORY + 7
_BEST = r.MEMORY + 8
_PATIENCE_S = r.MEMORY + 9
_DEADLINE_S = r.MEMORY + 10
_TRIES_UNTIL_S = r.MEMORY + 11  # end of the last try; 0: it has not begun
_COUNT = r.MEMORY + 12  # records that follow
_RECORDS = r.MEMORY + 13  # before a stall (time, remaining), each lower than all before it; then remaining, sorted
_MOST_RECORDS = 9
_MOST_REMAINDERS = 18

QEMU_LIMIT_S = 0.3  # before the monitor sets one
FORCED_LIMIT_S = 2000.0  # the most that QEMU takes
SLACK_S = 1e-9  # polls are this much early, so that rounding does not put them off by a window


@lean
def kubevirt(state: np.ndarray, parameters: np.ndarray) -> int:
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
        action = under_limit(state, parameters, parameters[r.LIMIT_S])
        state[r.WAKE_TIME_S] = _budget_wake_s(state, parameters)
    return action


@lean
def kubevirt_ramp(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what KubeVirt does when it tunes the downtime limit (VEP 291).

    As :func:`kubevirt`, with the limit set to 150 ms at the first poll; from the third iteration on and
    10 s after the last change it rises by ``max(1, (max - 150) // 7)`` ms up to the maximum, LIMIT_S.
    Further settings: first limit [s], steps, wait [s], iteration.
    """
    action = _budget(state, parameters)
    if action != r.CONTINUE:
        return action
    now_s = state[r.NOW_S]
    highest_s = parameters[r.LIMIT_S]
    if state[r.EVENT] == r.SYNCED and state[r.ITERATION] == parameters[_RAMP_ITERATION]:
        state[_CHANGE_S] = max(state[_CHANGE_S], _poll_at_s(now_s, parameters))
    if now_s >= _ramp_wake_s(state, parameters):
        if state[_LIMIT_S] <= 0.0:
            state[_LIMIT_S] = min(parameters[_RAMP_START], highest_s)
        else:
            span_ms = max(0.0, highest_s - parameters[_RAMP_START]) * 1000.0
            rise_s = max(1.0, math.floor(span_ms / parameters[_RAMP_STEPS] + SLACK_S)) / 1000.0
            state[_LIMIT_S] = min(state[_LIMIT_S] + rise_s, highest_s)
        state[_CHANGE_S] = _poll_at_s(now_s + parameters[_RAMP_WAIT], parameters)
    action = under_limit(state, parameters, state[_LIMIT_S] if state[_LIMIT_S] > 0.0 else QEMU_LIMIT_S)
    state[r.WAKE_TIME_S] = min(_budget_wake_s(state, parameters), _ramp_wake_s(state, parameters))
    return action


@lean
def _ramp_wake_s(state: np.ndarray, parameters: np.ndarray) -> float:
    """Return the poll at which the limit changes next [s]."""
    if state[_LIMIT_S] <= 0.0:
        return float(parameters[_POLL] - SLACK_S)
    if state[_LIMIT_S] >= parameters[r.LIMIT_S] or state[r.ITERATION] < parameters[_RAMP_ITERATION]:
        return math.inf
    return float(state[_CHANGE_S])


@lean
def _poll_at_s(time_s: float, parameters: np.ndarray) -> float:
    """Return the first poll at or after a time [s]."""
    return float(math.ceil(time_s / parameters[_POLL] - SLACK_S) * parameters[_POLL] - SLACK_S)


@lean
def _budget_s(state: np.ndarray, parameters: np.ndarray) -> float:
    moved_bytes = state[r.GUEST_BYTES] + state[r.STORAGE_BYTES]
    units = math.ceil(moved_bytes / 1e9) if parameters[_WHOLE_GB] > 0.0 else moved_bytes / r.GIB
    return float(parameters[_BUDGET] * units)


@lean
def _overrun_s(limit_s: float, parameters: np.ndarray) -> float:
    """Return the first poll that finds more whole seconds passed than ``limit_s`` [s]."""
    return _poll_at_s(math.floor(limit_s) + 1.0, parameters)


@lean
def _budget_wake_s(state: np.ndarray, parameters: np.ndarray) -> float:
    """Return when the budget or the progress timeout is used up [s]."""
    wake_s = math.inf
    if parameters[_BUDGET] > 0.0:
        wake_s = _overrun_s(_budget_s(state, parameters), parameters)
    if state[_STUCK_S] > 0.0 and parameters[_PROGRESS] > 0.0:
        wake_s = min(wake_s, _overrun_s(state[_STUCK_S] + parameters[_PROGRESS], parameters))
    return wake_s


@lean
def _budget(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what the time budget and the progress timeout order, or CONTINUE."""
    now_s = state[r.NOW_S]
    if state[r.BANDWIDTH] * parameters[_POLL] >= r.PAGE_BYTES:
        state[_STUCK_S] = 0.0
    elif state[_STUCK_S] <= 0.0:
        state[_STUCK_S] = now_s
    over = parameters[_BUDGET] > 0.0 and now_s >= _overrun_s(_budget_s(state, parameters), parameters)
    if over and _may_disrupt(parameters):
        return r.POSTCOPY if parameters[_POSTCOPY] > 0.0 else r.SWITCHOVER
    return r.ABORT if now_s >= _budget_wake_s(state, parameters) else r.CONTINUE


@lean
def _may_disrupt(parameters: np.ndarray) -> bool:
    """Return whether the guest may be disrupted; where KubeVirt is not told, permitting post-copy says so."""
    return parameters[_DISRUPT] > 0.0 or parameters[_POSTCOPY] > 0.0


@lean
def kubevirt_stall(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what KubeVirt's stall detector does (VEP 248).

    At each bitmap sync, with r what remains: the migration is stalled when ``r >= M (1 - m)``, M the least
    that remained at syncs at least W ago. From then on it acts at a local minimum, ``r <= best (1 + m)``,
    unless ``r / b`` exceeds what is left of twice the budget: post-copy or a forced stop where that is
    allowed; else, when r / b is at most ``factor`` times the maximum (LIMIT_S), the limit becomes the
    maximum for one last try of 60 s, and otherwise it aborts. ``best`` is the least until the stall; after
    W, then W/2, W/4, ... the least since then not yet tried takes its place. b is smoothed over the polls.
    When the budget is used up it goes post-copy or forces the stop where that is allowed and would end
    within twice the budget, else aborts.
    Further settings (the progress timeout is W): m, factor, decay, completion factor, wait for the last
    try [s], smoothing of b.
    """
    now_s = state[r.NOW_S]
    if state[_LIMIT_S] <= 0.0:
        state[_LIMIT_S] = min(QEMU_LIMIT_S, parameters[r.LIMIT_S])
        state[_POLL_S] = parameters[_POLL] - SLACK_S
    synced = state[r.EVENT] == r.SYNCED
    polled = now_s >= state[_POLL_S]
    action = r.CONTINUE
    if polled:
        _smooth_bandwidth(state, parameters)
        state[_POLL_S] = _poll_at_s(now_s + 2.0 * SLACK_S, parameters)
    if synced:
        state[_LEFT] = state[r.REMAINING_BYTES]
        if state[r.ITERATION] > 1.0 and state[_BANDWIDTH] > 0.0 and state[_TRIES_UNTIL_S] <= 0.0:
            _note_sync(state, parameters)
            action = _act_on_stall(state, parameters)
    if action == r.CONTINUE and (polled or synced):
        action = _complete(state, parameters)
    if action == r.CONTINUE:
        action = under_limit(state, parameters, state[_LIMIT_S])
        state[r.WAKE_TIME_S] = state[_POLL_S]
    return action


@lean
def _smooth_bandwidth(state: np.ndarray, parameters: np.ndarray) -> None:
    share = parameters[_SMOOTHING] if state[_BANDWIDTH] > 0.0 else 1.0
    state[_BANDWIDTH] = share * state[r.BANDWIDTH] + (1.0 - share) * state[_BANDWIDTH]


@lean
def _note_sync(state: np.ndarray, parameters: np.ndarray) -> None:
    """Find out whether the migration is stalled; once it is, note what remains and look for the best anew."""
    now_s = state[r.NOW_S]
    remaining_bytes = state[r.REMAINING_BYTES]
    if state[_STALLED] <= 0.0:
        _note_candidate(state, parameters)
        if state[_MINIMUM] > 0.0 and remaining_bytes >= state[_MINIMUM] * (1.0 - parameters[_MARGIN]):
            count = int(state[_COUNT])
            state[_STALLED] = 1.0
            state[_BEST] = state[_RECORDS + 2 * count - 1] if count > 0 else state[_MINIMUM]
            state[_PATIENCE_S] = parameters[_PROGRESS]
            state[_DEADLINE_S] = now_s + parameters[_PROGRESS]
            state[_COUNT] = 0.0
        return
    _insert(state, remaining_bytes)
    if now_s >= state[_DEADLINE_S]:
        state[_BEST] = _take_least(state)
        state[_PATIENCE_S] *= parameters[_DECAY]
        state[_DEADLINE_S] = now_s + state[_PATIENCE_S]


@lean
def _note_candidate(state: np.ndarray, parameters: np.ndarray) -> None:
    """Move the records of W ago and before into the minimum; each is lower than those before it. Note the newest."""
    before_s = state[r.NOW_S] - parameters[_PROGRESS]
    old = 0
    count = int(state[_COUNT])
    while old < count and state[_RECORDS + 2 * old] <= before_s:
        state[_MINIMUM] = state[_RECORDS + 2 * old + 1]
        old += 1
    count -= old
    for i in range(2 * count if old > 0 else 0):
        state[_RECORDS + i] = state[_RECORDS + 2 * old + i]
    least = state[_RECORDS + 2 * count - 1] if count > 0 else state[_MINIMUM]
    if least <= 0.0 or state[r.REMAINING_BYTES] < least:
        count = min(count + 1, _MOST_RECORDS)
        state[_RECORDS + 2 * count - 2] = state[r.NOW_S]
        state[_RECORDS + 2 * count - 1] = state[r.REMAINING_BYTES]
    state[_COUNT] = count


@lean
def _insert(state: np.ndarray, remaining_bytes: float) -> None:
    """Put a number among the sorted ones; the largest is lost when there are too many."""
    at = int(state[_COUNT])
    if at < _MOST_REMAINDERS:
        state[_COUNT] += 1.0
    else:
        at -= 1
        remaining_bytes = min(remaining_bytes, state[_RECORDS + at])
    while at > 0 and state[_RECORDS + at - 1] > remaining_bytes:
        state[_RECORDS + at] = state[_RECORDS + at - 1]
        at -= 1
    state[_RECORDS + at] = remaining_bytes


@lean
def _take_least(state: np.ndarray) -> float:
    least = float(state[_RECORDS])
    count = int(state[_COUNT]) - 1
    for i in range(count):
        state[_RECORDS + i] = state[_RECORDS + i + 1]
    state[_COUNT] = count
    return least


@lean
def _implied_ms(state: np.ndarray, remaining_bytes: float) -> float:
    return float(math.floor(remaining_bytes / state[_BANDWIDTH] * 1000.0)) if state[_BANDWIDTH] > 0.0 else math.inf


@lean
def _ends_in_time(state: np.ndarray, parameters: np.ndarray, implied_ms: float) -> bool:
    """Return whether the rest would be sent within twice the budget."""
    within_s = math.floor(parameters[_COMPLETION] * _budget_s(state, parameters))
    return implied_ms <= (within_s - math.floor(state[r.NOW_S])) * 1000.0


@lean
def _act_on_stall(state: np.ndarray, parameters: np.ndarray) -> int:
    remaining_bytes = state[r.REMAINING_BYTES]
    if state[_STALLED] <= 0.0 or remaining_bytes > state[_BEST] * (1.0 + parameters[_MARGIN]):
        return r.CONTINUE
    implied_ms = _implied_ms(state, remaining_bytes)
    if not _ends_in_time(state, parameters, implied_ms):
        return r.CONTINUE
    if _may_disrupt(parameters):
        return _disrupt(state, parameters)
    if implied_ms > parameters[r.LIMIT_S] * 1000.0 * parameters[_FACTOR]:
        return r.ABORT
    _try_with(state, parameters, parameters[r.LIMIT_S])
    return r.CONTINUE


@lean
def _disrupt(state: np.ndarray, parameters: np.ndarray) -> int:
    if parameters[_POSTCOPY] > 0.0:
        return r.POSTCOPY
    _try_with(state, parameters, FORCED_LIMIT_S)
    return r.CONTINUE


@lean
def _try_with(state: np.ndarray, parameters: np.ndarray, limit_s: float) -> None:
    """Let QEMU try with this limit for the last time."""
    state[_LIMIT_S] = limit_s
    state[_TRIES_UNTIL_S] = math.floor(state[r.NOW_S]) + parameters[_SWITCHOVER_WAIT]


@lean
def _complete(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what is ordered when the budget or the last try is used up, or CONTINUE."""
    tries = state[_TRIES_UNTIL_S] > 0.0
    until_s = state[_TRIES_UNTIL_S] if tries else _budget_s(state, parameters)
    if math.floor(state[r.NOW_S] + SLACK_S) <= until_s or (not tries and parameters[_BUDGET] <= 0.0):
        return r.CONTINUE
    in_time = not tries and _ends_in_time(state, parameters, _implied_ms(state, state[_LEFT]))
    if in_time and _may_disrupt(parameters):
        return _disrupt(state, parameters)
    return r.ABORT
