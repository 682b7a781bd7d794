"""Traces for tests: consistent ones built from a seed, of any number of rounds and samples."""

import numpy as np
import pyarrow as pa
import pytest

from migkit.scenario import DirtyClass, Guest, Link, Policy, Scenario
from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, Outcome, Trace


def _make_trace(seed=0, rounds=3, samples=5, scenario=None, **changes):
    rng = np.random.default_rng(seed)
    scenario = scenario or Scenario(
        guest=Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**25, writes_per_s=1000.0),)),
        link=Link(bandwidth_bytes_per_s=1e9),
        policy=Policy(downtime_limit_s=0.3),
    )
    sent = rng.integers(0, 10**9, rounds)
    starts = np.cumsum(rng.random(rounds))
    round_data = {
        "iteration": np.arange(1, rounds + 1, dtype=np.int32),
        "start_s": starts,
        "duration_s": rng.random(rounds),
        "sync_s": rng.random(rounds) / 100,
        "guest_running_s": rng.random(rounds),
        "marked_pages": rng.integers(0, 10**6, rounds),
        "normal_pages": rng.integers(0, 10**6, rounds),
        "zero_pages": rng.integers(0, 10**6, rounds),
        "sent_bytes": sent,
        "remaining_bytes": rng.integers(0, 10**9, rounds),
    }
    total = int(sent.sum())
    sample_data = {
        "monotonic_ns": np.cumsum(rng.integers(1, 10**8, samples)),
        "phase": [str(p) for p in rng.choice(["setup", "precopy", "stopcopy", "done"], samples)],
        "iteration": np.sort(rng.integers(0, rounds + 1, samples)).astype(np.int32),
        "sent_bytes": np.sort(rng.integers(0, total + 1, samples)),
        "remaining_bytes": rng.integers(0, 10**9, samples),
        "dirtied_pages": np.sort(rng.integers(0, 10**9, samples)),
        "guest_operations": rng.integers(-1, 10**6, samples),
    }
    fields = {
        "scenario": scenario,
        "kind": "harness",
        "machine": {"kernel": "6.18", "cpus": 2, "tracker": "write-protect", "versions": ["a", "b"]},
        "samples": make_table(SAMPLE_COLUMNS, sample_data),
        "rounds": make_table(ROUND_COLUMNS, round_data),
        "outcome": Outcome(
            verdict="converges",
            total_time_s=float(rng.random() + starts[-1]) if rounds else 1.0,
            downtime_s=0.01,
            transferred_bytes=total,
            iterations=rounds,
            remaining_at_switchover_bytes=4096,
            downtime_parts_s={"quiesce_s": 0.001, "final_copy_s": 0.009},
            guest_operations=12345,
            verified=True,
            reason="the estimate fell below the threshold",
        ),
    }
    return Trace(**(fields | changes))


def _with_column(trace_table, name, values):
    index = trace_table.column_names.index(name)
    return trace_table.set_column(index, name, pa.array(values, trace_table.schema.field(name).type))


@pytest.fixture(scope="session")
def make_trace():
    """Consistent traces from a seed."""
    return _make_trace


@pytest.fixture(scope="session")
def with_column():
    """A table with one column replaced."""
    return _with_column
