"""What is written for people to read later: an answer as one HTML page that needs nothing else, no network either."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from migkit.errors import UsageError

if TYPE_CHECKING:
    from migkit.planning.drain import Plan
    from migkit.planning.rehearsal import Rehearsal, Upgrade
    from migkit.planning.size import Size
    from migkit.planning.tradeoffs import Tradeoffs

__all__ = ["report"]

_ROOMS: Final = {
    "Size": "of_size",
    "Tradeoffs": "of_tradeoffs",
    "Plan": "of_drain",
    "Rehearsal": "of_rehearsal",
    "Upgrade": "of_upgrade",
}


def report(answer: Size | Tradeoffs | Plan | Rehearsal | Upgrade) -> str:
    """Return an answer of a planner as one HTML page.

    The page has the question, what went in, what was assumed, the answer, pictures, risks, and settings or commands
    to paste. It loads nothing from anywhere, follows the light or dark theme of its reader, and can be printed.

    Parameters
    ----------
    answer
        What :func:`migkit.size`, :func:`migkit.tradeoffs`, :func:`migkit.drain`, :func:`migkit.rehearse` or
        :func:`migkit.upgrade` returned.

    Raises
    ------
    UsageError
        It is none of these.

    Examples
    --------
    >>> import migkit
    >>> page = report(migkit.size(migkit.Guest(memory_bytes=2**30), find="downtime_limit"))
    >>> page.count("<h2>"), "https://" in page.partition("<script")[0]
    (6, False)
    """
    room = _ROOMS.get(type(answer).__name__)
    if room is None:
        names = ", ".join(_ROOMS)
        raise UsageError(f"report: a {type(answer).__name__} has no report; give one of {names}")
    text: str = importlib.import_module(f"migkit.reports.{room}").page(answer)
    return text
