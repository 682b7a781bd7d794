"""What commands share on the way out: tables, CSV, Parquet, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit import files
from migkit.errors import MigkitError, UsageError, printable
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.models.result import Prediction

__all__ = [
    "FORMATS",
    "PLACE",
    "WRITTEN",
    "Bar",
    "Output",
    "Step",
    "bars",
    "check_outputs",
    "choose_format",
    "columns",
    "downtime",
    "emit",
    "finite",
    "flat",
    "narrate",
    "printable",
    "printed_afterwards",
    "report_option",
    "rows_as",
    "write_beside",
    "write_report",
]

FORMATS = ("table", "json", "csv", "parquet")
_LEAST_ROOM = 24  # characters of a line that text is broken into
Step = Callable[[float], None]
Bar = Callable[[str, float], contextlib.AbstractContextManager[Step]]


class Output(click.Path):
    """What a command writes; :func:`check_outputs` looks at it before the work begins.

    Parameters
    ----------
    is_checked
        Whether a regular file must be able to appear there; False: the command asks more of the place, itself.
    """

    def __init__(self, *, is_checked: bool) -> None:
        super().__init__(path_type=Path)
        self.is_checked = is_checked


WRITTEN = Output(is_checked=True)
PLACE = Output(is_checked=False)


def check_outputs(options: Sequence[click.Parameter], values: Mapping[str, Any]) -> None:
    """Refuse outputs that would destroy what the command reads or writes, or that cannot be written.

    Parameters
    ----------
    options
        Parameters of the command; those of the type :class:`Output` are outputs, all others may name inputs.
    values
        Their values by name.

    Raises
    ------
    UsageError
        An output is one of the inputs or another output, or no file can appear there.
    """
    outputs: list[tuple[str, Path]] = []
    inputs: list[tuple[str, str | Path]] = []
    for option in options:
        value = values.get(option.name or "")
        if isinstance(option.type, Output):
            outputs += [(_called(option), value)] if value is not None else []
        else:
            inputs += [(_called(option), one) for one in _each(value) if isinstance(one, str | Path)]
    for at, (called, path) in enumerate(outputs):
        for other, taken in (*inputs, *outputs[:at]):
            if _is_same(path, taken):
                raise UsageError(f"{called}: {path} is also the file of {other}; name another file")
    for option in options:
        value = values.get(option.name or "")
        if isinstance(option.type, Output) and option.type.is_checked and value is not None:
            _check_place(value)


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _called(option: click.Parameter) -> str:
    """Return what a person calls a parameter: its longest flag, or the name of an argument."""
    return max(option.opts, key=len) if isinstance(option, click.Option) else option.human_readable_name


def _is_same(path: Path, other: str | Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return isinstance(other, Path) and path.absolute() == other.absolute()


def _check_place(path: Path) -> None:
    try:
        files.check_place(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> MigkitError:
    return files.failure(error)(f"output {path}: cannot be written ({error.strerror}); choose another file")


def choose_format(asked: str | None, output: Path | None) -> str:
    """Return the format asked for, else the one that the file's name says, else ``table``.

    Examples
    --------
    >>> choose_format(None, Path("result.json")), choose_format("csv", None), choose_format(None, None)
    ('json', 'csv', 'table')
    """
    by_name = output.suffix.removeprefix(".") if output is not None else ""
    return asked or (by_name if by_name in FORMATS else "table")


def finite(value: Any) -> Any:
    """Return a value as JSON has it: what is infinite or no number is None.

    Examples
    --------
    >>> finite(1.5), finite(float("inf")), finite("text")
    (1.5, None, 'text')
    """
    return None if isinstance(value, float) and not math.isfinite(value) else value


def emit(content: str | bytes, output: Path | None, *, private: bool = False) -> None:
    """Write to the file, or to stdout when there is none; ``private``: what was measured, for its owner alone.

    Raises
    ------
    UsageError
        The file or stdout cannot be written.
    RunError
        The disk, or what stdout is, is full.
    """
    if output is not None:
        write_beside(output, content.encode() if isinstance(content, str) else content, private=private)
    else:
        _print(content if isinstance(content, bytes) else content.removesuffix("\n").encode() + b"\n")


def _print(content: bytes) -> None:
    """Write to standard output, all of it, now. A reader that has gone is no error: it has read what it wanted."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries again at its end
        if not isinstance(error, BrokenPipeError):
            raise files.failure(error)(
                f"standard output: cannot be written ({error.strerror}); name a file with -o"
            ) from error


