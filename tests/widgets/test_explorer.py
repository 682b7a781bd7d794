import math

import comm
import pytest

from migkit import Host
from migkit.models.predict import predict
from migkit.scenario.strategy import STRATEGIES
from migkit.widgets import Explorer
from migkit.widgets import explorer as module


@pytest.fixture
def explorer():
    return Explorer()


def drawn(explorer):
    return [(tuple(trace.x), tuple(trace.y)) for trace in explorer.figure.data]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "8 GiB"),
        ("working_set", "1 GiB"),
        ("write_rate", 5000.0),
        ("bandwidth", "1 Gbit/s"),
        ("downtime_limit", "50 ms"),
        ("strategy", "stopcopy"),
    ],
)
def test_every_control_moves_the_drawn_lines(explorer, name, value):
    before = drawn(explorer)
    getattr(explorer, name).value = value
    assert drawn(explorer) != before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_figure_shows_the_prediction_of_the_scenario_that_the_widgets_say(explorer, strategy):
    explorer.strategy.value = strategy
    expected = predict(explorer.scenario(strategy), level=None)
    assert explorer.result == expected
    line = explorer.figure.data[0]
    assert list(line.x) == [point.t_s for point in expected.timeline]
    assert max(line.y) * 2**30 == pytest.approx(max(point.remaining_bytes for point in expected.timeline))


def test_a_contradiction_is_told_in_one_line_and_goes_away_when_it_is_solved(explorer):
    before = drawn(explorer)
    explorer.working_set.value = "8 GiB"
    assert "exceed the memory (4 GiB)" in explorer.headline.value
    assert drawn(explorer) == before
    explorer.memory.value = "16 GiB"
    assert "exceed" not in explorer.headline.value
    assert drawn(explorer) != before


def test_an_unexpected_error_is_shown_and_raised(explorer, monkeypatch):
    def broken(_scenario, level):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(module, "predict", broken)
    with pytest.raises(ZeroDivisionError):
        explorer.bandwidth.value = "1 Gbit/s"
    assert "a defect" in explorer.headline.value


def test_a_migration_that_never_ends_is_explained(explorer):
    explorer.bandwidth.value = "150 Mbit/s"
    assert math.isinf(explorer.result.total_time_s)
    assert "does not converge" in explorer.headline.value
    assert "inf" not in explorer.headline.value


def test_the_state_that_a_reloaded_page_asks_for_is_what_is_shown(explorer):
    explorer.bandwidth.value = "1 Gbit/s"
    state = explorer.figure.get_state()
    assert list(state["_widget_data"][0]["x"]) == list(explorer.figure.data[0].x)
    assert state["_widget_layout"]["yaxis"]["title"] == explorer.figure.layout.yaxis.title.to_plotly_json()
    assert state["_config"]["showSendToCloud"] is False


def test_calibrated_constants_enter_the_prediction():
    slow = Explorer(host=Host(goodput_bytes_per_s=5e7))
    assert slow.result.total_time_s > 4 * Explorer().result.total_time_s


def test_a_figure_is_announced_to_the_page_when_it_is_complete(monkeypatch):
    """What is sent after the announcement is lost while the page still loads plotly's script."""
    announced = []

    def create_comm(**announcement):
        announced.append(announcement)
        return comm.DummyComm(**announcement)

    monkeypatch.setattr(comm, "create_comm", create_comm)
    figure = Explorer().figure
    [state] = [one["data"]["state"] for one in announced if "_widget_data" in one["data"]["state"]]
    assert [trace["y"] for trace in state["_widget_data"]] == [list(trace.y) for trace in figure.data]
    assert state["_widget_layout"]["width"] == figure.layout.width
    assert not state["_config"]["displaylogo"]
