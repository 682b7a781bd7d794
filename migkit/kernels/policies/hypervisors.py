"""Switchover rules of hypervisors other than QEMU. They look at passes, not at time windows."""

from __future__ import annotations

import math

import numpy as np

from migkit.kernels._jit import lean
from migkit.kernels.policies import record as r

__all__ = ["cloud_hypervisor", "criu_go_phaul", "criu_phaul", "hyperv_like", "vmware_like", "xen", "xen_4_5"]

_PASSES = r.MEMORY + 4  # counted
_LAST = r.MEMORY  # xen: this pass is the last one
_PAGES = r.MEMORY  # phaul: pages of the round before
_SENT_BYTES = r.MEMORY + 1  # vmware-like: sent when the round began
_SYNC_S = r.MEMORY + 1  # cloud-hypervisor: how long a sync takes
_EMPTY_S = r.MEMORY + 2  # ... from the end of a round to the sync: when that was
_BANDWIDTH = r.MEMORY + 3  # ... and the bandwidth of the round


@lean
def _by_passes(state: np.ndarray, parameters: np.ndarray) -> None:
    """Write the orders of a rule that only looks at the ends of passes."""
    state[r.DOWNTIME_LIMIT_S] = parameters[r.LIMIT_S]
    state[r.WAKE_REMAINING_BYTES] = 0.0
    state[r.WAKE_TIME_S] = math.inf


@lean
def _count_pass(state: np.ndarray, parameters: np.ndarray) -> None:
    """Write the orders of a rule that counts passes: however alike they are, it is getting somewhere."""
    _by_passes(state, parameters)
    state[_PASSES] = state[r.ITERATION]


