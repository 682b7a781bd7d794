"""The documented numbers of every policy, asked of the decision functions themselves."""

import math

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Policy, Strategy, predict, presets
from migkit.policies import decision, throttling
from migkit.policies.managers import ovirt_step_s
from migkit.scenario.policy import pack

GIB = 2**30
MS = pytest.approx


class Migration:
    """Asks a policy as a caller would, and remembers what it was last told."""

    def __init__(self, name="qemu", strategy=None, guest_bytes=4 * GIB, storage_bytes=0, **changes):
        self.parameters = pack(Policy.named(name, **changes), strategy)
        self.state = decision.new_state()
        self.state.guest_bytes = guest_bytes
        self.state.storage_bytes = storage_bytes
        self.ask(0.0, decision.SYNCED, guest_bytes, iteration=1, dirtied=guest_bytes // 4096)

    def ask(self, now_s, event=decision.WINDOW, remaining=1e9, bandwidth=0.0, **readings):
        state = self.state
        state.now_s, state.event, state.remaining_bytes = now_s, event, remaining
        state.bandwidth_bytes_per_s = bandwidth
        names = {"iteration": "iteration", "dirtied": "dirtied_pages", "sent": "sent_bytes"}
        names |= {"round_sent": "round_sent_bytes", "round_start": "round_start_s"}
        names |= {"sent_pages": "sent_pages", "dirty_rate": "dirty_pages_per_s"}
        for name, value in readings.items():
            setattr(state, names[name], value)
        return decision.decide(state, self.parameters)

    def limit_ms(self, now_s, **readings):
        self.ask(now_s, **readings)
        return round(self.state.downtime_limit_s * 1000.0, 6)


# QEMU


def test_qemu_defaults():
    rule = Policy.named("qemu")
    assert (rule.downtime_limit_s, rule.max_bandwidth_bytes_per_s) == (0.3, 128 * 2**20)
    assert Policy.named("libvirt").max_bandwidth_bytes_per_s == math.inf


def test_qemu_syncs_when_the_estimate_falls_below_the_threshold():
    run = Migration()
    assert run.ask(1.0, remaining=30e6, bandwidth=100e6) == decision.CONTINUE  # 30 MB = 100 MB/s x 300 ms: not below
    assert run.ask(1.1, remaining=30e6 - 1, bandwidth=100e6) == decision.SYNC
    assert run.ask(1.1, decision.SYNCED, remaining=40e6, bandwidth=100e6, iteration=2) == decision.CONTINUE
    assert run.ask(1.2, decision.SYNCED, remaining=29e6, bandwidth=100e6, iteration=3) == decision.SWITCHOVER


def test_qemu_has_no_threshold_before_the_first_window():
    run = Migration()
    assert run.ask(0.05, remaining=4096) == decision.CONTINUE
    assert run.ask(0.05, decision.EMPTY, remaining=0) == decision.SWITCHOVER


def test_qemu_syncs_when_nothing_is_left():
    assert Migration().ask(1.0, decision.EMPTY, remaining=0, bandwidth=1e8) == decision.SYNC


def test_qemu_takes_a_given_switchover_bandwidth():
    run = Migration(switchover_bandwidth_bytes_per_s=1e9)
    assert run.ask(1.0, remaining=299e6, bandwidth=1e6) == decision.SYNC


def test_qemu_wakes_only_below_its_threshold():
    run = Migration()
    run.ask(1.0, remaining=1e9, bandwidth=100e6)
    assert run.state.wake_remaining_bytes == MS(30e6)
    assert run.state.wake_time_s == math.inf


@pytest.mark.parametrize("name", ["qemu", "nova", "xen", "kubevirt-stall", "vmware-like"])
def test_the_time_limit_ends_every_policy(name):
    assert Migration(name, time_limit_s=5.0).ask(5.0) == decision.TIME_OUT


def test_qemu_from_11_1_syncs_when_the_rest_equals_the_threshold_too():
    run = Migration("qemu-11.1")
    assert run.ask(1.0, remaining=30e6, bandwidth=100e6) == decision.SYNC
    assert run.ask(1.0, decision.SYNCED, remaining=30e6, bandwidth=100e6, iteration=2) == decision.SWITCHOVER
    fresh = Migration("qemu-11.1")
    assert fresh.ask(0.05, decision.EMPTY, remaining=0) == decision.SYNC  # all was sent in the first window
    assert fresh.ask(0.05, decision.SYNCED, remaining=4096, iteration=2) == decision.CONTINUE
    assert fresh.ask(0.06, decision.SYNCED, remaining=0, iteration=3) == decision.SWITCHOVER
    assert Migration("qemu-10").ask(0.05, decision.EMPTY, remaining=0) == decision.SWITCHOVER


def test_with_post_copy_permitted_qemu_11_1_syncs_at_every_look():
    run = Migration("qemu-11.1", strategy=Strategy(name="hybrid", postcopy_after_s=9.0))
    assert run.ask(1.0, remaining=1e9, bandwidth=100e6) == decision.SYNC
    assert run.state.wake_remaining_bytes == math.inf
    assert run.ask(1.0, decision.SYNCED, remaining=1e9, bandwidth=100e6, iteration=2) == decision.CONTINUE
    assert run.ask(1.1, decision.SYNCED, remaining=1e6, bandwidth=100e6, iteration=3) == decision.SWITCHOVER
    before = Migration("qemu-10", strategy=Strategy(name="hybrid", postcopy_after_s=9.0))
    assert before.ask(1.0, remaining=1e9, bandwidth=100e6) == decision.CONTINUE


def test_the_first_pass_of_such_a_hybrid_is_one_round_a_window():
    guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1000.0),))
    strategy = Strategy(name="hybrid", postcopy_after_s=1.05)
    rounds = [
        predict(guest, policy=Policy(name=name, max_bandwidth_bytes_per_s=5e7), strategy=strategy).iterations
        for name in ("qemu-10", "qemu-11.1")
    ]
    assert rounds == [2, 12]


