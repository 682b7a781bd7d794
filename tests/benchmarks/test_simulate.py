"""The page-level simulator on guests that do not converge, against numpy drawing as many random pages in one run."""

import time

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Policy, Scenario, simulate

pytestmark = pytest.mark.benchmark

MIB = 2**20
PASSES = 52  # after which rounds are known to be alike, at least
AIM = 60.0  # times numpy: a page is drawn, marked, sent and looked at, not only drawn
MOST = 120.0


@pytest.mark.parametrize("memory_mib", [128, 1024])
def test_a_guest_without_an_end_costs_as_much_as_some_draws_a_page(memory_mib, record_property):
    region = DirtyClass(region_bytes=memory_mib * MIB, writes_per_s=1e6)
    guest = Guest(memory_bytes=memory_mib * MIB, dirty=(region,))
    case = Scenario(guest=guest, policy=Policy(downtime_limit_s=0.01))
    simulate(Scenario(guest=Guest(memory_bytes=MIB)))  # compile
    begun_s = time.process_time()
    run = simulate(case).runs[0]
    ours_s = time.process_time() - begun_s
    rng, theirs_s = np.random.default_rng(0), 0.0
    for _ in range(run.iterations):
        begun_s = time.process_time()
        rng.integers(0, guest.memory_pages, guest.memory_pages)
        theirs_s += time.process_time() - begun_s
    ratio = ours_s / theirs_s
    record_property("ratio_to_numpy", ratio)
    print(
        f"{memory_mib} MiB without an end: {ours_s:.2f} s of processor time for {run.iterations} passes, "
        f"{ratio:.1f} times numpy's draws of as many pages; aim {AIM:g}, bound {MOST:g}"
    )
    assert run.verdict == "does_not_converge"
    assert PASSES <= run.iterations <= 2 * PASSES
    assert ratio <= MOST
