"""Decision functions: when a migration continues, syncs, switches over, throttles or gives up.

The simulator and the page-copy harness call the *same* functions over the same state
record, a 1-D float64 array whose slots are the constants below. The caller writes the
readings, calls :func:`decide`, and obeys the action returned and the orders that the
policy wrote. The policy owns the slots from ``MEMORY`` on: it may keep there what it
must remember; the caller only sets them to zero before the migration.

When the policy is asked
    * at the end of every rate window (``EVENT = WINDOW``; QEMU: 100 ms),
    * when nothing is left to send of what the last sync marked (``EVENT = EMPTY``),
    * directly after a bitmap sync (``EVENT = SYNCED``), when ``REMAINING_BYTES`` is exact.

A caller may leave out calls that cannot matter: those in which ``REMAINING_BYTES`` is at
least ``WAKE_REMAINING_BYTES`` and ``NOW_S`` is before ``WAKE_TIME_S``, as the last call
left them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.kernels._jit import jit

__all__ = ["decide", "new_parameters", "new_state"]

# Readings: written by the caller before each call.
NOW_S: Final = 0  # since the request [s]
EVENT: Final = 1  # WINDOW, EMPTY or SYNCED
REMAINING_BYTES: Final = 2  # page bytes still to send: as of the last sync, less what was sent since
BANDWIDTH: Final = 3  # bytes sent in the last complete window / its length [B/s]; 0 before the first
SENT_BYTES: Final = 4  # on the wire since the request
ITERATION: Final = 5  # bitmap syncs since the request, the first one included
DIRTIED_PAGES: Final = 6  # pages marked by the last sync
ROUND_SENT_BYTES: Final = 7  # on the wire since the last sync
ROUND_START_S: Final = 8  # when the last sync was [s]
GUEST_BYTES: Final = 9  # RAM of the guest

# Orders: written by the policy, obeyed by the caller.
DOWNTIME_LIMIT_S: Final = 16  # in force now [s]
THROTTLE: Final = 17  # share of its time for which the guest must sleep, 0 to 0.99
WAKE_REMAINING_BYTES: Final = 18  # ask again when less than this remains ...
WAKE_TIME_S: Final = 19  # ... or when this time is reached [s]

MEMORY: Final = 32
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

# Parameters: one record for all policies.
POLICY: Final = 0
LIMIT_S: Final = 1  # downtime limit at the start [s]
TIME_LIMIT_S: Final = 2
PARAMETER_SLOTS: Final = 32

QEMU: Final = 0


def new_state() -> np.ndarray:
    """Return a state record before the first reading."""
    return np.zeros(STATE_SLOTS)


def new_parameters() -> np.ndarray:
    """Return an empty parameter record."""
    return np.zeros(PARAMETER_SLOTS)


@jit
def decide(state: np.ndarray, parameters: np.ndarray) -> int:
    """Return the action that the policy named in ``parameters`` takes in ``state``."""
    if state[NOW_S] >= parameters[TIME_LIMIT_S]:
        return TIME_OUT
    return qemu(state, parameters)


@jit
def qemu(state: np.ndarray, parameters: np.ndarray) -> int:
    """QEMU's rule (migration.c, 7.2 to 10.0).

    With ``threshold = measured bandwidth x downtime limit``: when the estimate of what
    remains falls under the threshold, sync the bitmap and look again; when the exact
    value is under it too, or nothing remains, switch over. Before the first window is
    complete the threshold is 0.
    """
    limit_s = parameters[LIMIT_S]
    threshold_bytes = state[BANDWIDTH] * limit_s
    remaining_bytes = state[REMAINING_BYTES]
    state[DOWNTIME_LIMIT_S] = limit_s
    state[WAKE_REMAINING_BYTES] = threshold_bytes
    state[WAKE_TIME_S] = parameters[TIME_LIMIT_S]
    if remaining_bytes > 0 and remaining_bytes >= threshold_bytes:
        return CONTINUE
    return SWITCHOVER if state[EVENT] == SYNCED else SYNC
