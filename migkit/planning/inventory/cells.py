"""From raw cells to numbers and names in our units; every cell that is wrong becomes a problem."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError, counted, printable, shown
from migkit.planning.inventory import commas
from migkit.planning.inventory.foreign import UNITS, Form, Source, form_of, from_quantity
from migkit.planning.inventory.nouns import class_field, fields
from migkit.planning.inventory.problems import Problem
from migkit.planning.inventory.sheets import Sheet
from migkit.scenario.form.declaration import Field, show
from migkit.units import duration, rate, size

__all__ = ["Table", "understood"]

Table = dict[str, np.ndarray]
_PARSERS: Final[Mapping[str, Callable[[str, str], float]]] = {"size": size, "rate": rate, "time": duration}
_CALLED: Final = {  # what people call a column, in lower case
    **dict.fromkeys(("vm_name", "vmname", "guest"), "vm"),
    **dict.fromkeys(("node", "hypervisor", "host_name", "hostname"), "host"),
    **dict.fromkeys(("ram", "mem"), "memory"),
    **dict.fromkeys(("cpus", "vcpus", "cores", "cpu"), "processors"),
    **dict.fromkeys(("bandwidth", "nic_speed"), "link"),
    **dict.fromkeys(("bandwidth_bytes_per_s",), "link_bytes_per_s"),
    **dict.fromkeys(("anti_affinity_group",), "anti_affinity"),
    **dict.fromkeys(("not_migratable", "unmovable"), "pinned"),
    **dict.fromkeys(("local_disks", "local_storage"), "local_disk"),
    **dict.fromkeys(("storage_pool", "datastore"), "pool"),
    **dict.fromkeys(("dirty_rate_window",), "dirty_window"),
}
_NAMES: Final = {"vms": "vm", "hosts": "host"}  # what the column "name" of each table is
_WITH_UNIT: Final = re.compile(r"(.+?)\s*(?:\(([^()]+)\)|\[([^\[\]]+)\])")
_BINDING: Final = ("anti_affinity", "pool", "cluster", "nic")  # what limits where a machine may go
_NO: Final = ("no", "n", "false", "off", "0", "0.0")
_YES: Final = ("yes", "y", "true", "on", "1", "1.0")
_LARGEST: Final = float(2**62)
_LONGEST_TEXT: Final = 1000  # characters of a name
_LONGEST_NAME: Final = 40  # characters of the name of a column, where many are listed
_MOST_NAMES: Final = 30


class _Column:
    """One column of ours, where its cells come from and what a bare number in them is."""

    def __init__(self, name: str, field: Field, cells: list[Any], said: str, factor: float | None) -> None:
        self.name, self.field, self.cells, self.said, self.factor = name, field, cells, said, factor


def understood(
    sheet: Sheet, table: str, columns: Mapping[str, Source]
) -> tuple[Table, list[Problem], tuple[str, ...], np.ndarray]:
    """Return the columns by our names, what is wrong, what is to be told, and the row that each stands in.

    Parameters
    ----------
    sheet
        Raw cells.
    table
        ``vms`` or ``hosts``.
    columns
        Where our columns come from; the rest is found by name, or by the tool that wrote the table.

    Raises
    ------
    UsageError
        A column that must be there is not, or one is not known but resembles one that is.
    """
    form = form_of(table, list(sheet))
    kept = _kept(sheet, form)
    rows = Sheet({name: [cells[row] for row in kept] for name, cells in sheet.items()})
    found, notes = _found(rows, table, columns, form)
    out: Table = {}
    problems: list[Problem] = []
    for column in found:
        values, wrong = _texts(column) if column.field.kind == "text" else _numbers(column, sheet.semicolons)
        out[column.name] = values
        problems += [Problem(table, int(kept[row]) + 1, column.said, *said) for row, said in wrong.items()]
    left_out = len(next(iter(sheet.values()))) - len(kept)
    return out, problems, notes + _told(form, table, len(kept), left_out), kept


def _kept(sheet: Sheet, form: Form | None) -> np.ndarray:
    rows = len(next(iter(sheet.values())))
    good = np.ones(rows, dtype=bool)
    for choice, values in form.only.items() if form else ():
        for name in choice.split("|"):
            if name in sheet:
                good &= np.array([str(cell if cell is not None else "") in values for cell in sheet[name]])
                break
    return np.flatnonzero(good)


def _told(form: Form | None, table: str, kept: int, left_out: int) -> tuple[str, ...]:
    if form is None:
        return ()
    if not kept:
        raise UsageError(f"{table}: no row of {form.name} is a running machine; check the column of its state")
    said = f"{table}: read as {form.name}, {counted(kept, 'row')}"
    if not left_out:
        return (said,)
    them, whose = ("it takes", "its host still holds it") if left_out == 1 else ("they take", "hosts still hold them")
    off = f"{counted(left_out, 'row')} of machines that do not run {'was' if left_out == 1 else 'were'} left out"
    return (f"{said}; {off}: {them} no memory and {'does' if left_out == 1 else 'do'} not move, so that {whose}",)


def _found(
    sheet: Sheet, table: str, columns: Mapping[str, Source], form: Form | None
) -> tuple[list[_Column], tuple[str, ...]]:
    known = {field.name: field for field in fields(table)}
    by_key = {field.key: field.name for field in known.values()} | {name: name for name in known}
    found: dict[str, _Column] = {}
    used: set[str] = set()
    for ours, source in {**(form.columns if form else {}), **columns}.items():
        name = by_key.get(ours) or (ours if class_field(ours) else "")
        if not name:
            known_names = ", ".join(field.key for field in known.values())
            raise UsageError(f"{table}: {shown(ours)} is no column of ours; use one of {known_names}")
        column = _mapped(sheet, table, name, known.get(name) or class_field(name), source, required=ours in columns)
        if column is not None:
            found[name] = column
            used |= {part for choice in source.names for part in (choice, *choice.split("/"))}
    ignored = []
    for said in sheet:
        if said in used:
            continue
        bare, unit = _unit_of(said)
        plain = _plain(bare, table)
        name = by_key.get(plain, "")
        field = known.get(name) or class_field(plain)
        factor = _factor(field, unit)
        if unit and factor is None:
            plain, field = _words(said), None
        if field is None:
            ignored += [said] if form or not _refused(said, plain, by_key, table) else []
        elif (name or plain) in found:
            if not form:
                raise UsageError(
                    f"{table}: {shown(said)} and {shown(found[name or plain].said)} say the same; drop one"
                )
        else:
            column = _own(plain, field, sheet[said], said, name or plain)
            found[name or plain] = _Column(column.name, field, column.cells, said, factor or column.factor)
    _check_present(found, known, table, form, sheet)
    notes = (f"{table}: ignored {_listed(ignored)}",) if ignored and not form else ()
    return list(found.values()), notes + _guessed(found, table, columns, form)


def _guessed(
    found: Mapping[str, _Column], table: str, columns: Mapping[str, Source], form: Form | None
) -> tuple[str, ...]:
    """Say which columns were taken for ours by their name alone, and which of those not asked for limit the moves."""
    asked = {name for source in columns.values() for name in source.names}
    known = asked | {name for source in (form.columns.values() if form else ()) for name in source.names}
    read = [
        f"{printable(column.said)} as {column.field.key}"
        for column in found.values()
        if not (column.said in known or class_field(column.name))
        and _words(column.said) not in (column.name, column.field.key)
    ]
    binding = [one.field.key for one in found.values() if one.said not in asked and one.field.name in _BINDING]
    limits = f"{' and '.join(binding)} {'limits' if len(binding) == 1 else 'limit'} where machines may go"
    said = [*([f"read {', '.join(read)}"] if read else []), *([limits] if binding else [])]
    return (f"{table}: {'; '.join(said)}",) if said else ()


def _listed(names: Sequence[str]) -> str:
    """Return names of columns as a message lists them, however many and however long they are."""
    short = [printable(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...") for name in names]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(short[:_MOST_NAMES]) + more


def _words(said: str) -> str:
    return said.strip().lower().replace(" ", "_").replace("-", "_")


def _plain(said: str, table: str) -> str:
    plain = _words(said)
    return _NAMES[table] if plain == "name" else _CALLED.get(plain, plain)


def _refused(said: str, plain: str, known: Mapping[str, str], table: str) -> bool:
    """Return False for a column that is somebody's own; one that resembles ours is a slip of the pen."""
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.8)
    if near:
        raise UsageError(f'{table}: the column {shown(said)} is not known; did you mean "{near[0]}"?')
    return False


