"""The explorer of networks, without a page."""

import pytest

from migkit.models.predict import predict
from migkit.widgets import NetworkExplorer


@pytest.fixture
def explorer():
    return NetworkExplorer()


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("migrations", "4", "link"),
        ("encryption", "yes", "encryption"),
        ("round_trip", "50 ms", "link"),
        ("bandwidth", "100 Gbit/s", "stream"),
    ],
)
def test_every_part_of_the_path_moves_the_prediction(explorer, name, value, limit):
    before = explorer.result.total_time_s
    getattr(explorer, name).value = value
    assert explorer.result.total_time_s != before
    assert explorer.result.limited_by == limit
    assert explorer.result == predict(explorer.scenario(), level=None)


def test_loss_counts_where_the_other_host_is_far(explorer):
    explorer.round_trip.value, explorer.loss.value = "50 ms", "1e-6"
    assert explorer.result.limited_by == "tcp"
    slow = explorer.result.total_time_s
    explorer.streams.value = "8"
    assert explorer.result.total_time_s < slow / 4


def test_an_outage_at_the_end_is_downtime_and_one_before_is_not(explorer):
    explorer.outage.value = "2 s"
    assert explorer.result.downtime_s < 0.5
    long = explorer.result.total_time_s
    explorer.outage.value = "0 s"
    assert long - explorer.result.total_time_s == pytest.approx(2.0, abs=0.3)


def test_controls_that_cannot_act_say_why(explorer):
    assert "there is no outage" in explorer.fields["outage after"].note
    assert "Does not act" in explorer.fields["streams"].note
    explorer.outage.value, explorer.encryption.value = "1 s", "yes"
    assert explorer.fields["outage after"].note == explorer.fields["streams"].note == ""
    assert "encryption" in explorer.fields["bandwidth"].note


def test_the_limiting_part_is_marked(explorer):
    explorer.encryption.value = "yes"
    [bar] = explorer.speeds.data
    marked = [name for name, text in zip(bar.y, bar.text, strict=True) if text.endswith("limits")]
    assert marked == ["encryption"]
    assert min(zip(bar.x, bar.y, strict=True))[1] == "encryption"


def test_the_code_makes_the_same_result_and_figure(explorer):
    explorer.outage.value, explorer.loss.value, explorer.encryption.value = "1 s", "1e-5", "yes"
    made = {}
    exec(explorer.code(), made)
    assert made["result"] == explorer.result
    assert made["figure"].to_json() == explorer.figure.figure.to_json()
