"""A calibration as a JSON file, checked when it is read."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Final

from migkit import files
from migkit.calibrate.fit import Calibration
from migkit.errors import MigkitError, RunError, UsageError, shown
from migkit.scenario import Host
from migkit.traces.provenance import provenance
from migkit.units import MIB

__all__ = ["SCHEMA_VERSION", "from_dict", "load", "save", "to_dict"]

SCHEMA_VERSION: Final = 1
_MOST_FILE_BYTES: Final = MIB
_KEYS: Final = ("schema_version", "provenance", *(field.name for field in dataclasses.fields(Calibration)))


def to_dict(calibration: Calibration) -> dict[str, Any]:
    """Return a calibration as plain values for JSON; infinity is the text "inf"."""
    record = dataclasses.asdict(calibration)
    record["host"] = {name: "inf" if value == math.inf else value for name, value in record["host"].items()}
    record["covariance"] = [list(row) for row in calibration.covariance]
    return {"schema_version": SCHEMA_VERSION, "provenance": provenance()} | record


def from_dict(record: dict[str, Any]) -> Calibration:
    """Return the calibration that :func:`to_dict` wrote.

    Raises
    ------
    UsageError
        Another schema version, or not a calibration.
    """
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise UsageError(
            f"calibration: schema version {shown(version)}, but this migkit reads version {SCHEMA_VERSION}; "
            "calibrate anew"
        )
    unknown = files.unknown_keys(record, _KEYS)
    if unknown:
        raise UsageError(f"calibration: {shown(unknown)} is no key of one; calibrate anew")
    try:
        return _build(record)
    except MigkitError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(
            f"calibration: its record is not of this schema ({shown(str(error))}); calibrate anew"
        ) from error


def save(calibration: Calibration, path: Path | str) -> Path:
    """Write a calibration; it has its name only when it is complete."""
    path = Path(path)
    text = json.dumps(to_dict(calibration), indent=2, allow_nan=False) + "\n"
    try:
        with files.appearing(path) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise RunError(f"calibration {path}: cannot be written ({error.strerror}); write it elsewhere") from error
    return path


def load(path: Path | str) -> Calibration:
    """Read a calibration.

    Raises
    ------
    UsageError
        The file cannot be read, is no JSON, or no calibration of this schema version.
    """
    try:
        record = files.parse_json(files.read(path, _MOST_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"calibration {path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UsageError(f"calibration {path}: not a JSON file ({str(error)[:200]}); calibrate anew") from error
    return from_dict(record)


def _build(record: dict[str, Any]) -> Calibration:
    host: dict[str, Any] = {name: math.inf if value == "inf" else value for name, value in record["host"].items()}
    return Calibration(
        host=Host(**host),
        constants=tuple(record["constants"]),
        standard_errors={name: _finite(value) for name, value in record["standard_errors"].items()},
        covariance=tuple(tuple(_finite(value) for value in row) for row in record["covariance"]),
        identified_by=dict(record["identified_by"]),
        refused=dict(record["refused"]),
        residuals={name: tuple(_finite(value) for value in row) for name, row in record["residuals"].items()},
        runs=int(record["runs"]),
        kind=str(record["kind"]),
    )


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number
