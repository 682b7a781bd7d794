"""What the pages of a Parquet file say that they unpack to, read before any is unpacked.

A column of a Parquet file is a chain of pages, each behind a header in Thrift's compact protocol (parquet.thrift,
``PageHeader``: field 2 is the size unpacked, field 3 the size in the file). The libraries that unpack a page
allocate what its header says, which the metadata at the end of the file need not agree with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migkit.errors import TraceError
from migkit.units import MIB

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["check_pages"]

_MOST_BYTES: Final = 128 * MIB  # more than a million rows of every column take
_MOST_PAGES: Final = 20_000
_MOST_DEPTH: Final = 8
_STOP, _BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 0, (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12


def check_pages(raw: bytes, metadata: pq.FileMetaData) -> None:
    """Raise unless all pages of a file lie within it and unpack to at most 128 MiB, as they and the metadata say.

    Raises
    ------
    TraceError
        They do not.
    """
    total = pages = 0
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            at = chunk.data_page_offset
            if chunk.has_dictionary_page:
                at = min(at, chunk.dictionary_page_offset)
            end = at + chunk.total_compressed_size
            if not 0 <= at <= end <= len(raw):
                raise TraceError("trace: a column of it lies outside of the file; capture it anew")
            total += max(chunk.total_uncompressed_size, 0)
            while at < end:
                unpacked, packed, at = _header(raw, at, end)
                total, pages, at = total + unpacked, pages + 1, at + packed
                _check(total, pages)
            _check(total, pages)


def _check(total: int, pages: int) -> None:
    if total > 2 * _MOST_BYTES or pages > _MOST_PAGES:  # counted twice, in the metadata and in the pages
        raise TraceError(
            f"trace: it unpacks to more than {_MOST_BYTES // MIB} MiB, as no trace does; capture it anew"
        )


def _header(raw: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return the sizes that a page's header says, unpacked and in the file, and where the header ends."""
    fields: dict[int, int] = {}
    try:
        at = _struct(raw, at, fields, 0)
    except IndexError as error:
        raise TraceError("trace: a page of it has no end; capture it anew") from error
    unpacked, packed = fields.get(2, -1), fields.get(3, -1)
    if unpacked < 0 or packed < 0 or at + packed > end:
        raise TraceError("trace: a page of it has a wrong size; capture it anew")
    return unpacked, packed, at


def _struct(raw: bytes, at: int, integers: dict[int, int], depth: int) -> int:
    """Pass over a struct, keep its whole numbers by field, and return where it ends."""
    field = 0
    while True:
        head, at = raw[at], at + 1
        kind, step = head & 15, head >> 4
        if kind == _STOP:
            return at
        if step == 0:
            number, at = _integer(raw, at)
            step = number - field
        field += step
        if kind in _INTEGERS:
            integers[field], at = _integer(raw, at)
        elif kind not in _BOOLEANS:  # whose value is in the kind
            at = _value(raw, at, kind, depth)


def _value(raw: bytes, at: int, kind: int, depth: int) -> int:
    """Pass over a value that is no number of a struct's own; return where it ends."""
    if depth > _MOST_DEPTH or at > len(raw):
        raise TraceError("trace: a page of it has a header that is none; capture it anew")
    if kind == _STRUCT:
        return _struct(raw, at, {}, depth + 1)
    if kind == _BYTE or kind in _BOOLEANS:
        return at + 1
    if kind in _INTEGERS:
        return _integer(raw, at)[1]
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        length, at = _varint(raw, at)
        return at + length
    if kind not in _LISTS:
        raise TraceError("trace: a page of it has a header that is none; capture it anew")
    count, item = raw[at] >> 4, raw[at] & 15
    at += 1
    if count == 15:
        count, at = _varint(raw, at)
    for _ in range(count):
        at = _value(raw, at, item, depth + 1)
    return at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = raw[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise TraceError("trace: a page of it has a header that is none; capture it anew")


def _integer(raw: bytes, at: int) -> tuple[int, int]:
    """Return a signed number (zigzag) and where it ends."""
    value, at = _varint(raw, at)
    return (value >> 1) ^ -(value & 1), at
