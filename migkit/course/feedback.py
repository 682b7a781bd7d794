"""What a check says of an answer: one sentence or two, as text and as a box in a notebook."""

from __future__ import annotations

import dataclasses
import html
from typing import Final

__all__ = ["Feedback", "right", "told", "uncommitted", "untouched", "wrong"]

_BOX: Final = (
    '<div role="status" style="border-left:4px solid {colour};padding:4px 12px;margin:4px 0;max-width:60em">'
    "<strong>{mark} {title}.</strong> {text}</div>"
)
_LOOKS: Final = {  # mark and colour of a title; the word says it as well
    "Right": ("✓", "var(--jp-success-color1, #388e3c)"),
    "Not yet": ("✗", "var(--jp-warn-color1, #d55e00)"),
    "Not answered yet": ("…", "var(--jp-border-color1, #999999)"),
    "Your prediction": ("●", "var(--jp-info-color1, #0072b2)"),
}


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Feedback:
    """What a check says.

    Attributes
    ----------
    right
        Whether the answer is right.
    title
        That in a word or two.
    text
        Why, and what to look at next.

    Examples
    --------
    >>> wrong("Seconds were asked for.")
    Not yet. Seconds were asked for.
    """

    right: bool
    title: str
    text: str

    def __repr__(self) -> str:
        return f"{self.title}. {self.text}"

    def _repr_html_(self) -> str:
        mark, colour = _LOOKS[self.title]
        return _BOX.format(colour=colour, mark=mark, title=self.title, text=html.escape(self.text, quote=False))


def right(text: str) -> Feedback:
    """Return that an answer is right, and what it means.

    Examples
    --------
    >>> right("The link moves 125 MB each second.").right
    True
    """
    return Feedback(True, "Right", text)


def wrong(text: str) -> Feedback:
    """Return that an answer is not right, and what to look at.

    Examples
    --------
    >>> wrong("Seconds were asked for.").right
    False
    """
    return Feedback(False, "Not yet", text)


def untouched(name: str, asks: str) -> Feedback:
    """Return that an exercise was not answered, and what it asks for.

    Examples
    --------
    >>> untouched("first_round_s", "the time of the first round [s]")
    Not answered yet. Set first_round_s in this cell, in place of the three dots: the time of the first round [s].
    """
    return Feedback(False, "Not answered yet", f"Set {name} in this cell, in place of the three dots: {asks}.")


def told(text: str) -> Feedback:
    """Return what became of a prediction that a student committed to; it is never wrong to have made one.

    Examples
    --------
    >>> told("You said a. It is b.").title
    'Your prediction'
    """
    return Feedback(True, "Your prediction", text)


def uncommitted() -> Feedback:
    """Return that a student has to say what to expect before the answer is shown.

    Examples
    --------
    >>> uncommitted()
    Not answered yet. Commit to a letter in the cell above first; a wrong guess costs nothing.
    """
    text = "Commit to a letter in the cell above first; a wrong guess costs nothing."
    return Feedback(False, "Not answered yet", text)
