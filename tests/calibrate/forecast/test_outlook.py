"""Forecasts of migrations under way, from recorded ones that are read up to a moment."""

import dataclasses
import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from migkit import predict
from migkit.calibrate.forecast import changes as forecast_changes
from migkit.calibrate.forecast.belief import Belief, allowed_bytes, beliefs, course_of
from migkit.calibrate.forecast.candidates import candidates
from migkit.calibrate.forecast.changes import changes
from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.calibrate.forecast.rewrites import with_rewrites
from migkit.calibrate.forecast.wording import expected
from migkit.calibrate.guest.rounds import Round
from migkit.engine import differences
from migkit.engine.packing import pack
from migkit.importers import read
from migkit.models.midway import Standing, rest
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario, Strategy
from migkit.traces import data
from migkit.units import MIB
from tests.verification.forecasts import grid, recorded, right, synced, synced_looks, until


@pytest.fixture(scope="module")
def recordings():
    return {one.name: one for one in recorded()}


def at(recording, t_s):
    frame = recording.log.frame
    return until(recording.log, int((frame["t_s"] <= t_s).sum()) - 1)


def outlooks(recording, base=None, every=4):
    forecaster = Forecaster(base)
    rows = range(every, int((recording.log.frame["phase"] != "done").sum()), every)
    return [forecaster.outlook(until(recording.log, row)) for row in rows]


def test_the_end_is_known_once_the_guest_has_shown_how_it_writes(recordings):
    one = recordings["a1-q7-0"]
    outlook = Forecaster().outlook(at(one, 5.1))
    assert outlook.verdict == "converges"
    assert outlook.end_s == pytest.approx(one.end_s, rel=0.05)
    assert outlook.low_s <= one.end_s <= outlook.high_s
    assert outlook.t_s <= outlook.low_s <= outlook.end_s <= outlook.high_s


def test_before_the_first_pass_has_ended_nothing_is_claimed(recordings):
    outlook = Forecaster().outlook(at(recordings["a1-q7-0"], 2.0))
    assert outlook.verdict == "not_known"
    assert math.isnan(outlook.converges)
    assert math.isinf(outlook.high_s)


def test_a_guest_that_was_measured_before_is_known_from_the_start(recordings):
    one = recordings["a1-q7-0"]
    outlook = Forecaster(Scenario(guest=one.guest)).outlook(at(one, 1.7))
    assert outlook.verdict == "converges"
    assert outlook.end_s == pytest.approx(one.end_s, rel=0.05)


def test_a_guest_that_writes_too_fast_is_said_not_to_converge(recordings):
    outlook = Forecaster().outlook(at(recordings["a4-q10-0"], 8.0))
    assert outlook.verdict == "does_not_converge"
    assert outlook.converges < 0.5
    assert math.isinf(outlook.end_s)


@pytest.mark.parametrize("name", ["a1-q7-0", "a3-q10-0", "precopy-4t-1", "autoconverge-16t-2"])
def test_what_is_over_never_falls_behind_its_best_by_more_than_two_percent(recordings, name):
    shares = [one.share for one in outlooks(recordings[name]) if not math.isnan(one.share)]
    best = 0.0
    for share in shares:
        assert share >= best - 0.02 - 1e-12
        best = max(best, share)
    assert best > 0.5


def test_an_end_that_has_come_is_told_as_the_source_tells_it():
    log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]
    outlook = Forecaster().outlook(log)
    assert (outlook.phase, outlook.verdict, outlook.share) == ("done", "converges", 1.0)
    assert outlook.end_s == log.meta["totals"]["total_time_s"]


def test_postcopy_ends_when_what_remains_has_fallen(recordings):
    one = recordings["postcopy-4t-1"]
    outlook = Forecaster().outlook(at(one, 1.7))
    assert (outlook.phase, outlook.verdict) == ("postcopy", "converges")
    assert outlook.end_s == pytest.approx(one.end_s, rel=0.2)


