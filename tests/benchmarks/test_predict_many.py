"""A million different machines through ``predict_many`` against pandas writing the same frame as CSV."""

import numpy as np
import pandas as pd
import pytest

from migkit import predict_many
from tests.benchmarks.turns import judge, quickest_s

pytestmark = pytest.mark.benchmark

ROWS = 1_000_000
PAGE = 4096


def machines():
    rng = np.random.default_rng(1)
    first, second = rng.integers(1000, 30_000, ROWS) * PAGE, rng.integers(100, 3000, ROWS) * PAGE
    zero = rng.integers(0, 30_000, ROWS) * PAGE
    return pd.DataFrame(
        {
            "memory_bytes": first + second + zero + rng.integers(1, 200_000, ROWS) * PAGE,
            "zero_bytes": zero,
            "dirty_1_region_bytes": first,
            "dirty_1_writes_per_s": rng.uniform(10, 2000, ROWS),
            "dirty_2_region_bytes": second,
            "dirty_2_writes_per_s": rng.uniform(100, 9000, ROWS),
            "bandwidth_bytes_per_s": rng.uniform(1e8, 1.25e9, ROWS),
            "max_bandwidth_bytes_per_s": rng.uniform(8e7, 3e8, ROWS),
            "downtime_limit_s": rng.uniform(0.1, 0.5, ROWS),
        }
    )


def test_a_million_machines_take_no_longer_than_writing_them_as_csv(tmp_path, record_property):
    frame = machines()
    predict_many(frame.head(1000))  # load the compiled kernels
    predicting, writing = quickest_s(
        lambda: predict_many(frame), lambda: frame.to_csv(tmp_path / "machines.csv", index=False), turns=2
    )
    record_property("ratio", predicting / writing)
    judge(record_property, f"predict_many / to_csv of {ROWS} machines", predicting / writing, at_most=1.0)
