"""What each bitmap sync of a logged migration found, from counters that may have been read rarely.

Between two readings ``marked = (growth of remaining) / page + growth of pages sent``, exactly, however many syncs lie
between. Pages that were still to be sent at a sync are marked already, so that it does not count those of them that
were written again. The moment of a sync follows from what was sent since, where the reading came soon enough.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.importers import Log
    from migkit.traces import Trace

__all__ = ["Observed", "Round", "coarse", "of_log", "of_trace"]

_HEADER_BYTES: Final = 8.0
_WINDOW_S: Final = 0.1  # of the sender's rate limit: it looks at its rule once in each
_LONGEST_S: Final = 1e8  # no migration lasts longer
_SHORTEST_S: Final = 1e-4  # no round is shorter
_RATE_WINDOW_S: Final = 1.0  # QEMU counts its dirty rate over no less
_MANY_SYNCS: Final = 10  # beside which what the first pass marked counts little
_ONCE: Final = 1e-3  # of the memory, that may be sent again in a migration of one pass
_THROTTLES: Final = (0.0, 0.99)  # QEMU's own bounds
_NEEDED: Final = ("t_s", "iteration", "remaining_bytes")
_ZERO_OPEN: Final = (
    "how much of the memory is zero: more was written in a round than the zero pages leave of the memory, so that "
    "later rounds sent zero pages again; none is taken to be zero"
)
_WINDOW_OPEN: Final = (
    "the window of the dirty rate: the log does not say over how long it was counted; the shortest, 1 s, is taken"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Syncs between two readings, seen as ``syncs`` alike.

    Attributes
    ----------
    start_s, window_s
        When the first of them began, and how long each lasted [s].
    window_error_s
        How well that length is known [s].
    marked_pages
        What each sync marked [pages].
    to_send_pages, pending_pages
        What there was to send after the sync before, and what of it was still to be sent at the sync [pages].
    throttle
        Share of time that auto-converge took.
    syncs
        How many.
    """

    start_s: float
    window_s: float
    window_error_s: float
    marked_pages: float
    to_send_pages: float
    pending_pages: float
    throttle: float = 0.0
    syncs: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a migration told of its guest.

    Attributes
    ----------
    memory_bytes
        All memory that was sent [B].
    zero_pages
        Pages that the first pass found to be zero; NaN: not told.
    rounds
        In order of time; the first is the first pass.
    first_pass
        Whether the first pass came to its end.
    zero_again
        Share of the pages sent after the first pass that were zero when they were sent: marked, and emptied since.
    cannot_tell
        What the log leaves open of its rounds, in sentences.
    synced_s
        When the last sync was [s]; NaN: not known.
    found_pages
        What there was to send after it [pages]; NaN: not known.
    counted_s
        How long the pass took that counted the zero pages [s]; NaN: not known, or it counted pages twice.
    """

    memory_bytes: int
    zero_pages: float
    rounds: tuple[Round, ...]
    first_pass: bool
    zero_again: float = 0.0
    cannot_tell: tuple[str, ...] = ()
    synced_s: float = math.nan
    found_pages: float = math.nan
    counted_s: float = math.nan


def of_log(log: Log) -> Observed | None:
    """Return what the readings of ``log`` tell; None when they are too few or lack a counter.

    Examples
    --------
    >>> from migkit.importers import read
    >>> of_log(read("Migration status: active\\ntotal time: 900 ms\\nremaining ram: 2048 kbytes\\n")[0]) is None
    True
    """
    columns = {str(name): log.frame[name].to_numpy() for name in log.frame if name not in ("phase", "status")}
    memory = _memory_bytes(columns, log.meta)
    if log.kind != "migration" or not memory:
        return None
    keep = _usable(log, columns, memory) if all(name in columns for name in _NEEDED) else np.zeros(0, bool)
    if keep.any():
        found = _Readings({name: values[keep] for name, values in columns.items()}, memory).observed()
        if found.rounds:
            return found
    return _coarsely(log, memory)


def _coarsely(log: Log, memory: int) -> Observed | None:
    """Return what the totals tell where no two readings lie around a sync."""
    mean, zero = coarse(log), log.meta["totals"].get("zero_pages")
    one = mean or _of_rate(log, memory)
    if one is None and zero is None:
        return None
    told = min(float(zero), memory / PAGE_BYTES) if zero is not None else math.nan
    open_ = (_WINDOW_OPEN,) if one is not None and mean is None else ()
    if one is not None and one.marked_pages > memory / PAGE_BYTES - told:
        told, open_ = math.nan, (*open_, _ZERO_OPEN)
    return Observed(
        memory_bytes=memory,
        zero_pages=told,
        rounds=(one,) if one else (),
        first_pass=mean is not None or log.meta["outcome"] == "completed",
        cannot_tell=open_,
        counted_s=_only_pass_s(log, memory),
    )


def _only_pass_s(log: Log, memory: int) -> float:
    """Return how long a migration took that sent each page once, such as a post-copy at once [s]; NaN: it did not."""
    totals = log.meta["totals"]
    sent = sum(float(totals.get(name) or math.nan) for name in ("normal_pages", "zero_pages"))
    ends = log.meta["outcome"] == "completed" and abs(sent * PAGE_BYTES / memory - 1.0) < _ONCE
    return float(totals.get("total_time_s") or math.nan) if ends else math.nan


def _of_rate(log: Log, memory: int) -> Round | None:
    """Return what the dirty rate of the last sync tells where no counter tells how long its window was."""
    marked = _last_rate(log) * _RATE_WINDOW_S
    if not 0 < marked <= memory / PAGE_BYTES:
        return None
    return Round(
        start_s=0.0,
        window_s=_RATE_WINDOW_S,
        window_error_s=0.5 * _RATE_WINDOW_S,
        marked_pages=marked,
        to_send_pages=memory / PAGE_BYTES,
        pending_pages=0.0,
    )


def _last_rate(log: Log) -> float:
    """Return the dirty rate of the last sync that the log tells [pages/s]; 0 where it tells none."""
    told = log.frame["dirtied_pages_per_s"].to_numpy(float)
    told = told[np.isfinite(told) & (told > 0)]
    return float(told[-1]) if told.size else 0.0


def coarse(log: Log) -> Round | None:
    """Return the mean round of a log of one reading, or whose readings lie too far apart.

    The counters tell the number of syncs, and that all of them together marked ``pages sent + remaining - memory``.
    The first pass sends each page once and takes far longer than the rounds behind it. These took that share of the
    time in which pages beyond the memory were sent. If the log has a dirty rate, that of the last sync tells what
    such a round marked; if not, the mean over all syncs does, provided that they are many and the migration still
    goes on. Else what the first pass marked counts for too much, and the round is the mean with the first pass.

    Examples
    --------
    >>> from migkit.importers import read
    >>> ram = '{"total": 4096000, "remaining": 409600, "normal": 1400, "duplicate": 100, "transferred": 5746300,'
    >>> ram += '"dirty-sync-count": 3, "page-size": 4096}'
    >>> log = read(f'{{"status": "active", "total-time": 21000, "ram": {ram}}}')[0]
    >>> coarse(log).marked_pages, coarse(log).window_s
    (300.0, 10.5)
    """
    totals, frame = log.meta["totals"], log.frame
    names = ("normal_pages", "zero_pages", "total_bytes", "iteration")
    if log.kind != "migration" or log.meta["postcopy"] or any(not totals.get(name) for name in names):
        return None
    left = frame["remaining_bytes"].to_numpy(float)
    known = log.meta["outcome"] != "completed" and left.size > 0 and math.isfinite(left[-1])
    left_pages = float(left[-1]) / PAGE_BYTES if known else 0.0
    elapsed_s = float(totals.get("total_time_s") or totals.get("t_s") or 0.0)
    syncs = int(totals["iteration"]) - 1
    full, zero, memory = (float(totals[name]) for name in names[:3])
    memory_pages = memory / PAGE_BYTES
    again = full + zero - memory_pages
    if syncs < 1 or not 0 <= again + left_pages <= syncs * memory_pages:
        return None
    share, rate = min(1.0, max(0.0, again) / full), _last_rate(log)
    if syncs == 1:
        share = 1.0 - share  # the first pass is the only round that ended
    elif not rate and (syncs < _MANY_SYNCS or log.meta["outcome"] == "completed"):
        share = 1.0
    window_s = elapsed_s * share / syncs
    if not _SHORTEST_S < window_s < _LONGEST_S:
        return None
    marked = rate * window_s or (again + left_pages) / syncs
    return Round(
        start_s=0.0,
        window_s=window_s,
        window_error_s=0.5 * window_s,
        marked_pages=min(marked, memory_pages),
        to_send_pages=memory_pages,
        pending_pages=0.0,
    )


def of_trace(trace: Trace) -> Observed:
    """Return what a trace of migkit tells: its rounds, which were counted where they happened.

    Examples
    --------
    >>> from migkit.traces import data, io
    >>> observed = of_trace(io.read(data.data_path("traces/slow.parquet")))
    >>> observed.first_pass, len(observed.rounds)
    (True, 2)
    """
    from migkit.traces.columns import column

    names = ("start_s", "guest_running_s", "marked_pages", "remaining_bytes", "normal_pages", "zero_pages")
    start_s, running_s, marked, remaining, normal, zero = (column(trace.rounds, name).astype(float) for name in names)
    to_send = remaining / PAGE_BYTES
    pending = np.maximum(0.0, to_send - normal - zero)
    memory = trace.scenario.guest.memory_bytes
    rounds = tuple(
        Round(
            start_s=float(start_s[k]),
            window_s=float(running_s[k]),
            window_error_s=1e-3,
            marked_pages=float(marked[k + 1]),
            to_send_pages=float(to_send[k]),
            pending_pages=float(min(pending[k], to_send[k])),
        )
        for k in range(len(start_s) - 1)
        if running_s[k] > 0
    )
    first = float(zero[0]) if len(zero) else math.nan
    took_s = rounds[0].window_s if rounds else math.nan
    late = float(pending[0]) if len(pending) else 0.0  # of the first pass, whose end is zero in most guests
    again, emptied = float((normal + zero)[1:].sum()) - late, float(zero[1:].sum()) - late
    return Observed(
        memory_bytes=memory,
        zero_pages=first,
        rounds=rounds,
        first_pass=len(rounds) > 0,
        zero_again=emptied / again if emptied > 0.0 else 0.0,
        counted_s=took_s,
    )


def _memory_bytes(columns: dict[str, Any], meta: Any) -> int:
    said = columns.get("total_bytes")
    found = float(np.nanmax(said)) if said is not None and np.isfinite(said).any() else 0.0
    found = found or float(meta["totals"].get("total_bytes") or 0.0)
    return int(found) // PAGE_BYTES * PAGE_BYTES


def _usable(log: Log, columns: dict[str, Any], memory: int) -> Any:
    """Return which readings are of pre-copy, whole, possible, and not behind an earlier one."""
    running = ~np.isin(log.frame["phase"].to_numpy(), ["postcopy", "setup", "done", "stopcopy"])
    running &= ~np.isin(log.frame["status"].to_numpy(), ["completed", "device", "pre-switchover"])
    most = {"t_s": _LONGEST_S, "iteration": 1e9, "remaining_bytes": 1.01 * memory}
    for name, high in most.items():
        values = columns[name].astype(float)
        running &= np.isfinite(values) & (values >= 0) & (values <= high)
    for name in ("t_s", "iteration"):
        values = np.where(running, columns[name].astype(float), -1.0)
        running &= values >= np.maximum.accumulate(values)
    return running


class _Readings:
    """Counters of pre-copy as arrays, in pages and seconds."""

    def __init__(self, columns: dict[str, Any], memory_bytes: int) -> None:
        self._memory = memory_bytes
        self._t = columns["t_s"].astype(float)
        self._iteration = columns["iteration"].astype(float)
        self._left = columns["remaining_bytes"].astype(float) / PAGE_BYTES
        self._full, self._zero = self._sent(columns)
        throttle = columns.get("throttle", np.zeros(self._t.size)).astype(float)
        self._throttle = np.clip(np.nan_to_num(throttle), *_THROTTLES)
        self._rate = columns.get("dirtied_pages_per_s", np.full(self._t.size, math.nan)).astype(float)

    def _sent(self, columns: dict[str, Any]) -> tuple[Any, Any]:
        """Return pages sent in full or as differences, and as zero pages; without counters, all sent is in full."""
        full, zero = (columns[name].astype(float) for name in ("normal_pages", "zero_pages"))
        if np.isfinite(full).all() and (full >= 0).all():
            differences = columns.get("xbzrle_pages")  # which QEMU counts apart
            return full if differences is None else full + np.nan_to_num(differences.astype(float)), zero
        sent = columns["sent_bytes"].astype(float) / (PAGE_BYTES + _HEADER_BYTES)
        return sent, np.full(sent.size, math.nan)

    def observed(self) -> Observed:
        """Return the rounds."""
        rounds, start_s, to_send = [], 0.0, self._memory / PAGE_BYTES
        begun = self._iteration[0] <= 1.0  # else the log begins in the middle, and its first round in the dark
        for i in range(1, self._t.size):
            syncs = round(self._iteration[i] - self._iteration[i - 1])
            if syncs < 1 or self._iteration[i - 1] < 1:
                continue
            if not begun:
                end_s, _, marked, pending = self._sync(i, self._t[i - 1])
                begun, start_s, to_send = True, end_s, pending + marked / syncs
                continue
            end_s, error_s, marked, pending = self._sync(i, start_s)
            window_s = (end_s - start_s) / syncs
            if window_s > _SHORTEST_S and 0 <= marked / syncs <= self._memory / PAGE_BYTES:
                rounds.append(
                    Round(
                        start_s=start_s,
                        window_s=window_s,
                        window_error_s=error_s / syncs,
                        marked_pages=marked / syncs,
                        to_send_pages=to_send,
                        pending_pages=min(pending, to_send),
                        throttle=float(self._throttle[i - 1]),
                        syncs=syncs,
                    )
                )
            start_s, to_send = end_s, pending + marked / syncs
        at = self._drained(rounds[0].pending_pages if rounds else 0.0)
        return Observed(
            memory_bytes=self._memory,
            zero_pages=float(self._zero[at]),
            rounds=tuple(rounds),
            first_pass=bool((self._iteration > 1).any()),
            zero_again=self._zero_again(at),
            synced_s=start_s if begun else math.nan,
            found_pages=to_send if begun else math.nan,
            counted_s=self._first_pass_s(rounds),
        )

    def _sync(self, i: int, start_s: float) -> tuple[float, float, float, float]:
        """Return when the last sync before reading ``i`` came, its error [s], and pages marked and pending."""
        moved = self._all(i) - self._all(i - 1)
        marked = self._left[i] - self._left[i - 1] + moved
        early, late = self._t[i - 1], self._t[i]
        end_s, error_s = 0.5 * (early + late), (late - early) / math.sqrt(12.0)
        if self._iteration[i - 1] == 1.0 and self._rate[i] > 0 and not math.isfinite(self._zero[i]):
            # Zero pages that went uncounted at the end of the first pass hide what was marked; the rate tells it.
            marked = self._rate[i] * (end_s - start_s)
        period_s = marked / self._rate[i] if self._rate[i] > 0 else 0.0
        if early - _WINDOW_S <= start_s + period_s <= late:  # QEMU's own period, of a sync after more than a second
            end_s, error_s = start_s + period_s, 0.01
        if marked < 0.0 and self._rate[i] > 0:  # zero pages went, which this log does not count
            marked = self._rate[i] * (end_s - start_s)
        since = moved * (late - end_s) / (late - early) if late > early else 0.0
        return end_s, max(error_s, 0.01), marked, max(0.0, self._left[i] + since - marked)

    def _all(self, i: int) -> float:
        zero = self._zero[i]
        return float(self._full[i] + (zero if math.isfinite(zero) else 0.0))

    def _drained(self, pending: float) -> int:
        """Return the reading at which the first pass was sent to its end; the last one while it lasts.

        What is pending at its sync belongs to it: the scan goes on where it stood, so that this is sent first.
        """
        later = np.flatnonzero(self._iteration > 1)
        if not later.size:
            return -1
        base = self._all(int(later[0]))
        drained = [int(at) for at in later if self._all(int(at)) - base >= pending]
        return drained[0] if drained else int(later[-1])

    def _first_pass_s(self, rounds: list[Round]) -> float:
        alone = bool(rounds) and self._iteration[0] <= 1.0 and rounds[0].syncs == 1
        return float(rounds[0].window_s) if alone else math.nan

    def _zero_again(self, at: int) -> float:
        sent = self._all(self._t.size - 1) - self._all(at)
        zero = float(self._zero[-1] - self._zero[at])
        return min(1.0, max(0.0, zero / sent)) if sent > 0 and math.isfinite(zero) else 0.0
