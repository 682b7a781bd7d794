"""What bounds hold beside what is stated: guests that differ from run to run, buffers that fill, a late release."""

import dataclasses

import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, simulate
from migkit.calibrate.log_costs import ABSORBED, with_downtimes
from migkit.importers import read
from migkit.models.spread.interval import DOWNTIME_SCATTER
from migkit.scenario.installation.typical import Estimate
from migkit.traces import data

GIB = 2**30
LINK = Link(bandwidth_bytes_per_s=1e8)
IDLE = Guest(memory_bytes=GIB, zero_bytes=GIB // 2)
BUSY = dataclasses.replace(IDLE, dirty=(DirtyClass(region_bytes=GIB // 8, writes_per_s=2000),))
MADE = Host(platform="qemu-tcg")
REAL = dataclasses.replace(MADE, platform=None)  # the very same constants, of hosts whose guests people use


def width(case, quantity="transferred_bytes"):
    low, high = getattr(predict(case).interval.drawn, quantity)
    return high / low


@pytest.mark.parametrize(("guest", "wider"), [(BUSY, 1.02), (IDLE, 1.005)])
def test_a_guest_that_people_use_is_less_certain_than_one_that_a_test_made(guest, wider):
    made, real = (width(Scenario(guest=guest, link=LINK, host=host)) for host in (MADE, REAL))
    assert real > made * wider


def test_a_guest_that_is_said_to_write_nothing_may_send_more_and_never_less():
    full = Guest(memory_bytes=GIB)  # nothing is known of its zero pages
    case = Scenario(guest=full, link=LINK, host=REAL)
    low, high = predict(case).interval.drawn.transferred_bytes
    sent = predict(case, level=None).transferred_bytes
    assert low > 0.99 * sent
    assert high > sent + 10e6


def test_a_throttled_guest_may_not_slow_in_full_unless_its_capacity_is_stated():
    busy = dataclasses.replace(IDLE, dirty=(DirtyClass(region_bytes=GIB // 2, writes_per_s=60_000),))
    case = Scenario(guest=busy, link=LINK, host=REAL, strategy=Strategy(auto_converge=True))
    flat_out = dataclasses.replace(busy, capacity_writes_per_s=60_000)
    stated = dataclasses.replace(case, guest=flat_out)
    assert predict(case, level=None).total_time_s == pytest.approx(predict(stated, level=None).total_time_s)
    assert predict(case).interval.total_time_s[1] > 1.05 * predict(stated).interval.total_time_s[1]


def told(guest=BUSY, link=LINK, **host):
    strategy = host.pop("strategy", Strategy())
    return predict(guest, link=link, host=Host(platform="qemu-tcg", **host), strategy=strategy, level=None)


def test_bytes_on_their_way_lengthen_the_downtime_and_not_the_total_time():
    plain, buffered = told(), told(in_flight_bytes=1.6e7)
    assert buffered.downtime_s == pytest.approx(plain.downtime_s + 0.16)
    assert buffered.total_time_s == plain.total_time_s
    assert dict(buffered.downtime_parts)["bytes on their way"] == pytest.approx(0.16)
    assert sum(part_s for _, part_s in buffered.downtime_parts) == pytest.approx(buffered.downtime_s)


def test_each_connection_has_buffers_of_its_own():
    one, four = (told(in_flight_bytes=4e6, strategy=Strategy(streams=streams)) for streams in (1, 4))
    assert four.downtime_s - told(strategy=Strategy(streams=4)).downtime_s == pytest.approx(0.16)
    assert one.downtime_s - told().downtime_s == pytest.approx(0.04)


@pytest.mark.parametrize(
    "other",
    [
        {"link": Link(bandwidth_bytes_per_s=1e9)},  # the policy's cap holds the sender back
        {"strategy": Strategy(name="stopcopy")},
        {"strategy": Strategy(name="postcopy")},
        {"goodput_bytes_per_s": 5e7},  # the sender is slower than the path
    ],
)
def test_buffers_stay_empty_where_nothing_behind_the_sender_is_slower(other):
    assert told(in_flight_bytes=1.6e7, **other).downtime_s == told(**other).downtime_s


def test_no_more_is_on_its_way_than_the_guest_holds():
    few = Guest(memory_bytes=GIB, zero_bytes=GIB - 2**20)
    more = told(few, in_flight_bytes=1.6e7).downtime_s - told(few).downtime_s
    assert more == pytest.approx(2**20 / 1e8)


def test_the_release_of_the_source_counts_in_the_total_time_alone():
    plain, late = told(), told(release_s=0.05)
    assert late.total_time_s == pytest.approx(plain.total_time_s + 0.05)
    assert late.downtime_s == plain.downtime_s


def test_the_simulator_waits_for_the_same_bytes_and_the_same_release():
    small = Guest(memory_bytes=2**26, zero_bytes=2**25)
    host = Host(platform="qemu-tcg", in_flight_bytes=4e6, release_s=0.05)
    policy = Policy(name="qemu-7")
    one = simulate(Scenario(guest=small, link=LINK, host=host, policy=policy), repeats=1)
    best = predict(small, link=LINK, host=host, policy=policy, level=None)
    assert one.mean("downtime_s") == pytest.approx(best.downtime_s, rel=0.01)
    assert one.mean("total_time_s") == pytest.approx(best.total_time_s, rel=0.02)


FAST_S, SLOW_S = 0.02, 0.08


def stands(stops_s):
    """Return the bounds of a post-copy's downtime on hosts whose stops took so long."""
    host = Host(load_s=Estimate.of_runs(stops_s, "stops"), **ABSORBED)
    return predict(IDLE, link=LINK, host=host, strategy=Strategy(name="postcopy")).interval.downtime_s


@pytest.mark.verification
def test_stops_that_wait_for_a_disk_now_and_then_are_expected_again():
    (low_s, high_s), (_, quick_s) = stands([FAST_S] * 8 + [SLOW_S] * 2), stands([FAST_S] * 10)
    assert low_s <= FAST_S
    assert high_s > 0.99 * SLOW_S
    assert quick_s < 0.5 * SLOW_S


def test_stops_that_are_all_alike_differ_from_guest_to_guest():
    low_s, high_s = stands([FAST_S] * 10)
    assert 0.7 * FAST_S < low_s < 0.95 * FAST_S
    assert 1.05 * FAST_S < high_s < 1.3 * FAST_S


def test_one_slow_stop_of_a_hundred_is_beyond_what_nine_of_ten_runs_do():
    assert stands([FAST_S] * 99 + [SLOW_S])[1] < 0.5 * SLOW_S


def test_a_run_tells_the_load_no_better_than_runs_differ():
    """A spread that it tells holds what this run was off by itself, so nothing is added to it."""
    log = read(data.data_path("kvm_database/postcopy-4t-1.json.gz"))[0]
    assert with_downtimes(Host(), [log]).load_s.spread > DOWNTIME_SCATTER
    one, stated = (Host(load_s=load_s, **ABSORBED) for load_s in (Estimate(FAST_S, 1e-9), FAST_S))
    (low_s, high_s), (low_stated_s, high_stated_s) = (
        predict(IDLE, link=LINK, host=host, strategy=Strategy(name="postcopy")).interval.drawn.downtime_s
        for host in (one, stated)
    )
    assert high_s / low_s == pytest.approx(high_stated_s / low_stated_s, rel=0.05)
