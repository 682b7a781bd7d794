import numpy as np
import pytest

from migkit.kernels import ranges

REGIONS = np.array([0x5000, 0x7000, 2, 0x9000, 0xA000, 2])


def taken(regions, end=0):
    out = np.zeros(2 * regions.size // ranges.REGION_WORDS, np.int64)
    return ranges.take(regions, 0x4000, 12, end, out), out.tolist()


def test_addresses_become_pages():
    assert taken(REGIONS) == (6, [1, 3, 5, 6])


@pytest.mark.parametrize("end", [2, ranges.OVERLAP])
def test_what_overlaps_what_came_before_is_noticed(end):
    assert taken(REGIONS, end) == (ranges.OVERLAP, [1, 3, 5, 6])


def test_what_is_out_of_order_is_noticed():
    assert taken(np.roll(REGIONS, ranges.REGION_WORDS))[0] == ranges.OVERLAP


def test_nothing_ends_where_that_before_it_ended():
    assert taken(REGIONS[:0], 4) == (4, [])
