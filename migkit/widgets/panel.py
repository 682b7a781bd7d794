"""What every explorer has: controls with their sentences, figures that follow, the call behind the picture."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets as ipw
import traitlets
from IPython import display, get_ipython

from migkit.errors import MigkitError
from migkit.widgets import warm
from migkit.widgets.field import Field

__all__ = ["Panel"]

_REST_S: Final = 0.12  # without a change: the hand on a slider rests
_HERE: Final = Path(__file__).parent
_KEPT: Final = f"<script>{(_HERE / 'kept.js').read_text(encoding='utf-8')}</script>"


class _Foot(anywidget.AnyWidget):
    """The button "copy as Python"; its script also names the controls of the panel for screen readers."""

    _esm = (_HERE / "panel.js").read_text(encoding="utf-8")
    _css = (_HERE / "panel.css").read_text(encoding="utf-8")
    _key = traitlets.Unicode().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)


class Panel:
    """Base of the explorers.

    A subclass makes its controls (:mod:`migkit.widgets.controls`), names them in :meth:`_controls`, says in
    :meth:`refresh` how its figures follow and in :meth:`code` which call is behind them, and at the end of its
    ``__init__`` calls :meth:`_show` with what stands below the controls. An error of migkit within :meth:`refresh` is
    written beside the control that was moved, and the figures stay as they are.

    Attributes
    ----------
    headline
        The result in words.
    fields
        Each control with its lines, by the control's description.
    widget
        The tree of all widgets, shown when the explorer is the last line of a cell.

    Examples
    --------
    >>> from migkit.units import size
    >>> from migkit.widgets import controls
    >>> class Pages(Panel):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.memory = controls.text("memory", "8 KiB", sentence="Memory of the guest.")
    ...         self.refresh()
    ...         self._show()
    ...     def _controls(self):
    ...         return [self.memory]
    ...     def refresh(self):
    ...         self.headline.value = f"{size(self.memory.value, 'memory') // 4096} pages"
    ...     def code(self):
    ...         return f"from migkit.units import size\\n\\nsize({self.memory.value!r}) // 4096"
    >>> pages = Pages()
    >>> pages.memory.value = "twelve"
    >>> pages.headline.value, pages.fields["memory"].complaint[:32]
    ('2 pages', 'memory: "twelve" is not a size; ')
    """

    widget: ipw.Widget

    def __init__(self) -> None:
        self.headline = ipw.HTML()
        self.fields: dict[str, Field] = {}
        self._foot = _Foot(_key=uuid.uuid4().hex)
        self._turn = threading.RLock()  # a slider may move while a cell runs, in a thread of its own
        self._moved: ipw.Widget | None = None  # the control that was moved last
        self._waiting: asyncio.TimerHandle | None = None

    def refresh(self) -> None:
        """Bring results and figures up to what the controls say.

        Raises
        ------
        MigkitError
            The controls contradict each other, or one of them says something that is not possible.
        """
        raise NotImplementedError

    def code(self) -> str:
        """Return Python that makes the result and the figures anew; empty where there is none."""
        return ""

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong, by the description of the control that it is written beside."""
        return {name: field.complaint for name, field in self.fields.items() if field.complaint}

    def note(self, control: ipw.Widget, text: str) -> None:
        """Write beside a control what limits it; empty: nothing does."""
        self.fields[control.description].say(text)

    def _controls(self) -> Sequence[ipw.Widget]:
        raise NotImplementedError

    def _notes(self) -> None:
        """Write beside the controls what limits them, where something does."""

    def _show(self, *parts: ipw.Widget) -> None:
        """Make the tree: the controls, the headline, ``parts``, and the foot."""
        self.fields = {control.description: Field(control) for control in self._controls()}
        for field in self.fields.values():
            field.control.observe(self._follow, names="value")
        grid = ipw.Box([field.widget for field in self.fields.values()])
        grid.add_class("migkit-controls")
        self.widget = ipw.VBox([grid, self.headline, *parts, self._foot])
        self.widget.add_class("migkit-panel")
        self._agree()

    def _at_rest(self, work: Callable[[], None]) -> None:
        """Do what takes long, and can wait, once the hand on a slider rests; at once where no hand is on one."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        loop = _loop_of_a_hand()
        if loop is None:
            work()
        else:
            self._waiting = loop.call_later(_REST_S, self._rested, work)

    def _rested(self, work: Callable[[], None]) -> None:
        with self._turn:
            try:
                work()
            except MigkitError as error:
                self._complain(self._moved, str(error))

    def _follow(self, change: Any) -> None:
        with self._turn:
            self._moved = change.owner
            try:
                self.refresh()
            except MigkitError as error:
                self._complain(change.owner, str(error))
            except Exception as error:
                self._complain(change.owner, repr(error))
                raise
            else:
                self._agree()

    def _agree(self) -> None:
        """Take back complaints: results, figures and controls say the same."""
        self._notes()
        self._foot.code = self.code()
        for field in self.fields.values():
            field.complain("")

    def _complain(self, moved: ipw.Widget | None, text: str) -> None:
        complaint = f"{text.rstrip('.')}. The picture is still that of the values before."
        for field in self.fields.values():
            field.complain(complaint if field.control is moved else "")

    def _ipython_display_(self) -> None:
        warm.begin()
        show: Any = display
        show.display(show.HTML(_KEPT.replace("KEY", self._foot._key)), self.widget)


def _loop_of_a_hand() -> asyncio.AbstractEventLoop | None:
    """Return the kernel's loop while it handles what the page sends of a widget; None: code moved the control."""
    kernel: Any = getattr(get_ipython(), "kernel", None)
    if kernel is None or kernel.get_parent("shell").get("header", {}).get("msg_type") != "comm_msg":
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread of its own, without a loop
        return None
