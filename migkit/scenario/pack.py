"""A scenario as the records that the kernels take, once for engines and harness alike."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from migkit.kernels import dirty, layout
from migkit.kernels.layout import CLASS_BASE, CLASS_SLOTS
from migkit.scenario.dirty import DirtyClass
from migkit.scenario.guest import Guest
from migkit.scenario.host import Host
from migkit.scenario.policy import Policy
from migkit.scenario.policy import pack as pack_policy
from migkit.scenario.scenario import Scenario
from migkit.scenario.strategy import Strategy
from migkit.units import PAGE_BYTES

__all__ = ["Packed", "pack", "policy_parameters"]

_STRATEGY = {"stopcopy": layout.STOPCOPY, "postcopy": layout.POSTCOPY}
WINDOW_S = 0.1  # QEMU's BUFFER_DELAY (migration.c)
POLL_S = 0.05  # QEMU's MAX_WAIT (ram.c): an iteration that is not capped ends after it


class Packed(NamedTuple):
    """One scenario as arrays; slots are those of :mod:`migkit.kernels.layout` and of the policy."""

    record: np.ndarray
    steps: np.ndarray
    parameters: np.ndarray


def pack(scenario: Scenario, goodput_bytes_per_s: float, lead_s: float = 0.0) -> Packed:
    """Return the records of a scenario.

    Parameters
    ----------
    scenario
        What is moved, over what, by which rule.
    goodput_bytes_per_s
        What link and hosts together can give, see :func:`migkit.models.goodput.goodput` [B/s].
    lead_s
        Time before the first byte of memory, set-up not included [s].

    Examples
    --------
    >>> packed = pack(Scenario(guest=Guest(memory_bytes=2**28)), 1e9)
    >>> int(packed.record[layout.NORMAL_PAGES])
    65536
    """
    guest = scenario.guest
    record = np.zeros(CLASS_BASE + CLASS_SLOTS * len(guest.dirty))
    steps: list[tuple[float, float]] = []
    _pack_guest(record, guest)
    for at, one in enumerate(guest.dirty):
        _pack_class(record, CLASS_BASE + at * CLASS_SLOTS, one, steps)
    _pack_host(record, scenario.host, guest)
    _pack_strategy(record, scenario.strategy)
    record[layout.GOODPUT] = record[layout.POSTCOPY_GOODPUT] = goodput_bytes_per_s
    record[layout.CAP] = scenario.policy.max_bandwidth_bytes_per_s
    record[layout.LEAD_S] = lead_s
    record[layout.QUANTUM_PAGES] = scenario.policy.preset.window_quantum_pages
    record[layout.RTT_S] = scenario.link.rtt_s
    record[layout.STEP_FIRST], record[layout.STEP_COUNT] = len(steps), len(scenario.link.steps)
    steps.extend(scenario.link.steps)
    return Packed(
        record, np.array(steps, dtype=np.float64).reshape(-1), policy_parameters(scenario.policy, scenario.strategy)
    )


def policy_parameters(rule: Policy, strategy: Strategy | None = None) -> np.ndarray:
    """Return the parameter record of a policy and of what a strategy asks of it."""
    return pack_policy(rule, strategy)


def _pack_guest(record: np.ndarray, guest: Guest) -> None:
    regions = sum(c.region_pages for c in guest.dirty)
    record[layout.NORMAL_PAGES] = guest.memory_pages - guest.zero_pages - regions
    record[layout.ZERO_PAGES] = guest.zero_pages
    record[layout.CLASSES] = len(guest.dirty)
    record[layout.CAPACITY] = guest.capacity_writes_per_s or 0.0
    record[layout.GRAIN_PAGES] = guest.tracking_bytes // PAGE_BYTES
    record[layout.FILL_ZERO] = guest.fill == "zero"


def _pack_class(record: np.ndarray, base: int, one: DirtyClass, steps: list[tuple[float, float]]) -> None:
    record[base + layout.KIND] = dirty.SWEEP if one.kind == "sweep" else dirty.RANDOM
    record[base + layout.PAGES] = one.region_pages
    record[base + layout.WRITES_PER_S] = one.writes_per_s
    record[base + layout.PHASE_FIRST] = len(steps)
    record[base + layout.PHASE_COUNT] = len(one.phases)
    record[base + layout.PHASE_OFFSET_S] = one.phase_offset_s
    record[base + layout.READS_PER_S] = one.reads_per_s
    record[base + layout.REWRITE_BYTES] = one.rewrite_bytes
    steps.extend(one.phases)


def _pack_host(record: np.ndarray, host: Host, guest: Guest) -> None:
    record[layout.PAGE_WIRE_BYTES] = PAGE_BYTES + host.page_header_bytes
    record[layout.ZERO_WIRE_BYTES] = host.zero_page_bytes
    record[layout.PAGE_CPU_S] = host.page_cpu_s
    record[layout.ZERO_CPU_S] = host.zero_page_cpu_s
    record[layout.SYNC_S] = host.sync_base_s + host.sync_per_page_s * guest.memory_pages
    record[layout.SETUP_S] = host.setup_s
    record[layout.QUIESCE_S] = host.quiesce_s
    record[layout.LOAD_S] = host.load_s
    record[layout.RESUME_S] = host.resume_s
    record[layout.WRITE_FAULT_S] = host.write_fault_s
    record[layout.FAULT_SERVICE_S] = host.fault_service_s
    record[layout.REGISTER_PER_PAGE_S] = host.register_per_page_s
    record[layout.WINDOW_S] = WINDOW_S
    record[layout.POLL_S] = POLL_S


def _pack_strategy(record: np.ndarray, strategy: Strategy) -> None:
    record[layout.POSTCOPY_AFTER_S] = math.inf
    record[layout.POSTCOPY_AFTER_ROUNDS] = math.inf
    if strategy.name == "hybrid":
        after_s, rounds = strategy.postcopy_after_s, strategy.postcopy_after_rounds
        if after_s is not None:
            record[layout.POSTCOPY_AFTER_S] = after_s
        if rounds is not None or after_s is None:
            record[layout.POSTCOPY_AFTER_ROUNDS] = rounds or 1
    record[layout.STRATEGY] = _STRATEGY.get(strategy.name, layout.PRECOPY)
    record[layout.PREFETCH_PAGES] = strategy.prefetch_pages
    record[layout.PREEMPT] = strategy.preempt
