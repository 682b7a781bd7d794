"""How each machine dirties its memory, in whatever way a row says it, as page classes in columns."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from migkit.errors import MigkitError, UsageError, shown
from migkit.planning.inventory.cells import Table
from migkit.planning.inventory.problems import Problem
from migkit.planning.inventory.workloads import WORKLOADS, classes_of
from migkit.scenario import DirtyClass, profile
from migkit.scenario.form import schema
from migkit.units import PAGE_BYTES, format_size

__all__ = ["resolved"]

_SATURATED: Final = 5.0  # writes a page and window of a set that is written over and over
Wrong = dict[int, tuple[str, str, str]]


def resolved(table: Table, folder: Path, default: str | None) -> tuple[Table, list[Problem], int]:
    """Return the table with page classes alone, what is wrong, and how many machines say nothing of their dirtying.

    A measured rate ``D`` in a window ``w`` says ``U(w) = D w`` and leaves a family of guests open; the machine is
    taken to write at random to the geometric mean between the smallest and the largest set that give that reading.

    Parameters
    ----------
    table
        Machines by column.
    folder
        Where the paths of profiles start.
    default
        Workload of machines that say nothing; None: they write nothing.
    """
    rows = len(table["memory_bytes"])
    out = {name: values for name, values in table.items() if name not in _WAYS}
    number = _class_count(table)
    ways = _ways(table, rows, number)
    wrong: Wrong = {
        row: ("dirty", " and ".join(name for name, there in ways.items() if there[row]), "give one of them")
        for row in np.flatnonzero(sum(ways.values()) > 1).tolist()
    }
    silent = ~np.any(list(ways.values()), axis=0)
    if "dirty_rate" in ways:
        _put_readings(table, out, ways["dirty_rate"], wrong)
    named = _named(table, rows, silent, default)
    for row, (column, name) in named.items():
        try:
            _put(out, row, rows, _classes(column, name, folder, int(table["memory_bytes"][row])))
        except MigkitError as error:
            what, _, allowed = str(error).partition("; ")
            wrong[row] = (column, what, allowed or "give another one")
    _whole_pages(out, wrong)
    problems = [Problem("vms", row + 1, *said) for row, said in sorted(wrong.items())]
    return out, problems, int(silent.sum()) if default is None else 0


_WAYS: Final = ("profile", "workload", "dirty_rate_bytes_per_s", "dirty_window_s")


def _class_count(table: Table) -> int:
    return max((int(name.split("_")[1]) for name in table if name[:6] == "dirty_" and name[6].isdigit()), default=0)


def _ways(table: Table, rows: int, number: int) -> dict[str, np.ndarray]:
    ways: dict[str, Any] = {}
    regions = [table[f"dirty_{k}_region_bytes"] for k in range(1, number + 1) if f"dirty_{k}_region_bytes" in table]
    if regions:
        ways["page classes"] = np.any([values > 0 for values in regions], axis=0)
    for column in ("profile", "workload"):
        if column in table:
            ways[column] = np.array([value is not None for value in table[column]])
    if "dirty_rate_bytes_per_s" in table:
        ways["dirty_rate"] = ~np.isnan(table["dirty_rate_bytes_per_s"])
    return ways or {"page classes": np.zeros(rows, dtype=bool)}


def _named(table: Table, rows: int, silent: np.ndarray, default: str | None) -> dict[int, tuple[str, str]]:
    """Return the rows whose classes come from a file or a table of workloads: which column, and the name in it."""
    found = {
        row: (column, str(name))
        for column in ("profile", "workload")
        for row, name in enumerate(table.get(column, ()))
        if name is not None
    }
    if default is not None:
        found |= dict.fromkeys(np.flatnonzero(silent).tolist(), ("workload", default))
    return found


def _classes(column: str, name: str, folder: Path, memory_bytes: int) -> tuple[DirtyClass, ...]:
    if column == "workload":
        if name not in WORKLOADS:
            near = difflib.get_close_matches(name, WORKLOADS, n=1)
            hint = f' (did you mean "{near[0]}"?)' if near else ""
            raise UsageError(f"{shown(name)} is not known; use one of {', '.join(WORKLOADS)}{hint}")
        return classes_of(name, memory_bytes)
    path = folder / name
    found = schema.load(path).guest.dirty if path.suffix == ".toml" else tuple(profile.load(path).classes())
    regions = sum(one.region_bytes for one in found)
    if regions > memory_bytes:
        raise UsageError(
            f"{shown(name)} dirties {format_size(regions)}, the machine has {format_size(memory_bytes)}; "
            "measure it in a machine of this size"
        )
    return found


def _put(out: Table, row: int, rows: int, classes: tuple[DirtyClass, ...]) -> None:
    for number, one in enumerate(classes, 1):
        for field, empty in (("region_bytes", math.nan), ("writes_per_s", math.nan), ("kind", None)):
            name = f"dirty_{number}_{field}"
            if name not in out:
                out[name] = np.full(rows, empty, dtype=object if empty is None else float)
            out[name][row] = getattr(one, field)


def _put_readings(table: Table, out: Table, there: np.ndarray, wrong: Wrong) -> None:
    """Write the class that a reading stands for; a window is needed, since a rate without one says nothing."""
    rows = there.size
    window_s = table.get("dirty_window_s", np.full(rows, math.nan))
    for row in np.flatnonzero(there & np.isnan(window_s)).tolist():
        wrong[row] = ("dirty_window", "missing", "say in which window the rate was measured")
    limit = (table["memory_bytes"] - np.nan_to_num(table.get("zero_bytes", np.zeros(rows)))) // PAGE_BYTES
    with np.errstate(invalid="ignore", divide="ignore"):
        unique = table["dirty_rate_bytes_per_s"] * window_s / PAGE_BYTES
        for row in np.flatnonzero(there & (unique > limit)).tolist():
            wrong[row] = (
                "dirty_rate",
                f"{unique[row]:.0f} pages in the window are more than the memory has, {limit[row]:.0f}",
                "check rate, window and memory",
            )
        good = there & (unique >= 1) & (unique <= limit)
        smallest = np.minimum(limit, unique / -math.expm1(-_SATURATED))
        region = np.minimum(np.ceil(np.sqrt(smallest * limit)), limit)
        writes = region * -np.log1p(-np.minimum(unique / region, -math.expm1(-_SATURATED))) / window_s
    for name, values in (("region_bytes", region * PAGE_BYTES), ("writes_per_s", writes)):
        column = out.setdefault(f"dirty_1_{name}", np.full(rows, math.nan))
        column[good] = values[good]


def _whole_pages(out: Table, wrong: Wrong) -> None:
    """Round memory up and regions to whole pages, name classes without a kind, and check that all fits."""
    memory = np.ceil(out["memory_bytes"] / PAGE_BYTES) * PAGE_BYTES
    zero = np.floor(np.nan_to_num(out.get("zero_bytes", np.zeros(memory.size))) / PAGE_BYTES) * PAGE_BYTES
    total = zero.copy()
    for number in range(1, _class_count(out) + 1):
        region = out.get(f"dirty_{number}_region_bytes", np.full(memory.size, math.nan))
        region = np.where(region > 0, np.maximum(np.rint(region / PAGE_BYTES), 1) * PAGE_BYTES, 0.0)
        writes = out.get(f"dirty_{number}_writes_per_s", np.full(memory.size, math.nan))
        for row in np.flatnonzero((region > 0) & np.isnan(writes)).tolist():
            wrong.setdefault(row, (f"dirty_{number}_writes_per_s", "missing", "say how often the region is written"))
        kind = out.get(f"dirty_{number}_kind", np.full(memory.size, None, dtype=object))
        out[f"dirty_{number}_region_bytes"] = region
        out[f"dirty_{number}_writes_per_s"] = np.nan_to_num(writes)
        out[f"dirty_{number}_kind"] = np.array([one or "random" for one in kind], dtype=object)
        total += region
    for row in np.flatnonzero(total > memory).tolist():
        said = f"dirty regions and zero pages have {format_size(total[row])}, the memory {format_size(memory[row])}"
        wrong.setdefault(row, ("memory", said, "shrink a region or add memory"))
    out["memory_bytes"], out["zero_bytes"] = memory, zero