def test_a_guest_sent_within_the_first_window_is_synced_once_more_from_11_1_on():
    guest = Guest(memory_bytes=2**20)
    counts = [predict(guest, policy=Policy(name=name), level=None).iterations for name in ("qemu-10", "qemu-11.1")]
    assert counts[1] == counts[0] + 1


# Auto-converge and dirty-limit


def sync(run, now_s, sent, dirtied, iteration):
    run.ask(now_s, decision.SYNCED, remaining=1e9, bandwidth=1e8, sent=sent, dirtied=dirtied, iteration=iteration)
    return run.state.throttle


def test_auto_converge_starts_at_20_percent_after_two_periods_and_adds_10():
    run = Migration(strategy=Strategy(auto_converge=True))
    pages = 60e6 // 4096  # dirties 60 MB while 100 MB are sent: above 50 %
    shares = [sync(run, 2.0 * k, 1e8 * k, pages, k + 1) for k in range(1, 24)]
    assert shares[:6] == [0.0, 0.2, 0.2, MS(0.3), MS(0.3), MS(0.4)]
    assert max(shares) == MS(0.99)


def test_auto_converge_counts_only_above_half_of_what_was_sent():
    run = Migration(strategy=Strategy(auto_converge=True))
    pages = 49e6 // 4096
    assert [sync(run, 2.0 * k, 1e8 * k, pages, k + 1) for k in range(1, 8)] == [0.0] * 7


def test_auto_converge_remembers_a_bad_period_over_good_ones():
    run = Migration(strategy=Strategy(auto_converge=True))
    bad, good = 60e6 // 4096, 10e6 // 4096
    dirtied = [bad, good, good, bad]
    assert [sync(run, 2.0 * (k + 1), 1e8 * (k + 1), d, k + 2) for k, d in enumerate(dirtied)] == [0.0, 0.0, 0.0, 0.2]


def test_auto_converge_evaluates_syncs_more_than_a_second_apart():
    run = Migration(strategy=Strategy(auto_converge=True))
    pages = 60e6 // 4096
    shares = [sync(run, 0.5 * k, 5e7 * k, pages, k + 1) for k in range(1, 7)]
    assert shares == [0.0, 0.0, 0.0, 0.0, 0.0, 0.2]  # evaluated at 1.5 s and 3.0 s


