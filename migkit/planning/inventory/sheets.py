"""From a file, a frame or rows to columns of raw cells: CSV, Parquet, JSON, pandas, Arrow."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from migkit import files
from migkit.errors import UsageError, shown

__all__ = ["Sheet", "opened"]

_MOST_BYTES: Final = 1 << 28
_MOST_ROWS: Final = 2_000_000
_TOLD_SEPARATOR: Final = re.compile(r"sep=([,;\t])[ \t]*\r?\n", re.IGNORECASE)  # a first line for office programs
_LISTS: Final = ("items", "servers", "hypervisors", "vms", "hosts", "domains", "nodes")


class Sheet(dict[str, list[Any]]):
    """Raw cells by column.

    Attributes
    ----------
    semicolons
        Whether the cells were separated by semicolons, so that a comma may stand before decimals.
    """

    semicolons: bool = False


def opened(source: Any, table: str, least_rows: int = 1) -> Sheet:
    """Return the columns of a table, cells as they are written; a missing cell is None.

    Parameters
    ----------
    source
        A path (CSV with commas, semicolons or tabs; Parquet; JSON), the bytes of such a file, a pandas, Polars or
        Arrow frame, or rows as mappings, nested as ``kubectl`` writes them.
    table
        ``vms`` or ``hosts``, for messages.
    least_rows
        How many rows there must be.

    Raises
    ------
    UsageError
        It cannot be read, or it is no table.

    Examples
    --------
    >>> opened([{"vm": "a", "flavor": {"ram": 2048}}, {"vm": "b"}], "vms")
    {'vm': ['a', 'b'], 'flavor.ram': [2048, None]}
    """
    if isinstance(source, str | os.PathLike):
        sheet = _from_file(Path(source), table)
    elif isinstance(source, bytes):
        sheet = _from_raw(source, table, table)
    elif hasattr(source, "iloc") and hasattr(source, "columns"):
        sheet = _from_pandas(source, table)
    elif hasattr(source, "__arrow_c_stream__"):
        sheet = _from_arrow(source)
    elif isinstance(source, Sequence):
        sheet = _from_rows(source, table)
    else:
        raise UsageError(f"{table}: {type(source).__name__} is no table; give a path, a frame or rows")
    rows = len(next(iter(sheet.values()))) if sheet else 0
    if rows < least_rows:
        raise UsageError(f"{table}: there are no rows; give at least one")
    if rows > _MOST_ROWS:
        raise UsageError(f"{table}: more than {_MOST_ROWS} rows are too many; split the table by cluster")
    return sheet


def _from_file(path: Path, table: str) -> Sheet:
    try:
        raw = files.read(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{table} {path}: cannot be read ({error.strerror}); check the path") from error
    return _from_raw(raw, table, f"{table} {path}")


def _from_raw(raw: bytes, table: str, name: str) -> Sheet:
    try:
        if raw.startswith(b"PAR1"):
            return _from_parquet(raw)
        if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
            return _from_rows(files.parse_json(raw.decode("utf-8-sig")), table)
        return _from_csv(raw.decode("utf-8-sig"), table)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is no UTF-8 text; save it as CSV in UTF-8, Parquet or JSON") from error
    except (ValueError, csv.Error) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name}: is not valid ({error}); give CSV, Parquet or JSON") from error


def _from_parquet(raw: bytes) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _from_arrow(pq.read_table(pa.BufferReader(raw)))
    except (pa.ArrowException, OSError) as error:  # a footer that cannot be decoded is an OSError without a number
        raise ValueError(str(error).splitlines()[0].rstrip(".")) from error


def _from_csv(text: str, table: str) -> Sheet:
    if "\0" in text:
        raise ValueError("it holds characters of code 0, so that it is no text")
    told = _TOLD_SEPARATOR.match(text)
    text = text[told.end() :] if told else text
    delimiter = told[1] if told else max(",;\t", key=text.partition("\n")[0].count)
    rows = _rows_of(text, delimiter)
    header = [name.strip() for name in rows[0]] if rows else []
    named = [at for at, name in enumerate(header) if name]
    _check_names((header[at] for at in named), table)
    for number, row in enumerate(rows[1:], 1):
        _check_cells(row, header, named, f"{table} row {number}")
    sheet = Sheet({header[at]: [row[at].strip() or None for row in rows[1:]] for at in named})
    sheet.semicolons = delimiter == ";"
    return sheet


def _rows_of(text: str, delimiter: str) -> list[list[str]]:
    """Return the rows that have cells; a line may end as it does on any system."""
    lines = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter, strict=True)
    try:
        return [row for row in lines if any(map(str.strip, row))]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}") from error


def _check_cells(row: Sequence[str], header: Sequence[str], named: Sequence[int], name: str) -> None:
    """Raise for too few cells, and for one that stands under no name; empty cells behind the last do not count."""
    if len(row) < (named[-1] + 1 if named else 0) or any(map(str.strip, row[len(header) :])):
        raise UsageError(
            f"{name}: it has {len(row)} cells, the header has {len(header)}; quote cells that hold the separator"
        )
    bare = [at for at, cell in enumerate(row[: len(header)]) if cell.strip() and not header[at]]
    if bare:
        raise UsageError(
            f"{name}: {shown(row[bare[0]])} stands in column {bare[0] + 1}, which has no name; name it in the header"
        )


def _check_names(names: Iterable[str], table: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{table}: the column {shown(name)} occurs twice; rename or drop one")
        seen.add(name)


def _from_pandas(frame: Any, table: str) -> Sheet:
    _check_names(map(str, frame.columns), table)
    whole = frame.astype(object).where(frame.notna(), None)
    return Sheet({str(name): whole[name].tolist() for name in frame.columns})


def _from_arrow(source: Any) -> Sheet:
    import pyarrow as pa

    found = pa.table(source)
    _check_names(found.column_names, "table")
    return Sheet({name: found.column(name).to_pylist() for name in found.column_names})


def _from_rows(found: Any, table: str) -> Sheet:
    if isinstance(found, Mapping):
        found = next((found[key] for key in _LISTS if isinstance(found.get(key), list)), [found])
    if not isinstance(found, Sequence) or not all(isinstance(row, Mapping) for row in found):
        raise UsageError(f"{table}: it is no list of records; give rows as JSON objects")
    flat = [_flat(row) for row in found]
    names = dict.fromkeys(itertools.chain.from_iterable(flat))
    return Sheet({name: [row.get(name) for row in flat] for name in names})


def _flat(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return nested records as one, keys joined by points."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and depth < 8:
            out |= _flat(value, f"{prefix}{key}.", depth + 1)
        else:
            out[f"{prefix}{key}"] = value
    return out
