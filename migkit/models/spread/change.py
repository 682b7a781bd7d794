"""Records with other values, which were checked before: drawing thousands of them checks none again."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["changed", "names_of"]

R = TypeVar("R")


def changed(record: R, changes: Mapping[str, Any]) -> R:
    """Return a record with other values, which were checked before.

    Examples
    --------
    >>> from migkit import Link
    >>> changed(Link(), {"rtt_s": 0.1}).rtt_s
    0.1
    """
    other: R = object.__new__(type(record))
    for name in names_of(record):
        object.__setattr__(other, name, changes[name] if name in changes else getattr(record, name))
    return other


def names_of(record: Any) -> tuple[str, ...]:
    """Return the names of a record's fields.

    Examples
    --------
    >>> from migkit import DirtyClass
    >>> names_of(DirtyClass(region_bytes=4096, writes_per_s=1.0))[:2]
    ('region_bytes', 'writes_per_s')
    """
    kind: Any = type(record)
    return _fields_of(kind)


@functools.cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