@pytest.mark.parametrize("at_s", [0.7, 0.9, 1.1, 1.3, 1.5, 1.7])
@pytest.mark.parametrize("run", [1, 2, 3, 4, 5])
def test_of_a_push_the_zero_pages_to_come_lie_between_none_and_all(recordings, run, at_s):
    one = recordings[f"postcopy-4t-{run}"]
    outlook = Forecaster().outlook(at(one, at_s))
    assert outlook.phase == "postcopy"
    assert outlook.low_s < one.end_s < outlook.high_s


@pytest.mark.parametrize("run", [1, 2, 3, 4])
def test_what_demands_led_a_push_to_is_not_taken_for_all_that_is_left(recordings, run):
    one = recordings[f"postcopy-4t-{run}"]
    for at_s in (0.9, 1.1, 1.3, 1.5, 1.7):
        assert Forecaster().outlook(at(one, at_s)).end_s == pytest.approx(one.end_s, rel=0.1)


def test_the_cap_and_the_limit_in_force_are_those_of_the_log(recordings):
    one = at(recordings["a1-q7-0"], 5.2)
    assert beliefs(one)[0].case.policy.max_bandwidth_bytes_per_s == 40e6
    lowered = dataclasses.replace(
        one, meta={**one.meta, "settings": one.meta["settings"] | {"downtime_limit_s": 0.01}}
    )
    assert Forecaster().outlook(lowered).end_s > Forecaster().outlook(one).end_s


def test_each_change_is_predicted_to_end_the_migration():
    dirty = (DirtyClass(region_bytes=256 * MIB, writes_per_s=60_000.0),)
    case = Scenario(guest=Guest(memory_bytes=1024 * MIB, dirty=dirty), host=Host(firmware_bytes=0), policy=Policy())
    standing = Standing(now_s=30.0, synced_s=29.9, iteration=20, ahead=0.5, shares=(0.5,))
    offered = changes([Belief(case, standing, True)], "does_not_converge")
    assert [one.name for one in offered] == ["max-bandwidth", "auto-converge", "downtime-limit", "post-copy"]
    assert all(30.0 < one.end_s < math.inf and one.downtime_s > 0.0 for one in offered)
    assert [one.needs_a_new_start for one in offered] == [False, True, False, False]
    assert offered[0].case.policy.max_bandwidth_bytes_per_s > case.policy.max_bandwidth_bytes_per_s


def test_a_change_is_tried_with_an_even_part_of_many_guests(recordings, monkeypatch):
    replayed = []
    monkeypatch.setattr(forecast_changes, "rest", lambda *asked: replayed.append(asked) or rest(*asked))
    log = at(recordings["a4-q10-0"], 8.0)
    found = beliefs(log)
    offered = changes(found, "does_not_converge", log)
    assert len(found) == 61
    assert len(replayed) < 0.5 * len(offered) * len(found)
    assert all(0.0 < one.converges <= 1.0 for one in offered)


def test_of_an_unknown_guest_no_change_is_named(recordings):
    found = beliefs(at(recordings["a1-q7-0"], 2.0))
    assert changes(found, "not_known") == ()


def test_what_the_source_switched_on_is_believed(recordings):
    one = at(recordings["a3-q10-0"], 1.5)
    settings = one.meta["settings"] | {"xbzrle_cache_bytes": 2.0**25, "accelerator": "kvm"}
    on = dataclasses.replace(one, meta={**one.meta, "settings": settings, "capabilities": {"xbzrle": True}})
    assert beliefs(one)[0].case.strategy.xbzrle is False
    assert beliefs(one)[0].case.host.platform == "qemu-tcg"
    found = beliefs(on)
    assert found[0].case.xbzrle_cache_bytes == 2**25
    assert found[0].case.host.platform == "qemu-kvm"
    assert [len(belief.standing.passes) for belief in found[:2]] == [1, 1]
    assert Forecaster().outlook(on).converges > Forecaster().outlook(one).converges


