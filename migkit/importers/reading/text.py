"""From a file or bytes to text: bounded, unpacked, decoded, and said how."""

from __future__ import annotations

import codecs
import sys
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from migkit.errors import TraceError

__all__ = ["MAX_BYTES", "Text", "decode", "load"]

MAX_BYTES: Final = 1 << 26
_GZIP: Final = b"\x1f\x8b"
_PACKED: Final = {b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"(\xb5/\xfd": "zstd", b"PK\x03\x04": "zip"}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_CRIU_IMAGE: Final = b"\x40\x59\x10\x55"  # magic of CRIU's service images, statistics among them


class Text(NamedTuple):
    """A decoded log: its text, where it comes from, its encoding in words, and what was odd about it."""

    text: str
    name: str
    encoding: str
    notes: tuple[str, ...] = ()


def load(path: Path | str) -> bytes:
    """Return the bytes of a file; ``-`` is standard input.

    Raises
    ------
    TraceError
        It cannot be read or is larger than 64 MiB.
    """
    try:
        if str(path) == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"log {path}: cannot be read ({reason}); check the path") from error
    return _bounded(raw, str(path))


def decode(raw: bytes, name: str) -> Text:
    """Return the text of a log: gzip is unpacked, byte order marks are obeyed, line ends become line feeds.

    Raises
    ------
    TraceError
        It is packed otherwise, binary, or larger than 64 MiB when unpacked.
    """
    notes: list[str] = []
    if raw.startswith(_GZIP):
        raw = _unpack(raw, name, notes)
    _refuse(raw, name)
    text, encoding = _decoded(raw, name, notes)
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), name, encoding, tuple(notes))


def _bounded(raw: bytes, name: str) -> bytes:
    if len(raw) > MAX_BYTES:
        raise TraceError(f"log {name}: larger than 64 MiB; split it by migration or by day")
    return raw


def _unpack(raw: bytes, name: str, notes: list[str]) -> bytes:
    """Unpack gzip, of several members too; what a truncated file still holds is kept."""
    parts: list[bytes] = []
    left = MAX_BYTES + 1
    while raw.startswith(_GZIP) and left > 0:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            parts.append(unpacker.decompress(raw, left))
        except zlib.error as error:
            if not any(parts):
                raise TraceError(f"log {name}: broken gzip ({error}); copy it anew") from error
            notes.append("the gzip data are damaged: what comes before the damage was read")
            break
        left -= len(parts[-1])
        if not unpacker.eof and left > 0:
            notes.append("the gzip data end too early: what they hold was read")
            break
        raw = unpacker.unused_data
    return _bounded(b"".join(parts), name)


def _refuse(raw: bytes, name: str) -> None:
    for magic, kind in _PACKED.items():
        if raw.startswith(magic):
            raise TraceError(f"log {name}: packed with {kind}; unpack it first (gzip is read as it is)")
    if raw.startswith(_CRIU_IMAGE):
        raise TraceError(f"log {name}: a binary image of CRIU; decode it first: crit decode --pretty -i {name}")


def _decoded(raw: bytes, name: str, notes: list[str]) -> tuple[str, str]:
    for mark, codec, words in _MARKS:
        if raw.startswith(mark):
            return raw.decode(codec, errors="replace"), words
    head = raw[:4096]
    if b"\0" in head:
        coding = _unmarked(head)
        if coding is not None:
            return raw.decode(coding, errors="replace"), "UTF-16 without a byte order mark"
        raw = _without_zeros(raw, name, notes)
    try:
        return raw.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError as error:
        notes.append(f"byte {error.start} is no UTF-8: read as Windows-1252")
        return raw.decode("cp1252", errors="replace"), "Windows-1252"


def _unmarked(head: bytes) -> str | None:
    """Return which UTF-16 it is without a byte order mark: of Latin text every other byte is zero."""
    for codec, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros and zeros.count(0) > 0.8 * len(zeros) and head.count(0) < 0.7 * len(head):
            return codec
    return None


def _without_zeros(raw: bytes, name: str, notes: list[str]) -> bytes:
    """Leave out the zero bytes that a crash puts into a log; what is binary otherwise is refused."""
    kept = raw.replace(b"\0", b"")
    head = kept[:4096]
    strange = sum(byte < 32 and byte not in b"\t\n\r\x1b" for byte in head)
    if not head or strange > 0.05 * len(head):
        raise TraceError(f"log {name}: binary data; give the text of a log")
    notes.append(f"{len(raw) - len(kept)} zero bytes in it were left out")
    return kept
