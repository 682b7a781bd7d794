"""Dirty-scan time as a ratio to a bare C loop over the same ioctl, on the same process and pages."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from migkit.harness import probe
from migkit.harness.tracking.trackers import Tracker, open_tracker
from tests.benchmarks.turns import judge
from tests.conftest import require
from tests.harness.conftest import Writer

pytestmark = [pytest.mark.benchmark, pytest.mark.live]

PAGES = 1 << 18
REPEATS = 24
LIMIT = 1.2

Scan = Callable[[], tuple[float, int]]

SCAN_C = r"""
#include <stdint.h>
#include <sys/ioctl.h>
#include <time.h>

struct region { uint64_t start, end, categories; };
struct scan {
    uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages, inverted, mask, any_of, returned;
};
static struct region regions[1 << 16];
static int64_t ranges[1 << 18][2];

/* Scan, protect again and keep the page ranges; return the pages found, or -1, and the time that it took. */
int64_t scan(int pagemap, uint64_t start, uint64_t end, int64_t *elapsed_ns)
{
    struct timespec before, after;
    int64_t pages = 0, kept = 0;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (uint64_t at = start; at < end;) {
        struct scan scan = { sizeof scan, 3, at, end, 0, (uintptr_t)regions, 1 << 16, 0, 0, 2, 0, 2 };
        int count = ioctl(pagemap, _IOWR('f', 16, struct scan), &scan);
        if (count < 0)
            return -1;
        for (int i = 0; i < count; i++, kept++) {
            ranges[kept][0] = (regions[i].start - start) / 4096;
            ranges[kept][1] = (regions[i].end - start) / 4096;
            pages += ranges[kept][1] - ranges[kept][0];
        }
        at = scan.walk_end;
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    *elapsed_ns = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    return pages;
}
"""


class BareLoop:
    """The C loop, in this process so that both scans meet the same processor and caches."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        (folder / "scan.c").write_text(SCAN_C)
        subprocess.run(
            ["gcc", "-O3", "-shared", "-fPIC", "-o", folder / "scan.so", folder / "scan.c"], check=True, cwd=folder
        )
        self._scan = ctypes.CDLL(str(folder / "scan.so")).scan
        self._scan.restype = ctypes.c_int64
        self._pagemap = os.open(f"/proc/{writer.process.pid}/pagemap", os.O_RDONLY)
        self._range = [ctypes.c_uint64(a) for a in (writer.address, writer.address + writer.pages * 4096)]

    def scan(self) -> tuple[float, int]:
        elapsed_ns = ctypes.c_int64()
        pages = self._scan(self._pagemap, *self._range, ctypes.byref(elapsed_ns))
        return elapsed_ns.value / 1e9, pages

    def close(self) -> None:
        os.close(self._pagemap)


@pytest.fixture
def writer() -> Iterator[Writer]:
    process = Writer(PAGES)
    yield process
    process.close()


@pytest.mark.parametrize("dirty_pages", [64, 1 << 14, PAGES])
def test_scan_stays_close_to_a_bare_loop(writer, tmp_path, dirty_pages, record_property):
    for key in ("uffd-wp-async", "gcc"):
        require(probe.probe(key).available, probe.probe(key).reason)
    tracker = open_tracker(
        "uffd-async",
        uffd=writer.uffd(),
        pid=writer.process.pid,
        address=writer.address,
        length_bytes=writer.pages * 4096,
    )
    bare = BareLoop(tmp_path, writer)
    try:
        tracker.arm()
        ratio = measured(writer, tracker, bare, dirty_pages)
    finally:
        bare.close()
        tracker.close()
    record_property("scan_ratio", ratio)
    judge(record_property, f"scan of {dirty_pages} dirty of {PAGES} pages / bare loop", ratio, at_most=LIMIT)


def measured(writer: Writer, tracker: Tracker, bare: BareLoop, dirty_pages: int) -> float:
    """Return the median ratio of scans taken in turn, each side first in every other; the first turn warms up."""
    scans: list[tuple[Scan, list[float]]] = [(partial(collect, tracker), []), (bare.scan, [])]
    for repeat in range(REPEATS + 1):
        for scan, elapsed_s in scans if repeat % 2 else reversed(scans):
            make_dirty(writer, repeat, dirty_pages)
            scan_s, pages = scan()
            assert pages == dirty_pages
            elapsed_s.append(scan_s)
    (_, ours_s), (_, bare_s) = scans
    return statistics.median(ours / bare for ours, bare in zip(ours_s[1:], bare_s[1:], strict=True))


def collect(tracker: Tracker) -> tuple[float, int]:
    start_s = time.perf_counter()
    ranges = tracker.collect()
    elapsed_s = time.perf_counter() - start_s
    return elapsed_s, int((ranges[:, 1] - ranges[:, 0]).sum())


def make_dirty(writer: Writer, seed: int, dirty_pages: int) -> None:
    writer.tell(f"random {seed} {dirty_pages}")
    writer.wait()
