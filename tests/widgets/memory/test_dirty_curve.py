"""Explorers of the dirty curve and of rounds, without a page."""

import pytest

from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.units import PAGE_BYTES
from migkit.widgets import DirtyCurveExplorer, RoundsExplorer


@pytest.fixture
def curve():
    return DirtyCurveExplorer()


@pytest.fixture
def rounds():
    return RoundsExplorer()


def drawn(figure):
    return [(tuple(trace.x), tuple(trace.y)) for trace in figure.data]


def test_every_guest_of_the_family_gives_the_reading(curve):
    curve.window.value = "3 s"
    for guest in curve.members.values():
        assert unique_dirty_pages(guest, 3.0) == pytest.approx(curve.reading.pages, rel=0.01)
    point = next(trace for trace in curve.family.data if trace.name == "one reading")
    assert (point.x[0], point.y[0]) == (3.0, curve.reading.pages * PAGE_BYTES)


def test_one_reading_leaves_the_verdict_open(curve):
    assert {result.verdict for result in curve.results.values()} == {"converges", "does_not_converge"}
    assert curve.table.value.count("<tr>") == 1 + len(curve.results)


@pytest.mark.parametrize(
    ("at", "value"), [((0, 0), "128 MiB"), ((0, 1), 100_000.0), ((0, 2), "sweep"), ((2, 1), 1000.0)]
)
def test_every_class_moves_both_figures(curve, at, value):
    before = drawn(curve.figure), drawn(curve.family)
    curve.classes[at[0]][at[1]].value = value
    assert drawn(curve.figure) != before[0]
    assert drawn(curve.family) != before[1]


def test_a_guest_that_writes_nothing_has_its_words(curve):
    for _, writes, _ in curve.classes:
        writes.value = 0.0
    assert curve.complaints == {}
    assert list(curve.members) == ["writes nothing"]
    assert "converges" in curve.headline.value


def test_sets_beyond_the_memory_are_told_beside_the_slider_and_the_picture_stays(curve):
    before = drawn(curve.figure)
    curve.classes[1][0].value = "16 GiB"
    assert "exceed the memory" in curve.complaints["set 2"]
    assert drawn(curve.figure) == before


def test_the_code_of_the_curve_makes_the_same_figure(curve):
    curve.classes[2][1].value = 1000.0
    made = {}
    exec(curve.code(), made)
    assert made["guest"] == curve.guest
    assert made["figure"].data[0].y == curve.figure.data[0].y


def test_rounds_settle_where_the_link_is_slow_and_words_say_where(rounds):
    assert "shrink" in rounds.headline.value
    rounds.bandwidth.value = "500 Mbit/s"
    assert "fixed point" in rounds.headline.value
    assert "natural downtime" in rounds.headline.value
    assert rounds.table.value.count("<tr>") == 1 + 12 + 2


@pytest.mark.parametrize(("name", "value"), [("kind", "sweep"), ("downtime_limit", "30 ms"), ("memory", "8 GiB")])
def test_every_control_moves_the_steps(rounds, name, value):
    before = drawn(rounds.steps)
    getattr(rounds, name).value = value
    assert drawn(rounds.steps) != before
    assert rounds.result == predict(rounds.scenario(), level=None)


def test_the_code_of_the_rounds_makes_the_same_result_and_figure(rounds):
    rounds.kind.value = "sweep"
    made = {}
    exec(rounds.code(), made)
    assert made["result"] == rounds.result
    assert made["figure"].to_json() == rounds.figure.figure.to_json()


@pytest.mark.parametrize("explorer", [DirtyCurveExplorer, RoundsExplorer])
def test_every_control_has_a_label_and_a_sentence(explorer):
    for label, field in explorer().fields.items():
        assert label == field.control.description
        assert field.control.tooltip.endswith(".")
