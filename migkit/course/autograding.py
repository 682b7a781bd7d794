"""The autograded form of the course: student notebooks, and archives with which otter-grader grades them.

The tests of an archive ask the same checks as the notebooks do, so a student who has passed them knows the score.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from migkit.course.lessons import LESSONS, lesson
from migkit.errors import CapabilityError, RunError, UsageError, printable

__all__ = ["Graded", "Score", "grade", "lesson_of", "make", "require", "shipped", "without_solutions"]

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_HOMES: Final = (_PACKAGE / "_share" / "notebooks" / "course", _PACKAGE.parent / "notebooks" / "course")
_LONGEST_S: Final = 300.0
_TEST: Final = '''"""Grades {name} of lesson {number}; written by `migkit course make`."""

from otter.test_files import test_case

from migkit.course.autograding import require

OK_FORMAT = False
name = "{name}"
points = {points}


@test_case(name="{name}")
def check(env):
    require({number}, "{name}", env)
'''


class Score(NamedTuple):
    """What one exercise of a submission got, and what its check said."""

    exercise: str
    points: float
    most: float
    said: str


class Graded(NamedTuple):
    """One submission and its scores."""

    submission: Path
    lesson: int
    scores: tuple[Score, ...]

    @property
    def points(self) -> float:
        """What it got in all."""
        return sum(score.points for score in self.scores)

    @property
    def most(self) -> float:
        """What it could have got."""
        return sum(score.most for score in self.scores)


def shipped(number: int) -> Path:
    """Return the notebook of a lesson, in a source tree and in an installed wheel alike.

    Raises
    ------
    RunError
        It is not shipped with this installation.

    Examples
    --------
    >>> shipped(1).name.startswith("lesson-1-")
    True
    """
    found = [path for home in _HOMES for path in sorted(home.glob(f"lesson-{number}-*.ipynb"))]
    if not found:
        raise RunError(
            f"lesson {number}: not shipped with this installation; install migkit anew or use a source tree"
        )
    return found[0]


def require(number: int, name: str, names: Mapping[str, Any]) -> None:
    """Raise an error that says what is wrong with an answer, unless it is right; otter-grader calls this.

    Parameters
    ----------
    number
        Of the lesson.
    name
        Of the exercise.
    names
        The variables of the submission.

    Raises
    ------
    AssertionError
        The answer is missing or not right.

    Examples
    --------
    >>> require(2, "shrink", {"shrink": 0.8192})
    >>> require(2, "shrink", {})
    Traceback (most recent call last):
    AssertionError: Not answered yet. Set shrink in this cell, ...
    """
    said = lesson(number).check(**{name: names.get(name, ...)})
    if not said.right:
        raise AssertionError(repr(said))


def without_solutions(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return a notebook without the cells that are tagged as solutions.

    Examples
    --------
    >>> cells = [{"metadata": {}}, {"metadata": {"tags": ["solution"]}}]
    >>> len(without_solutions({"cells": cells})["cells"])
    1
    """
    kept = [cell for cell in notebook["cells"] if "solution" not in cell["metadata"].get("tags", ())]
    return {**notebook, "cells": kept}


def make(folder: Path, numbers: Sequence[int] = tuple(LESSONS)) -> list[Path]:
    """Write the notebooks of students and the archives that grade them, and return their paths.

    Parameters
    ----------
    folder
        Where to: ``student/`` and ``autograder/`` are made in it.
    numbers
        Which lessons.

    Raises
    ------
    CapabilityError
        otter-grader is not installed.
    UsageError
        The folder cannot be written to, or a lesson is not known.
    """
    _check_otter()
    written = []
    try:
        for part in ("student", "autograder"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            source = shipped(number)
            student = folder / "student" / source.name
            notebook = without_solutions(json.loads(source.read_text(encoding="utf-8")))
            student.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            archive = folder / "autograder" / f"{source.stem}.zip"
            _archive(number, archive)
            written += [student, archive]
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot hold the course ({error.strerror}); name a folder that you may write to"
        ) from error
    return written


