"""Work that takes a while, in a thread of its own, so that the kernel stays usable meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from migkit.errors import MigkitError

__all__ = ["Background"]

T = TypeVar("T")


class Background(Generic[T]):
    """Does one piece of work at a time, the last that was asked for; what is asked for meanwhile is done next.

    Parameters
    ----------
    done
        Is given each result, in the thread of the work; the result of work that is out of date is dropped.
    failed
        Is given the error of work that failed.

    Examples
    --------
    >>> found = []
    >>> background = Background(found.append, print)
    >>> background.ask(lambda: 6 * 7)
    >>> background.wait()
    True
    >>> found
    [42]
    """

    def __init__(self, done: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        self._done, self._failed = done, failed
        self._changed = threading.Condition()
        self._next: Callable[[], T] | None = None
        self._thread: threading.Thread | None = None
        self._unexpected: Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._thread is not None

    def ask(self, work: Callable[[], T]) -> None:
        """Have ``work`` done, instead of what was asked for and has not begun."""
        with self._changed:
            self._next = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="migkit-work", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is being done, and return whether that is so.

        Raises
        ------
        Exception
            What no explorer expects, in the work or in those who took its result: a defect.
        """
        with self._changed:
            over = self._changed.wait_for(lambda: self._thread is None, timeout_s)
            unexpected, self._unexpected = self._unexpected, None
        if unexpected is not None:
            raise unexpected
        return over

    def _run(self) -> None:
        while (work := self._take()) is not None:
            try:
                self._do(work)
            except MigkitError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - wait raises it
                self._unexpected = error
                self._failed(error)

    def _take(self) -> Callable[[], T] | None:
        with self._changed:
            work, self._next = self._next, None
            if work is None:
                self._thread = None
                self._changed.notify_all()
            return work

    def _do(self, work: Callable[[], T]) -> None:
        result = work()
        if self._next is None:
            self._done(result)
