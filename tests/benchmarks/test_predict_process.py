"""``migkit predict`` as a whole process against ``python -c "import numpy"``."""

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.benchmark


def fastest(command, rounds=7):
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - start)
    return best


def test_predict_starts_and_ends_within_two_and_a_half_imports_of_numpy(tmp_path, record_property):
    path = tmp_path / "scenario.toml"
    path.write_text('[guest]\nmemory = "512 MiB"\n[[guest.dirty]]\nregion = "64 MiB"\nwrites_per_s = 5000\n')
    predict = [sys.executable, "-m", "migkit", "predict", str(path), "--format", "json"]
    reference = [sys.executable, "-c", "import numpy"]
    fastest(predict, 1)  # byte code
    ratio = fastest(predict) / fastest(reference)
    record_property("ratio", ratio)
    print(f"migkit predict / import numpy: {ratio:.2f}")
    assert ratio <= 2.5
