"""What traces say about each constant: rows of a linear system, with the scatter that each row has.

Each block is ``y = A x`` with ``x >= 0``:

=============  ==========================================================================
block          row
=============  ==========================================================================
framing        bytes of a round = full pages x (page + header) + zero pages x z
sync           time of a bitmap sync = base + per page x guest pages
path           time without a cap = bytes of full pages / goodput + zero pages x c [+ load]
tls, zlib, ..  as path, for runs that are encrypted, or compressed (bytes of full pages before compression)
setup          first byte after the request, less the first sync
quiesce        decision to guest stopped
resume         ready to running
release        guest running to the end of the migration, where the guest did not go post-copy
push           time of a post-copy once the guest runs = bytes of full pages / push speed + zero pages x (c + c')
service        blocktime / faults = fault service + a page's bytes / push speed
registration   stopped guest's sync to ready, in post-copy = load + absent pages x registration
tracking       running time - operations / demand = pages marked x write fault
=============  ==========================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from migkit.traces.columns import column
from migkit.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["ENCODINGS", "Block", "blocks", "sends_freely"]

ENCODINGS: Final = ("tls", "zlib", "zstd", "lz4")

_ONCE_A_RUN: Final = ("path", *ENCODINGS, "setup", "quiesce", "resume", "release", "push", "registration")
FREE_BYTES: Final = 32 * MIB  # a pass must send so much for its time to tell the goodput
ZERO_BYTES: Final = 9.0  # of a zero page on the wire, about; the processor takes longer over it than the path
_CONTROL_BYTES: Final = 4096.0  # of a round, beside its pages: hand-shake, totals, device state
_CLOCK_S: Final = 2e-4  # scatter of a time that two processes agree on
_SCATTER: Final = 0.03  # and its share of the time


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Rows about some constants.

    Attributes
    ----------
    name
        Of the block.
    constants
        What the columns of ``design`` stand for: fields of :class:`migkit.scenario.Host`, or nuisances
        that only this block has.
    design
        A, one row an observation.
    observed
        y.
    scatter
        What an observation is expected to be off by; its relative size weighs the rows.
    source
        Which measurements these are, in words.
    """

    name: str
    constants: tuple[str, ...]
    design: np.ndarray
    observed: np.ndarray
    scatter: np.ndarray
    source: str

    @property
    def share_off(self) -> float:
        """By what share a row is expected to be off where each is one pass or part of a run; else 0."""
        if self.name not in _ONCE_A_RUN:
            return 0.0
        return float(np.median(self.scatter / np.maximum(np.abs(self.observed), self.scatter)))

    def without(self, constant: str, value: float) -> Block:
        """Return the block with one constant held at ``value``."""
        at = self.constants.index(constant)
        return dataclasses.replace(
            self,
            constants=self.constants[:at] + self.constants[at + 1 :],
            design=np.delete(self.design, at, axis=1),
            observed=self.observed - self.design[:, at] * value,
        )


def blocks(traces: Sequence[Trace]) -> tuple[Block, ...]:
    """Return what ``traces`` say, block by block; a block without rows has none."""
    return (
        _framing(traces),
        _sync(traces),
        _path(traces),
        *(_encoded(traces, encoding) for encoding in ENCODINGS),
        _setup(traces),
        _part(traces, "quiesce", "quiesce_s"),
        _part(traces, "resume", "resume_s"),
        _release(traces),
        _tracking(traces),
        _registration(traces),
        _push(traces),
        _service(traces),
    )


def sends_freely(trace: Trace) -> bool:
    """Say whether only the hosts held the sender back, no cap and no link.

    The final pass of a pre-copy is sent without the cap in any case, that of a stop-copy is not.
    """
    return math.isinf(trace.scenario.policy.max_bandwidth_bytes_per_s) and _plain(trace)


def _pushes_freely(trace: Trace) -> bool:
    """Say whether only the hosts held the push of post-copy back."""
    return math.isinf(trace.scenario.policy.max_postcopy_bandwidth_bytes_per_s)


def _plain(trace: Trace) -> bool:
    """Say whether pages go over an unlimited path as they are, in one stream."""
    return _unlimited(trace) and trace.scenario.strategy.name in ("precopy", "stopcopy")


def _unlimited(trace: Trace, *encodings: str) -> bool:
    """Say whether no link limits the only stream, and just these encodings change what it carries."""
    link, strategy = trace.scenario.link, trace.scenario.strategy
    limited = math.isfinite(link.bandwidth_bytes_per_s) or link.rtt_s or link.steps or link.background_bytes_per_s
    return not limited and strategy.streams == 1 and not strategy.xbzrle and _encodings(trace) == encodings


