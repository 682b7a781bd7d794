"""QEMU's switchover rule, and what a strategy orders whatever the rule says."""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import inlined, lean
from migkit.kernels.policies import record as r

__all__ = ["ordered_by_strategy", "qemu", "under_limit"]


@inlined
def qemu(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what QEMU 7.2 to 10.0 does under its constant downtime limit."""
    return under_limit(state, parameters, parameters[r.LIMIT_S])


@inlined
def under_limit(state: np.ndarray, parameters: np.ndarray, limit_s: float) -> int:
    """Return what QEMU does while its downtime limit is ``limit_s`` (migration.c, ram.c).

    With ``threshold = bandwidth x downtime limit``, bandwidth as measured in the last
    complete window or as given (avail-switchover-bandwidth): when the estimate of what
    remains is under the threshold, sync the bitmap and look again; when the exact value
    is under it too, or nothing remains, switch over. Before the first window is complete
    the threshold is 0.
    """
    bandwidth = state[r.BANDWIDTH]
    if parameters[r.SWITCHOVER_BANDWIDTH] > 0.0:
        bandwidth = parameters[r.SWITCHOVER_BANDWIDTH]
    threshold_bytes = bandwidth * limit_s
    remaining_bytes = state[r.REMAINING_BYTES]
    state[r.DOWNTIME_LIMIT_S] = limit_s
    state[r.WAKE_REMAINING_BYTES] = threshold_bytes
    state[r.WAKE_TIME_S] = math.inf
    if remaining_bytes > 0.0 and remaining_bytes >= threshold_bytes:
        return r.CONTINUE
    if remaining_bytes < threshold_bytes and state[r.EVENT] != r.SYNCED:
        return r.SYNC
    return r.SWITCHOVER


@lean
def ordered_by_strategy(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what a strategy other than pre-copy orders now, or CONTINUE: then the policy is asked.

    Stop-copy switches over and post-copy starts at the first sync; hybrid turns to
    post-copy when its time is reached or its rounds are complete.
    """
    strategy = parameters[r.STRATEGY]
    if strategy == r.STOPCOPY:
        return r.SWITCHOVER
    if strategy == r.POSTCOPY_ONLY:
        return r.POSTCOPY
    if strategy != r.HYBRID:
        return r.CONTINUE
    after_s = parameters[r.POSTCOPY_AFTER_S]
    if after_s > 0.0 and state[r.NOW_S] >= after_s:
        return r.POSTCOPY
    rounds = parameters[r.POSTCOPY_AFTER_ROUNDS]
    if rounds > 0.0 and state[r.EVENT] == r.SYNCED and state[r.ITERATION] > rounds:
        return r.POSTCOPY
    return r.CONTINUE
