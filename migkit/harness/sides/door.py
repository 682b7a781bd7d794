"""Where the destination listens: it lets in the one source that knows the token, whoever else may knock."""

from __future__ import annotations

import contextlib
import hmac
import math
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self, TypeVar

from migkit.errors import RunError, UsageError
from migkit.harness.linux.channel import Channel
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import MIGRATION, Connection
from migkit.harness.protocol.identity import context_of, secure
from migkit.harness.protocol.wire import ConnectionLostError, WireError
from migkit.harness.sides.visitors import Visitors
from migkit.units import format_size

__all__ = ["Door", "listen"]

_BACKLOG: Final = 512
_LEAST_S: Final = 2.0  # for anybody to say who it is: that takes a few round trips, and a thread that gets its turn

T = TypeVar("T")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens for the connections of one migration.

    Raises
    ------
    UsageError
        The port is in use, or the address is not one of this machine.
    """
    return _at(host, port, lambda: socket.create_server((host, port), backlog=_BACKLOG))


def _reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port and does not listen: nobody is given it who asks for any that is free."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        _at(host, port, lambda: sock.bind((host, port)))
    except UsageError:
        sock.close()
        raise
    return sock


def _at(host: str, port: int, do: Callable[[], T]) -> T:
    try:
        return do()
    except OSError as error:
        what = "is in use" if error.errno == 98 else f"cannot be listened on ({error.strerror or error})"
        raise UsageError(f"port: {port} on {host} {what}; choose another, or 0 for any that is free") from error


class Door:
    """Where the destination listens, while it expects somebody.

    Parameters
    ----------
    config
        ``host``, ``port`` (0: any), ``token``, ``memory_bytes``, ``identity``, ``patience_s``.
    owner
        Whatever it says while somebody is expected, or its end, means that nobody will come any more.

    Attributes
    ----------
    port
        On which it listens, every time.
    """

    def __init__(self, config: Mapping[str, Any], owner: Channel) -> None:
        self._config, self._owner = config, owner
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self._seconds = max(config["patience_s"], _LEAST_S)
        self._context = context_of(config["identity"], "destination")
        self.port = int(config["port"])

    @contextlib.contextmanager
    def open(self) -> Iterator[Self]:
        """Listen until all who are expected were let in, at most until the end of the block."""
        if self._reserved is None:
            self._reserved = _reserve(self._config["host"], self.port)
            self.port = int(self._reserved.getsockname()[1])
        with listen(self._config["host"], self.port) as listener:
            listener.setblocking(False)
            self._listener = listener
            yield self

    def expect(
        self, purpose: str, timeout_s: float | None = None, count: int = 1, main: Connection | None = None
    ) -> list[Connection]:
        """Return the ``count`` connections that come for ``purpose``, each within the time; None: without a limit.

        Strangers are told why they may not come in, and dropped. The door is closed before the last who is
        expected is told to come in. The time begins anew with each who is let in.

        Raises
        ------
        RunError
            The time is over, the owner says that nobody will come, or the ``main`` connection, which is silent
            while others join it, has ended.
        """
        admitted: list[Connection] = []
        with (
            Visitors(lambda sock: self._introduce(sock, purpose), self._seconds) as visitors,
            contextlib.ExitStack() as undo,
        ):
            while len(admitted) < count:
                end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
                while (connection := self._wait(visitors, end_s, main)) is None:
                    continue
                undo.callback(connection.close)
                admitted.append(connection)
                self._welcome(connection, last=len(admitted) == count)
            undo.pop_all()
        return admitted

    def _wait(self, visitors: Visitors, end_s: float, main: Connection | None) -> Connection | None:
        """Wait for the next thing that happens; return a connection when it is that one may come in."""
        assert self._listener is not None
        if (now_s := time.monotonic()) >= end_s:
            raise ConnectionLostError(f"connection: nobody came in time{self._last_turned_away(visitors)}")
        left_s = min(end_s, visitors.end_s(), visitors.room_s(now_s)) - now_s
        knocking = [self._listener] if visitors.has_room(now_s) else []
        listened: list[Any] = [*knocking, self._owner, *visitors.watched(), *([main] if main else [])]
        ready = select.select(listened, [], [], None if math.isinf(left_s) else max(left_s, 0.0))[0]
        if self._owner in ready:
            self._owner.receive()
            raise RunError(f"connection: nobody will come any more{self._last_turned_away(visitors)}")
        if main is not None and main in ready:
            main.receiver.receive(wire.JOIN)
            raise WireError("wire: a JOIN frame came while others are joining")
        if self._listener in ready:
            visitors.take_in(self._listener)
        return visitors.hear(ready)

    def _welcome(self, connection: Connection, *, last: bool) -> None:
        assert self._listener is not None
        if last:
            self._listener.close()
        connection.sender.message(wire.WELCOME)

    @staticmethod
    def _last_turned_away(visitors: Visitors) -> str:
        visitors.dismiss()
        return f"; the last who was turned away: {visitors.objection}" if visitors.objection else ""

    def _introduce(self, plain: socket.socket, purpose: str) -> Connection:
        """Return the connection of one who may come in, encrypted if it is to be; tell others why they may not.

        Raises
        ------
        RunError
            It may not come in.
        """
        plain.settimeout(self._seconds)
        with contextlib.ExitStack() as undo:
            undo.callback(plain.close)
            encrypted = secure(plain, self._config["identity"], "destination", self._context)
            undo.callback(encrypted.close)
            wire.set_patience(encrypted, self._seconds)
            connection = Connection(encrypted)
            self.admit(connection, purpose)
            wire.set_patience(encrypted, self._config["patience_s"])
            undo.pop_all()
        return connection

    def admit(self, connection: Connection, purpose: str) -> None:
        """Hear who it is; tell one who may not come in why not.

        Raises
        ------
        RunError
            It may not.
        """
        try:
            reason = self._objection(connection.receiver.receive(wire.HELLO).message, purpose)
        except WireError as error:
            connection.refuse(wire.ABORT, str(error))
            raise
        if reason:
            connection.refuse(wire.REFUSE, reason)
            raise RunError(f"migration refused: {reason}")

    def _objection(self, hello: Mapping[str, Any], purpose: str) -> str | None:
        if not hmac.compare_digest(
            str(hello.get("token", "")).encode(errors="backslashreplace"), self._config["token"].encode()
        ):
            return "the token is wrong; use the one that this destination was given"
        if hello.get("memory_bytes") != self._config["memory_bytes"]:
            return (
                f"the guest has {hello.get('memory_bytes')} B of memory, "
                f"this destination was prepared for {format_size(self._config['memory_bytes'])}"
            )
        said = hello.get("purpose", MIGRATION)
        if said != purpose:
            return f"a connection for {said!r} came where one for {purpose!r} was due"
        return None
