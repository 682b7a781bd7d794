"""The records of a decision: what a policy reads, orders, remembers, and its parameters; events, actions.

See :mod:`migkit.policies.decision` for who writes and reads them, and when.
"""

from __future__ import annotations

from typing import Final

from migkit.records import Record, numbers, several


class ThrottleMemory(Record):
    """What the throttle rule remembers."""

    evaluated_s: float  # when it last looked at what was dirtied
    sent_bytes: float  # sent by then
    dirtied_pages: float  # marked since then
    high_periods: float  # periods that count against the guest; a good one does not reset them
    early: float  # syncs that were too early to look, less those that were taken for so
    tick_s: float  # the next tick of the timer that syncs
    active: float  # dirty-limit: 1 once it was triggered
    sleep: float  # dirty-limit: sleep of a virtual processor, in times that fill its dirty ring
    adjust_s: float  # dirty-limit: when that changes next
    ticked_iteration: float  # auto-converge: the iteration that the last tick found


class ManagerMemory(Record):
    """What oVirt and Proxmox remember."""

    poll_s: float  # when they look at the migration next
    limit_s: float  # downtime limit in force; 0: not set yet
    remaining_bytes: float  # what remained at the last poll
    sent_bytes: float  # Proxmox: sent by the last poll
    stalled_polls: float  # Proxmox: polls without progress
    polls: float  # Proxmox: polls so far
    interval_s: float  # Proxmox: time between two polls
    actions: float  # oVirt: actions taken
    first_iteration: float  # oVirt: the iteration that the first poll found
    last_iteration: float  # oVirt: the iteration that the last poll found


class Candidate(Record):
    """What remained at a bitmap sync that left less than all before it."""

    time_s: float
    remaining_bytes: float


class Remainders(Record, union=True):
    """Up to the stall the candidates in their order; from then on what remained, sorted."""

    candidates: several(Candidate, 9)  # type: ignore[valid-type]
    sorted_bytes: numbers(18)  # type: ignore[valid-type]


class KubevirtMemory(Record):
    """What KubeVirt's rules remember."""

    stuck_s: float  # since when nothing moves; 0: it does
    limit_s: float  # downtime limit in force; 0: the monitor has not set one yet
    change_s: float  # ramp: the poll that may change the limit next
    poll_s: float  # stall: the next poll
    bandwidth_bytes_per_s: float  # stall: smoothed; 0: no sample yet
    left_bytes: float  # stall: what remained at the last sync
    minimum_bytes: float  # stall: least remainder at syncs older than the window; 0: none yet
    stalled: float  # stall: 1 once it is
    best_bytes: float  # stall: the remainder that is worth a try
    patience_s: float  # stall: how long the best is held
    deadline_s: float  # stall: until when
    tries_until_s: float  # stall: end of the last try; 0: it has not begun
    count: float  # stall: how many remainders follow
    remainders: Remainders


class PassMemory(Record):
    """What the rules remember that look at the ends of passes."""

    is_last: float  # Xen: 1: this pass is the last one
    pages: float  # P.Haul: pages of the pass before
    sent_bytes: float  # VMware: sent when the round began
    sync_s: float  # Cloud Hypervisor: how long a sync takes
    empty_s: float  # Cloud Hypervisor: when the round ended that the next sync follows
    bandwidth_bytes_per_s: float  # Cloud Hypervisor: bandwidth of that round
    passes: float  # counted so far


class Memory(Record, union=True):
    """What the policy remembers; 32 numbers, which each policy reads under its own names."""

    manager: ManagerMemory
    kubevirt: KubevirtMemory
    passes: PassMemory
    numbers: numbers(32)  # type: ignore[valid-type]


class State(Record):
    """What a policy reads, orders and remembers."""

    # Readings: written by the caller before each call.
    now_s: float  # since the request
    event: float  # WINDOW, EMPTY or SYNCED
    remaining_bytes: float  # page bytes still to send: as of the last sync, less what was sent since
    bandwidth_bytes_per_s: float  # bytes sent in the last complete window / its length; 0 before the first
    sent_bytes: float  # on the wire since the request
    iteration: float  # bitmap syncs since the request, the first one included
    dirtied_pages: float  # pages marked by the last sync; the first sync marks the whole guest
    round_sent_bytes: float  # on the wire since the last sync
    round_start_s: float  # when the last sync was
    guest_bytes: float  # RAM of the guest
    storage_bytes: float  # storage that is copied along
    sent_pages: float  # since the request, zero pages included
    dirty_pages_per_s: float  # distinct pages written in the last second; only dirty-limit reads it

    # Orders: written by the policy, obeyed by the caller.
    downtime_limit_s: float  # in force now
    throttle: float  # share of its time for which the guest must sleep, 0 to 0.99
    wake_remaining_bytes: float  # ask again when less than this remains ...
    wake_time_s: float  # ... or when this time is reached
    appointment_s: float  # as wake_time_s, but for what the throttle waits for

    throttling: ThrottleMemory
    memory: Memory


class NovaSettings(Record):
    """Settings of Nova."""

    steps: float  # of the downtime limit
    delay_s_per_gib: float  # between two steps
    completion_timeout_s_per_gib: float  # 0: none
    force_complete: float  # 1: force the end at the timeout rather than abort
    allow_postcopy: float  # 1: by post-copy
    poll_s: float


class OvirtSettings(Record):
    """Settings of oVirt's legacy schedule."""

    steps: float  # of the downtime limit
    patience_iterations: float  # iterations after the last step
    poll_s: float


class ProxmoxSettings(Record):
    """Settings of Proxmox VE."""

    poll_s: float
    short_poll_s: float  # once little remains
    patience_polls: float  # polls without progress after which the limit is doubled
    secure: float  # 1: pages go through an ssh tunnel; the path reads it, not the rule


