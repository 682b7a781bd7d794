import numpy as np
import pytest

from migkit.calibrate import fit, leave_one_out
from migkit.calibrate.uncertainty import coverage, predict_interval, scatter
from migkit.calibrate.validate import compare, rows, to_frame
from migkit.errors import UsageError


@pytest.fixture(scope="module")
def comparisons(design, computed):
    return leave_one_out([computed(s, seed=i) for i, s in enumerate(design)])


def test_left_out_runs_of_the_model_are_predicted(comparisons):
    assert all(c.verdict_right for c in comparisons)
    assert np.median([abs(c.total_time_error) for c in comparisons]) < 0.02
    assert np.median([abs(c.bytes_error) for c in comparisons]) < 0.001


def test_the_frame_holds_measured_predicted_errors_and_baselines(comparisons):
    frame = to_frame(comparisons)
    assert len(frame) == len(comparisons)
    expected = frame["total_time_s_predicted"] / frame["total_time_s_measured"] - 1
    assert np.allclose(frame["total_time_error"], expected)
    assert {"bulk_total_time_error", "geometric_bytes_error", "working_set_verdict"} <= set(frame.columns)
    assert frame["bulk_total_time_error"].abs().median() > 5 * frame["total_time_error"].abs().median()
    assert not any("bulk" in name for name in rows(comparisons, baselines=False)[0])


def test_the_left_out_run_is_not_used(scenario, computed):
    traces = [computed(scenario(), seed=1), computed(scenario(cap=5e7), seed=2), computed(scenario(cap=np.inf))]
    last = leave_one_out(traces)[2]
    assert last.prediction == compare(traces[2], fit(traces[:2])).prediction
    assert last.prediction != compare(traces[2], fit(traces)).prediction


def test_too_few_traces_are_refused(scenario, computed):
    with pytest.raises(UsageError, match="2 traces are too few"):
        leave_one_out([computed(scenario())] * 2)


def test_intervals_hold_as_often_as_they_say(scenario, computed):
    """Constants and scatter from one set of runs, coverage on another."""
    caps = (60e6, 80e6, 100e6, 120e6, np.inf)
    known = [computed(scenario(cap=c, zero_mib=z), seed=i) for i, c in enumerate(caps) for z in (0, 64)]
    calibration, seen = fit(known), scatter(leave_one_out(known))
    new = [computed(scenario(cap=70e6, writes_per_s=w), seed=1000 + i) for i, w in enumerate((500.0, 3000.0) * 30)]
    comparisons = [compare(trace, calibration) for trace in new]
    predictions = [predict_interval(t.scenario, calibration, seen, level=0.9, draws=10) for t in new]
    held = coverage(predictions, comparisons)
    assert held["total_time_s"] >= 0.8
    assert held["downtime_s"] >= 0.8
    tight = [predict_interval(t.scenario, calibration, seen, level=0.1, draws=10) for t in new]
    assert coverage(tight, comparisons)["total_time_s"] < 0.6


def test_impossible_levels_and_too_few_runs_are_refused(comparisons, design, computed):
    with pytest.raises(UsageError, match="too few to tell the scatter"):
        scatter(comparisons[:2])
    calibration = fit([computed(s) for s in design])
    with pytest.raises(UsageError, match="level 1 is not a probability"):
        predict_interval(design[0], calibration, scatter(comparisons), level=1.0)
