import numpy as np
import pytest

from migkit.kernels import writers


@pytest.mark.parametrize("rate", [2000.0, 4000.0, 5000.0, 333.3, 1e6])
def test_no_operation_is_lost_between_ticks(rate):
    row = np.zeros(writers.CLASS_COLUMNS)
    row[writers.WRITES_PER_S] = rate
    spans = [writers._tick_intensity_s(row, np.zeros(0), tick) for tick in range(5000)]
    done = sum(np.floor(rate * after) - np.floor(rate * before) for before, after in spans)
    assert done == np.floor(rate * 5000 * writers.TICK_S)
