"""The model against real migrations that its constants were not fitted to; takes minutes of a quiet machine."""

import numpy as np
import pytest

from migkit.calibrate.design import calibration_runs, designed_runs
from migkit.calibrate.fit import fit
from migkit.calibrate.validate import compare, to_frame
from migkit.harness.nursery import Nursery
from migkit.harness.run import Options, run

RUNS = 64
PLAIN = Options(plaintext=True)


@pytest.mark.verification
@pytest.mark.live
@pytest.mark.timeout(1800)
def test_designed_runs_are_predicted_from_other_runs():
    with Nursery() as nursery:
        known = [
            run(d.scenario, seed=k, options=PLAIN, nursery=nursery) for k, d in enumerate(calibration_runs() * 2)
        ]
        traces = [
            run(d.scenario, seed=100 + k, options=PLAIN, nursery=nursery)
            for k, d in enumerate(designed_runs(RUNS, seed=7))
        ]
    assert all(trace.outcome.verified for trace in traces)
    calibration = fit(known)
    comparisons = [compare(trace, calibration) for trace in traces]
    print(to_frame(comparisons).to_string())
    times = np.abs([c.total_time_error for c in comparisons])
    sizes = np.abs([c.bytes_error for c in comparisons])
    assert np.median(times) <= 0.03
    assert np.percentile(times, 95) <= 0.10
    assert np.median(sizes) <= 0.02
