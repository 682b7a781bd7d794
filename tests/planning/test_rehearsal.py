"""Rehearsals: they follow the planner exactly, the manager as it is, and say who holds a drain up and why."""

import dataclasses
import math

import numpy as np
import pytest

from migkit import Host, Policy
from migkit.errors import UsageError
from migkit.models.spread.joint import ends
from migkit.planning.drain import drain
from migkit.planning.durations import asked as asked_of
from migkit.planning.rehearsal import Manager, outcomes, rehearse, upgrade
from migkit.planning.rehearsal.damage import Failure
from migkit.planning.rehearsal.managers import PRODUCTS
from migkit.planning.slots import Limit
from tests.planning.fleets import UNCAPPED, fleet, small

NOVA = dataclasses.replace(UNCAPPED, policy=Policy(name="nova", max_bandwidth_bytes_per_s=math.inf))


def alike(count, memory="8 GiB", host="a", **more):
    return [{"vm": f"v{k}", "host": host, "memory": memory} | more for k in range(count)]


@pytest.fixture(scope="module")
def cluster():
    return fleet(8, 80, seed=4)


@pytest.mark.parametrize("asked", [{}, {"at_once": 2, "service_s": 60.0}])
def test_with_exact_durations_it_is_the_planners_schedule(cluster, asked):
    empty = ["h0", "h3", "h5"]
    follows = dataclasses.replace(PRODUCTS["plan"], limits=(Limit("host", 3), Limit("nic", 4, "in")))
    plan = drain(cluster, empty, base=UNCAPPED, limits=follows.limits, rolling=bool(asked), rounds=30, **asked)
    played = rehearse(cluster, empty, manager=follows, base=UNCAPPED, draws=1, **asked)
    ends = plan.moves.groupby("vm").end_s.max()
    for row in played.machines.itertuples():
        assert row.median_s == pytest.approx(ends[row.vm], rel=1e-9)
    for row in played.hosts.itertuples():
        assert row.median_s == pytest.approx(plan.hosts.set_index("host").empty_s[row.host], rel=1e-9)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_every_product_empties_an_idle_host(name):
    found = rehearse(small(alike(6)), ["a"], manager=name, draws=17, deadline_s=3600.0)
    assert found.probability == 1.0
    assert (found.machines.attempts == 1.0).all()
    assert found.empty_by_s(0.5) <= found.empty_by_s(0.95) < 3600


def test_slots_are_kept_and_the_queue_is_served_in_order():
    rows = alike(4)
    one = Manager(name="one", limits=(Limit("host", 1, "out"),))
    found = rehearse(small(rows), ["a"], manager=one, base=UNCAPPED, draws=1).machines.set_index("vm")
    ends = [found.median_s[f"v{k}"] for k in range(4)]
    steps = np.diff([0.0, *ends])
    assert steps == pytest.approx(np.full(4, steps[0]), rel=1e-6)


def test_a_budget_gives_up_and_a_back_off_follows():
    """150 s/GiB of 4 GiB are 600 s; then 20, 40, 80 s of pause, until a day has passed."""
    writes = {"dirty_1_region": "3 GiB", "dirty_1_writes_per_s": 5e6}
    found = rehearse(small(alike(1, "4 GiB", **writes), link="1 Gbit/s"), ["a"], deadline_s=7200.0, draws=17)
    row = found.machines.iloc[0]
    assert found.probability == 0.0
    assert row.leaves == 0.0
    assert row.gives_up == 1.0
    attempts, passed = 0, 0.0
    while passed + 600.0 < 86400.0:
        passed += 600.4 + 20.0 * 2.0**attempts
        attempts += 1
    assert row.attempts == pytest.approx(attempts, abs=1)
    assert "given up" in row.why


def test_one_attempt_only_leaves_the_machine_where_it_is():
    writes = {"dirty_1_region": "3 GiB", "dirty_1_writes_per_s": 5e6}
    found = rehearse(small(alike(1, "4 GiB", **writes), link="1 Gbit/s"), ["a"], manager="nova", draws=17)
    assert found.machines.attempts.tolist() == [1.0]
    assert math.isinf(found.empty_by_s(0.05))


