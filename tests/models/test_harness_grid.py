"""Predictions against the grid of real migrations by the page-copy harness; nothing is fitted to it."""

from collections import defaultdict
from statistics import median

import pytest

from migkit.traces import data
from tests.verification import grid, harness_grid

LEFT_TO_BUFFERS = {12, 173}  # four streams through a relay, whose buffers take a whole round at once


@pytest.fixture(scope="module")
def rows():
    return data.harness_grid()


@pytest.fixture(scope="module")
def runs():
    return harness_grid.checked()


def test_every_run_was_proven_and_is_what_its_cell_says(rows):
    assert len(rows) >= 290
    assert all(row["verified"] for row in rows)
    one = harness_grid.cell(rows[0]["cell"]).scenario
    assert (one.guest, one.policy) == (rows[0]["scenario"].guest, rows[0]["scenario"].policy)
    assert {row["path"] for row in rows} == {"loopback", "relay", "namespaces"}


def test_repeats_under_a_cap_agree(rows):
    times_s = defaultdict(list)
    for row in rows:
        if row["cell"] % grid.REPEATED == 0 and row["total_time_s"] > 0.5:
            times_s[row["cell"]].append(row["total_time_s"])
    spreads = [max(found) / min(found) - 1.0 for found in times_s.values()]
    assert len(spreads) >= 15
    assert median(spreads) < 0.01


def test_every_verdict_is_right_but_where_buffers_decide(runs):
    assert {run.cell for run in runs if not run.right} <= LEFT_TO_BUFFERS


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        *[(kind, 0.02) for kind in ("precopy", "auto_converge", "xbzrle", "streams", "stopcopy", "phases")],
        *[("tls", 0.03), ("hybrid", 0.03), ("postcopy", 0.05), ("compression", 0.08)],
    ],
)
def test_time_by_kind(runs, kind, most):
    alike = [run for run in runs if run.kind == kind and run.right and run.ended]
    assert len(alike) >= 15
    assert median(abs(run.total_time_error) for run in alike) < most


def test_bytes_downtime_and_simple_models(runs):
    ended = [run for run in runs if run.right and run.ended]
    assert median(abs(run.bytes_error) for run in ended) < 0.003
    assert median(abs(run.downtime_error_s) for run in ended) < 0.004
    off = median(abs(run.total_time_error) for run in ended)
    for name in grid.SIMPLE:
        said = [run.simple[name] for run in runs if run.ended and run.simple[name].right]
        assert off < 0.25 * median(abs(one.total_time_error) for one in said)
        assert sum(run.right for run in runs) > sum(run.simple[name].right for run in runs)