@lean
def xen(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what Xen does since 4.6 (tools/libs/guest/xg_sr_save.c).

    At most 5 passes while the guest runs; a pass of fewer than 50 dirty pages is sent
    and is the last one. Then stop and copy. Settings: passes, pages.
    """
    _count_pass(state, parameters)
    if state[r.EVENT] == r.SYNCED and state[r.ITERATION] > 1.0:
        if state[r.DIRTIED_PAGES] < parameters[r.SETTINGS + 1]:
            state[_LAST] = 1.0
    elif state[r.EVENT] == r.EMPTY and (state[_LAST] > 0.0 or state[r.ITERATION] >= parameters[r.SETTINGS]):
        return r.SWITCHOVER
    return r.CONTINUE


@lean
def xen_4_5(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what Xen did up to 4.5 (libxc, xc_domain_save.c).

    After a pass, stop and copy if it was number 29 or later, if it had fewer than 50
    pages, or if more than 3 times the guest's pages have been sent. That the old code
    leaves out pages dirtied again before their turn is not part of this rule.
    Settings: passes, pages, factor.
    """
    _count_pass(state, parameters)
    if state[r.EVENT] != r.EMPTY:
        return r.CONTINUE
    iteration = state[r.ITERATION]
    few = iteration > 1.0 and state[r.DIRTIED_PAGES] < parameters[r.SETTINGS + 1]
    much = state[r.SENT_PAGES] * r.PAGE_BYTES > parameters[r.SETTINGS + 2] * state[r.GUEST_BYTES]
    return r.SWITCHOVER if iteration >= parameters[r.SETTINGS] or few or much else r.CONTINUE


@lean
def cloud_hypervisor(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what Cloud Hypervisor does since version 52.

    After each sync ``estimate = bytes of the fresh dirty list / bandwidth of the round
    before``; stop when it is at most the limit or nothing is dirty. When the pre-copy time
    is over: give up, or stop now. Settings: that time [s], 1 to stop rather than give up.
    """
    _by_passes(state, parameters)
    now_s = state[r.NOW_S]
    timeout_s = parameters[r.SETTINGS]
    if now_s < timeout_s:
        state[r.WAKE_TIME_S] = timeout_s
    if state[r.EVENT] == r.EMPTY:
        transfer_s = now_s - state[r.ROUND_START_S] - state[_SYNC_S]
        state[_BANDWIDTH] = state[r.ROUND_SENT_BYTES] / transfer_s if transfer_s > 0.0 else 0.0
        state[_EMPTY_S] = now_s
    if state[r.EVENT] != r.SYNCED or state[r.ITERATION] <= 1.0:
        return r.CONTINUE
    allowed_bytes = parameters[r.LIMIT_S] * state[_BANDWIDTH]
    state[_SYNC_S] = math.floor((now_s - state[_EMPTY_S]) * 1e9 + 0.5) * 1e-9
    state[_EMPTY_S] = state[_BANDWIDTH] = 0.0
    if state[r.REMAINING_BYTES] <= allowed_bytes:
        return r.SWITCHOVER
    if now_s >= timeout_s > 0.0:
        return r.SWITCHOVER if parameters[r.SETTINGS + 1] > 0.0 else r.ABORT
    return r.CONTINUE


@lean
def criu_phaul(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what P.Haul does after each pre-dump, the one of the whole guest being number 0.

    Stop when it wrote at most 64 pages, when that is more than 10 % above the one before (in whole per
    cent), or when its number is 8. Settings: number (8), pages (64, inclusive), growth [%] (10).
    """
    pages, before = state[r.DIRTIED_PAGES], state[_PAGES]
    growth_percent = math.floor((pages - before) * 100.0 / before) if before > 0.0 else 0.0
    grows = growth_percent > parameters[r.SETTINGS + 2]
    last = state[r.ITERATION] > parameters[r.SETTINGS]
    return _after_pass(state, parameters, last or grows or pages <= parameters[r.SETTINGS + 1])


@lean
def criu_go_phaul(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what go-criu's phaul does after each pre-dump, the one of the whole guest being number 1.

    Stop when its number is 8, when it wrote fewer than 64 pages, or at least 32 pages more than the one
    before. Before the first there are 0 pages, so that a guest of 32 pages or more stops after its first.
    Settings: number (8), pages (64, exclusive), growth [pages] (32).
    """
    pages = state[r.DIRTIED_PAGES]
    grows = pages - state[_PAGES] >= parameters[r.SETTINGS + 2]
    last = state[r.ITERATION] >= parameters[r.SETTINGS]
    return _after_pass(state, parameters, last or grows or pages < parameters[r.SETTINGS + 1])


@lean
def _after_pass(state: np.ndarray, parameters: np.ndarray, stops: bool) -> int:
    """Return SWITCHOVER when a pass is over and it ``stops``; note its pages for the next one."""
    _count_pass(state, parameters)
    if state[r.EVENT] != r.EMPTY:
        return r.CONTINUE
    state[_PAGES] = state[r.DIRTIED_PAGES]
    return r.SWITCHOVER if stops else r.CONTINUE


@lean
def vmware_like(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what a rule like vSphere's does, as far as it is documented.

    Switch over when what remains would take no longer than the limit. When a sync marks
    more than the round before it sent, slow the guest so that it dirties ``headroom``
    times what the link sends (Slowdown During Page Send, since 5.0), never faster again.
    Settings: headroom (0.8; VMware's own constant is not published).
    """
    _by_passes(state, parameters)
    bandwidth = state[r.BANDWIDTH]
    if state[r.EVENT] != r.SYNCED or state[r.ITERATION] <= 1.0 or bandwidth <= 0.0:
        return r.CONTINUE
    if state[r.REMAINING_BYTES] <= bandwidth * parameters[r.LIMIT_S]:
        return r.SWITCHOVER
    marked_bytes = state[r.DIRTIED_PAGES] * r.PAGE_BYTES
    round_bytes = state[r.SENT_BYTES] - state[_SENT_BYTES]
    state[_SENT_BYTES] = state[r.SENT_BYTES]
    allowed_bytes = parameters[r.SETTINGS] * round_bytes
    if marked_bytes > allowed_bytes:
        running = (1.0 - state[r.THROTTLE]) * allowed_bytes / marked_bytes
        state[r.THROTTLE] = min(max(state[r.THROTTLE], 1.0 - running), 0.99)
    return r.CONTINUE


@lean
def hyperv_like(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what a rule like Hyper-V's does: at most 10 passes, sooner if nothing is dirty, then stop and copy.

    Settings: passes.
    """
    _count_pass(state, parameters)
    if state[r.EVENT] == r.EMPTY and state[r.ITERATION] >= parameters[r.SETTINGS]:
        return r.SWITCHOVER
    if state[r.EVENT] == r.SYNCED and state[r.REMAINING_BYTES] <= 0.0:
        return r.SWITCHOVER
    return r.CONTINUE
