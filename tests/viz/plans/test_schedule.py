"""The picture of a plan: each migration is a bar where it belongs, and no two lie on each other."""

import itertools

import numpy as np
import pandas as pd

from migkit.viz.plans.schedule import gantt, lanes


def test_bars_are_the_moves():
    moves = pd.DataFrame(
        {
            "vm": ["x", "y", "x"],
            "source": ["a", "a", "b"],
            "destination": ["b", "c", "a"],
            "kind": ["out", "out", "home"],
            "start_s": [0.0, 1.0, 9.0],
            "end_s": [3.0, 4.0, 12.0],
        }
    )
    hosts = pd.DataFrame({"host": ["a"], "empty_s": [4.0]})
    figure = gantt(moves, hosts, deadline_s=20.0)
    assert [trace.name for trace in figure.data] == ["leaves its host", "returns home", "empty", "deadline"]
    out, home = figure.data[:2]
    assert list(out.x) == [3.0, 3.0]
    assert list(out.base) == [0.0, 1.0]
    assert list(out.y) == [0, 1]
    assert list(home.y) == [0]
    assert "x: a to b, 0 s to 3 s" in out.hovertext[0]


def test_no_two_share_a_lane_at_a_time():
    draw = np.random.default_rng(2)
    start = draw.uniform(0, 50, 200)
    end = start + draw.uniform(0.1, 9, 200)
    owner = [f"h{k}" for k in draw.integers(0, 4, 200)]
    rows = lanes(owner, start.tolist(), end.tolist())
    for a, b in itertools.combinations(range(200), 2):
        if rows[a] == rows[b]:
            assert end[a] <= start[b] + 1e-9 or end[b] <= start[a] + 1e-9
    assert max(lane for _, lane in rows) < 30
