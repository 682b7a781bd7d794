"""Every legal scenario is simulated in bounded time, and what is not used changes nothing."""

import dataclasses
import math

import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, register_policy, simulate
from migkit.errors import UsageError
from migkit.policies import decision as kernel

MIB = 2**20
ENDLESS = Guest(memory_bytes=16 * MIB, dirty=(DirtyClass(region_bytes=16 * MIB, writes_per_s=50_000),))
CAP = 2e7
RULE = Policy(max_bandwidth_bytes_per_s=CAP, downtime_limit_s=0.05)
BUSY = Guest(
    memory_bytes=16 * MIB,
    zero_bytes=4 * MIB,
    dirty=(
        DirtyClass(region_bytes=4 * MIB, writes_per_s=1500),
        DirtyClass(region_bytes=4 * MIB, writes_per_s=500, kind="sweep"),
    ),
)


def one(**parts):
    return simulate(Scenario(**parts), seed=3).runs[0]


def check(run):
    """Every number of a run is at least 0; only those of a run without an end are infinite."""
    numbers = [value for value in dataclasses.astuple(run) if not isinstance(value, str)]
    assert all(value >= 0.0 for value in numbers)
    assert (run.verdict == "does_not_converge") == math.isinf(run.total_time_s) == math.isinf(run.transferred_bytes)
    assert run.blocktime_s <= run.total_time_s


@pytest.mark.parametrize(
    "strategy",
    [Strategy(), Strategy(dirty_limit_bytes_per_s=1e15)],
    ids=["plain", "dirty-limit"],
)
def test_a_guest_that_does_not_converge_is_found_out_by_its_rounds(strategy):
    run = one(guest=ENDLESS, policy=RULE, strategy=strategy)
    check(run)
    assert run.verdict == "does_not_converge"
    assert "rounds are alike" in run.reason
    assert 50 < run.iterations < 500


def test_a_time_limit_far_off_is_jumped_to():
    limited = dataclasses.replace(RULE, time_limit_s=1e7)
    run, predicted = one(guest=ENDLESS, policy=limited), predict(Scenario(guest=ENDLESS, policy=limited))
    assert (run.verdict, run.total_time_s, run.reason) == ("timed_out", 1e7, "")
    assert run.transferred_bytes == pytest.approx(predicted.transferred_bytes, rel=0.01)
    assert run.transferred_bytes == run.normal_pages * 4104 + run.zero_pages * 9
    assert run.iterations == pytest.approx(predicted.iterations, rel=0.02)


def test_differences_decide_as_in_a_prediction():
    """Differences make this guest converge: there is nothing to give up."""
    case = Scenario(guest=ENDLESS, policy=RULE, strategy=Strategy(xbzrle=True))
    run, predicted = simulate(case).runs[0], predict(case)
    assert (run.verdict, predicted.verdict) == ("converges", "converges")
    assert run.total_time_s == pytest.approx(predicted.total_time_s, rel=0.02)


def test_jumps_are_as_long_as_the_rounds_that_they_stand_for():
    """A limit that is reached without a jump, and one with: the same bytes and rounds a second."""
    near, far = (one(guest=ENDLESS, policy=dataclasses.replace(RULE, time_limit_s=t_s)) for t_s in (40.0, 4000.0))
    assert far.transferred_bytes == pytest.approx(100 * near.transferred_bytes, rel=0.02)
    assert far.iterations == pytest.approx(100 * near.iterations, rel=0.03)


def test_a_policy_that_changes_its_mind_is_asked_at_its_time():
    nova = Policy.named("nova", max_bandwidth_bytes_per_s=CAP, completion_timeout_s_per_gib=4000)
    case = Scenario(guest=ENDLESS, policy=nova)
    run, predicted = simulate(case).runs[0], predict(case)
    assert run.verdict == predicted.verdict
    assert run.total_time_s == pytest.approx(predicted.total_time_s, rel=0.01)


def test_a_rule_that_never_ends_is_given_up():
    @register_policy("never-ends")
    def never(state, parameters):
        kernel.under_limit(state, parameters, 0.0)
        return kernel.CONTINUE

    run = one(guest=BUSY, policy=Policy(name="never-ends", max_bandwidth_bytes_per_s=CAP))
    check(run)
    assert run.verdict == "does_not_converge"
    assert run.reason


def test_a_rule_that_returns_no_action_is_named():
    @register_policy("odd")
    def odd(state, parameters):
        kernel.under_limit(state, parameters, 0.1)
        return 7

    with pytest.raises(UsageError, match="policy odd: its rule returned 7, which is no action"):
        one(guest=BUSY, policy=Policy(name="odd"))


