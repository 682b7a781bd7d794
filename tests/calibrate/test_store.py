import json
import math

import pytest

from migkit.calibrate import fit, load, save
from migkit.calibrate.store import from_dict, to_dict
from migkit.errors import RunError, UsageError


@pytest.fixture(scope="module")
def calibration(design, computed):
    return fit([computed(s, seed=i) for i, s in enumerate(design)])


def test_a_calibration_reads_back_equal(calibration, tmp_path):
    assert load(save(calibration, tmp_path / "host.json")) == calibration
    assert [path.name for path in tmp_path.iterdir()] == ["host.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "schema version 9"),
        ({"host": {"goodput_bytes_per_s": -1.0}}, "goodput"),
        ({"host": {"speed": 1.0}}, "not of this schema"),
        ({"covariance": 3}, "not of this schema"),
        ({"runs": "many"}, "not of this schema"),
        ({"runs": math.inf}, "not of this schema"),
    ],
)
def test_a_record_that_is_no_calibration_is_refused(calibration, change, message):
    record = json.loads(json.dumps(to_dict(calibration))) | change
    with pytest.raises(UsageError, match=message) as error:
        from_dict(record)
    assert "\n" not in str(error.value)


def test_files_that_are_none_are_refused(tmp_path, calibration):
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UsageError, match="not a JSON file"):
        load(tmp_path / "x.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match="not a JSON file"):
        load(tmp_path / "deep.json")
    (tmp_path / "y.json").write_text("[]")
    with pytest.raises(UsageError, match="schema version None"):
        load(tmp_path / "y.json")
    with pytest.raises(RunError, match="cannot be written"):
        save(calibration, tmp_path / "none" / "host.json")
