"""Predictions against the grid of real migrations by three versions of QEMU; nothing is fitted to it."""

from statistics import median

import pytest

from tests.verification import qemu_grid

BY_ITS_CAP = ("precopy", "auto_converge", "xbzrle", "streams", "growth", "phases")  # the cap decides, not the machine


@pytest.fixture(scope="module")
def runs():
    return qemu_grid.checked()


def test_every_verdict_is_right(runs):
    assert len(runs) >= 380
    assert [run for run in runs if not run.right] == []


@pytest.mark.parametrize("kind", BY_ITS_CAP)
def test_time_bytes_and_downtime_under_a_cap(runs, kind):
    alike = [run for run in runs if run.kind == kind]
    assert len(alike) >= 25
    assert median(abs(run.total_time_error) for run in alike) < 0.01
    assert median(abs(run.bytes_error) for run in alike) < 0.005
    assert median(abs(run.downtime_error_s) for run in alike) < 0.006


def test_hybrids_and_tls(runs):
    for kind, most in (("hybrid", 0.03), ("tls", 0.04)):
        assert median(abs(run.total_time_error) for run in runs if run.kind == kind) < most
