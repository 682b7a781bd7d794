"""Regions that start as zero pages: which pages are still zero when they are sent."""

import dataclasses

import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, simulate
from migkit.models.predict import predict

MIB = 2**20


def zeros(scenario):
    """Return the zero pages that the expected-value engine sends, and those of a few page-level runs in the mean."""
    runs = simulate(scenario, seed=1, repeats=4)
    return sum(one.zero_pages for one in predict(scenario, level=None).rounds), runs.mean("zero_pages")


def scenario(kind, writes_per_s, cap, **guest):
    ahead = DirtyClass(region_bytes=32 * MIB, writes_per_s=50_000)
    region = DirtyClass(region_bytes=64 * MIB, writes_per_s=writes_per_s, kind=kind, sweep_offset_bytes=48 * MIB)
    return Scenario(
        guest=Guest(memory_bytes=128 * MIB, dirty=(ahead, region), fill="zero", **guest),
        policy=Policy(max_bandwidth_bytes_per_s=cap, downtime_limit_s=0.05, time_limit_s=6.0),
        link=Link(bandwidth_bytes_per_s=2e8),
    )


@pytest.mark.parametrize("cap", [4e7, 1e8, float("inf")])
@pytest.mark.parametrize("writes_per_s", [1000, 8000, 30_000])
def test_a_sweep_is_met_at_the_page_where_it_stands(writes_per_s, cap):
    predicted, simulated = zeros(scenario("sweep", writes_per_s, cap))
    assert predicted == pytest.approx(simulated, rel=0.01)


@pytest.mark.parametrize("grain_bytes", [4096, 2 * MIB])
def test_pages_are_zero_again_only_beside_one_that_was_written(grain_bytes):
    random = scenario("random", 4000, 5e7)
    guest = dataclasses.replace(random.guest, tracking_bytes=grain_bytes)
    predicted, simulated = zeros(dataclasses.replace(random, guest=guest))
    assert predicted == pytest.approx(simulated, rel=0.01)
