"""The base of explorers whose answers take a while: the kernel and the page stay usable meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw

from migkit.errors import MigkitError
from migkit.widgets.panel import Panel
from migkit.widgets.running.background import Background

__all__ = ["SlowPanel"]


class SlowPanel(Panel):
    """Base of explorers that work in a thread of their own.

    A subclass says in :meth:`_job` what is to be done for what the controls say, and in :meth:`_take` what is done
    with the result. A move of a control while work is under way is heeded next; the result of what is out of date is
    dropped. An error of the work is written beside the control that was moved, and the picture stays.

    Attributes
    ----------
    status
        What is being done now, in words; empty: nothing is.

    Examples
    --------
    >>> from migkit.widgets import controls
    >>> class Sum(SlowPanel):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first = controls.text("first", "1")
    ...         self._show()
    ...     def _controls(self):
    ...         return [self.first]
    ...     def _job(self):
    ...         number = int(self.first.value)
    ...         return lambda: number + 1
    ...     def _take(self, result):
    ...         self.headline.value = str(result)
    >>> panel = Sum()
    >>> panel.first.value = "41"
    >>> panel.wait(), panel.headline.value
    (True, '42')
    """

    def __init__(self) -> None:
        super().__init__()
        self.status = ipw.HTML()
        self._moved: ipw.Widget | None = None
        self._setter: int | None = None  # the thread that sets controls itself
        self._work: Background[Any] = Background(self._arrive, self._fail)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the work is done, and return whether it is; an error that nobody expects is raised here.

        Parameters
        ----------
        timeout_s
            For how long at most [s]; None: however long it takes.
        """
        return self._work.wait(timeout_s)

    def refresh(self) -> None:
        """Begin the work for what the controls say."""
        job = self._job()
        if job is not None:
            self.status.value = "<i>working ...</i>"
            self._work.ask(job)

    def _job(self) -> Callable[[], Any] | None:
        """Return the work for what the controls say; it must not read the controls any more. None: nothing to do."""
        raise NotImplementedError

    def _take(self, result: Any) -> None:
        """Show a result."""
        raise NotImplementedError

    def _set(self, control: ipw.Widget, value: str, options: Sequence[tuple[str, str]] | None = None) -> None:
        """Have a control say something else, and a list offer something else; that is no move of a person."""
        self._setter = threading.get_ident()
        try:
            if options is not None and tuple(control.options) != tuple(options):
                control.options = options
            control.value = value
        finally:
            self._setter = None

    def _follow(self, change: Any) -> None:
        if threading.get_ident() == self._setter:
            return
        self._moved = change.owner
        super()._follow(change)

    def _arrive(self, result: Any) -> None:
        with self._turn:
            self.status.value = ""
            self._take(result)
            self._agree()

    def _fail(self, error: Exception) -> None:
        with self._turn:
            self.status.value = ""
            moved = self._moved if self._moved is not None else self._controls()[0]
            self._complain(moved, str(error) if isinstance(error, MigkitError) else repr(error))
