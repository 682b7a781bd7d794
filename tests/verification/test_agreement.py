"""The expected-value engine against the mean of page-level runs, on random scenarios of all strategies."""

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, simulate
from migkit.models.predict import predict

MIB = 2**20
STRATEGIES = ("precopy", "precopy", "auto_converge", "dirty_limit", "stopcopy", "postcopy", "hybrid")
POLICIES = ("nova", "kubevirt", "kubevirt-ramp", "kubevirt-stall", "ovirt", "proxmox", "xen", "xen-4.5")
POLICIES += ("cloud-hypervisor", "criu-phaul", "criu-go-phaul", "vmware-like", "hyperv-like", "qemu-10")
MEASURES = ("total_time_s", "transferred_bytes", "remaining_at_switchover_bytes")


@dataclasses.dataclass(frozen=True)
class Difference:
    scenario: Scenario
    verdicts: tuple[str, ...]
    predicted: tuple[float, ...]
    simulated: tuple[float, ...]

    def of(self, measure: str) -> float:
        """Return the relative difference of a measure."""
        at = MEASURES.index(measure)
        if self.simulated[at] == self.predicted[at]:
            return 0.0
        if not math.isfinite(self.predicted[at]) or self.simulated[at] == 0.0:
            return math.inf
        return abs(self.predicted[at] / self.simulated[at] - 1.0)


