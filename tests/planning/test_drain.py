"""Hosts are emptied: the plan holds, is near its bound, is no worse than greedy, and what cannot be is explained."""

import math
import re

import numpy as np
import pandas as pd
import pytest

import migkit
from migkit.errors import InfeasibleError, UsageError
from migkit.planning.check import replayed, violations
from migkit.planning.drain import Conflict, drain
from migkit.planning.durations import tabulate
from migkit.planning.slots import MANAGERS, Limit
from tests.planning.fleets import GIB, UNCAPPED, fleet, small


def checked(inventory, plan, limits=(), **options):
    durations = tabulate(inventory.vms, UNCAPPED, float(inventory.hosts.link_bytes_per_s.max()))
    return violations(inventory, plan.moves, plan.hosts, durations, limits, **options)


@pytest.fixture(scope="module")
def cluster():
    return fleet(12, 120, seed=2)


@pytest.mark.parametrize("manager", sorted(MANAGERS))
def test_a_plan_breaks_nothing_and_is_near_its_bound(cluster, manager):
    limits = MANAGERS[manager]
    plan = drain(cluster, ["h0", "h5"], base=UNCAPPED, limits=limits, rounds=30)
    assert checked(cluster, plan, limits) == []
    assert len(plan.moves) == 20
    assert not set(plan.moves.destination) & {"h0", "h5"}
    assert plan.lower_bound_s <= plan.makespan_s <= plan.greedy_makespan_s
    assert plan.makespan_s <= 1.25 * plan.lower_bound_s


def test_random_fleets_hold(cluster):
    for seed in range(8):
        inventory = fleet(7, 40, seed=seed, memory_bytes=(200 + 40 * seed) * GIB, link=f"{5 + 5 * (seed % 3)} Gbit/s")
        plan = drain(inventory, ["h1"], base=UNCAPPED, limits=[Limit("host", 3, cost=1)], rounds=20, seed=seed)
        assert checked(inventory, plan, [Limit("host", 3)]) == []
        assert plan.lower_bound_s <= plan.makespan_s * (1 + 1e-9) <= plan.greedy_makespan_s * (1 + 2e-9)


def test_the_same_seed_and_rounds_give_the_same_plan(cluster):
    plans = [drain(cluster, ["h3"], base=UNCAPPED, rounds=40, seed=9) for _ in range(2)]
    pd.testing.assert_frame_equal(plans[0].moves, plans[1].moves)


def test_the_search_finds_what_greedy_does_not():
    vms = [{"vm": f"v{k}", "host": "a", "memory": f"{m} GiB"} for k, m in enumerate((33, 31, 21, 19, 18, 16, 9, 5))]
    hosts = [
        {"host": name, "memory": "256 GiB", "link": link}
        for name, link in (("a", "100 Gbit/s"), ("b", "3 Gbit/s"), ("c", "2 Gbit/s"))
    ]
    inventory = migkit.Inventory.read(vms, hosts)
    plan = drain(inventory, ["a"], base=UNCAPPED, rounds=300)
    assert plan.makespan_s <= plan.greedy_makespan_s
    assert plan.makespan_s <= 1.03 * plan.lower_bound_s


def test_over_parallel_is_slower_than_serial_for_guests_that_write():
    rows = [
        {
            "vm": f"v{k}", "host": "a", "memory": "16 GiB", "downtime_limit": "300 ms",
            "dirty_1_region": "4 GiB", "dirty_1_writes_per_s": 20_000,
        }
        for k in range(4)
    ]  # fmt: skip
    inventory = small(rows)
    table = tabulate(inventory.vms, UNCAPPED, 1.25e9)
    moves = pd.DataFrame({"vm": [row["vm"] for row in rows], "source": "a", "destination": "b", "start_s": 0.0})
    at_once = replayed(inventory, moves, table)[1]
    serial = float(table.shortest_s.sum())
    assert at_once > 1.1 * serial
    assert drain(inventory, ["a"], base=UNCAPPED, rounds=30).makespan_s <= 1.02 * serial


def test_idle_guests_side_by_side_are_no_slower():
    inventory = small([{"vm": f"v{k}", "host": "a", "memory": "16 GiB"} for k in range(4)])
    table = tabulate(inventory.vms, UNCAPPED, 1.25e9)
    moves = pd.DataFrame({"vm": inventory.vms.vm, "source": "a", "destination": "b", "start_s": 0.0})
    assert replayed(inventory, moves, table)[1] <= table.shortest_s.sum()


def test_rolling_empties_every_host_in_turn():
    inventory = fleet(6, 36, seed=4, memory_bytes=256 * GIB)
    plan = drain(inventory, "all", base=UNCAPPED, rolling=True, at_once=2, service_s=60.0, improve_s=0)
    assert checked(inventory, plan) == []
    assert sorted(plan.hosts.host) == sorted(inventory.hosts.host)
    assert (plan.hosts.until_s - plan.hosts.empty_s >= 60.0 - 1e-9).all()
    assert plan.makespan_s >= plan.lower_bound_s >= 3 * 60.0


