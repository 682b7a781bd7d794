"""Faults on purpose: what breaks in a migration, and at which byte.

Most strike on the path, which is then a relay of its own process (:mod:`migkit.harness.paths.relay`): when so
many bytes have passed in one direction, it cuts the connections, holds them, alters or swaps bytes, or has
its owner kill or stop a side. Others make the source an impostor from the start.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from migkit.errors import UsageError

__all__ = ["IMPOSTORS", "KINDS", "Fault", "alter"]

IMPOSTORS: Final = ("wrong-token", "wrong-certificate", "wrong-version")
KINDS: Final = (
    "cut",
    "stall",
    "corrupt",
    "reorder",
    "kill-source",
    "kill-destination",
    "kill-both",
    "stop-source",
    "stop-destination",
    *IMPOSTORS,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind
        One of :data:`KINDS`; ``stop`` is SIGSTOP, ``stall`` holds the path for ``duration_s``, ``reorder``
        swaps two neighbouring blocks; those of :data:`IMPOSTORS` are there from the start.
    at_bytes
        Happens before this byte of its direction passes.
    back
        The direction is that from destination to source.
    duration_s
        Of a stall, or until a stopped side is continued [s].
    """

    kind: str
    at_bytes: int = 0
    back: bool = False
    duration_s: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"fault: {self.kind!r} is not known; use one of {', '.join(KINDS)}")


def alter(fault: Fault, data: bytes) -> bytes:
    """Return what passes instead of ``data`` when ``fault`` strikes before its first byte.

    Examples
    --------
    >>> alter(Fault(kind="reorder"), b"abcde"), alter(Fault(kind="corrupt", at_bytes=1), b"abc")
    (b'cdabe', b'cbc')
    """
    if fault.kind == "corrupt":
        return bytes([data[0] ^ 1 << fault.at_bytes % 8]) + data[1:]
    if fault.kind == "reorder":
        half = len(data) // 2
        return data[half : 2 * half] + data[:half] + data[2 * half :]
    return data
