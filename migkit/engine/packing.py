"""A scenario as the records that the kernels take, once for engines and harness alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from migkit import jit
from migkit.engine import dirty
from migkit.engine.records import PackedClass, PackedScenario, Step
from migkit.policies.record import AUTO_CONVERGE
from migkit.scenario import policy as rules
from migkit.scenario import steady
from migkit.scenario.dirty import DirtyClass
from migkit.scenario.form.fields import SMALLEST
from migkit.scenario.guest import Guest
from migkit.scenario.installation import downtime
from migkit.scenario.installation.host import Host
from migkit.scenario.scenario import Scenario
from migkit.units import MIB, PAGE_BYTES

__all__ = ["Packed", "pack"]

WORD_BYTES = 8
LEAD_BYTES = 53 * MIB  # the kernel and what it takes first, as in the logs that ZERO_AT_START is from
PACKET_PAGES = 128.0  # MULTIFD_PACKET_SIZE (multifd.h): 512 KiB
UNDER_WAY = 0.8  # packets a stream, in the runs of data/qemu/grid.parquet 0.65 to 1
WINDOW_S = 0.1  # QEMU's BUFFER_DELAY (migration.c)
THROTTLE_SLICE_S = 0.01  # QEMU's CPU_THROTTLE_TIMESLICE_NS (cpu-throttle.c); the harness's is as long


class Packed(NamedTuple):
    """One scenario as records, or many.

    Attributes
    ----------
    scenario
        The scalars, :class:`~migkit.engine.records.PackedScenario`: of one scenario numbers, of many columns.
    classes
        Of :class:`~migkit.engine.records.PackedClass`: the page classes of each, one behind the other; all have as
        many.
    steps
        Of :class:`~migkit.engine.records.Step`: phases of all classes and the link's schedule. All scenarios share
        them. Kernels may take None, see :func:`migkit.engine.batch.without_steps`.
    parameters
        Of the policy; of many scenarios one behind the other.
    """

    scenario: Any
    classes: np.ndarray
    steps: Any
    parameters: Any

    def of_one(self) -> tuple[Any, Any, Any, Any]:
        """Return one scenario as what kernels take.

        Examples
        --------
        >>> packed = pack(Scenario(guest=Guest(memory_bytes=2**28)), 1e9)
        >>> float(packed.of_one()[0].normal_pages)
        65536.0
        """
        return self.scenario, jit.rows(PackedClass, self.classes), jit.rows(Step, self.steps), self.parameters


def pack(
    scenario: Scenario,
    goodput_bytes_per_s: Any,
    lead_s: Any = 0.0,
    rows: int | None = None,
    *,
    in_flight_s: Any = 0.0,
) -> Packed:
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
    in_flight_s
        Time for which bytes that count as sent are still on their way when the guest stops [s].

    Examples
    --------
    >>> packed = pack(Scenario(guest=Guest(memory_bytes=2**28)), 1e9)
    >>> int(packed.scenario.normal_pages)
    65536
    """
    guest = scenario.guest
    packed: Any = PackedScenario.new(rows)
    classes = np.zeros((*(() if rows is None else (rows,)), len(guest.dirty), PackedClass.SIZE))
    steps: list[tuple[float, ...]] = []
    _pack_guest(packed, guest)
    for at, one in enumerate(guest.in_address_order):
        _pack_class(classes[..., at, :].T.view(PackedClass), one, guest.fill, steps)
    _pack_host(packed, scenario.host, guest)
    packed.load_s = downtime.stopped_s(scenario)
    packed.resume_s = downtime.resume_s(scenario)
    packed.translate_s = downtime.translate_s(scenario)
    packed.device_bytes = downtime.device_bytes(scenario)
    _pack_strategy(packed, scenario)
    if scenario.strategy.compression != "none":
        _pack_compression(packed, scenario)
    if scenario.xbzrle_cache_bytes is not None and scenario.strategy.name in ("precopy", "hybrid"):
        packed.xbzrle_pages = scenario.xbzrle_cache_bytes // PAGE_BYTES
    packed.goodput_bytes_per_s = goodput_bytes_per_s
    packed.postcopy_goodput_bytes_per_s = np.minimum(goodput_bytes_per_s, scenario.host.postcopy_bytes_per_s)
    _pack_windows(packed, scenario)
    firmware_bytes = scenario.policy.preset.firmware_bytes
    if scenario.host.firmware_bytes is not None:
        firmware_bytes = scenario.host.firmware_bytes
    packed.normal_pages += -(-firmware_bytes // PAGE_BYTES)
    packed.cap_bytes_per_s = scenario.policy.max_bandwidth_bytes_per_s
    packed.postcopy_cap_bytes_per_s = scenario.policy.max_postcopy_bandwidth_bytes_per_s
    packed.lead_s = lead_s
    packed.in_flight_s = in_flight_s
    packed.rtt_s = scenario.link.rtt_s
    link_steps = steady.link_steps(scenario.link.steps)
    packed.first_step, packed.step_count = len(steps), len(link_steps)
    steps.extend(_summed(link_steps))
    parameters = rules.pack(scenario.policy, scenario.strategy, rows)
    _pack_throttle(packed, scenario, parameters)
    _pack_rest(packed, scenario, parameters)
    if scenario.strategy.postcopy_after_s is not None:
        parameters.postcopy_after_s += scenario.host.command_s
    times = np.array(steps, dtype=np.float64).reshape(-1)
    if rows is None:
        return Packed(*map(_flushed, (packed, classes.reshape(-1), times, parameters)))
    # the columns of a frame are flushed as they are read
    return Packed(packed, classes.reshape(-1), times, parameters.T.reshape(-1))


def _flushed(numbers: np.ndarray) -> np.ndarray:
    """Return numbers with those below :data:`SMALLEST` as 0, so that no product of a few is lost or infinite."""
    numbers[np.abs(numbers) < SMALLEST] = 0.0
    return numbers


def _pack_guest(packed: Any, guest: Guest) -> None:
    regions = sum(c.region_pages for c in guest.dirty)
    packed.normal_pages = guest.memory_pages - guest.zero_pages - regions
    packed.zero_pages = packed.zero_last_pages = guest.zero_pages
    if guest.layout == "interleaved":
        packed.zero_first_pages = np.floor(guest.zero_at_start * guest.zero_pages)
        packed.zero_last_pages = np.floor(guest.zero_at_end * guest.zero_pages)
        packed.lead_pages = np.where(packed.zero_first_pages > 0, LEAD_BYTES // PAGE_BYTES, 0)
    packed.class_count = len(guest.dirty)
    for one, idle in zip(guest.in_address_order, steady.idle_behind(guest), strict=True):
        packed.class_count -= idle
        packed.normal_pages += np.where(idle, one.region_pages, 0)
    packed.capacity_writes_per_s = 0.0 if guest.capacity_writes_per_s is None else guest.capacity_writes_per_s
    packed.grain_pages = guest.tracking_bytes // PAGE_BYTES
    packed.fills_zero = np.float64(guest.fill == "zero" or any(one.kind == "growth" for one in guest.dirty))
    for one in guest.dirty:
        packed.fills_zero = np.maximum(packed.fills_zero, np.asarray(one.zero_share) > 0.0)
    in_order = sum(one.kind != "random" for one in guest.dirty)
    packed.first_woven = np.minimum(packed.class_count, in_order) if guest.layout == "interleaved" else np.inf


def _pack_class(packed: Any, one: DirtyClass, fill: str, steps: list[tuple[float, ...]]) -> None:
    packed.kind = dirty.RANDOM if one.kind == "random" else dirty.SWEEP
    packed.blank = fill == "zero" or one.kind == "growth"
    packed.zero_share = one.zero_share
    packed.pages = one.region_pages
    phases, factor = steady.phases(one), steady.rate_factor(one)
    packed.writes_per_s = one.writes_per_s * factor
    packed.first_phase = len(steps)
    packed.phase_count = len(phases)
    packed.phase_offset_s = 0.0 if one.phase_offset_s is None else one.phase_offset_s
    packed.reads_per_s = one.reads_per_s * factor
    packed.rewrite_bytes = np.ceil(one.rewrite_bytes / WORD_BYTES) * WORD_BYTES
    packed.start_pages = _start_pages(one)
    packed.most_writes = one.region_pages - packed.start_pages if one.kind == "growth" else np.inf
    steps.extend(_summed(phases))


def _summed(steps: steady.Steps) -> list[tuple[float, ...]]:
    """Return steps as the numbers of their records."""
    return [one + total for one, total in zip(steps, steady.sums(steps), strict=True)]


def _start_pages(one: DirtyClass) -> Any:
    """Return where a sweep stands, half-way when that is not known, and a growth, at its start then [pages]."""
    if one.kind == "growth":
        return np.minimum(
            0 if one.sweep_offset_bytes is None else one.sweep_offset_bytes // PAGE_BYTES, one.region_pages
        )
    if one.sweep_offset_bytes is None:
        return one.region_pages // 2
    return one.sweep_offset_bytes // PAGE_BYTES % one.region_pages


def _pack_host(packed: Any, host: Host, guest: Guest) -> None:
    packed.page_wire_bytes = PAGE_BYTES + host.page_header_bytes
    packed.zero_wire_bytes = host.zero_page_bytes
    packed.page_cpu_s = host.page_cpu_s
    untouched = guest.untouched_bytes / np.maximum(guest.zero_bytes, 1)
    packed.zero_cpu_s = host.zero_page_cpu_s + host.untouched_page_cpu_s * untouched
    packed.postcopy_zero_cpu_s = packed.zero_cpu_s + host.postcopy_zero_page_cpu_s
    packed.xbzrle_header_bytes = host.xbzrle_header_bytes
    packed.xbzrle_run_bytes = host.xbzrle_run_bytes
    packed.xbzrle_same_bytes = host.xbzrle_same_bytes
    packed.xbzrle_cpu_s = PAGE_BYTES / host.xbzrle_bytes_per_s
    packed.sync_s = host.sync_base_s + host.sync_per_page_s * guest.memory_pages
    packed.setup_s = host.setup_s
    packed.release_s = host.release_s
    packed.quiesce_s = host.quiesce_s
    packed.write_fault_s = host.write_fault_s
    packed.fault_service_s = host.fault_service_s
    packed.register_per_page_s = host.register_per_page_s
    packed.discard_run_s = host.discard_run_s
    packed.window_s = WINDOW_S
    packed.window_extra_s = host.window_extra_s
    packed.poll_s = host.poll_s


def _pack_windows(packed: Any, scenario: Scenario) -> None:
    """Set with which page a window ends beyond its quota.

    QEMU's multifd fills packets. Up to 8.1 a packet counts when it is handed to a stream; later when it has left, and
    by then most streams have the next one (multifd.c).
    """
    counted: tuple[Any, ...] = scenario.policy.preset.flush_pages
    if scenario.host.flush_pages is not None:
        counted = (scenario.host.flush_pages, scenario.host.flush_pages)
    strategy = scenario.strategy
    several = (np.asarray(strategy.streams) > 1) | (strategy.compression != "none")
    if np.any(several):
        under_way = UNDER_WAY * PACKET_PAGES * np.asarray(strategy.streams)
        packed.beyond_pages = sum(np.where(several & (np.asarray(one) > 1), 0.5 * under_way, 0.0) for one in counted)
        counted = tuple(np.where(several & (np.asarray(one) > 0), PACKET_PAGES, one) for one in counted)
    packed.flush_pages, packed.flush_pages_too = counted


def _pack_throttle(packed: Any, scenario: Scenario, parameters: Any) -> None:
    """Set how a throttled guest runs, and whether a sync waits until it is awake.

    With software emulation a sync asks each virtual processor to end what it does (``tcg_log_global_after_sync``,
    physmem.c), and one that a throttle has put to sleep answers when it wakes. KVM's bitmap is read without asking.
    """
    own = scenario.policy.decider is not None
    sliced = own | (np.asarray(parameters.throttle_rule) == AUTO_CONVERGE)
    packed.throttle_slice_s = np.where(sliced, THROTTLE_SLICE_S, 0.0)
    packed.sync_awaits = scenario.host.platform == "qemu-tcg"


def _pack_strategy(packed: Any, scenario: Scenario) -> None:
    strategy = scenario.strategy
    packed.storage_bytes = strategy.storage_bytes
    packed.prefetch_pages = strategy.prefetch_pages
    packed.queue_bytes = np.where(strategy.preempt, 0.0, scenario.link.queue_bytes)
    if scenario.host.platform == "harness":
        return
    preset, own = scenario.policy.preset, np.asarray(strategy.preempt)
    packed.demands_wait = np.where(own & preset.demands_at_once, float(preset.is_qemu), 2.0)
    packed.push_follows = preset.is_qemu & (preset.push_follows | ~own)
    packed.push_restarts = float(preset.is_qemu)


def _pack_rest(packed: Any, scenario: Scenario, parameters: Any) -> None:
    """Set what post-copy sends without its cap: all that is pending, as soon as pre-copy would switch over for it."""
    preset = scenario.policy.preset
    if not preset.is_qemu or preset.keeps_cap or scenario.host.platform == "harness":
        return
    known = np.asarray(parameters.switchover_bandwidth_bytes_per_s)
    packed.rest_bytes = known * parameters.downtime_limit_s
    packed.rest_s = np.where(known > 0.0, 0.0, parameters.downtime_limit_s)


def _pack_compression(packed: Any, scenario: Scenario) -> None:
    """Make a page ``page / ratio`` on the wire, at the pace at which the streams with a processor compress."""
    host, strategy = scenario.host, scenario.strategy
    pace = {"zlib": host.zlib_bytes_per_s, "zstd": host.zstd_bytes_per_s, "lz4": host.lz4_bytes_per_s}
    working = np.minimum(strategy.streams, host.source_free_cores)
    packed.page_wire_bytes = PAGE_BYTES / scenario.guest.compression_ratio + host.page_header_bytes
    packed.page_cpu_s = np.maximum(host.page_cpu_s, PAGE_BYTES / (working * pace[strategy.compression]))
