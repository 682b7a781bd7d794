"""A scenario from the command line: a file, flags for every field, or a file changed by flags."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit import files
from migkit.cli._output import narrate
from migkit.errors import UsageError, shown
from migkit.scenario import Scenario
from migkit.scenario.form import keys, schema
from migkit.scenario.idle import idle
from migkit.scenario.policy import presets

__all__ = ["COUNT", "SEED", "note_idle", "scenario_from", "scenario_options", "tables_from"]

Command = Callable[..., Any]


if TYPE_CHECKING:
    _Whole = click.ParamType[int]
else:
    _Whole = click.ParamType  # generic from click 8.5 on


class _Seed(_Whole):
    """A whole number; its bounds are too far away to be shown in a help text."""

    name = "integer"
    _range = click.IntRange(-(1 << 62), 1 << 62)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or refuse it as click does."""
        return self._range.convert(value, param, ctx)


SEED = _Seed()
COUNT = click.IntRange(1, 100_000)
_OPTIONS_OF_COMMANDS = ("checkpoint",)


class _Field(click.Option):
    """The flag of a field; ``table`` is the table of the scenario that the field stands in."""

    def __init__(self, *arguments: Any, table: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.table = table


@functools.cache
def _fields() -> tuple[keys.Row, ...]:
    """Return the keys that have a flag: each of every table, lists of tables as one."""
    return tuple(row for row in keys.document() if row.key.count(".") == 1)


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


def _flag(row: keys.Row, unique: bool) -> Callable[[Command], Command]:
    table, _, key = row.key.partition(".")
    name = f"{table}_{key}"
    flags = [f"{table}-{key}"] + ([key] if unique else [table] if key == "name" else [])
    flags = [flag.replace("_", "-") for flag in flags]
    summary = row.meaning.partition("; ")[0].partition(". ")[0].rstrip(".") + f" [{row.default}]"
    if row.type == "true or false":
        return click.option(
            name, *[f"--{f}/--no-{f}" for f in flags], cls=_Field, table=table, default=None, help=summary
        )
    names = [f"--{flag}" for flag in flags]
    choices = _choices(row)
    if choices:
        summary += f"; one of {', '.join(choices)}"
    if row.type == "tables":
        example = 'as in region = "64 MiB", writes_per_s = 10000; repeat it for more'
        return click.option(
            name, *names, cls=_Field, table=table, multiple=True, metavar="TABLE", help=f"{summary}, {example}"
        )
    metavar = "NAME" if choices else row.type.upper().replace(" ", "-")
    return click.option(name, *names, cls=_Field, table=table, metavar=metavar, help=summary)


def _choices(row: keys.Row) -> list[str]:
    """Return the names that a flag takes; none where it takes anything else."""
    if row.key == "policy.name":
        return [preset.name for preset in presets()]
    return row.allowed.split(", ") if row.type == "text" and row.allowed else []


def scenario_from(path: Path | None, flags: Mapping[str, Any], quiet: bool = False) -> Scenario:
    """Return the scenario that a file and flags say; a flag has precedence. Say which fields change nothing.

    Raises
    ------
    UsageError
        Neither says enough, or a value is wrong.
    """
    tables, folder = tables_from(path, flags)
    case = schema.from_mapping(tables, folder)
    note_idle(case, tables, quiet)
    return case


def tables_from(
    path: Path | None, flags: Mapping[str, Any], base: tuple[dict[str, Any], Path] | None = None
) -> tuple[dict[str, Any], Path]:
    """Return the tables that a file and flags say, not yet checked, and the folder that paths in them start from.

    ``base`` has such tables and their folder from elsewhere, in the place of the file.

    Raises
    ------
    UsageError
        Neither is given, or the file cannot be read.
    """
    given = {key: value for key, value in flags.items() if value is not None and value != ()}
    if path is not None and base is not None and base[0]:
        raise UsageError(f"scenario {path}: the design has a scenario as well; leave out one of the two")
    if path is None and not given and not (base and base[0]):
        raise UsageError('scenario: none was given; name a file, or use flags such as --guest-memory "1 GiB"')
    if "guest_profile" in given and "guest_dirty" in given:
        raise UsageError("guest.profile: --dirty is given as well; leave out one of the two")
    tables: dict[str, Any] = schema.read(path) if path is not None else dict(base[0]) if base is not None else {}
    for row in _fields():
        table, _, key = row.key.partition(".")
        if f"{table}_{key}" in given:
            _put(tables, table, key, _parsed(row, given[f"{table}_{key}"]))
    if path is None and base is not None:
        return tables, base[1]
    return tables, path.parent if path is not None else Path()


def note_idle(case: Scenario, tables: Mapping[str, Any], quiet: bool = False) -> None:
    """Say on stderr which of the given fields change nothing."""
    given = [f"{name}.{key}" for name, table in tables.items() if isinstance(table, dict) for key in table]
    for sentence in idle(case, given):
        narrate(f"migkit: {sentence}", quiet)


def _put(tables: dict[str, Any], table: str, key: str, value: Any) -> None:
    """Set one key; a profile and classes replace each other."""
    old = tables.get(table, {})
    if not isinstance(old, dict):
        raise UsageError(f"{table}: {shown(old)} is not a table; write [{table}] and its keys below it")
    other = {"profile": "dirty", "dirty": "profile"}.get(key) if table == "guest" else None
    tables[table] = {name: item for name, item in old.items() if name != other} | {key: value}


def _parsed(row: keys.Row, value: Any) -> Any:
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
    return str(Path(value).absolute()) if row.type == "path" else value


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
        return files.parse_toml(f"value = {form % text}")["value"]
    except ValueError as error:
        raise UsageError(f"{key}: {shown(text)} is not written as in a file, {example}") from error
