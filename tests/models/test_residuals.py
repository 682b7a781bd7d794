"""What the correction by residuals of real runs does to intervals, and what it leaves alone."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, predict, predict_many
from migkit.models.spread import residuals
from migkit.models.spread.residuals import Residuals

GUEST = Guest(memory_bytes=2**29, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=4000),))
QUANTITIES = ("total_time_s", "downtime_s", "transferred_bytes")
WIDE = Residuals(0.1, 0.5, 0.05, groups=12, hosts=4)


@pytest.fixture
def wide(monkeypatch):
    """Residuals of QEMU on KVM that nobody overlooks."""
    monkeypatch.setattr(residuals, "LEARNED", {("qemu-kvm", False): WIDE})


def test_bounds_are_those_drawn_moved_outwards(wide):
    told = predict(GUEST).interval
    low_s, high_s = told.drawn.total_time_s
    assert told.total_time_s[1] == pytest.approx(high_s * math.exp(0.1))
    assert low_s * math.exp(-0.1) <= told.total_time_s[0] < low_s
    assert told.transferred_bytes[1] == pytest.approx(told.drawn.transferred_bytes[1] * math.exp(0.05))
    assert told.downtime_s[1] + 0.01 == pytest.approx((told.drawn.downtime_s[1] + 0.01) * math.exp(0.5))
    assert told.downtime_s[0] >= 0.0


def test_the_result_says_what_was_done_and_from_what_it_was_learned(wide):
    told = predict(GUEST)
    assert "residuals of qemu-kvm: time 11 %" in told.interval.correction
    assert "12 workloads on 4 hosts" in str(told).replace("\n" + " " * 18, " ")
    assert "12 workloads" in told.to_dict()["interval"]["correction"]


@pytest.mark.parametrize("rule", [Policy(name="xen"), Policy(name="vmware-like")])
def test_a_platform_with_too_few_runs_is_not_corrected_and_says_so(rule):
    told = predict(GUEST, policy=rule).interval
    assert [getattr(told, name) for name in QUANTITIES] == [getattr(told.drawn, name) for name in QUANTITIES]
    assert "fewer than 9 measured workloads" in told.correction


def test_no_total_time_undercuts_the_link_or_goes_beyond_the_time_limit(wide):
    link, rule = Link(bandwidth_bytes_per_s=1.25e8), Policy(name="libvirt", time_limit_s=5.0)
    told = predict(GUEST, link=link, policy=rule).interval
    assert told.total_time_s[0] >= told.drawn.transferred_bytes[0] / 1.25e8
    assert told.total_time_s[1] == max(5.0, told.drawn.total_time_s[1])


def test_what_never_ends_stays_without_end(wide):
    busy = dataclasses.replace(GUEST, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=1e6),))
    told = predict(busy, policy=Policy(downtime_limit_s=0.01)).interval
    assert told.total_time_s == (math.inf, math.inf)
    assert told.downtime_s == (0.0, 0.0)


@pytest.mark.parametrize("name", ["precopy", "postcopy", "stopcopy", "hybrid"])
def test_an_interval_holds_its_own_value_and_what_was_drawn(wide, name):
    told = predict(GUEST, strategy=Strategy(name=name))
    for quantity in QUANTITIES:
        low, high = getattr(told.interval, quantity)
        assert low <= getattr(told, quantity) <= high
        assert low <= getattr(told.interval.drawn, quantity)[0]
        assert high >= getattr(told.interval.drawn, quantity)[1]


def test_many_are_corrected_as_one(wide):
    frame = pd.DataFrame({"memory_bytes": [2**28, 2**29]})
    many = predict_many(frame, level=0.9)
    for at, memory_bytes in enumerate(frame["memory_bytes"]):
        one = predict(Guest(memory_bytes=memory_bytes)).interval
        assert (many["total_time_low_s"][at], many["total_time_high_s"][at]) == one.total_time_s
        assert many["transferred_high_bytes"][at] == one.transferred_bytes[1]


def test_the_probability_of_being_done_goes_with_the_bounds(wide):
    told = predict(GUEST).interval
    assert told.done_by(told.total_time_s[1]) == pytest.approx(0.95, abs=0.01)
    assert told.done_by(told.drawn.total_time_s[1]) < 0.93
    many = predict_many(pd.DataFrame({"memory_bytes": [2**28]}), level=0.9, deadline_s=0.5)
    assert many["probability_in_time"][0] == predict(Guest(memory_bytes=2**28)).interval.done_by(0.5)


def test_a_lower_level_is_widened_less(wide):
    widths = []
    for level in (0.5, 0.9, 0.99):
        told = predict(GUEST, level=level).interval
        widths.append(told.total_time_s[1] / told.drawn.total_time_s[1])
    assert 1.0 < widths[0] < widths[1] < widths[2]


def test_hosts_whose_load_is_known_have_residuals_of_their_own(wide):
    case = Scenario(guest=GUEST, host=Host(load_s=0.01))
    assert residuals.kind_of(case) == ("qemu-kvm", True)
    assert "as drawn" in predict(case).interval.correction


def test_what_ships_was_learned_from_enough_groups_and_only_widens():
    for one in residuals.LEARNED.values():
        assert one.groups >= residuals.needed_groups(residuals.LEARNED_AT)
        assert min(one[:3]) >= 0.0
        assert np.isfinite(one).all()
