"""How QEMU slows a guest that dirties too fast: auto-converge and dirty-limit."""

from __future__ import annotations

import math

from migkit.jit import lean
from migkit.policies import record as r
from migkit.policies.record import Parameters, State

__all__ = ["auto_converge_step", "dirty_limit_step", "throttle", "throttle_wake_s"]


PERIOD_S = 1.0  # syncs closer than this are evaluated together (ram.c)
EARLY_S = 1e-3  # of the share of syncs that are too early, see _is_over
HIGH_PERIODS = 2.0  # periods that lead to a step (ram.c)
TOLERANCE_PAGES_PER_S = 25.0 * 256.0  # dirty-limit leaves rates this near to its quota alone: 25 MB/s (dirtylimit.c)
LARGEST_SLEEP = 99.0  # times the ring-full time (dirtylimit.c)


@lean
def throttle(state: State, parameters: Parameters) -> int:
    """Update the order to throttle; return SYNC when a throttled guest's bitmap must be read now, else CONTINUE.

    At syncs more than 1 s after the last evaluation: when the pages marked since then
    exceed ``trigger`` times the bytes sent, the period counts against the guest; every
    second such period makes a step. With auto-converge a timer ticks every ``throttle_sync_s`` (QEMU from
    9.2: 5 s); after the first pass a tick syncs when nothing has since the tick before (cpu-throttle.c).
    """
    memory = state.throttling
    now_s = state.now_s
    if state.event == r.SYNCED:
        if state.iteration <= 1.0:
            memory.evaluated_s = now_s
            memory.sent_bytes = state.sent_bytes
        else:
            memory.dirtied_pages += state.dirtied_pages
            if _is_over(state):
                _evaluate(state, parameters)
    if memory.active > 0.0 and parameters.throttle_rule == r.DIRTY_LIMIT and now_s >= memory.adjust_s:
        memory.sleep = dirty_limit_step(memory.sleep, state.dirty_pages_per_s, parameters.dirty_limit_pages_per_s)
        state.throttle = memory.sleep / (1.0 + memory.sleep)
        memory.adjust_s = now_s + PERIOD_S
    return _tick(state, parameters)


@lean
def _is_over(state: State) -> bool:
    """Return whether QEMU sees that more than a second has passed since the last evaluation.

    It counts whole milliseconds, and so does a window: it takes 100 of them, or one more where it woke late. So ten
    windows with a mean of 100.1 ms take 1,000 ms and not more than a second when none of them was late: of the syncs
    at a time ``t`` after a second, the share ``exp(-t / 1 ms)`` is too early. Real ones: 14 % of 120 periods at 1.5
    to 2 ms, 5 % of 20 at 4 ms. They are spread evenly.
    """
    memory = state.throttling
    over_s = state.now_s - memory.evaluated_s - PERIOD_S
    if over_s <= 0.0:
        return False
    memory.early += math.exp(-over_s / EARLY_S)
    if memory.early < 0.5:
        return True
    memory.early -= 1.0
    return False


@lean
def _tick(state: State, parameters: Parameters) -> int:
    """Let the timer tick when it is due; return SYNC when that must read the bitmap, else CONTINUE."""
    memory = state.throttling
    interval_s = parameters.throttle_sync_s
    if interval_s <= 0.0 or parameters.throttle_rule != r.AUTO_CONVERGE:
        return r.CONTINUE
    if memory.tick_s <= 0.0:
        memory.tick_s = interval_s
    if state.now_s < memory.tick_s:
        return r.CONTINUE
    iteration = state.iteration
    stale = iteration > 1.0 and iteration == memory.ticked_iteration and state.event != r.SYNCED
    memory.ticked_iteration = iteration + 1.0 if stale else iteration
    memory.tick_s = state.now_s + interval_s
    return r.SYNC if stale else r.CONTINUE


@lean
def throttle_wake_s(state: State, parameters: Parameters) -> float:
    """Return when :func:`throttle` must be asked again [s]."""
    memory = state.throttling
    wake_s = math.inf
    if memory.active > 0.0:
        wake_s = float(memory.adjust_s)
    if memory.tick_s > 0.0:
        wake_s = min(wake_s, float(memory.tick_s))
    return wake_s


@lean
def _evaluate(state: State, parameters: Parameters) -> None:
    memory = state.throttling
    dirtied_bytes = memory.dirtied_pages * r.PAGE_BYTES
    allowed_bytes = (state.sent_bytes - memory.sent_bytes) * parameters.throttle_trigger
    if dirtied_bytes > allowed_bytes:
        memory.high_periods += 1.0
        if memory.high_periods >= HIGH_PERIODS:
            memory.high_periods = 0.0
            if parameters.throttle_rule == r.AUTO_CONVERGE:
                allowed = allowed_bytes / dirtied_bytes
                state.throttle = auto_converge_step(state.throttle, allowed, parameters)
            elif memory.active == 0.0:
                memory.active = 1.0
                memory.adjust_s = state.now_s
    memory.evaluated_s = state.now_s
    memory.sent_bytes = state.sent_bytes
    memory.dirtied_pages = 0.0


@lean
def auto_converge_step(share: float, allowed: float, parameters: Parameters) -> float:
    """Return the next throttle: first the initial one, then the increment more, up to the maximum.

    With tailslow a step is no larger than ``running x (1 - allowed)``, where ``running``
    is the share of time that the guest has now and ``allowed`` the allowed dirtying over
    the actual one.
    """
    if share <= 0.0:
        return float(parameters.throttle_initial)
    increment = parameters.throttle_increment
    if parameters.throttle_tailslow > 0.0:
        increment = min(increment, (1.0 - share) * (1.0 - allowed))
    return float(min(share + increment, parameters.throttle_max))


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
