"""Managers on top of QEMU: by timers and passes they change its downtime limit; then QEMU's rule decides.

They see the migration when they poll it. A poll is taken at the first call at or after
its time, so at the end of the rate window in which it falls.
"""

from __future__ import annotations

import math

import numpy as np

from migkit.jit import lean
from migkit.policies import record as r
from migkit.policies.qemu import under_limit
from migkit.policies.record import Parameters, State

__all__ = ["nova", "ovirt", "ovirt_step_s", "proxmox"]


LARGEST_LIMIT_S = 2000.0  # QEMU refuses more
SLACK_S = 1e-9  # polls are this much early, so that rounding does not put them off by a window


@lean
def nova(state: State, parameters: Parameters) -> int:
    """Return what Nova's libvirt driver does (nova/virt/libvirt/migration.py).

    With ``G = max(2, RAM) + max(2, storage)`` [GiB] (storage only when it moves too), steps S
    and delay d, when more than ``i x int(d G)`` seconds have passed the limit is
    ``int(D/S + i (D - D/S)/S)`` ms. After ``int(timeout G)`` seconds: abort, or at the next poll force the
    end by post-copy where permitted, else by stopping the guest. The downtime limit is D. Settings (NovaSettings): S,
    d [s/GiB], timeout [s/GiB] (0: none), 1 to force, 1 if post-copy is permitted, poll [s].
    """
    settings = parameters.settings.nova
    poll_s = settings.poll_s
    polled_s = np.floor((state.now_s + SLACK_S) / poll_s) * poll_s
    gib = max(2.0, state.guest_bytes / r.GIB)
    if state.storage_bytes > 0.0:
        gib += max(2.0, state.storage_bytes / r.GIB)
    timeout_s = np.floor(settings.completion_timeout_s_per_gib * gib)
    forced = settings.force_complete > 0.0
    ends_after_s = timeout_s + (poll_s if forced else 0.0)
    if timeout_s > 0.0 and polled_s > ends_after_s:
        if not forced:
            return r.ABORT
        return r.POSTCOPY if settings.allow_postcopy > 0.0 else r.SWITCHOVER
    steps = settings.steps
    delay_s = max(1.0, np.floor(settings.delay_s_per_gib * gib))
    step = min(max(np.ceil(polled_s / delay_s) - 1.0, 0.0), steps)
    full_ms = parameters.downtime_limit_s * 1000.0
    base_ms = full_ms / steps
    limit_ms = np.floor(base_ms + step * (full_ms - base_ms) / steps + 1e-9)
    action = under_limit(state, parameters, limit_ms / 1000.0)
    wake_s = ends_after_s if timeout_s > 0.0 else math.inf
    if step < steps:
        wake_s = min(wake_s, (step + 1.0) * delay_s)
    state.wake_time_s = (np.floor(wake_s / poll_s) + 1.0) * poll_s - SLACK_S if wake_s < math.inf else wake_s
    return action


@lean
def ovirt_step_s(step: float, limit_s: float, steps: float) -> float:
    """Return vdsm's downtime of step i in [s]: ``int(D/S + (D - D/S)^(i/(S-1)))`` in milliseconds."""
    least_ms = limit_s * 1000.0 / steps
    if steps <= 1.0:
        return limit_s
    raised_ms = (limit_s * 1000.0 - least_ms) ** (step / (steps - 1.0))
    return float(np.floor(least_ms + raised_ms + 1e-9)) / 1000.0


@lean
def ovirt(state: State, parameters: Parameters) -> int:
    """Return what oVirt's vdsm does by its legacy schedule (vdsm/virt/migration.py).

    The limit starts at step 0. At a poll that finds a new iteration, the next action is due
    if more iterations than its limit have begun since the first poll: limits 1, 2, ... raise it to
    the next step, the patience repeats the last one, and after that the migration is
    aborted. The downtime limit is D. Settings: S, patience [iterations], poll [s].
    """
    settings = parameters.settings.ovirt
    memory = state.memory.manager
    steps = settings.steps
    if memory.limit_s <= 0.0:
        memory.limit_s = ovirt_step_s(0.0, parameters.downtime_limit_s, steps)
        memory.poll_s = state.now_s + settings.poll_s
    if state.now_s >= memory.poll_s:
        memory.poll_s += settings.poll_s
        if memory.first_iteration <= 0.0:
            memory.first_iteration = state.iteration
        elif state.iteration > memory.last_iteration and not _ovirt_acts(state, parameters):
            return r.ABORT
        memory.last_iteration = state.iteration
    action = under_limit(state, parameters, memory.limit_s)
    state.wake_time_s = memory.poll_s
    return action


@lean
def _ovirt_acts(state: State, parameters: Parameters) -> bool:
    """Take the next action of the schedule if it is due; False: it is to abort."""
    settings = parameters.settings.ovirt
    memory = state.memory.manager
    steps = settings.steps
    done = memory.actions
    limit = -1.0
    if done < steps - 1.0:
        limit = done + 1.0
    elif done == steps - 1.0:
        limit = settings.patience_iterations
    if state.iteration - memory.first_iteration <= limit:
        return True
    if done > steps - 1.0:
        return False
    memory.actions = done + 1.0
    memory.limit_s = ovirt_step_s(min(done + 1.0, steps - 1.0), parameters.downtime_limit_s, steps)
    return True


@lean
def proxmox(state: State, parameters: Parameters) -> int:
    """Return what Proxmox VE does (PVE/QemuMigrate.pm).

    Every second, and every tenth from the poll on that finds less remaining than an average poll had
    transferred: if anything was sent since the last poll, and more remains than then, or nothing, that
    counts; when it has counted more than five times the limit is doubled, up to QEMU's 2,000 s, and
    the count starts again. The downtime limit is the first one. Settings: poll [s], short poll [s], count.
    """
    settings = parameters.settings.proxmox
    memory = state.memory.manager
    if memory.limit_s <= 0.0:
        memory.limit_s = parameters.downtime_limit_s
        memory.interval_s = settings.poll_s
        memory.poll_s = state.now_s + settings.poll_s
    if state.now_s >= memory.poll_s:
        remaining_bytes = state.remaining_bytes
        memory.polls += 1.0
        if state.sent_bytes != memory.sent_bytes:
            if remaining_bytes < memory.sent_bytes / memory.polls:
                memory.interval_s = settings.short_poll_s
            if remaining_bytes > memory.remaining_bytes > 0.0 or remaining_bytes <= 0.0:
                memory.stalled_polls += 1.0
            if memory.stalled_polls > settings.patience_polls:
                memory.stalled_polls = 0.0
                memory.limit_s = min(2.0 * memory.limit_s, LARGEST_LIMIT_S)
            memory.remaining_bytes = remaining_bytes
        memory.sent_bytes = state.sent_bytes
        memory.poll_s = state.now_s + memory.interval_s
    action = under_limit(state, parameters, memory.limit_s)
    state.wake_time_s = memory.poll_s
    return action
