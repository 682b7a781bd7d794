"""The documentation of the scenario file, made from the declared fields."""

from __future__ import annotations

import re
import typing
from typing import Any, NamedTuple

from migkit.scenario.form.declaration import Field, declared, hints
from migkit.scenario.form.schema import IN_FILES_ONLY
from migkit.scenario.scenario import Scenario

__all__ = ["Row", "document"]


class Row(NamedTuple):
    """One key of a scenario file.

    Attributes
    ----------
    key
        Its path, e.g. ``guest.dirty.region``.
    type
        ``size``, ``rate``, ``time`` (text with a unit), ``number``, ``whole number``, ``text``, ``path``,
        ``true or false``, ``table``, ``tables`` or ``steps``.
    default
        As a file writes it; ``required`` or ``none`` where there is none.
    allowed
        Its bounds or its choices.
    meaning
        A sentence.
    column
        The column of :func:`migkit.models.bulk.many.predict_many`, with ``N`` for the number of a page class; empty
        where no column can hold it.
    """

    key: str
    type: str
    default: str
    allowed: str
    meaning: str
    column: str


def document() -> list[Row]:
    """Return the documentation of every key that a scenario file may hold, made from the declared fields.

    Examples
    --------
    >>> document()[1][:4]
    ('guest.memory', 'size', 'required', 'at least 4 KiB')
    """
    rows = [_row(field, "", "") for field in IN_FILES_ONLY[""]]
    for table in declared(Scenario):
        rows += _rows(hints(Scenario)[table.name], table.name, table.name)
        rows += [_row(field, table.name, "") for field in IN_FILES_ONLY.get(table.name, ())]
    return rows


def _rows(cls: Any, path: str, table: str, prefix: str = "") -> list[Row]:
    """Return the rows of a record, each list of records followed by the rows of its own."""
    rows: list[Row] = []
    for field in declared(cls):
        column = field.column(table)
        rows.append(_row(field, path, prefix + column if column else ""))
        if field.kind == "tables":
            item = typing.get_args(hints(cls)[field.name])[0]
            rows += _rows(item, f"{path}.{field.key}", field.key, f"{field.key}_N_")
    return rows


def _row(field: Field, path: str, column: str) -> Row:
    key = f"{path}.{field.key}" if path else field.key
    meaning = _without_markup(field.rule.meaning)
    return Row(key, field.kind, field.default_text, field.allowed, meaning, column)


def _without_markup(text: str) -> str:
    """Return a docstring's text as a table shows it: no roles, no quotes, no units (a file writes them out)."""
    return re.sub(r" \[[^]]*\]", "", re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", ""))
