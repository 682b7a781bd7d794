"""The machines that settings are checked against, and what becomes of each of them under values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import UsageError
from migkit.models.frames import known_columns
from migkit.models.many import predict_many
from migkit.planning.inventory import read_machines
from migkit.planning.settings.product import Product, Values
from migkit.scenario import Guest, Scenario
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Fleet"]

_NAMES: Final = ("name", "vm")
_KEPT: Final = ("tls", "storage_bytes", "storage_dirty_bytes_per_s")  # of a strategy: the guest's and the site's own


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """Machines.

    Attributes
    ----------
    names
        Of the machines, one a row.
    frame
        Columns of :func:`migkit.models.many.predict_many`.
    base
        What has no column.
    """

    names: list[str]
    frame: pd.DataFrame
    base: Scenario

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
    def load(cls, path: Path) -> Fleet:
        """Return the machines of a CSV or Parquet file, of columns as in :meth:`of_frame` or of an inventory.

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
        if "memory_bytes" in frame.columns:
            return cls.of_frame(frame)
        machines = read_machines(path)
        known = known_columns()
        told = [one for one in machines.columns if one in known or one.startswith("dirty_")]
        return cls.of_frame(machines[["vm", *told]].copy())

    def only(self, rows: np.ndarray) -> Fleet:
        """Return the machines of some rows, given as a mask."""
        names = [name for name, wanted in zip(self.names, rows.tolist(), strict=True) if wanted]
        return Fleet(names, self.frame[rows].reset_index(drop=True), self.base)

    def outcomes(self, product: Product, values: Values) -> pd.DataFrame:
        """Return what becomes of each machine: verdict, times and the others of ``predict_many``.

        Raises
        ------
        UsageError
            Rows are wrong.
        """
        base = product.scenario(values, self.base)
        return predict_many(self.frame, base)
