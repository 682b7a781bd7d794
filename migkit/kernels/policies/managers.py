"""Managers on top of QEMU: by timers and passes they change its downtime limit; then QEMU's rule decides.

They see the migration when they poll it. A poll is taken at the first call at or after
its time, so at the end of the rate window in which it falls.
"""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import lean
from migkit.kernels.policies import record as r
from migkit.kernels.policies.qemu import under_limit

__all__ = ["nova", "ovirt", "ovirt_step_s", "proxmox"]

_POLL_S = r.MEMORY  # next poll
_LIMIT_S = r.MEMORY + 1  # limit in force
_REMAINING = r.MEMORY + 2  # at the last poll
_COUNTER = r.MEMORY + 3  # proxmox: polls without progress
_POLLS = r.MEMORY + 4  # proxmox: polls so far
_SENT = r.MEMORY + 7  # proxmox: sent by the last poll
_INTERVAL_S = r.MEMORY + 8  # proxmox: between two polls
_ACTIONS = r.MEMORY + 3  # ovirt: actions taken
_FIRST_ITERATION = r.MEMORY + 5
_LAST_ITERATION = r.MEMORY + 6

LARGEST_LIMIT_S = 2000.0  # QEMU refuses more
SLACK_S = 1e-9  # polls are this much early, so that rounding does not put them off by a window