def _unit_of(said: str) -> tuple[str, str]:
    """Return the name of a column and the unit behind it, as in ``Memory (GB)`` and ``link [Gbit/s]``, or no unit."""
    found = _WITH_UNIT.fullmatch(said.strip())
    return (found[1], found[2] or found[3]) if found else (said, "")


def _factor(field: Field | None, unit: str) -> float | None:
    """Return how much one of a unit is; None where the field has no such unit."""
    parse = _PARSERS.get(field.kind) if field and unit else None
    try:
        return parse(f"1 {unit}", "") if parse else None
    except UsageError:
        return None


def _own(plain: str, field: Field, cells: list[Any], said: str, name: str) -> _Column:
    """Return a column with our name: with the unit in its name it holds numbers, else text with units."""
    if plain.startswith("dirty_") and class_field(plain):
        number = plain.split("_")[1]
        name = f"dirty_{number}_{field.name}"
        bare = plain.endswith(field.name)
    else:
        bare = plain == field.name
    return _Column(name, field, cells, said, 1.0 if bare or field.kind not in _PARSERS else None)


def _mapped(
    sheet: Sheet, table: str, name: str, field: Field | None, source: Source, *, required: bool
) -> _Column | None:
    """Return a column that a map names; several names are joined by ``/`` or tried in turn."""
    if field is None:
        return None
    for choice in source.names:
        parts = choice.split("/")
        if choice in sheet:
            cells = sheet[choice]
        elif len(parts) > 1 and all(part in sheet for part in parts):
            cells = ["/".join(map(str, row)) for row in zip(*(sheet[part] for part in parts), strict=True)]
        else:
            continue
        if source.unit == "quantity":
            cells = [_quantity(cell) for cell in cells]
            return _Column(name, field, cells, choice, 1.0)
        if source.unit and source.unit not in UNITS:
            raise UsageError(f"{table}: {shown(source.unit)} is no unit of a column; use one of {', '.join(UNITS)}")
        bare = 1.0 if field.kind not in _PARSERS else None
        return _Column(name, field, cells, choice, UNITS[source.unit] if source.unit else bare)
    if required:
        raise UsageError(
            f"{table}: there is no column {shown(source.names[0])}; the table has {_listed(list(sheet))}"
        )
    return None


