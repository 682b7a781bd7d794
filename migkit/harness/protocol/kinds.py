"""The kinds of frames; what each is for, :mod:`migkit.harness.protocol.wire` says."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABORT",
    "ABSENT",
    "COMMIT",
    "COMPLETE",
    "CONFIRM",
    "DEMAND",
    "FLUSH",
    "HELLO",
    "JOIN",
    "KINDS",
    "PACKED",
    "PAGES",
    "PREPARE",
    "PREPARED",
    "REFUSE",
    "ROUND",
    "STATE",
    "WELCOME",
]

HELLO: Final = 1
WELCOME: Final = 2
REFUSE: Final = 3
PAGES: Final = 4
ROUND: Final = 5
STATE: Final = 6
PREPARE: Final = 7
PREPARED: Final = 8
COMMIT: Final = 9
CONFIRM: Final = 10
ABORT: Final = 11
ABSENT: Final = 12
DEMAND: Final = 13
COMPLETE: Final = 14
PACKED: Final = 15
JOIN: Final = 16
FLUSH: Final = 17

KINDS: Final = {value: name for name, value in sorted(globals().items()) if name.isupper()}