def test_migrations_that_send_differences_are_forecast_from_their_counters():
    known = [one for one in grid() if one.kind == "xbzrle" and one.recorded.name.startswith("grid-21")]
    found = [look for one in known for look in synced_looks(one)]
    assert len(found) > 20
    assert right(found) >= 0.8


@pytest.mark.parametrize("length", [8, 64, 512])
def test_what_a_difference_costs_tells_what_a_write_changes(length):
    once = DirtyClass(region_bytes=64 * MIB, writes_per_s=1.594 * 64 * MIB / 4096, rewrite_bytes=length)
    case = Scenario(guest=Guest(memory_bytes=256 * MIB, dirty=(once,)), strategy=Strategy(xbzrle=True))
    packed, classes, *_ = pack(case, 1e9).of_one()
    each = differences.hit_bytes(packed, classes[0], 2.0)  # a page that is written at all is written twice a second
    one = Round(start_s=0.0, window_s=1.0, window_error_s=0.0, marked_pages=1.0, to_send_pages=1.0, pending_pages=0.0)
    unknown = dataclasses.replace(case.guest, dirty=(dataclasses.replace(once, rewrite_bytes=4096),))
    assert with_rewrites(unknown, [one], each, case.host).dirty[0].rewrite_bytes == pytest.approx(length, abs=2)


@pytest.mark.parametrize("name", ["a9-q7-0", "a9-q10-0", "a10-q7-0", "a10-q10-0"])
def test_a_push_of_a_guest_whose_zero_pages_are_known_ends_when_it_is_said_to(recordings, name):
    one = recordings[name]
    pushing = [at(one, t_s) for t_s in one.log.frame.loc[one.log.frame["phase"] == "postcopy", "t_s"]]
    known = [Forecaster(Scenario(guest=one.guest)).outlook(log) for log in pushing]
    assert [each.end_s for each in known] == pytest.approx([one.end_s] * len(known), rel=0.06)
    assert all(each.low_s <= one.end_s <= each.high_s for each in known)


def moving(dirty, seen_s, *, log, memory=256 * MIB, zero=96 * MIB):
    """Return what is expected of a migration in its first pass, of a guest that was followed for a time."""
    forecaster = Forecaster()
    forecaster.learn(Scenario(guest=Guest(memory_bytes=memory, zero_bytes=zero, dirty=dirty)), seen_s)
    return forecaster.outlook(log), forecaster.beliefs


def first_pass():
    """Return the readings of a first pass of 160 MiB at 20 MiB/s, up to 2 s."""
    rows = [
        {
            "status": "active",
            "total-time": round(1e3 * t_s),
            "ram": {
                "total": 256 * MIB,
                "transferred": round(20 * MIB * t_s),
                "remaining": round(256 * MIB - 20 * MIB * t_s * 4096 / 4104),
                "normal": round(20 * MIB * t_s / 4104),
                "duplicate": 0,
                "dirty-sync-count": 1,
                "mbps": 20 * 8 * MIB / 1e6,
            },
        }
        for t_s in (0.5, 1.0, 1.5, 2.0)
    ]
    return read("\n".join(map(json.dumps, [{"max-bandwidth": 20 * MIB, "downtime-limit": 100}, *rows])))[-1]


