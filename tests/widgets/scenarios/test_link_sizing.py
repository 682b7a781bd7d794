import pytest

from migkit import Host
from migkit.models.predict import predict
from migkit.scenario.link import Link
from migkit.widgets import LinkExplorer


@pytest.fixture
def explorer():
    return LinkExplorer(Host(quiesce_s=0.002, load_s=0.01))


def drawn(explorer):
    return [(tuple(trace.x), tuple(trace.y)) for trace in explorer.figure.data]


@pytest.mark.parametrize(
    ("name", "value", "more"),
    [
        ("memory", "8 GiB", True),
        ("write_rate", 100_000.0, True),
        ("working_set", "16 MiB", False),
        ("longest_time", "20 s", True),
        ("downtime_limit", "10 ms", True),
    ],
)
def test_every_control_moves_answer_and_figure(explorer, name, value, more):
    least, before = explorer.answer.value, drawn(explorer)
    getattr(explorer, name).value = value
    assert explorer.complaints == {}
    assert (explorer.answer.value > least) == more
    assert drawn(explorer) != before
    assert explorer.answer.text[:20] in explorer.headline.value


def test_the_answer_keeps_the_limits_and_a_tenth_less_does_not(explorer):
    least = explorer.answer.value
    for factor, keeps in ((1.0, True), (0.9, False)):
        scenario = explorer.scenario()
        result = predict(
            guest=scenario.guest,
            host=scenario.host,
            policy=scenario.policy,
            link=Link(bandwidth_bytes_per_s=factor * least),
            level=None,
        )
        assert (result.total_time_s <= 60.0 and result.downtime_s <= 1.0) == keeps


def test_limits_that_no_link_keeps_are_told_beside_the_control_and_the_picture_stays(explorer):
    before, answer = drawn(explorer), explorer.answer
    explorer.longest_downtime.value = "10 ms"
    assert list(explorer.complaints) == ["downtime"]
    assert (drawn(explorer), explorer.answer) == (before, answer)
    explorer.longest_downtime.value = "2 s"
    assert explorer.complaints == {}
