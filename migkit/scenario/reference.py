"""The documentation of the scenario file, made from the records."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import types
import typing
from typing import Any, NamedTuple

from migkit.scenario._fields import file_key, show, unit_kind
from migkit.scenario.scenario import Scenario
from migkit.scenario.schema import SCHEMA_VERSION, WORDS, hints

__all__ = ["Row", "document"]


class Row(NamedTuple):
    """One key of a scenario file.

    Attributes
    ----------
    key
        Its path, e.g. ``guest.dirty.region``.
    type
        ``size``, ``rate``, ``time`` (text with a unit), ``number``, ``whole number``, ``text``,
        ``true or false``, ``tables`` or ``steps``.
    default
        As a file writes it; ``required`` or ``none`` where there is none.
    allowed
        Its bounds or its choices.
    meaning
        A sentence.
    """

    key: str
    type: str
    default: str
    allowed: str
    meaning: str


def document() -> list[Row]:
    """Return the documentation of every key that a scenario file may hold, made from the records.

    Examples
    --------
    >>> document()[1][:4]
    ('guest.memory', 'size', 'required', 'at least 4 KiB')
    """
    rows = [
        Row("schema_version", "whole number", str(SCHEMA_VERSION), str(SCHEMA_VERSION), "Version of this schema.")
    ]
    for table, cls in hints(Scenario).items():
        rows += _document(cls, table)
        if table == "guest":
            rows.append(
                Row("guest.profile", "text", "none", "", "Dirty profile of migkit dirty, in place of guest.dirty.")
            )
    return rows


def _document(cls: Any, path: str) -> list[Row]:
    meanings = _meanings(cls)
    rows: list[Row] = []
    for field in dataclasses.fields(cls):
        key, hint = f"{path}.{file_key(field.name)}", hints(cls)[field.name]
        rows.append(Row(key, _type(field, hint), _default(field), _allowed(field), meanings.get(field.name, "")))
        item = (*typing.get_args(hint), None)[0]
        if dataclasses.is_dataclass(item):
            rows += _document(item, key)
    return rows


def _meanings(cls: Any) -> dict[str, str]:
    """Return what the class's docstring says of each attribute."""
    lines = (inspect.getdoc(cls) or "").partition("Attributes\n----------\n")[2].partition("\n\n")[0].splitlines()
    meanings: dict[str, str] = {}
    name = ""
    for line in lines:
        if line and not line.startswith(" "):
            name = line
        else:
            meanings[name] = f"{meanings.get(name, '')} {line.strip()}".strip()
    return {name: _without_markup(text) for name, text in meanings.items()}


def _without_markup(text: str) -> str:
    """Return a docstring's text as a table shows it: no roles, no quotes, no units (a file writes them out)."""
    return re.sub(r" \[[^]]*\]", "", re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", ""))


def _type(field: dataclasses.Field[Any], hint: Any) -> str:
    if field.name == "settings":
        return "table"
    if typing.get_origin(hint) is tuple:
        return "tables" if dataclasses.is_dataclass(typing.get_args(hint)[0]) else "steps"
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return unit_kind(field.name) or next(WORDS[kind] for kind in allowed if kind in WORDS).removeprefix("a ")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default == -math.inf:
        return "the policy's"
    if field.default is None or field.default == ():
        return "none"
    return str(field.default).lower() if isinstance(field.default, bool | str) else show(field.name, field.default)


def _allowed(field: dataclasses.Field[Any]) -> str:
    rule = field.metadata
    if not rule:
        return ""
    if rule["choices"]:
        return ", ".join(c if isinstance(c, str) else show(field.name, c) for c in rule["choices"])
    low = f"{'above' if rule['above'] else 'at least'} {show(field.name, rule['low'])}"
    return low if math.isinf(rule["high"]) else f"{low}, at most {show(field.name, rule['high'])}"
