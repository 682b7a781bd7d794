"""Rows of a frame as scenarios: one by one for exact messages, all at once to find the wrong ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from migkit.errors import UsageError
from migkit.models.bulk.frames import Column, Frame
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.scenario.form.declaration import declared, hints
from migkit.scenario.form.fields import LARGEST, SMALLEST
from migkit.scenario.policy import presets
from migkit.units import PAGE_BYTES

__all__ = ["RowsError", "Table", "present_places", "scenario_of", "suspects", "table_of"]

_SHOWN: Final = 5
Table = Mapping[str, Any]


class RowsError(UsageError):
    """Rows of a frame are wrong.

    Attributes
    ----------
    reasons
        What is wrong with each row, by its label.
    """

    def __init__(self, reasons: Mapping[Any, str], rows: int) -> None:
        self.reasons = dict(reasons)
        first = "; ".join(f"row {label}: {reason}" for label, reason in list(self.reasons.items())[:_SHOWN])
        more = f"; and {len(self.reasons) - _SHOWN} more" if len(self.reasons) > _SHOWN else ""
        verb = "row is" if len(self.reasons) == 1 else "rows are"
        super().__init__(f"predict_many: {len(self.reasons)} of {rows} {verb} wrong: {first}{more}")


def scenario_of(frame: Frame, base: Scenario | None, row: int) -> Scenario:
    """Return one row as a scenario.

    Raises
    ------
    UsageError
        The row is wrong.
    """
    tables = {name: dict(table_of(frame, base, name)) for name in hints(Scenario)}
    classes = _base_classes(base)
    for name, column in frame.columns.items():
        value = _plain(column, frame, name, row)
        if column.table == "dirty":
            classes.setdefault(column.place, {})[column.field.name] = value
        else:
            tables[column.table][column.field.name] = value
    dirty = tuple(
        DirtyClass(**{"region_bytes": math.nan, "writes_per_s": math.nan} | classes[place])
        for place in sorted(classes)
        if not _absent(classes[place].get("region_bytes"))
    )
    guest = Guest(**tables.pop("guest") | {"dirty": dirty})
    return Scenario(guest=guest, **{name: hints(Scenario)[name](**values) for name, values in tables.items()})


def table_of(frame: Frame, base: Scenario | None, name: str) -> Table:
    """Return the fields of a table that the base scenario gives; another policy's numbers do not count."""
    record = getattr(base, name) if base is not None else None
    if record is None or (name == "policy" and "policy" in frame.columns):
        return {}
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def present_places(frame: Frame, base: Scenario | None, row: int) -> list[int]:
    """Return which page classes a row has, by place."""
    return [place for place in _places(frame, base) if _present(frame, base, place)[row]]


def _base_classes(base: Scenario | None) -> dict[int, dict[str, Any]]:
    classes = base.guest.dirty if base is not None else ()
    return {at: {f.name: getattr(one, f.name) for f in dataclasses.fields(one)} for at, one in enumerate(classes)}


def _absent(region: Any) -> bool:
    return region is None or region == 0 or (isinstance(region, float) and math.isnan(region))


def _plain(column: Column, frame: Frame, name: str, row: int) -> Any:
    """Return one value of a frame as the record's field takes it."""
    value, field = frame.values[name][row], column.field
    if column.is_text:
        return frame.texts[name][value] if value >= 0 else None
    if math.isnan(value) and field.is_optional:
        return None
    if field.kind == "true or false":
        return bool(value) if value in (0, 1) else float(value)
    return int(value) if field.is_int and float(value).is_integer() else float(value)


def suspects(frame: Frame, base: Scenario | None) -> np.ndarray:
    """Return which rows may be wrong: every wrong one, for :func:`scenario_of` to say why."""
    with np.errstate(invalid="ignore"):
        bad: np.ndarray = _wrong_layout(frame, base) | _wrong_link(frame, base)
        for name, column in frame.columns.items():
            values = frame.values[name]
            wrong = (
                _wrong_names(column, frame.texts[name], values) if column.is_text else _wrong_numbers(column, values)
            )
            bad |= wrong & _present(frame, base, column.place) if column.table == "dirty" else wrong
    return bad


