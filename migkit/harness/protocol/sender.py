"""Sends frames, as :mod:`migkit.harness.protocol.wire` describes them."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.harness.protocol import pages, pieces
from migkit.harness.protocol.encoding.codec import Codec
from migkit.harness.protocol.encoding.differences import Differences
from migkit.harness.protocol.frame import (
    CHUNK_PAGES,
    FRAME_BYTES,
    FRAME_PAGES,
    HEADER_WORDS,
    MAX_PAYLOAD_BYTES,
    SUM_BYTES,
    VERSION,
    long_runs,
    magic,
)
from migkit.harness.protocol.kinds import ABSENT, PACKED, PAGES
from migkit.harness.protocol.transport import lost

__all__ = ["Sender"]

_HEADER: Final = struct.Struct(f"<{HEADER_WORDS}q")
_RANGES_PER_FRAME: Final = 4096
_STILL_CHUNK_PAGES: Final = 128  # what is not copied takes half the room in a near cache
_FEW_PAGES: Final = 16  # up to which a frame is copied together and sent at once: calls would take longer

Words = npt.NDArray[np.int64]
_NO_RUNS: Final[Words] = np.zeros(0, np.int64)


class Sender:
    """Sends frames; what must be copied for that is copied to its buffer.

    Attributes
    ----------
    buffer
        Words of a frame, from its header on.
    bytes
        Sent so far, headers included.
    frames
        Sent so far.
    checksum
        Sum of the checksums of all frames of pages, modulo 2^61.
    differences
        What was sent of pages, to send only what changed in them; None: whole pages.
    """

    def __init__(self, sock: socket.socket, codec: Codec | None = None, version: int = VERSION) -> None:
        self._socket = sock
        self._codec = codec
        self._magic = magic(version)
        self.buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 2, np.int64)
        self._bytes = self.buffer.view(np.uint8).data
        self._payload = self.buffer[HEADER_WORDS:]
        self._plain = not isinstance(sock, ssl.SSLSocket)
        self._more = socket.MSG_MORE if self._plain else 0
        self._chunk = self._payload[FRAME_PAGES : FRAME_PAGES + CHUNK_PAGES * pages.PAGE_WORDS]
        self._progress = np.zeros(pieces.PROGRESS_WORDS, np.int64)
        self.bytes = 0
        self.frames = 0
        self.checksum = 0
        self.differences: Differences | None = None

    def message(self, kind: int, message: dict[str, Any] | None = None) -> None:
        """Send a control frame."""
        self.blob(kind, json.dumps(message or {}).encode())

    def blob(self, kind: int, data: bytes) -> None:
        """Send a frame with these bytes."""
        self._fill(0, data)
        self._send(kind, 0, len(data))

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._socket.fileno()

    @property
    def packs(self) -> bool:
        """Whether pages may be sent as something else than they are."""
        return self._codec is not None or self.differences is not None

    def resume(self, sent_bytes: int) -> int:
        """Send what is left of the frame of whole words that is complete in ``buffer``; return the bytes of it."""
        kind, length_bytes = int(self.buffer[0]) >> 32, int(self.buffer[HEADER_WORDS - 1])
        if sent_bytes < FRAME_BYTES + length_bytes:
            self._write(self._bytes[sent_bytes : FRAME_BYTES + length_bytes])
        return self._count(kind, length_bytes, int(self.buffer[HEADER_WORDS + length_bytes // 8]))

    def absent(self, bitmap: np.ndarray) -> None:
        """Send which pages are absent where, one byte a page."""
        edges = np.flatnonzero(np.diff(bitmap.astype(np.int8), prepend=0, append=0)).astype(np.int64)
        for first in range(0, edges.size, 2 * _RANGES_PER_FRAME):
            self.blob(ABSENT, edges[first : first + 2 * _RANGES_PER_FRAME].tobytes())

    def pages(self, memory: Words, headers: Words, full: int, zero: int, *, still: bool = False) -> int:
        """Send pages selected by :func:`migkit.harness.protocol.pages.select`; return the bytes that this took.

        While the guest stands ``still``, its pages need no copy of their own: the checksum is that of the
        very bytes that are sent.
        """
        headers = headers[: full + zero]
        self._payload[: headers.size] = headers
        if self.differences is not None and self.differences.turn > 1:
            return self._send_differences(memory, self._payload[: headers.size], zero)
        if self._codec is not None:
            return self._send_packed(self._codec, memory, headers, zero)
        if full <= _FEW_PAGES:
            return self._send_copied(memory, headers, zero)
        length_bytes = full * pages.FULL_BYTES + zero * pages.ZERO_BYTES
        self._begin(PAGES, headers.size, length_bytes)
        sum_ = int(pages.frame_sum(self.buffer, headers.size, 8 * headers.size))
        self._write(self._bytes[: 8 * (HEADER_WORDS + headers.size)], self._more)
        sum_ = self._write_pages(memory, headers, full, sum_, still=still)
        self._payload[: -(-zero // 8)] = 0
        sum_ = int(pages.checksum(self._payload[: -(-zero // 8)], sum_))
        return self._finish(PAGES, length_bytes, 8 * HEADER_WORDS, zero, sum_)

    def _send_differences(self, memory: Words, headers: Words, zero: int) -> int:
        assert self.differences is not None
        end = headers.size + self.differences.pack(memory, headers, self._payload[headers.size :])
        return self._send(PAGES, headers.size, self._end(end, zero))

    def _send_copied(self, memory: Words, headers: Words, zero: int) -> int:
        words, _ = pages.gather(memory, headers, self._payload[headers.size :], 0)
        return self._send(PAGES, headers.size, self._end(headers.size + words, zero))

    def _send_packed(self, codec: Codec, memory: Words, headers: Words, zero: int) -> int:
        words, _ = pages.gather(memory, headers, self._payload[headers.size :], 0)
        length_bytes = self._end(headers.size + words, zero)
        packed = codec.compress(self._bytes[8 * HEADER_WORDS : 8 * HEADER_WORDS + length_bytes])
        if len(packed) + 8 >= length_bytes:
            return self._send(PAGES, headers.size, length_bytes)
        self._payload[0] = codec.code << 32 | length_bytes
        self._fill(1, packed)
        return self._send(PACKED, headers.size, 8 + len(packed))

    def _end(self, words: int, zero: int) -> int:
        """Put the bytes of zero pages behind so many words of payload; return its length [B]."""
        self._payload[words : words + -(-zero // 8)] = 0
        return 8 * words + zero

    def _fill(self, word: int, data: bytes) -> None:
        """Put these bytes at a word of the payload; what is left of the last one is zero."""
        first = HEADER_WORDS + word
        self.buffer[first + len(data) // 8] = 0
        self._bytes[8 * first : 8 * first + len(data)] = data

    def _write_pages(self, memory: Words, headers: Words, full: int, sum_: int, *, still: bool) -> int:
        """Send the full pages of a frame, in place if they stand still in long runs; return the checksum."""
        self._progress[:] = 0
        self._progress[pieces.SUM] = sum_
        descriptor = self.fileno() if self._plain else -1
        runs = long_runs(headers, full) if still else _NO_RUNS
        if runs.size:
            while not pieces.send_in_place(descriptor, memory, runs, _STILL_CHUNK_PAGES, self._progress):
                self._write_piece(memory)
        else:
            while not pieces.send_copies(descriptor, memory, headers, self._chunk, self._progress):
                self._write_piece(self._chunk)
        return int(self._progress[pieces.SUM])

    def _write_piece(self, words: Words) -> None:
        """Send what compiled code could not send of a piece."""
        _, _, first, count, sent = self._progress.tolist()
        self._write(words.view(np.uint8).data[8 * first + sent : 8 * (first + count)], self._more)
        self._progress[pieces.MOVED] = 8 * count

    def _send(self, kind: int, count: int, length_bytes: int) -> int:
        """Send the payload that is in the buffer."""
        self._begin(kind, count, length_bytes)
        sum_ = int(pages.frame_sum(self.buffer, count if kind == PAGES else 0, length_bytes))
        return self._finish(kind, length_bytes, 0, 8 * HEADER_WORDS + length_bytes, sum_)

    def _begin(self, kind: int, count: int, length_bytes: int) -> None:
        """Fill in the header."""
        _HEADER.pack_into(self._bytes, 0, self._magic | kind << 32, self.frames, count, length_bytes)

    def _finish(self, kind: int, length_bytes: int, first: int, left_bytes: int, sum_: int) -> int:
        """Send what is left in the buffer, from a byte of it on, and the checksum; return the bytes of the frame."""
        end = first + left_bytes
        self._bytes[end : end + SUM_BYTES] = sum_.to_bytes(SUM_BYTES, "little")
        self._write(self._bytes[first : end + SUM_BYTES])
        return self._count(kind, length_bytes, sum_)

    def _count(self, kind: int, length_bytes: int, sum_: int) -> int:
        if kind in (PAGES, PACKED):
            self.checksum = (self.checksum + sum_) & pages.CHECKSUM_MASK
        self.bytes += FRAME_BYTES + length_bytes
        self.frames += 1
        return FRAME_BYTES + length_bytes

    def _write(self, data: memoryview, flags: int = 0) -> None:
        try:
            self._socket.sendall(data, flags)
        except OSError as error:
            raise lost("sending", error) from error
