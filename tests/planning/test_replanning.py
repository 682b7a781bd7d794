"""A drain under way is planned anew: what moved stays, what moves goes on, the rest fits what has changed."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from migkit import Inventory
from migkit.errors import UsageError
from migkit.planning.check import violations
from migkit.planning.drain import drain
from migkit.planning.drain.resume import resumed
from migkit.planning.durations import tabulate
from migkit.planning.slots import Limit
from tests.planning.fleets import UNCAPPED, fleet, small

LIMITS = (Limit("host", 3),)


@pytest.fixture(scope="module")
def cluster():
    return fleet(10, 120, seed=6)


@pytest.fixture(scope="module")
def plan(cluster):
    return drain(cluster, ["h0", "h1"], base=UNCAPPED, limits=LIMITS, rounds=30)


def half(plan):
    return plan.state(0.5 * plan.makespan_s)


def test_where_nothing_changed_the_rest_takes_no_longer(cluster, plan):
    now_s = 0.5 * plan.makespan_s
    again = drain(cluster, ["h0", "h1"], base=UNCAPPED, limits=LIMITS, rounds=60, state=half(plan))
    assert again.makespan_s <= 1.1 * (plan.makespan_s - now_s)
    done = set(half(plan).vm[half(plan).progress >= 1.0])
    assert not done & set(again.moves.vm)
    assert done | set(again.moves.vm) == set(plan.moves.vm)


def test_what_is_moving_goes_on_at_once_to_its_host(cluster, plan):
    state = half(plan)
    moving = state[state.progress < 1.0].set_index("vm")
    assert len(moving) > 1
    again = drain(cluster, ["h0", "h1"], base=UNCAPPED, limits=LIMITS, rounds=20, state=state)
    moves = again.moves.set_index("vm")
    assert (moves.start_s[moving.index] == 0.0).all()
    assert (moves.destination[moving.index] == moving.destination).all()
    assert any("on their way and go on" in note for note in again.notes)


def test_the_rest_keeps_off_a_host_that_failed_and_is_valid(cluster, plan):
    state = half(plan)
    lost = state[state.progress < 1.0].destination.iloc[0]
    hosts = cluster.hosts[cluster.hosts.host != lost]
    machines = cluster.vms[cluster.vms.host != lost]
    state = state[~((state.destination == lost) & (state.progress >= 1.0))]
    machines = machines[machines.vm.isin(state.vm) | ~machines.vm.isin(half(plan).vm)]
    changed = Inventory(machines.reset_index(drop=True), hosts.reset_index(drop=True))
    again = drain(changed, ["h0", "h1"], base=UNCAPPED, limits=LIMITS, rounds=20, state=state)
    assert lost not in set(again.moves.destination)
    assert any("planned anew" in note for note in again.notes)
    table = tabulate(changed.vms, UNCAPPED, float(changed.hosts.link_bytes_per_s.max()))
    now = resumed(changed, table, state)
    assert violations(now.inventory, again.moves, again.hosts, now.durations, LIMITS) == []


def test_a_link_that_no_longer_carries_a_migration_ends_it(cluster):
    rows = [{"vm": "x", "host": "a", "memory": "8 GiB", "dirty_1_region": "4 GiB", "dirty_1_writes_per_s": 20_000}]
    inventory = small(rows)
    slow = dataclasses.replace(
        inventory, hosts=inventory.hosts.assign(link_bytes_per_s=np.where(inventory.hosts.host == "b", 1e6, 1.25e9))
    )
    state = pd.DataFrame({"vm": ["x"], "destination": ["b"], "progress": [0.4]})
    again = drain(slow, ["a"], base=UNCAPPED, rounds=5, state=state)
    assert again.moves.destination.tolist() == ["c"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"vm": ["q"], "destination": ["b"], "progress": [1.0]}, "'q' is not among the 1 machines"),
        ({"vm": ["x"], "destination": ["b"]}, "the column progress is missing"),
        ({"vm": ["x"], "destination": ["b"], "progress": [1.5]}, r"progress 1\.5 of x is out of range"),
        ({"vm": ["x"], "destination": ["b"], "progress": [float("nan")]}, "progress nan of x is out of range"),
        ({"vm": ["x", "x"], "destination": ["b", "c"], "progress": [0.1, 0.2]}, "'x' stands in two rows"),
    ],
)
def test_a_wrong_state_is_one_line(state, said):
    with pytest.raises(UsageError, match=said):
        drain(small([{"vm": "x", "host": "a", "memory": "1 GiB"}]), ["a"], rounds=1, state=pd.DataFrame(state))


def test_what_moves_to_a_host_that_is_emptied_must_be_cancelled():
    inventory = small([{"vm": "x", "host": "a", "memory": "1 GiB"}])
    state = pd.DataFrame({"vm": ["x"], "destination": ["b"], "progress": [0.5]})
    with pytest.raises(UsageError, match="x is on its way to b, which is to be emptied"):
        drain(inventory, ["a", "b"], rounds=1, state=state)
