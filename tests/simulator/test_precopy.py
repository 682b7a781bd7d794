"""The page-level simulator's kernels: plain and compiled alike, and closed forms."""

import math
import subprocess
import sys

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, simulate
from migkit.engine import dirty

MIB = 2**20

RUN = """
import sys
import numpy as np
from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy
from migkit import jit as _jit
from migkit.simulator import precopy as pages
from migkit.simulator import records
from migkit.engine.packing import pack
from migkit.engine.records import Result, RoundRow, TimePoint

if sys.argv[1] == "compiled":
    _jit.compile_kernels()
guest = Guest(
    memory_bytes=2**22, zero_bytes=2**20, fill="zero", capacity_writes_per_s=6000,
    dirty=(
        DirtyClass(region_bytes=2**20, writes_per_s=3000, reads_per_s=500, phases=((0.3, 1.0), (0.2, 0.5))),
        DirtyClass(region_bytes=2**19, writes_per_s=900, kind="sweep"),
    ),
)
strategies = (
    Strategy(), Strategy(name="stopcopy"), Strategy(name="postcopy", prefetch_pages=2),
    Strategy(name="hybrid", postcopy_after_s=0.3), Strategy(auto_converge=True),
    Strategy(dirty_limit_bytes_per_s=1e6),
)
for name in ("qemu-7", "kubevirt-ramp", "vmware-like"):
    for strategy in strategies:
        rule = Policy(name=name, max_bandwidth_bytes_per_s=4e6, downtime_limit_s=0.02, time_limit_s=6.0)
        host = Host(platform="qemu-tcg", write_fault_s=2e-6, sync_base_s=1e-3, fault_service_s=1e-4, firmware_bytes=0)
        link = Link(bandwidth_bytes_per_s=5e7, rtt_s=1e-4, steps=((0.4, 1.0), (0.2, 0.1)))
        packed = pack(Scenario(guest=guest, policy=rule, strategy=strategy, host=host, link=link), 5e7)
        result, rounds, line = Result.new(), np.zeros(400), np.zeros(300)
        film = records.new_film(guest.memory_pages, 5, 8, 0.2)
        memory = np.zeros(guest.memory_pages, dtype=np.uint16)
        tables = _jit.rows(RoundRow, rounds), _jit.rows(TimePoint, line)
        rng = np.random.default_rng(4)
        room = records.room(packed, memory.size)
        pages.pages_one(*packed.of_one(), room, film, memory, rng, result, *tables, None)
        for array in (result, rounds, line, film.times_s, film.rounds, film.cells.astype(float)):
            print([x.hex() for x in array.tolist()])
        print(memory.sum(), rng.random().hex())
"""


@pytest.mark.compiled
def test_compiled_and_plain_runs_are_equal_to_the_last_bit():
    plain, compiled = (
        subprocess.run([sys.executable, "-c", RUN, mode], capture_output=True, text=True, check=True).stdout
        for mode in ("plain", "compiled")
    )
    assert plain == compiled
    assert plain.count("\n") == 3 * 6 * 7


@pytest.mark.parametrize("kind", ["random", "sweep"])
def test_one_round_marks_what_the_dirty_law_says(kind):
    """Two passes of a rule that stops after the first: what is marked is U(t) of the class."""
    region = DirtyClass(region_bytes=16 * MIB, writes_per_s=3000, kind=kind)
    guest = Guest(memory_bytes=16 * MIB, dirty=(region,))
    rule = Policy.named("hyperv-like", passes=1, max_bandwidth_bytes_per_s=1.6e7)
    case = Scenario(guest=guest, policy=rule, host=Host(platform="qemu-tcg", firmware_bytes=0))
    result = simulate(case, repeats=30)
    stop_s = result.mean("total_time_s") - result.mean("downtime_s")
    code = dirty.SWEEP if kind == "sweep" else dirty.RANDOM
    expected = region.region_pages * dirty.newly_dirty(code, region.region_pages, 3000 * stop_s, 1.0)
    assert result.mean("normal_pages") - guest.memory_pages == pytest.approx(expected, rel=0.01)


def test_writes_above_the_bandwidth_never_converge():
    region = DirtyClass(region_bytes=32 * MIB, writes_per_s=50_000)
    guest = Guest(memory_bytes=32 * MIB, dirty=(region,))
    rule = Policy(max_bandwidth_bytes_per_s=2e7, downtime_limit_s=0.1, time_limit_s=20.0)
    run = simulate(Scenario(guest=guest, host=Host(platform="qemu-tcg"), policy=rule)).runs[0]
    assert (run.verdict, run.total_time_s) == ("timed_out", 20.0)


