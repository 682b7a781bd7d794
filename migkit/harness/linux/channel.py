"""Messages with descriptors between the processes of one host, over a Unix socket pair."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from migkit.errors import RunError

__all__ = ["Channel", "ClosedError", "DescriptorsError"]

_MESSAGE_BYTES: Final = 1 << 18
_DESCRIPTORS: Final = 8
_STEP_S: Final = 3.0  # a process may be stopped for less without being given up


class ClosedError(RunError):
    """The process at the other end is gone."""


class DescriptorsError(RunError):
    """A message came, and its descriptors did not, since this process may hold no more.

    Attributes
    ----------
    message
        What came.
    """

    def __init__(self, text: str, message: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.message = message or {}


class Channel:
    """One end of a pair of sockets that keep message boundaries.

    Attributes
    ----------
    is_stopped
        Says whether the process at the other end is stopped, for whoever knows that process; nobody waits
        long for an answer of one that is.

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
        self._asked = 0
        self.is_stopped: Callable[[], bool] = lambda: False

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
        except OSError as error:
            raise self._unsent(error) from error

    def offer(self, message: dict[str, Any]) -> None:
        """Send one message unless the other end has many unread: it can do without this one."""
        try:
            self._socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._unsent(error) from error

    def _unsent(self, error: OSError) -> RunError:
        if isinstance(error, BrokenPipeError | ConnectionResetError):
            return ClosedError(f"{self._peer}: it ended before it could be asked")
        return RunError(f"{self._peer}: it cannot be asked ({error.strerror or error})")

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
        DescriptorsError
            This process may not hold as many.
        RunError
            Nothing came within ``timeout_s``, or the process at the other end is stopped.
        """
        self._await(timeout_s)
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, _DESCRIPTORS)
        except ConnectionResetError:
            data, descriptors, flags = b"", [], 0
        if not data:
            raise ClosedError(f"{self._peer}: it ended unexpectedly")
        message: dict[str, Any] = json.loads(data)
        if flags & socket.MSG_CTRUNC:
            for descriptor in descriptors:
                os.close(descriptor)
            raise DescriptorsError(
                f"{self._peer}: it gave more descriptors than may be open here; raise the limit (ulimit -n)", message
            )
        return message, descriptors

    def _await(self, timeout_s: float | None) -> None:
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _STEP_S if end_s is None else min(max(end_s - time.monotonic(), 0.0), _STEP_S)
            if self.ready(left_s):
                return
            if self.is_stopped():
                raise RunError(f"{self._peer}: its process is stopped; continue it (kill -CONT)")
            if end_s is not None and time.monotonic() >= end_s:
                raise RunError(f"{self._peer}: no answer within {timeout_s:g} s; is it stopped or overloaded?")

    def ready(self, timeout_s: float | None = 0.0) -> bool:
        """Say whether a message, or the end, can be read within ``timeout_s``; None: wait for ever."""
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def ask(self, message: dict[str, Any], timeout_s: float | None = 30.0) -> dict[str, Any]:
        """Send a request and return its answer; an answer that says ``error`` is raised.

        The answer to an earlier request, which came too late for that, is passed over.
        """
        self._asked += 1
        self.send(message | {"number": self._asked})
        while (answer := self.receive(timeout_s)).get("number") != self._asked:
            continue
        if "error" in answer:
            raise RunError(f"{self._peer}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        self._socket.close()

    def detach(self) -> int:
        """Return the descriptor and give up its ownership."""
        return self._socket.detach()
