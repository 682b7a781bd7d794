"""Page frames side by side over several connections.

The source spreads frames over its streams, one thread each; the destination has one thread for each
as well. ``FLUSH`` ends a round on every stream, and nobody goes on before all have come so far: an
older copy of a page can never overwrite a newer one, and a difference meets the page that it was
taken against.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import Connection
from migkit.harness.protocol.wire import ConnectionLostError, Frame, Sender

__all__ = ["Intake", "Streams", "frame_pages"]

_LEAST_PAGES: Final = 16

Job = Callable[[], int]
Words = npt.NDArray[np.int64]


def frame_pages(streams: int) -> int:
    """Return the pages of a frame: less for many streams, so that all have work and their buffers stay small.

    Examples
    --------
    >>> [frame_pages(streams) for streams in (1, 4, 256)]
    [512, 128, 16]
    """
    return max(_LEAST_PAGES, wire.FRAME_PAGES // streams)


class _Lane:
    """One stream of the source and its thread, which has one frame at a time."""

    def __init__(self, connection: Connection, idle: queue.SimpleQueue[_Lane]) -> None:
        self.connection = connection
        self.pending_bytes = 0
        self.failure: Exception | None = None
        self._idle = idle
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="stream", daemon=True)
        self._thread.start()

    def give(self, job: Job | None, length_bytes: int = 0) -> None:
        """Have the thread do this; None: end."""
        self.pending_bytes = length_bytes
        self._jobs.put(job)

    def _work(self) -> None:
        self._idle.put(self)
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - raised by whoever uses the lane next
                self.failure = error
            self.pending_bytes = 0
            self._idle.put(self)

    def close(self) -> None:
        """End the thread, whatever it waits for."""
        self.connection.cut()
        self.give(None)
        self._thread.join()
        self.connection.close()


class Streams:
    """The source's side; without streams, frames go over the first connection.

    Parameters
    ----------
    main
        Of the first connection.

    Attributes
    ----------
    frame_pages
        What a frame holds.
    """

    def __init__(self, main: Sender) -> None:
        self._main = main
        self._idle: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        self._lanes: list[_Lane] = []
        self.frame_pages = wire.FRAME_PAGES

    def spread(self, connections: Sequence[Connection]) -> None:
        """Use these from now on, each with a thread of its own."""
        self._lanes = [_Lane(connection, self._idle) for connection in connections]
        self.frame_pages = frame_pages(len(connections))

    @property
    def pending_bytes(self) -> int:
        """What was taken and may not be sent yet; before compression [B]."""
        return sum(lane.pending_bytes for lane in self._lanes)

    @property
    def checksum(self) -> int:
        """Of all frames of pages sent so far, see :attr:`migkit.harness.protocol.sender.Sender.checksum`."""
        senders = [self._main, *(lane.connection.sender for lane in self._lanes)]
        return sum(sender.checksum for sender in senders) & page_loops.CHECKSUM_MASK

    def pages(self, memory: Words, headers: Words, full: int, zero: int, *, still: bool = False) -> None:
        """Send pages over the next stream that is free, as :meth:`migkit.harness.protocol.wire.Sender.pages` does.

        Raises
        ------
        ConnectionLostError
            A stream broke.
        Exception
            Whatever else ended an earlier frame.
        """
        if not self._lanes:
            self._main.pages(memory, headers, full, zero, still=still)
            return
        lane, taken = self._free(), headers[: full + zero].copy()
        length_bytes = wire.FRAME_BYTES + full * page_loops.FULL_BYTES + zero * page_loops.ZERO_BYTES
        lane.give(lambda: lane.connection.sender.pages(memory, taken, full, zero, still=still), length_bytes)

    def drain(self) -> None:
        """Wait until all that was taken is sent."""
        lanes = [self._free() for _ in self._lanes]
        for lane in lanes:
            self._idle.put(lane)

    def flush(self) -> None:
        """End a round: the destination takes nothing that is sent later before it has all of this."""
        self.drain()
        for lane in self._lanes:
            lane.connection.sender.message(wire.FLUSH)

    def close(self) -> None:
        """End all threads and connections."""
        for lane in self._lanes:
            lane.close()

    def _free(self) -> _Lane:
        lane = self._idle.get()
        if lane.failure is not None:
            self._idle.put(lane)
            raise lane.failure
        return lane


class Intake:
    """The destination's side.

    Parameters
    ----------
    connections
        One for each stream.
    main
        Of the migration; it is ended for reading when a stream fails, so that nobody waits on it.
    place
        What is done with a ``PAGES`` frame, in the thread of its stream.
    patience_s
        All streams must have ended a round within this time [s].

    Attributes
    ----------
    failure
        Why a stream ended before its time.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        main: Connection,
        place: Callable[[Frame], None],
        patience_s: float,
    ) -> None:
        self._connections, self._main, self._place, self._patience_s = connections, main, place, patience_s
        self._meeting = threading.Barrier(len(connections) + 1)
        self._over = False
        self.failure: Exception | None = None
        self._threads = [threading.Thread(target=self._work, args=(each,), daemon=True) for each in connections]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def complete(self, *, last: bool = False) -> Iterator[None]:
        """Enter when all streams have ended the round; they go on afterwards, unless it was the ``last``.

        Raises
        ------
        RunError
            A stream failed, or is late.
        Exception
            Whatever else ended a stream.
        """
        self._meet()
        yield
        self._over = last
        self._meet()

    def close(self) -> None:
        """End all threads and connections."""
        self._over = True
        self._meeting.abort()
        for connection, thread in zip(self._connections, self._threads, strict=True):
            connection.cut()
            thread.join()
            connection.close()

    def _meet(self) -> None:
        try:
            self._meeting.wait(self._patience_s)
        except threading.BrokenBarrierError as error:
            late = ConnectionLostError("connection: a stream did not end its round in time")
            raise self.failure or late from error

    def _work(self, connection: Connection) -> None:
        try:
            while not self._over:
                frame = connection.receiver.receive(wire.PAGES, wire.FLUSH)
                if frame.kind == wire.PAGES:
                    self._place(frame)
                else:
                    self._meeting.wait()
                    self._meeting.wait()
        except threading.BrokenBarrierError:
            return
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for the round
            if not self._over:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self._meeting.abort()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._main.socket, socket.SHUT_RD)
