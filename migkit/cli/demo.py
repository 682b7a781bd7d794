"""``migkit demo``: real migrations, captured, calibrated on, and one predicted that was left out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.calibrate.design import Designed, calibration_runs, held_out_run
from migkit.calibrate.fit import Calibration, fit
from migkit.calibrate.store import save
from migkit.calibrate.validate import Comparison, compare
from migkit.cli._command import Command
from migkit.cli._output import Bar, Step, bars, write_beside
from migkit.cli._scenario import SEED
from migkit.errors import CapabilityError, UsageError
from migkit.harness.probe import probe
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.run import Options, run
from migkit.harness.runs.settlement import Whereabouts, telling
from migkit.traces import io
from migkit.traces.place import check_room

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["command"]

_NEEDS = ("memory", "shm")


@click.command("demo", cls=Command)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("migkit-demo"),
    show_default=True,
    help="Folder for the traces, the calibration and the report; files of an earlier demo are replaced.",
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of the guests' content and writes.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(output: Path, seed: int, quiet: bool) -> None:
    """Capture real migrations, calibrate on all but one, predict that one, and write a report.

    Takes less than a minute. The guests are processes whose memory is moved page by page over
    TCP; after each run the migrated guest is proven equal to one that was never moved.
    """
    _check_machine()
    _make_folder(output)
    check_room(output, f"{output}")
    runs = (*calibration_runs(), held_out_run())
    where = Whereabouts()
    with telling(where), bars(quiet) as bar:
        traces = _capture(runs, output, seed, bar, where)
        with bar("calibrate and predict", len(runs) + 1) as step:
            calibration, left_out, others = _predict(runs, traces, step)
        with bar("report", 1) as step:
            report = _write(output, calibration, left_out, others)
            step(1)
    click.echo(_summary(runs, calibration, left_out, output, report))


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


def _capture(runs: tuple[Designed, ...], output: Path, seed: int, bar: Bar, where: Whereabouts) -> list[Trace]:
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
            where.note(trace)
            io.write(trace, output / f"{each.name}.parquet", force=True)
            traces.append(trace)
    return traces


def _progress(each: Designed, step: Step) -> Callable[[Mapping[str, Any]], None]:
    """Return what moves a bar by the share of the memory that no longer remains."""
    best = each.scenario.guest.memory_bytes

    def show(sample: Mapping[str, Any]) -> None:
        nonlocal best
        if sample["remaining_bytes"] < best:
            step(best - sample["remaining_bytes"])
            best = sample["remaining_bytes"]

    return show


def _predict(
    runs: tuple[Designed, ...], traces: list[Trace], step: Step
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
    from migkit.reports import of_demo

    save(calibration, output / "calibration.json")
    report = output / "report.html"
    write_beside(report, of_demo.page(left_out, others, calibration).encode())
    return report


def _summary(
    runs: tuple[Designed, ...], calibration: Calibration, left_out: Comparison, output: Path, report: Path
) -> str:
    from migkit.reports import of_demo

    lines = [
        f"{len(runs)} real migrations, each verified bit for bit; constants fitted to {calibration.runs} of them,",
        "the other one predicted from its scenario alone:",
        "",
        f"{'':<21} {'measured':>12} {'predicted':>12} {'error':>9}",
    ]
    for quantity, measured, predicted, error in of_demo.comparison_lines(left_out):
        lines.append(f"{quantity:<21} {measured:>12} {predicted:>12} {error:>9}")
    lines += ["", f"traces  {output}/*.parquet", f"report  {report}"]
    return "\n".join(lines)
