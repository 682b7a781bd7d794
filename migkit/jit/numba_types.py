"""What numba is told of records: their types, and how to clear and assign them in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from migkit.records import Record

__all__ = ["Rows", "teach", "type_of"]


class Rows(np.ndarray):
    """Structured rows whose type numba is told at once: working it out takes it longer than one prediction."""

    __numba_array_subtype_dispatch__ = True


def teach(clear: Callable[[Any], None], assign: Callable[[Any, Any], None]) -> None:
    """Let numba take records as structured scalars, which it reads and writes in place, clear and assign them.

    Parameters
    ----------
    clear, assign
        What does so in plain Python; compiled code calls the same names.
    """
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, overload, typeof_impl

    def of_record(record: Any, context: Any) -> Any:
        kind: Any = type(record)
        return type_of(kind)

    def of_rows(rows: Any, context: Any) -> Any:
        return _type_of_rows(rows.dtype, rows.ndim, rows.flags.writeable)

    typeof_impl.register(Record)(of_record)
    typeof_impl.register(Rows)(of_rows)

    @intrinsic
    def copied(context: Any, record: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_constant(types.intp, other.size)
            cgutils.raw_memcpy(builder, arguments[0], arguments[1], number, 1)  # type: ignore[no-untyped-call]
            return context.get_dummy_value()

        return types.none(record, other), generate

    @intrinsic
    def cleared(context: Any, record: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_constant(types.intp, record.size)
            cgutils.memset(builder, arguments[0], number, 0)  # type: ignore[no-untyped-call]
            return context.get_dummy_value()

        return types.none(record), generate

    @overload(clear, strict=False)
    def clearing(record: Any) -> Any:
        return lambda record: cleared(record)  # type: ignore[call-arg]

    @overload(assign, strict=False)
    def assigned(record: Any, other: Any) -> Any:
        return lambda record, other: copied(record, other)  # type: ignore[call-arg]


@cache
def type_of(kind: Any) -> Any:
    """Return numba's type of a record.

    Examples
    --------
    >>> from migkit.engine.records import PackedClass
    >>> type_of(PackedClass).size == 8 * PackedClass.SIZE
    True
    """
    from numba.np.numpy_support import from_dtype

    return from_dtype(kind.dtype_of())


@cache
def _type_of_rows(dtype: np.dtype[Any], dimensions: int, writeable: bool) -> Any:
    """Return numba's type of structured rows, which lie one behind the other."""
    from numba.core import types
    from numba.np.numpy_support import from_dtype

    return types.Array(from_dtype(dtype), dimensions, "C", readonly=not writeable)
