"""``migkit dirty``: how a real, unmodified program dirties its memory."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.errors import RunError, UsageError
from migkit.units import PAGE_BYTES, duration, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.harness.dirtying import DirtyMeasurement

__all__ = ["command"]

_PATIENCE_S = 10


@click.command("dirty")
@click.option("--pid", type=int, help="A running program.")
@click.option("--shortest", default="10 ms", show_default=True, help="The shortest window.")
@click.option("--longest", default="10 s", show_default=True, help="The longest window; each repeat takes so long.")
@click.option("--per-decade", default=4, show_default=True, type=click.IntRange(1, 100), help="Windows a decade.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 1000), help="How often to measure.")
@click.option("--warm-up", default="1 s", show_default=True, help="What a COMMAND runs before it is measured.")
@click.option("--tracker", type=click.Choice(["soft-dirty", "uffd-async"]), help="How to track [what works here].")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), help="How to print the result [table].")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Dirty profile (JSON) to write.")
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
    from migkit.harness.dirtying import measure, window_grid
    from migkit.harness.process import track

    if (pid is None) == (not program):
        raise UsageError("dirty: give either --pid PID or -- COMMAND, not both and not neither")
    windows_s = window_grid(duration(shortest, "--shortest"), duration(longest, "--longest"), per_decade)
    with (
        _running(pid, program, duration(warm_up, "--warm-up")) as running,
        track(running, tracker) as process,
        _progress(repeats * len(windows_s), repeats * windows_s[-1], quiet) as advance,
    ):
        found = measure(process, windows_s, repeats, advance)
    record = json.dumps(found.to_record(), indent=2)
    if output is not None:
        _output.emit(record + "\n", output)
    click.echo(record if kind == "json" else as_table(found))
    if not found.is_stable:
        _output.narrate(
            f"unstable: the repeats differ by {found.spread:.0%}; measure longer windows, or more repeats", quiet
        )


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
    head = f"{found.program}: {format_size(found.memory_bytes)} of writable memory in use, tracked by {found.means}"
    return head + "\n" + _output.columns(["window", "unique pages", "size", "rate"], rows, left=0)


@contextlib.contextmanager
def _running(pid: int | None, program: tuple[str, ...], warm_up_s: float) -> Iterator[int]:
    """Yield the process to track; a command is started, given time to warm up, and ended at the end."""
    if pid is not None:
        yield pid
        return
    try:
        child = subprocess.Popen(program, stdout=sys.stderr, start_new_session=True)
    except OSError as error:
        raise UsageError(f"{program[0]}: cannot be started ({error.strerror}); check the command") from error
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(warm_up_s)
            raise RunError(
                f"{program[0]}: ended with exit code {code} before it was measured; track a longer program"
            )
        yield child.pid
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextlib.contextmanager
def _progress(counts: int, total_s: float, quiet: bool) -> Iterator[Callable[[], object]]:
    from tqdm import tqdm

    label = f"measuring for {format_duration(total_s)}"
    with tqdm(total=counts, desc=label, unit="window", file=sys.stderr, disable=quiet or None) as bar:
        yield bar.update
