"""What commands share on the way out: tables, CSV, Parquet, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.errors import UsageError

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = ["FORMATS", "choose_format", "columns", "emit", "flat", "narrate", "rows_as", "write_beside"]

FORMATS = ("table", "json", "csv", "parquet")


def choose_format(asked: str | None, output: Path | None) -> str:
    """Return the format asked for, else the one that the file's name says, else ``table``.

    Examples
    --------
    >>> choose_format(None, Path("result.json")), choose_format("csv", None), choose_format(None, None)
    ('json', 'csv', 'table')
    """
    by_name = output.suffix.removeprefix(".") if output is not None else ""
    return asked or (by_name if by_name in FORMATS else "table")


def emit(content: str | bytes, output: Path | None) -> None:
    """Write to the file, or to stdout when there is none.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    if output is not None:
        write_beside(output, content.encode() if isinstance(content, str) else content)
    elif isinstance(content, bytes):
        sys.stdout.buffer.write(content)
    else:
        click.echo(content, nl=not content.endswith("\n"))


def write_beside(path: Path, content: bytes) -> None:
    """Write a file under another name beside ``path``, then rename it: no half-written file has its final name.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    name: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            name = Path(stream.name)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        name.chmod(0o666 & ~_umask())
        name.replace(path)
    except OSError as error:
        raise UsageError(f"output {path}: cannot be written ({error.strerror}); choose another file") from error
    finally:
        if name is not None:
            name.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def narrate(text: str, quiet: bool) -> None:
    """Say something to the person at the terminal, apart from the results."""
    if not quiet:
        click.echo(text, err=True)


def rows_as(kind: str, rows: Sequence[Mapping[str, Any]]) -> str | bytes:
    """Return rows of plain values as JSON, CSV or Parquet.

    Examples
    --------
    >>> print(rows_as("csv", [{"verdict": "converges", "total_time_s": 1.5}]))
    verdict,total_time_s
    converges,1.5
    """
    if kind == "json":
        return json.dumps(list(rows), indent=2, allow_nan=False)
    if kind == "csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()
    return _parquet(rows)


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), sink)
    return sink.getvalue()


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return text columns: the first ``left`` flush left, the others flush right.

    Examples
    --------
    >>> print(columns(["policy", "total"], [["qemu", "1.5 s"], ["nova", "12 s"]]))
    policy  total
    qemu    1.5 s
    nova     12 s
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *rows)
    )
    return "\n".join(lines)


def flat(result: Prediction) -> dict[str, Any]:
    """Return the results that are single values, for one row of a table; what is infinite is None."""
    record = result.to_dict()
    interval = record.pop("interval") or {}
    bounds = {
        f"{name}_{side}": pair[at]
        for name, pair in interval.items()
        if name != "level"
        for at, side in enumerate(("low", "high"))
    }
    kept = {key: value for key, value in record.items() if key not in ("rounds", "timeline")}
    return kept | {"reasons": " ".join(result.reasons)} | bounds