def test_what_a_guest_wrote_page_after_page_may_go_on():
    log = first_pass()
    sweep = DirtyClass(region_bytes=1400 * 4096, writes_per_s=1000.0, kind="sweep")
    outlook, found = moving((sweep,), 1.5, log=log)
    pages = sorted(sum(one.region_pages for one in belief.case.guest.dirty) for belief in found)
    assert pages[0] >= 0.8 * 1500, "it has what was seen of it"
    assert pages[-1] > 8 * 1500, "it may have many times that"
    assert pages[len(pages) // 2] == pytest.approx(3000, rel=0.25), "half of all such have twice as much"
    assert outlook.high_s > outlook.low_s + 2.0
    turned, found = moving((sweep,), 5.0, log=log)
    assert turned.high_s - turned.low_s < 0.5 * (outlook.high_s - outlook.low_s)
    assert all(sum(one.region_pages for one in each.case.guest.dirty) < 2200 for each in found)


def test_phases_go_on_from_where_they_stand():
    log = first_pass()
    one = DirtyClass(region_bytes=32 * MIB, writes_per_s=4000.0, phases=((3.0, 1.0), (3.0, 0.0)), phase_offset_s=2.5)
    _, found = moving((one,), 10.0, log=log)
    assert found[0].case.guest.dirty[0].phase_offset_s == pytest.approx(0.5)
    guest = Guest(memory_bytes=256 * MIB, dirty=(one,))
    before = beliefs(log, Scenario(guest=guest))
    assert before[0].case.guest.dirty[0].phase_offset_s == pytest.approx(2.5), "as it was at the request"


@hypothesis.given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.one_of(st.floats(0.01, 1e4), st.just(math.inf))), min_size=2)
)
def test_whatever_is_expected_what_is_shown_runs_back_by_no_more_than_two_percent(steps):
    forecaster, now_s, best = Forecaster(), 0.0, 0.0
    for lasts_s, left_s in steps:
        now_s += lasts_s
        told = Outlook(
            t_s=now_s,
            phase="precopy",
            verdict="converges" if left_s < math.inf else "does_not_converge",
            end_s=now_s + left_s,
            low_s=now_s,
            high_s=math.inf,
            share=0.0 if left_s < math.inf else math.nan,
        )
        shown = forecaster._shown(told)
        if left_s < math.inf:
            assert shown.share >= best - 0.02 - 1e-12
            assert shown.end_s * shown.share == pytest.approx(now_s)
            best = max(best, shown.share)


@hypothesis.given(
    st.lists(
        st.tuples(st.integers(1, 9000), st.floats(1.0, 9000.0), st.sampled_from(["sweep", "random"])), max_size=4
    ),
    st.floats(0.5, 20.0),
)
def test_a_guest_that_goes_on_has_no_more_than_its_memory(classes, seen_s):
    dirty = tuple(
        DirtyClass(region_bytes=pages * 4096, writes_per_s=rate, kind=kind) for pages, rate, kind in classes
    )
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=96 * MIB, dirty=dirty)
    for one in candidates(None, guest.memory_bytes, guest, seen_s=seen_s):
        assert sum(each.region_bytes for each in one.guest.dirty) <= 160 * MIB


def changed(log, rows=0, **columns):
    """Return a log whose last rows say something else."""
    frame = log.frame.copy()
    for name, value in columns.items():
        frame.loc[frame.index[-rows:], name] = value
    return dataclasses.replace(log, frame=frame)


def told(log, **settings):
    """Return a log whose source says something else of its settings."""
    return dataclasses.replace(log, meta={**log.meta, "settings": {**log.meta["settings"], **settings}})


@pytest.mark.parametrize(
    ("status", "phase", "command"),
    [("pre-switchover", "stopcopy", "migrate-continue"), ("postcopy-paused", "postcopy", "migrate-recover")],
)
def test_what_somebody_must_let_go_on_is_said_and_has_no_end(recordings, status, phase, command):
    outlook = Forecaster().outlook(changed(at(recordings["postcopy-4t-1"], 1.0), 1, status=status, phase=phase))
    assert outlook.waits_for == command
    assert math.isinf(outlook.end_s)
    assert any(command in text for text in expected(outlook))


@pytest.mark.parametrize(("before_s", "slower"), [(5.1, 1.0), (2.0, 1.3)], ids=["another migration", "a lower cap"])
def test_a_share_begins_anew_with_another_migration_and_when_the_cap_was_changed(recordings, before_s, slower):
    one = recordings["a1-q7-0"]
    cap = one.log.meta["settings"]["max_bandwidth_bytes_per_s"]
    now = told(at(one, 2.0), max_bandwidth_bytes_per_s=cap / slower)
    forecaster, fresh = (Forecaster(Scenario(guest=one.guest)).outlook for _ in range(2))
    before, expected_now = forecaster(at(one, before_s)), fresh(now)
    assert before.share > 1.2 * expected_now.share
    assert forecaster(now) == expected_now


