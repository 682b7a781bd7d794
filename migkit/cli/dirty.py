"""``migkit dirty``: how a real, unmodified program dirties its memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import UsageError
from migkit.traces.place import check_place
from migkit.units import DAY_S, PAGE_BYTES, duration, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.harness.tracking.curve import DirtyMeasurement
    from migkit.harness.watching.kept import Kept

__all__ = ["command"]


@click.command("dirty", cls=Command)
@click.option("--pid", type=int, help="A running program.")
@click.option("--shortest", default="10 ms", show_default=True, help="The shortest window.")
@click.option("--longest", default="10 s", show_default=True, help="The longest window; each repeat takes so long.")
@click.option("--per-decade", default=4, show_default=True, type=click.IntRange(1, 100), help="Windows a decade.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 1000), help="How often to measure.")
@click.option("--warm-up", default="1 s", show_default=True, help="What a COMMAND runs before it is measured.")
@click.option("--tracker", type=click.Choice(["soft-dirty", "uffd-async"]), help="How to track [what works here].")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.PLACE, help="Dirty profile (JSON) to write.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
@click.argument("program", nargs=-1, metavar="[-- COMMAND...]")
def command(
    pid: int | None,
    shortest: str,
    longest: str,
    per_decade: int,
    repeats: int,
    warm_up: str,
    tracker: str | None,
    kind: str | None,
    output: Path | None,
    quiet: bool,
    program: tuple[str, ...],
) -> None:
    """Measure the dirty curve of the program --pid, or of COMMAND, which is started and ended.

    The program runs on while it is tracked from outside, and is left as it was. The profile
    written with -o stands in a scenario as guest.profile, for `migkit predict`.
    """
    from migkit.harness.tracking.curve import measure, window_grid
    from migkit.harness.tracking.program import track

    if (pid is None) == (not program):
        raise UsageError("dirty: give either --pid PID or -- COMMAND, not both and not neither")
    check_place(output, "profile", force=True)
    windows_s = window_grid(duration(shortest, "--shortest"), duration(longest, "--longest", DAY_S), per_decade)
    warm_up_s = duration(warm_up, "--warm-up", DAY_S)
    with (
        _running(pid, program, warm_up_s) as (running, keeper),
        track(running, tracker, keeper) as process,
        _progress(repeats * len(windows_s), repeats * windows_s[-1], quiet) as advance,
    ):
        found = measure(process, windows_s, repeats, advance)
    record = json.dumps(found.to_record(), indent=2)
    with _output.printed_afterwards(record if kind == "json" else as_table(found)):
        if output is not None:
            _output.emit(record + "\n", output, private=True)
    for warning in found.warnings():
        _output.narrate(warning, quiet)


def as_table(found: DirtyMeasurement) -> str:
    """Return the curve as text: windows, distinct pages, and the rate that each would be taken for."""
    mean = found.profile()
    rows = [
        [
            format_duration(window_s),
            f"{pages:.0f}",
            format_size(pages * PAGE_BYTES),
            format_rate(pages * PAGE_BYTES / window_s),
        ]
        for window_s, pages in zip(mean.windows_s, mean.unique_pages, strict=True)
    ]
    in_use = f"{format_size(found.memory_bytes)} of writable memory in use, tracked by {found.means}"
    head = f"{found.program}: {in_use}"
    table = _output.columns(["window", "unique pages", "size", "rate"], rows, left=0)
    return "\n".join([head, table, *_cost_lines(found)])


def _cost_lines(found: DirtyMeasurement) -> list[str]:
    cost = found.cost
    if "stopped_s" not in cost:
        return []
    return [
        f"cost: one thread stopped for {format_duration(cost['stopped_s'])}, armed in "
        f"{format_duration(cost['arming_s'])}; huge pages split {cost.get('huge_pages_split', 0)}, given back "
        f"{cost.get('huge_pages_given_back', 0)}; page tables grown by "
        f"{format_size(cost.get('page_tables_grown_bytes', 0))}"
    ]


@contextlib.contextmanager
def _running(pid: int | None, program: tuple[str, ...], warm_up_s: float) -> Iterator[tuple[int, Kept | None]]:
    """Yield the process to track, and who keeps it: a command is started and ended by its keeper."""
    if pid is not None:
        yield pid, None
        return
    from migkit.harness.watching.kept import Kept

    with Kept() as keeper:
        yield keeper.start(program, warm_up_s), keeper


@contextlib.contextmanager
def _progress(counts: int, total_s: float, quiet: bool) -> Iterator[Callable[[], object]]:
    label = f"measuring for {format_duration(total_s)}"
    with _output.bars(quiet, ticking=False) as bar, bar(label, counts) as step:
        yield lambda: step(1)
