"""Traces as files: one self-describing Parquet file a run.

The samples are its rows. Its metadata hold, as JSON under ``migkit``, everything else: the
schema version, the scenario, the machine, the rounds, the outcome and the provenance. Under
``migkit.sha256`` stands the SHA-256 of the whole file with that digest itself written as
64 zeros, so that a truncated or altered file is refused before anything in it is parsed.
Any Parquet reader can open the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import RunError, TraceError, UsageError
from migkit.scenario.schema import from_record, to_record
from migkit.traces.columns import make_table
from migkit.traces.schema import ROUND_COLUMNS, SCHEMA_VERSION, Outcome, Trace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read", "write"]

_MANIFEST: Final = b"migkit"
_DIGEST: Final = b"migkit.sha256"
_MARK: Final = _DIGEST + b"\x18\x40"  # how Parquet's footer writes that key and a text of 64 bytes
_ZEROS: Final = b"0" * 64
_MAX_FILE_BYTES: Final = 1 << 30


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
    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"trace {path}: the folder {path.parent} does not exist; create it or write elsewhere")
    if path.exists() and not force:
        raise _exists(path)
    _place(_encode(trace), path, force)
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
        return _decode(raw)
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
    return _seal(trace.samples.replace_schema_metadata(None), text)


def _seal(table: pa.Table, text: str) -> bytes:
    """Return a Parquet file of ``table`` with the manifest ``text`` and the checksum of it all."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer, table.schema, compression="zstd", store_schema=False, write_page_checksum=True
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_MANIFEST.decode(): text, _DIGEST.decode(): _ZEROS.decode()})
    raw = bytearray(buffer.getvalue())
    at = raw.rindex(_MARK) + len(_MARK)
    raw[at : at + 64] = hashlib.sha256(raw).hexdigest().encode()
    return bytes(raw)


def _place(raw: bytes, path: Path, force: bool) -> None:
    """Write beside ``path``, then give the file its name in one step."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), 0o644)
        if force:
            Path(temporary).replace(path)
        else:
            os.link(temporary, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise RunError(f"trace {path}: cannot be written ({error.strerror}); write it elsewhere") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()


def _exists(path: Path) -> UsageError:
    return UsageError(
        f"trace {path}: exists already and is never overwritten unasked; choose another name or --force"
    )


def _slurp(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TraceError(f"trace {path}: cannot be read ({error.strerror}); check the path") from error
    if len(raw) > _MAX_FILE_BYTES:
        raise TraceError(f"trace {path}: larger than 1 GiB; a trace is far smaller, so this is none")
    return raw


def _decode(raw: bytes) -> Trace:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_whole(raw)
    try:
        table = pq.ParquetFile(io.BytesIO(raw), page_checksum_verification=True).read()
        manifest = json.loads((table.schema.metadata or {})[_MANIFEST])
    except (pa.ArrowException, OSError, KeyError, ValueError, RecursionError) as error:
        raise TraceError(f"trace: no readable manifest ({_first_line(error)}); capture it anew") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise TraceError(_other_version(version))
    try:
        return _build(table, manifest)
    except TraceError:
        raise
    except (pa.ArrowException, UsageError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TraceError(
            f"trace: its manifest is not of this schema ({_first_line(error)}); capture it anew"
        ) from error


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
    return f"trace: schema version {version}, but this migkit reads version {SCHEMA_VERSION}; {advice}"


def _build(table: Any, manifest: dict[str, Any]) -> Trace:
    rounds = make_table(ROUND_COLUMNS, manifest["rounds"])
    return Trace(
        scenario=from_record(manifest["scenario"]),
        kind=manifest["kind"],
        machine=manifest["machine"],
        samples=table.replace_schema_metadata(None),
        rounds=rounds,
        outcome=Outcome(**manifest["outcome"]),
        provenance=manifest["provenance"],
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
