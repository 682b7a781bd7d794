"""``migkit course``: the course's notebooks for students, and their grading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migkit.course.autograding import Graded

__all__ = ["command"]

_LESSONS: Final = (1, 2, 3, 4, 5, 6)


@click.group("course")
def command() -> None:
    """Hand out the course of notebooks/course, and grade what comes back, with otter-grader."""


@command.command("make", cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--lesson", "lessons", multiple=True, type=click.IntRange(1, 6), help="Only this one; may be repeated.")
@click.option("-q", "--quiet", is_flag=True, help="Do not say what was written.")
def make_command(folder: Path, lessons: tuple[int, ...], quiet: bool) -> None:
    """Write the lessons into FOLDER: student/ without solutions, and autograder/ with an archive for each.

    The archives are those of otter-grader: `otter run`, `otter grade` and Gradescope take them.
    """
    from migkit.course.autograding import make

    for path in make(folder, sorted(set(lessons)) or _LESSONS):
        _output.narrate(f"wrote {path}", quiet)


@command.command("grade", cls=Command)
@click.argument("submissions", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def grade_command(submissions: tuple[Path, ...], kind: str | None, output: Path | None, quiet: bool) -> None:
    """Run submitted notebooks from clean kernels, and print the points of each exercise and what is wrong.

    A submission is a program: it runs on this machine with your rights. Let `otter grade` run those of people whom
    you do not know, in a container, with the archives that `migkit course make` writes.
    """
    from migkit.course.autograding import grade

    if len(set(submissions)) < len(submissions):
        raise UsageError("grade: a submission is given twice; give each once")
    graded = grade(submissions)
    _output.emit(_render(_output.choose_format(kind, output), graded), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)


def _render(kind: str, graded: Sequence[Graded]) -> str | bytes:
    if kind == "table":
        return "\n\n".join(map(_table, graded))
    rows = [row for one in graded for row in _rows(one)]
    return json.dumps(rows, indent=2) if kind == "json" else _output.rows_as(kind, rows)


def _rows(one: Graded) -> list[dict[str, Any]]:
    facts = {"submission": str(one.submission), "lesson": one.lesson}
    return [facts | score._asdict() for score in one.scores]


def _table(one: Graded) -> str:
    head = f"{_output.printable(str(one.submission))}: lesson {one.lesson}, {one.points:g} of {one.most:g} points"
    rows = [
        (score.exercise, f"{score.points:g}/{score.most:g}", _output.printable(score.said)) for score in one.scores
    ]
    return f"{head}\n{_output.columns(('exercise', 'points', ''), rows, left=3)}"
