"""The file form of a scenario: text with units, unknown keys refused by name."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from migkit import files, units
from migkit.errors import UsageError, shown
from migkit.scenario.form.declaration import Field, Rule, advice, declared, file_key, hints, is_unlimited
from migkit.scenario.installation.typical import Typical
from migkit.scenario.policy import presets
from migkit.scenario.scenario import Scenario

__all__ = [
    "SCHEMA_VERSION",
    "from_mapping",
    "from_record",
    "load",
    "plain_value",
    "read",
    "read_text",
    "record_of",
    "to_record",
]

SCHEMA_VERSION: Final = 1
_MOST_FILE_BYTES: Final = units.MIB
_PARSERS: Final = {"size": units.size, "rate": units.rate, "time": units.duration}
_WORDS: Final = {
    "number": "a number",
    "whole number": "a whole number",
    "text": "text",
    "true or false": "true or false",
}
_PATHS: Final = {"DirtyClass": "guest.dirty"}  # of tables that are not called as their record is
Record = TypeVar("Record")
_TYPES: Final = {"number": float, "whole number": int, "text": str, "true or false": bool}
_VERSION_RULE: Final = Rule("Version of this schema.", choices=(SCHEMA_VERSION,))
# Keys of a file that are no fields, by table.
IN_FILES_ONLY: Final[Mapping[str, tuple[Field, ...]]] = {
    "": (Field("schema_version", "whole number", True, False, SCHEMA_VERSION, _VERSION_RULE),),
    "guest": (
        Field("profile", "path", False, True, None, Rule("Dirty profile of migkit dirty, in place of guest.dirty.")),
    ),
}


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
        text = files.read(path, _MOST_FILE_BYTES).decode("utf-8")
    except OSError as error:
        raise UsageError(f"scenario {path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"scenario {path}: not a text file; write TOML in UTF-8") from error
    try:
        return read_text(text, "JSON" if path.suffix == ".json" or text.lstrip()[:1] == "{" else "TOML")
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
        mapping = files.parse_json(text) if kind == "JSON" else files.parse_toml(text)
    except ValueError as error:
        raise UsageError(f"not a {kind} file ({' '.join(str(error).split())[:200]})") from error
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
    if not isinstance(mapping, Mapping):
        raise UsageError(f"scenario: {shown(mapping)} is not a table; write an object with guest, link and policy")
    tables = dict(mapping)
    _check_version(tables.pop("schema_version", SCHEMA_VERSION))
    guest = tables.get("guest")
    if isinstance(guest, dict) and "profile" in guest:
        tables["guest"] = _with_profile(guest, Path(folder))
    scenario: Scenario = _build(Scenario, tables, "")
    return scenario


def record_of(cls: type[Record], keys: Mapping[str, Any]) -> Record:
    """Return the record ``cls`` of a scenario that the keys of its table say.

    Parameters
    ----------
    cls
        :class:`migkit.scenario.Scenario` or what it is made of.
    keys
        As in a file; a record may stand in the place of its table.

    Raises
    ------
    UsageError
        A key or a value is not allowed.

    Examples
    --------
    >>> from migkit import Policy
    >>> record_of(Policy, {"downtime_limit": "50 ms"}).downtime_limit_s
    0.05
    """
    if cls is Scenario:
        return cast("Record", from_mapping(keys))
    path = _PATHS.get(cls.__name__, cls.__name__.lower())
    table = dict(keys)
    if path == "guest" and "profile" in table:
        table = _with_profile(table, Path())
    return cast("Record", _build(cls, table, path))


def to_record(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as plain numbers, for JSON: names carry units, infinity is None.

    A constant of the hosts that nobody stated is left out, so that it is not taken for one that was.

    Examples
    --------
    >>> to_record(from_mapping({"guest": {"memory": "1 GiB"}}))["guest"]["memory_bytes"]
    1073741824
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if type(item) is not Typical}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and math.isinf(value) else value

    return cast("dict[str, Any]", plain(dataclasses.asdict(scenario)))


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
            f"schema_version: {shown(version)} is not known; this migkit reads version {SCHEMA_VERSION}; "
            "upgrade migkit or rewrite the file"
        )


def _with_profile(guest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the guest's table with a measured profile replaced by what it says: classes and memory."""
    from migkit.scenario import profile

    if "dirty" in guest:
        raise UsageError("guest.profile: guest.dirty is given as well; leave out one of the two")
    if not isinstance(guest["profile"], str):
        raise UsageError(f"guest.profile: {shown(guest['profile'])} is not text; give the path of a dirty profile")
    measured = profile.load(folder / guest["profile"])
    table = {key: value for key, value in guest.items() if key != "profile"}
    table.setdefault("memory", f"{measured.guest_bytes} B")
    return table | {"dirty": measured.classes()}


