"""From the answers of ``query-migrate`` and the events of QEMU to the samples and rounds of a trace.

Pages that a sync marked = growth of ``remaining`` / 4096 + growth of ``normal``, ``duplicate`` and pages sent as
differences, over the two answers on either side of it: exact however rarely the source is asked.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PHASES", "READINGS", "Recorder", "Sample"]

PHASES: Final[Mapping[str, str]] = {
    "none": "setup",
    "setup": "setup",
    "wait-unplug": "setup",
    "active": "precopy",
    "pre-switchover": "stopcopy",
    "device": "stopcopy",
    "postcopy-active": "postcopy",
    "postcopy-device": "postcopy",
    "postcopy-paused": "postcopy",
    "postcopy-recover-setup": "postcopy",
    "postcopy-recover": "postcopy",
    "completed": "done",
    "cancelling": "done",
    "cancelled": "done",
    "failed": "done",
}
READINGS: Final = ("cpu-throttle-percentage", "expected-downtime", "ram.dirty-pages-rate", "ram.mbps")
"""Further fields that a trace keeps as they were read, by sample, in ``machine["readings"]``; None: not said."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer of ``query-migrate``.

    Attributes
    ----------
    time_ns
        When it came, on the monotonic clock [ns].
    answer
        As QEMU gave it.
    writes
        Page writes that the guest has done; -1: not known.
    """

    time_ns: int
    answer: Mapping[str, Any]
    writes: int = -1

    @property
    def iteration(self) -> int:
        """Bitmap syncs so far."""
        return int(self.ram("dirty-sync-count"))

    @property
    def phase(self) -> str:
        """In the words of a trace."""
        return PHASES.get(self.answer.get("status", "none"), "setup")

    def ram(self, name: str) -> int:
        """Return a counter of memory; 0 as long as QEMU does not give it."""
        return int(self.answer.get("ram", {}).get(name, 0))

    @property
    def full_pages(self) -> int:
        """Pages sent in full or as differences."""
        return self.ram("normal") + int(self.answer.get("xbzrle-cache", {}).get("pages", 0))


class Recorder:
    """Gathers answers and the times of bitmap syncs, and makes the tables of a trace of them.

    Parameters
    ----------
    memory_bytes
        Of the guest [B].
    start_ns
        When the migration was asked for, on the monotonic clock [ns].
    writes
        Page writes that the guest had done by then.
    """

    def __init__(self, memory_bytes: int, start_ns: int, writes: int) -> None:
        self._all = {"remaining": memory_bytes}  # what remains until QEMU says so
        self.start_ns = start_ns
        self.samples = [Sample(time_ns=start_ns, answer={"status": "setup", "ram": self._all}, writes=writes)]
        self._events_ns: dict[int, int] = {}  # of syncs by their number, from 1
        self._counts: dict[str, np.ndarray] = {}
        self._syncs_ns: tuple[tuple[int, int], list[int]] = ((0, 0), [])  # as of so many samples and events

    def note(self, sample: Sample) -> Sample:
        """Keep an answer and return it; until QEMU counts memory, all of it remains."""
        if "ram" not in sample.answer:
            sample = dataclasses.replace(sample, answer={**sample.answer, "ram": self._all})
        self.samples.append(sample)
        return sample

    def sync(self, number: int, time_ns: int) -> None:
        """Note when a bitmap sync was, numbered from 1."""
        self._events_ns[number] = time_ns

    @property
    def syncs_ns(self) -> list[int]:
        """When each bitmap sync was [ns].

        QEMU 11.1 sends no event of the first; then it was when an answer knew of it first.
        """
        known = len(self.samples), len(self._events_ns)
        if self._syncs_ns[0] != known:
            self._syncs_ns = known, self._timed_syncs()
        return self._syncs_ns[1]

    def _timed_syncs(self) -> list[int]:
        counts = self._growing("dirty-sync-count")
        found = [self.start_ns]
        for number in range(1, max([int(counts[-1]), *self._events_ns]) + 1):
            told = self.samples[min(int(np.searchsorted(counts, number)), len(self.samples) - 1)]
            found.append(max(found[-1], self._events_ns.get(number, told.time_ns)))
        return found[1:]

    def row(self, sample: Sample) -> dict[str, Any]:
        """Return a sample as progress for a person."""
        return {
            "monotonic_ns": sample.time_ns,
            "phase": sample.phase,
            "iteration": sample.iteration,
            "sent_bytes": sample.ram("transferred"),
            "remaining_bytes": sample.ram("remaining"),
        }

    @property
    def transferred_bytes(self) -> int:
        """Bytes on the wire, all told."""
        return int(self._growing("transferred")[-1])

    def samples_table(self) -> pa.Table:
        """Return the samples of the trace."""
        marked = self._marked()
        dirtied = [0, *np.cumsum(marked[1:]).tolist()]
        data = {
            "monotonic_ns": [sample.time_ns for sample in self.samples],
            "phase": [sample.phase for sample in self.samples],
            "iteration": self._growing("dirty-sync-count").tolist(),
            "sent_bytes": self._growing("transferred").tolist(),
            "remaining_bytes": [sample.ram("remaining") for sample in self.samples],
            "dirtied_pages": [dirtied[max(0, self._syncs_before(at) - 1)] for at in range(len(self.samples))],
            "guest_operations": [sample.writes for sample in self.samples],
        }
        return make_table(SAMPLE_COLUMNS, data)

    def rounds_table(self, end_ns: int, stopped_ns: tuple[int, int]) -> pa.Table:
        """Return the rounds of the trace.

        Parameters
        ----------
        end_ns
            When the migration ended [ns].
        stopped_ns
            From when to when the guest stood still [ns].
        """
        starts = np.array(self.syncs_ns, float)
        ends = np.array([*self.syncs_ns[1:], max([end_ns, *self.syncs_ns[-1:]])], float)
        running = [_running_s(start, end, stopped_ns) for start, end in zip(starts, ends, strict=True)]
        data = {
            "iteration": list(range(1, len(starts) + 1)),
            "start_s": (1e-9 * (starts - self.start_ns)).tolist(),
            "duration_s": (1e-9 * (ends - starts)).tolist(),
            "sync_s": [0.0] * len(starts),  # QEMU does not tell
            "guest_running_s": running,
            "marked_pages": self._marked(),
            "normal_pages": self._by_round(self._full_pages()),
            "zero_pages": self._zeros_by_round(),
            "sent_bytes": self._by_round(self._growing("transferred")),
            "remaining_bytes": [self._left(at) for at in range(len(starts))],
        }
        return make_table(ROUND_COLUMNS, data)

    def readings(self) -> dict[str, list[Any]]:
        """Return further fields as they were read, by sample."""
        return {name: [_field(sample.answer, name) for sample in self.samples] for name in READINGS}

    def left_at_last_sync_before(self, time_ns: int) -> int:
        """Return the page bytes that the last sync before a moment left [B]."""
        at = bisect.bisect_left(self.syncs_ns, time_ns) - 1
        return self._left(at) if at >= 0 else self.samples[0].ram("remaining")

    def _cumulative(self, name: str, count: Callable[[Sample], int]) -> np.ndarray:
        """Return a count by sample, which never falls; it is made anew only when samples have come."""
        known = self._counts.get(name)
        if known is None or known.size < len(self.samples):
            known = np.maximum.accumulate(np.array([count(sample) for sample in self.samples], np.int64))
            self._counts[name] = known
        return known

    def _growing(self, name: str) -> np.ndarray:
        return self._cumulative(name, lambda sample: sample.ram(name))

    def _full_pages(self) -> np.ndarray:
        return self._cumulative("full pages", lambda sample: sample.full_pages)

    def _at(self, values: np.ndarray, time_ns: float) -> int:
        return round(float(np.interp(time_ns, self._cumulative("time", lambda sample: sample.time_ns), values)))

    def _by_round(self, values: np.ndarray) -> list[int]:
        """Divide what grew between samples among the rounds; what came before the first sync belongs to the first."""
        inner = [self._at(values, time_ns) for time_ns in self.syncs_ns[1:]]
        return np.diff([0, *inner, int(values[-1])]).tolist() if self.syncs_ns else []

    def _zeros_by_round(self) -> list[int]:
        """Divide zero pages among the rounds: those between the samples around a sync belong to the round before.

        They are sent in an instant at the end of a pass; what a sync marks is hardly ever zero.
        """
        zeros = self._growing("duplicate")
        inner = [int(zeros[self._after(at)]) for at in range(1, len(self.syncs_ns))]
        return np.diff([0, *inner, int(zeros[-1])]).tolist() if self.syncs_ns else []

    def _after(self, at: int) -> int:
        """Return the number of the first sample that knows of a sync."""
        counts = self._growing("dirty-sync-count")
        return min(int(np.searchsorted(counts, at + 1)), len(self.samples) - 1)

    def _pages(self, number: int) -> int:
        """Return the pages sent and to be sent, as a sample counts them."""
        sample = self.samples[number]
        return sample.ram("remaining") // PAGE_BYTES + sample.full_pages + sample.ram("duplicate")

    def _marked(self) -> list[int]:
        found, seen = [], 0
        for at in range(len(self.syncs_ns)):
            after = self._after(at)
            before = self._pages(after - 1) if at else 0
            found.append(max(0, self._pages(after) - before) if after > seen else 0)
            seen = after
        return found

    def _left(self, at: int) -> int:
        """Return the page bytes to send directly after a sync [B]."""
        after = self._after(at)
        sent = self._full_pages()
        since = int(sent[after]) - self._at(sent, self.syncs_ns[at])
        return max(0, self.samples[after].ram("remaining") + PAGE_BYTES * since)

    def _syncs_before(self, number: int) -> int:
        return min(int(self._growing("dirty-sync-count")[number]), len(self.syncs_ns))


def _running_s(start_ns: float, end_ns: float, stopped_ns: Sequence[int]) -> float:
    overlap_ns = max(0.0, min(end_ns, stopped_ns[1]) - max(start_ns, stopped_ns[0]))
    return max(0.0, 1e-9 * (end_ns - start_ns - overlap_ns))


def _field(answer: Mapping[str, Any], name: str) -> Any:
    value: Any = answer
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
