"""``migkit course`` from end to end: handed out, answered, graded."""

import csv
import importlib.util
import io

import pytest
from click.testing import CliRunner

from migkit.cli.course import command
from migkit.course.autograding import shipped
from migkit.errors import UsageError
from tests.conftest import TOP, require
from tests.course.notebooks import answered, write


@pytest.fixture
def invoke(monkeypatch):
    require(importlib.util.find_spec("otter"), "otter-grader is missing; pip install 'migkit[course]'")
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    return lambda *arguments: CliRunner().invoke(command, [str(one) for one in arguments], standalone_mode=False)


def test_a_lesson_is_handed_out_and_what_comes_back_is_graded(invoke, tmp_path):
    made = invoke("make", tmp_path / "handout", "--lesson", "1")
    assert made.exception is None
    untouched = tmp_path / "handout/student" / shipped(1).name
    right = write(answered(1), tmp_path / "right.ipynb")
    graded = invoke("grade", untouched, right, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(graded.stdout)))
    points = {
        name: sum(float(row["points"]) for row in rows if row["submission"] == str(name))
        for name in (untouched, right)
    }
    assert points == {untouched: 0.0, right: 6.0}
    assert all(row["said"].startswith("Not answered yet.") for row in rows if row["submission"] == str(untouched))


def test_the_table_says_points_and_what_is_wrong(invoke, tmp_path):
    wrong = write(answered(1, {"region_pages": "region_pages = 131_071"}), tmp_path / "wrong.ipynb")
    table = invoke("grade", wrong).stdout
    assert "lesson 1, 5 of 6 points" in table
    assert "off by 1" in table


def test_a_submission_that_is_given_twice_is_refused(invoke, tmp_path):
    path = write(answered(1), tmp_path / "one.ipynb")
    assert isinstance(invoke("grade", path, path).exception, UsageError)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(invoke, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot hold the course" in str(invoke("make", tmp_path / "file").exception)
