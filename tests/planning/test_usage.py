"""How full links and hosts are during a plan: bytes are conserved, nothing is fuller than full."""

import numpy as np
import pandas as pd
import pytest

from migkit import Guest, Policy, Scenario
from migkit.errors import UsageError
from migkit.planning.convergence import never_converging
from migkit.planning.drain import drain
from migkit.planning.drain.usage import host_memory, link_load
from migkit.planning.durations import tabulate
from migkit.planning.inventory import Inventory, example

BASE = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(max_bandwidth_bytes_per_s=1e11))


@pytest.fixture(scope="module")
def plan():
    return drain(example(hosts=5, machines=25), ["h0"], base=BASE, rounds=0, improve_s=0)


def test_links_carry_what_the_moves_send(plan):
    load = plan.link_load(slots=37)
    step_s = load.columns[1] - load.columns[0]
    carried = {name: row.sum() * step_s * 3.125e9 for name, row in load.iterrows()}
    spent_s = plan.moves.end_s - plan.moves.start_s
    sent = plan.moves.share_bytes_per_s * spent_s
    for way, column in (("out", "source"), ("in", "destination")):
        for host, total in sent.groupby(plan.moves[column]).sum().items():
            assert carried[f"{host} {way}"] == pytest.approx(total, rel=1e-6)
    assert load.to_numpy().max() <= 1.0


def test_hosts_that_share_a_path_have_one_row():
    hosts = [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s", "nic": "n"} for name in "ab"]
    hosts += [{"host": "c", "memory": "64 GiB", "link": "10 Gbit/s"}]
    fleet = Inventory.read([{"vm": name, "host": name, "memory": "1 GiB"} for name in "ab"], hosts)
    moves = pd.DataFrame(
        {"source": ["a", "b"], "destination": ["c", "c"], "start_s": [0.0, 0.0], "end_s": [1.0, 1.0]}
    )
    load = link_load(fleet, moves, 2.5e8, slots=1)
    assert load[0.0].to_dict() == pytest.approx({"n out": 0.4, "c in": 0.4})


def test_memory_is_held_twice_while_a_machine_moves(plan):
    held = plan.host_memory(slots=50)
    before = plan.inventory.vms.groupby("host").memory_bytes.sum() / 2**39
    assert held[0.0]["h0"] == pytest.approx(before["h0"])
    assert held.iloc[:, -1]["h0"] < before["h0"], "all but the last ones have left"
    assert (held.max(axis=1) <= 1.0).all()


def test_short_stays_between_two_edges_are_not_lost():
    fleet = Inventory.read(
        [{"vm": "x", "host": "a", "memory": "4 GiB"}],
        [{"host": name, "memory": "8 GiB", "link": "1 Gbit/s"} for name in "abc"],
    )
    moves = pd.DataFrame(
        {
            "vm": ["x", "x"],
            "source": ["a", "b"],
            "destination": ["b", "c"],
            "start_s": [0.0, 1.2],
            "end_s": [1.0, 1.4],
        }
    )
    held = host_memory(fleet, moves, slots=1)
    assert held[0.0].tolist() == [0.5, 0.5, 0.5]


def test_nothing_moves_and_nothing_is_used():
    fleet = example(hosts=3, machines=3)
    plan = drain(fleet, ["h0"], base=BASE, rounds=0, improve_s=0)
    assert link_load(fleet, plan.moves.iloc[:0], 1e9).empty
    assert host_memory(fleet, plan.moves.iloc[:0], slots=3).shape == (3, 3)


@pytest.mark.parametrize("by", ["memory", "host"])
def test_what_never_converges_is_what_the_planner_says(by):
    fleet = example(hosts=4, machines=40, seed=3)
    parts, counts = never_converging(fleet, BASE, shares_bytes_per_s=[2e7, 6.25e7, 3e9], by=by)
    assert counts.sum() == 40
    stuck = parts.mul(counts, axis=0).sum()
    for share in (2e7, 6.25e7, 3e9):
        alone = ~tabulate(fleet.vms, BASE, share).ends
        assert stuck[share] == pytest.approx(np.count_nonzero(alone), abs=1.01)
    assert (np.diff(parts.to_numpy(), axis=1) <= 1e-12).all(), "more of a link never hurts"


@pytest.mark.parametrize(("given", "said"), [({"by": "age"}, "by"), ({"shares_bytes_per_s": []}, "shares")])
def test_a_question_without_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        never_converging(example(hosts=3, machines=3), BASE, **given)
