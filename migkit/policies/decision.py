"""Decision functions: when a migration continues, syncs, switches over, throttles or gives up.

The simulators and the page-copy harness call the *same* functions over the same state
record (:class:`migkit.policies.record.State`; all names of that module are importable from
here). The caller writes the readings, calls :func:`decide`, and obeys the action returned and
the orders that the policy wrote.

Who owns which fields
    * readings, from ``now_s`` to ``dirty_pages_per_s``: the caller;
    * orders, from ``downtime_limit_s`` to ``appointment_s``: the policy writes, the caller obeys
      (``throttle`` after every call);
    * ``throttling``, what the throttle rule remembers, and ``memory``, what the policy remembers:
      the caller only sets them to zero before the migration.

When the policy is asked
    * directly after every bitmap sync, the first one included (``event`` is ``SYNCED``), when
      ``remaining_bytes`` is exact. ``round_sent_bytes`` and ``round_start_s`` still describe the
      round that this sync ends, for the first sync both are 0;
    * at the end of every rate window (``WINDOW``; QEMU: 100 ms);
    * when nothing is left to send of what the last sync marked (``EMPTY``). When the sync
      itself found nothing and the policy goes on, the caller waits for the end of the window first.

Calls with ``SYNCED`` and ``EMPTY`` must not be left out. A call with ``WINDOW`` may be when
``remaining_bytes`` is at least ``wake_remaining_bytes`` and ``now_s`` is before ``wake_time_s``,
as the last call left them: it would return CONTINUE and change nothing. What happens
between rate windows waits for the end of the window, as in QEMU. So a jumping caller goes
on to the first window end at which one of the two holds. A sender that the cap does not bind
may ask with WINDOW in mid-window too: QEMU looks at its rule every 50 ms then.

What the actions mean
    * CONTINUE: go on sending; at EMPTY: sync the bitmap, then ask again with SYNCED;
    * SYNC: sync the bitmap now, then ask again with SYNCED;
    * SWITCHOVER: stop the guest, sync, send the rest uncapped, resume at the destination;
    * POSTCOPY: stop the guest, sync, resume it at the destination, then bring what is left;
    * ABORT, TIME_OUT: the guest runs on at the source.

Strategies stand in the parameter record, so the caller needs no rule of its own: stop-copy
returns SWITCHOVER and post-copy returns POSTCOPY at the first sync, hybrid returns POSTCOPY when
its time is reached or its rounds are complete, and auto-converge and dirty-limit move the
order ``throttle``. A throttle of p slows a guest when its demand exceeds (1 - p) x capacity.

A rule of one's own
    is a function ``rule(state, parameters) -> action`` handed to :func:`decide` as its third
    argument; see :func:`migkit.scenario.policy.register_policy`. Inside it,
    :func:`under_limit` is QEMU's rule with any downtime limit.
"""

from __future__ import annotations

from collections.abc import Callable

from migkit.jit import inlined, lean
from migkit.policies.hypervisors import (
    cloud_hypervisor,
    counted_passes,
    criu_go_phaul,
    criu_phaul,
    vmware_like,
    xen,
    xen_4_5,
)
from migkit.policies.kubevirt import kubevirt, kubevirt_ramp, kubevirt_stall
from migkit.policies.managers import nova, ovirt, proxmox
from migkit.policies.qemu import ordered_by_strategy, qemu, under_limit
from migkit.policies.record import *  # noqa: F403
from migkit.policies.record import (
    CLOUD_HYPERVISOR,
    CONTINUE,
    COUNTED_PASSES,
    CRIU_GO_PHAUL,
    CRIU_PHAUL,
    HYBRID,
    KUBEVIRT,
    KUBEVIRT_RAMP,
    KUBEVIRT_STALL,
    MOST_REMEMBERED,
    MOST_THROTTLE,
    NO_THROTTLE,
    NOVA,
    OVIRT,
    PRECOPY,
    PROXMOX,
    QEMU,
    SYNC,
    TIME_OUT,
    VMWARE_LIKE,
    XEN,
    XEN_4_5,
    Parameters,
    State,
)
from migkit.policies.throttling import throttle, throttle_wake_s

__all__ = [
    "Rule",
    "clear",
    "decide",
    "decide_plain",
    "forget",
    "is_plain",
    "new_parameters",
    "new_state",
    "qemu",
    "remembered",
    "under_limit",
]

Rule = Callable[[State, Parameters], int]


def new_state() -> State:
    """Return a state record before the first reading."""
    return State.new()


def new_parameters() -> Parameters:
    """Return an empty parameter record."""
    return Parameters.new()


