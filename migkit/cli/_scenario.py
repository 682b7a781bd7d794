"""A scenario from the command line: a file, flags for every field, or a file changed by flags."""

from __future__ import annotations

import functools
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from migkit.errors import UsageError
from migkit.scenario import Scenario, reference, schema

__all__ = ["scenario_from", "scenario_options", "tables_from"]

Command = Callable[..., Any]
_TABLES = ("guest", "link", "host", "policy", "strategy")
_OPTIONS_OF_COMMANDS = ("checkpoint",)


@functools.cache
def _fields() -> tuple[reference.Row, ...]:
    """Return the keys that have a flag: each of every table, lists of tables as one."""
    return tuple(row for row in reference.document() if row.key.count(".") == 1)


def scenario_options(command: Command) -> Command:
    """Give a command the argument SCENARIO and a flag for each field of a scenario.

    A flag is ``--TABLE-KEY``; where no other table but that of the hosts has the key, ``--KEY`` does as well.
    """
    count = Counter(row.key.partition(".")[2] for row in _fields() if not row.key.startswith("host."))
    for row in reversed(_fields()):
        table, _, key = row.key.partition(".")
        command = _flag(row, count[key] == (table != "host") and key not in _OPTIONS_OF_COMMANDS)(command)
    path = click.Path(path_type=Path)
    return click.argument("scenario", required=False, type=path)(command)


def _flag(row: reference.Row, unique: bool) -> Callable[[Command], Command]:
    table, _, key = row.key.partition(".")
    name = f"{table}_{key}"
    flags = [f"{table}-{key}"] + ([key] if unique else [table] if key == "name" else [])
    flags = [flag.replace("_", "-") for flag in flags]
    summary = row.meaning.partition("; ")[0].partition(". ")[0].rstrip(".") + f" [{row.default}]"
    if row.type == "true or false":
        return click.option(name, *[f"--{f}/--no-{f}" for f in flags], default=None, help=summary)
    names = [f"--{flag}" for flag in flags]
    if row.type == "tables":
        example = 'as in region = "64 MiB", writes_per_s = 10000; repeat it for more'
        return click.option(name, *names, multiple=True, metavar="TABLE", help=f"{summary}, {example}")
    return click.option(name, *names, metavar=row.type.upper().replace(" ", "-"), help=summary)


def scenario_from(path: Path | None, flags: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a file and flags say; a flag has precedence.

    Raises
    ------
    UsageError
        Neither says enough, or a value is wrong.
    """
    return schema.from_mapping(*tables_from(path, flags))


def tables_from(path: Path | None, flags: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
    """Return the tables that a file and flags say, not yet checked, and the folder that paths in them start from.

    Raises
    ------
    UsageError
        Neither is given, or the file cannot be read.
    """
    given = {key: value for key, value in flags.items() if value is not None and value != ()}
    if path is None and not given:
        raise UsageError('scenario: none was given; name a file, or use flags such as --guest-memory "1 GiB"')
    tables: dict[str, Any] = schema.read(path) if path is not None else {}
    for row in _fields():
        table, _, key = row.key.partition(".")
        if f"{table}_{key}" in given:
            _put(tables, table, key, _parsed(row, given[f"{table}_{key}"]))
    return tables, path.parent if path is not None else Path()


def _put(tables: dict[str, Any], table: str, key: str, value: Any) -> None:
    """Set one key; a profile and classes replace each other."""
    old = tables.get(table, {})
    if not isinstance(old, dict):
        raise UsageError(f"{table}: {old!r} is not a table; write [{table}] and its keys below it")
    other = {"profile": "dirty", "dirty": "profile"}.get(key) if table == "guest" else None
    tables[table] = {name: item for name, item in old.items() if name != other} | {key: value}


def _parsed(row: reference.Row, value: Any) -> Any:
    """Return a flag's text as a file would hold it."""
    match row.type:
        case "number" | "whole number":
            return _number(value)
        case "steps":
            return _toml(row.key, value, 'as in [["4 s", 1.0], ["0.5 s", 0.0]]')
        case "table":
            return _table(row.key, value, "as in steps = 5, poll_s = 1")
        case "tables":
            return [_table(row.key, one, 'as in region = "64 MiB", writes_per_s = 10000') for one in value]
    return str(Path(value).absolute()) if row.key == "guest.profile" else value


def _number(text: str) -> int | float | str:
    """Return a number, or the text for the schema to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _table(key: str, text: str, example: str) -> Any:
    return _toml(key, text, example, "{%s}")


def _toml(key: str, text: str, example: str, form: str = "%s") -> Any:
    try:
        return tomllib.loads(f"value = {form % text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{key}: {text!r} is not written as in a file, {example}") from error
