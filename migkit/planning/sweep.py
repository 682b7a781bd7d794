"""Millions of scenarios: in memory, or part by part into a folder of Parquet files, here or on other machines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit import files
from migkit.errors import RunError, UsageError, shown
from migkit.models.bulk.many import RESULTS, predict_many
from migkit.planning.space import Axis, Design
from migkit.planning.workers import results
from migkit.scenario import Scenario
from migkit.scenario.form import schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["left_out", "sweep", "sweep_to"]

PART_ROWS: Final = 1 << 17
_IN_MEMORY: Final = 10_000_000
_MANIFEST: Final = "_sweep.json"  # readers of a folder of Parquet leave out what begins so
_LEFT_OUT: Final = b"left_out"  # of the metadata of a file
_TOLD: Final = 20  # reasons in a file
Progress = Callable[[int, int], object]


def sweep(
    space: Mapping[str, Axis] | Design,
    base: Scenario | None = None,
    *,
    columns: Sequence[str] = RESULTS,
    kind: str = "grid",
    points: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the predictions of every scenario of a space, one row each.

    Parameters
    ----------
    space
        An axis by the name of a column of :func:`migkit.models.bulk.many.predict_many`: a list of values, or a
        :class:`migkit.planning.space.Range`; or a whole design.
    base
        What does not vary.
    columns
        Those of the prediction to keep.
    kind, points, seed
        As in :class:`migkit.planning.space.Design`.

    Returns
    -------
    frame
        What varied and what was predicted; ``attrs["skipped"]`` has what is wrong with scenarios that contradict
        themselves, such as a region larger than the memory, by their number.

    Raises
    ------
    UsageError
        A column, a result or the design is wrong, or it is above 10 million scenarios.

    Examples
    --------
    >>> found = sweep({"memory_bytes": [2**30, 2**31], "max_bandwidth_bytes_per_s": [1e8, 2e8]})
    >>> found["total_time_s"].round(1).tolist()
    [10.5, 5.2, 21.2, 10.6]
    """
    import pandas as pd

    design = _design(space, kind, points, seed)
    _check_columns(columns)
    if design.size > _IN_MEMORY:
        raise UsageError(
            f"sweep: {design.size:,} scenarios are too many for memory; at most {_IN_MEMORY:,} fit; "
            "use sweep_to, which writes them into a folder part by part"
        )
    parts: list[pd.DataFrame] = []
    skipped: dict[int, str] = {}
    for start in range(0, design.size, PART_ROWS):
        part = _predict(design, base, tuple(columns), start, start + PART_ROWS)
        skipped |= {start + int(row): reason for row, reason in part.attrs.pop("skipped").items()}
        parts.append(part)
    found = pd.concat(parts, ignore_index=True)
    found.attrs["skipped"] = skipped
    return found