def test_remaining_settles_at_the_fixed_point():
    """``v = page U(v / B)``: where the remaining bytes of a guest that cannot converge settle."""
    region = DirtyClass(region_bytes=32 * MIB, writes_per_s=8_000)
    rule = Policy.named("hyperv-like", passes=40, max_bandwidth_bytes_per_s=2.5e7)
    guest = Guest(memory_bytes=32 * MIB, dirty=(region,), layout="blocks")
    case = Scenario(guest=guest, host=Host(platform="qemu-tcg"), policy=rule)
    pages = 8192.0
    for _ in range(200):
        pages = 8192.0 * -math.expm1(-8000.0 * pages * 4104 / 2.5e7 / 8192.0)
    sent = simulate(case).runs[0]
    # The last pass is sent uncapped within the downtime; it is the fixed point.
    assert sent.downtime_s == pytest.approx(pages * 4104 / 1.5e9, rel=0.1)


def test_postcopy_faults_are_accesses_that_find_their_page_missing():
    """Accesses at rate a find a share u of the pages missing, each costs L: ``a T int_0^1 u / (1 + a L u) du``."""
    region = DirtyClass(region_bytes=64 * MIB, writes_per_s=2000, reads_per_s=3000)
    guest = Guest(memory_bytes=64 * MIB, dirty=(region,))
    case = Scenario(
        guest=guest,
        policy=Policy(name="libvirt"),
        link=Link(bandwidth_bytes_per_s=1e8),
        host=Host(platform="qemu-tcg", firmware_bytes=0, fault_service_s=0.0),
        strategy=Strategy(name="postcopy"),
    )
    result = simulate(case, repeats=20)
    push_s = result.mean("total_time_s") - result.mean("downtime_s")
    assert push_s == pytest.approx(64 * MIB / 4096 * 4104 / 1e8, rel=0.01)
    slowed = 5000 * 4104 / 1e8
    share = 1 / slowed - math.log1p(slowed) / slowed**2
    assert result.mean("postcopy_faults") == pytest.approx(5000 * push_s * share, rel=0.03)


@pytest.mark.parametrize("zero_mib", [0, 16])
@pytest.mark.parametrize("cap", [3.1e7, 9.7e7, math.inf])
def test_a_capped_push_goes_in_windows_as_fast_as_the_path(zero_mib, cap):
    """Ten quotas a second, the last one without a wait; zero pages fit in whatever window they come in."""
    guest = Guest(
        memory_bytes=64 * MIB,
        zero_bytes=zero_mib * MIB,
        dirty=(DirtyClass(region_bytes=8 * MIB, writes_per_s=0.0),),
        layout="blocks",
    )
    case = Scenario(
        guest=guest,
        policy=Policy(name="qemu-10.1", max_postcopy_bandwidth_bytes_per_s=cap),
        link=Link(bandwidth_bytes_per_s=2e8),
        host=Host(platform="qemu-tcg", window_extra_s=0.0, firmware_bytes=0, setup_s=0.0),
        strategy=Strategy(name="postcopy"),
    )
    full_bytes = (64 - zero_mib) * MIB / 4096 * 4104
    host = case.host
    zero_s = zero_mib * MIB / 4096 * (host.zero_page_cpu_s + host.postcopy_zero_page_cpu_s)
    waits = math.ceil(full_bytes / (0.1 * cap)) - 1 if cap < 2e8 else 0
    push_s = 0.1 * waits + (full_bytes - 0.1 * cap * waits if waits else full_bytes) / 2e8 + zero_s
    one, other = simulate(case), predict(case)
    assert one.mean("total_time_s") - one.mean("downtime_s") == pytest.approx(push_s, rel=2e-3)
    assert other.total_time_s - other.downtime_s == pytest.approx(push_s, rel=2e-3)


def test_no_page_is_lost_in_the_scan():
    rule = Policy.named("xen", max_bandwidth_bytes_per_s=2e7)
    for seed in range(5):
        region = DirtyClass(region_bytes=8 * MIB, writes_per_s=20_000)
        case = Scenario(guest=Guest(memory_bytes=16 * MIB, dirty=(region,)), policy=rule)
        run = simulate(case, seed=seed).runs[0]
        assert run.iterations == 6
        assert run.normal_pages >= case.guest.memory_pages
        assert np.isfinite(run.total_time_s)
