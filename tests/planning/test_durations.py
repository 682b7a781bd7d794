"""Durations over shares: what the engine says at each share, and never where a machine cannot end."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from migkit import Link, Policy, predict
from migkit.models.bulk import frames
from migkit.models.bulk.rows import scenario_of
from migkit.planning import durations
from migkit.planning.durations import Durations, demand, tabulate
from tests.planning.fleets import GIB, UNCAPPED, fleet, small

LINK = 1.25e9


def predicted_s(inventory, row, share, base=UNCAPPED):
    columns = [name for name in inventory.vms if name in ("memory_bytes", "zero_bytes") or name.startswith("dirty_")]
    case = scenario_of(frames.read(inventory.vms[columns]), base, row)
    case = dataclasses.replace(case, link=Link(bandwidth_bytes_per_s=share))
    return predict(case, level=None)


@pytest.fixture(scope="module")
def busy():
    return fleet(4, 60, seed=3)


@pytest.fixture(scope="module")
def table(busy):
    return tabulate(busy.vms, UNCAPPED, LINK)


def test_alone_a_machine_takes_what_predict_says(busy, table):
    for row in range(0, 60, 7):
        assert table.shortest_s[row] == pytest.approx(predicted_s(busy, row, LINK).total_time_s, rel=1e-9)


def test_between_knots_it_is_what_predict_says(busy, table):
    draw = np.random.default_rng(1)
    for row in range(60):
        share = table.rates_bytes_per_s[row, 0] * (LINK / table.rates_bytes_per_s[row, 0]) ** draw.uniform(0.1, 1)
        want = predicted_s(busy, row, share).total_time_s
        assert 1 / table.speed(row, share) == pytest.approx(want, rel=0.03)


def test_below_its_critical_share_a_machine_never_ends(busy, table):
    held = np.flatnonzero(~table.proportional)
    assert held.size > 10
    for row in held[:10]:
        least = table.rates_bytes_per_s[row, 0]
        assert table.speed(row, 0.99 * least) == 0
        assert predicted_s(busy, row, least).verdict == "converges"
        assert predicted_s(busy, row, 0.9 * least).verdict != "converges"


def test_speeds_never_fall_with_the_share(table):
    assert (np.diff(table.speeds_per_s, axis=1) >= 0).all()
    assert (np.diff(table.rates_bytes_per_s, axis=1) > 0).all()


def test_an_idle_machine_takes_its_bytes_at_any_share():
    idle = small([{"vm": "x", "host": "a", "memory": "4 GiB"}])
    table = tabulate(idle.vms, UNCAPPED, LINK)
    assert table.proportional[0]
    for share in (1e5, 1e7, 1e9):
        assert share / table.speed(0, share) == pytest.approx(4 * GIB, rel=0.02)
    assert table.efficient_bytes_per_s()[0] == 0
    assert table.fewest_bytes(np.array([LINK]))[0] == pytest.approx(4 * GIB, rel=0.02)


def test_fewest_bytes_are_no_more_than_at_any_share(table):
    fewest = table.fewest_bytes(np.full(60, LINK))
    for share in np.geomspace(LINK / 50, LINK, 40):
        taken = share * table.at(np.full(60, share))
        assert (fewest <= taken * (1 + 1e-12)).all()


def test_the_cap_of_the_policy_is_the_most_that_a_migration_takes():
    assert demand(dataclasses.replace(UNCAPPED, policy=Policy()), 1e10) == 128 * 2**20
    assert demand(UNCAPPED, 1e8) == 1e8


def test_disks_that_are_copied_along_take_their_time():
    rows = [
        {"vm": "x", "host": "a", "memory": "4 GiB"},
        {"vm": "y", "host": "a", "memory": "4 GiB", "local_disk": "40 GiB"},
    ]
    table = tabulate(small(rows).vms, UNCAPPED, LINK)
    assert table.shortest_s[1] - table.shortest_s[0] == pytest.approx(40 * GIB / LINK, rel=0.01)


def test_pieces_in_threads_give_the_same(busy, table, monkeypatch):
    monkeypatch.setattr(durations, "_PIECE", 7)
    again = tabulate(busy.vms, UNCAPPED, LINK)
    assert np.array_equal(again.speeds_per_s, table.speeds_per_s)
    assert isinstance(again, Durations)


@pytest.mark.parametrize(("policy", "is_compiled"), [("qemu", False), ("proxmox", True)])
def test_few_machines_are_compiled_for_where_a_rule_takes_long(policy, is_compiled):
    code = (
        "from migkit import Guest, Policy, Scenario, jit; from migkit.planning.durations import tabulate; "
        "from migkit.planning.inventory import example; "
        f"base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name={policy!r})); "
        "tabulate(example(hosts=3, machines=3).vms, base, 3.125e9); print(jit.are_compiled())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(is_compiled)
