"""``migkit predict`` as a whole process against ``python -c "import numpy"``."""

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.benchmark


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def test_predict_starts_and_ends_within_two_and_a_half_imports_of_numpy(tmp_path, record_property):
    path = tmp_path / "scenario.toml"
    path.write_text('[guest]\nmemory = "512 MiB"\n[[guest.dirty]]\nregion = "64 MiB"\nwrites_per_s = 5000\n')
    predict = [sys.executable, "-m", "migkit", "predict", str(path), "--format", "json"]
    reference = [sys.executable, "-c", "import numpy"]
    seconds(predict)  # byte code
    turns = [(seconds(predict), seconds(reference)) for _ in range(15)]
    ours_s, theirs_s = (min(column) for column in zip(*turns, strict=True))
    ratio = ours_s / theirs_s
    record_property("ratio", ratio)
    print(f"migkit predict / import numpy: {ratio:.2f}")
    assert ratio <= 2.5
