import math

from migkit import Guest, predict, viz


def by_name(figure):
    return {trace.name: trace for trace in figure.data}


def test_what_is_not_known_is_neither_drawn_nor_named():
    drawn = by_name(viz.forecast([0.0, 1.0], [2.0**30, 2.0**29]))
    assert [name for name, trace in drawn.items() if trace.showlegend is not False] == ["as logged"]


def test_an_end_without_bound_reaches_to_the_edge():
    told = predict(Guest(memory_bytes=2**30))
    drawn = by_name(viz.forecast([0.0], [2.0**30], told.timeline, interval_s=(20.0, math.inf)))
    band = drawn["ends here with 90 %"]
    assert min(band.x) == 20.0
    assert max(band.x) > 20.0


def test_nothing_left_has_no_place_on_a_logarithmic_axis_and_one_on_a_linear_axis():
    drawn = [viz.forecast([0.0, 1.0], [2.0**30, 0.0], logarithmic=log).data[0].y for log in (True, False)]
    assert drawn[0][1] is None
    assert viz.forecast([0.0, 1.0], [2.0**30, 0.0], logarithmic=False).layout.yaxis.type is None
    assert viz.forecast([0.0, 1.0], [2.0**30, 0.0]).layout.yaxis.type == "log"


def test_looks_that_expect_no_end_are_left_out():
    figure = by_name(viz.ends([(1.0, math.inf, 1.0, math.inf), (2.0, 9.0, 8.0, math.inf), (3.0, 9.0, 8.5, 10.0)]))
    assert list(figure["expected end"].x) == [2.0, 3.0]
    assert list(figure["90 % of ends"].x) == [3.0, 3.0]


def test_a_drain_that_never_ends_stays_below_a_hundred_per_cent():
    drawn = viz.before_after({"a": [1.0, 2.0, math.inf, math.inf], "b": [1.0, 2.0, 3.0, 4.0]})
    assert [max(trace.y) for trace in drawn.data] == [0.5, 1.0]
    assert drawn.data[0].x[-1] == drawn.data[1].x[-1] > 4.0
    assert viz.before_after({"a": [1.0]}, deadline_s=9.0).data[-1].name == "deadline"
