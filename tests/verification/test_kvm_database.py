"""Real KVM migrations of a database, each predicted from another one of the same guest."""

import pytest

from migkit.calibrate.cross import summary
from migkit.traces import data
from tests.verification.kvm_database import measure


@pytest.fixture(scope="module")
def splits():
    return {title: summary(rows) for title, rows in measure(data.data_path("kvm_database")).items()}


@pytest.mark.parametrize(
    ("title", "most", "most_s"),
    [
        ("pre-copy, 4 threads", 0.015, 0.015),
        ("auto-converge, from itself", 0.06, 0.02),  # its three runs stood for 13, 15 and 35 ms
        ("auto-converge, from pre-copy", 0.06, 0.02),
        ("post-copy at once", 0.12, 0.015),
    ],
)
def test_total_time_and_downtime(splits, title, most, most_s):
    assert splits[title]["converges"] == 1.0
    assert splits[title]["total_time_error"] <= most
    assert splits[title]["downtime_error_s"] <= most_s


@pytest.mark.parametrize("title", ["pre-copy, 16 threads", "pre-copy, from auto-converge"])
def test_a_busy_guest_is_said_not_to_converge(splits, title):
    assert splits[title]["converges"] == 0.0
