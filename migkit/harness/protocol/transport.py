"""What a connection needs beside frames: limits on silence, an orderly end, one error for its loss."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from typing import Final

from migkit.errors import RunError

__all__ = ["ConnectionLostError", "lost", "part", "set_patience"]

_PART_S: Final = 2.0
_PART_BYTES: Final = 1 << 20


class ConnectionLostError(RunError):
    """The other side closed the connection, or it broke."""


def set_patience(connection: socket.socket, patience_s: float) -> None:
    """Have sending and receiving fail when nothing moves for ``patience_s``."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(patience_s)
        return
    connection.settimeout(None)  # waits in the kernel, so that MSG_WAITALL has an effect
    seconds = int(patience_s)
    limit = struct.pack("@ll", seconds, round((patience_s - seconds) * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def part(connection: socket.socket) -> None:
    """Say nothing more, and let the other side read what was said last before the connection is closed.

    Closing it over data that nobody read would reset it, and the other side would miss the reason.
    """
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_PART_S)
        end_s = time.monotonic() + _PART_S
        while time.monotonic() < end_s and connection.recv(_PART_BYTES):
            continue


def lost(doing: str, error: OSError) -> ConnectionLostError:
    """Return the error that tells what the kernel said when a connection broke."""
    why = (
        "nothing moved for too long"
        if isinstance(error, BlockingIOError | TimeoutError)
        else error.strerror or str(error)
    )
    return ConnectionLostError(f"connection: lost while {doing} ({why})")
