"""How the pages of a guest are drawn while it moves: a colour and a sentence for each state.

Pages have colours of their own, which no line and no bar has. They differ in lightness, too. A demanded page alone
has the colour of post-copy, whose price it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from migkit.viz.style import MEANINGS

__all__ = ["PAGES", "PageStyle"]


class PageStyle(NamedTuple):
    """How a state of a page is drawn, what it is called and what it means."""

    colour: str
    label: str
    meaning: str


PAGES: Final[Mapping[str, PageStyle]] = {
    "pending": PageStyle("#77AADD", "to be sent", "The bitmap says that the destination needs this page."),
    "sent": PageStyle("#225555", "sent", "The destination has this page as it is."),
    "written": PageStyle("#EEDD88", "written again", "The guest wrote to this page since the last bitmap sync."),
    "zero": PageStyle("#AAAAAA", "zero page", "The page holds only zeros; a few bytes tell the destination so."),
    "demanded": PageStyle(
        MEANINGS["postcopy"].value, "demanded", "The guest touched this page before it had come, and waited for it."
    ),
}
"""Style of each state, by the names of :data:`migkit.simulator.film.STATES`."""
