"""The expected-value engine against closed forms, and itself one by one."""

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, jit
from migkit.engine import batch
from migkit.engine.packing import Packed
from migkit.engine.records import SETTLED, PackedScenario, Result
from migkit.models import goodput, history
from migkit.models.predict import predict
from migkit.policies import decision

MIB = 2**20
PLAIN = Host(
    platform="qemu-tcg",
    setup_s=0.0,
    window_extra_s=0.0,
    flush_pages=0.0,
    zero_page_cpu_s=0.0,
    command_s=0.0,
    goodput_bytes_per_s=1e9,
)


def run(**parts):
    scenario = Scenario(**({"host": PLAIN} | parts))
    packed, _ = goodput.packed(scenario)
    return history.run(packed, None, history.History(0, 0))


def test_a_guest_without_writes_is_sent_once_in_windows_and_one_burst():
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=64 * MIB)
    result = run(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=50e6, downtime_limit_s=0.0))
    assert result.sent_bytes == pytest.approx(192 * MIB / 4096 * 4104 + 64 * MIB / 4096 * 9)
    quota, sent = 50e6 * 0.1, result.sent_bytes
    windows = sent // quota
    assert result.total_s == pytest.approx(windows * 0.1 + (sent - windows * quota) / 1e9, abs=1e-3)


@pytest.mark.parametrize(
    ("policy", "streams", "packets"),
    [("qemu-7", 2, 10), ("qemu-7", 8, 10), ("qemu-10", 2, 10 + 0.8 * 2), ("qemu-10", 8, 10 + 0.8 * 8)],
)
def test_a_window_of_several_streams_ends_with_a_packet_and_those_under_way(policy, streams, packets):
    guest = Guest(memory_bytes=512 * MIB)
    host = Host(platform="qemu-tcg", setup_s=0.0, window_extra_s=0.0, goodput_bytes_per_s=1e9, firmware_bytes=0)
    cap = 9.5 * 128 * 4104 / 0.1
    limit = Policy(name=policy, max_bandwidth_bytes_per_s=cap, downtime_limit_s=0.0)
    result = run(guest=guest, host=host, policy=limit, strategy=Strategy(streams=streams))
    windows = np.floor(512 * MIB / 4096 / 128 / packets)
    assert 0.0 < result.total_s - 0.1 * windows < 0.05


def test_without_a_cap_a_round_takes_its_bytes_over_the_speed():
    guest = Guest(memory_bytes=1024 * MIB)
    result = run(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=np.inf, downtime_limit_s=0.0))
    assert result.total_s == pytest.approx(1024 * MIB / 4096 * 4104 / 1e9, rel=1e-9)


def test_stop_copy_is_down_for_all_of_its_bytes_in_windows_of_the_cap():
    guest = Guest(memory_bytes=256 * MIB, dirty=(DirtyClass(region_bytes=64 * MIB, writes_per_s=1e4),))
    result = run(guest=guest, strategy=Strategy(name="stopcopy"), policy=Policy(max_bandwidth_bytes_per_s=1e8))
    sent = 256 * MIB / 4096 * 4104
    windows = sent // (1e8 * 0.1)
    assert result.downtime_s == pytest.approx(0.1 * windows + (sent - windows * 1e8 * 0.1) / 1e9)
    assert result.sent_bytes == pytest.approx(sent)


def test_post_copy_sends_each_page_once_at_the_speed_of_the_path():
    guest = Guest(memory_bytes=256 * MIB, dirty=(DirtyClass(region_bytes=64 * MIB, writes_per_s=1e4),))
    result = run(guest=guest, strategy=Strategy(name="postcopy"), policy=Policy(max_bandwidth_bytes_per_s=1e7))
    assert result.sent_bytes == pytest.approx(256 * MIB / 4096 * 4104)
    assert result.total_s == pytest.approx(256 * MIB / 4096 * 4104 / 1e9, rel=1e-6)
    assert 0 < result.faults < 16384


def test_a_sweep_that_outruns_the_link_is_sent_whole_every_round():
    region = DirtyClass(region_bytes=256 * MIB, writes_per_s=4e6, kind="sweep")
    guest = Guest(memory_bytes=256 * MIB, dirty=(region,))
    rule = Policy(max_bandwidth_bytes_per_s=np.inf, downtime_limit_s=0.01, time_limit_s=5.0)
    result = run(guest=guest, policy=rule)
    assert result.action == decision.TIME_OUT
    assert result.sent_bytes == pytest.approx(5.0 * 1e9, rel=0.02)
    assert result.marked_pages == pytest.approx(65536 * result.iterations, rel=0.02)


def test_rounds_of_slow_random_writes_shrink_by_the_ratio_of_dirtying_and_speed():
    """``V_i = V lambda^i`` while ``U`` is linear: the geometric series of Liu et al. 2011."""
    guest = Guest(memory_bytes=4096 * MIB, dirty=(DirtyClass(region_bytes=4096 * MIB, writes_per_s=20_000),))
    scenario = Scenario(guest=guest, host=PLAIN, policy=Policy(name="hyperv-like", max_bandwidth_bytes_per_s=np.inf))
    sizes = [r.remaining_bytes for r in predict(scenario, level=None).rounds]
    ratio = 20_000 * 4104 / 1e9
    assert sizes[2] / sizes[1] == pytest.approx(ratio, rel=0.02)
    assert sizes[3] / sizes[2] == pytest.approx(ratio, rel=0.02)


