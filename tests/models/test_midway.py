"""The rest of a migration from its middle is what the whole migration says of it."""

import dataclasses

import numpy as np
import pytest

from migkit import predict
from migkit.errors import UsageError
from migkit.models.midway import Pass, Standing, rest
from migkit.policies import decision
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario, Strategy
from migkit.units import MIB, PAGE_BYTES

RATES = (6000.0, 2000.0)
SIZES = (64 * MIB, 128 * MIB)


def scenario(**strategy):
    dirty = tuple(DirtyClass(region_bytes=size, writes_per_s=rate) for size, rate in zip(SIZES, RATES, strict=True))
    guest = Guest(memory_bytes=1024 * MIB, zero_bytes=512 * MIB, dirty=dirty)
    policy = Policy(max_bandwidth_bytes_per_s=60e6, downtime_limit_s=0.15)
    return Scenario(guest=guest, host=Host(firmware_bytes=0), policy=policy, strategy=Strategy(**strategy))


def standing_after(case, whole, number):
    """Return where the migration stands at the start of a round, as the mean of pre-copy has it."""
    before, now = whole.rounds[number - 2], whole.rounds[number - 1]
    pages = np.array([one.region_pages for one in case.guest.dirty])
    written = np.array(RATES) / pages * before.duration_s
    shares = -np.expm1(-written)
    shares *= now.remaining_bytes / PAGE_BYTES / float((shares * pages).sum())
    return Standing(
        now_s=now.start_s,
        synced_s=now.start_s,
        iteration=number,
        ahead=1.0,
        shares=tuple(shares),
        bandwidth_bytes_per_s=60e6,
    )


@pytest.mark.parametrize("number", [2, 3, 4])
def test_from_each_round_on_the_end_is_that_of_the_whole(number):
    case = scenario()
    whole = predict(case, level=None)
    result = rest(case, standing_after(case, whole, number))
    assert int(result.action) == decision.SWITCHOVER
    assert float(result.total_s) == pytest.approx(whole.total_time_s, rel=0.02)
    assert abs(int(result.iterations) - whole.iterations) <= 1


@pytest.mark.parametrize("number", [3, 4, 6])
def test_what_the_cache_of_differences_holds_follows_from_the_passes(number):
    case = dataclasses.replace(
        scenario(xbzrle=True), policy=Policy(max_bandwidth_bytes_per_s=30e6, downtime_limit_s=0.05)
    )
    whole = predict(case, level=None)
    pages = np.array([one.region_pages for one in case.guest.dirty])
    shares, passes = np.ones(2), []
    for one in whole.rounds[: number - 1]:
        passes.append(Pass(one.start_s, one.start_s + one.duration_s, tuple(shares)))
        shares = -np.expm1(-np.array(RATES) / pages * one.duration_s)
    standing = dataclasses.replace(
        standing_after(case, whole, number), passes=tuple(passes), bandwidth_bytes_per_s=30e6
    )
    told = float(rest(case, standing).total_s)
    forgot = float(rest(case, dataclasses.replace(standing, passes=())).total_s)
    assert told == pytest.approx(whole.total_time_s, rel=0.02)
    assert abs(told - whole.total_time_s) < 0.5 * abs(forgot - whole.total_time_s)


def test_in_the_first_pass_the_end_is_that_of_the_whole():
    case = scenario()
    whole = predict(case, level=None)
    half_s = 0.5 * whole.rounds[0].duration_s
    full_pages = 512 * MIB // PAGE_BYTES
    sent = 60e6 * half_s / (PAGE_BYTES + 8)
    ahead = 1.0 - sent / full_pages
    once = (512 * MIB - sum(SIZES)) / PAGE_BYTES * ahead
    standing = Standing(
        now_s=half_s, synced_s=0.0, iteration=1, ahead=ahead, shares=(1.0, 1.0), once_pages=once, zero_pages=1e5
    )
    assert float(rest(case, standing).total_s) == pytest.approx(whole.total_time_s, rel=0.05)


