"""The shortcut of pages on demand, where connections are plain.

What :mod:`migkit.harness.protocol.demand` takes and sends counts here as what :class:`Receiver` and :class:`Sender`
take and send, and what it leaves is theirs.
"""

from __future__ import annotations

import ssl
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.harness.linux.userfaultfd import UFFDIO_COPY, Userfaultfd
from migkit.harness.protocol import demand, wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.frame import magic
from migkit.harness.protocol.wire import Sender
from migkit.units import PAGE_BYTES

__all__ = ["Answers", "Demands", "is_open"]

_DEMAND: Final = magic() | wire.DEMAND << 32
_PAGES: Final = magic() | wire.PAGES << 32
_PLACE_WORDS: Final = 5

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]


def is_open(connection: Connection) -> bool:
    """Say whether compiled code can read and write this connection."""
    return not isinstance(connection.socket, ssl.SSLSocket)


class Demands:
    """The destination's end: a demand goes, a page comes and is placed.

    Parameters
    ----------
    connection
        Of the demands.
    uffd
        Of the guest.
    address, pages
        Where its memory begins in its process, and how many there are.
    """

    def __init__(self, connection: Connection, uffd: Userfaultfd, address: int, pages: int) -> None:
        self._sender, self._receiver = connection.sender, connection.receiver
        self._descriptor, self._uffd = connection.fileno(), uffd.fileno()
        self._address, self._pages = address, pages
        self._place = np.zeros(_PLACE_WORDS, np.int64)

    def ask(self, page: int) -> None:
        """Demand a page."""
        sender = self._sender
        sender.resume(demand.ask(self._descriptor, sender.buffer, _DEMAND, sender.frames, page))

    def take(self) -> int:
        """Return the page that came; -1: what did is left to the receiver."""
        page = demand.take(
            self._descriptor,
            self._receiver.buffer,
            _PAGES,
            self._receiver.frames,
            self._pages,
            self._uffd,
            UFFDIO_COPY,
            self._place,
            self._address,
        )
        if page >= 0:
            self._receiver.count()
        return int(page)

    @property
    def placed(self) -> bool:
        """Whether the page that came is in its place."""
        return int(self._place[-1]) == PAGE_BYTES

    @property
    def body(self) -> int:
        """Where the page that came is in this process, until the next one."""
        return int(self._place[1])


class Answers:
    """The source's end: from a demand to the page.

    Parameters
    ----------
    demands
        Where they come.
    sender
        Of the pages.
    pages
        Memory, bitmap, holes, headers and tally, as :func:`migkit.harness.protocol.pages.select` takes them.
    """

    def __init__(self, demands: Connection, sender: Sender, pages: tuple[Words, Bytes, Bytes, Words, Words]) -> None:
        self._descriptor, self._receiver, self._sender = demands.fileno(), demands.receiver, sender
        self._pages = pages

    def answer(self) -> tuple[bool, int]:
        """Return whether a demand was taken, and the bytes of the answer; 0: what was selected is still to send."""
        taken, sent_bytes = demand.answer(
            self._descriptor,
            self._receiver.buffer,
            _DEMAND,
            self._receiver.frames,
            *self._pages,
            self._sender.fileno(),
            self._sender.buffer,
            _PAGES,
            self._sender.frames,
        )
        if taken:
            self._receiver.count()
        return bool(taken), self._sender.resume(sent_bytes) if sent_bytes else 0
