"""Records with other values, which were checked before: drawing thousands of them checks none again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["changed"]

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
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        object.__setattr__(other, field.name, changes.get(field.name, getattr(record, field.name)))
    return other