def _quantity(cell: Any) -> Any:
    try:
        return None if cell is None else from_quantity(cell)
    except ValueError:
        return cell


def _check_present(
    found: Mapping[str, Any], known: Mapping[str, Field], table: str, form: Form | None, sheet: Sheet
) -> None:
    missing = [field.key for name, field in known.items() if field.is_required and name not in found]
    if missing:
        them = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        noun, verb = ("column", "is") if len(missing) == 1 else ("columns", "are")
        whose = f" ({form.name} does not write it)" if form else f" (the table has {_listed(list(sheet))})"
        option, argument = ("--vm-column", "vm_columns") if table == "vms" else ("--host-column", "host_columns")
        raise UsageError(
            f"{table}: the {noun} {them} {verb} missing{whose}; add what is missing, or say where it is: "
            f"{option} '{missing[0]}=COLUMN [UNIT]', {argument} in Python"
        )


def _texts(column: _Column) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    read = _reason if column.field.name == "pinned" else _text
    wrong = {row: problem for row, cell in enumerate(column.cells) if (problem := _no_text(cell))}
    texts = [None if row in wrong else read(cell) for row, cell in enumerate(column.cells)]
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    if column.field.is_required:
        wrong = (
            dict.fromkeys((row for row, text in enumerate(texts) if text is None), ("missing", "give a name")) | wrong
        )
    choices = column.field.rule.choices
    if choices:
        wrong |= {
            row: (shown(value), f"use one of {', '.join(map(str, choices))}")
            for row, value in enumerate(values)
            if value is not None and value not in choices
        }
    return values, wrong


