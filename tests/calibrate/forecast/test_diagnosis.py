"""What a log tells in one call: whatever tool wrote it, and however little it says."""

import json
import math
from pathlib import Path

import pytest

from migkit.calibrate.forecast.diagnosis import diagnose, moments
from migkit.calibrate.forecast.wording import expected
from migkit.importers import read
from migkit.scenario import Guest, Scenario
from migkit.traces import data
from tests.conftest import TOP

LOGS = sorted(path for path in (TOP / "tests/importers/data").rglob("*") if path.is_file() and path.suffix != ".md")
NO_MIGRATION = {"german.txt"}


def stuck(until_s=80.0):
    return read(data.data_path("kvm_database/precopy-16t-1.json.gz"))[0].until(until_s)


@pytest.mark.parametrize("path", [path for path in LOGS if path.name not in NO_MIGRATION], ids=lambda path: path.name)
def test_every_form_of_a_log_gets_facts_and_sentences(path):
    for log in read(path):
        found = diagnose(log)
        assert found.facts
        assert all(text[-1] in ".:`" for text in found.sentences), found.sentences
        assert found.changes == () or found.outlook.verdict in ("converges", "does_not_converge")


def test_each_sync_of_a_stuck_migration_finds_more_than_the_rule_allows_and_each_change_helps():
    found = diagnose(stuck())
    assert found.outlook.verdict == "does_not_converge"
    left = [point.remaining_bytes for point in found.course]
    tops = [one for before, one, after in zip(left, left[1:], left[2:], strict=False) if before < one > after]
    assert min(tops) > found.allowed_bytes
    assert {one.name for one in found.changes} == {"max-bandwidth", "auto-converge", "downtime-limit", "post-copy"}
    assert all(math.isfinite(one.end_s) and one.end_s > 80.0 for one in found.changes)
    assert found.fit is not None


def test_before_the_first_pass_has_ended_nothing_is_claimed():
    found = diagnose(stuck(10.0))
    assert found.outlook.verdict == "not_known"
    assert found.course == found.changes == ()
    assert "first pass" in found.sentences[0]


def test_a_guest_that_calmed_down_is_told_apart_from_the_one_that_was_logged():
    whole = diagnose(read(data.data_path("kvm_database/precopy-16t-1.json.gz"))[0])
    assert whole.outlook is None
    assert any("Not stationary" in line for line in whole.sentences)


def test_a_migration_that_completed_is_predicted_from_its_own_guest():
    found = diagnose(read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0])
    assert found.course[0].t_s < 0.1
    assert abs(found.course[-1].t_s / 17.7 - 1) < 0.1


def test_a_cancelled_migration_is_told_as_of_its_last_reading_before_that():
    readings = [("active", 1, 7 * 10**9), ("active", 2, 6 * 10**9), ("cancelled", 3, 5 * 10**9)]
    lines = [
        json.dumps(
            {
                "status": status,
                "total-time": 1000 * t,
                "ram": {
                    **{"total": 2**33, "remaining": left, "transferred": 10**8 * t, "normal": 24400 * t},
                    **{"duplicate": 1000, "dirty-sync-count": 1, "page-size": 4096},
                },
            }
        )
        for status, t, left in readings
    ]
    found = diagnose(read("\n".join(lines) + "\n")[0])
    assert found.sentences[0].startswith("The migration was cancelled after 3 s.")
    assert found.outlook.t_s == 2.0


def test_one_dirty_rate_needs_the_memory_and_leaves_open_whether_it_converges():
    log = read(TOP / "tests/importers/data/field/query-dirty-rate.json")[0]
    assert "give it" in diagnose(log).sentences[0]
    found = diagnose(log, Scenario(guest=Guest(memory_bytes=2**33)))
    assert len(found.answers) > 1
    assert found.sentences[0].startswith("It does not converge, whichever")


def test_a_log_can_be_cut_at_its_readings():
    log = read(data.data_path("kvm_database/precopy-16t-1.json.gz"))[0]
    times = moments(log)
    assert times == tuple(sorted(times))
    assert times[-1] == math.inf
    assert len(times) <= 24
    assert all(log.until(t_s).frame["t_s"].max() == t_s for t_s in times[:-1])


def test_the_probability_is_that_of_the_verdict_that_is_named():
    verdict = expected(diagnose(stuck()).outlook)[0]
    assert verdict.startswith("does not converge (probability ")
    assert int(verdict.split()[-1].rstrip("%)")) >= 50


def test_a_name_stands_in_the_error_of_bytes():
    with pytest.raises(ValueError, match=r"log mine\.log: nothing in it is of a migration"):
        read(b"hello\nworld\n", name="mine.log")
    assert Path("mine.log").exists() is False
