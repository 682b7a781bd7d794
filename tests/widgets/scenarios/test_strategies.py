import pytest

from migkit import Host
from migkit.models.predict import predict
from migkit.scenario.policy import presets
from migkit.scenario.strategy import STRATEGIES
from migkit.widgets import PolicyExplorer, StrategyExplorer

HOST = Host(quiesce_s=0.002, load_s=0.01, resume_s=0.001)


@pytest.fixture(scope="module")
def explorer():
    return StrategyExplorer(HOST)


def spans(explorer):
    return [tuple(trace.x) for trace in explorer.figure.data]


def test_each_strategy_has_its_row_and_its_time_line(explorer):
    assert list(explorer.results) == list(STRATEGIES)
    totals = [sum(row) for row in zip(*spans(explorer), strict=True)]
    assert totals == pytest.approx([result.total_time_s for result in explorer.results.values()])
    assert explorer.table.value.count("<tr>") == 1 + len(STRATEGIES)


def test_the_write_rate_moves_the_time_lines_and_the_upright_line_but_not_the_curves(explorer):
    lines, curve, here = spans(explorer), explorer.crossover.data[0].y, explorer.crossover.data[len(STRATEGIES)].x
    explorer.write_rate.value = 100_000.0
    assert spans(explorer) != lines
    assert explorer.crossover.data[0].y == curve
    assert here != explorer.crossover.data[len(STRATEGIES)].x == (100_000.0, 100_000.0)


def test_the_bandwidth_moves_the_curves(explorer):
    before = explorer.crossover.data[0].y
    explorer.bandwidth.value = "5 Gbit/s"
    assert explorer.crossover.data[0].y != before


def test_stop_copy_and_pre_copy_cross_where_the_guest_writes_faster_than_the_link_drains(explorer):
    explorer.bandwidth.value = "1 Gbit/s"
    explorer.working_set.value = "1 GiB"
    slow, fast = ({name: results[at] for name, results in explorer.sweep.items()} for at in (0, -1))
    assert slow["precopy"].downtime_s < slow["stopcopy"].downtime_s
    assert slow["precopy"].verdict == "converges"
    assert fast["precopy"].verdict == "does_not_converge"
    assert fast["postcopy"].verdict == "converges"
    assert explorer.crossover.data[0].y[-1] is None


def test_the_curve_of_pre_copy_ends_where_it_stops_converging(explorer):
    explorer.bandwidth.value = "1 Gbit/s"
    precopy = explorer.crossover.data[0]
    drawn = [rate for rate, total in zip(precopy.x, precopy.y, strict=True) if total is not None]
    assert max(drawn) == explorer.converges_up_to


def test_the_crossover_is_marked_and_told_and_moves_with_the_bandwidth(explorer):
    def marks():
        return {trace.name: trace.x[0] for trace in explorer.crossover.data if " " in (trace.name or "")}

    explorer.bandwidth.value = "1 Gbit/s"
    slow = marks()
    assert slow == {
        "pre-copy takes a quarter longer from": explorer.as_quick_up_to,
        "pre-copy converges up to": explorer.converges_up_to,
    }
    explorer.bandwidth.value = "3 Gbit/s"
    assert marks()["pre-copy converges up to"] > slow["pre-copy converges up to"]
    assert "Pre-copy converges up to" in explorer.headline.value


def test_progress_shows_what_was_sent_and_how_fast_the_guest_runs(explorer):
    explorer.write_rate.value = 20_000.0
    sent, speed = explorer.progress.data[: len(STRATEGIES)], explorer.progress.data[len(STRATEGIES) :]
    totals = [result.transferred_bytes for result in explorer.results.values()]
    assert [trace.y[-1] * 2**30 for trace in sent] == pytest.approx(totals, rel=0.02)
    for trace, result in zip(speed, explorer.results.values(), strict=True):
        assert (0.0 in trace.y) == (result.downtime_s > 0)
    before = [trace.y for trace in sent]
    explorer.memory.value = "8 GiB"
    assert [trace.y for trace in explorer.progress.data[: len(STRATEGIES)]] != before
    explorer.memory.value = "4 GiB"


def test_the_round_trip_costs_post_copy_progress(explorer):
    before = explorer.results["postcopy"].guest_slowdown
    explorer.round_trip.value = "50 ms"
    assert explorer.results["postcopy"].guest_slowdown > before


def test_a_contradiction_is_told_in_one_line(explorer):
    explorer.working_set.value = "1 GiB"
    explorer.memory.value = "512 MiB"
    assert "exceed the memory" in explorer.complaints["memory"]
    explorer.memory.value = "4 GiB"
    assert explorer.complaints == {}


def test_every_policy_that_comes_with_migkit_has_its_row():
    explorer = PolicyExplorer(HOST)
    names = [preset.name for preset in presets() if preset.rule is None]
    assert list(explorer.results) == names == list(explorer.figure.data[0].y)
    before = spans(explorer)
    explorer.bandwidth.value = "1 Gbit/s"
    assert spans(explorer) != before
    assert explorer.results["qemu"] == predict(explorer.scenario_under("qemu"), level=None, detail=False)