def test_an_outage_delays_by_its_length():
    guest = Guest(memory_bytes=512 * MIB)
    cap = Policy(max_bandwidth_bytes_per_s=np.inf, downtime_limit_s=0.0)
    quiet = run(guest=guest, policy=cap)
    cut = run(guest=guest, policy=cap, link=Link(steps=((0.2, 1.0), (0.5, 0.0))))
    assert cut.total_s - quiet.total_s == pytest.approx(0.5, abs=0.06)
    assert cut.sent_bytes == pytest.approx(quiet.sent_bytes)


def test_a_write_rate_beyond_the_link_does_not_converge():
    guest = Guest(memory_bytes=256 * MIB, dirty=(DirtyClass(region_bytes=128 * MIB, writes_per_s=1e5),))
    assert run(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=5e7)).action == SETTLED


def test_rounds_that_are_alike_are_jumped_over_and_still_counted():
    guest = Guest(memory_bytes=64 * MIB, dirty=(DirtyClass(region_bytes=32 * MIB, writes_per_s=1e6),))
    short, long = (
        run(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=1e8, downtime_limit_s=0.05, time_limit_s=limit))
        for limit in (100.0, 10_000.0)
    )
    assert (short.action, long.action) == (decision.TIME_OUT, decision.TIME_OUT)
    assert long.sent_bytes / short.sent_bytes == pytest.approx(100, rel=0.01)
    assert long.iterations / short.iterations == pytest.approx(100, rel=0.03)


def test_a_guest_that_rests_after_long_work_converges_then():
    busy = DirtyClass(region_bytes=64 * MIB, writes_per_s=2e5, phases=((60.0, 1.0), (2.0, 0.0)))
    result = run(guest=Guest(memory_bytes=128 * MIB, dirty=(busy,)), policy=Policy(max_bandwidth_bytes_per_s=1e8))
    assert result.action == decision.SWITCHOVER
    assert 60.0 < result.total_s < 62.0


def test_a_throttle_bites_only_beyond_the_capacity():
    dirty = (DirtyClass(region_bytes=128 * MIB, writes_per_s=30_000),)
    rule = Policy(max_bandwidth_bytes_per_s=5e7, time_limit_s=40.0)
    flat_out, paced = (
        run(
            guest=Guest(memory_bytes=256 * MIB, dirty=dirty, capacity_writes_per_s=capacity),
            policy=rule,
            strategy=Strategy(auto_converge=True),
        )
        for capacity in (None, 3e6)
    )
    assert flat_out.action == decision.SWITCHOVER
    assert flat_out.lost_s > 1.0
    assert paced.action == decision.TIME_OUT
    assert paced.lost_s == 0.0


def random_scenarios(number):
    rng = np.random.default_rng(3)
    every = []
    for _ in range(number):
        dirty = tuple(
            DirtyClass(
                region_bytes=int(rng.integers(100, 9000)) * 4096,
                writes_per_s=float(rng.uniform(0, 20_000)),
                kind=str(rng.choice(["random", "sweep"])),
            )
            for _ in range(2)
        )
        guest = Guest(memory_bytes=256 * MIB, zero_bytes=int(rng.integers(0, 100)) * MIB, dirty=dirty)
        rule = Policy(max_bandwidth_bytes_per_s=float(rng.uniform(2e7, 4e8)), time_limit_s=20.0)
        name = str(rng.choice(["precopy", "stopcopy", "postcopy", "hybrid"]))
        every.append(goodput.packed(Scenario(guest=guest, policy=rule, strategy=Strategy(name=name)))[0])
    return every


def together(every):
    """Return scenarios as many in one."""
    scenarios, classes, steps, parameters = zip(*every, strict=True)
    columns = PackedScenario.new(len(every))
    columns[:] = np.transpose(scenarios)
    return Packed(columns, np.concatenate(classes), steps[0], np.concatenate(parameters))


def test_plain_scenarios_need_no_steps():
    """Compiled without what they do not need, they come out the same to the last bit."""
    jit.compile_kernels()
    packed = together(random_scenarios(60))
    assert batch.without_steps(packed, None).steps is packed.steps
    packed.parameters.view(decision.Parameters.dtype_of())["strategy"] = decision.PRECOPY
    plain = batch.without_steps(packed, None)
    assert plain.steps is None
    results = np.zeros((2, 60 * Result.SIZE))
    batch.migrate_many(packed, results[0], None)
    batch.migrate_many(plain, results[1], None)
    np.testing.assert_array_equal(results[0], results[1])


def test_many_equal_one_by_one_to_the_last_bit():
    jit.compile_kernels()
    every = random_scenarios(60)
    results = np.zeros((60, Result.SIZE))
    batch.migrate_many(together(every), results.reshape(-1), None)
    one_by_one = [history.run(packed, None, history.History(0, 0)) for packed in every]
    np.testing.assert_array_equal(results, one_by_one)


def test_idle_classes_and_no_classes_are_many_too():
    """Scenarios are told apart by their number, whatever that of their classes."""
    jit.compile_kernels()
    packed, _ = goodput.packed(Scenario(guest=Guest(memory_bytes=64 * MIB)))
    every = together([packed, packed, packed])
    assert every.classes.size == 0
    results = np.zeros((3, Result.SIZE))
    batch.migrate_many(batch.without_steps(every, None), results.reshape(-1), None)
    np.testing.assert_array_equal(results, [history.run(packed, None, history.History(0, 0))] * 3)
