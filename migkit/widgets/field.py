"""A control with its sentence below it, and below that what limits it or what is wrong with it."""

from __future__ import annotations

import html

import ipywidgets as ipw

__all__ = ["Field"]


class Field:
    """One control of an explorer.

    Parameters
    ----------
    control
        A widget with a ``value`` and a ``tooltip``, the sentence that says what it is.

    Attributes
    ----------
    control, widget
        The control; and the tree of the control and its lines.

    Examples
    --------
    >>> field = Field(ipw.FloatSlider(description="load", tooltip="Share of the link that others use."))
    >>> field.complain("load: too much")
    >>> field.complaint, "Share of the link" in field.text
    ('load: too much', True)
    """

    def __init__(self, control: ipw.Widget) -> None:
        self.control = control
        self._note = self._complaint = ""
        self._lines = ipw.HTML()
        self.widget = ipw.VBox([control, self._lines])
        self.widget.add_class("migkit-field")
        self._write()

    @property
    def note(self) -> str:
        """What limits the control, or empty."""
        return self._note

    @property
    def complaint(self) -> str:
        """What is wrong with its value, or empty."""
        return self._complaint

    @property
    def text(self) -> str:
        """What stands below the control, as HTML."""
        return str(self._lines.value)

    def say(self, note: str) -> None:
        """Write what limits the control; empty: nothing does."""
        self._note = note
        self._write()

    def complain(self, complaint: str) -> None:
        """Write what is wrong with the value; empty: nothing is."""
        self._complaint = complaint
        self._write()

    def _write(self) -> None:
        lines = {"help": self.control.tooltip or "", "note": self._note, "complaint": self._complaint}
        self._lines.value = "".join(
            f'<div class="migkit-{kind}"{_role(kind)}>{html.escape(text)}</div>'
            for kind, text in lines.items()
            if text
        )


def _role(kind: str) -> str:
    return ' role="alert"' if kind == "complaint" else ""
