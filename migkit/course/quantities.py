"""Answers as numbers of one unit: how they are read, and which slips of the unit are told apart."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, Final

from migkit import units
from migkit.errors import UsageError, shown

__all__ = ["COUNT", "PAGES", "RATE", "RATIO", "SHARE", "SIZE", "TIME", "Quantity", "close", "read", "slip"]

_BITS: Final = "A byte has 8 bits: divide bits by 8, so 1 Gbit/s moves 125 MB each second"
_BINARY: Final = "Binary and decimal prefixes were mixed: 1 MiB = 1.0486 MB, 1 GiB = 1.0737 GB"
_PAGES: Final = "Pages and bytes were mixed: a page holds 4,096 bytes"
_THOUSANDS: Final = "A prefix is off"
_PERCENT: Final = "Percent and shares were mixed: 25 % is the share 0.25"
_SIGN: Final = "The size is right and the sign is not: an error is predicted less measured"
_SMALL_SLIP: Final = 0.001  # how near an answer must be to count as a slip of a few percent
_UPSIDE_DOWN: Final = "It is upside down: you divided the other way round"


def _both(factor: float, text: str) -> dict[float, str]:
    return {factor: text, 1.0 / factor: text}


_PREFIXES: Final = {
    **_both(2.0**10 / 10**3, _BINARY),
    **_both(2.0**20 / 10**6, _BINARY),
    **_both(2.0**30 / 10**9, _BINARY),
}
_SIZES: Final = {
    **_both(8.0, _BITS),
    **_PREFIXES,
    **_both(8.0 * 2**20 / 10**6, f"{_BITS}. {_BINARY}"),
    **_both(8.0 * 2**30 / 10**9, f"{_BITS}. {_BINARY}"),
    **_both(4096.0, _PAGES),
    **{10.0**power: f"{_THOUSANDS}: give plain bytes, not kB, MB or GB" for power in (-9, -6, -3, 3, 6, 9)},
    **{2.0**-power: f"{_THOUSANDS}: give plain bytes, not KiB, MiB or GiB" for power in (10, 20, 30)},
    **{8.0 / 10**power: f"{_THOUSANDS}, and it counts bits: give plain bytes" for power in (6, 9)},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """One kind of answer.

    Attributes
    ----------
    unit
        Its unit in words.
    slips
        By which factor an answer is off, and what then happened.
    parse
        Reads a text with a unit; None: only numbers are taken.
    has_unit
        Whether it is worth saying which unit is asked for.
    """

    unit: str
    slips: Mapping[float, str]
    parse: Callable[[str, str], float] | None = None
    has_unit: bool = True


TIME: Final = Quantity(
    "seconds",
    {
        **_both(1000.0, "Seconds and milliseconds were mixed: 300 ms are 0.3 s"),
        **_both(60.0, "Seconds and minutes were mixed"),
        **_both(3600.0, "Seconds and hours were mixed"),
        **_both(8.0, _BITS),
        **_PREFIXES,
    },
    units.duration,
)
SIZE: Final = Quantity("bytes", _SIZES, units.size)
RATE: Final = Quantity("bytes a second", _SIZES, units.rate)
PAGES: Final = Quantity(
    "pages",
    {
        **_both(4096.0, _PAGES),
        **_both(4.096, "A page holds 4 KiB = 4,096 bytes, not 4,000 or 1,000"),
        **_both(4.0, "A page holds 4 KiB: divide bytes by 4,096, not by 1,024"),
        **_PREFIXES,
    },
)
COUNT: Final = Quantity("a plain number", {}, has_unit=False)
RATIO: Final = Quantity("a ratio", {**_both(8.0, _BITS), **_both(4096.0, _PAGES), **_PREFIXES}, has_unit=False)
SHARE: Final = Quantity(
    "a share, between 0 and 1 for 0 to 100 %",
    {**_both(100.0, _PERCENT), **_both(3600.0, "Seconds and hours were mixed"), -1.0: _SIGN},
    has_unit=False,
)


def close(value: float, other: float, tolerance: float) -> bool:
    """Return whether two numbers are equal within a share of the second.

    Examples
    --------
    >>> close(10.05, 10.0, 0.01), close(10.2, 10.0, 0.01)
    (True, False)
    """
    return abs(value - other) <= tolerance * abs(other) + 1e-12


def slip(value: float, expected: float, quantity: Quantity, tolerance: float, *, small: bool = True) -> str:
    """Return which slip of the unit turns the expected number into this one, without a full stop; empty: none.

    Slips of a few percent are left out where they are not asked for: many numbers are so near each other by chance.

    Examples
    --------
    >>> slip(100.0, 12.5, RATE, 0.01)
    'A byte has 8 bits: divide bits by 8, so 1 Gbit/s moves 125 MB each second. The question asks for bytes a second'
    >>> slip(13.0, 12.5, RATE, 0.01)
    ''
    """
    asked = f". The question asks for {quantity.unit}" if quantity.has_unit else ""
    found = [
        text + asked
        for factor, text in quantity.slips.items()
        if (small or not _is_small(factor))
        and close(value, expected * factor, min(tolerance, _SMALL_SLIP) if _is_small(factor) else tolerance)
    ]
    if not found and expected and close(value, 1.0 / expected, min(tolerance, _SMALL_SLIP)):
        return _UPSIDE_DOWN
    return found[0] if found else ""


def _is_small(factor: float) -> bool:
    return 0.8 < factor < 1.25


def read(given: Any, name: str, quantity: Quantity) -> float:
    """Return an answer as a number: a plain one, or a text with its unit.

    Parameters
    ----------
    given
        What the student gave.
    name
        Of the exercise, for messages.
    quantity
        What was asked for.

    Raises
    ------
    UsageError
        It is no such number; the message says what would do.

    Examples
    --------
    >>> read(2, "rounds", COUNT), read("300 ms", "downtime_s", TIME)
    (2.0, 0.3)
    >>> read("300", "downtime_s", TIME)
    Traceback (most recent call last):
    migkit.errors.UsageError: downtime_s: "300" has no unit; write it with one of ns, us, ms, s, min or h
    """
    if isinstance(given, str) and quantity.parse is not None:
        return quantity.parse(given, name)
    problem = _problem(given)
    if problem:
        raise UsageError(f"{name}: {problem}; give one number, {quantity.unit}")
    value = float(given)
    if not math.isfinite(value):
        raise UsageError(
            f"{name}: it is {value}; the answer is finite, so look for a division by 0 or an endless sum"
        )
    return value


def _problem(given: Any) -> str:
    """Say why something cannot be one number; empty: it can."""
    if given is None:
        return "it is None; does a function of yours lack its return?"
    if callable(given):
        return "it is a function; call it and give what it returns"
    if isinstance(given, bool):
        return f"it is {given}"
    if hasattr(given, "total_time_s"):
        return "it is a whole result; name one of its fields, as in result.total_time_s"
    if getattr(given, "shape", ()) not in ((), (1,)) or isinstance(given, list | tuple | dict | set):
        return f"it is {shown(given)}, more than one value"
    if isinstance(given, numbers.Real) or hasattr(given, "item"):
        return ""
    return f"{shown(given)} is not a number"
