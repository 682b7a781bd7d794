"""QEMU's switchover rule, and what a strategy orders whatever the rule says."""

from __future__ import annotations

import math
from typing import Final

from migkit.jit import inlined, lean
from migkit.policies import record as r
from migkit.policies.record import Parameters, State

__all__ = ["ordered_by_strategy", "qemu", "under_limit"]

NEXT: Final = 1.0 + 2.0**-52  # times a number: the next one that a float holds


@inlined
def qemu(state: State, parameters: Parameters) -> int:
    """Return what QEMU 7.2 to 10.0 does under its constant downtime limit."""
    return under_limit(state, parameters, parameters.downtime_limit_s)


@inlined
def under_limit(state: State, parameters: Parameters, limit_s: float) -> int:
    """Return what QEMU does while its downtime limit is ``limit_s`` (migration.c, ram.c).

    With ``threshold = bandwidth x downtime limit``, bandwidth as measured in the last
    complete window or as given (avail-switchover-bandwidth): when the estimate of what
    remains is under the threshold, sync the bitmap and look again; when the exact value
    is under it too, or nothing remains, switch over. Before the first window is complete
    the threshold is 0.

    QEMU 11.1 syncs also when nothing remains that must go before the guest stops. With
    post-copy permitted no memory must, so that it syncs at every look.
    """
    bandwidth = state.bandwidth_bytes_per_s
    if parameters.switchover_bandwidth_bytes_per_s > 0.0:
        bandwidth = parameters.switchover_bandwidth_bytes_per_s
    threshold_bytes = bandwidth * limit_s
    remaining_bytes = state.remaining_bytes
    state.downtime_limit_s = limit_s
    state.wake_remaining_bytes = threshold_bytes
    state.wake_time_s = math.inf
    under = remaining_bytes < threshold_bytes
    if parameters.sync_at_threshold > 0.0:
        under = remaining_bytes <= threshold_bytes
        state.wake_remaining_bytes = threshold_bytes * NEXT
        if parameters.strategy == r.HYBRID:
            state.wake_remaining_bytes = math.inf
            if state.event != r.SYNCED:
                return r.SYNC
    if remaining_bytes > 0.0 and not under:
        return r.CONTINUE
    if under and state.event != r.SYNCED:
        return r.SYNC
    return r.SWITCHOVER


@lean
def ordered_by_strategy(state: State, parameters: Parameters) -> int:
    """Return what a strategy other than pre-copy orders now, or CONTINUE: then the policy is asked.

    Stop-copy switches over and post-copy starts at the first sync; hybrid turns to
    post-copy when its time is reached or its rounds are complete.
    """
    strategy = parameters.strategy
    if strategy == r.STOPCOPY:
        return r.SWITCHOVER
    if strategy == r.POSTCOPY_ONLY:
        return r.POSTCOPY
    if strategy != r.HYBRID:
        return r.CONTINUE
    after_s = parameters.postcopy_after_s
    if after_s > 0.0 and state.now_s >= after_s:
        return r.POSTCOPY
    rounds = parameters.postcopy_after_rounds
    if rounds > 0.0 and state.event == r.SYNCED and state.iteration > rounds:
        return r.POSTCOPY
    return r.CONTINUE
