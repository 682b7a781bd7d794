"""A button that hands the browser a file, made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from migkit.errors import MigkitError

__all__ = ["Download"]

_SCRIPT: Final = Path(__file__).with_name("download.js")


class Download(anywidget.AnyWidget):
    """A button; the browser saves the file that ``make`` returns when it is pressed.

    Parameters
    ----------
    label
        What stands on it.
    make
        Returns the name of the file and its content. An error of migkit is written beside the button.

    Attributes
    ----------
    complaint
        Why there is no file; empty: there is one.

    Examples
    --------
    >>> button = Download("Download the answer", lambda: ("answer.txt", b"42"))
    >>> button.answer()
    ('answer.txt', b'42')
    """

    _esm = _SCRIPT.read_text(encoding="utf-8")
    label = traitlets.Unicode().tag(sync=True)
    complaint = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, make: Callable[[], tuple[str, bytes]]) -> None:
        super().__init__(label=label)
        self._make = make
        self.on_msg(self._asked)

    def answer(self) -> tuple[str, bytes] | None:
        """Return the name of the file and its content; None, and a complaint, where there is none."""
        try:
            made = self._make()
        except MigkitError as error:
            self.complaint = str(error)
            return None
        self.complaint = ""
        return made

    def _asked(self, _widget: Any, _said: Any, _buffers: Any) -> None:
        made = self.answer()
        if made is None:
            self.send({"name": ""})
        else:
            self.send({"name": made[0]}, buffers=[made[1]])
