"""Whoever has knocked at the destination's door and has not said yet who it is.

A visitor who is silent costs a descriptor, one who speaks a thread: so whoever is silent or slow delays nobody.
When too many are inside at once, the oldest is dropped, first of those who are silent. One who speaks is given a
moment to finish before others may take the place; meanwhile these wait in the listener's queue, in their order.
"""

from __future__ import annotations

import contextlib
import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from migkit.errors import RunError
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.wire import ConnectionLostError

__all__ = ["Visitors"]

_MOST: Final = 64
_MOMENT_S: Final = 0.5  # that one who speaks may stay, however many knock
_SILENT: Final = "it went away, or did not say in time who it is"

Introduce = Callable[[socket.socket], Connection]


class _Visitor:
    """One who knocked.

    Attributes
    ----------
    came_s, end_s
        When it came, and when its time is over, on the monotonic clock [s].
    connection
        Of one who may come in.
    objection
        Why it may not.
    """

    def __init__(self, sock: socket.socket, came_s: float, seconds: float) -> None:
        self.came_s, self.end_s = came_s, came_s + seconds
        self.connection: Connection | None = None
        self.objection = ""
        self._socket = sock
        self._cord = sock.dup()  # to cut it off by, whatever its thread is doing
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        """Return the descriptor, for ``select``; readable when a silent one speaks, or goes away."""
        return self._cord.fileno()

    @property
    def is_silent(self) -> bool:
        """Whether it has not said anything."""
        return self._thread is None

    @property
    def is_done(self) -> bool:
        """Whether it has said all."""
        return self._thread is not None and not self._thread.is_alive()

    def has_gone(self) -> bool:
        """Say whether a silent one that is readable has closed the connection."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def listen(self, introduce: Introduce, tell: Callable[[_Visitor], None]) -> None:
        """Have it say who it is, in a thread of its own."""
        self._thread = threading.Thread(target=self._speak, args=(introduce, tell), name="visitor", daemon=True)
        self._thread.start()

    def _speak(self, introduce: Introduce, tell: Callable[[_Visitor], None]) -> None:
        try:
            self.connection = introduce(self._socket)
        except ConnectionLostError:
            self.objection = _SILENT
        except Exception as error:  # noqa: BLE001 - a stranger may say anything, and must not end the migration
            self.objection = str(error)
        tell(self)

    def drop(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(OSError):
            self._cord.shutdown(socket.SHUT_RDWR)
        self.leave()
        if self.connection is not None:
            self.connection.close()

    def leave(self) -> None:
        """Wait for its thread; the connection of one who was let in stays."""
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()
        if self.connection is None:
            self._socket.close()
            self.objection = self.objection or _SILENT
        self._cord.close()


class Visitors:
    """All who are inside at the same time.

    Parameters
    ----------
    introduce
        Returns the connection of one who may come in, raises for others; called in a thread of its own.
    seconds
        Within which each must have said who it is.

    Attributes
    ----------
    objection
        Why the last who was turned away may not come in.
    """

    def __init__(self, introduce: Introduce, seconds: float) -> None:
        self._introduce, self._seconds = introduce, seconds
        self.objection = ""
        self._inside: list[_Visitor] = []
        self._done: queue.SimpleQueue[_Visitor] = queue.SimpleQueue()
        self._bell, self._cord = socket.socketpair()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()
        self._bell.close()
        self._cord.close()

    def dismiss(self) -> None:
        """Drop all of them."""
        while self._inside:
            self._drop(self._inside[0])

    def end_s(self) -> float:
        """Return when the time of the next one is over, on the monotonic clock [s]."""
        return min((visitor.end_s for visitor in self._inside if not visitor.is_done), default=math.inf)

    def has_room(self, now_s: float) -> bool:
        """Say whether the next one may come in, if need be in place of another."""
        return len(self._inside) < _MOST or self.room_s(now_s) <= now_s

    def room_s(self, now_s: float) -> float:
        """Return when somebody may be dropped for the next one, on the monotonic clock [s]; infinite: no need."""
        oldest = self._oldest() if len(self._inside) >= _MOST else None
        if oldest is None:
            return math.inf
        return now_s if oldest.is_silent else oldest.came_s + _MOMENT_S

    def watched(self) -> list[Any]:
        """Return what is readable when one of them has something to say."""
        return [self._bell, *(visitor for visitor in self._inside if visitor.is_silent)]

    def take_in(self, listener: socket.socket) -> None:
        """Let the next one in; the oldest goes when there is no room for it.

        Raises
        ------
        RunError
            This process may hold no descriptor for it, and nobody is there to be dropped instead.
        """
        if len(self._inside) >= _MOST:
            self._drop_oldest()
        try:
            sock, _ = listener.accept()
        except BlockingIOError:  # it has gone again
            return
        except OSError as error:
            if not self._inside:
                raise RunError(f"connection: nobody can be let in ({error.strerror or error})") from error
            self._drop_oldest()
            return
        try:
            self._inside.append(_Visitor(sock, time.monotonic(), self._seconds))
        except OSError:  # no descriptor is left
            sock.close()
            self._drop_oldest()

    def hear(self, ready: Sequence[Any]) -> Connection | None:
        """Go on with those who are ``ready``, drop those whose time is over; return who may come in, if one may."""
        for visitor in [each for each in self._inside if each.is_silent and each in ready]:
            self._begin(visitor)
        now_s = time.monotonic()
        for visitor in [each for each in self._inside if not each.is_done and each.end_s <= now_s]:
            self._drop(visitor)
        return self._next() if self._bell in ready else None

    def _begin(self, visitor: _Visitor) -> None:
        if visitor.has_gone():
            self._drop(visitor)
            return
        try:
            visitor.listen(self._introduce, self._tell)
        except RuntimeError:  # no thread is left
            self._drop(visitor)

    def _next(self) -> Connection | None:
        """Return the connection of the next one who has said all, if it may come in and was not dropped meanwhile."""
        self._bell.recv(1)
        visitor = self._done.get()
        if visitor not in self._inside:
            return None
        self._inside.remove(visitor)
        visitor.leave()
        self.objection = visitor.objection or self.objection
        return visitor.connection

    def _tell(self, visitor: _Visitor) -> None:
        self._done.put(visitor)
        with contextlib.suppress(OSError):  # everybody was sent away meanwhile
            self._cord.send(b"!")

    def _oldest(self) -> _Visitor | None:
        """Return the one to be dropped first."""
        waiting = [visitor for visitor in self._inside if not visitor.is_done]
        return next((visitor for visitor in waiting if visitor.is_silent), waiting[0] if waiting else None)

    def _drop_oldest(self) -> None:
        oldest = self._oldest()
        if oldest is not None:
            self._drop(oldest)

    def _drop(self, visitor: _Visitor) -> None:
        self._inside.remove(visitor)
        visitor.drop()
        self.objection = visitor.objection or self.objection