def _build(cls: Any, mapping: Any, path: str) -> Any:
    """Return ``cls`` from a table of a file; text with units becomes numbers."""
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: {shown(mapping)} is not a table; write [{path}] and its keys below it")
    known = {field.key: field for field in declared(cls)}
    values = {}
    for key, value in mapping.items():
        where = f"{path}.{key}" if path else key
        if key not in known:
            raise UsageError(
                f"{where[:200]}: not a known key; {advice(str(key), _keys(path, known), _elsewhere(path))}"
            )
        values[known[key].name] = _value(cls, known[key], value, where)
    for key, field in known.items():
        if field.is_required and field.name not in values:
            raise UsageError(f"{path + '.' if path else ''}{key}: missing; it is required")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(_as_in_file(cls, str(error))) from error


def _as_in_file(cls: Any, message: str) -> str:
    """Return a record's message with the key that a file has in place of the field that it names first."""
    where, colon, rest = message.partition(":")
    table, dot, name = where.rpartition(".")
    if name in {field.name for field in declared(cls)}:
        name = file_key(name)
    return f"{table}{dot}{name}{colon}{rest}"


def _keys(path: str, known: Mapping[str, Any]) -> list[str]:
    """Return every key that a table may have."""
    return [*known, *(field.key for field in IN_FILES_ONLY.get(path, ()))]


def _elsewhere(path: str) -> list[str]:
    """Return keys that people write into this table and that have another place."""
    names = sorted({one.name for preset in presets() for one in preset.settings}) if path == "policy" else []
    tables = (table.name for table in declared(Scenario) if table.kind == "record" and path not in ("", table.name))
    others = (f"{table}.{one.key}" for table in tables for one in declared(hints(Scenario)[table]))
    return [*(f"settings.{name}" for name in names), *others]


def _value(cls: Any, field: Field, value: Any, where: str) -> Any:
    """Return the value of a field of ``cls`` from what a file says."""
    if value is None and field.is_optional:
        return None
    if field.kind == "record":
        noun = hints(cls)[field.name]
        return value if isinstance(value, noun) else _build(noun, value, where)
    if field.kind == "table":
        return _settings(value, where)
    if field.kind == "tables":
        return _records(typing.get_args(hints(cls)[field.name])[0], value, where)
    if field.kind == "steps":
        return tuple(_step(entry, f"{where}[{i}]") for i, entry in enumerate(_list(value, where)))
    if is_unlimited(field, value, where):
        return math.inf
    return _sized(field, value, where) if field.kind in _PARSERS else _plain(field.kind, value, where)


def plain_value(field: Field, value: Any, where: str) -> Any:
    """Return the number, name or switch of a field from what a file says.

    Parameters
    ----------
    field
        One that is a column of a frame.
    value, where
        Text with a unit for a size, a rate or a time, else as it is; and its key, for the message of an error.

    Raises
    ------
    UsageError
        It is of another kind, lacks its unit, or is not one of the choices.

    Examples
    --------
    >>> from migkit import Link
    >>> plain_value(declared(Link)[0], "10 Gbit/s", "link.bandwidth")
    1250000000.0
    """
    return _value(None, field, value, where)


def _sized(field: Field, value: Any, where: str) -> float:
    """Return the number that text with a unit says."""
    number = (
        units.size(value, where, units.PAGE_BYTES) if field.rule.whole_pages else _PARSERS[field.kind](value, where)
    )
    if field.rule.choices and number not in field.rule.choices:
        raise UsageError(f'{where}: "{value}" is not known; use one of {field.allowed}')
    return number


def _settings(value: Any, where: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise UsageError(
            f"{where}: {shown(value)} is not a table; write {{ name = number }}, the name carries the unit"
        )
    return tuple((name, _plain("number", number, f"{where}.{name}")) for name, number in value.items())


def _list(value: Any, where: str, advice: str = "") -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: {shown(value)} is not a list{advice}")
    return value


def _records(cls: Any, value: Any, where: str) -> tuple[Any, ...]:
    entries = _list(value, where, f"; write [[{where}]] for each")
    return tuple(_item(cls, entry, where, i) for i, entry in enumerate(entries))


def _item(cls: Any, entry: Any, where: str, index: int) -> Any:
    """Return one record of a list; an error names which one."""
    if isinstance(entry, cls):
        return entry
    try:
        return _build(cls, entry, f"{where}[{index}]")
    except UsageError as error:
        raise UsageError(str(error).replace(f"{where}.", f"{where}[{index}].", 1)) from error


def _step(entry: Any, where: str) -> tuple[float, float]:
    if not (isinstance(entry, list | tuple) and len(entry) == 2):
        raise UsageError(f'{where}: {shown(entry)} is not a step; write it as ["4 s", 1.0]')
    return units.duration(entry[0], where), _plain("number", entry[1], where)


def _plain(kind: str, value: Any, where: str) -> Any:
    """Return a number, a name or a switch as it stands in the file."""
    if kind == "number" and type(value) is int:
        return _float(value, where)
    if type(value) is not _TYPES[kind]:
        raise UsageError(f"{where}: {shown(value)} is not {_WORDS[kind]}")
    return value


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise UsageError(f"{where}: {shown(value)} is too large; give a smaller one") from error


def _revive(cls: Any, record: Any, where: str) -> Any:
    names = {field.name for field in declared(cls)}
    required = {field.name for field in declared(cls) if field.is_required}
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
