"""The wire protocol: frames over TCP connections.

A frame is a header of five little-endian 64-bit words, then its payload:

====  =====================================================================================
word  meaning
====  =====================================================================================
0     magic ``MGK`` and protocol version (low 32 bits), kind of frame (high 32 bits)
1     sequence number of the frame in its direction, from 0
2     count: pages in a ``PAGES`` frame, else 0
3     length of the payload [B], at most :data:`MAX_PAYLOAD_BYTES`
4     checksum of words 0 to 3, of the page headers, and of the rest of the payload, chained
      (:func:`migkit.kernels.wire.checksum`)
====  =====================================================================================

``PAGES`` payloads are described in :mod:`migkit.kernels.wire`, the differences in them, which only a page may
be sent as that was sent before, in :mod:`migkit.kernels.delta`; ``STATE`` holds the registers, ``ABSENT`` and
``DEMAND`` hold words, all others JSON. So ``n`` full and ``z`` zero pages in ``f`` frames cost
``4104 n + 9 z + 40 f`` bytes.

A migration::

    source                                  destination
    HELLO (token, layout, options)   ->
                                     <-     WELCOME, or REFUSE (reason)
    PAGES ...                        ->
    ROUND (totals so far)            ->           at each bitmap sync
                                                  the guest stops at the source
    PAGES ... STATE PREPARE (totals) ->
                                     <-     PREPARED
    COMMIT                           ->           from here on the source never resumes the guest
                                     <-     CONFIRM (the guest runs)

A ``PACKED`` frame is a ``PAGES`` frame whose payload is compressed: one word with the compressor's number
(:data:`migkit.harness.codec.CODES`) in its high and the expanded length in its low 32 bits, then the data.
The sender uses it where that is shorter.

Further connections join the first one. The source says ``JOIN`` with their ``purpose`` and ``count``; the
destination, which stopped listening when the migration began, listens again on the same port, answers ``JOIN``,
and lets in as many ``HELLO`` with the same token and that ``purpose``.

``"stream"``: 2 to 256 connections over which all ``PAGES`` of pre-copy go instead, before the first of them.
``FLUSH`` follows on each of them before every ``ROUND`` and ``PREPARE`` of the first connection; the destination
goes on, on any connection, when all have come.

``"demands"``: post-copy's second connection, for pages that the guest waits for; it joins while the guest still
runs at the source.
``ABSENT`` frames (pairs of words: half-open page ranges still to come) precede ``STATE``, and after ``CONFIRM``::

    first connection
    PAGES ...                        ->           background push
                                     <-     COMPLETE (no page is absent)
    second connection
                                     <-     DEMAND (page numbers) when the guest waits for pages
    PAGES (those)                    ->           at once; no page comes twice

When either connection fails after ``COMMIT``, both are given up. The guest runs on and waits where it needs
what is absent; the destination listens again, for one ``HELLO`` with the same token (and certificate) and
``"purpose": "recovery"``, which takes the place of the first connection::

    HELLO ->  <- WELCOME  <- ABSENT ... (all that is absent now)  <- JOIN

Then the source opens the second connection as before, and both go on: what was sent and never arrived is
among what is absent, so it is sent again. Sequence numbers begin anew on each connection. Should the source
not come back in time, or be dead, the guest is lost, since what it needs is nowhere else.

``ABORT`` (reason) may come from either side at any time before ``COMMIT``. A frame with an unknown
kind or version, a wrong sequence number, length or checksum ends the connection with ``ABORT``.
"""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import RunError
from migkit.harness.codec import Codec, by_code
from migkit.harness.differences import Differences
from migkit.harness.frame import FRAME_PAGES, KINDS, Frame, WireError, check_pages, page_ranges, tally
from migkit.harness.transport import ConnectionLostError, lost, part, set_patience
from migkit.kernels import wire
from migkit.units import PAGE_BYTES

__all__ = [
    "FRAME_BYTES",
    "FRAME_PAGES",
    "MAX_PAYLOAD_BYTES",
    "VERSION",
    "ConnectionLostError",
    "Frame",
    "Receiver",
    "Sender",
    "WireError",
    "check_pages",
    "page_ranges",
    "part",
    "set_patience",
]

VERSION: Final = 2
HEADER_WORDS: Final = 5
FRAME_BYTES: Final = 8 * HEADER_WORDS
MAX_PAYLOAD_BYTES: Final = FRAME_PAGES * wire.FULL_BYTES
_RANGES_PER_FRAME: Final = 4096
RUN_PAGES: Final = 8  # neighbours from which on a call of the kernel costs less than a copy
_MAGIC: Final = int.from_bytes(b"MGK", "little") | VERSION << 24

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

Words = npt.NDArray[np.int64]


