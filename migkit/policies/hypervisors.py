"""Switchover rules of hypervisors other than QEMU. They look at passes, not at time windows."""

from __future__ import annotations

import math

import numpy as np

from migkit.jit import lean
from migkit.policies import record as r
from migkit.policies.record import Parameters, State

__all__ = ["cloud_hypervisor", "counted_passes", "criu_go_phaul", "criu_phaul", "vmware_like", "xen", "xen_4_5"]


@lean
def _by_passes(state: State, parameters: Parameters) -> None:
    """Write the orders of a rule that only looks at the ends of passes."""
    state.downtime_limit_s = parameters.downtime_limit_s
    state.wake_remaining_bytes = 0.0
    state.wake_time_s = math.inf


@lean
def _count_pass(state: State, parameters: Parameters) -> None:
    """Write the orders of a rule that counts passes and knows no downtime limit.

    Passes may be alike and the rule still comes to an end.
    """
    memory = state.memory.passes
    _by_passes(state, parameters)
    state.downtime_limit_s = math.inf
    memory.passes = state.iteration


@lean
def xen(state: State, parameters: Parameters) -> int:
    """Return what Xen does since 4.6 (tools/libs/guest/xg_sr_save.c).

    At most 5 passes while the guest runs; a pass of fewer than 50 dirty pages is sent
    and is the last one. Then stop and copy. Settings: passes, pages.
    """
    settings = parameters.settings.xen
    memory = state.memory.passes
    _count_pass(state, parameters)
    if state.event == r.SYNCED and state.iteration > 1.0:
        if state.dirtied_pages < settings.dirty_pages:
            memory.is_last = 1.0
    elif state.event == r.EMPTY and (memory.is_last > 0.0 or state.iteration >= settings.passes):
        return r.SWITCHOVER
    return r.CONTINUE


@lean
def xen_4_5(state: State, parameters: Parameters) -> int:
    """Return what Xen did up to 4.5 (libxc, xc_domain_save.c).

    After a pass, stop and copy if it was number 29 or later, if it had fewer than 50
    pages, or if more than 3 times the guest's pages have been sent. That the old code
    leaves out pages dirtied again before their turn is not part of this rule.
    Settings: passes, pages, factor.
    """
    settings = parameters.settings.xen
    _count_pass(state, parameters)
    if state.event != r.EMPTY:
        return r.CONTINUE
    iteration = state.iteration
    few = iteration > 1.0 and state.dirtied_pages < settings.dirty_pages
    much = state.sent_pages * r.PAGE_BYTES > settings.factor * state.guest_bytes
    return r.SWITCHOVER if iteration >= settings.passes or few or much else r.CONTINUE


@lean
def cloud_hypervisor(state: State, parameters: Parameters) -> int:
    """Return what Cloud Hypervisor does since version 52.

    After each sync ``estimate = bytes of the fresh dirty list / bandwidth of the round
    before``; stop when it is at most the limit or nothing is dirty. When the pre-copy time
    is over: give up, or stop now. Settings: that time [s], 1 to stop rather than give up.
    """
    settings = parameters.settings.cloud_hypervisor
    memory = state.memory.passes
    _by_passes(state, parameters)
    now_s = state.now_s
    timeout_s = settings.timeout_s
    if now_s < timeout_s:
        state.wake_time_s = timeout_s
    if state.event == r.EMPTY:
        transfer_s = now_s - state.round_start_s - memory.sync_s
        memory.bandwidth_bytes_per_s = state.round_sent_bytes / transfer_s if transfer_s > 0.0 else 0.0
        memory.empty_s = now_s
    if state.event != r.SYNCED or state.iteration <= 1.0:
        return r.CONTINUE
    allowed_bytes = parameters.downtime_limit_s * memory.bandwidth_bytes_per_s
    memory.sync_s = np.floor((now_s - memory.empty_s) * 1e9 + 0.5) * 1e-9
    memory.empty_s = memory.bandwidth_bytes_per_s = 0.0
    if state.remaining_bytes <= allowed_bytes:
        return r.SWITCHOVER
    if now_s >= timeout_s > 0.0:
        return r.SWITCHOVER if settings.stop_at_timeout > 0.0 else r.ABORT
    return r.CONTINUE


