"""What is wrong with an inventory: every row at once, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from migkit.errors import UsageError

__all__ = ["InventoryError", "Problem"]

_SHOWN: Final = 3


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes
    ----------
    table
        ``vms`` or ``hosts``.
    row
        Which row, from 1; 0: the whole table.
    column
        Which column.
    value
        What stands there.
    allowed
        What may stand there, or what to do.
    """

    table: str
    row: int
    column: str
    value: str
    allowed: str

    def __str__(self) -> str:
        place = f"{self.table} row {self.row}" if self.row else self.table
        return f"{place}, {self.column}: {self.value}; {self.allowed}"


class InventoryError(UsageError):
    """Rows of an inventory are wrong.

    Attributes
    ----------
    problems
        All of them, by table and row.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda one: (one.table, one.row)))
        first = ". ".join(map(str, self.problems[:_SHOWN]))
        more = len(self.problems) - _SHOWN
        rest = f". And {more} more" if more > 0 else ""
        count = "1 thing is" if len(self.problems) == 1 else f"{len(self.problems)} things are"
        super().__init__(f"inventory: {count} wrong. {first}{rest}")
