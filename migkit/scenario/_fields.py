"""What the frozen records of a scenario share: bounds beside the field, checked on construction.

A field's name carries its unit (``memory_bytes``, ``rtt_s``, ``bandwidth_bytes_per_s``),
and the file schema reads the unit from the name, so each fact stands once.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from migkit.errors import UsageError
from migkit.units import format_duration, format_rate, format_size

__all__ = ["bounded", "check", "file_key", "show", "unit_kind"]


def bounded(
    default: Any = dataclasses.MISSING,
    *,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Return a dataclass field whose value :func:`check` holds within bounds.

    Parameters
    ----------
    default
        The documented default; without one the field is required.
    low, high
        Bounds of a number, inclusive, in the unit that the field's name says.
    above
        The value must be above ``low``, not equal to it.
    choices
        The texts allowed.
    """
    metadata = {"low": low, "high": high, "above": above, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def unit_kind(name: str) -> str | None:
    """Return ``"rate"``, ``"size"`` or ``"time"`` for a field whose file value is text with a unit, else None.

    Examples
    --------
    >>> unit_kind("bandwidth_bytes_per_s"), unit_kind("memory_bytes"), unit_kind("rtt_s"), unit_kind("writes_per_s")
    ('rate', 'size', 'time', None)
    """
    if name.endswith("_bytes_per_s"):
        return "rate"
    if name.endswith("_per_s"):
        return None
    if name.endswith("_bytes"):
        return "size"
    return "time" if name.endswith("_s") else None


def file_key(name: str) -> str:
    """Return the key of a field in a scenario file: its name without the unit that the text carries.

    Examples
    --------
    >>> file_key("memory_bytes"), file_key("downtime_limit_s"), file_key("writes_per_s")
    ('memory', 'downtime_limit', 'writes_per_s')
    """
    match unit_kind(name):
        case "rate":
            return name.removesuffix("_bytes_per_s")
        case "size":
            return name.removesuffix("_bytes")
        case "time":
            return name.removesuffix("_s")
        case _:
            return name


def show(name: str, value: Any) -> str:
    """Return ``value`` as a message shows it, with its unit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return repr(value)
    match unit_kind(name):
        case "rate":
            return format_rate(value)
        case "size":
            return format_size(value)
        case "time":
            return format_duration(value)
        case _:
            return f"{value:g}"


def check(record: Any) -> None:
    """Raise :class:`UsageError` unless every bounded field of a dataclass record is within its bounds."""
    for field in dataclasses.fields(record):
        rule = field.metadata
        if rule:
            _check_one(f"{type(record).__name__.lower()}.{field.name}", field.name, getattr(record, field.name), rule)


def _check_one(path: str, name: str, value: Any, rule: Any) -> None:
    if value is None:
        return
    if rule["choices"] is not None:
        if value not in rule["choices"]:
            raise UsageError(f"{path}: {value!r} is not known; use one of {', '.join(rule['choices'])}")
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise UsageError(f"{path}: {value!r} is not a number; give a number in the unit that the name says")
    low, high = rule["low"], rule["high"]
    if value < low or (rule["above"] and value == low):
        bound = "above" if rule["above"] else "at least"
        raise UsageError(f"{path}: {show(name, value)} is too small; it must be {bound} {show(name, low)}")
    if value > high:
        raise UsageError(f"{path}: {show(name, value)} is too large; it must be at most {show(name, high)}")