@lean
def criu_phaul(state: State, parameters: Parameters) -> int:
    """Return what P.Haul does after each pre-dump, the one of the whole guest being number 0.

    Stop when it wrote at most 64 pages, when that is more than 10 % above the one before (in whole per
    cent), or when its number is 8. Settings: number (8), pages (64, inclusive), growth [%] (10).
    """
    settings = parameters.settings.phaul
    memory = state.memory.passes
    pages, before = state.dirtied_pages, memory.pages
    growth_percent = np.floor((pages - before) * 100.0 / before) if before > 0.0 else 0.0
    grows = growth_percent > settings.growth_percent
    last = state.iteration > settings.passes
    return _after_pass(state, parameters, last or grows or pages <= settings.few_pages)


@lean
def criu_go_phaul(state: State, parameters: Parameters) -> int:
    """Return what go-criu's phaul does after each pre-dump, the one of the whole guest being number 1.

    Stop when its number is 8, when it wrote fewer than 64 pages, or at least 32 pages more than the one
    before. Before the first there are 0 pages, so that a guest of 32 pages or more stops after its first.
    Settings: number (8), pages (64, exclusive), growth [pages] (32).
    """
    settings = parameters.settings.phaul
    memory = state.memory.passes
    pages = state.dirtied_pages
    grows = pages - memory.pages >= settings.growth_pages
    last = state.iteration >= settings.passes
    return _after_pass(state, parameters, last or grows or pages < settings.few_pages)


@lean
def _after_pass(state: State, parameters: Parameters, stops: bool) -> int:
    """Return SWITCHOVER when a pass is over and it ``stops``; note its pages for the next one."""
    memory = state.memory.passes
    _count_pass(state, parameters)
    if state.event != r.EMPTY:
        return r.CONTINUE
    memory.pages = state.dirtied_pages
    return r.SWITCHOVER if stops else r.CONTINUE


@lean
def vmware_like(state: State, parameters: Parameters) -> int:
    """Return what a rule like vSphere's does, as far as it is documented.

    Switch over when what remains would take no longer than the limit. When a sync marks
    more than the round before it sent, slow the guest so that it dirties ``headroom``
    times what the link sends (Slowdown During Page Send, since 5.0), never faster again.
    Settings: headroom (0.8; VMware's own constant is not published).
    """
    settings = parameters.settings.vmware
    memory = state.memory.passes
    _by_passes(state, parameters)
    bandwidth = state.bandwidth_bytes_per_s
    if state.event != r.SYNCED or state.iteration <= 1.0 or bandwidth <= 0.0:
        return r.CONTINUE
    if state.remaining_bytes <= bandwidth * parameters.downtime_limit_s:
        return r.SWITCHOVER
    marked_bytes = state.dirtied_pages * r.PAGE_BYTES
    round_bytes = state.sent_bytes - memory.sent_bytes
    memory.sent_bytes = state.sent_bytes
    allowed_bytes = settings.headroom * round_bytes
    if marked_bytes > allowed_bytes:
        running = (1.0 - state.throttle) * allowed_bytes / marked_bytes
        state.throttle = min(max(state.throttle, 1.0 - running), 0.99)
    return r.CONTINUE


@lean
def counted_passes(state: State, parameters: Parameters) -> int:
    """Return what a rule does that makes a number of passes, fewer if nothing is dirty, then stops and copies.

    Hyper-V makes at most 10. Cloud Hypervisor up to 51 makes at most 6: all memory, then what was dirtied, 5 times
    (vmm/src/lib.rs). Settings: passes.
    """
    settings = parameters.settings.counted
    _count_pass(state, parameters)
    if state.event == r.EMPTY and state.iteration >= settings.passes:
        return r.SWITCHOVER
    if state.event == r.SYNCED and state.remaining_bytes <= 0.0:
        return r.SWITCHOVER
    return r.CONTINUE