def _encodings(trace: Trace) -> tuple[str, ...]:
    strategy = trace.scenario.strategy
    return ("tls",) * strategy.tls + (strategy.compression,) * (strategy.compression != "none")


def _block(
    name: str, constants: tuple[str, ...], rows: Iterable[tuple[Sequence[float], float, float]], source: str
) -> Block:
    listed = list(rows)
    design = np.array([row for row, _, _ in listed], float).reshape(len(listed), len(constants))
    return Block(
        name, constants, design, np.array([y for _, y, _ in listed]), np.array([s for *_, s in listed]), source
    )


def _time_scatter(time_s: float) -> float:
    return math.hypot(_CLOCK_S, _SCATTER * time_s)


def _framing(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in traces:
        if trace.scenario.strategy.compression != "none" or trace.scenario.strategy.xbzrle:
            continue
        normal, zero, sent = (column(trace.rounds, n) for n in ("normal_pages", "zero_pages", "sent_bytes"))
        for full, nothing, sent_bytes in zip(normal.tolist(), zero.tolist(), sent.tolist(), strict=True):
            if full + nothing:
                scatter = math.hypot(_CONTROL_BYTES, 1e-5 * sent_bytes)
                rows.append(((full, nothing), sent_bytes - full * PAGE_BYTES, scatter))
    return _block("framing", ("page_header_bytes", "zero_page_bytes"), rows, "bytes of each round")


def _sync(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in traces:
        pages = trace.scenario.guest.memory_pages
        costs = column(trace.rounds, "sync_s")[1:].tolist()
        rows += [((1.0, pages), sync_s, math.hypot(_CLOCK_S, 0.2 * sync_s)) for sync_s in costs]
    return _block("sync", ("sync_base_s", "sync_per_page_s"), rows, "every bitmap sync but the first of a run")


def _path(traces: Sequence[Trace]) -> Block:
    rows: list[tuple[Sequence[float], float, float]] = []
    for trace in traces:
        if _plain(trace) and (sends_freely(trace) or trace.scenario.strategy.name == "precopy"):
            rows += _final_pass(trace)
        if sends_freely(trace):
            rows += _free_rounds(trace)
    return _block(
        "path",
        ("seconds_per_byte", "zero_page_cpu_s", "load_s"),
        rows,
        "final passes and rounds without a cap",
    )


def _encoded(traces: Sequence[Trace], encoding: str) -> Block:
    """Return the passes of the runs that are encrypted, or compressed in one way, and limited by nothing else.

    The speed of encryption counts bytes on the wire, that of a compressor the bytes of the pages.
    """
    rows: list[tuple[Sequence[float], float, float]] = []
    for trace in traces:
        if _unlimited(trace, encoding) and trace.scenario.strategy.name in ("precopy", "stopcopy"):
            free = math.isinf(trace.scenario.policy.max_bandwidth_bytes_per_s)
            if free or trace.scenario.strategy.name == "precopy":
                rows += _final_pass(trace)
            if free:
                rows += _free_rounds(trace)
    constants = (f"seconds_per_{encoding}_byte", "zero_page_cpu_s", "load_s")
    return _block(encoding, constants, rows, f"final passes and rounds without a cap, {encoding}")


def _final_pass(trace: Trace) -> list[tuple[Sequence[float], float, float]]:
    parts = trace.outcome.downtime_parts_s
    if not {"final_copy_s", "load_s"} <= parts.keys():
        return []
    time_s = parts["final_copy_s"] + parts["load_s"]
    full_bytes, zero = _passes(trace)[-1]
    return [((full_bytes, zero, 1.0), time_s, _time_scatter(time_s) + 1e-3)]


def _free_rounds(trace: Trace) -> list[tuple[Sequence[float], float, float]]:
    times_s = np.column_stack([column(trace.rounds, n) for n in ("duration_s", "sync_s")])[:-1]
    if len(times_s):  # the last round before the final one lasts until the guest has stopped
        times_s[-1, 0] -= trace.outcome.downtime_parts_s.get("quiesce_s", 0.0)
    return [
        ((full_bytes, zero, 0.0), duration_s - sync_s, _time_scatter(duration_s - sync_s) + 1e-3)
        for (full_bytes, zero), (duration_s, sync_s) in zip(_passes(trace)[:-1], times_s.tolist(), strict=True)
        if full_bytes >= FREE_BYTES / 4
    ]


def _passes(trace: Trace) -> list[tuple[float, float]]:
    """Return the bytes of full pages of each round, on the wire or before they are compressed, and its zero pages."""
    sent, normal, zero = (column(trace.rounds, n) for n in ("sent_bytes", "normal_pages", "zero_pages"))
    full_bytes = sent - ZERO_BYTES * zero
    if trace.scenario.strategy.compression != "none":
        full_bytes = normal * float(PAGE_BYTES)
    return list(zip(full_bytes.tolist(), zero.tolist(), strict=True))


def _setup(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in traces:
        if trace.rounds.num_rows:
            first_s = float(column(trace.rounds, "start_s")[0] + column(trace.rounds, "sync_s")[0])
            rows.append(((1.0, 1.0, trace.scenario.guest.memory_pages), first_s, _time_scatter(first_s) + 1e-3))
    return _block("setup", ("setup_s", "sync_base_s", "sync_per_page_s"), rows, "the first byte of each run")


def _part(traces: Sequence[Trace], name: str, part: str) -> Block:
    found = [t.outcome.downtime_parts_s[part] for t in traces if part in t.outcome.downtime_parts_s]
    rows = [((1.0,), value, _time_scatter(value) + 5e-4) for value in found]
    return _block(name, (part,), rows, f"{part} of each downtime")


def _release(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in traces:
        if "postcopy" not in trace.machine and trace.outcome.verdict == "converges":
            running_s = _running_s(trace)
            tail_s = trace.outcome.total_time_s - running_s
            if math.isfinite(tail_s):
                rows.append(((1.0,), tail_s, _time_scatter(tail_s) + 1e-3))
    return _block("release", ("release_s",), rows, "the end of each run that switched over")


def _running_s(trace: Trace) -> float:
    """Return when the guest ran at the destination [s]; NaN: the trace does not tell."""
    parts = trace.outcome.downtime_parts_s
    after_stop = ("final_sync_s", "final_copy_s", "load_s", "resume_s")
    if not trace.rounds.num_rows or not parts.keys() >= set(after_stop):
        return math.nan
    return float(column(trace.rounds, "start_s")[-1]) + sum(parts[name] for name in after_stop)


def _registration(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in _postcopies(traces):
        parts = trace.outcome.downtime_parts_s
        time_s = parts["final_copy_s"] + parts["load_s"]
        absent = float(column(trace.rounds, "remaining_bytes")[-1]) / PAGE_BYTES
        rows.append(((1.0, absent), time_s, _time_scatter(time_s) + 1e-3))
    return _block("registration", ("load_s", "register_per_page_s"), rows, "switches to post-copy")


def _push(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in _postcopies(traces):
        push_s = trace.outcome.total_time_s - _running_s(trace)
        sent, zero = (float(column(trace.rounds, n)[-1]) for n in ("sent_bytes", "zero_pages"))
        if trace.machine["postcopy"].get("recoveries", 0) == 0 and _pushes_freely(trace):
            rows.append(((sent - ZERO_BYTES * zero, zero, zero), push_s, _time_scatter(push_s) + 1e-3))
    constants = ("seconds_per_pushed_byte", "zero_page_cpu_s", "postcopy_zero_page_cpu_s")
    return _block("push", constants, rows, "pushes of post-copy")


def _service(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in _postcopies(traces):
        faults = trace.machine["postcopy"]["faults"]
        if faults:
            mean_s = trace.machine["postcopy"]["blocktime_s"] / faults
            rows.append(((1.0, PAGE_BYTES), mean_s, _CLOCK_S + mean_s / math.sqrt(faults)))
    return _block("service", ("fault_service_s", "seconds_per_pushed_byte"), rows, "demand faults of post-copy")


def _postcopies(traces: Sequence[Trace]) -> list[Trace]:
    """Return the runs over an unlimited path that went post-copy and told what it took."""
    return [t for t in traces if "postcopy" in t.machine and t.outcome.downtime_parts_s and _unlimited(t)]


def _tracking(traces: Sequence[Trace]) -> Block:
    rows = []
    for trace in traces:
        guest = trace.scenario.guest
        operations = column(trace.samples, "guest_operations")
        if guest.writes_per_s <= 0 or any(c.phases for c in guest.dirty) or operations[0] < 0:
            continue
        if trace.outcome.guest_operations < 0:
            continue
        running_s = float(column(trace.rounds, "guest_running_s").sum())
        running_s += float(column(trace.rounds, "start_s")[0]) if trace.rounds.num_rows else 0.0
        done_s = (trace.outcome.guest_operations - int(operations[0])) / guest.writes_per_s
        marked = float(column(trace.rounds, "marked_pages")[1:].sum())
        rows.append(((marked,), running_s - done_s, 0.01))
    return _block("tracking", ("write_fault_s",), rows, "operations done against running time")