@inlined
def clear(state: State) -> None:
    """Set all but what the policy remembers to 0."""
    state.now_s = state.event = state.remaining_bytes = state.bandwidth_bytes_per_s = state.sent_bytes = 0.0
    state.iteration = state.dirtied_pages = state.round_sent_bytes = state.round_start_s = 0.0
    state.guest_bytes = state.storage_bytes = state.sent_pages = state.dirty_pages_per_s = 0.0
    state.downtime_limit_s = state.throttle = state.wake_remaining_bytes = 0.0
    state.wake_time_s = state.appointment_s = 0.0
    throttling = state.throttling
    throttling.evaluated_s = throttling.sent_bytes = throttling.dirtied_pages = throttling.high_periods = 0.0
    throttling.tick_s = throttling.active = throttling.sleep = throttling.adjust_s = 0.0
    throttling.ticked_iteration = throttling.early = 0.0


@lean
def forget(state: State) -> None:
    """Set what the policy remembers to 0."""
    memory = state.memory.numbers
    for i in range(MOST_REMEMBERED):
        memory[i] = 0.0


@lean
def remembered(state: State) -> float:
    """Return a sum over what the policy remembers: while it is the same, that has most likely not changed."""
    total = 0.0
    memory = state.memory.numbers
    for i in range(MOST_REMEMBERED):
        total += memory[i] * (i + 33.0)
    return total


@inlined
def decide(state: State, parameters: Parameters, rule: Rule | None = None) -> int:
    """Return the action that ``parameters`` and the policy that they name take in ``state``.

    ``rule`` takes the place of the named policy; strategy, throttle and time limit stay in force. The throttle that
    it orders is held between 0 and MOST_THROTTLE.
    """
    if state.now_s >= parameters.time_limit_s:
        return TIME_OUT
    action = CONTINUE
    if parameters.strategy != PRECOPY:
        action = ordered_by_strategy(state, parameters)
        if action != CONTINUE:
            return action
    if parameters.throttle_rule != NO_THROTTLE:
        action = throttle(state, parameters)
    if rule is not None:
        ruled = rule(state, parameters)
        if not state.throttle > 0.0:  # or it is no number
            state.throttle = 0.0
        elif state.throttle > MOST_THROTTLE:
            state.throttle = MOST_THROTTLE
    elif parameters.policy == QEMU:
        ruled = qemu(state, parameters)
    else:
        ruled = _named(state, parameters)
    wake_s = min(state.wake_time_s, parameters.time_limit_s)
    if parameters.strategy == HYBRID and parameters.postcopy_after_s > 0.0:
        wake_s = min(wake_s, parameters.postcopy_after_s)
    state.appointment_s = wake_s
    if parameters.throttle_rule != NO_THROTTLE:
        wake_s = min(wake_s, throttle_wake_s(state, parameters))
    state.wake_time_s = wake_s
    return SYNC if ruled == CONTINUE and action == SYNC else ruled


@inlined
def is_plain(parameters: Parameters, rule: Rule | None = None) -> bool:
    """Return whether QEMU's rule decides alone, but for the time limit; then :func:`decide_plain` may be asked."""
    named = rule is None and parameters.policy == QEMU
    return bool(named and parameters.strategy == PRECOPY and parameters.throttle_rule == NO_THROTTLE)


@inlined
def decide_plain(state: State, parameters: Parameters) -> int:
    """Return what :func:`decide` does of a plain policy; it reads time, event, remainder and bandwidth alone."""
    if state.now_s >= parameters.time_limit_s:
        return TIME_OUT
    action: int = qemu(state, parameters)
    state.wake_time_s = state.appointment_s = parameters.time_limit_s
    return action


@lean
def _named(state: State, parameters: Parameters) -> int:
    """Return what the named policy other than plain QEMU does."""
    policy = parameters.policy
    if policy <= OVIRT:
        return _named_manager(state, parameters)
    if policy == PROXMOX:
        return proxmox(state, parameters)
    if policy == XEN:
        return xen(state, parameters)
    if policy == XEN_4_5:
        return xen_4_5(state, parameters)
    if policy == CLOUD_HYPERVISOR:
        return cloud_hypervisor(state, parameters)
    if policy == CRIU_PHAUL:
        return criu_phaul(state, parameters)
    if policy == CRIU_GO_PHAUL:
        return criu_go_phaul(state, parameters)
    if policy == VMWARE_LIKE:
        return vmware_like(state, parameters)
    if policy == COUNTED_PASSES:
        return counted_passes(state, parameters)
    return qemu(state, parameters)


@lean
def _named_manager(state: State, parameters: Parameters) -> int:
    policy = parameters.policy
    if policy == NOVA:
        return nova(state, parameters)
    if policy == KUBEVIRT:
        return kubevirt(state, parameters)
    if policy == KUBEVIRT_RAMP:
        return kubevirt_ramp(state, parameters)
    if policy == KUBEVIRT_STALL:
        return kubevirt_stall(state, parameters)
    return ovirt(state, parameters)
