"""What came in a frame: runs of neighbours of one kind, and how many of its pages were absent."""

import numpy as np

from migkit.harness.protocol.pages import FULL, KIND_SHIFT, ZERO
from migkit.harness.sides import placement


def arrive(pages, absent):
    headers = np.array([kind << KIND_SHIFT | page for kind, page in pages], np.int64)
    runs = np.full(placement.RUN_SLOTS * (len(pages) + 1), 7)
    fresh = placement.arrive(headers, absent, runs)
    rows = runs.reshape(-1, placement.RUN_SLOTS).tolist()
    return fresh, rows[: [row[0] for row in rows].index(-1)]


def test_neighbours_of_one_kind_are_one_run():
    absent = np.ones(16, np.uint8)
    found = arrive([(FULL, 4), (FULL, 5), (ZERO, 6), (ZERO, 7), (FULL, 8), (FULL, 2)], absent)
    assert found == (6, [[FULL, 4, 2], [ZERO, 6, 2], [FULL, 8, 1], [FULL, 2, 1]])
    assert np.flatnonzero(absent == 0).tolist() == [2, 4, 5, 6, 7, 8]


def test_a_page_that_is_here_already_is_not_counted_again():
    absent = np.ones(4, np.uint8)
    assert arrive([(FULL, 1), (FULL, 1)], absent) == (1, [[FULL, 1, 1], [FULL, 1, 1]])
    assert arrive([(ZERO, 1)], absent) == (0, [[ZERO, 1, 1]])


def test_an_empty_frame_has_no_runs():
    assert arrive([], np.ones(4, np.uint8)) == (0, [])
