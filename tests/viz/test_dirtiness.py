"""Figures of dirty curves and of the rounds on them."""

import math

import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, predict, viz
from migkit.models.dirty import dirty_curve, settling_bytes, unique_dirty_pages

MIB = 2**20
HOT = DirtyClass(region_bytes=64 * MIB, writes_per_s=50_000)
COLD = DirtyClass(region_bytes=256 * MIB, writes_per_s=2_000)
GUEST = Guest(memory_bytes=512 * MIB, dirty=(HOT, COLD))
SPEED = 1.25e8


@pytest.fixture(scope="module")
def result():
    rule = Policy(max_bandwidth_bytes_per_s=math.inf, downtime_limit_s=0.05)
    return predict(Scenario(guest=GUEST, link=Link(bandwidth_bytes_per_s=SPEED), policy=rule), level=None)


def test_a_dirty_curve_rises_and_its_rate_falls():
    curve = dirty_curve(GUEST)
    assert list(curve.unique_bytes) == sorted(curve.unique_bytes)
    assert list(curve.bytes_per_s) == sorted(curve.bytes_per_s, reverse=True)
    assert curve.bytes_per_s[0] == pytest.approx(52_000 * 4096, rel=0.01)
    assert curve.unique_bytes[-1] == pytest.approx(320 * MIB, rel=0.01)


def test_where_rounds_settle_the_link_sends_as_much_as_is_written_meanwhile():
    left = settling_bytes(GUEST, SPEED)
    round_s = left * 4104 / 4096 / SPEED
    assert unique_dirty_pages(GUEST, round_s) * 4096 == pytest.approx(left, rel=1e-6)


def test_both_panels_show_the_reading_and_the_curves_go_through_it():
    written = unique_dirty_pages(GUEST, 1.0) * 4096
    curve = dirty_curve(GUEST, 0.1, 10.0, 3)
    figure = viz.dirty_curves({"the guest": curve}, reading=(1.0, written), link_bytes_per_s=SPEED)
    whole, point, rate, read, link = figure.data
    assert (whole.x[1], whole.y[1]) == pytest.approx((point.x[0], point.y[0]))
    assert (rate.x[1], rate.y[1]) == pytest.approx((read.x[0], read.y[0]))
    assert set(link.y) == {SPEED}
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == [
        "the guest",
        "one reading",
        "the link sends",
    ]


def test_the_steps_go_from_the_memory_to_the_fixed_point(result):
    settles = result.natural_downtime_s, settling_bytes(GUEST, SPEED)
    figure = viz.settling(dirty_curve(GUEST), result, SPEED, settles=settles, limit_s=0.3)
    steps, point = (next(trace for trace in figure.data if trace.name == name) for name in ("rounds", "settles here"))
    assert result.verdict == "does_not_converge"
    assert steps.y[0] == GUEST.memory_bytes
    assert (steps.x[-1], steps.y[-1]) == pytest.approx((point.x[0], point.y[0]), rel=0.1)


def test_each_round_has_its_bars_and_its_point(result):
    figure = viz.each_round(result, limit_bytes=1e7)
    sent, took, left, limit = figure.data
    assert list(sent.y) == [row.sent_bytes or None for row in result.rounds]
    assert list(took.y) == [row.duration_s for row in result.rounds]
    assert len(left.y) == len(result.rounds)
    assert set(limit.y) == {1e7}
