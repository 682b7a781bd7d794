"""What simulators of data centres assume of a migration: models to compare with, not to plan by.

Each takes a scenario, reads from it what its authors' model knows, and ignores the rest. None knows a
hypervisor's switchover rule; the dirty rate, where there is one, is a constant:
``D = page size x writes/s`` of all classes, as if no page were written twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from migkit.models.goodput import goodput
from migkit.scenario import Scenario
from migkit.units import MIB, PAGE_BYTES

__all__ = ["MODELS", "Comparison", "btrplace", "cloudsim", "cloudsim_mig", "cloudsim_plain", "dcsim", "simgrid"]

SIMGRID_WORKING_SET: Final = 0.9  # of the RAM, for a VM created without saying
SIMGRID_DOWNTIME_S: Final = 0.03
SIMGRID_TIMEOUT_S: Final = 1e7
CLOUDSIM_SHARE: Final = 0.5  # of the bandwidth, the other half is for other VMs
CLOUDSIM_EXTRA_S: Final = 10.0
CLOUDSIM_MIG_DIRTY_SHARE: Final = 0.8
CLOUDSIM_MIG_DOWNTIME_S: Final = 0.5
CLOUDSIM_MIG_ROUNDS: Final = 30
CLOUDSIM_MIG_STEP_S: Final = 0.05  # before and after
BTRPLACE_HOT_BYTES: Final = 5 * MIB
BTRPLACE_HOT_S: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What such a model says.

    Attributes
    ----------
    total_time_s, downtime_s
        Request to end; guest stopped to guest running [s].
    transferred_bytes
        Bytes sent.
    rounds
        Passes, the last one with the guest stopped included where there is one.
    converges
        False: it ran into the model's own limit.
    """

    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    rounds: int
    converges: bool = True


def _bandwidth(scenario: Scenario) -> float:
    return float(min(goodput(scenario), scenario.policy.max_bandwidth_bytes_per_s))


def _dirty_rate(scenario: Scenario) -> float:
    return PAGE_BYTES * scenario.guest.writes_per_s


def simgrid(scenario: Scenario) -> Comparison:
    """Return SimGrid's answer: linear dirtying with a cap, pre-copy until 30 ms remain.

    Round k sends ``min(D t, 0.9 RAM)`` with t the time of round k - 1; the first sends the RAM. It stops when
    what is to be sent would take at most 30 ms at the bandwidth of the last round. After 1e7 s the VM is
    stopped in mid-round (SimGrid 4, src/plugins/vm/VmLiveMigration.cpp). In SimGrid's terms
    ``D = migration speed x dirty-page intensity / host speed`` for a VM that uses all of its host.

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> still = Scenario(guest=Guest(memory_bytes=10**6 * 4096), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                  policy=Policy(name="libvirt"))
    >>> simgrid(still).total_time_s
    10.0
    """
    bandwidth, rate = _bandwidth(scenario), _dirty_rate(scenario)
    working_set = SIMGRID_WORKING_SET * scenario.guest.memory_bytes
    remaining = float(scenario.guest.memory_bytes)
    total_s, rounds = 0.0, 0
    while rounds == 0 or remaining > bandwidth * SIMGRID_DOWNTIME_S:
        round_s = remaining / bandwidth
        again = min(rate * round_s, working_set)
        if again == remaining and rounds > 0:  # for ever, but for the time-out
            skipped = math.floor((SIMGRID_TIMEOUT_S - total_s) / round_s)
            rounds, total_s = rounds + skipped, total_s + skipped * round_s
        if rounds > 0 and total_s + round_s > SIMGRID_TIMEOUT_S:
            cut_s = max(0.0, SIMGRID_TIMEOUT_S - total_s)
            remaining += min(rate * cut_s, working_set) - bandwidth * cut_s
            total_s, rounds = total_s + cut_s, rounds + 1
            break
        remaining, total_s, rounds = again, total_s + round_s, rounds + 1
    downtime_s = remaining / bandwidth
    return Comparison(
        total_time_s=total_s + downtime_s,
        downtime_s=downtime_s,
        transferred_bytes=(total_s + downtime_s) * bandwidth,
        rounds=rounds + (remaining > 0),
        converges=downtime_s <= SIMGRID_DOWNTIME_S,
    )


def cloudsim(scenario: Scenario) -> Comparison:
    """Return CloudSim's answer (power-aware data centre), and CloudSim Plus's: ``T = RAM / (bandwidth / 2)``.

    There is no downtime. For its time the source charges the guest a tenth of its processing (CloudSim
    PowerDatacenter, PowerVmAllocationPolicyMigrationAbstract; CloudSim Plus DatacenterSimple).

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> cloudsim(Scenario(guest=Guest(memory_bytes=4096 * 10**6), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                   policy=Policy(name="libvirt"))).total_time_s
    20.0
    """
    memory = float(scenario.guest.memory_bytes)
    total_s = memory / (CLOUDSIM_SHARE * _bandwidth(scenario))
    return Comparison(total_time_s=total_s, downtime_s=0.0, transferred_bytes=memory, rounds=1)