def test_who_never_ends_keeps_its_slot_and_is_named():
    writes = {"dirty_1_region": "7 GiB", "dirty_1_writes_per_s": 5e6}
    rows = [*alike(3), {"vm": "hot", "host": "a", "memory": "8 GiB"} | writes]
    plain = Manager(name="plain", limits=(Limit("host", 2, "out"),))
    found = rehearse(small(rows, link="1 Gbit/s"), ["a"], manager=plain, base=UNCAPPED, draws=17)
    assert found.machines.vm[0] == "hot"
    assert found.machines.holds_up.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert "never ends and keeps its slot" in found.machines.why[0]
    assert (found.machines.leaves[1:] == 1.0).all()


def test_hosts_in_common_spread_the_sum_and_guests_do_not():
    """Errors that machines share do not cancel; what each has of its own does."""
    many, few = small(alike(40, "1 GiB")), small(alike(2, "1 GiB"))
    serial = Manager(name="serial", limits=(Limit("host", 1, "out"),))
    spreads = []
    for inventory in (many, few):
        base = dataclasses.replace(UNCAPPED, host=Host())
        ends = rehearse(inventory, ["a"], manager=serial, base=base, draws=257).end_s
        spreads.append(np.std(ends) / np.mean(ends))
    assert spreads[0] > 0.8 * spreads[1]


def test_rolling_takes_the_hosts_one_after_the_other(cluster):
    found = rehearse(cluster, "all", manager="ovirt", base=UNCAPPED, at_once=1, service_s=600.0, draws=17)
    assert (np.diff(found.hosts.median_s) >= 600.0).all()
    assert found.end_s[-1] < 86400.0


def test_a_pinned_machine_holds_its_host():
    found = rehearse(
        small([*alike(2), {"vm": "p", "host": "a", "memory": "1 GiB", "pinned": "GPU"}]), ["a"], draws=17
    )
    assert found.probability == 0.0
    assert found.machines.why[0] == "cannot migrate (GPU)"


def test_what_helps_is_rehearsed_before_it_is_named():
    """20 s/GiB of 4 GiB are 80 s, in which half a Gbit/s carries no 4 GiB twice over."""
    rows = alike(4, "4 GiB", dirty_1_region="1 GiB", dirty_1_writes_per_s=9_000)
    found = rehearse(
        small(rows, link="500 Mbit/s"), ["a"], manager="openshift-2026", deadline_s=3600.0, fixes=True, draws=31
    )
    assert found.probability == 0.0
    settings = found.fixes.set_index("setting")
    assert settings.index[-1] == "as it is"
    assert settings.probability.iloc[0] == 1.0
    assert (settings.probability.iloc[:-1] > 0.0).all()
    assert {"post-copy permitted", "completionTimeoutPerGiB = 100"} & set(settings.index)


def test_a_link_that_fails_costs_an_attempt_and_a_host_takes_its_machines_down():
    inventory = small(alike(4), link="1 Gbit/s")
    calm = rehearse(inventory, ["a"], manager="kubevirt", draws=17)
    cut = [Failure("link", "a", 30.0), Failure("link", "a", 300.0, 1.0)]
    hurt = rehearse(inventory, ["a"], manager="kubevirt", failures=cut, draws=17)
    assert hurt.empty_by_s(0.5) > calm.empty_by_s(0.5) + 200.0
    assert hurt.machines.gives_up.sum() == pytest.approx(2.0)  # two at once were under way
    slow = rehearse(inventory, ["a"], manager="kubevirt", failures=[Failure("link", "a", 0.0, 0.5)], draws=17)
    assert slow.empty_by_s(0.5) > 1.8 * calm.empty_by_s(0.5)
    down = rehearse(inventory, ["a"], manager="kubevirt", failures=[Failure("host", "a", 30.0)], draws=17)
    assert down.probability == 0.0
    assert "down with its host" in down.machines.why[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"manager": "nowa"}, r"'nowa' is not known; use one of .*did you mean \"nova\""),
        ({"empty": ["z"]}, "'z' is not among the 3 hosts"),
        ({"draws": 1000}, "draws: 1000 is no number that can be drawn"),
        ({"deadline_s": math.nan}, "deadline: nan s is out of range; it must be above 0 s"),
        ({"at_once": 0}, "at_once: 0 is out of range"),
        ({"failures": [Failure("link", "q", 1.0)]}, "'q' is not among the 3 hosts"),
        ({"manager": "plan", "failures": [Failure("link", "a", 1.0)]}, "a plan does not react"),
    ],
)
def test_what_is_wrong_is_said(asked, said):
    given = {"empty": ["a"], "draws": 17} | asked
    with pytest.raises(UsageError, match=said):
        rehearse(small(alike(2)), given.pop("empty"), **given)


