"""The exercises of a lesson: numbers, choices and functions, each with the mistakes that it knows.

The expected answer is computed by migkit when it is needed, and so is what each known mistake leads to. So a
sentence about a mistake is said only when the numbers of this very case show it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from migkit.course import feedback
from migkit.course.feedback import Feedback
from migkit.course.quantities import COUNT, Quantity, close, read, slip
from migkit.errors import UsageError, shown

__all__ = ["Choice", "Exercise", "Function", "Mistake", "Number"]

_NEAR: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Mistake:
    """What students often do, what it leads to, and the sentence that helps.

    Attributes
    ----------
    makes
        Computes the wrong answer; for a function, it is the wrong function.
    says
        The sentence.
    """

    makes: Callable[..., float]
    says: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An exercise whose answer is one number.

    Attributes
    ----------
    name
        The variable that the student sets.
    asks
        What it is to hold, with its unit.
    quantity
        Its unit, and the slips of the unit.
    expected
        Computes the answer.
    meaning
        Says what the right answer means, with numbers.
    hint
        Where to look when the mistake is not known.
    mistakes
        Those that are known.
    tolerance
        How far the answer may be off, as a share of it.
    off_by
        Up to how much an answer is off by one, or by a page; 0: that is no mistake of its own.
    points
        What it counts.
    """

    name: str
    asks: str
    quantity: Quantity
    expected: Callable[[], float]
    meaning: Callable[[], str]
    hint: str
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 0.01
    off_by: float = 0.0
    points: int = 1

    def judge(self, given: Any) -> Feedback:
        """Return what is to be said of an answer."""
        if given is ...:
            return feedback.untouched(self.name, self.asks)
        try:
            value = read(given, self.name, self.quantity)
        except UsageError as error:
            return feedback.wrong(f"{error}.")
        expected = self.expected()
        if close(value, expected, self.tolerance):
            return feedback.right(self.meaning())
        return feedback.wrong(self._why(value, expected))

    def _why(self, value: float, expected: float) -> str:
        """Return the sentence for a wrong number: a known mistake, a slip of the unit, both, or how far it is off."""
        if 0.0 < abs(value - expected) <= self.off_by:
            return f"It is off by {abs(value - expected):g}: count again at both ends, and do not round on the way."
        made = [(mistake.makes(), mistake.says) for mistake in self.mistakes]
        for wrong, says in made:
            if close(value, wrong, min(self.tolerance, 0.01)):
                return says
        unit = slip(value, expected, self.quantity, self.tolerance)
        if unit:
            return f"{unit}."
        for wrong, says in made:
            unit = slip(value, wrong, self.quantity, min(self.tolerance, 0.002), small=False)
            if unit:
                return f"Two things at once. {says} Besides: {_lower(unit)}."
        return f"{_how_far(value, expected)} {self.hint}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A question with lettered options; used as an exercise, and as a prediction to commit to.

    Attributes
    ----------
    name
        The variable that the student sets.
    asks
        What is chosen.
    options
        By letter, what the option says.
    expected
        Computes the letter that is true.
    meaning
        Says why, with numbers.
    wrong
        By letter, the sentence that helps who chose it.
    points
        What it counts.
    """

    name: str
    asks: str
    options: Mapping[str, str]
    expected: Callable[[], str]
    meaning: Callable[[], str]
    wrong: Mapping[str, str] = dataclasses.field(default_factory=dict)
    points: int = 1

    def judge(self, given: Any) -> Feedback:
        """Return what is to be said of an answer."""
        if given is ...:
            return feedback.untouched(self.name, self.asks)
        try:
            letter = self.letter(given)
        except UsageError as error:
            return feedback.wrong(f"{error}.")
        if letter == self.expected():
            return feedback.right(self.meaning())
        return feedback.wrong(self.wrong.get(letter, f"It is not {letter}. Compute each option and compare."))

    def letter(self, given: Any) -> str:
        """Return the letter that was chosen.

        Raises
        ------
        UsageError
            It is none of the options.
        """
        text = given.strip().lower().rstrip(").") if isinstance(given, str) else ""
        if text not in self.options:
            letters = ", ".join(f'"{letter}"' for letter in self.options)
            raise UsageError(
                f"{self.name}: {shown(given)} is none of the options; choose one of {letters}, with quotes"
            )
        return text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An exercise whose answer is a function that the student writes.

    Attributes
    ----------
    name
        Of the function.
    asks
        What it returns, with its unit.
    cases
        Arguments with which it is called, the simplest first.
    expected
        The right function.
    meaning
        Says what a right function shows.
    hint
        Where to look when the mistake is not known.
    mistakes
        Wrong functions that are known.
    endless
        What to do in a case that never ends.
    call
        Names a case, where its arguments cannot be shown.
    tolerance
        How far a value may be off, as a share of it.
    quantity
        Of the values.
    points
        What it counts.
    """

    name: str
    asks: str
    cases: Sequence[tuple[Any, ...]]
    expected: Callable[..., float]
    meaning: Callable[[], str]
    hint: str
    mistakes: tuple[Mistake, ...] = ()
    endless: str = ""
    call: Callable[..., str] | None = None
    tolerance: float = 0.001
    quantity: Quantity = COUNT
    points: int = 2

    def judge(self, given: Any) -> Feedback:
        """Return what is to be said of a function."""
        if given is ...:
            return feedback.untouched(self.name, self.asks)
        if not callable(given):
            return feedback.wrong(f"{self.name} is to be a function: def {self.name}(...): with a return at its end.")
        values = []
        for case in self.cases:
            value, problem = self._called(given, case)
            if problem is not None:
                return problem
            values.append(value)
        wanted = [self.expected(*case) for case in self.cases]
        at = next((at for at in range(len(wanted)) if not self._agrees(values[at], wanted[at])), None)
        if at is None:
            return feedback.right(self.meaning())
        return feedback.wrong(self._why(values, wanted, at))

    def _called(self, given: Callable[..., Any], case: tuple[Any, ...]) -> tuple[float, Feedback | None]:
        """Return what a student's function returns, or what is to be said where that is no number."""
        try:
            value = given(*case)
        except Exception as error:  # noqa: BLE001 - a student's function may raise anything, and the student hears of it
            raised = f"it raised {type(error).__name__}: {error}. Call it yourself in a cell of its own."
            return math.nan, feedback.wrong(f"{self._where(case)}: {raised}")
        if value is ...:
            return math.nan, feedback.untouched(self.name, self.asks)
        if isinstance(value, float) and math.isinf(value):
            return value, None
        try:
            return read(value, self._shown(case), self.quantity), None
        except UsageError as error:
            return math.nan, feedback.wrong(f"{error}.")

    def _agrees(self, value: float, wanted: float) -> bool:
        if math.isinf(value) or math.isinf(wanted):
            return value == wanted
        return close(value, wanted, self.tolerance)

    def _why(self, values: Sequence[float], wanted: Sequence[float], at: int) -> str:
        """Return the sentence for a wrong function: one that is known, a slip of the unit, or where it is off."""
        for mistake in self.mistakes:
            made = [mistake.makes(*case) for case in self.cases]
            ending = [pair for pair in zip(values, made, strict=True) if math.isfinite(pair[1])]
            if all(self._agrees(value, wrong) for value, wrong in ending):
                return mistake.says
        where = self._where(self.cases[at])
        if math.isinf(wanted[at]):
            return f"{where} it never ends, and your answer is finite. {self.endless}"
        unit = slip(values[at], wanted[at], self.quantity, self.tolerance)
        if unit:
            return f"{unit}."
        return f"{where}: {_lower(_how_far(values[at], wanted[at]))} {self.hint}"

    def _shown(self, case: tuple[Any, ...]) -> str:
        if self.call is not None:
            return self.call(*case)
        return f"{self.name}({', '.join(f'{one:g}' for one in case)})"

    def _where(self, case: tuple[Any, ...]) -> str:
        """Return the case as a sentence begins with it; the name of a function keeps its letters."""
        return self._shown(case) if self.call is None else _upper(self._shown(case))


Exercise = Number | Choice | Function


def _how_far(value: float, expected: float) -> str:
    """Say by how much a number is off, and to which side, without saying the right one."""
    if math.isinf(value):
        return "This is a case that ends, and your answer is infinite."
    if expected and close(value, expected, _NEAR):
        side = "above" if value > expected else "below"
        return f"Close: {100.0 * (abs(value / expected - 1.0)):.1f} % {side}. Round nothing on the way."
    if value * expected <= 0.0:
        return "Its sign cannot be right." if value else "It is not 0."
    ratio = value / expected
    side, factor = ("large", ratio) if abs(ratio) > 1.0 else ("small", 1.0 / ratio)
    return f"Too {side}, by a factor of {f'{factor:.3g}' if factor < 1000.0 else f'{factor:,.0f}'}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
