"""Designs: which runs they mean, in which order, and what is wrong with a wrong one."""

import re
from collections import Counter

import pytest

from migkit.errors import UsageError
from migkit.harness.runs.experiment import ordered, points, read

GRID = {"policy": {"max_bandwidth": ["50 MB/s", "100 MB/s"]}, "strategy": {"name": ["precopy", "postcopy", "hybrid"]}}


def test_a_grid_is_every_combination_and_points_are_combined_with_it():
    assert len(points({"grid": GRID})) == 6
    listed = points({"grid": GRID, "points": [{"guest": {"memory": "1 GiB"}}, {"guest": {"memory": "2 GiB"}}]})
    assert [point.number for point in listed] == list(range(1, 13))
    assert listed[7].changes == {
        "guest.memory": "2 GiB",
        "policy.max_bandwidth": "50 MB/s",
        "strategy.name": "postcopy",
    }


def test_a_point_changes_what_it_names_and_nothing_else():
    base = {"guest": {"memory": "64 MiB"}, "policy": {"name": "qemu", "max_bandwidth": "1 MB/s"}}
    changed = points({"grid": GRID})[0].applied(base)
    assert changed["policy"] == {"name": "qemu", "max_bandwidth": "50 MB/s"}
    assert changed["guest"] == base["guest"]
    assert base["policy"]["max_bandwidth"] == "1 MB/s"


def test_the_order_is_random_of_the_seed_and_holds_every_run_once():
    design = points({"grid": GRID})
    orders = [[each.name for each in ordered(design, 3, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert set(Counter(orders[0]).values()) == {1}
    assert len(orders[0]) == 18
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it varies nothing; give [grid.TABLE] with lists of values, or [[points]]"),
        ("[grid]", "it varies nothing; give [grid.TABLE]"),
        ("[grids.policy]", "'grids' is not known; use [grid.TABLE], [[points]] and the tables of a scenario"),
        ("[grid]\nname = [1]", "keys stand in the tables of a scenario"),
        ('[grid.policy]\nname = "qemu"', "grid.policy.name is no list of values"),
        ("[grid.policy]\nname = []", "grid.policy.name is no list of values"),
        ("points = 3", "it varies nothing"),
    ],
)
def test_a_wrong_design_is_one_line(tmp_path, text, message):
    path = tmp_path / "design.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        read(path)
