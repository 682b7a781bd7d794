"""Traces computed by the expected-value engine with known constants, and measured with known scatter."""

import dataclasses

import numpy as np
import pytest

from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario, Strategy
from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, Outcome, Trace
from migkit.units import MIB

TRUE = dataclasses.replace(
    Host(
        goodput_bytes_per_s=1.2e9,
        page_header_bytes=8.3,
        zero_page_bytes=9.3,
        zero_page_cpu_s=3e-7,
        sync_base_s=0.8e-3,
        sync_per_page_s=3e-8,
        setup_s=0.02,
        quiesce_s=0.004,
        load_s=0.006,
        resume_s=0.002,
        release_s=0.03,
        postcopy_bytes_per_s=0.8e9,
        fault_service_s=3e-4,
        register_per_page_s=2e-7,
        tls_bytes_per_s=0.5e9,
        zlib_bytes_per_s=0.6e8,
        zstd_bytes_per_s=2.5e8,
        lz4_bytes_per_s=5.5e8,
    ).sends_as_harness(),
    postcopy_zero_page_cpu_s=6e-7,
)


ENCODED = ((("tls", True),), *((("compression", name),) for name in ("zlib", "zstd", "lz4")))


def _scenario(
    memory_mib=256, writes_per_s=2000.0, cap=80e6, zero_mib=64, strategy="precopy", host=TRUE, encoding=(), **policy
):
    guest = Guest(
        memory_bytes=memory_mib * MIB,
        zero_bytes=zero_mib * MIB,
        dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=writes_per_s),),
        compression_ratio=2.5,
    )
    rule = Policy(max_bandwidth_bytes_per_s=cap, **policy)
    return Scenario(guest=guest, host=host, policy=rule, strategy=Strategy(name=strategy, **dict(encoding)))


def _whole(parts, total):
    """Round to whole numbers that add up to ``total``."""
    return np.diff(np.rint(np.cumsum([0.0, *parts]) * (total / max(sum(parts), 1e-9)))).astype(np.int64)


def _computed(scenario, seed=None, scatter=0.01):
    """What a run of ``scenario`` measures, each time off by ``scatter`` and 0.1 ms (``seed=None``: exactly)."""
    rng = np.random.default_rng(seed)
    level = 0.0 if seed is None else 1.0

    def measured(time_s):
        return max(0.0, float(time_s * (1 + level * scatter * rng.normal()) + level * 1e-4 * rng.normal()))

    result, host = predict(scenario), scenario.host
    rounds = result.rounds
    sync_s = [0.0] + [measured(r.sync_s) for r in rounds[1:]]
    starts = [r.start_s for r in rounds]
    starts[0] = measured(rounds[0].start_s + rounds[0].sync_s)
    durations = [measured(r.duration_s) for r in rounds]
    durations[0] = measured(rounds[0].duration_s - rounds[0].sync_s)
    last, stopped = rounds[-1], result.verdict == "converges"
    parts, machine = {}, {}
    if stopped:
        load_s = host.load_s
        copy_s = last.duration_s - last.sync_s - host.load_s - host.resume_s
        if scenario.strategy.name == "postcopy":
            copy_s, load_s = 0.0, host.load_s + host.register_per_page_s * last.remaining_bytes / 4096
            faults = {"faults": result.postcopy_faults, "blocktime_s": measured(result.blocktime_s)}
            machine = {"postcopy": faults}
        parts = {
            "quiesce_s": measured(host.quiesce_s),
            "final_sync_s": sync_s[-1],
            "final_copy_s": measured(copy_s),
            "load_s": measured(load_s),
            "resume_s": measured(host.resume_s),
        }
    total = round(result.transferred_bytes)
    running = [r.duration_s for r in rounds]
    running[-1] = 0.0 if stopped else running[-1]
    operations = round(scenario.guest.writes_per_s * (sum(running) + starts[0]))
    table = {
        "iteration": range(1, len(rounds) + 1),
        "start_s": np.maximum.accumulate(starts),
        "duration_s": durations,
        "sync_s": sync_s,
        "guest_running_s": running,
        "marked_pages": [round(r.marked_pages) for r in rounds],
        "normal_pages": [round(r.normal_pages) for r in rounds],
        "zero_pages": [round(r.zero_pages) for r in rounds],
        "sent_bytes": _whole([r.sent_bytes for r in rounds], total),
        "remaining_bytes": [round(r.remaining_bytes) for r in rounds],
    }
    times_s = [0.0, *starts, result.total_time_s]
    count = len(times_s)
    samples = {
        "monotonic_ns": [round(1e9 * t) for t in np.maximum.accumulate(times_s)],
        "phase": ["setup"] + ["precopy"] * (count - 2) + ["done"],
        "iteration": [0, *range(1, count - 1), count - 2],
        "sent_bytes": [0, 0, *np.cumsum(table["sent_bytes"])],
        "remaining_bytes": [0] * count,
        "dirtied_pages": [0] * count,
        "guest_operations": [0] * (count - 1) + [operations],
    }
    return Trace(
        scenario=dataclasses.replace(scenario, host=Host()),
        kind="computed",
        machine={"processor": "model", **machine},
        samples=make_table(SAMPLE_COLUMNS, samples),
        rounds=make_table(ROUND_COLUMNS, table),
        outcome=Outcome(
            verdict=result.verdict,
            total_time_s=measured(result.total_time_s),
            downtime_s=sum(parts.values()),
            transferred_bytes=total,
            iterations=len(rounds),
            remaining_at_switchover_bytes=round(result.remaining_at_switchover_bytes),
            downtime_parts_s=parts,
            guest_operations=operations,
            verified=True,
            reason="computed",
        ),
    )


@pytest.fixture(scope="session")
def true_host():
    """The constants that computed traces were made with."""
    return TRUE


@pytest.fixture(scope="session")
def scenario():
    """A scenario on hosts with those constants."""
    return _scenario


@pytest.fixture(scope="session")
def computed():
    """A trace of a scenario, computed."""
    return _computed


@pytest.fixture(scope="session")
def design():
    """Scenarios that together tell every constant."""
    return (
        _scenario(),
        _scenario(cap=120e6, writes_per_s=4000.0),
        _scenario(cap=60e6, writes_per_s=500.0, zero_mib=0),
        _scenario(memory_mib=512, cap=150e6),
        _scenario(cap=np.inf, zero_mib=0),
        _scenario(memory_mib=512, cap=np.inf, zero_mib=448),
        _scenario(strategy="stopcopy", cap=np.inf),
        _scenario(strategy="stopcopy", cap=np.inf, memory_mib=512, zero_mib=400),
        *(_scenario(strategy="stopcopy", cap=np.inf, encoding=encoding) for encoding in ENCODED),
        *(_scenario(strategy="stopcopy", cap=np.inf, zero_mib=128, encoding=encoding) for encoding in ENCODED),
        _scenario(strategy="postcopy", zero_mib=0),
        _scenario(strategy="postcopy", memory_mib=512, zero_mib=400),
    )
