"""The file form of a scenario: text with units, unknown keys refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from migkit import units
from migkit.errors import UsageError
from migkit.scenario._fields import file_key, may_be_unlimited, unit_kind
from migkit.scenario.scenario import Scenario

__all__ = [
    "SCHEMA_VERSION",
    "from_mapping",
    "from_record",
    "load",
    "read",
    "read_text",
    "to_record",
]

SCHEMA_VERSION: Final = 1
UNLIMITED: Final = "unlimited"
_PARSERS = {"size": units.size, "rate": units.rate, "time": units.duration}
WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def load(path: Path | str) -> Scenario:
    """Read a scenario from a TOML file, or from a JSON file of the same keys.

    Raises
    ------
    UsageError
        The file cannot be read, is no TOML or JSON, or holds a key or value that is not allowed.
    """
    return from_mapping(read(path), Path(path).parent)


def read(path: Path | str) -> dict[str, Any]:
    """Return the tables of a scenario file, not yet checked.

    Raises
    ------
    UsageError
        The file cannot be read, or is no TOML or JSON.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"scenario {path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"scenario {path}: not a text file; write TOML in UTF-8") from error
    try:
        return read_text(text, "JSON" if path.suffix == ".json" else "TOML")
    except UsageError as error:
        raise UsageError(f"scenario {path}: {error}") from error


def read_text(text: str, kind: str = "TOML") -> dict[str, Any]:
    """Return the tables that TOML or JSON text says, not yet checked.

    Raises
    ------
    UsageError
        It is no such text, or no table.

    Examples
    --------
    >>> read_text('[guest]\\nmemory = "1 GiB"')
    {'guest': {'memory': '1 GiB'}}
    """
    try:
        mapping = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"not a {kind} file ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise UsageError("nested too deeply; a scenario has two levels") from error
    if not isinstance(mapping, dict):
        raise UsageError("not a table; write an object with guest, link, policy and strategy")
    return mapping


def from_mapping(mapping: Mapping[str, Any], folder: Path | str = ".") -> Scenario:
    """Return the scenario that a parsed file says.

    Parameters
    ----------
    mapping
        Tables ``guest``, ``link``, ``host``, ``policy``, ``strategy``, and optionally ``schema_version``.
    folder
        Where a relative path in it, such as ``guest.profile``, starts.

    Raises
    ------
    UsageError
        A key or a value is not allowed.

    Examples
    --------
    >>> from_mapping({"guest": {"memory": "1 GiB"}, "policy": {"downtime_limit": "50 ms"}}).policy.downtime_limit_s
    0.05
    >>> from_mapping({"guest": {"memry": "1 GiB"}})
    Traceback (most recent call last):
    migkit.errors.UsageError: guest.memry: not a known key; did you mean "memory"?
    """
    tables = dict(mapping)
    _check_version(tables.pop("schema_version", SCHEMA_VERSION))
    guest = tables.get("guest")
    if isinstance(guest, dict) and "profile" in guest:
        tables["guest"] = _with_profile(guest, Path(folder))
    scenario: Scenario = _build(Scenario, tables, "")
    return scenario