def test_machines_return_home():
    inventory = fleet(8, 40, seed=4)
    plan = drain(inventory, ["h0", "h1"], base=UNCAPPED, service_s=30.0, return_home=True, rounds=20)
    assert checked(inventory, plan, return_home=True) == []
    assert plan.moves.kind.value_counts().to_dict() == {"out": 10, "home": 10}


def test_a_large_fleet_is_planned_in_parts(monkeypatch):
    from migkit.planning.drain import planned

    monkeypatch.setattr(planned, "_PART_HOSTS", 6)
    inventory = fleet(12, 48, seed=1, memory_bytes=256 * GIB)
    limits = [Limit("cluster", 5)]
    plan = drain(inventory, "all", base=UNCAPPED, rolling=True, limits=limits, improve_s=0)
    assert checked(inventory, plan, limits) == []
    assert any("in 2 parts" in note for note in plan.notes)


def test_higher_priority_moves_first():
    rows = [{"vm": f"v{k}", "host": "a", "memory": "8 GiB", "priority": k} for k in range(6)]
    plan = drain(small(rows), ["a"], base=UNCAPPED, limits=[Limit("host", 1, "out")], rounds=50)
    assert plan.moves.sort_values("start_s").vm.tolist() == ["v5", "v4", "v3", "v2", "v1", "v0"]


def test_an_empty_host_needs_no_moves():
    plan = drain(small([{"vm": "x", "host": "a", "memory": "4 GiB"}]), ["b"])
    assert len(plan.moves) == 0
    assert plan.makespan_s == 0
    assert plan.to_dict()["moves"] == []


def test_blockers_say_who_and_why(cluster):
    plan = drain(cluster, ["h0"], base=UNCAPPED, improve_s=0)
    assert 0 < plan.blockers.share.sum() <= 1 + 1e-9
    assert plan.blockers.why[0].startswith("has ")


ROOM = {"vm": "x", "host": "a", "memory": "40 GiB"}
THREE = [{"vm": f"x{k}", "host": "a", "memory": "20 GiB"} for k in range(3)]
WRITER = {"vm": "x", "host": "a", "memory": "8 GiB", "dirty_1_region": "8 GiB", "dirty_1_writes_per_s": 1e9}
CONFLICTS = [
    (
        [ROOM, {"vm": "y", "host": "b", "memory": "40 GiB"}],
        {"hosts": "ab"},
        ["memory (40 GiB needed, no open host has more than 24 GiB free)"],
    ),
    (
        [*THREE, {"vm": "y", "host": "b", "memory": "24 GiB"}],
        {"hosts": "ab"},
        ["memory (60 GiB must move, 40 GiB are free on 1 open host)"],
    ),
    (
        [*THREE, *({"vm": f"y{n}", "host": n, "memory": "34 GiB"} for n in "bc")],
        {"hosts": "abc"},
        ["memory (60 GiB must move in pieces of up to 20 GiB; 60 GiB are free in 2 pieces of up to 30 GiB)"],
    ),
    ([ROOM | {"processors": 8}], {"hosts": "ab", "processors": 4}, "inventory"),
    (
        [{"vm": f"x{n}", "host": n, "memory": "1 GiB", "anti_affinity": "db"} for n in "abc"],
        {"hosts": "abc"},
        ["anti-affinity (group db: 1 must move, 0 open hosts have none of it)"],
    ),
    ([ROOM | {"pinned": "SR-IOV"}], {"hosts": "ab"}, ["x cannot migrate (SR-IOV)"]),
    ([ROOM | {"local_disk": "2 TiB"}], {"hosts": "ab", "local_disk": "1 TiB"}, ["local disks (2 TiB needed"]),
    (
        [WRITER],
        {"hosts": "ab"},
        ["x never ends on its link", "one migration is carried at 10 Gbit/s at most"],
    ),
]


@pytest.mark.parametrize(("vms", "hosts", "said"), CONFLICTS)
def test_what_cannot_be_is_explained_by_the_smallest_set(vms, hosts, said):
    if said == "inventory":
        with pytest.raises(UsageError, match="more than any host has"):
            small(vms, **hosts)
        return
    with pytest.raises(Conflict) as caught:
        drain(small(vms, **hosts), ["a"], base=UNCAPPED)
    assert caught.value.exit_code == 3
    assert len(caught.value.constraints) == len(said)
    assert all(words in one for words, one in zip(said, caught.value.constraints, strict=True))
    assert "\n" not in str(caught.value)


def test_two_constraints_that_conflict_only_together():
    rows = [
        {"vm": "x", "host": "a", "memory": "40 GiB", "anti_affinity": "g"},
        {"vm": "y", "host": "b", "memory": "4 GiB", "anti_affinity": "g"},
        {"vm": "z", "host": "c", "memory": "40 GiB"},
    ]
    with pytest.raises(Conflict) as caught:
        drain(small(rows), ["a"], base=UNCAPPED)
    assert [one.partition(" ")[0] for one in caught.value.constraints] == ["memory", "anti-affinity"]


