"""What the source notes of a migration, and tells its owner as it happens."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from migkit.harness.guests.attached import Attached
from migkit.harness.linux.channel import Channel
from migkit.units import PAGE_BYTES

__all__ = ["USAGE", "Recorder", "usage"]

USAGE: Final = (  # in each sample, beside the columns of a trace; the owner adds those of the destination
    "source_cpu_s",
    "source_memory_bytes",
    "guest_cpu_s",
    "destination_cpu_s",
    "destination_memory_bytes",
)


def usage() -> dict[str, float]:
    """Return what this process has used so far: processor time in user and system mode [s], most memory [B]."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"user_s": used.ru_utime, "system_s": used.ru_stime, "memory_bytes": used.ru_maxrss * 1024}


def _resident_bytes() -> int:
    """Return the memory that this process holds now, the guest's as far as it is mapped and touched here included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class _Progress(Protocol):
    remaining: int
    sent: np.ndarray


class Recorder:
    """Builds the rows of a trace.

    Attributes
    ----------
    iteration
        Bitmap syncs so far.
    round_start_s, round_first_byte
        When the last sync was, since the request [s], and the bytes sent before it.
    """

    def __init__(self, owner: Channel, guest: Attached, start_ns: int) -> None:
        self._owner = owner
        self._guest = guest
        self._start_ns = start_ns
        self._dirtied = 0
        self._round: dict[str, Any] | None = None
        self.iteration = 0
        self.round_start_s = 0.0
        self.round_first_byte = 0

    def sample(self, phase: str, sent_bytes: int, remaining_bytes: int) -> None:
        """Note the state of the migration now; an owner that does not listen misses it, and holds nobody up."""
        row = {
            "monotonic_ns": time.monotonic_ns(),
            "phase": phase,
            "iteration": self.iteration,
            "sent_bytes": sent_bytes,
            "remaining_bytes": remaining_bytes,
            "dirtied_pages": self._dirtied,
            "guest_operations": self._guest.operations,
            "source_cpu_s": time.process_time(),
            "source_memory_bytes": _resident_bytes(),
            "guest_cpu_s": self._guest.cpu_s(),
        }
        self._owner.offer({"sample": row})

    def begin_round(self, start_s: float, sync_s: float, marked: int, pages: _Progress, sent_bytes: int) -> None:
        """A sync marked pages: the last round is over, the next begins."""
        self.end_round(start_s, pages, sent_bytes)
        if self.iteration:
            self._dirtied += marked
            self.round_first_byte = sent_bytes
        self.iteration += 1
        self.round_start_s = start_s
        self._sent_before = pages.sent.copy()
        self._running_before_s = self._guest.running_s
        self._round = {
            "iteration": self.iteration,
            "start_s": start_s,
            "sync_s": sync_s,
            "marked_pages": marked,
            "remaining_bytes": pages.remaining * PAGE_BYTES,
        }

    def end_round(self, end_s: float, pages: _Progress, sent_bytes: int) -> None:
        """Tell the owner about the round that is over, if any."""
        if self._round is None:
            return
        full, zero = (pages.sent - self._sent_before).tolist()
        self._round |= {
            "duration_s": end_s - self.round_start_s,
            "guest_running_s": self._guest.running_s - self._running_before_s,
            "normal_pages": full,
            "zero_pages": zero,
            "sent_bytes": sent_bytes - self.round_first_byte,
        }
        self._owner.send({"round": self._round})
        self._round = None
