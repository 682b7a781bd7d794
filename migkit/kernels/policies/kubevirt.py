"""KubeVirt's three rules on top of QEMU's: time budget, downtime ramp, stall detector."""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import lean
from migkit.kernels.policies import record as r
from migkit.kernels.policies.qemu import under_limit

__all__ = ["kubevirt", "kubevirt_ramp", "kubevirt_stall"]

# Settings of all three rules, from r.SETTINGS on.
_BUDGET = r.SETTINGS  # completion timeout [s/GiB]
_PROGRESS = r.SETTINGS + 1  # progress timeout [s]
_DISRUPT = r.SETTINGS + 2  # 1: the guest may be disrupted to finish
_POSTCOPY = r.SETTINGS + 3  # 1: post-copy is permitted
_POLL = r.SETTINGS + 4  # [s]
_RAMP_START = r.SETTINGS + 5  # ramp: first limit [s]; stall: first limit [s]
_RAMP_STEPS = r.SETTINGS + 6
_RAMP_WAIT = r.SETTINGS + 7  # ramp: between two changes [s]
_MARGIN = r.SETTINGS + 5  # stall: m
_WINDOW = r.SETTINGS + 6  # stall: W [s]
_FACTOR = r.SETTINGS + 7  # stall: implied downtime / limit that is still worth a try
_DECAY = r.SETTINGS + 8  # stall: of the patience
_COMPLETION = r.SETTINGS + 9  # stall: budgets within which an implied downtime must end
_SWITCHOVER_WAIT = r.SETTINGS + 10  # stall: for the last try [s]
_SMOOTHING = r.SETTINGS + 11  # stall: of the bandwidth
_FIRST_LIMIT = r.SETTINGS + 12  # stall: at most this limit before a stall [s]

_POLL_S = r.MEMORY  # next poll
_LOW = r.MEMORY + 1  # smallest remaining seen at a poll
_LOW_S = r.MEMORY + 2  # ... and when
_LIMIT_S = r.MEMORY + 3  # limit in force
_CHANGED_S = r.MEMORY + 4  # when it last changed

_BANDWIDTH = r.MEMORY + 5  # smoothed
_BOUNDARY_S = r.MEMORY + 6  # last iteration boundary
_BOUNDARY_BYTES = r.MEMORY + 7  # sent by then
_MINIMUM = r.MEMORY + 8  # of the records older than the window; 0: none yet
_STALLED = r.MEMORY + 9
_BEST = r.MEMORY + 10
_PATIENCE_S = r.MEMORY + 11
_DEADLINE_S = r.MEMORY + 12
_SINCE_STALL = r.MEMORY + 13  # smallest remaining since the stall; 0: none yet
_TRYING_S = r.MEMORY + 14  # when the last try began; 0: it has not
_YOUNG = r.MEMORY + 15  # records younger than the window
_RECORDS = r.MEMORY + 16  # ... as (time, remaining), each lower than all before it
_MOST_RECORDS = 8

FORCED_LIMIT_S = 2000.0
SLACK_S = 1e-9  # polls are this much early, so that rounding does not put them off by a window