def random_scenario(rng: np.random.Generator, policy: str) -> Scenario:
    """Return a scenario of a small guest, so that many page-level runs of it are quick."""
    memory = int(rng.integers(96, 513)) * MIB
    classes = tuple(_random_class(rng, memory // 4) for _ in range(int(rng.integers(0, 4))))
    used = sum(c.region_bytes for c in classes)
    guest = Guest(
        memory_bytes=memory,
        zero_bytes=int(rng.uniform(0, 0.9) * (memory - used)) // 4096 * 4096,
        dirty=classes,
        capacity_writes_per_s=_capacity(rng, classes),
    )
    rule = Policy(
        name=policy,
        max_bandwidth_bytes_per_s=float(np.exp(rng.uniform(np.log(2e7), np.log(4e8)))),
        downtime_limit_s=float(rng.choice([0.05, 0.1, 0.3, 0.5, 1.0])),
        time_limit_s=30.0,
    )
    link = Link(bandwidth_bytes_per_s=float(np.exp(rng.uniform(np.log(1e8), np.log(1.5e9)))), rtt_s=2e-4)
    return Scenario(guest=guest, policy=rule, link=link, host=Host(fault_service_s=1e-4), strategy=_strategy(rng))


def _random_class(rng: np.random.Generator, most: int) -> DirtyClass:
    region = int(rng.uniform(0.05, 1.0) * most) // 4096 * 4096
    phases = ((2.0, 1.0), (1.0, 0.2)) if rng.random() < 0.2 else ()
    return DirtyClass(
        region_bytes=region,
        writes_per_s=float(np.exp(rng.uniform(np.log(50), np.log(20000)))),
        kind=str(rng.choice(["random", "random", "sweep"])),
        phases=phases,
        phase_offset_s=float(rng.uniform(0, 3)) if phases else 0.0,
    )


def _capacity(rng: np.random.Generator, classes: tuple[DirtyClass, ...]) -> float | None:
    demand = sum(c.writes_per_s for c in classes)
    return float(demand * rng.uniform(1.0, 20.0)) if demand and rng.random() < 0.5 else None


def _strategy(rng: np.random.Generator) -> Strategy:
    name = str(rng.choice(STRATEGIES))
    if name == "auto_converge":
        return Strategy(auto_converge=True)
    if name == "dirty_limit":
        return Strategy(dirty_limit_bytes_per_s=float(rng.uniform(1e7, 5e7)))
    if name == "hybrid":
        return Strategy(name=name, postcopy_after_s=float(rng.uniform(0.3, 3.0)))
    return Strategy(name=name)


def with_differences(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario in which pages are sent as differences, against a cache that may be too small."""
    cache = int(2 ** rng.integers(23, 28))
    strategy = dataclasses.replace(scenario.strategy, xbzrle=True, xbzrle_cache_bytes=cache)
    rewrites = [int(rng.choice([8, 64, 512])) for _ in scenario.guest.dirty]
    dirty = [dataclasses.replace(one, rewrite_bytes=n) for one, n in zip(scenario.guest.dirty, rewrites, strict=True)]
    return dataclasses.replace(
        scenario, strategy=strategy, guest=dataclasses.replace(scenario.guest, dirty=tuple(dirty))
    )


def with_zero_regions(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario whose regions start as zero pages."""
    return dataclasses.replace(scenario, guest=dataclasses.replace(scenario.guest, fill="zero"))


def with_growth(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario in which some regions are zero until they are written, once and in order."""
    dirty = [
        dataclasses.replace(one, kind="growth", sweep_offset_bytes=int(rng.integers(0, one.region_pages)) * 4096)
        if rng.random() < 0.6
        else one
        for one in scenario.guest.dirty
    ]
    return dataclasses.replace(scenario, guest=dataclasses.replace(scenario.guest, dirty=tuple(dirty)))


def with_zeros(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario some of whose regions hold zero pages at any moment."""
    share = [float(rng.choice([0.0, rng.uniform(0.0, 1.0), 1.0], p=[0.2, 0.7, 0.1])) for _ in scenario.guest.dirty]
    dirty = [dataclasses.replace(one, zero_share=z) for one, z in zip(scenario.guest.dirty, share, strict=True)]
    return dataclasses.replace(scenario, guest=dataclasses.replace(scenario.guest, dirty=tuple(dirty)))


def with_streams(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario that sends over several streams, in packets."""
    strategy = dataclasses.replace(scenario.strategy, streams=int(rng.integers(2, 9)))
    return dataclasses.replace(scenario, strategy=strategy)


def with_prefetch(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario that goes post-copy and sends neighbours behind pages that faulted."""
    strategy = Strategy(
        name=str(rng.choice(["postcopy", "hybrid"])),
        postcopy_after_s=float(rng.uniform(0.3, 3.0)),
        prefetch_pages=int(rng.choice([1, 4, 16, 64])),
    )
    return dataclasses.replace(scenario, strategy=strategy)


def with_demands_in_the_queue(rng: np.random.Generator, scenario: Scenario) -> Scenario:
    """Return a scenario that goes post-copy and answers demands behind what is on its way already."""
    strategy = Strategy(
        name=str(rng.choice(["postcopy", "hybrid"])), postcopy_after_s=float(rng.uniform(0.3, 3.0)), preempt=False
    )
    link = dataclasses.replace(scenario.link, queue_bytes=float(rng.uniform(0.1, 4.0) * MIB))
    return dataclasses.replace(scenario, strategy=strategy, link=link)


FEATURES = (
    with_differences,
    with_zero_regions,
    with_growth,
    with_zeros,
    with_streams,
    with_prefetch,
    with_demands_in_the_queue,
)


# The engine leaves fewer bytes at switchover than the simulator where differences are sent of interleaved memory:
# 6.5 % at the 95th percentile, with 3 runs each as with 15. A window of several streams is large, and so is what a
# small difference at a sync moves: up to 22 % of what is left then, and 3.9 % of the total time. Which pages are zero
# is chance, and of many of them a window sends more pages than its quota: runs switch over a window sooner or later.
WITHIN = {with_differences: 0.08, with_streams: 0.25, with_zeros: 1.0}
LATE = {with_streams: 0.05}


def differences(
    count: int,
    repeats: int,
    seed: int,
    policies: tuple[str, ...] = ("qemu-7",),
    feature: Callable[[np.random.Generator, Scenario], Scenario] = lambda rng, scenario: scenario,
) -> list[Difference]:
    """Return the differences on ``count`` random scenarios, found by two processes."""
    rng = np.random.default_rng(seed)
    scenarios = [feature(rng, random_scenario(rng, policies[at % len(policies)])) for at in range(count)]
    with ProcessPoolExecutor(2) as processes:
        return list(processes.map(difference, scenarios, range(count), [repeats] * count, chunksize=5))


def difference(scenario: Scenario, seed: int, repeats: int) -> Difference:
    """Compare the engines on one scenario."""
    simulated, predicted = simulate(scenario, seed=seed, repeats=repeats), predict(scenario, level=None)
    return Difference(
        scenario=scenario,
        verdicts=(predicted.verdict, *(run.verdict for run in simulated.runs)),
        predicted=tuple(getattr(predicted, m) for m in MEASURES),
        simulated=tuple(simulated.mean(m) for m in MEASURES),
    )


def check(rows: list[Difference], alike: float, at_switchover: float = 0.05, most: float = 0.03) -> None:
    """Hold median and 95th percentile to their bounds, and bytes at switchover where there was one."""
    same = [row for row in rows if len(set(row.verdicts)) == 1]
    assert len(same) >= alike * len(rows)
    for measure in MEASURES[:2]:
        found = np.array([row.of(measure) for row in same])
        assert np.median(found) <= 0.01, measure
        assert np.quantile(found, 0.95) <= most, measure
    switched = np.array([row.of(MEASURES[2]) for row in same if row.verdicts[0] == "converges"])
    assert np.quantile(switched, 0.95) <= at_switchover


def test_a_few_random_scenarios_agree():
    check(differences(count=40, repeats=4, seed=20), alike=0.97)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_few_random_scenarios_agree_on(feature):
    rows = differences(count=40, repeats=3, seed=20, feature=feature)
    check(rows, alike=0.9, at_switchover=WITHIN.get(feature, 0.05), most=LATE.get(feature, 0.03))


@pytest.mark.verification
@pytest.mark.parametrize("feature", FEATURES)
def test_random_scenarios_agree_on(feature):
    check(differences(count=100, repeats=20, seed=3, feature=feature), alike=0.97, most=LATE.get(feature, 0.03))


@pytest.mark.verification
def test_random_scenarios_agree():
    check(differences(count=200, repeats=40, seed=1), alike=0.97)


@pytest.mark.verification
def test_random_scenarios_agree_under_every_policy():
    check(differences(count=200, repeats=20, seed=2, policies=POLICIES), alike=0.95)
