import math

import comm
import ipywidgets
import pytest

from migkit import Host
from migkit.models.predict import predict
from migkit.scenario.strategy import STRATEGIES
from migkit.widgets import Explorer, controls
from migkit.widgets.scenarios import explorer as module


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


def test_a_contradiction_is_told_beside_its_control_and_goes_away_when_it_is_solved(explorer):
    before, headline, code = drawn(explorer), explorer.headline.value, explorer.code()
    explorer.working_set.value = "8 GiB"
    assert list(explorer.complaints) == ["working set"]
    assert "exceed the memory (4 GiB)" in explorer.fields["working set"].text
    assert (drawn(explorer), explorer.headline.value) == (before, headline)
    assert explorer.widget.children[-1].code == code
    explorer.memory.value = "16 GiB"
    assert explorer.complaints == {}
    assert "exceed" not in explorer.fields["working set"].text
    assert drawn(explorer) != before


def test_an_unexpected_error_is_shown_and_raised(explorer, monkeypatch):
    def broken(_scenario, level):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(module, "predict", broken)
    with pytest.raises(ZeroDivisionError):
        explorer.bandwidth.value = "1 Gbit/s"
    assert "a defect" in explorer.complaints["bandwidth"]


def test_a_migration_that_never_ends_is_explained(explorer):
    explorer.bandwidth.value = "150 Mbit/s"
    assert math.isinf(explorer.result.total_time_s)
    assert "does not converge" in explorer.headline.value
    assert "inf" not in explorer.headline.value


def test_the_state_that_a_reloaded_page_asks_for_is_what_is_shown(explorer):
    explorer.bandwidth.value = "1 Gbit/s"
    state = explorer.figure.get_state()
    assert state["_figure"]["data"][0]["x"] == list(explorer.figure.data[0].x)
    assert state["_figure"]["layout"]["yaxis"]["title"] == explorer.figure.layout.yaxis.title.to_plotly_json()
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
    [state] = [one["data"]["state"] for one in announced if "_figure" in one["data"]["state"]]
    assert [trace["y"] for trace in state["_figure"]["data"]] == [list(trace.y) for trace in figure.data]
    assert not state["_config"]["displaylogo"]


def test_a_page_gets_the_script_of_plotly_once_for_all_figures():
    one, other = Explorer().figure, Explorer().figure
    assert one.get_state()["_script"] == other.get_state()["_script"]
    assert sum(len(repr(value)) for value in one.get_state().values()) < 100_000


def test_a_figure_is_shown_after_all_widgets_were_closed():
    before = Explorer().figure.get_state()["_script"]
    ipywidgets.Widget.close_all()
    after = Explorer().figure.get_state()["_script"]
    assert after != before
    holder = ipywidgets.widgets.widget._instances[after.removeprefix("IPY_MODEL_")]
    assert "plotly.js" in holder.text[:100]


def test_a_slider_that_cannot_act_says_what_limits(explorer):
    explorer.host = Host(goodput_bytes_per_s=2.4e8)
    explorer.bandwidth.value = "10 Gbit/s"
    assert explorer.fields["bandwidth"].note == (
        "Does not act: one stream of the sending host, 1.92 Gbit/s, limits the speed."
    )
    before = drawn(explorer)
    explorer.bandwidth.value = "400 Gbit/s"
    assert drawn(explorer) == before
    explorer.bandwidth.value = "1 Gbit/s"
    assert explorer.fields["bandwidth"].note == ""


@pytest.mark.parametrize(("strategy", "acts"), [("precopy", True), ("stopcopy", False), ("postcopy", False)])
def test_a_downtime_limit_that_the_strategy_has_no_use_for_says_so(explorer, strategy, acts):
    explorer.strategy.value = strategy
    before = drawn(explorer)[0]
    explorer.downtime_limit.value = "10 s"
    assert (explorer.fields["downtime limit"].note == "") == acts == (drawn(explorer)[0] != before)


def test_ranges_reach_what_advice_asks_for(explorer):
    assert controls.BANDWIDTHS[-1] == "400 Gbit/s"
    assert controls.MEMORIES[-1] == "16 TiB"
    explorer.bandwidth.value, explorer.memory.value = "400 Gbit/s", "16 TiB"
    assert explorer.result.verdict == "converges"
