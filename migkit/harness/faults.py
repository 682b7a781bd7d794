"""Faults on purpose: a relay between source and destination that breaks things at a given byte.

The relay stands in the path as a process of its own. When so many bytes have passed in one
direction, it cuts the connection, stalls it, alters a byte, or has its owner kill or stop a side.
"""

from __future__ import annotations

import dataclasses
import select
import socket
from collections.abc import Mapping
from typing import Any, Final

from migkit.errors import UsageError
from migkit.harness.channel import Channel

__all__ = ["KINDS", "Fault", "main"]

KINDS: Final = (
    "cut",
    "stall",
    "corrupt",
    "kill-source",
    "kill-destination",
    "stop-source",
    "stop-destination",
)
_CHUNK_BYTES: Final = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind
        One of :data:`KINDS`; ``stop`` is SIGSTOP, ``stall`` holds the path for ``duration_s``.
    at_bytes
        Happens before this byte of its direction passes.
    back
        The direction is that from destination to source.
    duration_s
        Of a stall, or until a stopped side is continued [s].
    """

    kind: str
    at_bytes: int
    back: bool = False
    duration_s: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"fault: {self.kind!r} is not known; use one of {', '.join(KINDS)}")


class _Cut(Exception):  # noqa: N818
    """The connection is to be cut."""


class _Relay:
    """Both directions of one connection, and the faults that are still to come in each."""

    def __init__(
        self, owner: Channel, source: socket.socket, destination: socket.socket, faults: list[Fault]
    ) -> None:
        self._owner = owner
        self._to = {source: destination, destination: source}
        self._back = destination
        self._passed = {source: 0, destination: 0}
        self._faults = sorted(faults, key=lambda fault: fault.at_bytes)

    def run(self) -> None:
        """Pass on what comes, until either side ends."""
        while True:
            for end in select.select(list(self._to), [], [])[0]:
                try:
                    data = bytearray(end.recv(_CHUNK_BYTES))
                    if not data:
                        return
                    self._pass_on(end, data)
                except (_Cut, OSError):
                    return

    def _pass_on(self, end: socket.socket, data: bytearray) -> None:
        for fault in [fault for fault in self._faults if fault.back == (end is self._back)]:
            at = fault.at_bytes - self._passed[end]
            if at < len(data):
                self._faults.remove(fault)
                self._to[end].sendall(data[: max(at, 0)])
                self._passed[end] += max(at, 0)
                del data[: max(at, 0)]
                self._strike(fault, data)
        self._to[end].sendall(data)
        self._passed[end] += len(data)

    def _strike(self, fault: Fault, data: bytearray) -> None:
        if fault.kind == "cut":
            raise _Cut
        if fault.kind == "corrupt":
            data[0] ^= 1 << fault.at_bytes % 8
        elif fault.kind == "stall":
            self._owner.ready(fault.duration_s)
        else:
            self._owner.send({"fault": fault.kind, "duration_s": fault.duration_s})
            self._owner.receive()


def main(config: Mapping[str, Any], owner: Channel) -> None:
    """Be a relay process.

    Parameters
    ----------
    config
        ``host``, ``port`` of the destination, and ``faults`` (records).
    owner
        Hears ``listening`` (the port), and ``fault`` when it is to kill or stop a side; answers when done.
    """
    with socket.create_server((config["host"], 0), backlog=1) as listener:
        owner.send({"listening": listener.getsockname()[1]})
        source, _ = listener.accept()
    with source, socket.create_connection((config["host"], config["port"])) as destination:
        for end in (source, destination):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _Relay(owner, source, destination, [Fault(**fault) for fault in config["faults"]]).run()