def test_what_a_window_of_the_cap_may_send_is_sent_once():
    case = scenario()
    whole = predict(case, level=None)
    windows = 10
    window_s = 0.1 + case.host.window_extra_s
    began_s = case.host.setup_s + windows * window_s
    full_pages = 512 * MIB // PAGE_BYTES
    ahead = 1.0 - (windows + 1) * 6e6 / (PAGE_BYTES + 8) / full_pages
    standing = Standing(
        now_s=began_s + 0.02,
        synced_s=0.0,
        iteration=1,
        ahead=ahead,
        shares=(1.0, 1.0),
        once_pages=(512 * MIB - sum(SIZES)) / PAGE_BYTES * ahead,
        zero_pages=full_pages,
        bandwidth_bytes_per_s=60e6,
        spent_since_s=began_s,
    )
    anew = dataclasses.replace(standing, spent_since_s=float("nan"))
    off_s, off_anew_s = (float(rest(case, one).total_s) - whole.total_time_s for one in (standing, anew))
    assert abs(off_s) < 0.03
    assert off_anew_s < off_s - 0.05


def test_a_guest_that_settles_never_ends_and_postcopy_now_ends_it():
    import dataclasses

    case = scenario()
    hot = (DirtyClass(region_bytes=256 * MIB, writes_per_s=2e5),)
    case = dataclasses.replace(case, guest=dataclasses.replace(case.guest, dirty=hot))
    standing = Standing(now_s=60.0, synced_s=59.0, iteration=20, ahead=0.5, shares=(1.0,))
    assert int(rest(case, standing).action) not in (decision.SWITCHOVER, decision.POSTCOPY)
    hybrid = dataclasses.replace(case, strategy=Strategy(name="hybrid", postcopy_after_s=60.0))
    result = rest(hybrid, standing)
    assert int(result.action) == decision.POSTCOPY
    assert 60.0 < float(result.total_s) < 62.0


def test_pages_that_write_nothing_any_more_are_still_sent():
    idle = DirtyClass(region_bytes=256 * MIB, writes_per_s=0.0)
    case = Scenario(guest=Guest(memory_bytes=256 * MIB, dirty=(idle,)), host=Host(firmware_bytes=0))
    result = rest(case, Standing(now_s=1.0, synced_s=0.0, iteration=1, ahead=0.5, shares=(1.0,)))
    assert float(result.normal_pages) == pytest.approx(128 * MIB / PAGE_BYTES)


def test_a_standing_of_other_classes_is_refused():
    with pytest.raises(UsageError, match="1 shares of 2 page classes; give one for each"):
        rest(scenario(), Standing(now_s=1.0, synced_s=0.0, iteration=1, ahead=0.5, shares=(1.0,)))


@pytest.mark.parametrize("layout", ["blocks", "interleaved"])
def test_a_growth_goes_on_from_where_it_stands(layout):
    growth = DirtyClass(region_bytes=64 * MIB, writes_per_s=400.0, kind="growth")
    random = DirtyClass(region_bytes=16 * MIB, writes_per_s=400.0)
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=96 * MIB, dirty=(random, growth), layout=layout)
    policy = Policy(max_bandwidth_bytes_per_s=24.0 * MIB, downtime_limit_s=0.1)
    case = Scenario(guest=guest, policy=policy, host=Host(firmware_bytes=0))
    whole = predict(case, level=None)
    now_s, written = 2.0, 800
    full = (256 - 96 - 64) * 256 + written
    ahead = 1.0 - now_s * 24.0 * MIB / 4104 / full
    dirty = (random, dataclasses.replace(growth, sweep_offset_bytes=written * PAGE_BYTES))
    case = dataclasses.replace(case, guest=dataclasses.replace(guest, dirty=dirty))
    standing = Standing(
        now_s=now_s,
        synced_s=0.0,
        iteration=1,
        ahead=ahead,
        shares=(1.0, 0.0),
        once_pages=(full - random.region_pages) * ahead,
        zero_pages=20_000,
        bandwidth_bytes_per_s=24.0 * MIB,
    )
    assert rest(case, standing).total_s == pytest.approx(whole.total_time_s, rel=0.05)
