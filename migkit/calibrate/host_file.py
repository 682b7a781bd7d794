"""Calibrated hosts as a TOML file: constants, standard errors, what told them and what could not be told.

Numbers are plain and their units stand in the names, so that a file gives back the very numbers that were fitted.
``[spreads]`` holds how uncertain those are that predictions draw: standard deviations of their logarithms, and
``[factors]`` by what single runs differed where enough of them told.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from migkit import files
from migkit.calibrate.fit import Calibration
from migkit.errors import MigkitError, UsageError, shown
from migkit.scenario import Host, Scenario
from migkit.scenario.form.declaration import file_key
from migkit.scenario.installation.typical import Estimate
from migkit.traces.provenance import provenance
from migkit.units import MIB

__all__ = ["Drift", "drift", "load", "on_host", "text", "write"]

SCHEMA_VERSION: Final = 1
_TABLES: Final = ("host", "spreads", "factors", "standard_errors", "told_by", "cannot_tell", "provenance")
_KEYS: Final = ("schema_version", "kind", "runs", "covariance", *_TABLES)
_SURE: Final = 3.0  # standard errors


class Drift(NamedTuple):
    """One constant then and now, and how far apart the two are, in standard errors of their difference."""

    name: str
    before: float
    now: float
    standard_errors: float

    @property
    def drifted(self) -> bool:
        """Whether they differ by more than three standard errors and by more than 1 %."""
        return self.standard_errors > _SURE and abs(self.now - self.before) > 0.01 * abs(self.before)


def text(calibration: Calibration) -> str:
    """Return the file: in ``[host]`` what was fitted and what differs from the defaults.

    Examples
    --------
    >>> from migkit.calibrate import fit
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/postcopy-4t-1.json.gz"))[0]
    >>> "setup_s = 0.001" in text(fit([], logs=[log]))
    True
    """
    return "\n".join(_lines(calibration)) + "\n"


def _lines(calibration: Calibration) -> Iterator[str]:
    yield "# Constants of two hosts, fitted by migkit calibrate. Use: migkit predict --host FILE"
    yield f"schema_version = {SCHEMA_VERSION}"
    yield f"kind = {_value(calibration.kind)}"
    yield f"runs = {calibration.runs}"
    yield f"covariance = [{', '.join(_value(list(row)) for row in calibration.covariance)}]"
    plain = Host()
    host = {
        field.name: getattr(calibration.host, field.name)
        for field in dataclasses.fields(Host)
        if field.name in calibration.constants or getattr(calibration.host, field.name) != getattr(plain, field.name)
    }
    spreads = {name: value.spread for name, value in host.items() if isinstance(value, Estimate)}
    factors = {name: list(value.factors) for name, value in host.items() if getattr(value, "factors", ())}
    order = {name: host[name] for name in (*calibration.constants, *host)}
    made = {key: value for key, value in provenance().items() if isinstance(value, str | int | float)}
    tables: tuple[Mapping[str, Any], ...] = (
        order,
        spreads,
        factors,
        calibration.standard_errors,
        calibration.identified_by,
        calibration.refused,
        made,
    )
    for name, table in zip(_TABLES, tables, strict=True):
        yield ""
        yield f"[{name}]"
        yield from (f"{key} = {_value(value)}" for key, value in table.items() if value is not None)


def _value(value: Any) -> str:
    """Return a value as TOML: text, a number, or a list of numbers."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        plain = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else " " for c in plain) + '"'
    return repr(value) if isinstance(value, int) or math.isfinite(value) else "inf"


def write(path: Path, calibration: Calibration) -> None:
    """Write the file; it appears whole or not at all.

    Raises
    ------
    UsageError
        It cannot be written.
    """
    try:
        with files.appearing(path, private=False) as stream:
            stream.write(text(calibration).encode())
    except OSError as error:
        raise UsageError(f"host {path}: cannot be written ({error.strerror}); choose another file") from error


def load(path: Path | str) -> Calibration:
    """Read the file that :func:`write` wrote.

    Raises
    ------
    UsageError
        It cannot be read, or is no such file.
    """
    try:
        record = files.parse_toml(files.read(path, MIB).decode("utf-8"))
        return _calibration(record)
    except OSError as error:
        raise UsageError(f"host {path}: cannot be read ({error.strerror}); check the path") from error
    except MigkitError as error:
        raise UsageError(f"host {path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = " ".join(str(error).split())[:120]
        raise UsageError(f"host {path}: not a file of migkit calibrate ({said}); calibrate anew") from error


def _calibration(record: Mapping[str, Any]) -> Calibration:
    unknown = files.unknown_keys(record, _KEYS)
    if unknown:
        raise ValueError(f"{shown(unknown)} is no key of one")
    if record.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema version {shown(record.get('schema_version'))}, this migkit reads {SCHEMA_VERSION}")
    host = {key: _number(key, value) for key, value in record["host"].items()}
    for key, spread in record.get("spreads", {}).items():
        factors = tuple(sorted(_number("factors", one) for one in record.get("factors", {}).get(key, ())))
        if factors and not 0.0 < factors[0] <= factors[-1] < math.inf:
            raise ValueError(f"factors of {key} are not all above 0")
        host[key] = Estimate(host[key], max(0.0, _number("spreads", spread)), "a calibration", factors)
    unknown = files.unknown_keys(host, [field.name for field in dataclasses.fields(Host)])
    if unknown:
        raise ValueError(f"{shown(unknown)} is no constant of a host")
    errors = {key: _number(key, value) for key, value in record["standard_errors"].items()}
    covariance = tuple(tuple(_number("covariance", v) for v in row) for row in record["covariance"])
    if any(len(row) != len(errors) for row in covariance) or len(covariance) != len(errors) or errors.keys() - host:
        raise ValueError("its covariance, errors and constants do not go together")
    constants: dict[str, Any] = {key: int(value) if key == "firmware_bytes" else value for key, value in host.items()}
    return Calibration(
        host=Host(**constants),
        constants=tuple(errors),
        standard_errors=errors,
        covariance=covariance,
        identified_by={str(key): str(value) for key, value in record["told_by"].items()},
        refused={str(key): str(value) for key, value in record["cannot_tell"].items()},
        residuals={},
        runs=int(record["runs"]),
        kind=str(record["kind"]),
    )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    return float(value)


def on_host(case: Scenario, tables: Mapping[str, Any], path: Path | str) -> Scenario:
    """Return ``case`` on the hosts of a file; what the scenario or flags give of a host has precedence.

    Raises
    ------
    UsageError
        As :func:`load`.
    """
    given = tables.get("host", {})
    own = {f.name: getattr(case.host, f.name) for f in dataclasses.fields(Host) if file_key(f.name) in given}
    return dataclasses.replace(case, host=dataclasses.replace(load(path).host, **own))


def drift(before: Calibration, now: Calibration) -> tuple[Drift, ...]:
    """Return each constant that both tell, then and now.

    Examples
    --------
    >>> drift(Calibration(host=Host(), constants=(), standard_errors={}, covariance=(), identified_by={}, refused={},
    ...                   residuals={}, runs=1, kind="qemu"), Calibration(host=Host(), constants=(),
    ...       standard_errors={}, covariance=(), identified_by={}, refused={}, residuals={}, runs=1, kind="qemu"))
    ()
    """
    return tuple(
        Drift(name, old, new, abs(new - old) / max(error, 1e-300))
        for name in now.constants
        if name in before.constants
        for old, new in [(float(getattr(before.host, name)), float(getattr(now.host, name)))]
        for error in [math.hypot(before.standard_errors[name], now.standard_errors[name])]
    )