def to_record(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as plain numbers, for JSON: names carry units, infinity is None.

    Examples
    --------
    >>> to_record(from_mapping({"guest": {"memory": "1 GiB"}}))["guest"]["memory_bytes"]
    1073741824
    """

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

    Raises
    ------
    UsageError
        It is not such a record.

    Examples
    --------
    >>> from migkit.scenario import Guest
    >>> scenario = Scenario(guest=Guest(memory_bytes=2**28))
    >>> from_record(to_record(scenario)) == scenario
    True
    """
    scenario: Scenario = _revive(Scenario, record, "scenario")
    return scenario


def _check_version(version: Any) -> None:
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        raise UsageError(
            f"schema_version: {version!r} is not known; this migkit reads version {SCHEMA_VERSION}; "
            "upgrade migkit or rewrite the file"
        )


def _with_profile(guest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the guest's table with a measured profile replaced by what it says: classes and memory."""
    from migkit.scenario import profile

    if "dirty" in guest:
        raise UsageError("guest.profile: guest.dirty is given as well; leave out one of the two")
    if not isinstance(guest["profile"], str):
        raise UsageError(f"guest.profile: {guest['profile']!r} is not text; give the path of a dirty profile")
    measured = profile.load(folder / guest["profile"])
    table = {key: value for key, value in guest.items() if key != "profile"}
    table.setdefault("memory", f"{measured.guest_bytes} B")
    return table | {"dirty": measured.classes()}


@functools.cache
def hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _build(cls: Any, mapping: Any, path: str) -> Any:
    """Return ``cls`` from a table of a file; text with units becomes numbers."""
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: {mapping!r} is not a table; write [{path}] and its keys below it")
    known = {file_key(f.name): f for f in dataclasses.fields(cls)}
    values = {}
    for key, value in mapping.items():
        where = f"{path}.{key}" if path else key
        if key not in known:
            raise UsageError(f"{where}: not a known key; {_advice(str(key), _keys(path, known))}")
        values[known[key].name] = _value(known[key], hints(cls)[known[key].name], value, where)
    for key, field in known.items():
        if field.default is dataclasses.MISSING and field.name not in values:
            raise UsageError(f"{path + '.' if path else ''}{key}: missing; it is required")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(_as_in_file(cls, str(error))) from error


def _as_in_file(cls: Any, message: str) -> str:
    """Return a record's message with the key that a file has in place of the field that it names first."""
    where, colon, rest = message.partition(":")
    table, dot, name = where.rpartition(".")
    if name in {field.name for field in dataclasses.fields(cls)}:
        name = file_key(name)
    return f"{table}{dot}{name}{colon}{rest}"


def _keys(path: str, known: Mapping[str, Any]) -> list[str]:
    """Return every key that a table may have."""
    return [*known, *{"guest": ["profile"], "": ["schema_version"]}.get(path, [])]


def _advice(key: str, known: list[str]) -> str:
    """Name the nearest known key: in letters, or the one that ``key`` spells with a unit."""
    near = [k for k in known if k == file_key(key)] or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(known)}"


def _value(field: dataclasses.Field[Any], hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if field.name == "settings":
        return _settings(value, where)
    if typing.get_origin(hint) is tuple:
        return _sequence(hint, value, where)
    if value == UNLIMITED and may_be_unlimited(field):
        return math.inf
    kind = unit_kind(field.name)
    if kind is None:
        return _plain(hint, value, where)
    number = _PARSERS[kind](value, where)
    choices = field.metadata.get("choices")
    if choices and number not in choices:
        raise UsageError(
            f'{where}: "{value}" is not known; use one of {", ".join(units.format_size(c) for c in choices)}'
        )
    return number


def _settings(value: Any, where: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {value!r} is not a table; write {{ name = number }}, the name carries the unit")
    return tuple((name, _plain(float, number, f"{where}.{name}")) for name, number in value.items())


def _sequence(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    item = typing.get_args(hint)[0]
    tables = dataclasses.is_dataclass(item)
    if not isinstance(value, list):
        raise UsageError(f"{where}: {value!r} is not a list" + (f"; write [[{where}]] for each" if tables else ""))
    if tables:
        return tuple(_item(item, entry, where, i) for i, entry in enumerate(value))
    return tuple(_step(entry, f"{where}[{i}]") for i, entry in enumerate(value))


def _item(cls: Any, entry: Any, where: str, index: int) -> Any:
    """Return one record of a list; an error names which one."""
    if isinstance(entry, cls):
        return entry
    try:
        return _build(cls, entry, f"{where}[{index}]")
    except UsageError as error:
        raise UsageError(str(error).replace(f"{where}.", f"{where}[{index}].", 1)) from error


def _step(entry: Any, where: str) -> tuple[float, float]:
    if not (isinstance(entry, list) and len(entry) == 2):
        raise UsageError(f'{where}: {entry!r} is not a step; write it as ["4 s", 1.0]')
    return units.duration(entry[0], where), _plain(float, entry[1], where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if any(type(value) is kind for kind in allowed):
        return value
    raise UsageError(f"{where}: {value!r} is not {next(WORDS[kind] for kind in allowed if kind in WORDS)}")


def _revive(cls: Any, record: Any, where: str) -> Any:
    names = {f.name for f in dataclasses.fields(cls)}
    required = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
    if not isinstance(record, Mapping) or not names >= record.keys() >= required:
        raise UsageError(f"{where}: not a scenario record of schema version {SCHEMA_VERSION}")
    return cls(**{name: _revived(hints(cls)[name], value, name) for name, value in record.items()})


def _revived(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _revive(hint, value, name)
    if typing.get_origin(hint) is not tuple:
        return math.inf if value is None and hint is float else value
    if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping | list | tuple) for v in value):
        raise UsageError(f"{name}: not a list of a scenario record of schema version {SCHEMA_VERSION}")
    item = typing.get_args(hint)[0]
    return tuple(_revive(item, v, name) if dataclasses.is_dataclass(item) else tuple(v) for v in value)
