"""``migkit predict`` as a whole process against ``python -c "import numpy"``."""

import os
import subprocess
import sys

import pytest

from tests.benchmarks.turns import children_s, judge, quickest_s

pytestmark = pytest.mark.benchmark


def run(command):
    """Run it with byte code, as a user does, whatever the tests are told."""
    told = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=told)


def test_predict_starts_and_ends_within_two_and_a_half_imports_of_numpy(tmp_path, record_property):
    path = tmp_path / "scenario.toml"
    path.write_text('[guest]\nmemory = "512 MiB"\n[[guest.dirty]]\nregion = "64 MiB"\nwrites_per_s = 5000\n')
    predict = [sys.executable, "-m", "migkit", "predict", str(path), "--format", "json"]
    reference = [sys.executable, "-c", "import numpy"]
    run(predict)  # byte code
    ours_s, theirs_s = quickest_s(lambda: run(predict), lambda: run(reference), turns=20, clock=children_s)
    ratio = ours_s / theirs_s
    record_property("ratio", ratio)
    judge(record_property, "migkit predict / import numpy", ratio, at_most=2.5)
