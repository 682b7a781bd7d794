"""The file form of a scenario: text with units, unknown keys refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migkit import units
from migkit.errors import UsageError
from migkit.scenario._fields import file_key, unit_kind
from migkit.scenario.scenario import Scenario

__all__ = ["SCHEMA_VERSION", "from_mapping", "from_record", "load", "to_record"]

SCHEMA_VERSION = 1
_PARSERS = {"size": units.size, "rate": units.rate, "time": units.duration}


def load(path: Path | str) -> Scenario:
    """Read a scenario from a TOML file.

    Raises
    ------
    UsageError
        The file cannot be read, is no TOML, or holds a key or value that is not allowed.
    """
    try:
        with Path(path).open("rb") as stream:
            mapping = tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"scenario {path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"scenario {path}: not a TOML file ({error})") from error
    return from_mapping(mapping)


def from_mapping(mapping: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a parsed file says.

    Examples
    --------
    >>> from_mapping({"guest": {"memory": "1 GiB"}, "policy": {"downtime_limit": "50 ms"}}).policy.downtime_limit_s
    0.05
    >>> from_mapping({"guest": {"memry": "1 GiB"}})
    Traceback (most recent call last):
    migkit.errors.UsageError: guest.memry: not a known key; did you mean "memory"?
    """
    scenario: Scenario = _build(Scenario, dict(mapping), "")
    return scenario


def to_record(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as plain numbers, for JSON: names carry units, infinity is None."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and math.isinf(value) else value

    record: dict[str, Any] = plain(dataclasses.asdict(scenario))
    return record


def from_record(record: Mapping[str, Any]) -> Scenario:
    """Return the scenario that :func:`to_record` wrote.

    Examples
    --------
    >>> from migkit.scenario import Guest
    >>> scenario = Scenario(guest=Guest(memory_bytes=2**28))
    >>> from_record(to_record(scenario)) == scenario
    True
    """
    scenario: Scenario = _revive(Scenario, record, "")
    return scenario


def _build(cls: Any, mapping: Any, path: str) -> Any:
    """Return ``cls`` from a table of a file; text with units becomes numbers."""
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: {mapping!r} is not a table; write [{path}] and its keys below it")
    hints = typing.get_type_hints(cls)
    known = {file_key(f.name): f for f in dataclasses.fields(cls)}
    values = {}
    for key, value in mapping.items():
        where = f"{path}.{key}" if path else key
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            advice = f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(known)}"
            raise UsageError(f"{where}: not a known key; {advice}")
        field = known[key]
        values[field.name] = _value(field.name, hints[field.name], value, where)
    for key, field in known.items():
        if field.default is dataclasses.MISSING and field.name not in values:
            raise UsageError(f"{path + '.' if path else ''}{key}: missing; it is required")
    return cls(**values)


def _value(name: str, hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if name == "settings":
        return _settings(value, where)
    if typing.get_origin(hint) is tuple:
        return _sequence(hint, value, where)
    kind = unit_kind(name)
    if kind is not None:
        return _PARSERS[kind](value, where)
    return _plain(hint, value, where)


def _settings(value: Any, where: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {value!r} is not a table; write {{ name = number }}, the name carries the unit")
    return tuple((name, _plain(float, number, f"{where}.{name}")) for name, number in value.items())


def _sequence(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: {value!r} is not a list")
    item = typing.get_args(hint)[0]
    if dataclasses.is_dataclass(item):
        return tuple(_build(item, entry, f"{where}[{i}]") for i, entry in enumerate(value))
    steps = []
    for i, entry in enumerate(value):
        if not (isinstance(entry, list) and len(entry) == 2):
            raise UsageError(f'{where}[{i}]: {entry!r} is not a step; write it as ["4 s", 1.0]')
        steps.append((units.duration(entry[0], f"{where}[{i}]"), _plain(float, entry[1], f"{where}[{i}]")))
    return tuple(steps)


def _plain(hint: Any, value: Any, where: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if any(type(value) is kind for kind in allowed):
        return value
    words = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    raise UsageError(f"{where}: {value!r} is not {next(words[kind] for kind in allowed if kind in words)}")


def _revive(cls: Any, record: Any, where: str) -> Any:
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}
    if not isinstance(record, Mapping) or not names >= record.keys():
        raise UsageError(f"{where or 'scenario'}: not a scenario record of schema version {SCHEMA_VERSION}")
    values: dict[str, Any] = {}
    for name, value in record.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            values[name] = _revive(hint, value, name)
        elif typing.get_origin(hint) is tuple:
            item = typing.get_args(hint)[0]
            values[name] = tuple(
                _revive(item, v, name) if dataclasses.is_dataclass(item) else tuple(v) for v in value
            )
        else:
            values[name] = math.inf if value is None and hint is float else value
    return cls(**values)
