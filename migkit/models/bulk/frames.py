"""Frames of many scenarios: which columns there may be, how they are read, and which rows are wrong.

A column is named as the field of the record, with its unit: ``memory_bytes``,
``bandwidth_bytes_per_s``, ``downtime_limit_s``. The names of policy and strategy are
``policy`` and ``strategy``. Page classes are numbered from 1: ``dirty_1_region_bytes``,
``dirty_1_writes_per_s``, ``dirty_1_kind``, ``dirty_2_region_bytes``; a class whose region
is missing or 0 in a row is absent there. Missing values elsewhere are wrong, except where
the field may be None. What has no column comes from a base scenario.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.errors import UsageError
from migkit.scenario import DirtyClass, Scenario
from migkit.scenario.form.declaration import Field, declared, hints
from migkit.scenario.form.fields import SMALLEST

__all__ = ["Column", "Frame", "column_of", "known_columns", "read"]

_CLASS: Final = re.compile(r"dirty_([1-9][0-9]?)_(\w+)")


class Column(NamedTuple):
    """Where the values of a column go.

    Attributes
    ----------
    table
        ``guest``, ``link``, ``host``, ``policy``, ``strategy`` or ``dirty``.
    place
        Which page class, from 0; 0 elsewhere.
    field
        As the record declares it.
    """

    table: str
    place: int
    field: Field

    @property
    def is_text(self) -> bool:
        """The values are names."""
        return self.field.kind == "text"


class Frame(NamedTuple):
    """A frame that was read.

    Attributes
    ----------
    rows
        How many.
    columns
        What each column stands for.
    values
        Its values: float64, not-a-number where missing; for text, codes into ``texts``, -1 where missing.
    texts
        Names of a text column by code.
    """

    rows: int
    columns: dict[str, Column]
    values: dict[str, np.ndarray]
    texts: dict[str, list[Any]]


def known_columns() -> dict[str, Column]:
    """Return every column but those of further page classes.

    Examples
    --------
    >>> known_columns()["bandwidth_bytes_per_s"].table
    'link'
    >>> sorted(name for name in known_columns() if name.startswith("dirty_1_"))[:2]
    ['dirty_1_kind', 'dirty_1_phase_offset_s']
    """
    columns: dict[str, Column] = {}
    for table, cls in hints(Scenario).items():
        columns |= {field.column(table): Column(table, 0, field) for field in declared(cls) if field.is_column}
    return columns | {f"dirty_1_{f.name}": Column("dirty", 0, f) for f in _class_fields()}


def read(frame: Any, keep: tuple[str, ...] = ()) -> Frame:
    """Return the columns of a frame as numbers.

    Parameters
    ----------
    frame
        pandas, or anything with ``__arrow_c_stream__``: Polars, Arrow, DuckDB.
    keep
        Columns that are no fields and are left out here.

    Raises
    ------
    UsageError
        It is no frame, has no rows, or has a column that is not known or holds the wrong type.
    """
    names, rows, get = _opened(frame)
    for name in keep:
        if name not in names:
            raise UsageError(f"predict_many: the column {name} to keep is missing; leave it out of keep")
    columns = {name: column_of(name) for name in names if name not in keep}
    if rows == 0:
        raise UsageError("predict_many: the frame has no rows; give at least one")
    values: dict[str, np.ndarray] = {}
    texts: dict[str, list[Any]] = {}
    for name, column in columns.items():
        if column.is_text:
            values[name], texts[name] = _codes(name, get(name))
        else:
            values[name] = _numbers(name, get(name))
    return Frame(rows, columns, values, texts)


def _class_fields() -> list[Field]:
    return [field for field in declared(DirtyClass) if field.is_column]


def _opened(frame: Any) -> tuple[list[Any], int, Any]:
    """Return names, rows, and how to get one column: a pandas series or an Arrow array."""
    if hasattr(frame, "iloc") and hasattr(frame, "columns"):
        if not frame.columns.is_unique:
            raise UsageError("predict_many: a column name occurs twice; rename or drop one")
        return list(frame.columns), len(frame), frame.__getitem__
    if not hasattr(frame, "__arrow_c_stream__"):
        raise UsageError(f"predict_many: {type(frame).__name__} is not a frame; give a pandas, Polars or Arrow table")
    import pyarrow as pa

    table = pa.table(frame)
    if len(set(table.column_names)) < table.num_columns:
        raise UsageError("predict_many: a column name occurs twice; rename or drop one")
    return table.column_names, table.num_rows, table.column


def column_of(name: Any) -> Column:
    """Return what a column stands for.

    Raises
    ------
    UsageError
        It is not known.

    Examples
    --------
    >>> column_of("dirty_2_writes_per_s").place
    1
    """
    known = known_columns()
    if name in known:
        return known[name]
    match = _CLASS.fullmatch(str(name))
    fields = {field.name: field for field in _class_fields()}
    if match and match[2] in fields:
        return Column("dirty", int(match[1]) - 1, fields[match[2]])
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    advice = f'did you mean "{near[0]}"?' if near else "drop it, or name it in keep"
    raise UsageError(f"predict_many: the column {name} is not known; {advice}")


def _numbers(name: str, column: Any) -> np.ndarray:
    """Return float64; missing is not-a-number, and what is smaller than any number of a scenario is 0."""
    try:
        if hasattr(column, "to_arrow") or not hasattr(column, "cast"):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values = column.cast("float64").to_numpy()
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UsageError(
            f"predict_many: the column {name} does not hold numbers; give them in the unit of its name"
        ) from error
    values = np.ascontiguousarray(values, dtype=np.float64)
    tiny = (values > 0.0) & (values < SMALLEST)
    return np.where(tiny, 0.0, values) if tiny.any() else values


def _codes(name: str, column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return codes of names, -1 where missing."""
    if hasattr(column, "dictionary_encode"):
        combined = column.combine_chunks()
        encoded = combined if hasattr(combined, "indices") else combined.dictionary_encode()
        codes, names = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()
    else:
        import pandas as pd

        codes, uniques = pd.factorize(column)
        names = list(uniques)
    if not all(isinstance(one, str) for one in names):
        raise UsageError(f"predict_many: the column {name} does not hold text; give names")
    return np.ascontiguousarray(codes, dtype=np.int64), names
