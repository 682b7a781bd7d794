import numpy as np
import pytest

from migkit.harness.linux import scan_loop

REGIONS = np.array([0x5000, 0x7000, 2, 0x9000, 0xA000, 2])
NO_DESCRIPTOR = -1


def taken(regions, last=0, end=0, room=0):
    """Take regions that a call has written behind one range, of a scan that ends at ``end``."""
    request = np.zeros(scan_loop.REQUEST_WORDS, np.int64)
    request[scan_loop.END], request[scan_loop.CAPACITY] = end, 1
    found = np.concatenate([[0, 0], regions, np.zeros(room, np.int64)]).reshape(-1, 2)
    count = regions.size // scan_loop.REGION_WORDS
    size, last, done = scan_loop.scan(NO_DESCRIPTOR, 0, request, found, 1, last, count, 0x4000, 12)
    return found[1:size].tolist(), last, done


def test_addresses_become_pages():
    assert taken(REGIONS) == ([[1, 3], [5, 6]], 6, True)


@pytest.mark.parametrize("last", [2, scan_loop.OVERLAP])
def test_what_overlaps_what_came_before_is_noticed(last):
    assert taken(REGIONS, last) == ([[1, 3], [5, 6]], scan_loop.OVERLAP, True)


def test_what_is_out_of_order_is_noticed():
    assert taken(np.roll(REGIONS, scan_loop.REGION_WORDS))[1] == scan_loop.OVERLAP


def test_nothing_ends_where_that_before_it_ended():
    assert taken(REGIONS[:0], 4) == ([], 4, True)


@pytest.mark.parametrize("room", [0, 4])
def test_what_was_found_stays_without_room_for_another_call_and_when_that_fails(room):
    assert taken(REGIONS, end=0xB000, room=room) == ([[1, 3], [5, 6]], 6, False)