def grade(submissions: Sequence[Path], *, longest_s: float = _LONGEST_S) -> list[Graded]:
    """Run submitted notebooks from clean kernels and return what each exercise got.

    The notebooks run on this machine, with the rights of who grades them. One that does not end gets no points, and
    the others are graded all the same.

    Parameters
    ----------
    submissions
        Notebooks of the course with answers.
    longest_s
        How long one of them may take [s].

    Raises
    ------
    CapabilityError
        otter-grader is not installed.
    UsageError
        A file is no notebook of the course.
    RunError
        otter-grader cannot make the archives.
    """
    _check_otter()
    asked = [(path, lesson_of(path)) for path in submissions]
    with tempfile.TemporaryDirectory(prefix="migkit-course-") as place:
        archives = {number: Path(place) / f"{number}.zip" for _, number in asked}
        for number, archive in archives.items():
            _archive(number, archive)
        return [_graded(path, number, archives[number], longest_s) for path, number in asked]


def lesson_of(path: Path) -> int:
    """Return which lesson a submitted notebook answers: its metadata say so, or else its name.

    Raises
    ------
    UsageError
        It cannot be read, is no notebook, or is none of the course.

    Examples
    --------
    >>> lesson_of(shipped(3))
    3
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        number = notebook["metadata"].get("migkit", {}).get("lesson")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); name a notebook of the course") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: is no notebook; name one of the course") from error
    named = re.match(r"lesson-(\d+)", path.name)
    if number is None and named:
        number = int(named[1])
    if not isinstance(number, int) or number not in LESSONS:
        raise UsageError(f"{path}: is no notebook of the course; its metadata and its name say no lesson")
    return number


def _check_otter() -> None:
    if importlib.util.find_spec("otter") is None:
        raise CapabilityError("otter-grader is not installed; install it: pip install 'migkit[course]'")


def _archive(number: int, archive: Path) -> None:
    """Write the archive with which otter-grader grades a lesson."""
    with tempfile.TemporaryDirectory(prefix="migkit-course-") as place:
        tests = Path(place) / "tests"
        tests.mkdir()
        for one in lesson(number).exercises:
            text = _TEST.format(name=one.name, number=number, points=one.points)
            (tests / f"{one.name}.py").write_text(text, encoding="utf-8")
        (Path(place) / "requirements.txt").write_text("migkit\n", encoding="utf-8")
        made = ("generate", "-t", "tests", "-o", str(archive.resolve()), "-r", "requirements.txt")
        _otter(f"lesson {number}", made, Path(place))


def _graded(path: Path, number: int, archive: Path, longest_s: float) -> Graded:
    try:
        scores = _scores(path, number, archive, longest_s)
    except RunError as error:
        scores = tuple(Score(one.name, 0.0, float(one.points), str(error)) for one in lesson(number).exercises)
    return Graded(path, number, scores)


def _scores(path: Path, number: int, archive: Path, longest_s: float) -> tuple[Score, ...]:
    with tempfile.TemporaryDirectory(prefix="migkit-course-") as place:
        arguments = ("run", "-a", str(archive), "-o", place, "--no-logo", str(path.resolve()))
        _otter(str(path), arguments, Path(place), longest_s)
        results = json.loads((Path(place) / "results.json").read_text(encoding="utf-8"))
    found = {test["name"]: test for test in results["tests"] if "max_score" in test}
    return tuple(_score(found[one.name]) for one in lesson(number).exercises)


def _score(test: Mapping[str, Any]) -> Score:
    _, failed, said = str(test["output"]).partition("AssertionError: ")
    said = said.strip() if failed else "right" if test["score"] == test["max_score"] else str(test["output"])
    return Score(test["name"], float(test["score"]), float(test["max_score"]), " ".join(said.split()))


def _otter(what: str, arguments: Sequence[str], folder: Path, longest_s: float = _LONGEST_S) -> None:
    """Run otter-grader in a folder; what it prints is shown only where it fails."""
    command = [sys.executable, "-m", "otter", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"{what}: otter-grader did not end within {longest_s:.0f} s; look for an endless loop in a cell"
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise RunError(f"{what}: otter-grader failed: {printable(last)}")
