"""What is declared of a field in one place appears wherever the field does."""

import dataclasses
import inspect
import math

import click
import pytest

from migkit.cli.predict import command
from migkit.errors import UsageError
from migkit.models.bulk.frames import known_columns
from migkit.scenario import DirtyClass, Scenario
from migkit.scenario.form import fields, keys, schema
from migkit.scenario.form.declaration import declared, documented, hints, rule

TABLES = {table.name: hints(Scenario)[table.name] for table in declared(Scenario)}
FIELDS = [(table, cls, field) for table, cls in TABLES.items() for field in declared(cls)]
CLASS_FIELDS = [("guest.dirty", DirtyClass, field) for field in declared(DirtyClass)]
ROWS = {row.key: row for row in keys.document()}
FLAGS = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}


def named(case):
    return f"{case[0]}.{case[2].name}"


@documented
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """A table that no scenario has.

    Examples
    --------
    >>> Cooling().fans
    1
    """

    pause_s: "float" = dataclasses.field(default=2.0, metadata=rule("How long to wait.", above=True, high=60.0))
    fans: "int" = dataclasses.field(default=1, metadata=rule("How many there are.", low=1))
    tank_bytes: "int | None" = dataclasses.field(default=None, metadata=rule("A tank.", whole_pages=True))
    kind: "str" = dataclasses.field(default="air", metadata=rule("What cools.", choices=("air", "water")))

    def __post_init__(self):
        fields.check(self, "cooling")


@pytest.mark.parametrize("case", FIELDS + CLASS_FIELDS, ids=map(named, FIELDS + CLASS_FIELDS))
def test_a_declared_field_has_its_row_of_the_schema(case):
    table, cls, field = case
    row = ROWS[f"{table}.{field.key}"]
    assert field.rule.meaning.endswith(".")
    assert (row.type, row.default, row.allowed) == (field.kind, field.default_text, field.allowed)
    assert row.meaning[:10] == field.rule.meaning.replace("``", "")[:10]
    assert f"\n{field.name} : " in inspect.getdoc(cls)


@pytest.mark.parametrize("case", FIELDS, ids=map(named, FIELDS))
def test_a_declared_field_has_a_flag(case):
    table, _, field = case
    assert f"--{table}-{field.key}".replace("_", "-") in FLAGS


@pytest.mark.parametrize("case", FIELDS + CLASS_FIELDS, ids=map(named, FIELDS + CLASS_FIELDS))
def test_what_is_one_value_has_a_column(case):
    table, _, field = case
    column = ROWS[f"{table}.{field.key}"].column
    assert bool(column) == (field.kind not in ("steps", "table", "tables"))
    assert not column or known_columns()[column.replace("_N_", "_1_")].field == field


def test_there_are_no_rows_and_columns_beside_those_of_the_fields():
    keys = {f"{table}.{field.key}" for table, _, field in FIELDS + CLASS_FIELDS}
    assert ROWS.keys() - keys == {"schema_version", "guest.profile"}
    assert known_columns().keys() == {row.column.replace("_N_", "_1_") for row in ROWS.values() if row.column}


def test_a_new_field_is_checked_shown_and_read_as_declared():
    assert [(f.key, f.kind, f.unit, f.default_text, f.allowed) for f in declared(Cooling)] == [
        ("pause", "time", "s", "2 s", "above 0 s, at most 60 s"),
        ("fans", "whole number", "", "1", "at least 1"),
        ("tank", "size", "B", "none", "at least 0 B"),
        ("kind", "text", "", "air", "air, water"),
    ]
    table = {"pause": "1 min", "fans": 3, "tank": "8 KiB", "kind": "water"}
    assert schema._build(Cooling, table, "cooling") == Cooling(pause_s=60.0, fans=3, tank_bytes=8192, kind="water")
    assert inspect.getdoc(Cooling).splitlines()[2:6] == [
        "Attributes",
        "----------",
        "pause_s : float [s], default 2 s, above 0 s, at most 60 s",
        "    How long to wait.",
    ]
    assert inspect.getdoc(Cooling).endswith("Examples\n--------\n>>> Cooling().fans\n1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pause_s": 0.0}, "cooling.pause_s: 0 s is too small; it must be above 0 s"),
        ({"pause_s": 61.0}, "cooling.pause_s: 61 s is too large; it must be at most 60 s"),
        ({"pause_s": math.inf}, "cooling.pause_s: infinity is too large; give a finite number"),
        ({"fans": 1.5}, "cooling.fans: 1.5 is not a whole number; give one without a fraction"),
        ({"tank_bytes": 4097}, "cooling.tank_bytes: 4097 B is no whole number of pages; use a multiple of 4 KiB"),
        ({"kind": "oil"}, "cooling.kind: 'oil' is not known; use one of air, water"),
    ],
)
def test_a_new_field_is_refused_as_declared(values, message):
    with pytest.raises(UsageError) as caught:
        Cooling(**values)
    assert str(caught.value) == message