class Sender:
    """Sends frames; the payload of a ``PAGES`` frame is built in its buffer.

    Attributes
    ----------
    bytes
        Sent so far, headers included.
    frames
        Sent so far.
    differences
        What was sent of pages, to send only what changed in them; None: whole pages.
    """

    def __init__(self, sock: socket.socket, codec: Codec | None = None, version: int = VERSION) -> None:
        self._socket = sock
        self._codec = codec
        self._magic = _MAGIC & 0xFFFFFF | version << 24
        self._buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._bytes = self._buffer.view(np.uint8).data
        self._payload = self._buffer[HEADER_WORDS:]
        self._runs = np.zeros(2 * FRAME_PAGES, np.int64)
        self.bytes = 0
        self.frames = 0
        self.differences: Differences | None = None

    def message(self, kind: int, message: dict[str, Any] | None = None) -> None:
        """Send a control frame."""
        self.blob(kind, json.dumps(message or {}).encode())

    def blob(self, kind: int, data: bytes) -> None:
        """Send a frame with these bytes."""
        self._payload[: len(data) // 8 + 1] = 0
        self._bytes[FRAME_BYTES : FRAME_BYTES + len(data)] = data
        self._send(kind, 0, len(data))

    def absent(self, bitmap: np.ndarray) -> None:
        """Send which pages are absent where, one byte a page."""
        edges = np.flatnonzero(np.diff(bitmap.astype(np.int8), prepend=0, append=0)).astype(np.int64)
        for first in range(0, edges.size, 2 * _RANGES_PER_FRAME):
            self.blob(ABSENT, edges[first : first + 2 * _RANGES_PER_FRAME].tobytes())

    def pages(self, memory: Words, headers: Words, full: int, zero: int, *, still: bool = False) -> int:
        """Send pages selected by :func:`migkit.kernels.wire.select`; return the bytes that this took.

        While the guest stands ``still``, its pages need no copy of their own: the checksum is that of the
        very bytes that are sent.
        """
        count = full + zero
        headers = headers[:count]
        self._payload[:count] = headers
        length_bytes = full * wire.FULL_BYTES + zero * wire.ZERO_BYTES
        if self.differences is not None and self.differences.turn > 1:
            return self._send_differences(memory, self._payload[:count], zero)
        if still and self._codec is None:
            runs = int(wire.runs(headers, self._runs))
            if runs <= full // RUN_PAGES:
                return self._send_from(memory, headers, runs, length_bytes)
        wire.gather(memory, headers, self._payload[count:])
        if self._codec is not None:
            packed = self._codec.compress(self._bytes[FRAME_BYTES : FRAME_BYTES + length_bytes])
            if len(packed) + 8 < length_bytes:
                return self._pack(self._codec.code, count, length_bytes, packed)
        return self._send(PAGES, count, length_bytes)

    def _send_differences(self, memory: Words, headers: Words, zero: int) -> int:
        assert self.differences is not None
        end = headers.size + self.differences.pack(memory, headers, self._payload[headers.size :])
        self._payload[end : end + -(-zero // 8)] = 0
        return self._send(PAGES, headers.size, 8 * end + zero)

    def _send_from(self, memory: Words, headers: Words, runs: int, length_bytes: int) -> int:
        """Send pages that stand still from where they are; zero pages follow them."""
        count = headers.size
        zero_bytes = length_bytes - 8 * count - int(self._runs[1 : 2 * runs : 2].sum()) * PAGE_BYTES
        zeros = self._payload[count : count + -(-zero_bytes // 8)]
        zeros[:] = 0
        sum_ = wire.checksum_pages(memory, headers, self._begin(PAGES, count, length_bytes))
        self._buffer[4] = wire.checksum(zeros, sum_)
        data = memory.view(np.uint8).data
        self._write(self._bytes[: FRAME_BYTES + 8 * count])
        for page, pages in self._runs[: 2 * runs].reshape(-1, 2).tolist():
            self._write(data[page * PAGE_BYTES : (page + pages) * PAGE_BYTES])
        self._write(zeros.view(np.uint8).data[:zero_bytes])
        return self._sent(length_bytes)

    def _pack(self, code: int, count: int, length_bytes: int, packed: bytes) -> int:
        self._payload[: len(packed) // 8 + 2] = 0
        self._payload[0] = code << 32 | length_bytes
        self._bytes[FRAME_BYTES + 8 : FRAME_BYTES + 8 + len(packed)] = packed
        return self._send(PACKED, count, 8 + len(packed))

    def _send(self, kind: int, count: int, length_bytes: int) -> int:
        headers = count if kind == PAGES else 0
        sum_ = self._begin(kind, count, length_bytes)
        self._buffer[4] = wire.checksum(self._payload[headers : -(-length_bytes // 8)], sum_)
        self._write(self._bytes[: FRAME_BYTES + length_bytes])
        return self._sent(length_bytes)

    def _begin(self, kind: int, count: int, length_bytes: int) -> int:
        """Fill in the header; return the checksum up to the end of the page headers."""
        self._buffer[:4] = self._magic | kind << 32, self.frames, count, length_bytes
        return int(wire.checksum(self._payload[: count if kind == PAGES else 0], wire.checksum(self._buffer[:4], 0)))

    def _write(self, data: memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise lost("sending", error) from error

    def _sent(self, length_bytes: int) -> int:
        self.bytes += FRAME_BYTES + length_bytes
        self.frames += 1
        return FRAME_BYTES + length_bytes


class Receiver:
    """Receives frames and refuses what the protocol does not allow.

    Attributes
    ----------
    bytes
        Received so far, headers included.
    memory
        RAM of a guest that does not run yet: full pages are put in place there as they come, before their
        checksum is known; so a guest is lost that was sent in a frame which proves to be altered, and it
        must not run. None: no page is put anywhere.
    """

    def __init__(self, sock: socket.socket, memory: Words | None = None) -> None:
        self._socket = sock
        self.memory = memory
        self._runs = np.zeros(2 * FRAME_PAGES, np.int64)
        self._buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._bytes = self._buffer.view(np.uint8).data
        self._payload = self._bytes[FRAME_BYTES:]
        self._expanded: Words = np.zeros(MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._flags = 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_WAITALL
        self._frames = 0
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
        self._fill(self._bytes[:FRAME_BYTES])
        kind, count, length_bytes = self._header()
        frame = self._read(kind, count, length_bytes)
        self._frames += 1
        self.bytes += FRAME_BYTES + length_bytes
        if kind == PACKED:
            frame = self._expand(frame)
        _expect(frame, kinds)
        return frame

    def _read(self, kind: int, count: int, length_bytes: int) -> Frame:
        """Return the frame whose header is in the buffer, when its checksum is right."""
        head = count if kind == PAGES else 0
        if 8 * head > length_bytes:
            raise WireError("wire: a PAGES frame holds fewer pages than it says")
        placing = kind == PAGES and self.memory is not None
        first = 8 * head if placing else length_bytes
        self._take(0, first)
        headers = self._words(8 * head)
        sum_ = wire.checksum(headers, wire.checksum(self._buffer[:4], 0))
        placed_bytes = 0
        for place in self._places(headers, length_bytes) if placing else ():
            self._fill(place.view(np.uint8).data)
            sum_ = wire.checksum(place, sum_)
            placed_bytes += place.nbytes
        length_bytes -= placed_bytes
        self._take(first, length_bytes)
        words = self._words(length_bytes)
        if wire.checksum(words[head:], sum_) != self._buffer[4]:
            raise WireError(f"wire: the checksum of {KINDS[kind]} frame {self._frames} is wrong; data was altered")
        return Frame(kind, count, self._payload[:length_bytes], words, placed_bytes > 0)

    def _words(self, length_bytes: int) -> Words:
        return self._buffer[HEADER_WORDS : HEADER_WORDS + -(-length_bytes // 8)]

    def _take(self, first: int, end: int) -> None:
        """Read these bytes of the payload; what is left of the last word is zero."""
        if end > first:
            self._words(end)[-1] = 0
            self._fill(self._payload[first:end])

    def _places(self, headers: Words, length_bytes: int) -> list[Words]:
        """Return where in the memory full pages go, unless they are too scattered."""
        assert self.memory is not None
        full, _, _ = tally(headers, length_bytes, self.memory.size // wire.PAGE_WORDS)
        runs = int(wire.runs(headers, self._runs))
        if runs > full // RUN_PAGES:
            return []
        words = self._runs[: 2 * runs].reshape(-1, 2) * wire.PAGE_WORDS
        return [self.memory[first : first + size] for first, size in words.tolist()]

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
        return Frame(PAGES, frame.count, view, words)

    def _header(self) -> tuple[int, int, int]:
        first, sequence, count, length_bytes = self._buffer[:4].tolist()
        kind = first >> 32
        if first & 0xFFFFFF != _MAGIC & 0xFFFFFF:
            raise WireError("wire: this is no migkit migration; the other side speaks something else")
        if first & 0xFFFFFFFF != _MAGIC:
            raise WireError(
                f"wire: protocol version {first >> 24 & 0xFF}; this side speaks {VERSION}; use one release on both"
            )
        if kind not in KINDS:
            raise WireError(f"wire: frame kind {kind} is not known")
        if sequence != self._frames:
            raise WireError(f"wire: frame {sequence} came where {self._frames} was due")
        if not (0 <= length_bytes <= MAX_PAYLOAD_BYTES and 0 <= count <= FRAME_PAGES):
            raise WireError(f"wire: a frame of {length_bytes} B and {count} pages is too long")
        return kind, count, length_bytes

    def _fill(self, target: memoryview) -> None:
        """Read exactly as many bytes as it takes."""
        done, size = 0, len(target)
        while done < size:
            try:
                got = self._socket.recv_into(target[done:], size - done, self._flags)
            except OSError as error:
                raise lost("receiving", error) from error
            if not got:
                raise ConnectionLostError("connection: closed by the other side")
            done += got


def _expect(frame: Frame, kinds: tuple[int, ...]) -> None:
    if not kinds or frame.kind in kinds:
        return
    if frame.kind in (ABORT, REFUSE):
        raise RunError(f"the other side gave up: {frame.message.get('reason', 'no reason given')}")
    raise WireError(f"wire: a {KINDS[frame.kind]} frame came where {' or '.join(KINDS[k] for k in kinds)} was due")
