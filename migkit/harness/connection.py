"""The connections of one migration: dialled by the source, admitted by the destination, each for one purpose."""

from __future__ import annotations

import contextlib
import hmac
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from migkit.errors import RunError, UsageError
from migkit.harness import wire
from migkit.harness.codec import Codec
from migkit.harness.identity import secure
from migkit.harness.wire import Receiver, Sender, WireError
from migkit.units import format_size

__all__ = ["DEMANDS", "MIGRATION", "RECOVERY", "STREAM", "Connection", "Door", "dial", "listen"]

MIGRATION: Final = "migration"
DEMANDS: Final = "demands"
RECOVERY: Final = "recovery"
STREAM: Final = "stream"
_BACKLOG: Final = 8
_STRANGER_S: Final = 2.0  # for whoever comes while another is expected to say who it is


class Connection:
    """One connection and its two directions.

    Attributes
    ----------
    socket
        Plain or encrypted.
    sender, receiver
        Of frames.
    """

    def __init__(self, sock: socket.socket, codec: Codec | None = None, version: int = wire.VERSION) -> None:
        self.socket = sock
        self.sender = Sender(sock, codec, version)
        self.receiver = Receiver(sock)

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self.socket.fileno()

    def cut(self) -> None:
        """End it for whoever waits on it, in another thread and at the other side."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def refuse(self, kind: int, reason: str) -> None:
        """Say why nothing comes of it, let the other side read that, and close it."""
        with contextlib.suppress(wire.ConnectionLostError):
            self.sender.message(kind, {"reason": reason})
            wire.part(self.socket)
        self.close()

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self.socket.close()


def dial(
    config: Mapping[str, Any], purpose: str, memory_bytes: int, codec: Codec | None, timeout_s: float
) -> Connection:
    """Connect to the destination, and return once it said welcome.

    Parameters
    ----------
    config
        ``host``, ``port``, ``token``, ``identity``, ``patience_s`` and the protocol ``version`` to speak.
    purpose
        What the connection is for.
    memory_bytes
        Of the guest [B].
    codec
        What compresses pages; None: nothing.
    timeout_s
        For the connection to be accepted [s].

    Raises
    ------
    RunError
        Nobody listens there, or it does not want us; with its reason.
    """
    address = (config["host"], config["port"])
    try:
        plain = socket.create_connection(address, timeout=timeout_s)
    except OSError as error:
        raise RunError(f"connection to {address[0]}:{address[1]}: {error.strerror or error}") from error
    plain.settimeout(config["patience_s"])
    with contextlib.ExitStack() as undo:
        undo.callback(plain.close)
        encrypted = secure(plain, config["identity"], "source")
        undo.callback(encrypted.close)
        wire.set_patience(encrypted, config["patience_s"])
        connection = Connection(encrypted, codec, config["version"])
        hello = {"token": config["token"], "purpose": purpose, "memory_bytes": memory_bytes}
        connection.sender.message(wire.HELLO, hello)
        connection.receiver.receive(wire.WELCOME)
        undo.pop_all()
    return connection


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens for the connections of one migration.

    Raises
    ------
    UsageError
        The port is in use, or the address is not one of this machine.
    """
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        what = "is in use" if error.errno == 98 else f"cannot be listened on ({error.strerror or error})"
        raise UsageError(f"port: {port} on {host} {what}; choose another, or 0 for any that is free") from error


class Door:
    """Where the destination listens, while it expects somebody: it lets in the one source that knows the token.

    Parameters
    ----------
    config
        ``host``, ``port`` (0: any), ``token``, ``memory_bytes``, ``identity``, ``patience_s``.

    Attributes
    ----------
    port
        On which it listens, every time.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._listener: socket.socket | None = None
        self.port = int(config["port"])

    @contextlib.contextmanager
    def open(self) -> Iterator[Self]:
        """Listen until the right one was let in, at most until the end of the block."""
        with listen(self._config["host"], self.port) as listener:
            self._listener = listener
            self.port = int(listener.getsockname()[1])
            yield self

    def fileno(self) -> int:
        """Return the descriptor, for ``select``; readable when somebody knocks."""
        assert self._listener is not None
        return self._listener.fileno()

    def answer(self, timeout_s: float | None = None, handshake_s: float | None = None) -> socket.socket:
        """Return the connection of who comes first, encrypted if it is to be.

        Raises
        ------
        RunError
            It cannot show the certificate that it must have, or nobody came in time.
        """
        patience_s = self._config["patience_s"]
        assert self._listener is not None
        self._listener.settimeout(timeout_s)
        try:
            plain, _ = self._listener.accept()
        except (TimeoutError, BlockingIOError) as error:
            raise wire.ConnectionLostError("connection: nobody came in time") from error
        plain.settimeout(handshake_s or patience_s)
        with contextlib.ExitStack() as undo:
            undo.callback(plain.close)
            connection = secure(plain, self._config["identity"], "destination")
            undo.pop_all()
        wire.set_patience(connection, handshake_s or patience_s)
        return connection

    def greet(self, sock: socket.socket, purpose: str, *, others: bool = False) -> Connection:
        """Let in who is expected, and listen no more unless ``others`` are; turn away anybody else with the reason.

        Raises
        ------
        RunError
            It may not come in.
        """
        connection = Connection(sock)
        try:
            reason = self._objection(connection.receiver.receive(wire.HELLO).message, purpose)
        except WireError as error:
            connection.refuse(wire.ABORT, str(error))
            raise
        if reason:
            connection.refuse(wire.REFUSE, reason)
            raise RunError(f"migration refused: {reason}")
        if self._listener is not None and not others:
            self._listener.close()
        connection.sender.message(wire.WELCOME)
        return connection

    def expect(self, purpose: str, timeout_s: float, *, others: bool = False) -> Connection:
        """Return the connection that comes for ``purpose`` within the time; strangers are turned away.

        ``others``: listen on, since more are expected.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            sock = None
            try:
                sock = self.answer(max(end_s - time.monotonic(), 0.0), min(_STRANGER_S, timeout_s))
                connection = self.greet(sock, purpose, others=others)
            except RunError:
                if sock is not None:
                    sock.close()
                if time.monotonic() >= end_s:
                    raise
                continue
            wire.set_patience(connection.socket, self._config["patience_s"])
            return connection

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
