"""A fleet: its machines and hosts as two checked frames."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from migkit.planning.inventory import cells, dirtying
from migkit.planning.inventory.foreign import source_of
from migkit.planning.inventory.nouns import fields
from migkit.planning.inventory.problems import InventoryError, Problem
from migkit.planning.inventory.sheets import opened
from migkit.units import format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inventory", "read_machines"]


@dataclasses.dataclass(frozen=True)
class Inventory:
    """Machines and hosts.

    Attributes
    ----------
    vms
        One row a machine: the columns of :class:`migkit.planning.inventory.nouns.Machine`, and page classes as
        :func:`migkit.predict_many` takes them.
    hosts
        One row a host: the columns of :class:`migkit.planning.inventory.nouns.Server`.
    notes
        What was assumed, as sentences.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": "web", "host": "a", "memory": "4 GiB"}],
    ...     [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "ab"])
    >>> fleet.vms.memory_bytes.tolist(), fleet.hosts.host.tolist()
    ([4294967296.0], ['a', 'b'])
    """

    vms: pd.DataFrame
    hosts: pd.DataFrame
    notes: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        vms: Any,
        hosts: Any,
        *,
        vm_columns: Mapping[str, str] | None = None,
        host_columns: Mapping[str, str] | None = None,
        workload: str | None = None,
    ) -> Inventory:
        """Read machines and hosts.

        Parameters
        ----------
        vms, hosts
            Each a path (CSV, Parquet, JSON), the bytes of such a file, a pandas, Polars or Arrow frame, or rows as
            mappings. Exports of RVTools and JSON of OpenStack, ``kubectl`` and ``virsh`` are known by their columns.
        vm_columns, host_columns
            Where columns of other names are, as ``{"memory": "RAM [MiB]"}``.
        workload
            Named workload of machines that say nothing of how they dirty memory; None: they write nothing.

        Raises
        ------
        UsageError
            A table cannot be read, or lacks a column.
        InventoryError
            Rows are wrong; ``problems`` has all of them.
        """
        servers, wrong_hosts, notes_hosts, host_rows = _table(hosts, "hosts", host_columns)
        machines, wrong_vms, notes_vms, vm_rows, silent = _machines(vms, vm_columns, workload)
        problems = [*wrong_hosts, *_doubles(servers, "hosts", host_rows), *wrong_vms]
        known = {(one.row, one.column) for one in problems if one.table == "vms"}
        problems += [one for one in _contradictions(machines, servers, vm_rows) if (one.row, one.column) not in known]
        if problems:
            raise InventoryError(problems)
        said = "1 machine says" if silent == 1 else f"{silent} machines say"
        guess = (f"{said} nothing of how memory is dirtied: taken as idle",) if silent else ()
        notes = (*notes_vms, *notes_hosts, *guess, *_crowded(machines, servers))
        return cls(_frame(machines), _frame(servers), notes)


def read_machines(vms: Any, *, columns: Mapping[str, str] | None = None, workload: str | None = None) -> pd.DataFrame:
    """Return machines without hosts, as :attr:`Inventory.vms` has them.

    Parameters
    ----------
    vms, columns, workload
        As in :meth:`Inventory.read`.

    Raises
    ------
    UsageError
        The table cannot be read, or lacks a column.
    InventoryError
        Rows are wrong; ``problems`` has all of them.

    Examples
    --------
    >>> read_machines([{"vm": "web", "host": "a", "memory": "4 GiB"}]).memory_bytes.tolist()
    [4294967296.0]
    """
    machines, problems, _, _, _ = _machines(vms, columns, workload)
    if problems:
        raise InventoryError(problems)
    return _frame(machines)


def _machines(
    vms: Any, columns: Mapping[str, str] | None, workload: str | None
) -> tuple[cells.Table, list[Problem], tuple[str, ...], np.ndarray, int]:
    """Return machines, what is wrong with their rows, notes, the rows, and how many say nothing of their writes."""
    machines, problems, notes, rows = _table(vms, "vms", columns)
    folder = Path(vms).parent if isinstance(vms, str | os.PathLike) else Path()
    problems = [*problems, *_doubles(machines, "vms", rows)]
    machines, wrong, silent = dirtying.resolved(machines, folder, workload)
    problems += [one._replace(row=int(rows[one.row - 1]) + 1) for one in wrong]
    return machines, problems, notes, rows, silent


def _table(
    source: Any, table: str, columns: Mapping[str, str] | None
) -> tuple[cells.Table, list[Problem], tuple[str, ...], np.ndarray]:
    sheet = opened(source, table)
    where = {ours: source_of(theirs) for ours, theirs in (columns or {}).items()}
    found, problems, notes, kept = cells.understood(sheet, table, where)
    return _filled(found, table), problems, notes, kept


def _filled(found: cells.Table, table: str) -> cells.Table:
    """Add the columns that are not there, and the defaults of cells that are missing."""
    rows = len(next(iter(found.values())))
    out = dict(found)
    for field in fields(table):
        if field.kind == "text":
            out.setdefault(field.name, np.full(rows, None, dtype=object))
        else:
            default = math.nan if field.is_required or field.default is None else float(field.default)
            values = out.setdefault(field.name, np.full(rows, default))
            out[field.name] = np.where(np.isnan(values), default, values)
    return out


def _doubles(table: cells.Table, name: str, rows: np.ndarray) -> list[Problem]:
    column = "vm" if name == "vms" else "host"
    many = {one for one, count in Counter(table[column]).items() if count > 1 and one is not None}
    first: dict[str, int] = {}
    problems = []
    for at, one in enumerate(table[column]):
        if one in many:
            row = int(rows[at]) + 1
            if one in first:
                problems.append(
                    Problem(name, row, column, f"{one} is in row {first[one]} as well", "keep one of them")
                )
            first.setdefault(one, row)
    return problems


def _contradictions(vms: cells.Table, hosts: cells.Table, rows: np.ndarray) -> list[Problem]:
    """Return machines on hosts that are not listed, and those that no host can hold."""
    known = set(hosts["host"])
    problems = []
    for column, what in (("memory_bytes", "memory"), ("processors", "processors")):
        largest = np.nanmax(hosts[column], initial=0.0)
        for row in np.flatnonzero(vms[column] > largest).tolist():
            value, most = vms[column][row], largest
            said = (format_size(value), format_size(most)) if what == "memory" else (f"{value:g}", f"{most:g}")
            problems.append(
                Problem("vms", int(rows[row]) + 1, what, f"{said[0]} is more than any host has", f"at most {said[1]}")
            )
    for row, host in enumerate(vms["host"]):
        if host is not None and host not in known:
            problems.append(
                Problem("vms", int(rows[row]) + 1, "host", f"{host} is not among the hosts", "add it to the hosts")
            )
    return problems


def _crowded(vms: cells.Table, hosts: cells.Table) -> tuple[str, ...]:
    """Say which hosts hold more than they have; nothing more may come to them."""
    place = {host: at for at, host in enumerate(hosts["host"])}
    at = np.array([place[host] for host in vms["host"]])
    used = np.bincount(at, weights=vms["memory_bytes"], minlength=len(place))
    over = np.flatnonzero(used > hosts["memory_bytes"]).tolist()
    if not over:
        return ()
    first = over[0]
    said = f"{hosts['host'][first]} ({format_size(used[first])} of {format_size(hosts['memory_bytes'][first])})"
    more = f" and {len(over) - 1} more" if len(over) > 1 else ""
    return (f"machines have more memory than their host: {said}{more}; nothing moves there until it is free",)


def _frame(table: cells.Table) -> pd.DataFrame:
    import pandas as pd

    kept = {name: values for name, values in table.items() if name not in ("profile", "workload")}
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in kept.items()})
