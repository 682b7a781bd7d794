"""What commands ask of a fleet: its machines and hosts, which hosts to empty, and what migrations have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from migkit.cli import _output
from migkit.errors import UsageError, counted
from migkit.units import duration

if TYPE_CHECKING:
    from migkit.planning.inventory import Inventory
    from migkit.planning.inventory.problems import Problem
    from migkit.scenario import Scenario

__all__ = ["PATH", "base_of", "columns_of", "fleet_options", "hosts_of", "inventory_of", "ranges", "time_of"]

PATH = click.Path(path_type=Path)
_SPANS: Final = 8
F = TypeVar("F", bound=Callable[..., Any])


def fleet_options(function: F) -> F:
    """Add the options that say what a fleet is and what is asked of it."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option(
        "--inventory",
        "vms",
        type=PATH,
        help="Machines: CSV, Parquet, JSON, an export of RVTools, OpenStack, kubectl.",
    ),
    click.option("--hosts", type=PATH, help="Hosts, in any of these forms."),
    click.option(
        "--empty", metavar="HOSTS", multiple=True, help="Hosts to empty, commas between, or all; may be repeated."
    ),
    click.option("--deadline", metavar="TIME", help="By when all must be done [none]."),
    click.option(
        "--scenario", type=PATH, help="Scenario file whose policy, strategy, hosts and link constants hold."
    ),
    click.option("--max-bandwidth", metavar="RATE", help="Cap of one migration; unlimited: none [the policy's]."),
    click.option("--workload", metavar="NAME", help="Workload of machines that say nothing: idle, memcached [idle]."),
    click.option(
        "--vm-column",
        "vm_columns",
        metavar="OURS=THEIRS",
        multiple=True,
        help="Where a column of the machines is, as in 'memory=RAM [MiB]'; may be repeated.",
    ),
    click.option(
        "--host-column", "host_columns", metavar="OURS=THEIRS", multiple=True, help="The same for the hosts."
    ),
)


def hosts_of(texts: Sequence[str]) -> list[str] | str:
    """Return the names of the hosts to empty, or ``all``."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--empty: no host was given; name hosts with commas between, or all")
    return "all" if names == ["all"] else names


def time_of(asked: dict[str, Any], name: str) -> float | None:
    """Return an option that is a time [s]; None: it was not given."""
    return None if asked[name] is None else duration(asked[name], f"--{name}")


def inventory_of(asked: dict[str, Any], quiet: bool) -> Inventory:
    """Read both tables; what is wrong with them is told once: as a table on stderr, or quietly in the error."""
    from migkit.planning.inventory import Inventory, InventoryError

    for name, option in (("vms", "--inventory"), ("hosts", "--hosts")):
        if asked[name] is None:
            raise UsageError(
                f"{option}: it is missing; name the file of the {'machines' if name == 'vms' else 'hosts'}"
            )
    try:
        return Inventory.read(
            asked["vms"],
            asked["hosts"],
            vm_columns=columns_of("--vm-column", asked["vm_columns"]),
            host_columns=columns_of("--host-column", asked["host_columns"]),
            workload=asked["workload"],
        )
    except InventoryError as error:
        if quiet:
            raise
        header = ["table", "row", "column", "value", "allowed"]
        for line in _output.columns(header, _rows_of(error.problems), left=5).splitlines():
            _output.narrate(line, quiet)
        number = len(error.problems)
        wrong = f"{counted(number, 'thing')} {'is' if number == 1 else 'are'}"
        raise UsageError(f"inventory: {wrong} wrong, as the table above says; correct the rows") from error


def _rows_of(problems: Sequence[Problem]) -> list[list[str]]:
    """Return a line for each kind of problem, with all rows that have it: one mistake is often made in every row."""
    alike: dict[tuple[str, str, str, str], list[int]] = {}
    for one in problems:
        alike.setdefault((one.table, one.column, one.value, one.allowed), []).append(one.row)
    return [[table, ranges(rows), *rest] for (table, *rest), rows in alike.items()]


def ranges(rows: Sequence[int]) -> str:
    """Return numbers of rows in words, those that follow each other together; 0 is no row.

    Examples
    --------
    >>> ranges([0]), ranges([3]), ranges([1, 2, 3, 7, 9, 10])
    ('', '3', '1-3, 7, 9-10')
    >>> ranges(range(1, 100, 2))
    '1, 3, 5, 7, 9, 11, 13, 15 and 42 more'
    """
    spans: list[list[int]] = []
    for row in sorted(set(rows) - {0}):
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    words = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans[:_SPANS])
    more = sum(last - first + 1 for first, last in spans[_SPANS:])
    return f"{words} and {more} more" if more else words


def columns_of(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Return where columns of other names are, from texts as in ``memory=RAM [MiB]``."""
    found: dict[str, str] = {}
    for text in texts:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not (ours and equals and theirs):
            raise UsageError(f"{option}: {text!r} says no column; write OURS=THEIRS, as in 'memory=RAM [MiB]'")
        if ours in found:
            raise UsageError(f"{option}: {ours} is given twice; give it once")
        found[ours] = theirs
    return found


def base_of(path: Path | None, policy: str | None, cap: str | None, otherwise: str | None = None) -> Scenario:
    """Return a scenario file, or the defaults, with another policy or cap where they are given.

    ``otherwise`` is the policy where neither the file nor an option names one.
    """
    from migkit.scenario.form import schema

    tables: dict[str, Any] = schema.read(path) if path is not None else {}
    tables = {"guest": {"memory": "1 GiB"}, **tables}
    named = policy if policy is not None or "name" in tables.get("policy", {}) else otherwise
    given = {"name": named, "max_bandwidth": cap}
    changes = {key: value for key, value in given.items() if value is not None}
    if changes:
        old = tables.get("policy", {})
        tables["policy"] = (old if isinstance(old, dict) and policy is None else {}) | changes
    return schema.from_mapping(tables, path.parent if path is not None else Path())
