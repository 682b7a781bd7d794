"""Traces as files: one self-describing Parquet file a run.

The samples are its rows. Its metadata hold, as JSON under ``migkit``, everything else: the
schema version, the scenario, the machine, the rounds, the outcome and the provenance. Under
``migkit.sha256`` stands the SHA-256 of the whole file with that digest itself written as
64 zeros, so that a truncated or altered file is refused before anything in it is parsed.
Any Parquet reader can open the file.

The digest is filled in once the file is complete, since it covers the footer that holds it. A digest that is known
before the footer is written would leave out where the columns lie, and one in a file beside it would be lost when the
trace is moved.

Whoever alters a file can seal it anew. So a reader counts rows and bytes as the file's metadata and each of its
pages (:mod:`migkit.traces.unpacked`) say them before it unpacks one. It takes no column or key that it does not
know.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit import files
from migkit.errors import RunError, TraceError, UsageError, shown
from migkit.scenario.form.schema import from_record, to_record
from migkit.scenario.policy import UnknownPolicyError
from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, SCHEMA_VERSION, Outcome, Trace
from migkit.traces.unpacked import check_pages
from migkit.units import MIB

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["IMPORTED", "decode", "read", "read_table", "write", "write_table"]

IMPORTED: Final = "imported"  # the kind of a log that others wrote: no trace, but in the same kind of file

_MANIFEST: Final = b"migkit"
_DIGEST: Final = b"migkit.sha256"
_MARK: Final = _DIGEST + b"\x18\x40"  # how Parquet's footer writes that key and a text of 64 bytes
_ZEROS: Final = b"0" * 64
_MOST_FILE_BYTES: Final = 64 * MIB
_MOST_MANIFEST_BYTES: Final = 16 * MIB
_MOST_ROWS: Final = 1 << 20  # a reading each 100 ms for 29 hours
_MOST_TEXT: Final = 64
_TEXTS: Final = ["phase", "status", "mode"]
_MOST_ENTRIES: Final = 10_000  # of any list in Parquet's own metadata
_KEYS: Final = ("schema_version", "kind", "scenario", "machine", "outcome", "rounds", "provenance")


def write(trace: Trace, path: Path | str, *, force: bool = False) -> Path:
    """Write ``trace`` as one Parquet file; it has its name only when it is complete.

    Parameters
    ----------
    trace
        The run.
    path
        Of the file, by custom ``*.parquet``.
    force
        Overwrite a file of that name.

    Raises
    ------
    UsageError
        The file exists (without ``force``), or its folder does not.
    RunError
        The disk is full or the folder not writable.
    """
    return _put(_encode(trace), path, force)


def write_table(table: pa.Table, manifest: Mapping[str, Any], path: Path | str, *, force: bool = False) -> Path:
    """Write a table that is no trace, with a manifest of its own, sealed and placed as a trace is.

    Raises
    ------
    UsageError
        The file exists (without ``force``), or its folder does not.
    RunError
        The disk is full or the folder not writable.
    """
    text = json.dumps({"schema_version": SCHEMA_VERSION, **manifest}, allow_nan=False, sort_keys=True)
    return _put(_seal(table.replace_schema_metadata(None), text), path, force)


def _put(raw: bytes, path: Path | str, force: bool) -> Path:
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"trace {path}: the folder {path.parent} does not exist; create it or write elsewhere")
    if path.exists() and not force:
        raise _exists(path)
    _place(raw, path, force)
    return path


def read(path: Path | str) -> Trace:
    """Read a trace and check that it is whole, unaltered and consistent in itself.

    Raises
    ------
    TraceError
        The file cannot be read, is no trace, is truncated or altered, has another schema
        version, or contradicts itself.
    """
    path = Path(path)
    raw = _slurp(path)
    try:
        return decode(raw)
    except TraceError as error:
        raise TraceError(f"trace {path}{str(error).removeprefix('trace')}") from error


def _encode(trace: Trace) -> bytes:
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": trace.kind,
        "scenario": to_record(trace.scenario),
        "machine": dict(trace.machine),
        "outcome": dataclasses.asdict(trace.outcome),
        "rounds": trace.rounds.to_pydict(),
        "provenance": dict(trace.provenance),
    }
    text = json.dumps(manifest, allow_nan=False, sort_keys=True)
    if trace.samples.num_rows > _MOST_ROWS or len(text) > _MOST_MANIFEST_BYTES:
        raise RunError(
            f"trace: {trace.samples.num_rows} rows and a manifest of {len(text)} B are more than a file may have, "
            f"{_MOST_ROWS} and {_MOST_MANIFEST_BYTES} B; record a shorter run"
        )
    return _seal(trace.samples.replace_schema_metadata(None), text)


def _seal(table: pa.Table, text: str) -> bytes:
    """Return a Parquet file of ``table`` with the manifest ``text`` and the checksum of it all."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer, table.schema, compression="zstd", store_schema=False, write_page_checksum=True
    ) as writer:
        if table.num_rows:  # without rows there is no group of them, whose pages could be checked
            writer.write_table(table)
        writer.add_key_value_metadata({_MANIFEST.decode(): text, _DIGEST.decode(): _ZEROS.decode()})
    raw = bytearray(buffer.getvalue())
    at = raw.rindex(_MARK) + len(_MARK)
    raw[at : at + 64] = hashlib.sha256(raw).hexdigest().encode()
    return bytes(raw)