def write_beside(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file that has its name when it is complete.

    Raises
    ------
    UsageError
        The file cannot be written.
    RunError
        The disk is full.
    """
    try:
        with files.appearing(path, private=private) as stream:
            stream.write(content)
    except OSError as error:
        raise _unwritable(path, error) from error


report_option = click.option(
    "--report",
    type=WRITTEN,
    metavar="FILE.html",
    help="One HTML page to keep: question, answer, pictures, risks, settings, inputs, assumptions.",
)


def write_report(answer: Any, path: Path | None, quiet: bool) -> None:
    """Write the report of a planner's answer, where one was asked for.

    Raises
    ------
    UsageError
        The file cannot be written.
    RunError
        The disk is full.
    """
    if path is None:
        return
    from migkit.reports import report

    write_beside(path, report(answer).encode())
    narrate(f"wrote {path}", quiet)


@contextlib.contextmanager
def printed_afterwards(text: str) -> Iterator[None]:
    """Print what was measured when its file is written, and also where it cannot be: it took long to measure."""
    try:
        yield
    finally:
        emit(text, None)


def narrate(text: str, quiet: bool) -> None:
    """Say something to the person at the terminal, apart from the results; that nobody reads it is no error."""
    if not quiet:
        with contextlib.suppress(OSError):
            click.echo(printable(text), err=True)


def rows_as(kind: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> str | bytes:
    """Return rows of plain values as JSON, CSV or Parquet; ``names`` are the columns where there may be no rows.

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
        writer = csv.DictWriter(stream, list(rows[0]) if rows else names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()
    return _parquet(rows, names)


def _parquet(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    empty = pa.table({name: pa.nulls(0) for name in names})
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]) if rows else empty, sink)
    return sink.getvalue()


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return text columns: the first ``left`` flush left, the others flush right.

    Where the last one is flush left, and the table wider than the terminal, its text goes on in the lines below.

    Examples
    --------
    >>> print(columns(["policy", "total"], [["qemu", "1.5 s"], ["nova", "12 s"]]))
    policy  total
    qemu    1.5 s
    nova     12 s
    """
    header, rows = [printable(cell) for cell in header], [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = _terminal_width() - sum(widths[:-1]) - 2 * (len(widths) - 1)
    if left == len(header) and widths[-1] > room >= _LEAST_ROOM:
        rows = [line for row in rows for line in _folded(row, room)]
    lines = (
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *rows)
    )
    return "\n".join(lines)


def _terminal_width() -> float:
    """Return the characters of a line of the terminal; infinite: what is written goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf


def _folded(row: Sequence[str], room: float) -> Iterator[list[str]]:
    """Yield the lines of a row whose last cell is broken between words."""
    first, *more = textwrap.wrap(row[-1], int(room), break_long_words=False, break_on_hyphens=False) or [""]
    yield [*row[:-1], first]
    for text in more:
        yield [*("" for _ in row[:-1]), text]


def downtime(result: Prediction) -> str:
    """Return the downtime as a table shows it: blank where the guest stays at the source.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> busy = Guest.parse(memory="1 GiB", dirty=[{"region": "1 GiB", "writes_per_s": 9e6}])
    >>> downtime(predict(guest=busy))
    ''
    """
    return format_duration(result.downtime_s) if result.verdict == "converges" else ""


def flat(result: Prediction) -> dict[str, Any]:
    """Return the results that are single values, for one row of a table; what is infinite is None.

    Of the remedies it is the first one.
    """
    record = result.to_dict()
    interval = record.pop("interval") or {}
    bounds = {
        f"{name}_{side}": pair[at]
        for name, pair in interval.items()
        if isinstance(pair, list)
        for at, side in enumerate(("low", "high"))
    }
    if interval:
        bounds["probability_of_convergence"] = interval["converges"]
    left_out = ("rounds", "timeline", "remedies", "downtime_parts")
    kept = {key: value for key, value in record.items() if key not in left_out}
    remedy = result.remedies[0] if result.remedies else ""
    return kept | {"reasons": " ".join(result.reasons), "remedy": remedy} | bounds


@contextlib.contextmanager
def bars(quiet: bool, *, ticking: bool = True) -> Iterator[Bar]:
    """Yield what shows a bar for each phase on stderr; off a terminal it shows nothing.

    Parameters
    ----------
    quiet
        Show nothing on a terminal, either.
    ticking
        Draw ten times a second, from a thread; else only at each step, so that nothing runs beside what is measured.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    off = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=off, auto_refresh=ticking) as progress:

        @contextlib.contextmanager
        def bar(phase: str, total: float) -> Iterator[Step]:
            task = progress.add_task(phase, total=total)
            yield lambda amount: progress.update(task, advance=amount, refresh=not ticking)
            progress.update(task, completed=total)

        yield bar
