"""Checks that the frozen records of a scenario share, made on construction from what each field declares."""

from __future__ import annotations

import importlib
import math
import numbers
from typing import Any, Self

from migkit.errors import UsageError, shown
from migkit.scenario.form.declaration import Field, declared
from migkit.units import PAGE_BYTES

__all__ = ["LARGEST", "SMALLEST", "Noun", "check", "check_steps"]


LARGEST = 1e18  # of any number: an exabyte, or the age of the universe in seconds
SMALLEST = 1e-18  # of any number that may not be 0; less than that counts as 0


class Noun:
    """What the records of a scenario have in common: they can be written in text with units.

    Examples
    --------
    >>> from migkit import Link
    >>> Link.parse(bandwidth="8 Gbit/s").bandwidth_bytes_per_s
    1000000000.0
    """

    __slots__ = ()

    @classmethod
    def parse(cls, **keys: Any) -> Self:
        """Return the record that the keys of a scenario file say; this is where Python takes text with units.

        Parameters
        ----------
        **keys
            The keys of this table of a scenario file with the values that a file would hold: ``"32 GiB"``,
            ``"10 Gbit/s"``, ``"300 ms"``, numbers, tables as dicts. A record may stand in the place of its table.
            ``migkit schema`` lists the keys.

        Raises
        ------
        UsageError
            A key is not known, a unit is missing, or a value is not allowed.

        Examples
        --------
        >>> from migkit import DirtyClass, Guest, Link
        >>> guest = Guest.parse(memory="32 GiB", dirty=[{"region": "4 GiB", "writes_per_s": 400_000}])
        >>> guest.memory_bytes == 32 * 2**30, guest.dirty[0].region_bytes == 4 * 2**30
        (True, True)
        >>> Guest.parse(memory="1 GiB", dirty=[DirtyClass.parse(region="64 MiB", writes_per_s=10)]).writes_per_s
        10.0
        >>> Link.parse(bandwidth="10")
        Traceback (most recent call last):
        migkit.errors.UsageError: link.bandwidth: "10" has no unit; write it with one of bit/s, ...
        """
        record: Self = importlib.import_module("migkit.scenario.form.schema").record_of(cls, keys)
        return record


def check(record: Any, path: str) -> None:
    """Raise :class:`UsageError` unless every field of a record is of its type and within its bounds.

    Parameters
    ----------
    record
        A dataclass whose fields are declared as :mod:`migkit.scenario.form.declaration` says.
    path
        The table that the record is, e.g. ``"guest.dirty"``, for messages.

    Examples
    --------
    >>> from migkit import Link
    >>> check(Link(), "link")
    """
    cls: Any = type(record)
    for field in declared(cls):
        value = getattr(record, field.name)
        if value is None and field.is_optional:
            continue
        where = f"{path}.{field.name}"
        if field.is_number:
            _check_number(where, field, value)
            if not isinstance(value, int | float):
                plain = int(value) if isinstance(value, numbers.Integral) else float(value)
                object.__setattr__(record, field.name, plain)  # numpy's numbers become Python's
        else:
            _check_other(where, field, value)


def check_steps(steps: Any, where: str) -> None:
    """Raise :class:`UsageError` unless ``steps`` are pairs of a time above 0 and a finite share of at least 0.

    Examples
    --------
    >>> check_steps(((1.0, 0.5),), "link.steps")
    """
    if not isinstance(steps, tuple):
        raise UsageError(f"{where}: {shown(steps)} is not a tuple of steps; write each as (seconds, share)")
    for step in steps:
        if not (isinstance(step, tuple) and len(step) == 2 and all(_is_number(v) for v in step)):
            raise UsageError(f"{where}: {shown(step)} is not a step; write it as (seconds, share)")
        duration_s, share = step
        if not (SMALLEST <= duration_s <= LARGEST and 0 <= share <= LARGEST):
            raise UsageError(
                f"{where}: ({duration_s:g} s, {share:g}) is not a step; the time must be above 0 s "
                f"and the share at least 0, both at most {LARGEST:g}"
            )


def _is_number(value: Any) -> bool:
    """Say whether ``value`` is a number, and not a whole one that is too large for any float."""
    if type(value) is bool or not isinstance(value, numbers.Real):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:
        return False


def _check_other(where: str, field: Field, value: Any) -> None:
    """Check a switch, a name of a few, or steps."""
    if field.kind == "true or false" and not isinstance(value, bool):
        raise UsageError(f"{where}: {shown(value)} is not a switch; it must be true or false")
    if field.kind == "steps":
        check_steps(value, where)
    if field.rule.choices is not None:
        _check_choice(where, field, value)


def _check_choice(where: str, field: Field, value: Any) -> None:
    choices = field.rule.choices or ()
    if isinstance(value, bool) or value not in choices:
        raise UsageError(f"{where}: {shown(value)} is not known; use one of {', '.join(map(str, choices))}")


def _check_number(where: str, field: Field, value: Any) -> None:
    if field.rule.choices is not None:
        _check_choice(where, field, value)
        return
    if not _is_number(value):
        raise UsageError(f"{where}: {shown(value)} is not a number; give a number in the unit that the name says")
    if field.is_int and not isinstance(value, numbers.Integral):
        raise UsageError(f"{where}: {shown(value)} is not a whole number; give one without a fraction")
    _check_bounds(where, field, value)
    if field.rule.whole_pages and value % PAGE_BYTES:
        raise UsageError(f"{where}: {value} B is no whole number of pages; use a multiple of 4 KiB")


def _check_bounds(where: str, field: Field, value: Any) -> None:
    """Check a number; whatever its own bounds, it is at most :data:`LARGEST` or infinite.

    So what is computed from a few numbers is a number, too. Where 0 is not allowed, a number is at least
    :data:`SMALLEST`; where it is, less than that counts as 0.
    """
    low, high, above = field.rule.low, field.rule.high, field.rule.above
    if value < low or (above and value == low):
        bound = f"{'above' if above else 'at least'} {field.show(low)}"
        unlimited = "; no limit is written unlimited, in Python inf" * (value == 0 and field.may_be_unlimited)
        raise UsageError(f"{where}: {field.show(value)} is too small; it must be {bound}{unlimited}")
    if math.isinf(value) and not field.may_be_unlimited:
        raise UsageError(f"{where}: infinity is too large; give a finite number")
    high = high if math.isinf(value) else min(high, LARGEST)
    if value > high:
        raise UsageError(f"{where}: {field.show(value)} is too large; it must be at most {field.show(high)}")
    if above and value < SMALLEST:
        raise UsageError(f"{where}: {value:g} is too small; it must be at least {SMALLEST:g}")