def test_pools_and_clusters_that_leave_no_host():
    rows = [{"host": n, "memory": "64 GiB", "link": "10 Gbit/s", "pool": n, "cluster": "c"} for n in "ab"]
    with pytest.raises(Conflict, match=r"storage pool .no other open host has that of a"):
        drain(migkit.Inventory.read([ROOM], rows), ["a"])
    with_disk = migkit.Inventory.read([ROOM | {"local_disk": "1 GiB"}], rows)
    assert drain(with_disk, ["a"], base=UNCAPPED).moves.destination.tolist() == ["b"]
    rows[1]["pool"], rows[1]["cluster"] = "a", "d"
    with pytest.raises(Conflict, match=r"cluster .no other open host is in that of a"):
        drain(migkit.Inventory.read([ROOM], rows), ["a"])


def test_a_deadline_that_no_plan_keeps_is_proven(cluster):
    plan = drain(cluster, ["h0"], base=UNCAPPED, deadline_s=10.0, improve_s=0)
    assert not plan.is_in_time
    assert "so that no plan can keep it" in plan.late
    slots = drain(cluster, ["h0"], base=UNCAPPED, deadline_s=40.0, limits=[Limit("cluster", 1)], improve_s=0)
    assert "because of 1 slot a cluster, so that no plan can keep it" in slots.late
    assert drain(cluster, ["h0"], base=UNCAPPED, deadline_s=1e4, improve_s=0).late == ""


def test_a_bound_of_waves_is_no_bound_of_every_plan():
    inventory = small([{"vm": f"v{n}", "host": n, "memory": "4 GiB"} for n in "ab"])
    one = drain(inventory, ["a"], base=UNCAPPED, rolling=True, service_s=3600.0, deadline_s=60.0, improve_s=0)
    assert re.fullmatch(
        r"no timetable of these waves is shorter than .* min, "
        r"because of the migration of va alone and 60 min of work on the hosts",
        one.bound,
    )
    assert "no plan can keep it" not in one.late
    two = drain(inventory, ["a", "b"], base=UNCAPPED, rolling=True, at_once=1, improve_s=0)
    assert "because of 2 waves one after the other (the longest by the migration of v" in two.bound


def test_waves_are_as_large_as_ends_first():
    inventory = fleet(12, 72, seed=3, memory_bytes=144 * GIB)
    best = drain(inventory, "all", base=UNCAPPED, rolling=True, improve_s=0).makespan_s
    asked = [drain(inventory, "all", base=UNCAPPED, rolling=True, at_once=k, improve_s=0) for k in range(1, 13)]
    assert best <= min(plan.makespan_s for plan in asked)


def test_a_budget_of_moves(cluster):
    with pytest.raises(Conflict, match="at most 5 moves may be made; and the plan needs 10"):
        drain(cluster, ["h0"], base=UNCAPPED, most_moves=5)
    rolling = drain(cluster, "all", base=UNCAPPED, rolling=True, most_moves=160, improve_s=0)
    assert len(rolling.moves) <= 160


@pytest.mark.parametrize(
    ("empty", "options", "said"),
    [
        (["h99"], {}, "empty: 'h99' is not among the 12 hosts"),
        (["h1", "h1"], {}, "empty: 'h1' is named twice; name it once"),
        ([], {}, "empty: no host was given"),
        ("all", {}, "all 12 hosts at once leave none for the machines; empty them in waves (--rolling)"),
        (["h1"], {"deadline_s": math.nan}, "deadline_s: nan is out of range"),
        (["h1"], {"service_s": -1.0}, "service_s: -1.0 is out of range"),
        (["h1"], {"at_once": 0}, "at_once: 0 is out of range"),
        (["h1"], {"improve_s": math.inf}, "improve_s: inf is out of range"),
    ],
)
def test_questions_that_are_wrong(cluster, empty, options, said):
    with pytest.raises(UsageError) as caught:
        drain(cluster, empty, base=UNCAPPED, **options)
    assert said in str(caught.value)
    assert not isinstance(caught.value, InfeasibleError)


def test_times_are_those_of_the_engine_for_one_machine():
    inventory = small([{"vm": "x", "host": "a", "memory": "8 GiB"}])
    plan = drain(inventory, ["a"], base=UNCAPPED)
    scenario = migkit.Scenario(
        guest=migkit.Guest(memory_bytes=8 * GIB),
        link=migkit.Link(bandwidth_bytes_per_s=1.25e9),
        host=UNCAPPED.host,
        policy=UNCAPPED.policy,
    )
    assert plan.makespan_s == pytest.approx(migkit.predict(scenario).total_time_s, rel=1e-6)
    assert np.isinf(plan.hosts.until_s[0])
