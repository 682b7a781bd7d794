"""One lesson: its case, its exercises, and the predictions that its students commit to."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from migkit.course import feedback
from migkit.course.exercises import Choice, Exercise
from migkit.course.feedback import Feedback
from migkit.errors import UsageError

__all__ = ["Lesson"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A lesson as its notebook uses it.

    Attributes
    ----------
    number
        Its number in the course.
    title
        What it is about.
    exercises
        What is checked and graded.
    predictions
        What students commit to before they compute.
    case
        What the exercises are about, by name: scenarios, traces, machines.

    Examples
    --------
    >>> from migkit.course import lesson
    >>> two = lesson(2)
    >>> two.check(shrink=...).title
    'Not answered yet'
    >>> two.check(shrink=0.8192).right
    True
    """

    number: int
    title: str
    exercises: Sequence[Exercise]
    predictions: Sequence[Choice]
    case: Mapping[str, Any]
    _committed: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    _revealed: set[str] = dataclasses.field(default_factory=set, repr=False)

    def __repr__(self) -> str:
        return f"Lesson {self.number}: {self.title} ({self.points} points)"

    @property
    def points(self) -> int:
        """What all of its exercises count."""
        return sum(one.points for one in self.exercises)

    def check(self, **answer: Any) -> Feedback:
        """Say whether an answer is right, and if not what to look at.

        Parameters
        ----------
        **answer
            One exercise by its name: ``check(first_round_s=first_round_s)``.

        Raises
        ------
        UsageError
            There is no exercise of this name.
        """
        name, given = _only("check", answer)
        exercise: Exercise = _named(self.exercises, name, self.number)
        return exercise.judge(given)

    def commit(self, **prediction: Any) -> Feedback:
        """Note what a student expects, before anything is computed.

        Once the answer was shown, the prediction that was made before stays.

        Parameters
        ----------
        **prediction
            One question and the letter chosen: ``commit(how_long="b")``.

        Raises
        ------
        UsageError
            There is no question of this name.
        """
        name, given = _only("commit", prediction)
        question = _named(self.predictions, name, self.number)
        if given is ...:
            return feedback.untouched(name, f"the letter that you expect, one of {', '.join(question.options)}")
        try:
            letter = question.letter(given)
        except UsageError as error:
            return feedback.wrong(f"{error}.")
        if name in self._revealed and self._committed.get(name) != letter:
            return feedback.told(f"You have seen the answer, so {self._committed[name]} stays.")
        self._committed[name] = letter
        return feedback.told(f"You expect {letter}: {question.options[letter]}. Now find out.")

    def reveal(self, name: str) -> Feedback:
        """Compare what a student expected with what the engine says.

        Raises
        ------
        UsageError
            There is no question of this name.
        """
        question = _named(self.predictions, name, self.number)
        if name not in self._committed:
            return feedback.uncommitted()
        self._revealed.add(name)
        letter, truth = self._committed[name], question.expected()
        if letter == truth:
            return feedback.told(f"You expected {letter}, and so it is. {question.meaning()}")
        said = f"You expected {letter}: {question.options[letter]}. It is {truth}: {question.options[truth]}."
        return feedback.told(f"{said} {question.meaning()}")


def _only(call: str, given: Mapping[str, Any]) -> tuple[str, Any]:
    if len(given) != 1:
        raise UsageError(f"{call}: {len(given)} answers were given; give one, as in {call}(name=value)")
    return next(iter(given.items()))


def _named(known: Sequence[Any], name: str, number: int) -> Any:
    """Return the exercise or question of a name."""
    found = {one.name: one for one in known}
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(f"lesson {number}: {name} is not asked here{meant}; use one of {', '.join(found)}")
