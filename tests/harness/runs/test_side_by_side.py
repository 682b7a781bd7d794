from __future__ import annotations

import json
import subprocess
import sys

import pytest

from migkit.harness import probe
from migkit.harness.tracking.trackers import EXACT, TRACKERS
from tests.conftest import require

COMMAND = (sys.executable, "-m", "migkit", "trackers")
SMALL = ("--memory", "16 MiB", "--region", "4 MiB", "--windows", "3", "--operations", "500")


@pytest.mark.live
def test_exact_trackers_miss_no_page_of_the_same_workload():
    require(probe.probe("uffd-wp-async").available, probe.probe("uffd-wp-async").reason)
    done = subprocess.run([*COMMAND, *SMALL, "--format", "json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {row["tracker"]: row for row in json.loads(done.stdout)["trackers"]}
    assert list(rows) == ["none", *TRACKERS]
    here = [row for row in rows.values() if row["available"]]
    assert {row["written_pages"] for row in here} == {rows["none"]["written_pages"]}
    assert rows["none"]["written_pages"] > 3 * 300
    assert all(row["missed_pages"] == 0 for row in here if row["exact"])
    assert rows["uffd-async"]["extra_pages"] == rows["uffd-sync"]["extra_pages"] == 0
    assert rows["soft-dirty"]["available"] == probe.probe("soft-dirty").available
    assert {name: row["exact"] for name, row in rows.items() if name != "none"} == EXACT


@pytest.mark.live
def test_the_table_names_every_tracker():
    done = subprocess.run([*COMMAND, *SMALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("none", *TRACKERS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "16"], '--memory: "16" has no unit'),
        (["--memory", "1 MiB", "--region", "2 MiB"], "guest: dirty regions (2 MiB) and zero pages (0 B) exceed"),
        (["--windows", "0"], "Invalid value for '--windows'"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"migkit: {message}")
    assert len(done.stderr.splitlines()) == 1