@pytest.mark.parametrize(("window_s", "waits"), [(0.1, 1.0), (0.1001, 0.37), (0.1005, 0.007), (0.102, 0.0)])
def test_a_share_of_the_seconds_is_too_early_by_the_clock_of_qemu(window_s, waits):
    run = Migration(strategy=Strategy(auto_converge=True))
    seen = []
    for k in range(1, 6000):  # a sync each second window
        sync(run, 2 * window_s * k, 1e7 * k, 60e5 // 4096, k + 1)
        seen.append(run.state.throttling.evaluated_s)
    lengths = np.round(np.diff(sorted(set(seen))) / (2 * window_s))
    assert set(lengths) <= {5.0, 6.0}
    assert np.mean(lengths == 6.0) == pytest.approx(waits, abs=0.02)


def test_tailslow_steps_no_further_than_needed():
    parameters = pack(Policy.named("qemu", throttle_tailslow=1.0))
    assert throttling.auto_converge_step(0.0, 0.95, parameters) == 0.2
    assert throttling.auto_converge_step(0.5, 0.95, parameters) == MS(0.5 + 0.5 * 0.05)
    assert throttling.auto_converge_step(0.5, 0.1, parameters) == MS(0.6)


def test_qemu_from_9_2_syncs_at_a_tick_every_5_s_that_finds_no_new_sync():
    run = Migration("qemu-10", strategy=Strategy(auto_converge=True))
    assert run.state.wake_time_s == 5.0
    assert run.ask(5.0, bandwidth=1e8) == decision.CONTINUE  # the first pass is left alone
    assert run.ask(10.0, bandwidth=1e8) == decision.CONTINUE
    sync(run, 11.0, 1e8, 1, 2)
    assert run.ask(15.0, bandwidth=1e8) == decision.CONTINUE  # synced since the tick before
    assert run.ask(19.9, bandwidth=1e8) == decision.CONTINUE
    assert run.ask(20.0, bandwidth=1e8) == decision.SYNC
    sync(run, 20.0, 1e8, 1, 3)
    assert run.ask(25.0, bandwidth=1e8) == decision.SYNC


def test_the_timer_is_that_of_auto_converge_from_9_2_on():
    assert Migration("qemu-10").state.wake_time_s == math.inf
    assert Migration("qemu", strategy=Strategy(auto_converge=True)).state.wake_time_s == math.inf
    limited = Migration("qemu-10", strategy=Strategy(dirty_limit_bytes_per_s=1e8))
    assert limited.state.wake_time_s == math.inf


def test_dirty_limit_steps():
    mib = 256.0  # pages
    assert throttling.dirty_limit_step(0.4, 30 * mib, 10 * mib) == 0.4  # within 25 MB/s
    assert throttling.dirty_limit_step(0.0, 400 * mib, 100 * mib) == MS(75 / 25)  # s = 75 %: s / (100 - s)
    assert throttling.dirty_limit_step(0.5, 150 * mib, 100 * mib) == MS(0.6)  # nearer than half: a tenth
    assert throttling.dirty_limit_step(0.5, 100 * mib, 150 * mib) == MS(0.4)
    assert throttling.dirty_limit_step(98.0, 1e9, 1.0) == 99.0
    assert throttling.dirty_limit_step(0.05, 1.0, 1e6) == 0.0


def test_dirty_limit_begins_with_the_trigger_and_adjusts_every_second():
    run = Migration(strategy=Strategy(dirty_limit_bytes_per_s=100 * 2**20))
    pages = 60e6 // 4096
    sync(run, 2.0, 1e8, pages, 2)
    run.ask(3.9, bandwidth=1e8, dirty_rate=102400)
    assert run.state.throttle == 0.0
    sync(run, 4.0, 2e8, pages, 3)
    assert run.state.throttle == MS(0.75)  # 400 MiB/s against 100: a sleep of 3 ring-full times
    run.ask(4.9, bandwidth=1e8, dirty_rate=102400)
    assert run.state.throttle == MS(0.75)
    run.ask(5.0, bandwidth=1e8, dirty_rate=102400)
    assert run.state.throttle == MS(6 / 7)


# Strategies


def test_strategies_order_before_the_policy():
    assert Migration(strategy=Strategy(name="stopcopy")).ask(0.0, decision.SYNCED) == decision.SWITCHOVER
    assert Migration(strategy=Strategy(name="postcopy")).ask(0.0, decision.SYNCED) == decision.POSTCOPY
    timed = Migration(strategy=Strategy(name="hybrid", postcopy_after_s=2.0))
    assert timed.ask(1.9) == decision.CONTINUE
    assert timed.state.wake_time_s == 2.0
    assert timed.ask(2.0) == decision.POSTCOPY
    counted = Migration(strategy=Strategy(name="hybrid", postcopy_after_rounds=2))
    assert counted.ask(3.0, decision.SYNCED, iteration=2) == decision.CONTINUE
    assert counted.ask(4.0, decision.SYNCED, iteration=3) == decision.POSTCOPY


# Nova


def test_nova_raises_50_ms_by_45_ms_every_75_s_a_gib():
    run = Migration("nova", guest_bytes=4 * GIB)
    assert run.limit_ms(0.5) == 50
    assert run.limit_ms(300.0) == 50  # not more than 300 s yet
    assert run.limit_ms(300.5) == 95
    assert [run.limit_ms(300.0 * k + 0.5) for k in range(11)] == [50 + 45 * k for k in range(11)]
    assert run.limit_ms(3150.0) == 500


def test_nova_cuts_off_only_the_sum():
    run = Migration("nova", guest_bytes=2 * GIB, steps=3)  # 166.7 ms, then 111.1 ms more each 150 s
    assert [run.limit_ms(150.0 * k + 0.5) for k in range(4)] == [166, 277, 388, 500]


def test_nova_counts_at_least_two_gib_and_disks_that_move():
    assert Migration("nova", guest_bytes=GIB).limit_ms(150.5) == 95
    assert Migration("nova", guest_bytes=GIB, storage_bytes=GIB).limit_ms(150.5) == 50
    assert Migration("nova", guest_bytes=GIB, storage_bytes=GIB).limit_ms(300.5) == 95


def test_nova_gives_up_after_800_s_a_gib():
    assert Migration("nova").ask(3200.0) == decision.CONTINUE
    assert Migration("nova").ask(3200.5) == decision.ABORT
    forced = Migration("nova", force_complete=1)
    assert forced.ask(3200.5) == decision.CONTINUE  # noted at this poll, carried out at the next
    assert forced.ask(3201.0) == decision.SWITCHOVER
    assert Migration("nova", force_complete=1, allow_postcopy=1).ask(3201.0) == decision.POSTCOPY
    assert Migration("nova", completion_timeout_s_per_gib=0).ask(1e6) == decision.CONTINUE


def test_nova_wakes_at_its_next_poll_after_a_step():
    run = Migration("nova")
    run.ask(1.0)
    assert run.state.wake_time_s == MS(300.5)
    run.ask(3100.0)
    assert run.state.wake_time_s == MS(3200.5)


# oVirt


def test_ovirt_downtimes():
    assert [round(1000 * ovirt_step_s(i, 0.5, 5)) for i in range(5)] == [101, 104, 120, 189, 500]
    assert Policy.named("ovirt").max_bandwidth_bytes_per_s == 52 * 2**20


def test_ovirt_raises_with_the_iterations():
    run = Migration("ovirt")
    limits = [run.limit_ms(10.0 * k, iteration=k) for k in range(1, 9)]
    # The first poll sees iteration 1; an action is due when more than its limit have begun since.
    assert limits == [101, 101, 104, 120, 189, 500, 500, 500]


def test_ovirt_acts_only_when_the_iteration_advanced():
    run = Migration("ovirt")
    for k in range(1, 20):
        assert run.limit_ms(10.0 * k, iteration=1) == 101


def test_ovirt_aborts_after_42_iterations_and_one_more():
    run = Migration("ovirt")
    actions = [run.ask(10.0 * k, iteration=k) for k in range(1, 60)]
    assert actions.index(decision.ABORT) == 44  # 43 since the first poll repeat the last action, then it gives up
    assert set(actions[:44]) == {decision.CONTINUE}


def test_ovirt_polls_every_10_s():
    run = Migration("ovirt")
    assert run.state.wake_time_s == 10.0
    run.ask(4.0, iteration=9)
    assert run.state.wake_time_s == 10.0


# Proxmox


def test_proxmox_doubles_after_six_polls_without_progress():
    run = Migration("proxmox")
    assert Policy.named("proxmox").max_bandwidth_bytes_per_s == 16 * 2**30
    limits = [run.limit_ms(float(k), remaining=1e9 + k, sent=1e3 * k) for k in range(1, 15)]
    assert limits == [100] * 6 + [200] * 6 + [400] * 2  # the first poll has nothing to compare with


def test_proxmox_does_not_count_progress():
    run = Migration("proxmox")
    assert {run.limit_ms(float(k), remaining=1e9 - k, sent=1e3 * k) for k in range(1, 30)} == {100}


def test_proxmox_polls_ten_times_faster_from_near_the_end_on():
    run = Migration("proxmox")
    run.ask(1.0, remaining=1e9, sent=4e8)
    assert run.state.wake_time_s == 2.0
    run.ask(2.0, remaining=1.9e8, sent=6e8)  # less than the 200 MB of an average poll so far
    assert run.state.wake_time_s == MS(2.1)
    run.ask(2.1, remaining=9e8, sent=7e8)
    assert run.state.wake_time_s == MS(2.2)


def test_proxmox_looks_only_when_something_was_sent():
    run = Migration("proxmox")
    assert {run.limit_ms(float(k), remaining=1e9 + k, sent=5.0) for k in range(1, 30)} == {100}


def test_proxmox_stops_doubling_at_2000_s():
    run = Migration("proxmox")
    for k in range(1, 200):
        run.ask(float(k), remaining=1e9 + k, sent=1e3 * k)
    assert run.state.downtime_limit_s == 2000.0


def test_proxmox_throttles_without_being_asked():
    assert pack(Policy.named("proxmox")).throttle_rule == decision.AUTO_CONVERGE
    assert pack(Policy.named("nova")).throttle_rule == decision.NO_THROTTLE


# KubeVirt


def first_action(run, until_s, step_s=0.4, **readings):
    """Poll until something is ordered; return that and when."""
    for k in range(1, round(until_s / step_s) + 1):
        action = run.ask(k * step_s, bandwidth=1e6, **readings)
        if action != decision.CONTINUE:
            return action, pytest.approx(k * step_s)
    return decision.CONTINUE, until_s


def test_kubevirt_allows_150_s_a_gib():
    assert first_action(Migration("kubevirt", guest_bytes=2 * GIB), 400.0) == (
        decision.ABORT,
        301.2,
    )  # 301 whole seconds
    assert first_action(Migration("kubevirt", guest_bytes=GIB, storage_bytes=GIB), 400.0) == (decision.ABORT, 301.2)
    assert first_action(Migration("kubevirt", guest_bytes=GIB, completion_s_per_gib=0), 400.0)[0] == decision.CONTINUE


def test_kubevirt_up_to_1_3_allowed_800_s_a_gib():
    assert first_action(Migration("kubevirt", guest_bytes=GIB, completion_s_per_gib=800), 900.0) == (
        decision.ABORT,
        801.2,
    )


def test_kubevirt_counts_started_gb_when_asked_to():
    run = Migration("kubevirt", guest_bytes=2 * GIB, count_started_gb=1)  # 2.15 GB are 3
    assert first_action(run, 500.0) == (decision.ABORT, 451.2)


def test_kubevirt_disrupts_the_guest_where_allowed():
    assert first_action(Migration("kubevirt", guest_bytes=GIB, allow_disruption=1), 400.0) == (
        decision.SWITCHOVER,
        151.2,
    )
    both = Migration("kubevirt", guest_bytes=GIB, allow_disruption=1, allow_postcopy=1)
    assert first_action(both, 400.0) == (decision.POSTCOPY, 151.2)
    # AllowWorkloadDisruption follows AllowPostCopy
    assert first_action(Migration("kubevirt", guest_bytes=GIB, allow_postcopy=1), 400.0) == (decision.POSTCOPY, 151.2)


def test_kubevirt_aborts_when_nothing_moves_for_150_s():
    run = Migration("kubevirt", guest_bytes=100 * GIB)
    assert run.ask(10.0, bandwidth=1e6) == decision.CONTINUE
    assert run.ask(20.0, bandwidth=0.0) == decision.CONTINUE
    assert run.state.wake_time_s == MS(171.2)
    assert run.ask(171.1, bandwidth=0.0) == decision.CONTINUE
    assert run.ask(171.2, bandwidth=0.0) == decision.ABORT


def test_kubevirt_does_not_mind_a_remainder_that_stays():
    run = Migration("kubevirt", guest_bytes=100 * GIB)
    assert first_action(run, 1000.0, remaining=1e9) == (decision.CONTINUE, 1000.0)
    run.ask(1001.0, bandwidth=0.0)
    run.ask(1100.0, bandwidth=1e6)  # it moves again
    assert run.ask(1200.0, bandwidth=0.0) == decision.CONTINUE


def test_kubevirt_ramp_from_150_to_900_ms_in_seven_steps_10_s_apart():
    run = Migration("kubevirt-ramp", guest_bytes=100 * GIB)
    assert run.limit_ms(0.2) == 300  # QEMU's own, until the first poll
    assert run.limit_ms(0.4) == 150
    assert run.limit_ms(20.0, iteration=2) == 150
    run.ask(20.1, decision.SYNCED, iteration=3)
    assert run.state.wake_time_s == MS(20.4)
    limits = [run.limit_ms(20.4 + 10.0 * k, iteration=3 + k) for k in range(10)]
    assert limits == [257, 364, 471, 578, 685, 792, 899, 900, 900, 900]  # 750 // 7 = 107


def test_kubevirt_ramp_waits_10_s_between_changes():
    run = Migration("kubevirt-ramp", guest_bytes=100 * GIB)
    run.ask(0.4)
    assert run.limit_ms(8.0, iteration=5) == 150
    assert run.state.wake_time_s == MS(10.4)
    assert run.limit_ms(10.4, iteration=6) == 257
    assert run.state.wake_time_s == MS(20.4)


def test_kubevirt_ramp_gives_up_like_kubevirt():
    assert first_action(Migration("kubevirt-ramp", guest_bytes=GIB), 400.0) == (decision.ABORT, 151.2)


def boundaries(run, remaining, every_s=5.0, bandwidth=1e8):
    """Pass bitmap syncs that leave this, with a poll before each; return the actions at them."""
    actions = []
    for k, left in enumerate(remaining):
        at_s = every_s * (k + 1)
        run.ask(at_s - 0.1, remaining=1e10, bandwidth=bandwidth)
        actions.append(run.ask(at_s, decision.SYNCED, remaining=left, bandwidth=bandwidth, iteration=k + 2))
    return actions


def stall(**changes):
    return Migration("kubevirt-stall", guest_bytes=8 * GIB, **changes)


def test_kubevirt_stall_needs_a_minimum_at_least_40_s_old():
    assert set(boundaries(stall(), [1e9] * 8)) == {decision.CONTINUE}
    # 1 GB at 100 MB/s is 10 s: far above 1.5 x 900 ms, so the stall is the end of it.
    assert boundaries(stall(), [1e9] * 12).index(decision.ABORT) == 8  # at 45 s, 40 s after the first boundary


def test_kubevirt_stall_does_not_see_one_while_remaining_falls_by_more_than_4_percent():
    falls = [1e9 * 0.9**k for k in range(30)]
    assert set(boundaries(stall(), falls, bandwidth=1e6)) == {decision.CONTINUE}
    slow = [1e9 * 0.9943**k for k in range(30)]  # 8 boundaries: 4.5 %
    assert set(boundaries(stall(), slow)) == {decision.CONTINUE}
    slower = [1e9 * 0.9951**k for k in range(30)]  # 3.9 %
    assert boundaries(stall(), slower).index(decision.ABORT) == 8


def test_kubevirt_stall_starts_with_300_ms_and_tries_60_s_with_the_maximum():
    run = stall()
    assert run.limit_ms(0.1) == 300
    boundaries(run, [1.34e8] * 9)  # 1.34 s: within 1.5 x 900 ms
    assert run.state.downtime_limit_s == 0.9
    assert run.ask(105.6, bandwidth=1e8, remaining=1e9) == decision.CONTINUE  # 105 whole seconds
    assert run.ask(106.0, bandwidth=1e8, remaining=1e9) == decision.ABORT
    assert decision.ABORT in boundaries(stall(), [1.36e8] * 9)
    assert stall(downtime_limit_s=0.2).limit_ms(0.1) == 200


def test_kubevirt_stall_waits_for_a_local_minimum():
    remaining = [1e9] + [1.3e9] * 8 + [1.2e9, 1.02e9]
    assert boundaries(stall(), remaining)[8:] == [decision.CONTINUE, decision.CONTINUE, decision.ABORT]


def test_kubevirt_stall_lowers_its_sights_after_40_then_20_then_10_s():
    # Stalled at 45 s with the best 1 GB; never again that low. At 85 s the least since, 1.1 GB, becomes the best.
    after = [1.1e9] + [1.3e9] * 7 + [1.3e9, 1.12e9]
    assert boundaries(stall(), [1e9] + [1.3e9] * 8 + after)[-2:] == [decision.CONTINUE, decision.ABORT]
    # Nor that one: 20 s later the next, 1.2 GB; each is tried once.
    after = [1.1e9, 1.2e9] + [1.3e9] * 10 + [1.21e9]
    actions = boundaries(stall(), [1e9] + [1.3e9] * 8 + after)
    assert actions[-2:] == [decision.CONTINUE, decision.ABORT]


def test_kubevirt_stall_smooths_the_bandwidth_by_0_4():
    run = stall()
    run.ask(0.4, bandwidth=1e8)
    run.ask(0.8, bandwidth=2e8)
    assert run.state.memory.kubevirt.bandwidth_bytes_per_s == MS(1.4e8)
    run.ask(1.0, bandwidth=9e8)  # between two polls
    assert run.state.memory.kubevirt.bandwidth_bytes_per_s == MS(1.4e8)


def test_kubevirt_stall_goes_post_copy_where_allowed():
    assert decision.POSTCOPY in boundaries(stall(allow_disruption=1, allow_postcopy=1), [1e9] * 9)
    assert decision.POSTCOPY in boundaries(stall(allow_postcopy=1), [1e9] * 9)
    forced = stall(allow_disruption=1)
    boundaries(forced, [1e9] * 9)
    assert forced.state.downtime_limit_s == 2000.0


def test_kubevirt_stall_ends_within_the_budget_or_twice_that():
    def at_the_end(**changes):
        run = Migration("kubevirt-stall", guest_bytes=GIB, **changes)
        return first_action(run, 200.0), run

    assert at_the_end()[0] == (decision.ABORT, 151.2)
    assert at_the_end(allow_postcopy=1)[0] == (decision.ABORT, 151.2)  # 1 GiB at 1 MB/s would not end before 300 s
    assert at_the_end(allow_postcopy=1, completion_factor=20)[0] == (decision.POSTCOPY, 151.2)
    (_, _), run = at_the_end(allow_disruption=1, completion_factor=20)
    assert run.state.downtime_limit_s == 2000.0


def test_openshift_of_2026_allows_20_s_a_gib():
    assert first_action(Migration("openshift-2026", guest_bytes=2 * GIB), 100.0) == (decision.ABORT, 41.2)


def test_deckhouse_caps_at_640_mib_a_second():
    assert Policy.named("deckhouse").max_bandwidth_bytes_per_s == 640 * 2**20
    assert Migration("deckhouse", guest_bytes=GIB).parameters.policy == decision.KUBEVIRT


def test_incus_throttles_by_half_from_a_fifth_dirtied_on():
    run = Migration("incus")
    assert run.parameters.throttle_rule == decision.AUTO_CONVERGE
    pages = 21e6 // 4096  # dirties 21 MB while 100 MB are sent: above 20 %
    assert [sync(run, 2.0 * k, 1e8 * k, pages, k + 1) for k in range(1, 5)] == [0.0, 0.5, 0.5, MS(0.6)]
    assert Policy.named("incus").max_bandwidth_bytes_per_s == 128 * 2**20


def test_nova_of_2026_1_follows_nova_s_timetable():
    assert Migration("nova-2026.1").limit_ms(300.5) == 95
    assert Policy.named("nova-2026.1").preset.system.streams.option == "live_migration_parallel_connections"


def test_cloud_hypervisor_up_to_51_sends_all_then_five_times_what_was_dirtied():
    assert passes(Migration("cloud-hypervisor-51"), [1000] * 9) == 6
    empty = Migration("cloud-hypervisor-51")
    assert empty.ask(1.0, decision.SYNCED, remaining=0, iteration=2, dirtied=0) == decision.SWITCHOVER


# Xen


def passes(run, dirtied, **readings):
    """Run passes that leave these pages dirty; return the pass after which it stops."""
    for k, pages in enumerate(dirtied):
        if run.ask(float(k + 1), decision.EMPTY, remaining=0.0, iteration=k + 1, **readings) == decision.SWITCHOVER:
            return k + 1
        action = run.ask(float(k + 1), decision.SYNCED, remaining=pages * 4096.0, dirtied=pages, iteration=k + 2)
        if action == decision.SWITCHOVER:
            return k + 1
        assert action == decision.CONTINUE
    return None


def test_xen_makes_five_passes():
    assert passes(Migration("xen"), [5000] * 40) == 5


def test_xen_sends_a_pass_of_fewer_than_50_pages_as_its_last():
    assert passes(Migration("xen"), [5000, 49, 5000, 5000, 5000]) == 3
    assert passes(Migration("xen"), [5000, 50, 5000, 5000, 5000]) == 5


def test_xen_4_5_makes_29_passes():
    assert passes(Migration("xen-4.5"), [5000] * 40, sent_pages=1000) == 29


def test_xen_4_5_stops_after_a_pass_of_fewer_than_50_pages():
    assert passes(Migration("xen-4.5"), [5000, 49, 5000, 5000], sent_pages=1000) == 3


def test_xen_4_5_stops_when_three_times_the_guest_was_sent():
    run = Migration("xen-4.5")
    pages = 4 * GIB // 4096
    assert (
        run.ask(1.0, decision.EMPTY, remaining=0.0, iteration=2, dirtied=5000, sent_pages=3 * pages)
        == decision.CONTINUE
    )
    assert run.ask(1.0, decision.EMPTY, remaining=0.0, iteration=2, sent_pages=3 * pages + 1) == decision.SWITCHOVER


# Cloud Hypervisor


def test_cloud_hypervisor_estimates_with_the_last_rounds_bandwidth():
    def after(remaining):
        run = Migration("cloud-hypervisor")
        run.ask(10.0, decision.EMPTY, remaining=0.0, round_sent=1e9)  # 100 MB/s
        return run.ask(10.0, decision.SYNCED, remaining=remaining, iteration=2)

    assert after(30e6) == decision.SWITCHOVER  # exactly 300 ms
    assert after(30e6 + 4096) == decision.CONTINUE
    assert after(0.0) == decision.SWITCHOVER


def test_cloud_hypervisor_leaves_the_sync_out_of_its_bandwidth():
    run = Migration("cloud-hypervisor")
    run.ask(10.0, decision.EMPTY, remaining=0.0, round_sent=1e9)
    run.ask(10.5, decision.SYNCED, remaining=1e9, iteration=2)  # the sync took 0.5 s
    run.ask(12.5, decision.EMPTY, remaining=0.0, round_sent=4e8, round_start=10.0)  # 2 s: 200 MB/s
    assert run.ask(13.0, decision.SYNCED, remaining=60e6, iteration=3) == decision.SWITCHOVER


def test_cloud_hypervisor_cancels_after_an_hour_or_stops_then():
    for changes, expected in (({}, decision.ABORT), ({"stop_at_timeout": 1}, decision.SWITCHOVER)):
        run = Migration("cloud-hypervisor", **changes)
        assert run.state.wake_time_s == 3600.0
        run.ask(3599.0, decision.EMPTY, remaining=0.0, round_sent=1e9)
        assert run.ask(3599.0, decision.SYNCED, remaining=1e9, iteration=2) == decision.CONTINUE
        run.ask(3600.0, decision.EMPTY, remaining=0.0, round_sent=1e9, round_start=3599.0)
        assert run.ask(3600.0, decision.SYNCED, remaining=1e12, iteration=3) == expected


# CRIU


def test_phaul():
    assert passes(Migration("criu-phaul"), [1000, 64, 64]) == 3  # the pass of 64 pages is sent, then the rest
    assert passes(Migration("criu-phaul"), [1000, 65, 65]) is None
    assert passes(Migration("criu-phaul"), [1000, 1110, 1]) == 3
    assert passes(Migration("criu-phaul"), [1000, 1109, 1219]) is None  # 10.9 % are 10 whole per cent
    assert passes(Migration("criu-phaul"), [1000] * 20) == 9  # numbered from 0


def test_go_phaul_stops_after_its_first_pass():
    assert passes(Migration("criu-go-phaul"), [1000] * 20) == 1  # compared with 0 pages before it
    assert passes(Migration("criu-go-phaul", guest_bytes=31 * 4096), [1000] * 20) == 1  # fewer than 64


def test_go_phaul_from_its_second_pass_on():
    def after_the_first(dirtied, **changes):
        run = Migration("criu-go-phaul", **changes)
        assert run.ask(1.0, decision.EMPTY, remaining=0.0, iteration=1) == decision.SWITCHOVER
        run.ask(1.0, decision.SYNCED, remaining=1e6, dirtied=1000, iteration=2)
        assert run.ask(2.0, decision.EMPTY, remaining=0.0, iteration=2) == decision.CONTINUE
        run.ask(2.0, decision.SYNCED, remaining=1e6, dirtied=dirtied, iteration=3)
        return run.ask(3.0, decision.EMPTY, remaining=0.0, iteration=3)

    assert after_the_first(63) == decision.SWITCHOVER
    assert after_the_first(64) == decision.CONTINUE
    assert after_the_first(1031) == decision.CONTINUE
    assert after_the_first(1032) == decision.SWITCHOVER
    assert passes(Migration("criu-go-phaul", growth_pages=1e9), [1000] * 20) == 8


# VMware- and Hyper-V-like


def test_hyperv_like_makes_ten_passes():
    assert passes(Migration("hyperv-like"), [5000] * 40) == 10


def test_vmware_like_slows_the_guest_below_the_send_rate():
    run = Migration("vmware-like")
    run.ask(10.0, decision.SYNCED, remaining=2e9, bandwidth=1e8, sent=1e9, dirtied=2e9 / 4096, iteration=2)
    assert run.state.throttle == MS(1 - 0.8 * 1e9 / 2e9)
    assert run.ask(12.0, decision.SYNCED, remaining=5e7, bandwidth=1e8, sent=2e9, dirtied=100, iteration=3) == (
        decision.SWITCHOVER
    )


# Every rule


@pytest.mark.parametrize("name", [preset.name for preset in presets() if preset.rule is None])
def test_a_call_that_may_be_left_out_changes_nothing(name):
    """Below wake_time_s and above wake_remaining_bytes a window's call is CONTINUE and leaves the memory alone."""
    rng = np.random.default_rng(5)
    run = Migration(name, guest_bytes=8 * GIB)
    now_s, iteration = 0.0, 1
    for _ in range(400):
        now_s += float(rng.exponential(2.0))
        iteration += 1
        if (
            run.ask(now_s, decision.SYNCED, float(rng.uniform(1e8, 5e9)), 1e8, iteration=iteration)
            != decision.CONTINUE
        ):
            return
        calm = min(run.state.wake_time_s - 1e-6, now_s + 0.1)
        before = run.state.memory.copy()
        remaining = max(run.state.wake_remaining_bytes, 1.0)
        if calm > now_s:
            assert run.ask(calm, decision.WINDOW, remaining, 1e8) == decision.CONTINUE
            assert (run.state.memory == before).all()


def test_a_plain_policy_decides_as_the_general_function():
    rng = np.random.default_rng(5)
    parameters = decision.new_parameters()
    parameters.downtime_limit_s, parameters.time_limit_s = 0.3, 60.0
    assert decision.is_plain(parameters)
    for _ in range(300):
        general = decision.new_state()
        general.now_s = rng.uniform(0, 70)
        general.event = rng.choice([decision.WINDOW, decision.EMPTY, decision.SYNCED])
        general.bandwidth_bytes_per_s = rng.choice([0.0, 1e8])
        general.remaining_bytes = rng.choice([0.0, 1e6, 3e7, 1e9])
        plain = general.copy()
        assert decision.decide(general, parameters) == decision.decide_plain(plain, parameters)
        np.testing.assert_array_equal(general, plain)


@pytest.mark.parametrize("name", ["policy", "strategy", "throttle_rule"])
def test_a_policy_with_more_to_it_is_not_plain(name):
    parameters = decision.new_parameters()
    setattr(parameters, name, 1)
    assert not decision.is_plain(parameters)
