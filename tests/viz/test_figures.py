import dataclasses
import math
import re

import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Policy, Strategy, viz
from migkit.models.predict import predict
from migkit.scenario.strategy import STRATEGIES
from migkit.viz.style import STRATEGIES as STYLES

GUEST = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**27, writes_per_s=8000),))


@pytest.fixture(scope="module")
def result():
    return predict(guest=GUEST, host=Host(platform="qemu-tcg"))  # whose syncs take no time


def test_every_sync_stands_on_the_drawn_line(result):
    line, syncs, _ = viz.prediction(result).data
    drawn = set(zip(line.x, line.y, strict=True))
    assert len(syncs.x) == result.iterations > 2
    assert set(zip(syncs.x, syncs.y, strict=True)) <= drawn


def test_large_and_small_guests_get_axes_in_units_that_fit():
    titles = [
        viz.prediction(predict(guest=Guest(memory_bytes=size))).layout.yaxis.title.text for size in (2**34, 2**28)
    ]
    assert titles == ["remaining [GiB]", "remaining [MiB]"]


def test_round_bars_add_up_to_what_was_sent(result):
    (bars,) = viz.rounds(predicted=result).data
    assert sum(bars.y) * 2**20 == pytest.approx(result.transferred_bytes, rel=1e-6)


def test_time_lines_of_strategies_end_at_their_total_time():
    results = {name: predict(guest=GUEST, strategy=Strategy(name=name)) for name in STRATEGIES}
    figure = viz.timelines(results)
    for row, result in enumerate(results.values()):
        assert sum(phase.x[row] for phase in figure.data) == pytest.approx(result.total_time_s, rel=1e-6)


def test_a_migration_that_never_ends_is_drawn_to_where_it_settles():
    endless = predict(guest=dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=1e6),)))
    assert math.isinf(endless.total_time_s)
    assert all(math.isfinite(phase.x[0]) for phase in viz.timelines({"precopy": endless}).data)


def test_strategies_differ_in_colour_dash_and_marker():
    assert set(STYLES) == set(STRATEGIES)
    for part in ("colour", "dash", "marker"):
        assert len({getattr(style, part) for style in STYLES.values()}) == len(STYLES)


def test_accuracy_has_a_panel_a_quantity():
    frame = pd.DataFrame(
        {
            "run": ["a", "b", "a"],
            "quantity": ["total time [s]", "total time [s]", "sent [MiB]"],
            "measured": [1.0, 2.0, 3.0],
            "predicted": [1.1, 2.1, 3.1],
        }
    )
    figure = viz.predicted_against_measured(frame)
    titles = [figure.layout[axis].title.text for axis in ("xaxis", "xaxis2")]
    assert titles == ["measured total time [s]", "measured sent [MiB]"]
    assert len(figure.data) == 4
    assert figure.data[2].xaxis == "x2"


def test_a_curve_stops_where_its_strategy_does_not_end():
    rates = [1e3, 1e7]
    guests = [
        dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=rate),)) for rate in rates
    ]
    sweep = {
        name: [predict(guest=guest, strategy=Strategy(name=name)) for guest in guests]
        for name in ("precopy", "stopcopy")
    }
    fields = {"total_time_s": "total time", "downtime_s": "downtime"}
    figure = viz.crossovers(rates, sweep, here=1e4, x_title="writes", fields=fields)
    precopy, stopcopy, now, precopy_down = figure.data[:4]
    assert precopy.y == (sweep["precopy"][0].total_time_s, None)
    assert stopcopy.y[0] == pytest.approx(stopcopy.y[1])
    assert now.x == (1e4, 1e4)
    assert precopy_down.y[0] == sweep["precopy"][0].downtime_s


def test_no_figure_offers_to_send_its_data_away(result):
    figure = result.plot()
    page = figure.to_html(include_plotlyjs=False, config={"scrollZoom": True})
    assert '"showSendToCloud": false' in page
    assert '"scrollZoom": true' in page
    bundle = figure._repr_mimebundle_()
    assert all(
        value["config"]["showSendToCloud"] is False
        for kind, value in bundle.items()
        if kind.endswith("plotly.v1+json")
    )


def test_where_switchover_is_allowed_is_drawn_as_a_level():
    policy = Policy(max_bandwidth_bytes_per_s=1e8, downtime_limit_s=0.1)
    result = predict(guest=GUEST, policy=policy)
    level = viz.prediction(result, limit_bytes=1e7).data[2]
    assert level.y == (1e7 / 2**20, 1e7 / 2**20)


def test_convergence_shows_what_the_last_sync_left_below_the_level(result):
    limit_bytes = 128 * 2**20 * 0.3
    left, level = viz.convergence(result, limit_bytes=limit_bytes).data
    assert level.y[0] == limit_bytes
    assert left.y[-1] < level.y[0] < left.y[0]
    assert left.y[-1] == pytest.approx(result.remaining_at_switchover_bytes, rel=2e-3)


def test_intervals_tell_runs_that_they_hold_from_those_that_they_miss():
    rows = [("held", 1.0, 1.1, 0.9, 1.3), ("above", 1.0, 2.0, 1.5, 2.5), ("below", 4.0, 2.0, 1.0, 3.0)]
    frame = pd.DataFrame(rows, columns=["run", "measured", "predicted", "low", "high"])
    held, missed, level = viz.intervals(frame.assign(quantity="total time [s]")).data
    assert (list(held.text), list(missed.text)) == (["held"], ["above", "below"])
    assert list(missed.y) == [2.0, 0.5]
    assert list(missed.error_y.array) == [0.5, 0.25]
    assert list(missed.error_y.arrayminus) == [0.5, 0.25]
    assert set(level.y) == {1.0}


def test_a_table_has_its_texts_at_the_left():
    frame = pd.DataFrame({"setting": ["4 streams", "as it is"], "late_s": [1.5, 90.0]})
    page = viz.table(frame).to_html()
    assert re.search(r"#T_\w+_row0_col0, #T_\w+_row1_col0 \{\s*text-align: left;", page)
    assert re.search(r"#T_\w+ th\.col0 \{\s*text-align: left;", page)
    assert "col1 {" not in page
