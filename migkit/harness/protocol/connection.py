"""The connections of one migration: dialled by the source, each for one purpose."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from migkit.errors import RunError
from migkit.harness.protocol import wire
from migkit.harness.protocol.encoding.codec import Codec
from migkit.harness.protocol.identity import secure
from migkit.harness.protocol.wire import ConnectionLostError, Receiver, Sender

__all__ = ["DEMANDS", "MIGRATION", "RECOVERY", "STREAM", "Connection", "dial"]

MIGRATION: Final = "migration"
DEMANDS: Final = "demands"
RECOVERY: Final = "recovery"
STREAM: Final = "stream"
_CROWD_S: Final = 20.0  # at least, that a source waits for its turn among strangers, or tries when it was dropped
_PAUSE_S: Final = 0.1


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

    Notes
    -----
    A destination that is crowded by strangers drops the oldest who has not said who it is. That may be
    this source, so a connection that is closed without a word is tried again for a while.
    """
    end_s = time.monotonic() + _turn_s(config)
    while True:
        try:
            return _dial_once(config, purpose, memory_bytes, codec, timeout_s)
        except ConnectionLostError:
            if time.monotonic() >= end_s:
                raise
        time.sleep(_PAUSE_S)


def _turn_s(config: Mapping[str, Any]) -> float:
    """Return how long a source waits for its turn [s]: longer than anybody may stay who has not said who it is."""
    return max(float(config["patience_s"]), min(_CROWD_S, float(config.get("recovery_s", _CROWD_S))))


def _dial_once(
    config: Mapping[str, Any], purpose: str, memory_bytes: int, codec: Codec | None, timeout_s: float
) -> Connection:
    address = (config["host"], config["port"])
    try:
        plain = socket.create_connection(address, timeout=timeout_s)
    except OSError as error:
        raise RunError(f"connection to {address[0]}:{address[1]}: {error.strerror or error}") from error
    turn_s = _turn_s(config)
    plain.settimeout(turn_s)
    with contextlib.ExitStack() as undo:
        undo.callback(plain.close)
        encrypted = secure(plain, config["identity"], "source")
        undo.callback(encrypted.close)
        wire.set_patience(encrypted, turn_s)
        connection = Connection(encrypted, codec, config["version"])
        hello = {"token": config["token"], "purpose": purpose, "memory_bytes": memory_bytes}
        connection.sender.message(wire.HELLO, hello)
        connection.receiver.receive(wire.WELCOME)
        wire.set_patience(encrypted, config["patience_s"])
        undo.pop_all()
    return connection
