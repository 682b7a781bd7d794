"""Numbers that others wrote, believed only within bounds."""

from __future__ import annotations

import math
import re
import reprlib
from typing import Any, Final, NamedTuple

from migkit.errors import printable
from migkit.importers.names import UNITS, UNITS_OF, Name

__all__ = ["Quantity", "number", "quantity", "scaled", "words"]

_LARGEST: Final = 2.0**63
_WORDS: Final = 80
_WHOLE_UNITS: Final = ("", "ms", "pages", "pages/s", "bytes")
_SHORT: Final = reprlib.Repr()
_QUANTITY: Final = re.compile(
    r"\s*([+-]?(?:\d{1,3}(?:,\d{3}){1,6}|\d{1,25}(?:[.,]\d{1,25})?)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-z%/]{0,12})\s*"
)


class Quantity(NamedTuple):
    """A value in our unit, and how finely it was printed (the step of its last digit) in our unit."""

    value: float
    resolution: float


def number(value: Any) -> float | None:
    """Return a count or measure as a float, or None if it is none: no number, negative, not finite, above 2^63.

    Examples
    --------
    >>> number(5), number("12"), number(-1), number(float("nan")), number(True)
    (5.0, 12.0, None, None, None)
    """
    if isinstance(value, str) and len(value) <= 30 and re.fullmatch(r"\d{1,20}(\.\d{1,9})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LARGEST else None


def scaled(value: float, factor: float) -> float:
    """Return ``value`` times ``factor``; a factor such as 0.001 divides instead, so that 104 ms are 0.104 s.

    Examples
    --------
    >>> scaled(104, 1e-3), scaled(3, 1024)
    (0.104, 3072)
    """
    return value / round(1 / factor) if factor < 0.5 else value * factor


def quantity(text: str, family: str, name: Name) -> Quantity | None:
    """Return what ``text`` ("12.214 GiB", "1642661 kbytes") says in our unit; without a unit the table's holds.

    Examples
    --------
    >>> quantity("4 kbytes", "hmp", Name("page_bytes", "KiB", 1024))
    Quantity(value=4096.0, resolution=1024.0)
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    digits, unit = match[1], match[2]
    if digits.count(",") > 1 or unit in _WHOLE_UNITS:  # thousands; one comma before a size is a decimal point
        digits = digits.replace(",", "")
    digits = digits.replace(",", ".")
    factor = name.factor if not unit else {**UNITS, **UNITS_OF.get(family, {})}.get(unit)
    value = scaled(float(digits), factor) if factor is not None else math.nan
    if not 0 <= value < _LARGEST:
        return None
    decimals = len(digits.partition(".")[2])
    return Quantity(_whole(value), (factor or 1) * 10.0**-decimals)


def words(value: Any) -> str:
    """Return a foreign value as one short printable line.

    Examples
    --------
    >>> words("a\\x1b[31m b"), words(True), words([1, 2])
    ('a\\\\x1b[31m b', 'true', '[1, 2]')
    """
    text = value if isinstance(value, str) else _SHORT.repr(value)
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    text = text if len(text) <= _WORDS else text[: _WORDS - 3] + "..."
    return printable(text)


def _whole(value: float) -> float:
    """Return a value that misses a whole number by rounding only as that number."""
    near = round(value)
    return float(near) if abs(value - near) < 1e-9 * max(1.0, abs(value)) and value >= 1 else value