@lean
def kubevirt(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what KubeVirt does by its time budget, the downtime limit being constant.

    Every 0.4 s: if what remains has had no new low for 150 s, abort; when 150 s for each GiB of
    RAM and storage have passed, turn to post-copy or stop the guest where that is
    allowed, else abort. Settings: budget [s/GiB], progress timeout [s], 1 if the guest may
    be disrupted, 1 if post-copy is permitted, poll [s].
    """
    action = _budget(state, parameters)
    if action != r.CONTINUE:
        return action
    action = under_limit(state, parameters, parameters[r.LIMIT_S])
    state[r.WAKE_TIME_S] = state[_POLL_S]
    return action


@lean
def kubevirt_ramp(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what KubeVirt does when it tunes the downtime limit.

    As :func:`kubevirt`, with the limit starting at 150 ms; from the third iteration on and
    10 s after the last change it rises by ``max(1 ms, (max - 150 ms) / 7)`` up to the
    maximum, LIMIT_S. Further settings: first limit [s], steps, wait [s].
    """
    if state[_LIMIT_S] <= 0.0:
        state[_LIMIT_S] = min(parameters[_RAMP_START], parameters[r.LIMIT_S])
        state[_CHANGED_S] = state[r.NOW_S]
    polled = state[r.NOW_S] >= state[_POLL_S]
    action = _budget(state, parameters)
    if action != r.CONTINUE:
        return action
    ripe = state[r.ITERATION] >= 3.0 and state[r.NOW_S] >= state[_CHANGED_S] + parameters[_RAMP_WAIT]
    if polled and ripe and state[_LIMIT_S] < parameters[r.LIMIT_S]:
        rise_s = max(0.001, (parameters[r.LIMIT_S] - parameters[_RAMP_START]) / parameters[_RAMP_STEPS])
        state[_LIMIT_S] = min(state[_LIMIT_S] + rise_s, parameters[r.LIMIT_S])
        state[_CHANGED_S] = state[r.NOW_S]
    action = under_limit(state, parameters, state[_LIMIT_S])
    state[r.WAKE_TIME_S] = state[_POLL_S]
    return action


@lean
def _budget_s(state: np.ndarray, parameters: np.ndarray) -> float:
    return float(parameters[_BUDGET] * (state[r.GUEST_BYTES] + state[r.STORAGE_BYTES]) / r.GIB)


@lean
def _budget(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what the progress timeout and the time budget order at a poll, or CONTINUE."""
    now_s = state[r.NOW_S]
    if now_s < state[_POLL_S]:
        return r.CONTINUE
    state[_POLL_S] = (math.floor(now_s / parameters[_POLL] + 1e-9) + 1.0) * parameters[_POLL] - SLACK_S
    remaining_bytes = state[r.REMAINING_BYTES]
    if state[_LOW] <= 0.0 or remaining_bytes < state[_LOW]:
        state[_LOW] = remaining_bytes
        state[_LOW_S] = now_s
    if now_s - state[_LOW_S] > parameters[_PROGRESS] > 0.0:
        return r.ABORT
    if now_s < _budget_s(state, parameters):
        return r.CONTINUE
    if parameters[_DISRUPT] <= 0.0:
        return r.ABORT
    return r.POSTCOPY if parameters[_POSTCOPY] > 0.0 else r.SWITCHOVER


@lean
def kubevirt_stall(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what KubeVirt's stall detector does (VEP 248).

    At each iteration boundary, with r what remains: the migration is stalled when
    ``r >= M (1 - m)``, M the least that remained at boundaries older than W. From then on it acts at
    a local minimum, ``r <= best (1 + m)``: post-copy or a forced stop where that is allowed; else, when
    the implied downtime r / b is at most ``factor`` times the maximum (LIMIT_S), the limit becomes the
    maximum for one last try, and otherwise it aborts. ``best`` is looked for anew after W, W/2, W/4, ...
    Further settings: m, W [s], factor, decay, completion factor, wait for the last try [s],
    smoothing of b, first limit [s].
    """
    if state[_LIMIT_S] <= 0.0:
        state[_LIMIT_S] = min(parameters[_FIRST_LIMIT], parameters[r.LIMIT_S])
    if state[r.EVENT] == r.SYNCED and state[r.ITERATION] > 1.0 and state[_TRYING_S] <= 0.0:
        _smooth_bandwidth(state, parameters)
        _note_boundary(state, parameters)
        action = _act_on_stall(state, parameters)
        if action != r.CONTINUE:
            return action
    if state[_TRYING_S] > 0.0 and state[r.NOW_S] > state[_TRYING_S] + parameters[_SWITCHOVER_WAIT]:
        return r.ABORT
    action = under_limit(state, parameters, state[_LIMIT_S])
    if state[_TRYING_S] > 0.0:
        state[r.WAKE_TIME_S] = state[_TRYING_S] + parameters[_SWITCHOVER_WAIT]
    return action


@lean
def _smooth_bandwidth(state: np.ndarray, parameters: np.ndarray) -> None:
    elapsed_s = state[r.NOW_S] - state[_BOUNDARY_S]
    if elapsed_s > 0.0:
        sample = (state[r.SENT_BYTES] - state[_BOUNDARY_BYTES]) / elapsed_s
        a = parameters[_SMOOTHING] if state[_BANDWIDTH] > 0.0 else 1.0
        state[_BANDWIDTH] = a * sample + (1.0 - a) * state[_BANDWIDTH]
    state[_BOUNDARY_S] = state[r.NOW_S]
    state[_BOUNDARY_BYTES] = state[r.SENT_BYTES]


@lean
def _note_boundary(state: np.ndarray, parameters: np.ndarray) -> None:
    """Age the records, find out whether the migration is stalled, and look for the best since then."""
    now_s = state[r.NOW_S]
    remaining_bytes = state[r.REMAINING_BYTES]
    _promote(state, now_s - parameters[_WINDOW])
    least = state[_MINIMUM]
    young = int(state[_YOUNG])
    if young > 0:
        least = state[_RECORDS + 2 * young - 1]
    if state[_STALLED] <= 0.0:
        if state[_MINIMUM] > 0.0 and remaining_bytes >= state[_MINIMUM] * (1.0 - parameters[_MARGIN]):
            state[_STALLED] = 1.0
            state[_BEST] = least
            state[_PATIENCE_S] = parameters[_WINDOW]
            state[_DEADLINE_S] = now_s + parameters[_WINDOW]
        elif least <= 0.0 or remaining_bytes < least:
            slot = min(young, _MOST_RECORDS - 1)
            state[_RECORDS + 2 * slot] = now_s
            state[_RECORDS + 2 * slot + 1] = remaining_bytes
            state[_YOUNG] = slot + 1.0
    if state[_STALLED] > 0.0:
        if state[_SINCE_STALL] <= 0.0 or remaining_bytes < state[_SINCE_STALL]:
            state[_SINCE_STALL] = remaining_bytes
        if now_s > state[_DEADLINE_S]:
            state[_BEST] = state[_SINCE_STALL]
            state[_PATIENCE_S] *= parameters[_DECAY]
            state[_DEADLINE_S] = now_s + state[_PATIENCE_S]


@lean
def _promote(state: np.ndarray, before_s: float) -> None:
    """Move the records made before ``before_s`` into the minimum; each is lower than those before it."""
    old = 0
    young = int(state[_YOUNG])
    while old < young and state[_RECORDS + 2 * old] <= before_s:
        state[_MINIMUM] = state[_RECORDS + 2 * old + 1]
        old += 1
    if old > 0:
        for i in range(2 * (young - old)):
            state[_RECORDS + i] = state[_RECORDS + 2 * old + i]
        state[_YOUNG] = young - old


@lean
def _act_on_stall(state: np.ndarray, parameters: np.ndarray) -> int:
    remaining_bytes = state[r.REMAINING_BYTES]
    if state[_STALLED] <= 0.0 or remaining_bytes > state[_BEST] * (1.0 + parameters[_MARGIN]):
        return r.CONTINUE
    implied_s = remaining_bytes / state[_BANDWIDTH] if state[_BANDWIDTH] > 0.0 else math.inf
    if implied_s > parameters[_COMPLETION] * _budget_s(state, parameters) - state[r.NOW_S]:
        return r.CONTINUE
    if parameters[_DISRUPT] > 0.0:
        if parameters[_POSTCOPY] > 0.0:
            return r.POSTCOPY
        state[_LIMIT_S] = FORCED_LIMIT_S
        return r.CONTINUE
    if implied_s > parameters[r.LIMIT_S] * parameters[_FACTOR]:
        return r.ABORT
    state[_LIMIT_S] = parameters[r.LIMIT_S]
    state[_TRYING_S] = state[r.NOW_S]
    return r.CONTINUE
