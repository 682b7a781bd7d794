"""How QEMU slows a guest that dirties too fast: auto-converge and dirty-limit."""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import lean
from migkit.kernels.policies import record as r

__all__ = ["auto_converge_step", "dirty_limit_step", "throttle", "throttle_wake_s"]

_EVALUATED_S = r.THROTTLE_MEMORY  # last evaluation
_SENT_BYTES = r.THROTTLE_MEMORY + 1  # sent by then
_DIRTIED_PAGES = r.THROTTLE_MEMORY + 2  # marked since then
_HIGH_PERIODS = r.THROTTLE_MEMORY + 3  # counted against the guest, not reset by a good one
_TICK_S = r.THROTTLE_MEMORY + 4  # the next tick of the timer that syncs
_ACTIVE = r.THROTTLE_MEMORY + 5  # dirty-limit has been triggered
_SLEEP = r.THROTTLE_MEMORY + 6  # its sleep per ring-full time
_ADJUST_S = r.THROTTLE_MEMORY + 7  # its next adjustment
_TICKED = r.THROTTLE_MEMORY + 6  # auto-converge: the iteration that the last tick of the timer found

PERIOD_S = 1.0  # syncs closer than this are evaluated together (ram.c)
HIGH_PERIODS = 2.0  # periods that lead to a step (ram.c)
TOLERANCE_PAGES_PER_S = 25.0 * 256.0  # dirty-limit leaves rates this near to its quota alone: 25 MB/s (dirtylimit.c)
LARGEST_SLEEP = 99.0  # times the ring-full time (dirtylimit.c)


@lean
def throttle(state: np.ndarray, parameters: np.ndarray) -> int:
    """Update the order THROTTLE; return SYNC when a throttled guest's bitmap must be read now, else CONTINUE.

    At syncs more than 1 s after the last evaluation: when the pages marked since then
    exceed ``trigger`` times the bytes sent, the period counts against the guest; every
    second such period makes a step. With auto-converge a timer ticks every THROTTLE_SYNC_S (QEMU from
    9.2: 5 s); after the first pass a tick syncs when nothing has since the tick before (cpu-throttle.c).
    """
    now_s = state[r.NOW_S]
    if state[r.EVENT] == r.SYNCED:
        if state[r.ITERATION] <= 1.0:
            state[_EVALUATED_S] = now_s
            state[_SENT_BYTES] = state[r.SENT_BYTES]
        else:
            state[_DIRTIED_PAGES] += state[r.DIRTIED_PAGES]
            if now_s > state[_EVALUATED_S] + PERIOD_S:
                _evaluate(state, parameters)
    if state[_ACTIVE] > 0.0 and parameters[r.THROTTLE_RULE] == r.DIRTY_LIMIT and now_s >= state[_ADJUST_S]:
        state[_SLEEP] = dirty_limit_step(state[_SLEEP], state[r.DIRTY_RATE], parameters[r.DIRTY_LIMIT_RATE])
        state[r.THROTTLE] = state[_SLEEP] / (1.0 + state[_SLEEP])
        state[_ADJUST_S] = now_s + PERIOD_S
    return _tick(state, parameters)


@lean
def _tick(state: np.ndarray, parameters: np.ndarray) -> int:
    """Let the timer tick when it is due; return SYNC when that must read the bitmap, else CONTINUE."""
    interval_s = parameters[r.THROTTLE_SYNC_S]
    if interval_s <= 0.0 or parameters[r.THROTTLE_RULE] != r.AUTO_CONVERGE:
        return r.CONTINUE
    if state[_TICK_S] <= 0.0:
        state[_TICK_S] = interval_s
    if state[r.NOW_S] < state[_TICK_S]:
        return r.CONTINUE
    iteration = state[r.ITERATION]
    stale = iteration > 1.0 and iteration == state[_TICKED] and state[r.EVENT] != r.SYNCED
    state[_TICKED] = iteration + 1.0 if stale else iteration
    state[_TICK_S] = state[r.NOW_S] + interval_s
    return r.SYNC if stale else r.CONTINUE


@lean
def throttle_wake_s(state: np.ndarray, parameters: np.ndarray) -> float:
    """Return when :func:`throttle` must be asked again [s]."""
    wake_s = math.inf
    if state[_ACTIVE] > 0.0:
        wake_s = float(state[_ADJUST_S])
    if state[_TICK_S] > 0.0:
        wake_s = min(wake_s, float(state[_TICK_S]))
    return wake_s


@lean
def _evaluate(state: np.ndarray, parameters: np.ndarray) -> None:
    dirtied_bytes = state[_DIRTIED_PAGES] * r.PAGE_BYTES
    allowed_bytes = (state[r.SENT_BYTES] - state[_SENT_BYTES]) * parameters[r.THROTTLE_TRIGGER]
    if dirtied_bytes > allowed_bytes:
        state[_HIGH_PERIODS] += 1.0
        if state[_HIGH_PERIODS] >= HIGH_PERIODS:
            state[_HIGH_PERIODS] = 0.0
            if parameters[r.THROTTLE_RULE] == r.AUTO_CONVERGE:
                allowed = allowed_bytes / dirtied_bytes
                state[r.THROTTLE] = auto_converge_step(state[r.THROTTLE], allowed, parameters)
            elif state[_ACTIVE] == 0.0:
                state[_ACTIVE] = 1.0
                state[_ADJUST_S] = state[r.NOW_S]
    state[_EVALUATED_S] = state[r.NOW_S]
    state[_SENT_BYTES] = state[r.SENT_BYTES]
    state[_DIRTIED_PAGES] = 0.0


@lean
def auto_converge_step(share: float, allowed: float, parameters: np.ndarray) -> float:
    """Return the next throttle: first the initial one, then the increment more, up to the maximum.

    With tailslow a step is no larger than ``running x (1 - allowed)``, where ``running``
    is the share of time that the guest has now and ``allowed`` the allowed dirtying over
    the actual one.
    """
    if share <= 0.0:
        return float(parameters[r.THROTTLE_INITIAL])
    increment = parameters[r.THROTTLE_INCREMENT]
    if parameters[r.THROTTLE_TAILSLOW] > 0.0:
        increment = min(increment, (1.0 - share) * (1.0 - allowed))
    return float(min(share + increment, parameters[r.THROTTLE_MAX]))


@lean
def dirty_limit_step(sleep: float, rate: float, quota: float) -> float:
    """Return the next sleep of a virtual processor, in units of the time that fills its dirty ring.

    Within 25 MB/s of the quota nothing changes. Farther off than half, the sleep moves by
    ``s / (100 - s)``, where s is the gap in per cent of the larger of rate and quota; nearer,
    by a tenth. It stays within 0 and 99.
    """
    gap = abs(rate - quota)
    if gap <= TOLERANCE_PAGES_PER_S:
        return sleep
    relative = gap / max(rate, quota)
    step = 0.1
    if relative > 0.5:
        step = LARGEST_SLEEP if relative >= 1.0 else relative / (1.0 - relative)
    if rate < quota:
        step = -step
    return min(max(sleep + step, 0.0), LARGEST_SLEEP)
