"""``migkit sweep``: every scenario of a space, into a folder of Parquet files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from migkit import files
from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import SEED, scenario_options, tables_from
from migkit.errors import UsageError, shown
from migkit.scenario.form import schema

if TYPE_CHECKING:
    from migkit.models.bulk.frames import Column
    from migkit.planning.space import Axis
    from migkit.scenario import Scenario

_DESIGNS: Final = ("grid", "lhs", "sobol")
_CLASS: Final = re.compile(r"dirty_[1-9][0-9]?")


@click.command(cls=Command)
@scenario_options
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUES",
    help='A key of the scenario and its values: \'link.bandwidth = ["1 Gbit/s", "10 Gbit/s"]\', or a range: '
    "'dirty_1.writes_per_s = {low = 100, high = 1e5, log = true, points = 20}'. Repeat it for more.",
)
@click.option(
    "--design", type=click.Choice(_DESIGNS), default="grid", help="Every combination, or points spread evenly [grid]."
)
@click.option("--points", type=click.IntRange(1), help="Scenarios of a design that is no grid.")
@click.option("--keep", metavar="NAMES", help="Columns of the prediction to keep, with commas between [all].")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes that share the work [this one alone].")
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do it, as tcp://HOST:8786.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of a design that is drawn.")
@click.option("-o", "--output", type=_output.PLACE, required=True, help="Folder; what is there is not done again.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    scenario: Path | None,
    vary: tuple[str, ...],
    design: str,
    points: int | None,
    keep: str | None,
    workers: int | None,
    scheduler: str | None,
    seed: int,
    output: Path,
    quiet: bool,
    **flags: Any,
) -> None:
    """Predict every scenario of a space, part by part, into a folder of Parquet files.

    What does not vary comes from the file SCENARIO and from flags, as in `migkit predict`. An interrupted sweep goes
    on where it was when it is called again with the same folder.
    """
    from migkit.models.bulk.many import RESULTS
    from migkit.planning.space import Design
    from migkit.planning.sweep import left_out, sweep_to

    if not vary:
        raise UsageError('sweep: nothing varies; give --vary, as in --vary \'guest.memory = ["1 GiB", "2 GiB"]\'')
    space = dict(axis for text in vary for axis in _axes(text))
    columns = tuple(name.strip() for name in keep.split(",")) if keep else RESULTS
    plan = Design(space=space, kind=design, points=points, seed=seed)
    base = _base(scenario, flags)
    with _output.bars(quiet) as bar, bar(f"{plan.size:,} scenarios", 1.0) as step:
        shown_parts = 0

        def progress(done: int, parts: int) -> None:
            nonlocal shown_parts
            step((done - shown_parts) / parts)
            shown_parts = done

        sweep_to(output, plan, base, columns=columns, workers=workers, scheduler=scheduler, progress=progress)
    count, first = left_out(output)
    if count:
        number, reason = next(iter(first.items()))
        told = (
            f"{count:,} of {plan.size:,} scenarios contradict themselves and are left out; number {number}: {reason}"
        )
        if count == plan.size:
            raise UsageError(f"sweep: {told}")
        _output.narrate(f"migkit: {told}", quiet)
    _output.narrate(f"{plan.size - count:,} scenarios are in {output}", quiet)


def _base(scenario: Path | None, flags: Mapping[str, Any]) -> Scenario | None:
    if scenario is None and not any(value not in (None, ()) for value in flags.values()):
        return None
    tables, folder = tables_from(scenario, flags)
    return schema.from_mapping(tables, folder)


def _axes(text: str) -> Iterator[tuple[str, Axis]]:
    """Yield the axes that one option says, by the name of their column."""
    try:
        said = files.parse_toml(text)
    except ValueError as error:
        raise UsageError(
            f"--vary: {shown(text)} is not written as in a file, 'guest.memory = [\"1 GiB\"]'"
        ) from error
    for table, keys in said.items():
        if not isinstance(keys, dict):
            raise UsageError(f"--vary: {shown(table)} names no table; write TABLE.KEY = [...], as in guest.memory")
        for key, values in keys.items():
            yield _axis(table, key, values)


def _axis(table: str, key: str, values: Any) -> tuple[str, Axis]:
    from migkit.planning.space import Range

    name, column = _column(table, key)
    where = f"--vary: {table}.{key}"
    if isinstance(values, dict):
        unknown = values.keys() - {"low", "high", "log", "points"}
        if unknown or not {"low", "high"} <= values.keys():
            raise UsageError(f"{where}: a range has low, high, and may have log and points; not {shown(values)}")
        bounds = {
            end: float(schema.plain_value(column.field, values[end], f"{where}.{end}")) for end in ("low", "high")
        }
        try:
            return name, Range(**bounds, log=bool(values.get("log", False)), points=values.get("points"))
        except UsageError as error:
            raise UsageError(f"{where}: {str(error).removeprefix('sweep: ')}") from None
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UsageError(f"{where}: {shown(values)} is neither a list of values nor a range {{low = , high = }}")
    return name, [schema.plain_value(column.field, value, where) for value in values]


def _column(table: str, key: str) -> tuple[str, Column]:
    """Return the column that a key of a file stands for."""
    from migkit.models.bulk.frames import column_of, known_columns

    inside = "dirty_1" if _CLASS.fullmatch(table) else table
    for name, column in known_columns().items():
        home = "dirty_1" if column.table == "dirty" else column.table
        if home == inside and column.field.key == key:
            name = name.replace("dirty_1_", f"{table}_", 1) if inside == "dirty_1" else name
            return name, column_of(name)
    raise UsageError(f"--vary: {table}.{key} is no key that can vary; migkit schema lists the keys")
