"""The lessons of the course by number, each in a module of its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

from migkit.course.lesson_checks import Lesson
from migkit.errors import UsageError

__all__ = ["LESSONS", "lesson"]

LESSONS: Final[Mapping[int, str]] = {
    1: "one_number",
    2: "geometric_series",
    3: "switchover",
    4: "postcopy_risk",
    5: "hold_out",
    6: "project",
}
"""Module of each lesson."""


def lesson(number: int) -> Lesson:
    """Return a lesson of the course, nothing of it answered yet.

    Parameters
    ----------
    number
        1 to 6.

    Raises
    ------
    UsageError
        There is no lesson of this number.

    Examples
    --------
    >>> lesson(1).title
    'one number is not enough'
    """
    if number not in LESSONS:
        raise UsageError(f"course: there is no lesson {number}; use {min(LESSONS)} to {max(LESSONS)}")
    made: Lesson = importlib.import_module(f"migkit.course.lessons.{LESSONS[number]}").lesson()
    return made
