"""What the frozen records of a scenario share: bounds beside the field, checked on construction.

A field's name carries its unit (``memory_bytes``, ``rtt_s``, ``bandwidth_bytes_per_s``),
and the file schema reads the unit from the name, so each fact stands once.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

import numpy as np

from migkit.errors import UsageError
from migkit.units import PAGE_BYTES, format_duration, format_rate, format_size

__all__ = [
    "bounded",
    "check",
    "check_pages",
    "check_steps",
    "file_key",
    "may_be_unlimited",
    "show",
    "slots",
    "unit_kind",
]


def bounded(
    default: Any = dataclasses.MISSING,
    *,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
    choices: tuple[str | int, ...] | None = None,
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
        The only values allowed.
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
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return repr(value)
    value = float(value)
    if math.isinf(value):
        return "unlimited"
    match unit_kind(name):
        case "rate":
            return format_rate(value)
        case "size":
            return format_size(value)
        case "time":
            return format_duration(value)
        case _:
            return f"{value:g}"


def check(record: Any, path: str) -> None:
    """Raise :class:`UsageError` unless every field of a dataclass record is of its type and within its bounds.

    Parameters
    ----------
    record
        A dataclass whose module postpones annotations, so that ``field.type`` is text such as ``"int | None"``.
    path
        The table that the record is, e.g. ``"guest.dirty"``, for messages.
    """
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        where = f"{path}.{field.name}"
        if value is None and str(field.type).endswith("| None"):
            continue
        if field.type == "bool" and not isinstance(value, bool):
            raise UsageError(f"{where}: {value!r} is not a switch; it must be true or false")
        if field.metadata:
            _check_one(where, field, value)
            if not isinstance(value, int | float | str):
                plain = int(value) if isinstance(value, numbers.Integral) else float(value)
                object.__setattr__(record, field.name, plain)  # numpy's numbers become Python's


def may_be_unlimited(field: dataclasses.Field[Any]) -> bool:
    """Say whether infinity is a value of ``field``: capacities, and whatever is unlimited by default."""
    return bool(field.default == math.inf or (unit_kind(field.name) == "rate" and field.metadata.get("above")))


def check_steps(steps: Any, where: str) -> None:
    """Raise :class:`UsageError` unless ``steps`` are pairs of a time above 0 and a finite share of at least 0."""
    if not isinstance(steps, tuple):
        raise UsageError(f"{where}: {steps!r} is not a tuple of steps; write each as (seconds, share)")
    for step in steps:
        if not (isinstance(step, tuple) and len(step) == 2 and all(_is_number(v) for v in step)):
            raise UsageError(f"{where}: {step!r} is not a step; write it as (seconds, share)")
        duration_s, share = step
        if not (0 < duration_s < math.inf and 0 <= share < math.inf):
            raise UsageError(
                f"{where}: ({duration_s:g} s, {share:g}) is not a step; the time must be above 0 s "
                "and the share at least 0"
            )


def check_pages(record: Any, names: tuple[str, ...], path: str) -> None:
    """Raise :class:`UsageError` unless each named size is a whole number of pages of 4 KiB."""
    for name in names:
        value = getattr(record, name)
        if value % PAGE_BYTES:
            raise UsageError(f"{path}.{name}: {value} B is no whole number of pages; use a multiple of 4 KiB")


def _is_number(value: Any) -> bool:
    """Say whether ``value`` is a number, and not a whole one that is too large for any float."""
    if type(value) is bool or not isinstance(value, numbers.Real):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:
        return False


def _check_one(path: str, field: dataclasses.Field[Any], value: Any) -> None:
    rule = field.metadata
    if rule["choices"] is not None:
        if isinstance(value, bool) or value not in rule["choices"]:
            raise UsageError(f"{path}: {value!r} is not known; use one of {', '.join(map(str, rule['choices']))}")
        return
    if not _is_number(value):
        raise UsageError(f"{path}: {value!r} is not a number; give a number in the unit that the name says")
    if str(field.type).startswith("int") and not isinstance(value, numbers.Integral):
        raise UsageError(f"{path}: {value!r} is not a whole number; give one without a fraction")
    _check_bounds(path, field, value)


def _check_bounds(path: str, field: dataclasses.Field[Any], value: Any) -> None:
    rule, name = field.metadata, field.name
    low, high = rule["low"], rule["high"]
    if value < low or (rule["above"] and value == low):
        bound = "above" if rule["above"] else "at least"
        raise UsageError(f"{path}: {show(name, value)} is too small; it must be {bound} {show(name, low)}")
    if math.isinf(value) and not may_be_unlimited(field):
        raise UsageError(f"{path}: infinity is too large; give a finite number")
    if value > high:
        raise UsageError(f"{path}: {show(name, value)} is too large; it must be at most {show(name, high)}")


def slots(number: int, rows: int | None) -> np.ndarray:
    """Return an empty record of ``number`` slots, or of ``rows`` scenarios: a column each, contiguous in memory."""
    return np.zeros(number) if rows is None else np.zeros((rows, number)).T
