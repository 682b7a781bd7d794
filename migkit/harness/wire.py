"""The wire protocol: frames over one TCP connection.

A frame is a header of five little-endian 64-bit words, then its payload:

====  =====================================================================================
word  meaning
====  =====================================================================================
0     magic ``MGK`` and protocol version (low 32 bits), kind of frame (high 32 bits)
1     sequence number of the frame in its direction, from 0
2     count: pages in a ``PAGES`` frame, else 0
3     length of the payload [B], at most :data:`MAX_PAYLOAD_BYTES`
4     checksum of words 0 to 3 and the payload (:func:`migkit.kernels.wire.checksum`)
====  =====================================================================================

``PAGES`` payloads are described in :mod:`migkit.kernels.wire`; ``STATE`` holds the registers, ``ABSENT`` and
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

In post-copy, ``ABSENT`` frames (pairs of words: half-open page ranges still to come) precede ``STATE``,
and after ``CONFIRM``::

    PAGES ...                        ->           background push
                                     <-     DEMAND (page numbers) when the guest waits for pages
    PAGES (those)                    ->           at once
                                     <-     COMPLETE (no page is absent)

``ABORT`` (reason) may come from either side at any time before ``COMMIT``. A frame with an unknown
kind or version, a wrong sequence number, length or checksum ends the connection with ``ABORT``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import ssl
import struct
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import RunError
from migkit.harness.codec import Codec, by_code
from migkit.kernels import wire

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
    "part",
    "set_patience",
]

VERSION: Final = 1
_PART_S: Final = 2.0
HEADER_WORDS: Final = 5
FRAME_BYTES: Final = 8 * HEADER_WORDS
FRAME_PAGES: Final = 512
MAX_PAYLOAD_BYTES: Final = FRAME_PAGES * wire.FULL_BYTES
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
KINDS: Final = {
    HELLO: "HELLO",
    WELCOME: "WELCOME",
    REFUSE: "REFUSE",
    PAGES: "PAGES",
    ROUND: "ROUND",
    STATE: "STATE",
    PREPARE: "PREPARE",
    PREPARED: "PREPARED",
    COMMIT: "COMMIT",
    CONFIRM: "CONFIRM",
    ABORT: "ABORT",
    ABSENT: "ABSENT",
    DEMAND: "DEMAND",
    COMPLETE: "COMPLETE",
    PACKED: "PACKED",
}

Words = npt.NDArray[np.int64]


class ConnectionLostError(RunError):
    """The other side closed the connection, or it broke."""


class WireError(RunError):
    """The other side sent what the protocol does not allow."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was received; its payload is valid until the next one."""

    kind: int
    count: int
    payload: memoryview
    words: Words

    @property
    def message(self) -> dict[str, Any]:
        """The JSON of a control frame."""
        try:
            message = json.loads(bytes(self.payload) or b"{}")
        except ValueError as error:
            raise WireError(f"wire: a {KINDS[self.kind]} frame holds no JSON ({error})") from error
        if not isinstance(message, dict):
            raise WireError(f"wire: a {KINDS[self.kind]} frame holds no JSON object")
        return message


