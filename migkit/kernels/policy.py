"""Decision functions: when a migration continues, syncs, switches over, throttles or gives up.

The simulators and the page-copy harness call the *same* functions over the same state
record, a 1-D float64 array whose slots are the constants of
:mod:`migkit.kernels.policies.record` (all importable from here). The caller writes the
readings, calls :func:`decide`, and obeys the action returned and the orders that the
policy wrote.

Who owns which slots
    * 0 to 15, readings: the caller;
    * 16 to 23, orders: the policy writes, the caller obeys (THROTTLE after every call);
    * 24 to 31, what the throttle rule remembers; 32 to 63, what the policy remembers. The
      caller only sets them to zero before the migration.

When the policy is asked
    * directly after every bitmap sync, the first one included (``EVENT = SYNCED``), when
      ``REMAINING_BYTES`` is exact. ``ROUND_SENT_BYTES`` and ``ROUND_START_S`` still describe the
      round that this sync ends, for the first sync both are 0;
    * at the end of every rate window (``EVENT = WINDOW``; QEMU: 100 ms);
    * when nothing is left to send of what the last sync marked (``EVENT = EMPTY``). When the sync
      itself found nothing and the policy goes on, the caller waits for the end of the window first.

Calls with ``SYNCED`` and ``EMPTY`` must not be left out. A call with ``WINDOW`` may be when
``REMAINING_BYTES`` is at least ``WAKE_REMAINING_BYTES`` and ``NOW_S`` is before ``WAKE_TIME_S``,
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
order THROTTLE. A throttle of p slows a guest when its demand exceeds (1 - p) x capacity.

A rule of one's own
    is a function ``rule(state, parameters) -> action`` handed to :func:`decide` as its third
    argument; see :func:`migkit.scenario.policy.register_policy`. Inside it,
    :func:`under_limit` is QEMU's rule with any downtime limit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from migkit.kernels._jit import inlined, lean
from migkit.kernels.policies.hypervisors import (
    cloud_hypervisor,
    criu_go_phaul,
    criu_phaul,
    hyperv_like,
    vmware_like,
    xen,
    xen_4_5,
)
from migkit.kernels.policies.kubevirt import kubevirt, kubevirt_ramp, kubevirt_stall
from migkit.kernels.policies.managers import nova, ovirt, proxmox
from migkit.kernels.policies.qemu import ordered_by_strategy, qemu, under_limit
from migkit.kernels.policies.record import *  # noqa: F403
from migkit.kernels.policies.record import (
    CLOUD_HYPERVISOR,
    CONTINUE,
    CRIU_GO_PHAUL,
    CRIU_PHAUL,
    HYBRID,
    HYPERV_LIKE,
    KUBEVIRT,
    KUBEVIRT_RAMP,
    KUBEVIRT_STALL,
    NO_THROTTLE,
    NOVA,
    NOW_S,
    OVIRT,
    PARAMETER_SLOTS,
    POLICY,
    POSTCOPY_AFTER_S,
    PRECOPY,
    PROXMOX,
    QEMU,
    STATE_SLOTS,
    STRATEGY,
    SYNC,
    THROTTLE_RULE,
    TIME_LIMIT_S,
    TIME_OUT,
    VMWARE_LIKE,
    WAKE_TIME_S,
    XEN,
    XEN_4_5,
)
from migkit.kernels.policies.throttle import throttle, throttle_wake_s

__all__ = ["Rule", "decide", "decide_plain", "is_plain", "new_parameters", "new_state", "qemu", "under_limit"]

Rule = Callable[[np.ndarray, np.ndarray], int]


def new_state() -> np.ndarray:
    """Return a state record before the first reading."""
    return np.zeros(STATE_SLOTS)


def new_parameters() -> np.ndarray:
    """Return an empty parameter record."""
    return np.zeros(PARAMETER_SLOTS)


@inlined
def decide(state: np.ndarray, parameters: np.ndarray, rule: Rule | None = None) -> int:
    """Return the action that ``parameters`` and the policy that they name take in ``state``.

    ``rule`` takes the place of the named policy; strategy, throttle and time limit stay in force.
    """
    if state[NOW_S] >= parameters[TIME_LIMIT_S]:
        return TIME_OUT
    action = CONTINUE
    if parameters[STRATEGY] != PRECOPY:
        action = ordered_by_strategy(state, parameters)
        if action != CONTINUE:
            return action
    if parameters[THROTTLE_RULE] != NO_THROTTLE:
        action = throttle(state, parameters)
    if rule is not None:
        ruled = rule(state, parameters)
    elif parameters[POLICY] == QEMU:
        ruled = qemu(state, parameters)
    else:
        ruled = _named(state, parameters)
    wake_s = min(state[WAKE_TIME_S], parameters[TIME_LIMIT_S])
    if parameters[STRATEGY] == HYBRID and parameters[POSTCOPY_AFTER_S] > 0.0:
        wake_s = min(wake_s, parameters[POSTCOPY_AFTER_S])
    if parameters[THROTTLE_RULE] != NO_THROTTLE:
        wake_s = min(wake_s, throttle_wake_s(state, parameters))
    state[WAKE_TIME_S] = wake_s
    return SYNC if ruled == CONTINUE and action == SYNC else ruled


@inlined
def is_plain(parameters: np.ndarray, rule: Rule | None = None) -> bool:
    """Return whether QEMU's rule decides alone, but for the time limit; then :func:`decide_plain` may be asked."""
    named = rule is None and parameters[POLICY] == QEMU
    return bool(named and parameters[STRATEGY] == PRECOPY and parameters[THROTTLE_RULE] == NO_THROTTLE)


@inlined
def decide_plain(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what :func:`decide` does of a plain policy, from NOW_S, EVENT, REMAINING_BYTES and BANDWIDTH alone."""
    if state[NOW_S] >= parameters[TIME_LIMIT_S]:
        return TIME_OUT
    action: int = qemu(state, parameters)
    state[WAKE_TIME_S] = parameters[TIME_LIMIT_S]
    return action


@lean
def _named(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return what the named policy other than plain QEMU does."""
    policy = parameters[POLICY]
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
    if policy == HYPERV_LIKE:
        return hyperv_like(state, parameters)
    return qemu(state, parameters)


@lean
def _named_manager(state: np.ndarray, parameters: np.ndarray) -> int:
    policy = parameters[POLICY]
    if policy == NOVA:
        return nova(state, parameters)
    if policy == KUBEVIRT:
        return kubevirt(state, parameters)
    if policy == KUBEVIRT_RAMP:
        return kubevirt_ramp(state, parameters)
    if policy == KUBEVIRT_STALL:
        return kubevirt_stall(state, parameters)
    return ovirt(state, parameters)
