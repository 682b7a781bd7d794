"""``migkit demo``: real migrations, captured, calibrated on, and one predicted that was left out."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.calibrate.design import Designed, calibration_runs, held_out_run
from migkit.calibrate.fit import Calibration, fit
from migkit.calibrate.store import save
from migkit.calibrate.validate import Comparison, compare
from migkit.cli._output import write_beside
from migkit.errors import CapabilityError, UsageError
from migkit.harness.nursery import Nursery
from migkit.harness.probe import probe
from migkit.harness.run import Options, run
from migkit.traces import io

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["command"]

_NEEDS = ("memory", "shm")


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("migkit-demo"),
    show_default=True,
    help="Folder for the traces, the calibration and the report; files of an earlier demo are replaced.",
)
@click.option("--seed", default=1, show_default=True, help="Of the guests' content and writes.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(output: Path, seed: int, quiet: bool) -> None:
    """Capture real migrations, calibrate on all but one, predict that one, and write a report.

    Takes less than a minute. The guests are processes whose memory is moved page by page over
    TCP; after each run the migrated guest is proven equal to one that was never moved.
    """
    _check_machine()
    _make_folder(output)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    runs = (*calibration_runs(), held_out_run())
    with _bars(quiet) as bar:
        traces = _capture(runs, output, seed, bar)
        with bar("calibrate and predict", len(runs) + 1) as step:
            calibration, left_out, others = _predict(runs, traces, step)
        with bar("report", 1) as step:
            report = _write(output, calibration, left_out, others)
            step(1)
    click.echo(_summary(runs, calibration, left_out, output, report))


_Step = Callable[[float], None]
_Bar = Callable[[str, float], contextlib.AbstractContextManager[_Step]]


def _check_machine() -> None:
    """Raise what the doctor says about this machine when it cannot run the demo."""
    for key in _NEEDS:
        found = probe(key)
        if not found.available:
            remedy = f"; {found.remedy}" if found.remedy else ""
            raise CapabilityError(f"demo: this machine cannot run it: {found.key}: {found.reason}{remedy}")


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{output}: cannot be made ({error.strerror}); choose another folder with -o") from error


def _capture(runs: tuple[Designed, ...], output: Path, seed: int, bar: _Bar) -> list[Trace]:
    """Run every migration and keep its trace."""
    traces = []
    with contextlib.ExitStack() as stack:
        with bar("set up", 1) as step:
            nursery = stack.enter_context(Nursery())
            step(1)
        for at, each in enumerate(runs):
            with bar(f"migrate {at + 1}/{len(runs)}: {each.name}", each.scenario.guest.memory_bytes) as step:
                trace = run(
                    each.scenario,
                    seed=seed + at,
                    options=Options(plaintext=True),
                    nursery=nursery,
                    progress=_progress(each, step),
                )
            io.write(trace, output / f"{each.name}.parquet", force=True)
            traces.append(trace)
    return traces


def _progress(each: Designed, step: _Step) -> Callable[[Mapping[str, Any]], None]:
    """Return what moves a bar by the share of the memory that no longer remains."""
    best = each.scenario.guest.memory_bytes

    def show(sample: Mapping[str, Any]) -> None:
        nonlocal best
        if sample["remaining_bytes"] < best:
            step(best - sample["remaining_bytes"])
            best = sample["remaining_bytes"]

    return show


def _predict(
    runs: tuple[Designed, ...], traces: list[Trace], step: _Step
) -> tuple[Calibration, Comparison, list[tuple[str, Comparison]]]:
    """Return the calibration on all but the last run, that run compared, and each run from the others."""
    calibration = fit(traces[:-1])
    left_out = compare(traces[-1], calibration)
    step(1)
    others = []
    for at, trace in enumerate(traces):
        others.append((runs[at].name, compare(trace, fit(traces[:at] + traces[at + 1 :]))))
        step(1)
    return calibration, left_out, others


def _write(
    output: Path, calibration: Calibration, left_out: Comparison, others: list[tuple[str, Comparison]]
) -> Path:
    from migkit.cli import _report

    save(calibration, output / "calibration.json")
    report = output / "report.html"
    write_beside(report, _report.page(left_out, others, calibration).encode())
    return report


def _summary(
    runs: tuple[Designed, ...], calibration: Calibration, left_out: Comparison, output: Path, report: Path
) -> str:
    from migkit.cli import _report

    lines = [
        f"{len(runs)} real migrations, each verified bit for bit; constants fitted to {calibration.runs} of them,",
        "the other one predicted from its scenario alone:",
        "",
        f"{'':<21} {'measured':>12} {'predicted':>12} {'error':>9}",
    ]
    for quantity, measured, predicted, error in _report.comparison_lines(left_out):
        lines.append(f"{quantity:<21} {measured:>12} {predicted:>12} {error:>9}")
    lines += ["", f"traces  {output}/*.parquet", f"report  {report}"]
    return "\n".join(lines)


@contextlib.contextmanager
def _bars(quiet: bool) -> Iterator[_Bar]:
    """Yield what shows one bar a phase on stderr; off a terminal it shows nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:

        @contextlib.contextmanager
        def bar(phase: str, total: float) -> Iterator[_Step]:
            task = progress.add_task(phase, total=total)
            yield lambda amount: progress.update(task, advance=amount)
            progress.update(task, completed=total)

        yield bar
