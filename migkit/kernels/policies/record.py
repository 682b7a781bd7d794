"""The state record and the parameter record of a decision: slots, events, actions.

See :mod:`migkit.kernels.policy` for who writes and reads them, and when.
"""

from __future__ import annotations

from typing import Final

# Readings: written by the caller before each call.
NOW_S: Final = 0  # since the request [s]
EVENT: Final = 1  # WINDOW, EMPTY or SYNCED
REMAINING_BYTES: Final = 2  # page bytes still to send: as of the last sync, less what was sent since
BANDWIDTH: Final = 3  # bytes sent in the last complete window / its length [B/s]; 0 before the first
SENT_BYTES: Final = 4  # on the wire since the request
ITERATION: Final = 5  # bitmap syncs since the request, the first one included
DIRTIED_PAGES: Final = 6  # pages marked by the last sync; the first sync marks the whole guest
ROUND_SENT_BYTES: Final = 7  # on the wire since the last sync
ROUND_START_S: Final = 8  # when the last sync was [s]
GUEST_BYTES: Final = 9  # RAM of the guest
STORAGE_BYTES: Final = 10  # storage that is copied along [B]
SENT_PAGES: Final = 11  # since the request, zero pages included
DIRTY_RATE: Final = 12  # distinct pages written in the last second [pages/s]; only dirty-limit reads it

# Orders: written by the policy, obeyed by the caller.
DOWNTIME_LIMIT_S: Final = 16  # in force now [s]
THROTTLE: Final = 17  # share of its time for which the guest must sleep, 0 to 0.99
WAKE_REMAINING_BYTES: Final = 18  # ask again when less than this remains ...
WAKE_TIME_S: Final = 19  # ... or when this time is reached [s]

THROTTLE_MEMORY: Final = 24  # to 31: what the throttle rule remembers
MEMORY: Final = 32  # to 63: what the policy remembers
STATE_SLOTS: Final = 64

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

# Parameters: one record for all policies. A slot left at 0 is off.
POLICY: Final = 0  # which rule, see below
LIMIT_S: Final = 1  # downtime limit: at the start, or the most that a manager raises it to [s]
TIME_LIMIT_S: Final = 2
STRATEGY: Final = 3  # PRECOPY, STOPCOPY, POSTCOPY_ONLY or HYBRID
POSTCOPY_AFTER_S: Final = 4  # hybrid: post-copy when this time is reached [s] ...
POSTCOPY_AFTER_ROUNDS: Final = 5  # ... or when this many rounds are complete; 0: no such rule
THROTTLE_RULE: Final = 6  # NO_THROTTLE, AUTO_CONVERGE or DIRTY_LIMIT
THROTTLE_TRIGGER: Final = 7  # dirtied bytes / sent bytes that count against the guest (QEMU: 0.5)
THROTTLE_INITIAL: Final = 8  # first throttle (QEMU: 0.2)
THROTTLE_INCREMENT: Final = 9  # later steps (QEMU: 0.1)
THROTTLE_MAX: Final = 10  # (QEMU: 0.99)
THROTTLE_TAILSLOW: Final = 11  # 1: no larger step than the last period asks for
THROTTLE_SYNC_S: Final = 12  # while throttled, sync at least this often [s] (QEMU from 9.2: 5)
DIRTY_LIMIT_RATE: Final = 13  # dirty-limit's quota [pages/s]
SWITCHOVER_BANDWIDTH: Final = 14  # QEMU's avail-switchover-bandwidth [B/s]; 0: as measured
SETTINGS: Final = 16  # to 31: the policy's own, in the order that its function documents
PARAMETER_SLOTS: Final = 32

# Strategies
PRECOPY: Final = 0
STOPCOPY: Final = 1
POSTCOPY_ONLY: Final = 2
HYBRID: Final = 3

# Throttle rules
NO_THROTTLE: Final = 0
AUTO_CONVERGE: Final = 1
DIRTY_LIMIT: Final = 2

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
HYPERV_LIKE: Final = 13
REGISTERED: Final = 64  # a rule that came with the call

PAGE_BYTES: Final = 4096.0
GIB: Final = 1073741824.0
