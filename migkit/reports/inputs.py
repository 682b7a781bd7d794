"""What went into an answer, as tables: a scenario, and a fleet."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import counted
from migkit.reports.page import table
from migkit.scenario.form import schema
from migkit.scenario.form.declaration import declared
from migkit.units import format_rate, format_size

if TYPE_CHECKING:
    from migkit.planning.inventory import Inventory
    from migkit.scenario import Scenario

__all__ = ["of_fleet", "of_scenario"]

_ALWAYS: Final = {
    *("guest.memory", "link.bandwidth", "policy.name", "policy.max_bandwidth", "policy.downtime_limit"),
    *("strategy.name", "host.goodput"),
}


def of_scenario(case: Scenario, *, guest: bool = True) -> str:
    """Return a scenario as a table of what is not at its default, and the whole of it folded below.

    Parameters
    ----------
    case
        The scenario.
    guest
        Whether its guest and link count.

    Examples
    --------
    >>> from migkit import Guest, Scenario
    >>> "policy.downtime_limit" in of_scenario(Scenario(guest=Guest(memory_bytes=2**30)))
    True
    """
    tables = ("guest", "link", "host", "policy", "strategy") if guest else ("host", "policy", "strategy")
    rows = [row for name in tables for row in _rows(name, getattr(case, name))]
    whole = json.dumps({name: schema.to_record(case)[name] for name in tables}, indent=1, default=str)
    folded = f"<details><summary>Every value, in base units</summary><pre>{html.escape(whole)}</pre></details>"
    return table(("setting", "value"), rows) + folded


def _rows(name: str, record: Any) -> Iterator[tuple[str, str]]:
    for field in declared(_class(record)):
        value, key = getattr(record, field.name), f"{name}.{field.key}"
        if field.kind == "tables":
            yield from ((f"{name}.{field.key} {at}", _written(one)) for at, one in enumerate(value, 1))
        elif key in _ALWAYS or (value != field.default and value is not None and not field.is_required):
            yield key, value if isinstance(value, str) else field.show(value)


def _class(record: Any) -> Any:
    return type(record)


def _written(record: Any) -> str:
    """Return a record of a list in one line: what is not at its default."""
    said = []
    for field in declared(_class(record)):
        value = getattr(record, field.name)
        if field.is_required or value != field.default:
            said.append(f"{field.key.replace('_', ' ')} {value if isinstance(value, str) else field.show(value)}")
    return ", ".join(said)


def of_fleet(inventory: Inventory) -> str:
    """Return what a fleet has, in sums.

    Examples
    --------
    >>> from migkit.planning.inventory import example
    >>> "100 machines" in of_fleet(example(hosts=10, machines=100))
    True
    """
    vms, hosts = inventory.vms, inventory.hosts
    memory, links = vms["memory_bytes"], hosts["link_bytes_per_s"]
    pinned = int(vms["pinned"].notna().sum())
    rows = [
        ("machines", f"{counted(len(vms), 'machine')} with {format_size(float(memory.sum()))} of memory"),
        ("hosts", f"{counted(len(hosts), 'host')} with {format_size(float(hosts['memory_bytes'].sum()))} of memory"),
        ("links", _range(float(links.min()), float(links.max()))),
        ("largest machine", format_size(float(memory.max()))),
        ("anti-affinity groups", str(vms["anti_affinity"].nunique())),
        ("machines that cannot migrate", str(pinned)),
    ]
    return table(("fleet", ""), rows)


def _range(low: float, high: float) -> str:
    return format_rate(low) if math.isclose(low, high) else f"{format_rate(low)} to {format_rate(high)}"
