from __future__ import annotations

import os

import numpy as np
import pytest

from migkit.errors import UsageError
from migkit.harness import probe
from migkit.harness.tracking.trackers import EXACT, TRACKERS, Tracker, open_tracker, ranges_of
from tests.conftest import require

pytestmark = pytest.mark.live


def open_on(writer, name: str | None) -> Tracker:
    key = {"uffd-async": "uffd-wp-async", "uffd-sync": "uffd-wp-sync", "soft-dirty": "soft-dirty"}.get(name or "")
    if key is not None:
        found = probe.probe(key)
        if name == "soft-dirty" and not found.available:
            pytest.skip(found.reason)  # of many kernels, also where all else must run
        require(found.available, found.reason)
    return open_tracker(
        name,
        uffd=writer.uffd() if name is None or name.startswith("uffd") else None,
        pid=writer.process.pid,
        address=writer.address,
        length_bytes=writer.pages * 4096,
        memory=writer.memory,
        written=writer.written,
    )


def pages(ranges: np.ndarray) -> list[int]:
    return [page for first, last in ranges.tolist() for page in range(first, last)]


@pytest.mark.parametrize("name", TRACKERS)
def test_returns_exactly_the_pages_written(writer, name):
    tracker = open_on(writer, name)
    try:
        tracker.arm()
        assert pages(tracker.collect()) == []
        writer.write(0, 7, 8, 9, writer.pages - 1)
        assert pages(tracker.collect()) == [0, 7, 8, 9, writer.pages - 1]
        assert pages(tracker.collect()) == []
        writer.write(8)
        assert tracker.collect().tolist() == [[8, 9]]
    finally:
        tracker.close()
        tracker.close()


@pytest.mark.parametrize("before", [(), range(64), range(0, 2048, 3)], ids=["empty", "run", "scattered"])
@pytest.mark.parametrize("name", TRACKERS)
def test_pages_that_held_nothing_are_tracked_like_others(writer, name, before):
    tracker = open_on(writer, name)
    try:
        if before:
            writer.write(*before)
        tracker.arm()
        writer.read(5, 6, 63, 64, 700, 701, 702)
        assert pages(tracker.collect()) == []
        writer.write(6, 7, 63, 64, 65, 701)
        assert pages(tracker.collect()) == [6, 7, 63, 64, 65, 701]
        tracker.arm()
        writer.read(5, 6, 1000)
        assert pages(tracker.collect()) == []
        writer.write(6, 1001)
        assert pages(tracker.collect()) == [6, 1001]
    finally:
        tracker.close()


@pytest.mark.parametrize("name", TRACKERS)
def test_copying_what_is_collected_misses_no_write(writer, name):
    """Copy while the writer runs flat out; once it rests, one more collection makes the copies equal."""
    tracker = open_on(writer, name)
    copy = np.zeros_like(writer.memory)
    seen = 0
    try:
        tracker.arm()
        copy[:] = writer.memory
        writer.tell("run 7")
        while seen < 2 * writer.pages:
            seen += take(writer, tracker, copy)
        writer.tell("")
        writer.wait()
        take(writer, tracker, copy)
        assert tracker.collect().size == 0
    finally:
        tracker.close()
    assert np.array_equal(copy, writer.memory)


def take(writer, tracker: Tracker, copy: np.ndarray) -> int:
    collected = pages(tracker.collect())
    for page in collected:
        copy[page * 4096 : (page + 1) * 4096] = writer.memory[page * 4096 : (page + 1) * 4096]
    return len(collected)


@pytest.mark.parametrize("name", ["uffd-async", "uffd-sync"])
def test_closing_lets_the_writer_write_on(writer, name):
    tracker = open_on(writer, name)
    tracker.arm()
    tracker.close()
    writer.write(*range(64))
    assert writer.memory[0] == 1


def test_hash_does_not_see_a_page_written_with_what_it_held(writer):
    tracker = open_on(writer, "hash")
    writer.write(3)
    tracker.arm()
    writer.memory.flags.writeable or pytest.fail("the memory is mapped read-only")
    writer.memory[3 * 4096] += 1
    writer.memory[3 * 4096] -= 1
    assert tracker.collect().size == 0
    assert not EXACT["hash"]


def test_none_chooses_the_best_that_works(writer):
    tracker = open_on(writer, None)
    tracker.close()
    expected = "uffd-async" if probe.probe("uffd-wp-async").available else "uffd-sync"
    assert tracker.name == expected


def test_unknown_name_and_missing_input_are_refused():
    where = {"pid": os.getpid(), "address": 0, "length_bytes": 4096}
    with pytest.raises(UsageError, match="tracker: 'magic' is not known; use one of uffd-async"):
        open_tracker("magic", **where)
    with pytest.raises(
        UsageError, match="tracker uffd-async: needs a userfaultfd of the process, which is not given"
    ):
        open_tracker("uffd-async", **where)


def test_ranges_of_nothing_and_of_everything():
    assert ranges_of(np.zeros(4, np.uint8)).tolist() == []
    assert ranges_of(np.ones(4, np.uint8)).tolist() == [[0, 4]]
