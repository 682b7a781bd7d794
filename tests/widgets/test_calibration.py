import pytest

from migkit.calibrate import validate
from migkit.calibrate.fit import fit
from migkit.traces import data
from migkit.widgets import CalibrationExplorer


@pytest.fixture(scope="module")
def runs():
    return data.shipped_runs()


@pytest.fixture
def explorer(runs):
    return CalibrationExplorer(runs)


def test_the_run_left_out_is_never_in_the_fit(explorer, runs):
    for name in runs:
        explorer.left_out.value = name
        assert name not in explorer.used
        assert explorer.calibration == fit([runs[used] for used in explorer.used])


def test_measured_and_predicted_are_those_of_the_run_left_out(explorer, runs):
    explorer.left_out.value = "slow"
    expected = validate.compare(runs["slow"], explorer.calibration)
    measured, predicted = explorer.figure.data[:2]
    assert (measured.name, predicted.name) == ("measured", "predicted")
    assert list(predicted.x) == [point.t_s for point in expected.prediction.timeline]
    assert f"{100 * expected.total_time_error:+.1f} %" in explorer.headline.value


def test_filled_points_are_runs_that_were_not_used(explorer, runs):
    explorer.count.value = "2"
    predicted, fitted = explorer.residuals.data[:2]
    assert list(fitted.x) == explorer.used
    assert sorted([*predicted.x, *fitted.x]) == sorted(runs)
    assert explorer.left_out.value in predicted.x


def test_more_runs_tell_more_constants(explorer):
    explorer.count.value = "2"
    few = explorer.table.value.count("<tr>")
    explorer.count.value = "5"
    assert explorer.table.value.count("<tr>") >= few
    assert explorer.calibration.runs == 5


def test_the_shown_code_makes_the_same_fit_and_figures():
    explorer = CalibrationExplorer()
    explorer.left_out.value = "large"
    made = {}
    exec(explorer.widget.children[-1].code, made)
    assert made["calibration"] == explorer.calibration
    assert made["figure"].to_json() == explorer.figure.figure.to_json()
    assert made["residuals"].to_json() == explorer.residuals.figure.to_json()