EXTREMES = {
    "a trillion writes a second": {"guest": dataclasses.replace(BUSY, dirty=(DirtyClass(
        region_bytes=4 * MIB, writes_per_s=1e12, reads_per_s=1e12),))},
    "phases of a microsecond": {"guest": dataclasses.replace(BUSY, dirty=(DirtyClass(
        region_bytes=4 * MIB, writes_per_s=1e4, phases=((1e-6, 0.0), (1e-6, 2.0)) * 200),))},
    "a byte a second": {"guest": BUSY, "link": Link(bandwidth_bytes_per_s=1.0)},
    "outages": {"guest": BUSY, "link": Link(bandwidth_bytes_per_s=1e7, steps=((1e-3, 0.0), (1e-3, 1.0)) * 1000)},
    "no path for a while": {"guest": BUSY, "link": Link(steps=((1e9, 0.0),))},
    "a path without end": {"guest": BUSY, "link": Link(), "host": Host(
        goodput_bytes_per_s=math.inf, receive_bytes_per_s=math.inf)},
    "almost no path": {"guest": BUSY, "link": Link(bandwidth_bytes_per_s=1e-15)},
    "almost no cap": {"guest": BUSY, "policy": Policy(max_bandwidth_bytes_per_s=1e-9)},
    "almost no push": {"guest": BUSY, "policy": Policy(max_postcopy_bandwidth_bytes_per_s=1e-9)},
    "polls without end": {"guest": BUSY, "host": Host(poll_s=1e-3)},
    "a sync of a year": {"guest": BUSY, "host": Host(sync_base_s=3e7)},
    "a set-up of ages": {"guest": BUSY, "host": Host(setup_s=1e18)},
    "a cache beyond measure": {"guest": BUSY, "strategy": Strategy(xbzrle=True, xbzrle_cache_bytes=2**59)},
    "prefetch of everything": {"guest": BUSY, "strategy": Strategy(name="postcopy", prefetch_pages=10**15)},
    "faults that cost an hour": {"guest": BUSY, "host": Host(write_fault_s=3600.0, fault_service_s=3600.0)},
    "huge tracking": {"guest": dataclasses.replace(BUSY, tracking_bytes=2 * MIB, fill="zero")},
}  # fmt: skip


@pytest.mark.parametrize("name", ["precopy", "stopcopy", "postcopy", "hybrid"])
@pytest.mark.parametrize("parts", EXTREMES.values(), ids=EXTREMES)
def test_extreme_scenarios_end(parts, name):
    strategy = dataclasses.replace(parts.get("strategy", Strategy(auto_converge=True)), name=name)
    run = one(**{"policy": Policy(max_bandwidth_bytes_per_s=CAP), **parts, "strategy": strategy})
    numbers = [value for value in dataclasses.astuple(run) if not isinstance(value, str)]
    assert all(value >= 0.0 for value in numbers)
    assert run.blocktime_s <= run.total_time_s


def test_a_guest_at_rest_is_pushed_over_a_slow_path_at_once():
    """Nobody accesses anything for days: the guest is not looked at every millisecond."""
    guest = Guest(memory_bytes=MIB, dirty=(DirtyClass(region_bytes=MIB, writes_per_s=0.0),))
    run = one(guest=guest, link=Link(bandwidth_bytes_per_s=1.0), strategy=Strategy(name="postcopy"))
    assert run.postcopy_faults == 0
    assert run.total_time_s > 256 * 4104


def test_huge_guests_are_refused_before_there_is_memory_for_them():
    with pytest.raises(UsageError, match=r"a guest of 1 PiB.* must be at most 256 GiB.*predict"):
        one(guest=Guest(memory_bytes=2**50))
    with pytest.raises(UsageError, match="too large"):
        one(guest=BUSY, host=Host(firmware_bytes=2**60))
    with pytest.raises(UsageError, match="repeats are too many"):
        simulate(Scenario(guest=BUSY), repeats=10**12)
    with pytest.raises(UsageError, match="1 to 65536 cells"):
        simulate(Scenario(guest=BUSY), frames=10, cells=10**12)


def test_what_is_not_admitted_is_not_simulated():
    case = Scenario(guest=BUSY, host=Host(destination_free_memory_bytes=1.0))
    run = simulate(case, frames=3).runs[0]
    assert (run.verdict, run.reason) == ("aborted", predict(case).reasons[0])
    assert run.total_time_s == run.transferred_bytes == 0.0


def test_a_time_limit_before_the_first_byte():
    run = one(guest=BUSY, policy=Policy(time_limit_s=1e-6))
    check(run)
    assert (run.verdict, run.total_time_s, run.transferred_bytes) == ("timed_out", 1e-6, 0.0)


@pytest.mark.parametrize("name", ["precopy", "stopcopy", "postcopy", "hybrid"])
@pytest.mark.parametrize("throttled", [False, True])
def test_what_is_not_used_changes_nothing_to_the_last_bit(name, throttled):
    host = Host(write_fault_s=1e-6 if throttled else 0.0)
    case = Scenario(
        guest=BUSY, policy=RULE, host=host, strategy=Strategy(name=name, auto_converge=throttled, prefetch_pages=1)
    )
    phases = tuple(dataclasses.replace(c, phases=((0.3, 1.0), (0.017, 1.0))) for c in BUSY.dirty)
    link = dataclasses.replace(case.link, steps=((0.1, 1.0), (0.3, 1.0), (1e-6, 1.0)))
    same = (
        dataclasses.replace(case, guest=dataclasses.replace(BUSY, dirty=phases)),
        dataclasses.replace(case, link=link),
        dataclasses.replace(case, policy=dataclasses.replace(RULE, time_limit_s=1e9)),
    )
    expected = simulate(case, seed=5, repeats=2)
    for other in same:
        assert simulate(other, seed=5, repeats=2) == expected
