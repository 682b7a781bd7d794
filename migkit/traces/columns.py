"""Columns between numpy and Arrow, over the buffers that both share.

``pa.array`` and ``to_numpy`` would do the same, but each of them first imports pandas where it is installed, which
takes many times as long as reading a trace. Only ``pa.Array.from_buffers`` and ``Array.buffers`` do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["column", "make_table"]


def column(table: pa.Table, name: str) -> np.ndarray:
    """Return a numeric column without empty cells as a read-only array.

    Examples
    --------
    >>> table = make_table({"sent_bytes": "int64"}, {"sent_bytes": [1, 2]})
    >>> column(table, "sent_bytes").tolist()
    [1, 2]
    """
    chunks = [_array(chunk) for chunk in table.column(name).chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, np.int64)])


def make_table(columns: Mapping[str, str], data: Mapping[str, Any]) -> pa.Table:
    """Return a table with ``columns`` (name to type: ``int32``, ``int64``, ``float64``, ``string``).

    Parameters
    ----------
    columns
        For a trace: SAMPLE_COLUMNS or ROUND_COLUMNS.
    data
        A sequence for each of them.

    Raises
    ------
    KeyError, TypeError, ValueError
        A column is missing or its values do not fit its type.

    Examples
    --------
    >>> make_table({"phase": "string", "sync_s": "float64"}, {"phase": ["done"], "sync_s": [0.5]}).num_rows
    1
    """
    import pyarrow as pa

    return pa.table([_arrow(data[name], kind) for name, kind in columns.items()], names=list(columns))


def _array(chunk: pa.Array) -> np.ndarray:
    kind = {"double": "float64"}.get(str(chunk.type), str(chunk.type))
    if len(chunk) == 0:
        return np.empty(0, kind)
    return np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk)]


def _arrow(values: Any, kind: str) -> pa.Array:
    import pyarrow as pa

    if kind == "string":
        texts = [text.encode() for text in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(pa.string(), len(texts), buffers)
    raw = np.asarray(values)
    if raw.size == 0:
        raw = raw.astype(kind)
    array = raw.astype(kind, casting="same_kind" if kind.startswith("int") else "safe")
    if raw.ndim != 1 or not np.array_equal(raw, array, equal_nan=kind == "float64"):
        raise ValueError(f"values do not fit a column of {kind}")
    return pa.Array.from_buffers(
        pa.type_for_alias(kind), array.size, [None, pa.py_buffer(np.ascontiguousarray(array))]
    )
