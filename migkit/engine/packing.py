"""A scenario as the records that the kernels take, once for engines and harness alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from migkit.engine import dirty, layout
from migkit.engine.layout import CLASS_BASE, CLASS_SLOTS
from migkit.scenario import policy as rules
from migkit.scenario import steady
from migkit.scenario.dirty import DirtyClass
from migkit.scenario.form.fields import SMALLEST, slots
from migkit.scenario.guest import Guest
from migkit.scenario.installation import downtime
from migkit.scenario.installation.host import Host
from migkit.scenario.link import Link
from migkit.scenario.scenario import Scenario
from migkit.scenario.strategy import Strategy
from migkit.units import MIB, PAGE_BYTES

__all__ = ["Packed", "pack"]

WORD_BYTES = 8
LEAD_BYTES = 53 * MIB  # the kernel and what it takes first, as in the logs that ZERO_AT_START is from
WINDOW_S = 0.1  # QEMU's BUFFER_DELAY (migration.c)


class Packed(NamedTuple):
    """One scenario as arrays, or many one behind the other.

    Slots are those of :mod:`migkit.engine.layout` and of the policy.
    """

    record: np.ndarray
    steps: np.ndarray
    parameters: Any


def pack(scenario: Scenario, goodput_bytes_per_s: Any, lead_s: Any = 0.0, rows: int | None = None) -> Packed:
    """Return the records of a scenario; what changes nothing leaves no trace in them.

    Steps of the link and phases that change nothing, the idle regions that end a guest's classes, and differences
    where no page is sent twice come out as if they had not been given: to the last bit the same prediction.

    Parameters
    ----------
    scenario
        What is moved, over what, by which rule.
    goodput_bytes_per_s
        What link and hosts together can give, see :func:`migkit.models.goodput.goodput` [B/s].
    lead_s
        Time before the first byte of memory, set-up not included [s].
    rows
        How many scenarios there are, when fields that are numbers are arrays of so many.

    Examples
    --------
    >>> packed = pack(Scenario(guest=Guest(memory_bytes=2**28)), 1e9)
    >>> int(packed.record[layout.NORMAL_PAGES])
    65536
    """
    guest = scenario.guest
    record = slots(CLASS_BASE + CLASS_SLOTS * len(guest.dirty), rows)
    steps: list[tuple[float, float]] = []
    _pack_guest(record, guest)
    for at, one in enumerate(guest.in_address_order):
        _pack_class(record, CLASS_BASE + at * CLASS_SLOTS, one, steps)
    _pack_host(record, scenario.host, guest)
    record[layout.LOAD_S] = downtime.stopped_s(scenario)
    record[layout.RESUME_S] = downtime.resume_s(scenario)
    record[layout.DEVICE_BYTES] = downtime.device_bytes(scenario)
    _pack_strategy(record, scenario.strategy, scenario.link)
    if scenario.strategy.compression != "none":
        _pack_compression(record, scenario)
    if scenario.xbzrle_cache_bytes is not None and scenario.strategy.name in ("precopy", "hybrid"):
        record[layout.XBZRLE_PAGES] = scenario.xbzrle_cache_bytes // PAGE_BYTES
    record[layout.GOODPUT] = goodput_bytes_per_s
    record[layout.POSTCOPY_GOODPUT] = np.minimum(goodput_bytes_per_s, scenario.host.postcopy_bytes_per_s)
    flush_pages = scenario.policy.preset.flush_pages
    if scenario.host.flush_pages is not None:
        flush_pages = (scenario.host.flush_pages, scenario.host.flush_pages)
    record[layout.FLUSH_PAGES], record[layout.FLUSH_PAGES_TOO] = flush_pages
    firmware_bytes = scenario.policy.preset.firmware_bytes
    if scenario.host.firmware_bytes is not None:
        firmware_bytes = scenario.host.firmware_bytes
    record[layout.NORMAL_PAGES] += -(-firmware_bytes // PAGE_BYTES)
    record[layout.CAP] = scenario.policy.max_bandwidth_bytes_per_s
    record[layout.POSTCOPY_CAP] = scenario.policy.max_postcopy_bandwidth_bytes_per_s
    record[layout.LEAD_S] = lead_s
    record[layout.RTT_S] = scenario.link.rtt_s
    link_steps = steady.link_steps(scenario.link.steps)
    record[layout.STEP_FIRST], record[layout.STEP_COUNT] = len(steps), len(link_steps)
    steps.extend(link_steps)
    parameters = rules.pack(scenario.policy, scenario.strategy, rows)
    if scenario.strategy.postcopy_after_s is not None:
        parameters.postcopy_after_s += scenario.host.command_s
    times = np.array(steps, dtype=np.float64).reshape(-1)
    packed = Packed(record.T.reshape(-1), times, parameters.T.reshape(-1) if rows else parameters)
    return packed if rows else Packed(*map(_flushed, packed))  # the columns of a frame are flushed as they are read


def _flushed(numbers: np.ndarray) -> np.ndarray:
    """Return numbers with those below :data:`SMALLEST` as 0, so that no product of a few is lost or infinite."""
    numbers[np.abs(numbers) < SMALLEST] = 0.0
    return numbers


def _pack_guest(record: np.ndarray, guest: Guest) -> None:
    regions = sum(c.region_pages for c in guest.dirty)
    record[layout.NORMAL_PAGES] = guest.memory_pages - guest.zero_pages - regions
    record[layout.ZERO_PAGES] = record[layout.ZERO_LAST_PAGES] = guest.zero_pages
    if guest.layout == "interleaved":
        record[layout.ZERO_FIRST_PAGES] = np.floor(guest.zero_at_start * guest.zero_pages)
        record[layout.ZERO_LAST_PAGES] = np.floor(guest.zero_at_end * guest.zero_pages)
        record[layout.LEAD_PAGES] = np.where(record[layout.ZERO_FIRST_PAGES] > 0, LEAD_BYTES // PAGE_BYTES, 0)
    record[layout.CLASSES] = len(guest.dirty)
    for one, idle in zip(guest.in_address_order, steady.idle_behind(guest), strict=True):
        record[layout.CLASSES] -= idle
        record[layout.NORMAL_PAGES] += np.where(idle, one.region_pages, 0)
    record[layout.CAPACITY] = 0.0 if guest.capacity_writes_per_s is None else guest.capacity_writes_per_s
    record[layout.GRAIN_PAGES] = guest.tracking_bytes // PAGE_BYTES
    record[layout.FILL_ZERO] = guest.fill == "zero"
    sweeps = sum(one.kind == "sweep" for one in guest.dirty)
    record[layout.WOVEN] = np.minimum(record[layout.CLASSES], sweeps) if guest.layout == "interleaved" else np.inf


def _pack_class(record: np.ndarray, base: int, one: DirtyClass, steps: list[tuple[float, float]]) -> None:
    record[base + layout.KIND] = dirty.SWEEP if one.kind == "sweep" else dirty.RANDOM
    record[base + layout.PAGES] = one.region_pages
    phases, factor = steady.phases(one), steady.rate_factor(one)
    record[base + layout.WRITES_PER_S] = one.writes_per_s * factor
    record[base + layout.PHASE_FIRST] = len(steps)
    record[base + layout.PHASE_COUNT] = len(phases)
    record[base + layout.PHASE_OFFSET_S] = one.phase_offset_s
    record[base + layout.READS_PER_S] = one.reads_per_s * factor
    record[base + layout.REWRITE_BYTES] = np.ceil(one.rewrite_bytes / WORD_BYTES) * WORD_BYTES
    record[base + layout.START_PAGES] = _start_pages(one)
    steps.extend(phases + steady.sums(phases))


def _start_pages(one: DirtyClass) -> Any:
    """Return where a sweep stands, half-way when that is not known [pages]."""
    if one.sweep_offset_bytes is None:
        return one.region_pages // 2
    return one.sweep_offset_bytes // PAGE_BYTES % one.region_pages


def _pack_host(record: np.ndarray, host: Host, guest: Guest) -> None:
    record[layout.PAGE_WIRE_BYTES] = PAGE_BYTES + host.page_header_bytes
    record[layout.ZERO_WIRE_BYTES] = host.zero_page_bytes
    record[layout.PAGE_CPU_S] = host.page_cpu_s
    untouched = guest.untouched_bytes / np.maximum(guest.zero_bytes, 1)
    record[layout.ZERO_CPU_S] = host.zero_page_cpu_s + host.untouched_page_cpu_s * untouched
    record[layout.POSTCOPY_ZERO_CPU_S] = record[layout.ZERO_CPU_S] + host.postcopy_zero_page_cpu_s
    record[layout.XBZRLE_HEADER_BYTES] = host.xbzrle_header_bytes
    record[layout.XBZRLE_RUN_BYTES] = host.xbzrle_run_bytes
    record[layout.XBZRLE_SAME_BYTES] = host.xbzrle_same_bytes
    record[layout.XBZRLE_CPU_S] = PAGE_BYTES / host.xbzrle_bytes_per_s
    record[layout.SYNC_S] = host.sync_base_s + host.sync_per_page_s * guest.memory_pages
    record[layout.SETUP_S] = host.setup_s
    record[layout.QUIESCE_S] = host.quiesce_s
    record[layout.WRITE_FAULT_S] = host.write_fault_s
    record[layout.FAULT_SERVICE_S] = host.fault_service_s
    record[layout.REGISTER_PER_PAGE_S] = host.register_per_page_s
    record[layout.DISCARD_RUN_S] = host.discard_run_s
    record[layout.WINDOW_S] = WINDOW_S
    record[layout.WINDOW_EXTRA_S] = host.window_extra_s
    record[layout.POLL_S] = host.poll_s


def _pack_strategy(record: np.ndarray, strategy: Strategy, link: Link) -> None:
    record[layout.STORAGE_BYTES] = strategy.storage_bytes
    record[layout.PREFETCH_PAGES] = strategy.prefetch_pages
    record[layout.QUEUE_BYTES] = np.where(strategy.preempt, 0.0, link.queue_bytes)


def _pack_compression(record: np.ndarray, scenario: Scenario) -> None:
    """Make a page ``page / ratio`` on the wire, at the pace at which the streams with a processor compress."""
    host, strategy = scenario.host, scenario.strategy
    pace = {"zlib": host.zlib_bytes_per_s, "zstd": host.zstd_bytes_per_s, "lz4": host.lz4_bytes_per_s}
    working = np.minimum(strategy.streams, host.source_free_cores)
    record[layout.PAGE_WIRE_BYTES] = PAGE_BYTES / scenario.guest.compression_ratio + host.page_header_bytes
    record[layout.PAGE_CPU_S] = np.maximum(host.page_cpu_s, PAGE_BYTES / (working * pace[strategy.compression]))