def _place(raw: bytes, path: Path, force: bool) -> None:
    try:
        with files.appearing(path, replace=force) as stream:
            stream.write(raw)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise RunError(f"trace {path}: cannot be written ({error.strerror}); write it elsewhere") from error


def _exists(path: Path) -> UsageError:
    return UsageError(
        f"trace {path}: exists already and is never overwritten unasked; choose another name or --force"
    )


def _slurp(path: Path) -> bytes:
    try:
        return files.read(path, _MOST_FILE_BYTES)
    except OSError as error:
        raise TraceError(f"trace {path}: cannot be read ({error.strerror}); check the path") from error


def read_table(raw: bytes, known: Collection[str] = tuple(SAMPLE_COLUMNS)) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows and the manifest of a sealed file, whatever its kind.

    Parameters
    ----------
    raw
        The file.
    known
        The columns that it may have.

    Raises
    ------
    TraceError
        It is no such file, truncated, altered, too large, or of another schema version.
    """
    import pyarrow as pa

    _check_whole(raw)
    try:
        file = _opened(raw, [])
        manifest = _manifest(file)
        _check_table(file, manifest, known)
        check_pages(raw, file.metadata)
        table = _plain(_opened(raw, [name for name in _TEXTS if name in file.schema.names]).read())
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        raise error if isinstance(error, TraceError) else _unreadable(error) from error
    return table, manifest


def decode(raw: bytes) -> Trace:
    """Return the trace in the bytes of a file.

    Raises
    ------
    TraceError
        As :func:`read`.
    """
    import pyarrow as pa

    table, manifest = read_table(raw)
    if table.column_names != list(SAMPLE_COLUMNS):
        raise TraceError(f"trace: its columns are not {', '.join(SAMPLE_COLUMNS)}; capture it anew")
    try:
        return _build(table, manifest)
    except TraceError:
        raise
    except UnknownPolicyError as error:
        name = manifest["scenario"]["policy"]["name"]
        raise TraceError(
            f"trace: its policy {shown(name)} is not registered here; import the module that registers it, on the "
            "command line with --import MODULE"
        ) from error
    except (pa.ArrowException, UsageError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TraceError(
            f"trace: its manifest is not of this schema ({_first_line(error)}); capture it anew"
        ) from error


def _manifest(file: pq.ParquetFile) -> dict[str, Any]:
    """Return the manifest of a file, once it is known how large it is."""
    text = (file.metadata.metadata or {})[_MANIFEST]
    if len(text) > _MOST_MANIFEST_BYTES:
        raise TraceError(f"trace: a manifest of {len(text)} B; one has at most {_MOST_MANIFEST_BYTES} B")
    manifest = files.parse_json(text)
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise TraceError(_other_version(version))
    assert isinstance(manifest, dict)
    return manifest


def _check_table(file: pq.ParquetFile, manifest: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise unless a file has no other columns than those known, each once, and not too many rows."""
    names = file.schema.names
    if not set(names) <= set(known) or len(names) != len(set(names)):
        if manifest.get("kind") == IMPORTED:
            raise TraceError(
                "trace: an imported log, which has no scenario and no exact rounds; give a captured trace"
            )
        raise TraceError(f"trace: its columns are not {', '.join(known)}; capture it anew")
    if not 0 <= file.metadata.num_rows <= _MOST_ROWS:
        raise TraceError(f"trace: {file.metadata.num_rows} rows; a trace has at most {_MOST_ROWS}")


