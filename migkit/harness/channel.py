"""Messages with descriptors between the processes of one host, over a Unix socket pair."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Sequence
from typing import Any, Self

from migkit.errors import RunError

__all__ = ["Channel", "ClosedError"]

_MESSAGE_BYTES = 1 << 18
_DESCRIPTORS = 8


class ClosedError(RunError):
    """The process at the other end is gone."""


class Channel:
    """One end of a pair of sockets that keep message boundaries.

    Examples
    --------
    >>> left, right = Channel.pair()
    >>> left.send({"do": "report"})
    >>> right.receive()
    {'do': 'report'}
    >>> left.close(), right.close()
    (None, None)
    """

    def __init__(self, sock: socket.socket, peer: str = "process") -> None:
        self._socket = sock
        self._peer = peer

    @classmethod
    def pair(cls, left_peer: str = "process", right_peer: str = "process") -> tuple[Self, Self]:
        """Return two ends, each with the name of the process at its other end."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(left, left_peer), cls(right, right_peer)

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message; the descriptors arrive as copies."""
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ClosedError(f"{self._peer}: it ended before it could be asked") from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the next message; descriptors that come with it are closed."""
        message, descriptors = self.receive_with_descriptors(timeout_s)
        for descriptor in descriptors:
            os.close(descriptor)
        return message

    def receive_with_descriptors(self, timeout_s: float | None = None) -> tuple[dict[str, Any], list[int]]:
        """Return the next message and the descriptors that came with it.

        Raises
        ------
        ClosedError
            The other end is gone.
        RunError
            Nothing came within ``timeout_s``.
        """
        if not self.ready(timeout_s):
            raise RunError(f"{self._peer}: no answer within {timeout_s:g} s; is it stopped or overloaded?")
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, _DESCRIPTORS)
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            raise ClosedError(f"{self._peer}: it ended unexpectedly")
        message: dict[str, Any] = json.loads(data)
        return message, descriptors

    def ready(self, timeout_s: float | None = 0.0) -> bool:
        """Say whether a message, or the end, can be read within ``timeout_s``; None: wait for ever."""
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def ask(self, message: dict[str, Any], timeout_s: float | None = 30.0) -> dict[str, Any]:
        """Send a request and return its answer; an answer that says ``error`` is raised."""
        self.send(message)
        answer = self.receive(timeout_s)
        if "error" in answer:
            raise RunError(f"{self._peer}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        self._socket.close()

    def detach(self) -> int:
        """Return the descriptor and give up its ownership."""
        return self._socket.detach()