def sweep_to(
    folder: Path | str,
    space: Mapping[str, Axis] | Design,
    base: Scenario | None = None,
    *,
    columns: Sequence[str] = RESULTS,
    kind: str = "grid",
    points: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Predict every scenario of a space into a folder of Parquet files; what is there already is not computed again.

    The files are the same to the last byte on one core, on several, and on other machines. A folder is read as one
    table: ``pandas.read_parquet(folder)``.

    Parameters
    ----------
    folder
        Of the files ``part-N.parquet``, each of 131,072 scenarios, and of ``_sweep.json``, which says the question.
        Scenarios that contradict themselves are in no file; :func:`left_out` tells of them.
    space, base, columns, kind, points, seed
        As in :func:`sweep`.
    workers
        Processes on this machine that share the work, by Dask; None: this one alone.
    scheduler
        Address of a Dask scheduler, as ``tcp://HOST:8786``; its workers need this version of migkit.
    progress
        Called with the parts done and the parts in all.

    Raises
    ------
    UsageError
        As in :func:`sweep`, or the folder holds another sweep.
    CapabilityError
        Dask is asked for and not installed.
    RunError
        A file cannot be written, or the scheduler does not answer.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = sweep_to(place + "/found", {"memory_bytes": [2**30, 2**31]})
    ...     sorted(path.name for path in folder.iterdir())
    ['_sweep.json', 'part-000000.parquet']
    """
    design = _design(space, kind, points, seed)
    _check_columns(columns)
    folder = Path(folder)
    _open(folder, design, base, columns)
    starts = range(0, design.size, PART_ROWS)
    missing = [start for start in starts if not _part(folder, start).exists()]
    done = len(starts) - len(missing)
    if progress is not None:
        progress(done, len(starts))
    parts = [(design, base, tuple(columns), start, start + PART_ROWS) for start in missing]
    paths = [_part(folder.absolute(), start) for start in missing]
    for _ in _stored(parts, paths, workers, scheduler):
        done += 1
        if progress is not None:
            progress(done, len(starts))
    return folder


def _stored(
    parts: Sequence[tuple[Any, ...]], paths: Sequence[Path], workers: int | None, scheduler: str | None
) -> Iterator[Path]:
    """Yield the path of each part as soon as it is there; processes of this machine write their parts themselves."""
    if scheduler is None:
        tasks = [(path, *part) for path, part in zip(paths, parts, strict=True)]
        for at, _ in results(_store, tasks, workers=workers):
            yield paths[at]
        return
    for at, content in results(_encoded, parts, scheduler=scheduler):
        _write(paths[at], content)
        yield paths[at]


def _store(path: Path, *part: Any) -> None:
    _write(path, _encoded(*part))


def _design(space: Mapping[str, Axis] | Design, kind: str, points: int | None, seed: int) -> Design:
    return space if isinstance(space, Design) else Design(space=space, kind=kind, points=points, seed=seed)


def _check_columns(names: Sequence[str]) -> None:
    for name in names:
        if name not in RESULTS:
            raise UsageError(f"sweep: {shown(name)} is no result; keep some of {', '.join(RESULTS)}")


def _predict(design: Design, base: Scenario | None, columns: Sequence[str], start: int, stop: int) -> pd.DataFrame:
    import pandas as pd

    asked = pd.DataFrame(design.rows(start, stop))
    found = predict_many(asked, base, on_error="skip", keep=())
    table = asked.loc[found.index].join(found[list(columns)])
    table.attrs["skipped"] = found.attrs["skipped"]
    return table


def _encoded(design: Design, base: Scenario | None, columns: Sequence[str], start: int, stop: int) -> bytes:
    """Return one part as the content of its file, with the number of each scenario; left-out ones in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _predict(design, base, columns, start, stop)
    table.insert(0, "number", start + table.index.to_numpy())
    reasons = {start + int(row): reason for row, reason in table.attrs["skipped"].items()}
    first = {number: reasons[number] for number in sorted(reasons)[:_TOLD]}
    told = {_LEFT_OUT: json.dumps({"count": len(reasons), "first": first})} if reasons else None
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(told), buffer)
    return buffer.getvalue()


def left_out(folder: Path | str) -> tuple[int, dict[int, str]]:
    """Return how many scenarios of a sweep contradict themselves, and what is wrong with the first ones.

    Parameters
    ----------
    folder
        As :func:`sweep_to` wrote it.

    Returns
    -------
    count, first
        The number of those that are in no file; reasons by the number of the scenario, at most 20 of a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     count, first = left_out(sweep_to(place + "/found", {"memory_bytes": [2**30], "streams": [0, 1]}))
    >>> count, first[0]
    (1, 'strategy.streams: 0 is too small; it must be at least 1')
    """
    import pyarrow.parquet as pq

    count = 0
    first: dict[int, str] = {}
    for path in sorted(Path(folder).glob("part-*.parquet")):
        told = json.loads((pq.read_schema(path).metadata or {}).get(_LEFT_OUT, b"{}"))
        count += told.get("count", 0)
        first |= {int(number): reason for number, reason in told.get("first", {}).items()}
    return count, first


def _part(folder: Path, start: int) -> Path:
    return folder / f"part-{start // PART_ROWS:06d}.parquet"


def _write(path: Path, content: bytes) -> None:
    try:
        with files.appearing(path, private=False) as stream:
            stream.write(content)
    except OSError as error:
        raise RunError(
            f"sweep: {path} cannot be written ({error.strerror}); what is there stays; call it again"
        ) from error


def _open(folder: Path, design: Design, base: Scenario | None, columns: Sequence[str]) -> None:
    """Make the folder of a new sweep, or find that it holds the same one."""
    from migkit import __version__

    record = {
        "migkit_version": __version__,
        "design": design.to_dict(),
        "base": schema.to_record(base) if base is not None else None,
        "columns": list(columns),
        "part_rows": PART_ROWS,
        "scenarios": design.size,
    }
    text = json.dumps(record, indent=2)
    manifest = folder / _MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if manifest.exists():
            if manifest.read_text() == text:
                return
            raise UsageError(f"sweep: {folder} holds another sweep ({manifest}); name another folder or remove it")
        if any(folder.iterdir()):
            raise UsageError(f"sweep: {folder} holds other files; name an empty folder")
    except OSError as error:
        raise UsageError(f"sweep: {folder} cannot be used ({error.strerror}); name another folder") from error
    _write(manifest, text.encode())