def test_an_upgrade_names_who_hits_the_new_timeout():
    """At 500 Mbit/s, 4 GiB take 69 s and the pages written meanwhile 15 s more: over 80 s, far from 600 s."""
    rows = [
        *alike(3, "4 GiB", dirty_1_region="1 GiB", dirty_1_writes_per_s=5_000),
        {"vm": "idle", "host": "a", "memory": "4 GiB"},
    ]
    found = upgrade(
        small(rows, link="500 Mbit/s"), ["a"], before="openshift", after="openshift-2026", deadline_s=7200.0, draws=31
    )
    assert sorted(found.given_up) == ["v0", "v1", "v2"]
    assert sorted(found.stays) == ["v0", "v1", "v2"]
    assert found.before.probability == 1.0
    assert found.after.probability == 0.0
    assert found.sentences[1] == "attempts are given up more often: 3 machines (v0, v1, v2)"


def test_changes_that_are_rehearsed_are_told_as_they_go():
    steps = []
    inventory = small(alike(2, dirty_rate="2 GB/s", dirty_window="1 s"))
    rehearse(inventory, ["a"], manager="nova", deadline_s=3600.0, draws=17, fixes=True, step=steps.append)
    assert len(steps) > 3
    assert min(steps) > 0.0
    assert sum(steps) <= 1.0 + 1e-9


def test_nothing_changes_where_nothing_changed():
    found = upgrade(small(alike(3)), ["a"], before="nova", after="nova", draws=17)
    assert found.given_up == found.stays == []
    assert (found.machines.late_before_s == found.machines.late_after_s).all()


@pytest.mark.parametrize(("policy", "always_ends"), [("qemu", True), ("kubevirt", False)])
def test_far_below_what_links_share_times_are_in_proportion_unless_the_rule_gives_up(policy, always_ends):
    inventory = small(alike(3, dirty_1_region="64 MiB", dirty_1_writes_per_s=20.0))
    base = dataclasses.replace(UNCAPPED, policy=Policy(name=policy, max_bandwidth_bytes_per_s=math.inf))
    found = outcomes.drawn(inventory.vms, base, 1.25e9, draws=61, points=17, seed=0)
    frame, base = asked_of(inventory.vms, base, 1.25e9)
    whole = ends(frame, base, found.rates_bytes_per_s, 17, 0)
    below = found.rates_bytes_per_s[0] < 0.99 * found.durations.rates_bytes_per_s[0, 0]
    assert (found.proportional == always_ends).all()
    assert (found.total_s[:, :, ~below] == whole.total_s[:, :, ~below]).all()
    assert (found.gave_up_s[:, :, ~below] == whole.gave_up_s[:, :, ~below]).all()
    if always_ends:
        assert np.isfinite(whole.total_s).all()
        assert found.total_s[:, :, below] == pytest.approx(whole.total_s[:, :, below], rel=0.01)
    else:
        assert np.isfinite(found.gave_up_s[:, :, below]).any()
        assert (found.gave_up_s == whole.gave_up_s).all()
