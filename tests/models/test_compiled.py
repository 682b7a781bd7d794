"""Compiled kernels against the same functions as plain Python: equal to the last bit, in both engines."""

import dataclasses
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from migkit import Guest, jit, predict, simulate
from tests.verification.test_agreement import FEATURES, POLICIES, random_scenario

RULES = ("qemu", "qemu-7", "libvirt", *POLICIES)
PREDICTED = 10 * len(RULES)
SIMULATED = len(RULES)
SMALLER = 64  # times the memory, and what moves it, of a simulated guest


def random_scenarios(number):
    """Return scenarios under every policy, that draw on all that a kernel computes with."""
    rng = np.random.default_rng(12)
    return [varied(rng, random_scenario(rng, RULES[at % len(RULES)])) for at in range(number)]


def varied(rng, scenario):
    guest, host, link = scenario.guest, scenario.host, scenario.link
    dirty = tuple(dataclasses.replace(one, reads_per_s=rng.uniform(0, 5000)) for one in guest.dirty)
    tracking = int(rng.choice([2**12, 2**16, 2**21]))
    guest = dataclasses.replace(guest, dirty=dirty, tracking_bytes=tracking, compression_ratio=rng.uniform(1, 4))
    if rng.random() < 0.5:
        host = dataclasses.replace(host, write_fault_s=rng.uniform(0, 1e-5), page_cpu_s=rng.uniform(0, 5e-6))
    if rng.random() < 0.5:
        link = dataclasses.replace(link, steps=((rng.uniform(0, 2), rng.uniform(0, 1)), (0.7, 0.0)))
    feature = int(rng.integers(0, 2 * len(FEATURES)))
    if feature < len(FEATURES):
        return FEATURES[feature](rng, dataclasses.replace(scenario, guest=guest, host=host, link=link))
    policy = scenario.policy
    if policy.name.startswith("qemu"):
        policy = dataclasses.replace(policy, time_limit_s=np.inf)
    codec, prefetch = str(rng.choice(["none", "zlib", "zstd"])), int(rng.integers(0, 9))
    strategy = dataclasses.replace(scenario.strategy, compression=codec, prefetch_pages=prefetch)
    return dataclasses.replace(scenario, guest=guest, host=host, link=link, policy=policy, strategy=strategy)


def smaller(scenario):
    """Return a scenario of a guest that plain Python simulates within a second."""
    guest, policy = scenario.guest, scenario.policy
    dirty = tuple(
        dataclasses.replace(
            one,
            region_bytes=pages(one.region_bytes),
            writes_per_s=one.writes_per_s / SMALLER,
            reads_per_s=one.reads_per_s / SMALLER,
        )
        for one in guest.dirty
    )
    used = sum(one.region_bytes for one in dirty)
    guest = Guest(
        memory_bytes=max(pages(guest.memory_bytes), used + 4096),
        dirty=dirty,
        tracking_bytes=guest.tracking_bytes,
        capacity_writes_per_s=guest.capacity_writes_per_s and guest.capacity_writes_per_s / SMALLER,
    )
    cap = policy.max_bandwidth_bytes_per_s / SMALLER
    policy = dataclasses.replace(policy, max_bandwidth_bytes_per_s=cap, time_limit_s=8.0)
    link = dataclasses.replace(scenario.link, bandwidth_bytes_per_s=scenario.link.bandwidth_bytes_per_s / SMALLER)
    return dataclasses.replace(scenario, guest=guest, link=link, policy=policy)


def pages(size_bytes):
    return max(4096, size_bytes // SMALLER // 4096 * 4096)


def results():
    """Return what both engines say, with rounds and time line, and some intervals."""
    scenarios = random_scenarios(PREDICTED)
    runs = [simulate(smaller(scenario), seed=at, frames=5) for at, scenario in enumerate(scenarios[:SIMULATED])]
    levels = [0.9 if at % 8 == 0 else None for at in range(PREDICTED)]
    return [predict(scenario, level=level) for scenario, level in zip(scenarios, levels, strict=True)], [
        (run.runs, *(array.tobytes() for array in (run.frames.times_s, run.frames.rounds, run.frames.states)))
        for run in runs
    ]


PLAIN_PYTHON = """
import pickle, sys
from tests.models import test_compiled
with open(sys.argv[1], "wb") as file:
    pickle.dump(test_compiled.results(), file)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "results.pickle"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", PLAIN_PYTHON, path], check=True, env=environment)
    return pickle.loads(path.read_bytes())


def test_compiled_kernels_equal_plain_python_to_the_last_bit(plain):
    jit.compile_kernels()
    for mine, theirs in zip(results(), plain, strict=True):
        assert len(mine) == len(theirs) >= SIMULATED
        unlike = [at for at, pair in enumerate(zip(mine, theirs, strict=True)) if pair[0] != pair[1]]
        assert unlike == []


def test_the_scenarios_reach_every_end_and_strategy(plain):
    scenarios = random_scenarios(PREDICTED)
    assert {one.strategy.name for one in scenarios} == {"precopy", "stopcopy", "postcopy", "hybrid"}
    assert {one.verdict for one in plain[0]} >= {"converges", "aborted", "timed_out", "does_not_converge"}
    assert any(run[0][0].postcopy_faults > 0 for run in plain[1])
    assert any(run[0][0].verdict == "converges" and run[0][0].iterations > 3 for run in plain[1])


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="kernels stay plain")
def test_no_module_keeps_a_plain_kernel():
    script = (
        "import sys\nfrom migkit import jit\nimport migkit.engine.batch, migkit.models.history\n"
        "jit.compile_kernels()\n"
        "modules = [m for name, m in sys.modules.items() if name.startswith('migkit')]\n"
        "print([name for m in modules for name, value in vars(m).items() if isinstance(value, jit.Kernel)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
