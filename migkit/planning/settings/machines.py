"""The machines that settings are checked against, and what becomes of each of them under values."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import UsageError, printable
from migkit.models.bulk.frames import known_columns
from migkit.models.bulk.many import predict_many
from migkit.models.bulk.rows import RowsError
from migkit.planning.inventory import read_machines
from migkit.planning.settings.product import Product, Values
from migkit.scenario import Guest, Scenario
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Fleet"]

_NAMES: Final = ("name", "vm")
_SHOWN: Final = 5  # machines in a message
_KEPT: Final = ("tls", "storage_bytes", "storage_dirty_bytes_per_s")  # of a strategy: the guest's and the site's own


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """Machines.

    Attributes
    ----------
    names
        Of the machines, one a row.
    frame
        Columns of :func:`migkit.models.bulk.many.predict_many`.
    base
        What has no column.
    source
        Where the machines are from, for messages.
    lines
        Line of each row in the file, from 1; empty: there is no such file.
    """

    names: list[str]
    frame: pd.DataFrame
    base: Scenario
    source: str = "inventory"
    lines: tuple[int, ...] = ()

    @classmethod
    def of_scenario(cls, case: Scenario, name: str) -> Fleet:
        """Return one machine.

        Examples
        --------
        >>> Fleet.of_scenario(Scenario(guest=Guest(memory_bytes=2**30)), "web1").names
        ['web1']
        """
        import pandas as pd

        return cls([name], pd.DataFrame({"memory_bytes": [case.guest.memory_bytes]}), case)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Fleet:
        """Return the machines of a frame: a column ``name``, and columns of ``predict_many``.

        Columns of a policy or a strategy do not count, since the settings say both; those of disks and encryption do.

        Raises
        ------
        UsageError
            It has no rows, or no column of names.
        """
        name = next((one for one in _NAMES if one in frame.columns), None)
        if name is None:
            raise UsageError("inventory: the column name is missing; give each machine a name")
        if len(frame) == 0:
            raise UsageError("inventory: it has no rows; give at least one machine")
        known = known_columns()
        told = [one for one in frame.columns if one in known and known[one].table in ("policy", "strategy")]
        dropped = [name, *(one for one in told if one not in _KEPT)]
        rest = frame.drop(columns=dropped).reset_index(drop=True)
        return cls([str(one) for one in frame[name]], rest, Scenario(guest=Guest(memory_bytes=PAGE_BYTES)))

    @classmethod
    def load(cls, path: Path, columns: Mapping[str, str] | None = None) -> Fleet:
        """Return the machines of a CSV or Parquet file, of columns as in :meth:`of_frame` or of an inventory.

        Parameters
        ----------
        path
            The file.
        columns
            Where columns of an inventory that have other names are, as ``{"memory": "RAM [MiB]"}``.

        Raises
        ------
        UsageError
            It cannot be read, or as :meth:`of_frame`.
        """
        import pandas as pd

        try:
            frame: Any = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        except (OSError, ValueError, pd.errors.ParserError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise UsageError(f"inventory {path}: cannot be read ({reason}); give a CSV or Parquet file") from error
        if columns or "host" in frame.columns or "memory_bytes" not in frame.columns:
            machines = read_machines(path, columns=columns)
            known = known_columns()
            told = [one for one in machines.columns if one in known or one.startswith("dirty_")]
            frame = machines[["vm", *told]].copy()
        lines = () if path.suffix == ".parquet" else _lines(path)
        found = cls.of_frame(frame)
        return dataclasses.replace(
            found, source=f"inventory {path}", lines=lines if len(lines) == len(found.names) else ()
        )

    def only(self, rows: np.ndarray) -> Fleet:
        """Return the machines of some rows, given as a mask."""
        return dataclasses.replace(
            self,
            names=list(itertools.compress(self.names, rows)),
            frame=self.frame[rows].reset_index(drop=True),
            lines=tuple(itertools.compress(self.lines, rows)),
        )

    def outcomes(self, product: Product, values: Values) -> pd.DataFrame:
        """Return what becomes of each machine: verdict, times and the others of ``predict_many``.

        Raises
        ------
        UsageError
            Rows are wrong; the message names the machines.
        """
        base = product.scenario(values, self.base)
        try:
            return predict_many(self.frame, base)
        except RowsError as error:
            raise UsageError(self._wrong(error.reasons)) from error

    def _wrong(self, reasons: Mapping[int, str]) -> str:
        """Return in one line which machines are wrong, and how."""
        told = [f"{self._place(row)}: {reason}" for row, reason in itertools.islice(reasons.items(), _SHOWN)]
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        verb = "is" if len(reasons) == 1 else "are"
        return f"{self.source}: {len(reasons)} of {len(self.names)} machines {verb} wrong: {'; '.join(told)}{more}"

    def _place(self, row: int) -> str:
        line = f"line {self.lines[row]}, " if self.lines else ""
        return f"{line}machine {printable(self.names[row])}"


def _lines(path: Path) -> tuple[int, ...]:
    """Return the line in which each row of a CSV file begins; a quoted cell may go on over lines."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        begins = itertools.chain([1], (reader.line_num + 1 for _ in itertools.count()))
        return tuple(line for line, row in zip(begins, reader, strict=False) if row)[1:]
