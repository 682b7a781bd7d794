"""Samples of Prometheus: CSV wide or long, the text format, answers of its HTTP API."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Sample
from migkit.importers.names import TABLES, Name
from migkit.importers.reading.numbers import number, quantity, scaled, words
from migkit.importers.reading.stamps import Stamp, from_value, split

__all__ = ["Table", "TextFormat", "machine_in", "machine_of", "take"]

_PREFIXES: Final = ("kubevirt_vmi_migration", "kubevirt_migrate_vmi", "libvirt_domain_job")
_METRIC: Final = re.compile(r"\b((?:kubevirt_vmi_migration|kubevirt_migrate_vmi|libvirt_domain_job)\w{0,80})")
_OLD_PREFIX: Final = "kubevirt_migrate_vmi_"
_LABEL: Final = re.compile(r'\b(name|vmi|vm|domain|domainName)="?([\w.-]{1,64})')
_MACHINES: Final = ("name", "vmi", "vm", "domain", "domain_name", "instance")
_TIMES: Final = ("time", "timestamp", "t", "ts", "date", "datetime", "epoch", "when", "loggeds")
_NAMES: Final = ("metric", "name", "series", "metricname")
_VALUES: Final = ("value", "v", "val")
_MOST_CELLS: Final = 1000


def machine_in(labels: Mapping[str, Any]) -> str | None:
    """Return the machine that the labels of a series name; None: they name none.

    Examples
    --------
    >>> machine_in({"__name__": "up", "name": "vm1"})
    'vm1'
    """
    return next((words(labels[key]) for key in _MACHINES if isinstance(labels.get(key), str)), None)


def machine_of(labels: str) -> str:
    """Return the machine that labels of the text format name, an empty text if they name none.

    Examples
    --------
    >>> machine_of('{namespace="ns",name="vm1"}'), machine_of("")
    ('vm1', '')
    """
    found = _LABEL.search(labels)
    return words(found[2]) if found else ""


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit the samples if ``value`` is a series of an answer of Prometheus' HTTP API; return whether it is."""
    labels = value.get("metric")
    if not isinstance(labels, Mapping) or not isinstance(labels.get("__name__"), str):
        return False
    vm = machine_in(labels) or context.vm
    pairs = value.get("values") if isinstance(value.get("values"), list) else [value.get("value")]
    for pair in pairs or []:
        if isinstance(pair, list | tuple) and len(pair) == 2:
            _one(labels["__name__"], pair[1], Context(context.line, vm, from_value("time", pair[0])), emit)
    return True


def _one(metric: str, said: Any, context: Context, emit: Emit) -> bool:
    """Emit one value of a metric; return whether it is about a migration: others count those of a whole cluster."""
    name = _named(metric)
    amount = None if name is None else _amount(said, name)
    if name is not None and amount is not None:
        emit(Sample(**context.item("metrics"), values={name.ours: amount}))
    elif name is not None or context.vm:
        emit(Sample(**context.item("metrics"), unknown={words(metric): words(said)}))
    else:
        return False
    return True


def _named(metric: str) -> Name | None:
    """Return what a metric is; KubeVirt's older names (``kubevirt_migrate_vmi_``) end alike."""
    if metric.startswith(_OLD_PREFIX):
        metric = "kubevirt_vmi_migration_" + metric.removeprefix(_OLD_PREFIX)
    return TABLES["metrics"].get(metric)


def _amount(said: Any, name: Name) -> float | None:
    """Return a value in our unit: a bare number, or one with a unit as dashboards export it ("4.00 GiB")."""
    plain = number(_figure(said))
    if plain is not None:
        return scaled(plain, name.factor)
    found = quantity(said, "metrics", name) if isinstance(said, str) else None
    return None if found is None else found.value


def _figure(said: Any) -> Any:
    """Return a number as Prometheus prints it (1.2e+09) as a number; other text stays."""
    if isinstance(said, str) and re.fullmatch(r"\s*\d{1,25}(\.\d{0,25})?([eE][+-]?\d{1,3})?\s*", said):
        return float(said)
    return said


