"""Receives frames and refuses what :mod:`migkit.harness.protocol.wire` does not allow."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.errors import RunError
from migkit.harness.protocol import pages, pieces
from migkit.harness.protocol.encoding.codec import by_code
from migkit.harness.protocol.frame import (
    CHUNK_PAGES,
    FRAME_BYTES,
    FRAME_PAGES,
    HEADER_WORDS,
    MAX_PAYLOAD_BYTES,
    SUM_BYTES,
    VERSION,
    Frame,
    WireError,
    long_runs,
    magic,
    tally,
)
from migkit.harness.protocol.kinds import ABORT, KINDS, PACKED, PAGES, REFUSE
from migkit.harness.protocol.transport import ConnectionLostError, lost
from migkit.units import PAGE_BYTES

__all__ = ["Receiver"]

_POLL_NS: Final = 100_000  # about what it takes to fall asleep and be woken, on a virtual machine
_TRIES: Final = 300  # of compiled code, for as long
_CHUNK_BYTES: Final = CHUNK_PAGES * PAGE_BYTES
_HEADER: Final = struct.Struct(f"<{HEADER_WORDS}q")
_MAGIC: Final = magic()

Words = npt.NDArray[np.int64]


class Receiver:
    """Receives frames and refuses what the protocol does not allow.

    Attributes
    ----------
    buffer
        Words of the last frame, from its header on.
    bytes
        Received so far, headers included.
    frames
        Received so far.
    memory
        RAM of a guest that does not run yet: full pages are put in place there as they come, before their
        checksum is known; so a guest is lost that was sent in a frame which proves to be altered, and it
        must not run. None: no page is put anywhere.
    """

    def __init__(self, sock: socket.socket, memory: Words | None = None) -> None:
        self._socket = sock
        self.memory = memory
        self.buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 2, np.int64)
        self._bytes = self.buffer.view(np.uint8).data
        self._head, self._payload = self._bytes[: _HEADER.size], self._bytes[_HEADER.size :]
        self._expanded: Words = np.zeros(MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._plain = not isinstance(sock, ssl.SSLSocket)
        self._flags = socket.MSG_WAITALL if self._plain else 0
        self._polls = self._plain and len(os.sched_getaffinity(0)) > 1
        self._tries = _TRIES if self._polls else 0
        self._progress = np.zeros(pieces.PROGRESS_WORDS, np.int64)
        self.frames = 0
        self.bytes = 0

    def receive(self, *kinds: int) -> Frame:
        """Return the next frame, which must be of one of ``kinds`` when any are given.

        Raises
        ------
        ConnectionLostError
            The other side is gone.
        WireError
            The frame is not allowed; the message says why.
        RunError
            The other side sent ``ABORT`` or ``REFUSE`` and it is not among ``kinds``; with its reason.
        """
        self._fill(self._head)
        kind, count, length_bytes = self._header()
        frame = self._read(kind, count, length_bytes)
        self.count()
        if kind == PACKED:
            frame = self._expand(frame)
        _expect(frame, kinds)
        return frame

    def count(self) -> None:
        """Count the frame whose header is in ``buffer``."""
        self.frames += 1
        self.bytes += FRAME_BYTES + int(self.buffer[HEADER_WORDS - 1])

    def _read(self, kind: int, count: int, length_bytes: int) -> Frame:
        """Return the frame whose header is in the buffer, when its checksum is right."""
        head = count if kind == PAGES else 0
        if 8 * head > length_bytes:
            raise WireError("wire: a PAGES frame holds fewer pages than it says")
        if length_bytes <= _CHUNK_BYTES and (self.memory is None or not head):
            return self._read_at_once(kind, count, head, length_bytes)
        self._fill(self._payload[: 8 * head])
        headers = self._words(0, 8 * head)
        sum_ = int(pages.frame_sum(self.buffer, head, 8 * head))
        placed_bytes = 0
        if (runs := self._runs(headers, length_bytes)).size:
            sum_ = self._receive_in_place(runs, sum_)
            placed_bytes = int(runs[1::2].sum()) * PAGE_BYTES
        length_bytes -= placed_bytes
        sum_, said = self._take(8 * head, length_bytes, sum_)
        self._check(kind, sum_, said)
        return Frame(kind, count, self._payload[:length_bytes], self._words(0, length_bytes), sum_, placed_bytes > 0)

    def _read_at_once(self, kind: int, count: int, head: int, length_bytes: int) -> Frame:
        """Return a short frame no page of which is put in place, its payload read and summed up in one go."""
        self._fill(self._payload[: length_bytes + SUM_BYTES])
        said = self._said(length_bytes)
        sum_ = int(pages.frame_sum(self.buffer, head, length_bytes))
        self._check(kind, sum_, said)
        return Frame(kind, count, self._payload[:length_bytes], self._words(0, length_bytes), sum_)

    def _check(self, kind: int, sum_: int, said: int) -> None:
        if sum_ != said:
            raise WireError(f"wire: the checksum of {KINDS[kind]} frame {self.frames} is wrong; data was altered")

    def _take(self, first: int, end: int, sum_: int) -> tuple[int, int]:
        """Read the payload between two bytes, a chunk at a time; return its checksum, and the one that follows it."""
        while end - first > _CHUNK_BYTES:
            self._fill(self._payload[first : first + _CHUNK_BYTES])
            sum_ = int(pages.checksum(self._words(first, first + _CHUNK_BYTES), sum_))
            first += _CHUNK_BYTES
        self._fill(self._payload[first : end + SUM_BYTES])
        said = self._said(end)
        return int(pages.checksum(self._words(first, end), sum_)), said

    def _said(self, end: int) -> int:
        """Return the checksum that follows the payload, and fill up the last word of that with zeros."""
        said = int.from_bytes(self._payload[end : end + SUM_BYTES], "little")
        self._payload[end : end + SUM_BYTES] = bytes(SUM_BYTES)
        return said

    def _words(self, first: int, end: int) -> Words:
        """Return the words that hold the payload between two bytes, the first of which begins a word."""
        return self.buffer[HEADER_WORDS + first // 8 : HEADER_WORDS + -(-end // 8)]

    def _runs(self, headers: Words, length_bytes: int) -> Words:
        """Return the runs of full pages that go to the memory at once; nothing when they are too scattered."""
        if self.memory is None or not headers.size:
            return headers[:0]
        full, _, _ = tally(headers, length_bytes, self.memory.size // pages.PAGE_WORDS)
        return long_runs(headers, full)

    def _receive_in_place(self, runs: Words, sum_: int) -> int:
        """Read full pages to where they belong; return the checksum."""
        assert self.memory is not None
        descriptor, progress = self._socket.fileno() if self._plain else -1, self._progress
        progress[:] = 0
        progress[pieces.SUM] = sum_
        while not pieces.receive(descriptor, self.memory, runs, CHUNK_PAGES, self._tries, progress):
            _, _, first, words, moved = progress.tolist()
            self._fill(self.memory.view(np.uint8).data[8 * first + moved : 8 * (first + words)])
            progress[pieces.MOVED] = 8 * words
        return int(progress[pieces.SUM])

    def _expand(self, frame: Frame) -> Frame:
        """Return the PAGES frame that a PACKED one holds; never more than its limits allow."""
        said = int(frame.words[0]) if len(frame.payload) > 8 else 0
        codec, size = by_code(said >> 32), said & 0xFFFFFFFF
        if codec is None or not 0 < size <= MAX_PAYLOAD_BYTES:
            raise WireError(f"wire: a PACKED frame of compressor {said >> 32} and {size} B is not known")
        try:
            data = codec.expand(frame.payload[8:], size)
        except ValueError as error:
            raise WireError(f"wire: a PACKED frame cannot be expanded ({error})") from error
        if len(data) != size:
            raise WireError(f"wire: a PACKED frame holds {len(data)} B, not the {size} B that it says")
        words = self._expanded[: -(-size // 8)]
        words[-1] = 0
        view = words.view(np.uint8).data[:size]
        view[:] = data
        return Frame(PAGES, frame.count, view, words, frame.checksum)

    def _header(self) -> tuple[int, int, int]:
        first, sequence, count, length_bytes = _HEADER.unpack(self._head)
        kind = first >> 32
        if (first ^ _MAGIC) & 0xFFFFFF:
            raise WireError("wire: this is no migkit migration; the other side speaks something else")
        if (first ^ _MAGIC) & 0xFFFFFFFF:
            raise WireError(
                f"wire: protocol version {first >> 24 & 0xFF}; this side speaks {VERSION}; use one release on both"
            )
        if kind not in KINDS:
            raise WireError(f"wire: frame kind {kind} is not known")
        if sequence != self.frames:
            raise WireError(f"wire: frame {sequence} came where {self.frames} was due")
        if not (0 <= length_bytes <= MAX_PAYLOAD_BYTES and 0 <= count <= FRAME_PAGES):
            raise WireError(f"wire: a frame of {length_bytes} B and {count} pages is too long")
        return kind, count, length_bytes

    def _fill(self, target: memoryview) -> None:
        """Read exactly as many bytes as it takes."""
        while target:
            try:
                got = self._poll(target) if self._polls else None
                if got is None:
                    got = self._socket.recv_into(target, len(target), self._flags)
            except OSError as error:
                raise lost("receiving", error) from error
            if not got:
                raise ConnectionLostError("connection: closed by the other side")
            target = target[got:]

    def _poll(self, target: memoryview) -> int | None:
        """Read what is there, or comes before one would have slept and woken; return how much, None: nothing came."""
        end_ns = time.monotonic_ns() + _POLL_NS
        while True:
            try:
                return self._socket.recv_into(target, len(target), socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.monotonic_ns() >= end_ns:
                    return None


def _expect(frame: Frame, kinds: tuple[int, ...]) -> None:
    if not kinds or frame.kind in kinds:
        return
    if frame.kind in (ABORT, REFUSE):
        raise RunError(f"the other side gave up: {frame.message.get('reason', 'no reason given')}")
    raise WireError(f"wire: a {KINDS[frame.kind]} frame came where {' or '.join(KINDS[k] for k in kinds)} was due")
