"""Forecasts of all recorded migrations, from counters alone and with the guest measured before the move."""

import pytest

from tests.verification import forecasts

pytestmark = pytest.mark.verification


@pytest.fixture(scope="module")
def recordings():
    return list(forecasts.recorded())


def test_with_the_guest_measured_before_the_move(recordings):
    known = [one for one in recordings if one.guest is not None]
    found = [look for one in known for look in forecasts.looks(one, profiled=True)]
    print(forecasts.line("guest measured before", found))
    slow = [look for look in found if look.end_s > 1.3]
    print(forecasts.line("of at least 1.3 s", slow))
    assert forecasts.right(found) >= 0.97
    assert forecasts.right(slow) >= 0.98


def test_from_counters_alone(recordings):
    found = [look for one in recordings for look in forecasts.looks(one)]
    for title, some in forecasts.groups(found).items():
        print(forecasts.line(title, some))
    after = forecasts.groups(found)["from the first sync on"]
    assert forecasts.right(after) >= 0.92
    assert forecasts.verdicts(after) >= 0.97


def test_after_each_sync_of_the_grid_from_counters_alone():
    found = [look for one in forecasts.grid() for look in forecasts.synced_looks(one)]
    print(forecasts.line("the grid", found))
    assert forecasts.right(found) >= 0.95
    assert forecasts.verdicts(found) >= 0.97