class KubevirtSettings(Record):
    """Settings of KubeVirt's three rules."""

    completion_s_per_gib: float  # time budget; 0: none
    count_started_gb: float  # 1: the budget counts started 10^9 bytes
    progress_timeout_s: float  # 0: none
    stall_window_s: float  # stall: its window W
    allow_disruption: float  # 1: the guest may be disrupted to finish
    allow_postcopy: float  # 1: post-copy is permitted, and so is disruption
    poll_s: float
    ramp_start_s: float  # ramp: first limit
    ramp_steps: float
    ramp_wait_s: float  # ramp: between two changes
    ramp_iteration: float  # ramp: no change before it
    stall_margin: float  # stall: m
    possible_factor: float  # stall: implied downtime / limit that is still worth a try
    patience_decay: float  # stall: factor of the patience
    completion_factor: float  # stall: budgets within which an implied downtime must end
    switchover_timeout_s: float  # stall: how long the last try lasts
    bandwidth_smoothing: float  # stall: weight of the newest sample


class XenSettings(Record):
    """Settings of Xen."""

    passes: float  # the most while the guest runs
    dirty_pages: float  # a pass of fewer is the last one
    factor: float  # up to 4.5: sent / guest memory beyond which it stops


class CloudHypervisorSettings(Record):
    """Settings of Cloud Hypervisor."""

    timeout_s: float  # of pre-copy
    stop_at_timeout: float  # 1: stop the guest then rather than give up


class PhaulSettings(Record):
    """Settings of P.Haul and go-criu's phaul."""

    passes: float
    few_pages: float
    growth_percent: float  # P.Haul
    growth_pages: float  # go-criu


class VmwareSettings(Record):
    """Settings of the VMware-like rule."""

    headroom: float  # dirtying that is allowed / what the link sends


class CountedSettings(Record):
    """Settings of the rule that counts passes: Hyper-V's, and Cloud Hypervisor's up to 51."""

    passes: float  # the most while the guest runs, that of all memory included


class Settings(Record, union=True):
    """The policy's own settings, which each policy reads under its own names."""

    nova: NovaSettings
    ovirt: OvirtSettings
    proxmox: ProxmoxSettings
    kubevirt: KubevirtSettings
    xen: XenSettings
    cloud_hypervisor: CloudHypervisorSettings
    phaul: PhaulSettings
    vmware: VmwareSettings
    counted: CountedSettings


class Parameters(Record):
    """What a policy is told once: one record for all policies. A field left at 0 is off."""

    policy: float  # which rule, see below
    downtime_limit_s: float  # at the start, or the most that a manager raises it to
    time_limit_s: float
    strategy: float  # PRECOPY, STOPCOPY, POSTCOPY_ONLY or HYBRID
    postcopy_after_s: float  # hybrid: post-copy when this time is reached ...
    postcopy_after_rounds: float  # ... or when this many rounds are complete; 0: no such rule
    throttle_rule: float  # NO_THROTTLE, AUTO_CONVERGE or DIRTY_LIMIT
    throttle_trigger: float  # dirtied bytes / sent bytes that count against the guest (QEMU: 0.5)
    throttle_initial: float  # first throttle (QEMU: 0.2)
    throttle_increment: float  # later steps (QEMU: 0.1)
    throttle_max: float  # (QEMU: 0.99)
    throttle_tailslow: float  # 1: no larger step than the last period asks for
    throttle_sync_s: float  # while throttled, sync at least this often (QEMU from 9.2: 5)
    dirty_limit_pages_per_s: float  # dirty-limit's quota
    switchover_bandwidth_bytes_per_s: float  # QEMU's avail-switchover-bandwidth; 0: as measured
    sync_at_threshold: float  # 1: sync also when the rest equals the threshold, be it 0 (QEMU from 11.1)
    settings: Settings


MOST_SETTINGS: Final = 16  # of a policy of one's own
MOST_REMEMBERED: Final = 32  # numbers that it may remember

# Events
WINDOW: Final = 0
EMPTY: Final = 1
SYNCED: Final = 2

# Actions
CONTINUE: Final = 0  # go on sending; at EMPTY: sync, then ask again
SYNC: Final = 1  # sync the bitmap now, then ask again
SWITCHOVER: Final = 2  # stop the guest, sync, send the rest, resume it at the destination
POSTCOPY: Final = 3  # stop the guest, resume it at the destination, then bring what is left
ABORT: Final = 4  # give up; the guest runs on at the source (verdict: aborted)
TIME_OUT: Final = 5  # give up since the time limit is reached (verdict: timed_out)

# Strategies
PRECOPY: Final = 0
STOPCOPY: Final = 1
POSTCOPY_ONLY: Final = 2
HYBRID: Final = 3

# Throttle rules
NO_THROTTLE: Final = 0
AUTO_CONVERGE: Final = 1
DIRTY_LIMIT: Final = 2

MOST_THROTTLE: Final = 0.99  # a guest always runs for a hundredth of its time

# Policies
QEMU: Final = 0
NOVA: Final = 1
KUBEVIRT: Final = 2
KUBEVIRT_RAMP: Final = 3
KUBEVIRT_STALL: Final = 4
OVIRT: Final = 5
PROXMOX: Final = 6
XEN: Final = 7
XEN_4_5: Final = 8
CLOUD_HYPERVISOR: Final = 9
CRIU_PHAUL: Final = 10
CRIU_GO_PHAUL: Final = 11
VMWARE_LIKE: Final = 12
COUNTED_PASSES: Final = 13
REGISTERED: Final = 64  # a rule that came with the call

PAGE_BYTES: Final = 4096.0
GIB: Final = 1073741824.0
