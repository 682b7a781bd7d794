import json

import pytest

from migkit import Guest, viz
from migkit.models.predict import predict
from migkit.viz.style import COLOURS, GRID, INK, MEANINGS, STRATEGIES
from migkit.viz.ticks import KINDS, log_axis


@pytest.fixture(scope="module")
def figure():
    return viz.overview(predict(guest=Guest(memory_bytes=2**30)), limit_bytes=1e7)


def luminance(colour):
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_each_meaning_has_a_colour_of_its_own():
    colours = [meaning.value for meaning in MEANINGS.values()]
    assert len(set(colours)) == len(colours)
    assert set(colours) == set(COLOURS.values())


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_text_can_be_read_on_light_and_dark_pages(page):
    assert contrast(INK, page) > 4


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_lines_stand_out_from_light_and_dark_pages(page):
    for name in ("precopy", "stopcopy", "postcopy", "hybrid", "measured", "predicted", "reference"):
        assert contrast(MEANINGS[name].value, page) > 2.1, name


def test_a_figure_lets_the_page_shine_through(figure):
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color == INK
    assert figure.layout.xaxis2.gridcolor == GRID
    assert figure.layout.width is None


def test_a_written_figure_has_dark_ink_for_paper(figure, tmp_path):
    figure.write_html(tmp_path / "figure.html", include_plotlyjs=False)
    for page in (figure.to_html(include_plotlyjs=False), (tmp_path / "figure.html").read_text()):
        assert INK not in page
        assert '"color":"#222222"' in page
    assert figure.layout.font.color == INK


def test_panels_side_by_side_say_how_many_they_are(figure):
    assert figure.layout.meta == {"panels": 2}


def test_where_the_guest_runs_has_the_colours_of_the_strategies():
    figure = viz.timelines({"precopy": predict(guest=Guest(memory_bytes=2**30))})
    phases = [trace.marker.color for trace in figure.data]
    assert phases == [STRATEGIES[name].colour for name in ("precopy", "stopcopy", "postcopy")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("low", "high"), [(1, 1.1), (1.3, 2.2), (3, 40), (1, 1e6), (1e-3, 1e9), (7, 7)])
def test_ticks_lie_within_the_values_and_say_different_things(kind, low, high):
    axis = log_axis([None, low, high], kind)
    assert 1 <= len(axis["tickvals"]) <= 9
    assert all(low / 1.03 <= value <= high * 1.03 for value in axis["tickvals"])
    assert len(set(axis["ticktext"])) == len(axis["ticktext"])
    assert json.dumps(axis)


def test_times_are_written_in_the_unit_that_fits():
    assert log_axis([0.01, 7200.0], "time")["ticktext"] == [
        *("10 ms", "100 ms", "1 s", "10 s"),
        *("1 min", "10 min", "1 h"),
    ]


def test_ticks_whose_texts_would_touch_are_left_out():
    assert log_axis([29.0, 1700.0], "time")["ticktext"] == ["1 min", "2 min", "5 min", "10 min", "20 min"]
    assert log_axis([17.0, 31.0], "time")["ticktext"] == ["20 s", "25 s", "30 s"]