def _no_text(cell: Any) -> tuple[str, str] | None:
    """Return what is wrong with a cell that is to be text, if anything is."""
    if isinstance(cell, str):
        long = len(cell) > _LONGEST_TEXT
        return (f"a text of {len(cell):,} characters", f"at most {_LONGEST_TEXT:,} characters") if long else None
    if cell is None or isinstance(cell, numbers.Real):
        return None
    return f"{shown(cell)} is no text", "write one text or number"


def _text(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return str(cell).strip() or None


def _reason(cell: Any) -> str | None:
    """Return why a machine is pinned; None where the cell is empty or says no."""
    text = _text(cell)
    if text is None or text.lower() in _NO:
        return None
    return "marked as pinned" if text.lower() in _YES else text


def _numbers(column: _Column, semicolons: bool) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    values = np.full(len(column.cells), math.nan)
    cells, wrong = commas.plain(column.cells, semicolons)
    seen: dict[Any, tuple[float, tuple[str, str] | None]] = {}
    for row, cell in enumerate(cells):
        if row in wrong:
            continue
        key = (type(cell), cell) if isinstance(cell, str | int | float) else None
        value, problem = seen[key] if key in seen else _number(column, cell)
        if key is not None:
            seen[key] = value, problem
        values[row] = value
        if problem is not None:
            wrong[row] = problem
    return values, wrong


def _number(column: _Column, cell: Any) -> tuple[float, tuple[str, str] | None]:
    field = column.field
    if cell is None:
        needed = field.is_required and not column.name.startswith("dirty_")
        return math.nan, ("missing", _allowed(column)) if needed else None
    try:
        value = _value(column, cell)
    except UsageError as error:
        what, _, allowed = str(error).removeprefix(f"{column.said}: ").partition("; ")
        return math.nan, (what, allowed or _allowed(column))
    except (TypeError, ValueError):
        return math.nan, (f"{shown(cell)} is not a number", _allowed(column))
    if math.isnan(value):
        return math.nan, ("not a number", _allowed(column))
    if not _within(field, value):
        return math.nan, (f"{show(field.name, value)} is out of range", f"it must be {_allowed(column, value)}")
    return value, None


def _value(column: _Column, cell: Any) -> float:
    if isinstance(cell, bool):
        raise ValueError
    if column.factor is not None and isinstance(cell, numbers.Real):
        return float(cell) * column.factor
    parse = _PARSERS.get(column.field.kind)
    if parse is None or column.factor is not None:
        return float(str(cell).strip()) * (column.factor or 1.0)
    text = str(cell).strip()
    if text == "unlimited" and column.field.may_be_unlimited:
        return math.inf
    return parse(text, column.said)


def _within(field: Field, value: float) -> bool:
    if math.isinf(value):
        return value > 0 and field.may_be_unlimited
    low = value > field.rule.low if field.rule.above else value >= field.rule.low
    return low and value <= min(field.rule.high, _LARGEST)


def _allowed(column: _Column, value: float = 0.0) -> str:
    """Return the bound that a value breaks; where it is not too large, what the field allows."""
    field = column.field
    most = min(field.rule.high, _LARGEST)
    bounds = f"at most {field.show(most)}" if value > most or not field.allowed else field.allowed
    if column.factor is None:
        return f"{bounds}, written with its unit"
    return bounds + (f", in {field.unit}" if field.unit and column.factor == 1.0 else "")
