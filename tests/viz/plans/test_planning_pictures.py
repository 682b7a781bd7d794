"""Pictures for planners: what is drawn is what the frames hold, and what has no end is said to have none."""

import math

import numpy as np
import pandas as pd
import pytest

from migkit import viz


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_probability_rises_to_the_part_that_ends():
    figure = viz.empty_by([30.0, math.inf, 10.0, 20.0], deadline_s=25.0)
    line = named(figure, "empty")
    assert list(line.x)[:4] == [0.0, 10.0, 20.0, 30.0]
    assert list(line.y) == [0.0, 0.25, 0.5, 0.75, 0.75]
    assert list(named(figure, "50 and 95 %").x) == [20.0], "95 % is never reached"
    assert list(named(figure, "deadline").x) == [25.0, 25.0]


def test_nothing_that_ends_has_no_probability():
    line = named(viz.empty_by([math.inf, math.inf]), "empty")
    assert list(line.y) == [0.0, 0.0]


def machines():
    return pd.DataFrame(
        {
            "vm": ["x", "y", "z"],
            "host": ["a", "a", "b"],
            "start_s": [0.0, 4.0, math.nan],
            "median_s": [5.0, 9.0, math.inf],
            "late_s": [7.0, math.inf, math.inf],
            "leaves": [1.0, 0.9, 0.0],
        }
    )


def test_a_machine_that_may_stay_has_an_arrow_and_no_end():
    figure = viz.rehearsed(machines())
    assert list(figure.layout.yaxis.ticktext) == ["x (a)", "y (a)", "z (b)"]
    assert list(named(figure, "median start to median end").y) == [0, 1]
    assert list(named(figure, "may stay").y) == [1, 2]
    assert "0.0%" in named(figure, "may stay").text[1]


def test_only_those_that_end_last_are_drawn():
    figure = viz.rehearsed(machines(), most=2)
    assert list(figure.layout.yaxis.ticktext) == ["y (a)", "z (b)"]


def test_the_busiest_links_are_drawn_and_counted():
    load = pd.DataFrame(np.linspace(0, 1, 100)[:, None].repeat(3, axis=1), index=[f"l{k}" for k in range(100)])
    figure = viz.link_load(load)
    assert list(figure.data[0].y) == [f"l{k}" for k in range(60, 100)]
    assert list(figure.data[0].x) == [0.0, 1.0, 2.0, 3.0]
    assert figure.layout.yaxis.title.text == "the 40 busiest of 100"


def test_long_plans_are_drawn_in_minutes():
    moves = pd.DataFrame({"vm": ["x"], "source": ["a"], "destination": ["b"], "kind": ["out"]})
    figure = viz.gantt(moves.assign(start_s=600.0, end_s=1800.0))
    assert figure.layout.xaxis.title.text == "time since the beginning [min]"
    assert (figure.data[0].base[0], figure.data[0].x[0]) == (10.0, 20.0)


def options():
    return pd.DataFrame(
        {
            "changes": ["as it is", "hybrid", "postcopy", "2 streams", "endless"],
            "strategy": ["precopy", "hybrid", "postcopy", "precopy", "precopy"],
            "total_time_s": [9.0, 8.0, 7.0, 9.5, math.inf],
            "downtime_s": [0.2, 0.1, 0.05, 0.9, math.inf],
            "transferred_bytes": [1e9, 2e9, 1e9, 1e9, math.inf],
            "keeps_limits": [True, True, True, False, False],
            "on_front": [False, True, True, False, False],
            "is_best": [False, True, False, False, False],
        }
    )


def test_each_choice_is_drawn_once_and_the_best_twice():
    figure = viz.front(options())
    drawn = {trace.name: list(trace.x) for trace in figure.data}
    assert drawn == {
        "misses a limit": [9.5],
        "beaten by another one": [9.0],
        "post-copy": [7.0],
        "hybrid": [8.0],
        "the best by the weights": [8.0],
    }


def test_values_that_never_converge_are_marked():
    curve = pd.DataFrame(
        {
            "value": [1.0, 2.0, 4.0],
            "holds": [False, True, True],
            "verdict": ["does_not_converge", "converges", "converges"],
            "total_time_s": [math.inf, 20.0, 10.0],
            "downtime_s": [math.inf, 0.3, 0.2],
        }
    )
    figure = viz.near(curve, 2.0, "streams", "{:g}".format)
    assert list(named(figure, "does not converge").x) == [1.0]
    assert list(named(figure, "converges").x) == [2.0, 4.0]
    assert list(named(figure, "the answer").x) == [2.0, 2.0]
    assert 2.0 in figure.layout.xaxis.tickvals
    assert not named(figure, "misses a limit").showlegend
    missing = viz.near(curve.assign(holds=[False, False, True]), 4.0, "streams", "{:g}".format)
    assert named(missing, "misses a limit").showlegend


@pytest.mark.parametrize(
    ("output", "unit"), [("total_time_s", " [min]"), ("transferred_bytes", ""), ("converges", "")]
)
def test_a_tornado_reaches_from_end_to_end(output, unit):
    effects = pd.DataFrame(
        {
            "input": ["a_b", "c"],
            "low": [60.0, 600.0],
            "high": [1200.0, 540.0],
            "first_order": [0.9, -0.01],
            "in_total": [1.0, 0.02],
        }
    )
    figure = viz.tornado(effects, output)
    scale = 60.0 if unit else 1.0
    if output != "transferred_bytes":
        assert list(named(figure, "low end of the range").x) == [60.0 / scale, 600.0 / scale]
    assert list(named(figure, "alone").x) == [0.9, 0.0]
    assert figure.layout.xaxis.title.text.endswith(unit)


def test_machines_that_never_converge_are_counted_by_class():
    parts = pd.DataFrame([[1.0, 0.25], [0.0, 0.0]], index=["16 GiB", "<b>"], columns=[1.25e8, 1.25e9])
    figure = viz.never_converging(parts, [4, 1])
    assert list(figure.data[0].y) == ["16 GiB (4)", "<b> (1)"]
    assert [list(row) for row in figure.data[0].z] == [[1.0, 0.25], [0.0, 0.0]]
