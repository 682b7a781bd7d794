"""``migkit trackers``: the dirty trackers side by side on one workload."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import COUNT, SEED
from migkit.errors import RunError
from migkit.traces.place import check_place
from migkit.units import format_duration, size

if TYPE_CHECKING:
    from migkit.harness.runs.side_by_side import TrackerCost
    from migkit.scenario import Scenario

__all__ = ["command"]

_HEADER = ["tracker", "exact", "written", "missed", "extra", "arm", "collect", "tracker CPU", "guest CPU"]


@click.command("trackers", cls=Command)
@click.option("--memory", default="256 MiB", show_default=True, help="RAM of the guest.")
@click.option("--region", default="64 MiB", show_default=True, help="The part that it writes to.")
@click.option("--writes-per-s", default=50_000.0, show_default=True, type=click.FloatRange(1), help="Its writes.")
@click.option("--windows", default=10, show_default=True, type=COUNT, help="How often to collect.")
@click.option(
    "--operations", default=10_000, show_default=True, type=click.IntRange(1, 10**8), help="Writes a window."
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of the guest's content and writes.")
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.PLACE, help="File to write instead of stdout.")
def command(
    memory: str,
    region: str,
    writes_per_s: float,
    windows: int,
    operations: int,
    seed: int,
    kind: str | None,
    output: Path | None,
) -> None:
    """Compare the dirty trackers: cost, missed and extra pages on one workload.

    The same guest runs, write for write, under each tracker and under none. Exit code 1: an
    exact tracker missed a page.
    """
    from migkit.harness.runs.options import admit
    from migkit.harness.runs.side_by_side import compare
    from migkit.harness.tracking.trackers import TRACKERS

    check_place(output, "output", force=True)
    what = _scenario(memory, region, writes_per_s)
    admit(what)
    total = windows * (len(TRACKERS) + 1)
    with _output.bars(False, ticking=False) as bar, bar("comparing trackers", total) as step:
        found = compare(what, windows, operations, seed=seed, progress=lambda: step(1))
    chosen = _output.choose_format(kind, output)
    rows = [dataclasses.asdict(one) for one in found]
    _output.emit(as_table(found) + "\n" if chosen == "table" else _rendered(chosen, rows), output)
    wrong = [one for one in found if one.exact and one.missed_pages]
    if wrong:
        raise RunError("; ".join(f"tracker {one.tracker}: missed {one.missed_pages} pages" for one in wrong))


def as_table(found: list[TrackerCost]) -> str:
    """Return the comparison as text; trackers that do not work here are named below it."""
    rows = [
        [
            one.tracker,
            "yes" if one.exact else "no",
            *(str(pages) for pages in (one.written_pages, one.missed_pages, one.extra_pages)),
            *(format_duration(s) for s in (one.arm_s, one.collect_s, one.tracker_cpu_s, one.guest_cpu_s)),
        ]
        for one in found
        if one.available
    ]
    absent = [f"{one.tracker}: not available: {one.reason}" for one in found if not one.available]
    return "\n".join([_output.columns(_HEADER, rows), *absent])


def _rendered(kind: str, rows: list[dict[str, object]]) -> str | bytes:
    if kind == "json":
        return json.dumps({"schema_version": 1, "trackers": rows}, indent=2)
    return _output.rows_as(kind, rows)


def _scenario(memory: str, region: str, writes_per_s: float) -> Scenario:
    from migkit.scenario import DirtyClass, Guest, Scenario

    written = DirtyClass(region_bytes=size(region, "--region"), writes_per_s=writes_per_s)
    return Scenario(guest=Guest(memory_bytes=size(memory, "--memory"), dirty=(written,)))