@lean
def nova(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what Nova's libvirt driver does (nova/virt/libvirt/migration.py).

    With ``G = max(2, RAM) + max(2, storage)`` [GiB] (storage only when it moves too), steps S
    and delay d, when more than ``i x int(d G)`` seconds have passed the limit is
    ``int(D/S + i (D - D/S)/S)`` ms. After ``int(timeout G)`` seconds: abort, or at the next poll force the
    end by post-copy where permitted, else by stopping the guest. LIMIT_S is D. Settings: S,
    d [s/GiB], timeout [s/GiB] (0: none), 1 to force, 1 if post-copy is permitted, poll [s].
    """
    s = r.SETTINGS
    poll_s = parameters[s + 5]
    polled_s = math.floor((state[r.NOW_S] + SLACK_S) / poll_s) * poll_s
    gib = max(2.0, state[r.GUEST_BYTES] / r.GIB)
    if state[r.STORAGE_BYTES] > 0.0:
        gib += max(2.0, state[r.STORAGE_BYTES] / r.GIB)
    timeout_s = math.floor(parameters[s + 2] * gib)
    forced = parameters[s + 3] > 0.0
    ends_after_s = timeout_s + (poll_s if forced else 0.0)
    if timeout_s > 0.0 and polled_s > ends_after_s:
        if not forced:
            return r.ABORT
        return r.POSTCOPY if parameters[s + 4] > 0.0 else r.SWITCHOVER
    steps = parameters[s]
    delay_s = max(1.0, math.floor(parameters[s + 1] * gib))
    step = min(max(math.ceil(polled_s / delay_s) - 1.0, 0.0), steps)
    full_ms = parameters[r.LIMIT_S] * 1000.0
    base_ms = full_ms / steps
    limit_ms = math.floor(base_ms + step * (full_ms - base_ms) / steps + 1e-9)
    action = under_limit(state, parameters, limit_ms / 1000.0)
    wake_s = ends_after_s if timeout_s > 0.0 else math.inf
    if step < steps:
        wake_s = min(wake_s, (step + 1.0) * delay_s)
    state[r.WAKE_TIME_S] = (math.floor(wake_s / poll_s) + 1.0) * poll_s - SLACK_S if wake_s < math.inf else wake_s
    return action


@lean
def ovirt_step_s(step: float, limit_s: float, steps: float) -> float:
    """Return vdsm's downtime of step i in [s]: ``int(D/S + (D - D/S)^(i/(S-1)))`` in milliseconds."""
    least_ms = limit_s * 1000.0 / steps
    if steps <= 1.0:
        return limit_s
    raised_ms = (limit_s * 1000.0 - least_ms) ** (step / (steps - 1.0))
    return float(math.floor(least_ms + raised_ms + 1e-9)) / 1000.0


@lean
def ovirt(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what oVirt's vdsm does by its legacy schedule (vdsm/virt/migration.py).

    The limit starts at step 0. At a poll that finds a new iteration, the next action is due
    if more iterations than its limit have begun since the first poll: limits 1, 2, ... raise it to
    the next step, the patience repeats the last one, and after that the migration is
    aborted. LIMIT_S is D. Settings: S, patience [iterations], poll [s].
    """
    s = r.SETTINGS
    steps = parameters[s]
    if state[_LIMIT_S] <= 0.0:
        state[_LIMIT_S] = ovirt_step_s(0.0, parameters[r.LIMIT_S], steps)
        state[_POLL_S] = state[r.NOW_S] + parameters[s + 2]
    if state[r.NOW_S] >= state[_POLL_S]:
        state[_POLL_S] += parameters[s + 2]
        if state[_FIRST_ITERATION] <= 0.0:
            state[_FIRST_ITERATION] = state[r.ITERATION]
        elif state[r.ITERATION] > state[_LAST_ITERATION] and not _ovirt_acts(state, parameters):
            return r.ABORT
        state[_LAST_ITERATION] = state[r.ITERATION]
    action = under_limit(state, parameters, state[_LIMIT_S])
    state[r.WAKE_TIME_S] = state[_POLL_S]
    return action


@lean
def _ovirt_acts(state: np.ndarray, parameters: np.ndarray) -> bool:
    """Take the next action of the schedule if it is due; False: it is to abort."""
    steps = parameters[r.SETTINGS]
    done = state[_ACTIONS]
    limit = -1.0
    if done < steps - 1.0:
        limit = done + 1.0
    elif done == steps - 1.0:
        limit = parameters[r.SETTINGS + 1]
    if state[r.ITERATION] - state[_FIRST_ITERATION] <= limit:
        return True
    if done > steps - 1.0:
        return False
    state[_ACTIONS] = done + 1.0
    state[_LIMIT_S] = ovirt_step_s(min(done + 1.0, steps - 1.0), parameters[r.LIMIT_S], steps)
    return True


@lean
def proxmox(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what Proxmox VE does (PVE/QemuMigrate.pm).

    Every second, and every tenth from the poll on that finds less remaining than an average poll had
    transferred: if anything was sent since the last poll, and more remains than then, or nothing, that
    counts; when it has counted more than five times the limit is doubled, up to QEMU's 2,000 s, and
    the count starts again. LIMIT_S is the first limit. Settings: poll [s], short poll [s], count.
    """
    s = r.SETTINGS
    if state[_LIMIT_S] <= 0.0:
        state[_LIMIT_S] = parameters[r.LIMIT_S]
        state[_INTERVAL_S] = parameters[s]
        state[_POLL_S] = state[r.NOW_S] + parameters[s]
    if state[r.NOW_S] >= state[_POLL_S]:
        remaining_bytes = state[r.REMAINING_BYTES]
        state[_POLLS] += 1.0
        if state[r.SENT_BYTES] != state[_SENT]:
            if remaining_bytes < state[_SENT] / state[_POLLS]:
                state[_INTERVAL_S] = parameters[s + 1]
            if remaining_bytes > state[_REMAINING] > 0.0 or remaining_bytes <= 0.0:
                state[_COUNTER] += 1.0
            if state[_COUNTER] > parameters[s + 2]:
                state[_COUNTER] = 0.0
                state[_LIMIT_S] = min(2.0 * state[_LIMIT_S], LARGEST_LIMIT_S)
            state[_REMAINING] = remaining_bytes
        state[_SENT] = state[r.SENT_BYTES]
        state[_POLL_S] = state[r.NOW_S] + state[_INTERVAL_S]
    action = under_limit(state, parameters, state[_LIMIT_S])
    state[r.WAKE_TIME_S] = state[_POLL_S]
    return action
