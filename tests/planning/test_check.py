"""The checker finds every kind of wrong move in a plan that was right."""

import pandas as pd
import pytest

from migkit.planning.check import violations
from migkit.planning.drain import drain
from migkit.planning.durations import tabulate
from migkit.planning.inventory import Inventory
from migkit.planning.slots import Limit
from tests.planning.fleets import UNCAPPED

VMS = [
    {"vm": "x", "host": "a", "memory": "20 GiB", "anti_affinity": "g", "processors": 2},
    {"vm": "y", "host": "a", "memory": "8 GiB", "processors": 2},
    {"vm": "z", "host": "b", "memory": "8 GiB", "anti_affinity": "g", "processors": 7},
    {"vm": "w", "host": "d", "memory": "8 GiB", "pinned": "GPU"},
]
HOSTS = [
    {"host": "a", "memory": "64 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "p", "cluster": "c"},
    {"host": "b", "memory": "64 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "p", "cluster": "c"},
    {"host": "c", "memory": "64 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "p", "cluster": "c"},
    {"host": "small", "memory": "10 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "p", "cluster": "c"},
    {"host": "far", "memory": "64 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "p", "cluster": "other"},
    {"host": "d", "memory": "64 GiB", "link": "10 Gbit/s", "processors": 8, "pool": "q", "cluster": "c"},
]


@pytest.fixture(scope="module")
def inventory():
    return Inventory.read(VMS, HOSTS)


@pytest.fixture(scope="module")
def table(inventory):
    return tabulate(inventory.vms, UNCAPPED, 1.25e9)


@pytest.fixture
def plan(inventory):
    return drain(inventory, ["a"], base=UNCAPPED, improve_s=0)


def test_a_right_plan_breaks_nothing(inventory, table, plan):
    assert violations(inventory, plan.moves, plan.hosts, table) == []


def broken(inventory, table, plan, mover, limits=(), **change):
    moves = plan.moves.copy()
    for column, value in change.items():
        moves.loc[plan.moves.vm == mover, column] = value
    return " ".join(violations(inventory, moves, plan.hosts, table, limits))


@pytest.mark.parametrize(
    ("vm", "change", "said"),
    [
        ("x", {"destination": "b"}, "another machine of the group g is there"),
        ("y", {"destination": "b"}, "processors 9 of 8"),
        ("x", {"destination": "small"}, "memory 28 GiB of 10 GiB"),
        ("y", {"destination": "far"}, "that host is in another cluster"),
        ("y", {"destination": "d"}, "that host has another storage pool"),
        ("y", {"destination": "nowhere"}, "nowhere: there is no such host"),
        ("y", {"source": "b"}, "it is on a, not on b"),
        ("y", {"vm": "w", "source": "d"}, "it cannot migrate (GPU)"),
        ("y", {"vm": "nobody"}, "nobody: there is no such machine"),
        ("y", {"vm": "x"}, "it is moving already"),
        ("y", {"end_s": 1.0}, "y: it is said to end at 1 s, it ends at"),
        ("y", {"start_s": -1.0}, "before the plan"),
        ("y", {"start_s": 1e4}, "a: y is on it while it must be empty"),
    ],
)
def test_what_is_wrong_is_found(inventory, table, plan, vm, change, said):
    assert said in broken(inventory, table, plan, vm, **change)


@pytest.mark.parametrize(
    "limit",
    [Limit("host", 1, "out"), Limit("cluster", 1), Limit("pool", 1), Limit("nic", 1), Limit("host", 2, cost=2)],
)
def test_slots_that_are_exceeded(inventory, table, limit):
    moves = pd.DataFrame(
        {"vm": ["x", "y"], "source": "a", "destination": ["c", "small"], "start_s": 0.0, "end_s": 9.0}
    )
    hosts = pd.DataFrame({"host": [], "empty_s": [], "until_s": []})
    assert "slot" in " ".join(violations(inventory, moves, hosts, table, [limit]))
    assert "slot" not in " ".join(violations(inventory, moves, hosts, table, [limit._replace(slots=4)]))


def test_deadline_budget_and_return(inventory, table, plan):
    said = violations(inventory, plan.moves, plan.hosts, table, deadline_s=1.0, most_moves=1, return_home=True)
    assert [any(word in one for one in said) for word in ("the deadline is 1 s", "at most 1", "not return home")] == [
        True, True, True,
    ]  # fmt: skip


def test_a_share_at_which_a_machine_never_ends_is_found():
    rows = [
        {
            "vm": f"v{k}", "host": "a", "memory": "16 GiB",
            "dirty_1_region": "4 GiB", "dirty_1_writes_per_s": 60_000,
        }
        for k in range(8)
    ]  # fmt: skip
    inventory = Inventory.read(rows, HOSTS[:3])
    table = tabulate(inventory.vms, UNCAPPED, 1.25e9)
    moves = pd.DataFrame(
        {"vm": [f"v{k}" for k in range(8)], "source": "a", "destination": "c", "start_s": 0.0, "end_s": 1.0}
    )
    hosts = pd.DataFrame({"host": [], "empty_s": [], "until_s": []})
    assert "it never ends at the share of its links" in " ".join(violations(inventory, moves, hosts, table))