def _wrong_names(column: Column, names: list[Any], codes: np.ndarray) -> Any:
    choices = column.field.rule.choices or [preset.name for preset in presets()]
    wrong = np.array([*(name not in choices for name in names), True])  # the last one is code -1: missing
    return wrong[codes] if wrong[:-1].any() else codes < 0


def _wrong_numbers(column: Column, values: np.ndarray) -> Any:
    field, rule = column.field, column.field.rule
    if field.kind == "true or false":
        return ~((values == 0) | (values == 1))
    if rule.choices:
        return ~np.isin(values, rule.choices)
    right = (values > rule.low if rule.above else values >= rule.low) & (values <= rule.high)
    right &= (values <= LARGEST) | (np.isinf(values) & field.may_be_unlimited)
    if rule.above:
        right &= values >= SMALLEST
    if field.is_int:
        right &= values == np.floor(values)
    if rule.whole_pages:
        right &= values % PAGE_BYTES == 0
    if field.is_optional:
        right |= np.isnan(values)
    return ~right


def _value(frame: Frame, base: Scenario | None, table: str, field: str) -> Any:
    """Return a column, or what the base or the record's default gives."""
    if field in frame.columns:
        return frame.values[field]
    cls = hints(Scenario)[table]
    default = next(f.default for f in declared(cls) if f.name == field)
    return table_of(frame, base, table).get(field, default)


def _class_value(frame: Frame, base: Scenario | None, place: int, field: str) -> Any:
    name = f"dirty_{place + 1}_{field}"
    if name in frame.columns:
        return frame.values[name]
    return _base_classes(base).get(place, {}).get(field, math.nan)


def _places(frame: Frame, base: Scenario | None) -> list[int]:
    return sorted({*_base_classes(base), *(c.place for c in frame.columns.values() if c.table == "dirty")})


def _present(frame: Frame, base: Scenario | None, place: int) -> Any:
    region = np.broadcast_to(_class_value(frame, base, place, "region_bytes"), frame.rows)
    return (region != 0) & ~np.isnan(region)


def _wrong_layout(frame: Frame, base: Scenario | None) -> Any:
    """Return where what is part of something exceeds it: regions and zero pages, kinds of these, or the demand."""
    regions, demand = np.zeros(frame.rows), np.zeros(frame.rows)
    missing = np.zeros(frame.rows, dtype=bool)
    for place in _places(frame, base):
        present = _present(frame, base, place)
        writes = _class_value(frame, base, place, "writes_per_s")
        regions += np.where(present, _class_value(frame, base, place, "region_bytes"), 0.0)
        demand += np.where(present, writes, 0.0)
        missing |= present & np.isnan(writes)
    memory = _value(frame, base, "guest", "memory_bytes")
    zero = _value(frame, base, "guest", "zero_bytes")
    ends = _value(frame, base, "guest", "zero_at_start") + _value(frame, base, "guest", "zero_at_end")
    wrong = missing | (regions + zero > memory) | (ends > 1.0)
    wrong = wrong | (_value(frame, base, "guest", "untouched_bytes") > zero)
    capacity = _value(frame, base, "guest", "capacity_writes_per_s")
    if capacity is None:
        return wrong
    return np.asarray(wrong | (demand > capacity * (1 + 1e-9)))


def _wrong_link(frame: Frame, base: Scenario | None) -> Any:
    """Return where other traffic leaves nothing of the bandwidth."""
    background = _value(frame, base, "link", "background_bytes_per_s")
    return np.broadcast_to(background >= _value(frame, base, "link", "bandwidth_bytes_per_s"), frame.rows)
