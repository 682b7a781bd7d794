"""Records of named numbers that plain Python and compiled code read alike, as ``state.now_s``.

A record is declared once, as a class with a line for each field::

    class Piece(Record):
        pages: float
        share: float  # of them that is pending

All numbers are float64. A field may be a record itself, or an array (:func:`numbers`, :func:`several`). In Python a
record is a numpy array of its numbers with an attribute for each; compiled code takes it as a structured scalar of
``Piece.dtype_of()``, whose fields it reads and writes in place (:mod:`migkit.jit`).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin

import numpy as np

__all__ = ["Field", "Record", "declared", "is_taken", "kind_of", "numbers", "several"]


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a record.

    Attributes
    ----------
    name
        What it is called; the unit is its ending.
    kind
        ``float``, or the record that it holds.
    count
        How many of these it holds, 0: one that is no array.
    start, size
        Where it begins and how many numbers it holds.
    """

    name: str
    kind: Any
    count: int
    start: int
    size: int


def numbers(count: int) -> Any:
    """Return the annotation of a field that is an array of so many numbers."""
    return Annotated[np.ndarray, float, count]


def several(kind: type[Record], count: int) -> Any:
    """Return the annotation of a field that is an array of so many records."""
    return Annotated[Any, kind, count]


class Record(np.ndarray):
    """Numbers with names: a base class, whose fields are the annotations of the class that is derived from it.

    With ``union=True`` all fields begin at one place: each is another reading of the same numbers.

    Examples
    --------
    >>> class Piece(Record):
    ...     pages: float
    ...     share: float
    >>> piece = Piece.new()
    >>> piece.share = 0.5
    >>> float(piece.share), Piece.names()
    (0.5, ('pages', 'share'))
    """

    __numba_array_subtype_dispatch__: ClassVar[bool] = True  # numba asks migkit.jit for its type
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    SIZE: ClassVar[int] = 0
    _dtype: ClassVar[np.dtype[Any] | None] = None

    def __init_subclass__(cls, union: bool = False) -> None:
        super().__init_subclass__()
        fields: list[Field] = list(cls.FIELDS)
        for name, annotation in inspect.get_annotations(cls, eval_str=True).items():
            kind, count = _content(annotation)
            each = 1 if kind is float else kind.SIZE
            start = 0 if union or not fields else fields[-1].start + fields[-1].size
            field = Field(name, kind, count, start, each * max(1, count))
            if is_taken(name):
                raise TypeError(f"record {cls.__name__}: {name} is what arrays call something else")
            fields.append(field)
            setattr(cls, name, _attribute(field))
        cls.FIELDS = tuple(fields)
        cls.SIZE = max((field.start + field.size for field in fields), default=0)
        cls._dtype = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields in their order."""
        return tuple(field.name for field in cls.FIELDS)

    @classmethod
    def new(cls, rows: int | None = None) -> Self:
        """Return a record of zeros; with ``rows``, the records of so many, whose attributes are columns."""
        return (np.zeros(cls.SIZE) if rows is None else np.zeros((rows, cls.SIZE)).T).view(cls)

    @classmethod
    def dtype_of(cls) -> np.dtype[Any]:
        """Return the structured type of the record."""
        if cls._dtype is None:
            cls._dtype = np.dtype(
                {
                    "names": [field.name for field in cls.FIELDS],
                    "formats": [_format(field) for field in cls.FIELDS],
                    "offsets": [8 * field.start for field in cls.FIELDS],
                    "itemsize": 8 * cls.SIZE,
                }
            )
        return cls._dtype


class _Several(dict[int, Any]):
    """The records of an array of them, each made when it is asked for first."""

    def __init__(self, kind: Any, parts: np.ndarray) -> None:
        super().__init__()
        self._kind, self._parts = kind, parts

    def __missing__(self, number: int) -> Any:
        made = self[number] = self._parts[number].view(self._kind)
        return made

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))


def is_taken(name: str) -> bool:
    """Return whether no field can have this name, since arrays call something else so."""
    return hasattr(np.ndarray, name)


def kind_of(record: type[Record], name: str) -> Any:
    """Return what a field holds."""
    return next(field.kind for field in record.FIELDS if field.name == name)


def declared(name: str, base: type[Record], **fields: Any) -> type[Record]:
    """Return a record like ``base`` whose named fields are records of other kinds, or with further fields.

    Examples
    --------
    >>> declared("Own", Record, share=float, best_bytes=float).names()
    ('share', 'best_bytes')
    """
    kinds: dict[str, Any] = {field.name: _annotation(field) for field in base.FIELDS}
    return type(name, (Record,), {"__annotations__": kinds | fields, "__module__": __name__})


def _content(annotation: Any) -> tuple[Any, int]:
    """Return what a field holds and how many of it, 0: one."""
    origin: Any = get_origin(annotation)
    kind, count = get_args(annotation)[1:] if origin is Annotated else (annotation, 0)
    return kind, count


def _annotation(field: Field) -> Any:
    if field.count:
        return numbers(field.count) if field.kind is float else several(field.kind, field.count)
    return field.kind


def _format(field: Field) -> Any:
    kind = np.float64 if field.kind is float else field.kind.dtype_of()
    return (kind, (field.count,)) if field.count else kind


def _attribute(field: Field) -> Any:
    """Return the attribute of a field: a number, a record within the record, or an array of either."""
    if field.kind is float and not field.count:
        return property(operator.itemgetter(field.start), _setter(field.start))
    part = functools.cached_property(_part(field))  # looks at the same numbers as long as the record lives
    part.__set_name__(Record, field.name)
    return part


def _setter(at: int) -> Callable[[Any, Any], None]:
    def write(record: np.ndarray, value: Any) -> None:
        record[at] = value

    return write


def _part(field: Field) -> Callable[[Any], Any]:
    where, count, kind = slice(field.start, field.start + field.size), field.count, field.kind

    def read(record: np.ndarray) -> Any:
        part = record[where]
        if kind is float:
            return part.view(np.ndarray)
        return _Several(kind, part.reshape(count, -1, *part.shape[1:])) if count else part.view(kind)

    return read
