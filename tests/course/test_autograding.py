"""The autograded form, graded by otter-grader itself, without a container."""

import contextlib
import importlib.util
import json
import os
import zipfile

import nbformat
import psutil
import pytest

from migkit.course import lesson
from migkit.course.autograding import grade, lesson_of, make, shipped
from migkit.errors import CapabilityError, UsageError
from tests.conftest import TOP, require
from tests.course.notebooks import answered, tagged, write


@pytest.fixture
def otter(monkeypatch):
    require(importlib.util.find_spec("otter"), "otter-grader is missing; pip install 'migkit[course]'")
    monkeypatch.setenv("PYTHONPATH", str(TOP))


def test_a_right_submission_gets_full_points_and_a_wrong_one_does_not(otter, tmp_path):
    wrong = {
        "first_round_s": "first_round_s = 4 * 2**30 / 125e6",
        "total_of_rounds": "def total_of_rounds(volume, bandwidth, limit_s, dirtied):\n    return volume / 0",
        "why_wrong": "why_wrong = ...",
        "settles_bytes": "settles_bytes = undefined",  # raises; the others still count
    }
    submissions = [
        write(answered(2), tmp_path / "right.ipynb"),
        write(answered(2, wrong), tmp_path / "lesson-2-wrong.ipynb"),
    ]
    right, partly = grade(submissions)
    assert (right.lesson, right.points, right.most) == (2, 8.0, 8.0)
    assert [score.said for score in right.scores] == ["right"] * 7
    assert (partly.points, partly.most) == (3.0, 8.0)
    told = {score.exercise: score.said for score in partly.scores if score.points == 0}
    assert told.keys() == wrong.keys()
    assert "leave the 1 GiB of zero pages out" in told["first_round_s"]
    assert "ZeroDivisionError" in told["total_of_rounds"]
    assert told["why_wrong"].startswith("Not answered yet.")
    assert told["settles_bytes"].startswith("Not answered yet.")


@pytest.mark.verification
def test_a_submission_that_does_not_end_gets_no_points_and_leaves_nothing_running(otter, tmp_path, monkeypatch):
    monkeypatch.setenv("MIGKIT_TEST_MARK", str(tmp_path))
    endless = write(answered(1, {"region_pages": "while True:\n    pass"}), tmp_path / "endless.ipynb")
    [graded] = grade([endless], longest_s=20.0)
    assert (graded.points, graded.most) == (0.0, 6.0)
    assert all("did not end within 20 s" in score.said for score in graded.scores)
    _gone, alive = psutil.wait_procs(_marked(str(tmp_path)), timeout=30)
    assert alive == []


def _marked(mark):
    """Return the processes that were started with this mark in their environment, this one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("MIGKIT_TEST_MARK") == mark:
                found.append(process)
    return found


def test_what_is_handed_out_holds_no_solution_and_an_archive_a_test_for_each_exercise(otter, tmp_path):
    student, archive = make(tmp_path / "handout", [3])
    assert student.name == shipped(3).name
    notebook = nbformat.read(student, as_version=4)
    nbformat.validate(notebook)
    assert not any(tagged(cell, "solution") or "<details>" in cell.source for cell in notebook.cells)
    assert sum(tagged(cell, "exercise") for cell in notebook.cells) == len(lesson(3).exercises)
    with zipfile.ZipFile(archive) as held:
        tests = {name for name in held.namelist() if name.startswith("tests/")}
        assert "migkit" in held.read("environment.yml").decode()
    assert tests == {f"tests/{one.name}.py" for one in lesson(3).exercises}


def test_a_lesson_is_known_by_its_metadata_whatever_the_file_is_called(tmp_path):
    renamed = tmp_path / "lesson-1-mine.ipynb"
    renamed.write_text(shipped(4).read_text())
    assert lesson_of(renamed) == 4
    notebook = json.loads(shipped(4).read_text())
    del notebook["metadata"]["migkit"]
    renamed.write_text(json.dumps(notebook))
    assert lesson_of(renamed) == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [("{}", "is no notebook"), ("[", "is no notebook"), ("[]", "is no notebook"), (None, "cannot be read")],
)
def test_what_is_no_lesson_is_refused_in_one_line(text, part, tmp_path, otter):
    path = tmp_path / "work.ipynb"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=part):
        grade([path])


def test_a_notebook_that_is_none_of_the_course_is_refused(tmp_path, otter):
    path = write(nbformat.v4.new_notebook(), tmp_path / "own.ipynb")
    with pytest.raises(UsageError, match="no notebook of the course"):
        grade([path])


def test_without_otter_grader_it_says_how_to_get_it(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "otter" else real(name, *rest)
    )
    with pytest.raises(CapabilityError, match=r"pip install 'migkit\[course\]'"):
        make(tmp_path)