def _opened(raw: bytes, dictionaries: list[str]) -> pq.ParquetFile:
    """Open a file; a text of ``dictionaries`` stays as small as it is in the file until it is known to be short."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        io.BytesIO(raw),
        page_checksum_verification=True,
        read_dictionary=dictionaries,
        thrift_string_size_limit=_MOST_FILE_BYTES,
        thrift_container_size_limit=_MOST_ENTRIES,
    )


def _plain(table: pa.Table) -> pa.Table:
    """Return a table with its texts as text, each of which is short."""
    import pyarrow as pa

    for at, name in enumerate(table.column_names):
        texts = table.column(name)
        if not pa.types.is_dictionary(texts.type):
            continue
        for chunk in texts.chunks:
            _check_texts(name, chunk.dictionary.to_pylist())
        table = table.set_column(at, name, texts.cast(pa.string()))
    return table


def _check_texts(name: str, texts: Iterable[str | None]) -> None:
    long = next((text for text in texts if text is not None and len(text) > _MOST_TEXT), None)
    if long is not None:
        raise TraceError(f"trace: {name} {shown(long)} is longer than {_MOST_TEXT} characters; capture it anew")


def _unreadable(error: Exception) -> TraceError:
    return TraceError(f"trace: no readable manifest ({_first_line(error)}); capture it anew")


def _check_whole(raw: bytes) -> None:
    if not raw.startswith(b"PAR1"):
        raise TraceError("trace: not a trace (no Parquet file); give a file that `migkit capture -o` wrote")
    if not raw.endswith(b"PAR1"):
        raise TraceError("trace: truncated (its end is missing); copy or capture it anew")
    at = raw.rfind(_MARK)
    if at < 0:
        raise TraceError("trace: not a trace (a Parquet file without migkit's manifest); capture one with migkit")
    digest = raw[at + len(_MARK) : at + len(_MARK) + 64]
    blank = hashlib.sha256(raw[: at + len(_MARK)])
    blank.update(_ZEROS)
    blank.update(raw[at + len(_MARK) + 64 :])
    if blank.hexdigest().encode() != digest:
        raise TraceError("trace: altered (its checksum does not match its content); copy or capture it anew")


def _other_version(version: Any) -> str:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        advice = "it was written by a newer migkit: upgrade migkit to read it"
    else:
        advice = "it was written by an older migkit: read it with that version, or capture it anew"
    return f"trace: schema version {shown(version)}, but this migkit reads version {SCHEMA_VERSION}; {advice}"


def _build(table: Any, manifest: dict[str, Any]) -> Trace:
    unknown = files.unknown_keys(manifest, _KEYS)
    if unknown:
        raise TraceError(f"trace: {shown(unknown)} is no key of a manifest; they are {', '.join(_KEYS)}")
    rounds = make_table(ROUND_COLUMNS, manifest["rounds"])
    return Trace(
        scenario=from_record(_with_layout(manifest["scenario"])),
        kind=manifest["kind"],
        machine=manifest["machine"],
        samples=table.replace_schema_metadata(None),
        rounds=rounds,
        outcome=Outcome(**manifest["outcome"]),
        provenance=manifest["provenance"],
    )


def _with_layout(scenario: Any) -> Any:
    """Return a scenario's record with the layout; before records said so, every guest of a trace lay in blocks."""
    if not isinstance(scenario, dict) or not isinstance(scenario.get("guest"), dict):
        return scenario
    return scenario | {"guest": {"layout": "blocks"} | scenario["guest"]}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