def test_metrics_that_name_no_cap_and_no_round_go_on_as_fast_as_they_went():
    sent = [20_000_000 * second for second in range(4)]
    counters = {
        "data_bytes_total": [2**28] * 4,
        "data_remaining_bytes": [2**28 - one for one in sent],
        "data_processed_bytes": sent,
        "dirty_memory_rate_bytes": [40_960] * 4,
    }
    text = "".join(
        f'kubevirt_vmi_migration_{name}{{name="vm1"}} {value} {1_700_000_000_000 + 1000 * second}\n'
        for name, values in counters.items()
        for second, value in enumerate(values)
    )
    outlook = Forecaster().outlook(read(text)[0])
    assert (outlook.verdict, outlook.iteration) == ("converges", 0)
    assert outlook.end_s == pytest.approx(2**28 / 20e6, rel=0.05)


@pytest.mark.parametrize(("minor", "name"), [('7, "minor": 2', "qemu-7"), ('11, "minor": 1', "qemu-11.1")])
def test_the_rule_is_that_of_the_version_which_qemu_says(minor, name):
    version = f'{{"qemu": {{"major": {minor}, "micro": 0}}, "package": ""}}'
    ram = '"ram": {"total": 268435456, "remaining": 200000000, "transferred": 60000000, "mbps": 160.0}'
    log = read(f'{version}\n{{"status": "active", "total-time": 3000, {ram}}}\n')[0]
    assert beliefs(log)[0].case.policy.name == name


def test_a_change_that_brings_no_earlier_end_is_not_named(recordings):
    one, forecaster = recordings["a1-q7-0"], Forecaster(Scenario(guest=recordings["a1-q7-0"].guest))
    early, late = at(one, 2.0), at(one, one.end_s - 0.05)
    end_s = forecaster.outlook(early).end_s
    offered = changes(forecaster.beliefs, "converges", early)
    assert [found.name for found in offered] == ["max-bandwidth", "post-copy"]
    assert all(found.end_s < end_s - 0.1 for found in offered)
    assert forecaster.outlook(late).verdict == "converges"
    assert changes(forecaster.beliefs, "converges", late) == ()


@pytest.mark.parametrize("permitted", [True, False])
def test_post_copy_that_was_not_permitted_needs_a_new_start(recordings, permitted):
    log = at(recordings["a4-q10-0"], 8.0)
    log = dataclasses.replace(log, meta={**log.meta, "capabilities": {"postcopy-ram": permitted}})
    offered = changes(beliefs(log), "does_not_converge", log)
    assert {one.name: one.needs_a_new_start for one in offered}["post-copy"] is not permitted


def test_a_migration_that_says_only_that_it_was_given_up_has_no_time():
    outlook = Forecaster().outlook(read('{"return": {"status": "failed", "error-desc": "Broken pipe"}}\n')[0])
    assert (outlook.outcome, outlook.reason, outlook.verdict) == ("failed", "Broken pipe", "aborted")
    assert math.isnan(outlook.t_s)
    assert [text for text in expected(outlook) if text] == ["failed"]


def test_the_time_that_a_push_waited_for_a_connection_tells_nothing_of_its_speed():
    def answer(status, t_s, sent):
        ram = {"total": 2**28, "remaining": 2 * 10**8 - sent, "transferred": sent, "dirty-sync-count": 2}
        return json.dumps({"status": status, "total-time": round(1e3 * t_s), "ram": ram})

    lines = [answer("postcopy-active", 0.5 * at, 5_000_000 * at) for at in range(1, 9)]
    lines += [answer("postcopy-paused", 0.5 * at, 40_000_000) for at in range(9, 30)]
    lines += [answer("postcopy-recover", 15.0, 40_000_000), answer("postcopy-active", 15.1, 40_001_000)]
    outlook = Forecaster().outlook(read("\n".join(lines))[0])
    assert outlook.bandwidth_bytes_per_s == pytest.approx(10e6)
    assert outlook.end_s == pytest.approx(15.1 + 16.0, rel=0.01)


