import math

import numpy as np
import pytest

from migkit.errors import UsageError
from migkit.scenario import curves
from migkit.units import PAGE_BYTES


def unique_pages(classes, window_s):
    total = 0.0
    for c in classes:
        writes = c.writes_per_s * window_s / c.region_pages
        total += c.region_pages * (min(1.0, writes) if c.kind == "sweep" else -math.expm1(-writes))
    return total


@pytest.mark.parametrize(("exponent", "tolerance"), [(0.0, 1e-9), (0.5, 0.01), (0.8, 0.02), (1.0, 0.03), (2.0, 0.08)])
def test_zipf_follows_the_exact_sum(exponent, tolerance):
    pages, writes = 1 << 18, 20_000.0
    share = np.arange(1, pages + 1, dtype=float) ** -exponent
    share /= share.sum()
    law = curves.zipf(pages * PAGE_BYTES, writes, exponent)
    assert sum(c.region_pages for c in law) == pages
    assert sum(c.writes_per_s for c in law) == pytest.approx(writes, rel=1e-9)
    for t in np.geomspace(0.01, 1000, 13):
        assert unique_pages(law, t) == pytest.approx(float(np.sum(-np.expm1(-writes * share * t))), rel=tolerance)


@pytest.mark.parametrize(
    ("first", "exponent", "pages"), [(2000, 0.6, 1 << 18), (100, 0.3, 1 << 18), (50_000, 0.9, 1 << 20)]
)
def test_power_law_follows_its_equation(first, exponent, pages):
    law = curves.power_law(pages * PAGE_BYTES, first, exponent)
    assert sum(c.region_pages for c in law) <= pages
    for t in np.geomspace(1e-3, 1e3, 37):
        exact = -pages * math.expm1(-first * t**exponent / pages)
        assert unique_pages(law, t) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("uniform", [("random", 16384, 10_000)]),
        ("hot and cold", [("random", 2000, 9000), ("random", 30_000, 1000)]),
        ("sweep", [("sweep", 16384, 10_000)]),
        ("sweep and random", [("sweep", 8192, 4000), ("random", 8192, 500)]),
    ],
)
def test_measured_recovers_the_curve(name, truth):
    exact = [curves.DirtyClass(kind=k, region_bytes=n * PAGE_BYTES, writes_per_s=w) for k, n, w in truth]
    windows = np.geomspace(0.05, 60, 16)
    fitted = curves.measured(windows, [unique_pages(exact, t) for t in windows], 2**28)
    for t in np.geomspace(0.05, 60, 50):
        assert unique_pages(fitted, t) == pytest.approx(unique_pages(exact, t), rel=0.04), name


def test_measured_is_monotone_and_concave_even_where_the_counts_are_not():
    windows = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    fitted = curves.measured(windows, [100, 190, 480, 700, 690, 1500], 2**24)
    grid = np.linspace(0, 50, 400)
    curve = np.array([unique_pages(fitted, t) for t in grid])
    assert (np.diff(curve) > 0).all()
    assert (np.diff(curve, 2) < 1e-9).all()


def test_measured_never_exceeds_the_memory():
    windows = [0.1, 1.0, 10.0]
    fitted = curves.measured(windows, [400, 4000, 4090], 4096 * PAGE_BYTES)
    assert sum(c.region_pages for c in fitted) <= 4096


def test_measured_of_a_program_that_writes_nothing():
    assert curves.measured([1.0, 2.0], [0, 0], 2**24) == ()


def test_uniform_and_hot_cold_keep_pages_and_writes():
    assert curves.uniform(2**20, 100)[0].writes_per_s == 100.0
    parts = curves.hot_cold(2**20, 100, 0.25, 0.8)
    assert sum(c.region_bytes for c in parts) == 2**20
    assert sum(c.writes_per_s for c in parts) == pytest.approx(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: curves.hot_cold(2**20, 1, hot_region=1),
            "hot_region: 1 is out of range; it must be above 0 and below 1",
        ),
        (
            lambda: curves.hot_cold(2**20, 1, hot_writes=0),
            "hot_writes: 0 is out of range; it must be above 0 and below 1",
        ),
        (lambda: curves.zipf(2**20, 1, -1), "exponent: -1 is out of range; it must be at least 0"),
        (lambda: curves.zipf(2**20, 1, math.nan), "exponent: nan is out of range; it must be at least 0"),
        (lambda: curves.zipf(2**20, 1, classes=0), "classes: 0 is too small; it must be at least 1"),
        (lambda: curves.zipf(100, 1), "region_bytes: 100 B is less than one page; give at least 4 KiB"),
        (lambda: curves.power_law(2**20, 10, 1.5), "exponent: 1.5 is out of range; it must be above 0, at most 1"),
        (lambda: curves.power_law(2**20, 0, 0.5), "pages_in_first_s: 0 is out of range; it must be above 0"),
        (lambda: curves.measured([], [], 2**20), "curve: 0 windows and 0 counts; give as many of both, at least one"),
        (
            lambda: curves.measured([1], [1, 2], 2**20),
            "curve: 1 windows and 2 counts; give as many of both, at least one",
        ),
        (lambda: curves.measured([0], [1], 2**20), "curve: a window is not above 0 s; measure it again"),
        (
            lambda: curves.measured([1], [math.nan], 2**20),
            "curve: a count of pages is outside 0 to 256, the memory; measure it again",
        ),
        (
            lambda: curves.measured([1], [257], 2**20),
            "curve: a count of pages is outside 0 to 256, the memory; measure it again",
        ),
    ],
)
def test_bad_curves(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message
