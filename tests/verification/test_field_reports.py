"""Public reports of migrations against the intervals of their predictions."""

import math
from statistics import median

import pytest

from tests.verification.field_reports import held, score

pytestmark = pytest.mark.verification


@pytest.fixture(scope="module")
def scored():
    return score()


def test_downtimes_lie_within_their_intervals(scored):
    inside, reported = held(scored, "downtime_s")
    assert reported == 8
    assert inside >= 7


def test_some_totals_lie_within_their_intervals(scored):
    """Three do not: two scenarios lack what decides (zero pages, the older rule), one lies 1 % above its bound."""
    inside, reported = held(scored, "total_time_s")
    assert reported == 7
    assert inside >= 4


def test_intervals_are_narrow_where_the_link_is_stated(scored):
    widths = [one.width for one in scored if one.states_link and not math.isnan(one.width)]
    assert median(widths) <= 1.6