class TextFormat:
    """Lines of the text format: ``metric{labels} value [milliseconds]``, and promtool's ``value @[time]``."""

    whole = True  # a value may look like a stamp

    _ABOUT: Final = re.compile(r"\s*# (?:HELP|TYPE|UNIT) " + _METRIC.pattern + r"(?:\s.*)?")
    _LINE: Final = re.compile(r"\s*(" + _METRIC.pattern + r")(\{[^}]{0,2000}\})?\s+(?:=>\s*)?([\d.eE+-]{1,40})"
                              r"(?:\s+@?\[?(\d{9,13}(?:\.\d{1,3})?)\]?)?\s*")  # fmt: skip
    _SERIES: Final = re.compile(r"\s*(" + _METRIC.pattern + r")(\{[^}]{0,2000}\})?\s*=>\s*")
    _POINT: Final = re.compile(r"\s*([\d.eE+-]{1,40}) @\[(\d{9,10}(?:\.\d{1,3})?)\]\s*")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._series: tuple[str, str] | None = None

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is a sample; return whether it is."""
        return any(self._sample(said, context) for said in dict.fromkeys((text, split(text)[1])))

    def _sample(self, text: str, context: Context) -> bool:
        line = self._LINE.fullmatch(text)
        if line:
            return self._one(line[1], line[3] or "", line[4], line[5], context)
        series = self._SERIES.fullmatch(text)
        if series:
            self._series = (series[1], series[3] or "")
            return True
        point = self._POINT.fullmatch(text)
        if point and self._series:
            return self._one(*self._series, point[1], point[2], context)
        return self._ABOUT.fullmatch(text) is not None

    def end(self) -> None:
        """Nothing is under way between lines."""

    def _one(self, metric: str, labels: str, said: str, when: str | None, context: Context) -> bool:
        stamp = from_value("time", float(when)) if when else context.stamp
        return _one(metric, said, Context(context.line, machine_of(labels) or context.vm, stamp), self._emit)


class Table:
    """CSV: a column a counter (metrics, or fields of query-migrate), or one of names and one of values."""

    whole = True  # it sees lines with their stamps

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._delimiter = ","
        self._header: list[str] = []
        self._columns: dict[int, tuple[str, Name]] = {}
        self._time: int | None = None
        self._machine: int | None = None
        self._status: int | None = None
        self._long: tuple[int, int] | None = None

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is the header or a row of such a table; return whether it is."""
        if self._header:
            cells = self._cells(text)
            if len(cells) == len(self._header):
                return self._row(cells, context)
        return self._heading(text)

    def end(self) -> None:
        """Nothing is under way between lines."""

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=self._delimiter), [])[: _MOST_CELLS + 1]
        except csv.Error:
            return []

    def _heading(self, text: str) -> bool:
        delimiter = next((mark for mark in "\t;," if text.count(mark) >= 1), None)
        metric = _METRIC.search(text)
        if delimiter is None or len(text) > 1 << 16 or (text.count(delimiter) < 2 and metric is None):
            return False
        self._delimiter, before = delimiter, self._delimiter
        cells = [cell.strip().strip('"') for cell in self._cells(text)]
        columns = {at: found for at, cell in enumerate(cells) if (found := _column(cell)) is not None}
        plain = [_normal(cell) for cell in cells]
        long = (_index(plain, _NAMES), _index(plain, _VALUES))
        if not (len(columns) >= 3 or (columns and metric) or None not in long):
            self._delimiter = before
            return False
        self._header, self._columns = cells, columns
        self._time, self._machine = _index(plain, _TIMES), _index(plain, tuple(n for n in _MACHINES if n != "name"))
        self._status = _index(plain, ("status", "state"))
        machines = {machine for machine, _ in columns.values() if machine}
        if len(machines) == 1:  # a column without labels is about the only machine that is named
            self._columns = {at: (min(machines), name) for at, (_, name) in columns.items()}
        self._long = None if columns or long[0] is None or long[1] is None else (long[0], long[1])
        return True

    def _row(self, cells: Sequence[str], context: Context) -> bool:
        stamp = self._stamp(cells) or context.stamp
        vm = words(cells[self._machine]) if self._machine is not None else context.vm
        context = Context(context.line, vm, stamp)
        if self._long is not None:
            metric, said = (cells[at].strip() for at in self._long)
            if not _METRIC.match(metric):
                return False
            machine = _LABEL.search(metric)
            context = Context(context.line, words(machine[2]) if machine else vm, stamp)
            _one(_METRIC.match(metric)[1], said, context, self._emit)  # type: ignore[index]
            return True
        return self._wide(cells, context)

    def _wide(self, cells: Sequence[str], context: Context) -> bool:
        by_machine: dict[str, dict[str, float]] = {}
        for at, (machine, name) in self._columns.items():
            amount = _amount(cells[at], name)
            if amount is not None:
                by_machine.setdefault(machine, {})[name.ours] = amount
        others = {words(title): words(cells[at]) for at, title in enumerate(self._header) if self._unnamed(at, cells)}
        status = words(cells[self._status]) if self._status is not None else None
        for machine, values in by_machine.items():
            inner = Context(context.line, machine or context.vm, context.stamp)
            self._emit(Sample(**inner.item("metrics"), status=status, values=values, unknown=others))
        return bool(by_machine)

    def _unnamed(self, at: int, cells: Sequence[str]) -> bool:
        return at not in self._columns and at not in (self._time, self._machine, self._status) and cells[at] != ""

    def _stamp(self, cells: Sequence[str]) -> Stamp | None:
        if self._time is None:
            return None
        said = cells[self._time].strip()
        return from_value(self._header[self._time] or "time", _figure(said))


def _column(title: str) -> tuple[str, Name] | None:
    """Return the machine and the name that a column's title means, if a table has it."""
    metric = _METRIC.search(title)
    if metric:
        name, machine = _named(metric[1]), _LABEL.search(title)
        return None if name is None else (machine[2] if machine else "", name)
    name = _FIELDS.get(_normal(title)) if _normal(title) not in _TIMES else None
    return None if name is None else ("", name)


def _normal(title: str) -> str:
    return re.sub(r"[^a-z]", "", title.lower())[:80]


def _index(titles: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((at for at, title in enumerate(titles) if title in wanted), None)


# Fields of query-migrate as people title their columns: "ram.remaining", "ram_remaining", "remaining", our own names.
_FIELDS: Final[Mapping[str, Name]] = {
    **{_normal(ours.ours): Name(ours.ours, "ours") for ours in TABLES["qmp"].values()},
    **{_normal(theirs.removeprefix("ram.")): name for theirs, name in TABLES["qmp"].items()},
    **{_normal(theirs): name for theirs, name in TABLES["qmp"].items() if theirs != "remaining"},
}