def test_a_guest_that_stands_may_stand_for_as_long_again(recordings):
    log = changed(at(recordings["a1-q7-0"], 5.1), 3, status="device", phase="stopcopy")
    stood_s = log.frame["t_s"].iloc[-1] - log.frame["t_s"].iloc[-3]
    outlook = Forecaster().outlook(log)
    assert outlook.end_s == outlook.t_s
    assert outlook.high_s >= outlook.t_s + stood_s


def test_the_bandwidth_that_the_rule_was_told_decides_when_it_switches_over(recordings):
    log = at(recordings["a1-q7-0"], 5.1)
    limit_s = log.meta["settings"]["downtime_limit_s"]
    found = beliefs(told(log, switchover_bandwidth_bytes_per_s=1e6))
    assert allowed_bytes(found) == pytest.approx(1e6 * limit_s)
    assert allowed_bytes(beliefs(log)) > 10 * allowed_bytes(found)


def test_syncs_that_did_not_end_it_tell_that_its_limit_is_below_what_they_found(recordings):
    log = told(at(recordings["a4-q10-0"], 8.0), downtime_limit_s=100.0)  # under which its first sync would have been
    assert allowed_bytes(beliefs(log)) < log.frame["total_bytes"].max() / 10
    assert Forecaster().outlook(log).verdict == "does_not_converge"


@pytest.mark.parametrize(("writes_per_s", "verdict"), [(1500.0, "converges"), (20e3, "does_not_converge")])
def test_where_post_copy_is_permitted_qemu_11_1_syncs_while_the_first_pass_lasts(writes_per_s, verdict):
    case = Scenario(
        guest=Guest(
            memory_bytes=256 * MIB,
            zero_bytes=96 * MIB,
            dirty=(DirtyClass(region_bytes=64 * MIB, writes_per_s=writes_per_s),),
            layout="blocks",
        ),
        host=Host(platform="qemu-tcg", firmware_bytes=0),
        policy=Policy(name="qemu-11.1", max_bandwidth_bytes_per_s=4e7, downtime_limit_s=0.1, time_limit_s=6.0),
        strategy=Strategy(name="hybrid", postcopy_after_s=1e6),
    )
    told = predict(case, level=None)
    assert told.rounds[20].start_s < 3.0  # a sync a window
    run = {
        "rounds": [one._asdict() for one in told.rounds[:-1]],
        "accelerator": "tcg",
        "qemu_version": "11.1.3",
        "capabilities": ["postcopy-ram"],
        "cell": 0,
        "repeat": 0,
        "total_time_s": told.total_time_s,
    }
    known = synced_looks(synced(run, case, verdict), profiled=True)
    assert len(known) > 20
    assert right(known) > 0.9
    unknown = synced_looks(synced(run, case, verdict))[:15]
    assert {one.outlook.verdict for one in unknown if one.outlook.iteration == 1} == {"not_known"}


@pytest.mark.parametrize("permitted", [False, True])
def test_what_is_to_come_is_shown_up_to_no_turn_that_nobody_ordered(recordings, permitted):
    log = recordings["precopy-16t-1"].log.until(80.0)
    log = dataclasses.replace(
        log, meta={**log.meta, "capabilities": {"postcopy-ram": permitted}, "version": {"qemu": "11.1.3"}}
    )
    assert 80.0 < course_of(beliefs(log))[-1].t_s < 1e4


def test_what_hosts_differ_by_is_in_the_bounds_of_the_downtime(recordings):
    one = recordings["autoconverge-16t-2"]
    outlook = Forecaster().outlook(at(one, 0.8 * one.end_s))
    assert outlook.downtime_low_s <= one.log.meta["totals"]["downtime_s"] <= outlook.downtime_high_s
