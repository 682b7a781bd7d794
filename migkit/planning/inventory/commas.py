"""Commas in numbers: between thousands or before decimals, told apart by the values of a whole column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["plain"]

_NUMBER: Final = re.compile(r"\s*([+-]?)(\d[\d.,]*)")
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?|\d+(\.\d*)?")
_DECIMAL: Final = re.compile(r"[1-9]\d{0,2}(\.\d{3})+(,\d*)?|\d+(,\d*)?")
_ONE_GROUP: Final = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")


def plain(cells: Sequence[Any], semicolons: bool) -> tuple[list[Any], dict[int, tuple[str, str]]]:
    """Return cells whose numbers have a decimal point and nothing between thousands, and what stays ambiguous.

    A comma stands between thousands where each comma of the column has three digits behind it. It may stand before
    decimals only in a file whose cells are separated by semicolons, as office programs write it where the comma is
    the decimal sign. There, one separator before three digits may be either, unless another cell of the column
    tells.

    Parameters
    ----------
    cells
        One column; what is no text passes, and so does the text behind a number.
    semicolons
        Whether semicolons separate the cells of the file.

    Returns
    -------
    cells
        The same with points.
    wrong
        By position, what is wrong and what is allowed.

    Examples
    --------
    >>> plain(["1,024", "16,384.5"], semicolons=False)[0]
    ['1024', '16384.5']
    >>> plain(["7,5 GiB", "1.024,0 GiB"], semicolons=True)[0]
    ['7.5 GiB', '1024.0 GiB']
    >>> plain(["7,500"], semicolons=True)[1]
    {0: ("'7,500' may be 7.5 or 7500", 'write it without a separator of thousands, with a decimal point')}
    """
    found = {row: match for row, cell in enumerate(cells) if isinstance(cell, str) and (match := _NUMBER.match(cell))}
    numbers = {row: match[2] for row, match in found.items()}
    signs = [number for number in numbers.values() if "," in number or (semicolons and "." in number)]
    if not signs:
        return list(cells), {}
    by_thousands = all(map(_THOUSANDS.fullmatch, signs))
    by_decimals = semicolons and all(map(_DECIMAL.fullmatch, signs))
    if by_thousands == by_decimals:
        return list(cells), {
            row: _doubt(number) for row, number in numbers.items() if _is_doubtful(number, semicolons)
        }
    out = list(cells)
    for row, match in found.items():
        number = match[2].replace(",", "") if by_thousands else match[2].replace(".", "").replace(",", ".")
        out[row] = match[1] + number + cells[row][match.end() :]
    return out, {}


def _is_doubtful(number: str, semicolons: bool) -> bool:
    return "," in number or (semicolons and _ONE_GROUP.fullmatch(number) is not None)


def _doubt(number: str) -> tuple[str, str]:
    if _ONE_GROUP.fullmatch(number):
        whole, _, rest = re.split("([.,])", number)
        said = f"'{number}' may be {float(f'{whole}.{rest}'):g} or {whole}{rest}"
    else:
        said = f"'{number}' has a comma that need not be one between thousands"
    return said, "write it without a separator of thousands, with a decimal point"