def cloudsim_plain(scenario: Scenario) -> Comparison:
    """Return the answer of CloudSim's data centre without power model: ``T = RAM / bandwidth + 10 s``.

    Source: CloudSim PowerDatacenterNonPowerAware.

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> still = Scenario(guest=Guest(memory_bytes=4096 * 10**6), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                  policy=Policy(name="libvirt"))
    >>> cloudsim_plain(still).total_time_s
    20.0
    """
    memory = float(scenario.guest.memory_bytes)
    total_s = memory / _bandwidth(scenario) + CLOUDSIM_EXTRA_S
    return Comparison(total_time_s=total_s, downtime_s=0.0, transferred_bytes=memory, rounds=1)


def cloudsim_mig(scenario: Scenario) -> Comparison:
    """Return CloudSimMig's answer: each round sends ``0.8 D t`` of the round before.

    It stops and copies when a round would leave more than it sent, when the rest would take less than 0.5 s,
    or after 30 rounds; 0.05 s are spent before and as much after.

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> still = Scenario(guest=Guest(memory_bytes=4096 * 10**6), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                  policy=Policy(name="libvirt"))
    >>> round(cloudsim_mig(still).total_time_s, 1)
    10.1
    """
    bandwidth, rate = _bandwidth(scenario), CLOUDSIM_MIG_DIRTY_SHARE * _dirty_rate(scenario)
    remaining = float(scenario.guest.memory_bytes)
    sent, total_s, rounds = 0.0, CLOUDSIM_MIG_STEP_S, 0
    while True:
        round_s = remaining / bandwidth
        sent, total_s, rounds = sent + remaining, total_s + round_s, rounds + 1
        again = rate * round_s
        grows = bandwidth * round_s < again
        remaining = again
        if grows or remaining / bandwidth < CLOUDSIM_MIG_DOWNTIME_S or rounds >= CLOUDSIM_MIG_ROUNDS:
            break
    downtime_s = remaining / bandwidth
    return Comparison(
        total_time_s=total_s + downtime_s + CLOUDSIM_MIG_STEP_S,
        downtime_s=downtime_s,
        transferred_bytes=sent + remaining,
        rounds=rounds + 1,
    )


def btrplace(scenario: Scenario) -> Comparison:
    """Return BtrPlace's estimate, its default dirtying: 5 MB hot in 2 s, nothing beyond.

    With B the bandwidth at 8/9 of its nominal value and ``t0 = RAM / B``, r = 5 MB / 2 s: ``T = t0 + 5 MB / B +
    5 MB / B x r / (B - r)`` beyond 2 s, else ``T = t0 + r t0 / (B - r)``.

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> still = Scenario(guest=Guest(memory_bytes=4096 * 10**6), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                  policy=Policy(name="libvirt"))
    >>> round(btrplace(still).total_time_s, 2)
    11.26
    """
    bandwidth = _bandwidth(scenario) * 8.0 / 9.0
    memory = float(scenario.guest.memory_bytes)
    first_s, rate = memory / bandwidth, BTRPLACE_HOT_BYTES / BTRPLACE_HOT_S
    if bandwidth <= rate:
        return Comparison(
            total_time_s=float("inf"), downtime_s=0.0, transferred_bytes=float("inf"), rounds=1, converges=False
        )
    hot_s = BTRPLACE_HOT_BYTES / bandwidth
    if first_s > BTRPLACE_HOT_S:
        total_s = first_s + hot_s + hot_s * rate / (bandwidth - rate)
    else:
        total_s = first_s + rate * first_s / (bandwidth - rate)
    return Comparison(total_time_s=total_s, downtime_s=0.0, transferred_bytes=total_s * bandwidth, rounds=1)


def dcsim(scenario: Scenario) -> Comparison:
    """Return DCSim's answer: the RAM at a quarter of the bandwidth.

    Examples
    --------
    >>> from migkit import Guest, Link, Policy
    >>> still = Scenario(guest=Guest(memory_bytes=4096 * 10**6), link=Link(bandwidth_bytes_per_s=4.096e8),
    ...                  policy=Policy(name="libvirt"))
    >>> dcsim(still).total_time_s
    40.0
    """
    memory = float(scenario.guest.memory_bytes)
    total_s = memory / (_bandwidth(scenario) / 4.0)
    return Comparison(total_time_s=total_s, downtime_s=0.0, transferred_bytes=memory, rounds=1)


MODELS: Final[Mapping[str, Callable[[Scenario], Comparison]]] = MappingProxyType(
    {
        "simgrid": simgrid,
        "cloudsim": cloudsim,
        "cloudsim-plain": cloudsim_plain,
        "cloudsim-mig": cloudsim_mig,
        "btrplace": btrplace,
        "dcsim": dcsim,
    }
)
