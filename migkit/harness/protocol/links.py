"""The source's connections to the destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection, dial
from migkit.harness.protocol.encoding.codec import Codec
from migkit.harness.protocol.encoding.differences import Differences

__all__ = ["Links"]

_ANSWER_S: Final = 60.0


class Links:
    """All connections of one migration, as the source makes them.

    Parameters
    ----------
    config
        As :func:`migkit.harness.protocol.connection.dial` takes it.
    memory_bytes
        Of the guest [B].
    codec
        What compresses pages; None: nothing.
    """

    def __init__(self, config: Mapping[str, Any], memory_bytes: int, codec: Codec | None) -> None:
        self._config, self._memory_bytes, self._codec = config, memory_bytes, codec
        self._made: list[Connection] = []

    @property
    def sent_bytes(self) -> int:
        """What was sent over all of them [B]."""
        return sum(connection.sender.bytes for connection in self._made)

    def dial(self, purpose: str) -> Connection:
        """Return a new connection."""
        connection = dial(self._config, purpose, self._memory_bytes, self._codec, _ANSWER_S)
        self._made.append(connection)
        return connection

    def join(self, main: Connection, purpose: str, count: int = 1) -> list[Connection]:
        """Return further connections, which the destination lets in when it is asked over the first one."""
        main.sender.message(wire.JOIN, {"purpose": purpose, "count": count})
        main.receiver.receive(wire.JOIN)
        return [self.dial(purpose) for _ in range(count)]

    def close(self) -> None:
        """Close all of them."""
        for connection in self._made:
            connection.close()

    def remember(self, differences: Differences) -> None:
        """Have all of them send pages as differences."""
        for connection in self._made:
            connection.sender.differences = differences