def set_patience(connection: socket.socket, patience_s: float) -> None:
    """Have sending and receiving fail when nothing moves for ``patience_s``."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(patience_s)
        return
    connection.settimeout(None)  # waits in the kernel, so that MSG_WAITALL has an effect
    seconds = int(patience_s)
    limit = struct.pack("@ll", seconds, round((patience_s - seconds) * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def part(connection: socket.socket) -> None:
    """Say nothing more, and let the other side read what was said last before the connection is closed.

    Closing it over data that nobody read would reset it, and the other side would miss the reason.
    """
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_PART_S)
        end_s = time.monotonic() + _PART_S
        while time.monotonic() < end_s and connection.recv(MAX_PAYLOAD_BYTES):
            continue


def _lost(doing: str, error: OSError) -> ConnectionLostError:
    why = (
        "nothing moved for too long"
        if isinstance(error, BlockingIOError | TimeoutError)
        else error.strerror or str(error)
    )
    return ConnectionLostError(f"connection: lost while {doing} ({why})")


class Sender:
    """Sends frames; the payload of a ``PAGES`` frame is built in its buffer.

    Attributes
    ----------
    bytes
        Sent so far, headers included.
    frames
        Sent so far.
    """

    def __init__(self, sock: socket.socket, codec: Codec | None = None, version: int = VERSION) -> None:
        self._socket = sock
        self._codec = codec
        self._magic = _MAGIC & 0xFFFFFF | version << 24
        self._buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._bytes = self._buffer.view(np.uint8).data
        self._payload = self._buffer[HEADER_WORDS:]
        self.bytes = 0
        self.frames = 0

    def message(self, kind: int, message: dict[str, Any] | None = None) -> None:
        """Send a control frame."""
        self.blob(kind, json.dumps(message or {}).encode())

    def blob(self, kind: int, data: bytes) -> None:
        """Send a frame with these bytes."""
        self._payload[: len(data) // 8 + 1] = 0
        self._bytes[FRAME_BYTES : FRAME_BYTES + len(data)] = data
        self._send(kind, 0, len(data))

    def pages(self, memory: Words, headers: Words, full: int, zero: int) -> int:
        """Send pages selected by :func:`migkit.kernels.wire.select`; return the bytes that this took."""
        count = full + zero
        self._payload[:count] = headers[:count]
        wire.gather(memory, headers[:count], self._payload[count:])
        length_bytes = full * wire.FULL_BYTES + zero * wire.ZERO_BYTES
        if self._codec is not None:
            packed = self._codec.compress(self._bytes[FRAME_BYTES : FRAME_BYTES + length_bytes])
            if len(packed) + 8 < length_bytes:
                return self._pack(self._codec.code, count, length_bytes, packed)
        return self._send(PAGES, count, length_bytes)

    def _pack(self, code: int, count: int, length_bytes: int, packed: bytes) -> int:
        self._payload[: len(packed) // 8 + 2] = 0
        self._payload[0] = code << 32 | length_bytes
        self._bytes[FRAME_BYTES + 8 : FRAME_BYTES + 8 + len(packed)] = packed
        return self._send(PACKED, count, 8 + len(packed))

    def _send(self, kind: int, count: int, length_bytes: int) -> int:
        header = self._buffer[:HEADER_WORDS]
        header[:4] = self._magic | kind << 32, self.frames, count, length_bytes
        header[4] = wire.checksum(self._payload[: -(-length_bytes // 8)], wire.checksum(header[:4], 0))
        try:
            self._socket.sendall(self._bytes[: FRAME_BYTES + length_bytes])
        except OSError as error:
            raise _lost("sending", error) from error
        self.bytes += FRAME_BYTES + length_bytes
        self.frames += 1
        return FRAME_BYTES + length_bytes


class Receiver:
    """Receives frames and refuses what the protocol does not allow.

    Attributes
    ----------
    bytes
        Received so far, headers included.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer: Words = np.zeros(HEADER_WORDS + MAX_PAYLOAD_BYTES // 8 + 1, np.int64)
        self._bytes = self._buffer.view(np.uint8).data
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
        self._fill(0, FRAME_BYTES)
        kind, count, length_bytes = self._header()
        words = self._buffer[HEADER_WORDS : HEADER_WORDS + -(-length_bytes // 8)]
        if length_bytes % 8:
            words[-1] = 0
        self._fill(FRAME_BYTES, length_bytes)
        if wire.checksum(words, wire.checksum(self._buffer[:4], 0)) != self._buffer[4]:
            raise WireError(f"wire: the checksum of {KINDS[kind]} frame {self._frames} is wrong; data was altered")
        self._frames += 1
        self.bytes += FRAME_BYTES + length_bytes
        frame = Frame(kind, count, self._bytes[FRAME_BYTES : FRAME_BYTES + length_bytes], words)
        if kind == PACKED:
            frame = self._expand(frame)
        _expect(frame, kinds)
        return frame

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
        first, sequence, count, length_bytes = (int(word) for word in self._buffer[:4])
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

    def _fill(self, start: int, length_bytes: int) -> None:
        """Read exactly so many bytes into the buffer."""
        done = 0
        while done < length_bytes:
            try:
                left = length_bytes - done
                got = self._socket.recv_into(self._bytes[start + done : start + length_bytes], left, self._flags)
            except OSError as error:
                raise _lost("receiving", error) from error
            if not got:
                raise ConnectionLostError("connection: closed by the other side")
            done += got


_REASONS: Final = {
    wire.BAD_INDEX: "a page beyond the guest's memory",
    wire.BAD_KIND: "a page kind that is not known",
    wire.BAD_LENGTH: "a length that does not fit its pages",
    wire.BAD_ZERO: "a zero page that is not zero",
}


def check_pages(frame: Frame, pages: int) -> int:
    """Return the full pages of a ``PAGES`` frame for a guest of ``pages`` pages.

    Raises
    ------
    WireError
        It does not hold what its header says.
    """
    headers = frame.words[: frame.count]
    full = int(np.count_nonzero(headers >> wire.KIND_SHIFT == wire.FULL))
    end = frame.count + full * wire.PAGE_WORDS
    after = frame.words[end:].view(np.uint8)[: max(len(frame.payload) - 8 * end, 0)]
    body_words = min(end, len(frame.payload) // 8) - frame.count
    checked = int(wire.check(headers, body_words, after, pages))
    if checked < 0 or headers.size != frame.count:
        raise WireError(f"wire: a PAGES frame holds {_REASONS.get(checked, 'fewer pages than it says')}")
    return full


def _expect(frame: Frame, kinds: tuple[int, ...]) -> None:
    if not kinds or frame.kind in kinds:
        return
    if frame.kind in (ABORT, REFUSE):
        raise RunError(f"the other side gave up: {frame.message.get('reason', 'no reason given')}")
    raise WireError(f"wire: a {KINDS[frame.kind]} frame came where {' or '.join(KINDS[k] for k in kinds)} was due")
