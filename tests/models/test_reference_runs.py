"""The engine against the shipped reference runs: real QEMU migrations, given only the scenario."""

from statistics import median

import pytest

from migkit.calibrate.accuracy.reference_runs import PRESETS, scenario
from migkit.models.predict import predict
from migkit.traces import data


@pytest.fixture(scope="module", params=["version known", "version not known"])
def compared(request):
    """Pairs of a reference run and its prediction."""
    names = PRESETS if request.param == "version known" else dict.fromkeys(PRESETS, "qemu")
    rows = data.reference_runs()
    return [(row, predict(scenario(row, names[row["qemu_version"].split(".")[0]]))) for row in rows]


def errors(compared, column, value):
    done = [(row, p) for row, p in compared if row["status"] == "completed"]
    return [abs(value(p) / row[column] - 1) for row, p in done]


def test_all_runs_are_there(compared):
    assert len(compared) == 63


def test_total_time(compared):
    off = errors(compared, "total_time_s", lambda p: p.total_time_s)
    print(f"total time: median {median(off):.2%}, worst {max(off):.1%}")
    assert median(off) <= 0.01
    assert max(off) <= 0.04


def test_bytes(compared):
    off = errors(compared, "transferred_bytes", lambda p: p.transferred_bytes)
    print(f"bytes: median {median(off):.2%}")
    assert median(off) <= 0.01


def test_downtime(compared):
    off = [abs(p.downtime_s - row["downtime_s"]) for row, p in compared if row["status"] == "completed"]
    print(f"downtime: median {1e3 * median(off):.1f} ms")
    assert median(off) <= 0.006


def test_verdicts(compared):
    expected = {"completed": "converges", "timeout": "timed_out"}
    assert [p.verdict for _, p in compared] == [expected[row["status"]] for row, _ in compared]


def test_hybrid_total_time(compared):
    done = [(row, p) for row, p in compared if row["postcopy_after_s"]]
    off = [abs(p.total_time_s / row["total_time_s"] - 1) for row, p in done]
    print(f"hybrid, total time: worst {max(off):.1%}")
    assert max(off) <= 0.03


def test_the_interval_holds_most_runs(compared):
    done = [(row, p) for row, p in compared if row["status"] == "completed"]
    bounds = [p.interval.total_time_s for _, p in done]
    within = [low <= row["total_time_s"] <= high for (row, _), (low, high) in zip(done, bounds, strict=True)]
    assert sum(within) / len(within) >= 0.8
