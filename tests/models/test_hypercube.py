"""Points from which the inputs of an interval are drawn."""

import dataclasses

import numpy as np
import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, Strategy, predict
from migkit.models.spread import interval
from migkit.models.spread.hypercube import normals, uniforms

GIB = 2**30
GUEST = Guest(
    memory_bytes=8 * GIB,
    zero_bytes=5 * GIB,
    dirty=(
        DirtyClass(region_bytes=2 * GIB, writes_per_s=10_000),
        DirtyClass(region_bytes=GIB // 8, writes_per_s=20_000),
    ),
)


@pytest.mark.parametrize("number", [17, 61, 127, 509])
def test_each_coordinate_takes_one_value_in_each_part(number):
    parts = (np.sort(uniforms(number, 30, seed=3), axis=0) * number).astype(int)
    assert (parts == np.arange(number)[:, None]).all()


@pytest.mark.parametrize("number", [61, 127, 257, 509])
def test_no_two_coordinates_are_correlated(number):
    correlations = np.corrcoef(normals(number, 30, seed=0).T) - np.eye(30)
    assert np.abs(correlations).max() < 0.05


def test_more_coordinates_change_none_and_a_seed_moves_points_within_their_parts():
    few, many, moved = (uniforms(127, n, seed) for n, seed in ((5, 0), (25, 0), (5, 1)))
    assert np.array_equal(few, many[:, :5])
    assert np.array_equal(uniforms(127, 2, 0, first=3), few[:, 3:])
    assert 0.0 < np.abs(few - moved).max() < 1.0 / 127


@pytest.mark.parametrize("number", [127, 257])
def test_bounds_of_a_sum_are_known_to_few_percent_of_its_width(number):
    weights = 0.8 ** np.arange(20)
    found = np.quantile(normals(number, 20, seed=0) @ weights, [0.05, 0.95], method="hazen")
    exact = 1.645 * np.sqrt((weights**2).sum()) * np.array([-1.0, 1.0])
    assert np.abs(found - exact).max() < 0.05 * np.ptp(exact)


@pytest.mark.verification
@pytest.mark.parametrize(
    "case",
    [
        Scenario(guest=GUEST, policy=Policy(max_bandwidth_bytes_per_s=2.0**28)),
        Scenario(guest=GUEST, strategy=Strategy(auto_converge=True)),
        Scenario(guest=dataclasses.replace(GUEST, dirty=()), link=Link(bandwidth_bytes_per_s=1.25e8)),
    ],
)
def test_bounds_are_those_of_more_runs_of_the_engine(case, monkeypatch):
    few = predict(case, detail=False).interval.drawn
    monkeypatch.setattr(interval, "_RUNS", (509,) * 5)
    more = predict(case, detail=False).interval.drawn
    for quantity in ("total_time_s", "downtime_s", "transferred_bytes"):
        bounds, exact = np.array(getattr(few, quantity)), np.array(getattr(more, quantity))
        assert np.abs(bounds - exact).max() < 0.15 * np.ptp(exact)
