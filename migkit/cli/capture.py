"""``migkit capture``: one real migration, live on the terminal, recorded as a trace."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._experiment import perform
from migkit.cli._scenario import COUNT, SEED, note_idle, scenario_options, tables_from
from migkit.errors import UsageError
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import experiment
from migkit.harness.runs.disturbance import disagreement, disturbed
from migkit.harness.runs.options import PATHS
from migkit.harness.runs.run import Options, run
from migkit.harness.runs.run import moves as journey
from migkit.harness.runs.settlement import Whereabouts, telling
from migkit.scenario import Scenario
from migkit.scenario.form import schema
from migkit.traces import io
from migkit.traces.place import check_place
from migkit.traces.schema import Outcome, Trace
from migkit.units import duration, format_duration, format_rate, format_size

__all__ = ["as_json", "command", "describe"]

_RATE_NS = 100_000_000


@click.command("capture", cls=Command)
@scenario_options
@click.option("-o", "--output", type=_output.PLACE, help="Write the trace to this Parquet file.")
@click.option("--force", is_flag=True, help="Overwrite that file.")
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of the guest's content and writes.")
@click.option("--tracker", help="How dirty pages are found; default: the best that works here.")
@click.option("--pacing", help="running_time or wall_clock; default: as the guest's capacity says.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the destination listens.")
@click.option("--port", default=0, show_default=True, help="Port there; 0: any that is free.")
@click.option("--checkpoint", type=_output.PLACE, help="Save the guest to this file before the move.")
@click.option(
    "--path", type=click.Choice(PATHS), default=PATHS[0], show_default=True, help="Whether [link] is emulated."
)
@click.option(
    "--recovery", default="60 s", show_default=True, help="How long post-copy may go on without a connection."
)
@click.option("--repeat", type=COUNT, default=1, show_default=True, help="Runs, behind one warm-up.")
@click.option("--moves", type=COUNT, default=1, show_default=True, help="Moves of one and the same guest.")
@click.option(
    "--grid", type=click.Path(path_type=Path), help="Run the design in this file; the traces go to the folder -o."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    scenario: Path | None,
    output: Path | None,
    force: bool,
    seed: int,
    tracker: str | None,
    pacing: str | None,
    host: str,
    port: int,
    checkpoint: Path | None,
    path: str,
    recovery: str,
    repeat: int,
    moves: int,
    grid: Path | None,
    form: str,
    **flags: str | bool | None,
) -> None:
    """Migrate a real guest process, prove it bit for bit, and record the run.

    Every field of a scenario has a flag, which has precedence over the file, e.g.
    --memory "256 MiB" --dirty 'region = "64 MiB", writes_per_s = 5000' --max-bandwidth "1 Gbit/s".
    The link and the host are what they are, unless --path asks for the link of the scenario: "relay"
    passes everything through a process with its bandwidth, rtt and steps; "namespaces" gives each side
    a network of its own, joined by a cable with that bandwidth.

    Source and destination prove to each other who they are, and all that passes between them is
    encrypted (TLS 1.3); plain text must be asked for, with --no-tls or tls = false in the file.

    With --repeat the runs have the seeds SEED, SEED + 1, ...; the warm-up is not recorded, each trace has
    the number of its run in its name, and runs that disagree by more than 5 % are warned about.
    With --moves the same guest goes there and back, proven at every stop; its traces are numbered as well.

    With --grid every point of a design is run --repeat times in random order (by SEED), behind one
    warm-up, into the folder -o with an index.csv; what is there already is not run again. A design is one
    file with a scenario and lists of values, all of which are combined (or [[points]], one by one):

    \b
      [guest]
      memory = "64 MiB"
      dirty = [{ region = "16 MiB", writes_per_s = 5000 }]
      [grid.policy]
      max_bandwidth = ["50 MB/s", "100 MB/s"]
      [grid.strategy]
      name = ["precopy", "postcopy"]

    \b
      migkit capture --grid design.toml --repeat 3 -o runs
    """
    if grid is not None and output is None:
        raise UsageError("grid: no folder was given; name one for the traces with -o FOLDER")
    design, base = experiment.read(grid) if grid is not None else ([], {})
    tables, folder = tables_from(scenario, flags, (base, grid.parent) if grid is not None else None)
    options = Options(
        host=host,
        port=port,
        tracker=tracker,
        pacing=pacing,
        checkpoint=checkpoint,
        path=path,
        recovery_s=duration(recovery, "recovery"),
        plaintext=tables.get("strategy", {}).get("tls") is False,
    )
    if design:
        _perform(design, repeat, output, tables=tables, base=folder, options=options, seed=seed)
        return
    what = schema.from_mapping(tables, folder)
    note_idle(what, tables)
    count = _count(repeat, moves)
    outputs = [_numbered(output, number, count) for number in range(1, count + 1)]
    for each in outputs:
        check_place(each, "trace", force=force)
    check_place(checkpoint, "checkpoint", force=True)
    where = Whereabouts()
    with telling(where), _Display() as display, Nursery() as nursery:
        common: dict[str, Any] = {"options": options, "progress": display.show, "nursery": nursery}
        traces = journey(what, moves, seed=seed, **common) if moves > 1 else _runs(what, repeat, seed, **common)
        for each, trace in zip(outputs, traces, strict=True):
            where.note(trace)
            try:
                if each is not None:
                    io.write(trace, each, force=force)
            finally:
                display.done(as_json(trace) if form == "json" else as_table(trace, each), trace)
    warnings = [
        disagreement([outcome.total_time_s for outcome in display.outcomes]),
        disturbed(max(display.others_shares)),
    ]
    for warning in filter(None, warnings):
        click.echo(warning, err=True)


def _count(repeat: int, moves: int) -> int:
    if repeat > 1 and moves > 1:
        raise UsageError("moves: with --repeat as well it is not clear which guest is meant; give one of the two")
    return max(repeat, moves)


def _runs(what: Scenario, repeat: int, seed: int, *, options: Options, **common: Any) -> Iterator[Trace]:
    """Migrate guests of following seeds; several behind a warm-up that nobody sees."""
    if repeat > 1:
        run(what, seed=seed, options=options, nursery=common["nursery"])
    for number in range(repeat):
        yield run(what, seed=seed + number, options=options, **common)


def _perform(design: list[experiment.Point], repeat: int, output: Path | None, **given: Any) -> None:
    """Run a design into the folder ``output``."""
    assert output is not None
    with _Display() as display:
        say = functools.partial(click.echo, err=True)
        index = perform(design, repeat, folder=output, say=say, progress=display.show, **given)
    click.echo(index)


def _numbered(output: Path | None, number: int, repeat: int) -> Path | None:
    """Return where the trace of one of several runs goes: into a folder, or beside a file of that name."""
    if output is not None and repeat > 1 and output.is_dir():
        return output / f"run-{number}.parquet"
    return output if output is None or repeat == 1 else output.with_stem(f"{output.stem}-{number}")


class _Display:
    """Live progress on stderr: a line that changes on a terminal, a line a round elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live: Any = None
        self._first: Mapping[str, Any] | None = None
        self._last: Mapping[str, Any] | None = None
        self.outcomes: list[Outcome] = []
        self.others_shares: list[float] = []

    def __enter__(self) -> _Display:
        from rich.status import Status

        if self._console.is_terminal:
            status = Status("setting up", console=self._console)
            with contextlib.suppress(RuntimeError):  # no thread is left to draw it
                status.start()
                self._live = status
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def done(self, text: str, trace: Trace) -> None:
        """Print the result of one run."""
        self._first = self._last = None
        self.outcomes.append(trace.outcome)
        self.others_shares.append(trace.machine["others_share"])
        if self._live is not None:
            self._live.stop()
        click.echo(text)

    def show(self, sample: Mapping[str, Any]) -> None:
        """Show one sample of the migration."""
        last, self._last = self._last, sample
        if last is None or sample["sent_bytes"] < last["sent_bytes"]:  # another run
            self._first = sample
        text = describe(sample, self._first)
        if self._live is not None:
            self._live.update(text)
        elif last is None or (sample["phase"], sample["iteration"]) != (last["phase"], last["iteration"]):
            with contextlib.suppress(OSError):  # nobody reads it: no reason to end a migration
                print(text, file=sys.stderr, flush=True)


def describe(sample: Mapping[str, Any], first: Mapping[str, Any] | None) -> str:
    """Return a sample in words: round, what remains, and the mean rate since the first sample with its forecast.

    A rate is that of 100 ms at least: over less, a pause or a burst would say that hours are to go.

    Examples
    --------
    >>> before = {"monotonic_ns": 0, "sent_bytes": 0}
    >>> describe({"monotonic_ns": 10**8, "sent_bytes": 12_500_000, "phase": "precopy", "iteration": 2,
    ...           "remaining_bytes": 25 * 2**20}, before)
    'precopy, round 2: 25 MiB remain, 1 Gbit/s, 210 ms to go if nothing more is written'
    """
    text = f"{sample['phase']}, round {sample['iteration']}: {format_size(sample['remaining_bytes'])} remain"
    if first is None or sample["monotonic_ns"] - first["monotonic_ns"] < _RATE_NS:
        return text
    rate = (sample["sent_bytes"] - first["sent_bytes"]) / (sample["monotonic_ns"] - first["monotonic_ns"]) * 1e9
    if rate <= 0:
        return text
    left = format_duration(sample["remaining_bytes"] / rate)
    return f"{text}, {format_rate(rate)}, {left} to go if nothing more is written"


def as_table(trace: Trace, output: Path | None) -> str:
    """Return what a run came to as lines for a person."""
    outcome = trace.outcome
    rows = [
        ("verdict", f"{outcome.verdict} ({outcome.reason})"),
        ("total migration time", format_duration(outcome.total_time_s)),
        ("downtime", format_duration(outcome.downtime_s)),
        ("transferred", format_size(outcome.transferred_bytes)),
        ("rounds", str(outcome.iterations)),
        ("verified", "bit for bit" if outcome.verified else "no"),
    ]
    if "postcopy" in trace.machine:
        rows += _postcopy_rows(trace.machine["postcopy"])
    if output is not None:
        rows.append(("trace", str(output)))
    return "\n".join(f"{name:<21} {value}" for name, value in rows)


def _postcopy_rows(seen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the guest waited for pages in post-copy, with the histogram by powers of two of a microsecond.

    Examples
    --------
    >>> for name, value in _postcopy_rows({"faults": 3, "blocktime_s": 0.001, "median_latency_s": 2e-4,
    ...                                    "latency_histogram": [0, 0, 1, 2], "recoveries": 0}):
    ...     print(name, "|", value)
    demand faults | 3, median 200 us
    blocktime | 1 ms
    fault latency | 4 us: 1, 8 us: 2
    """
    bins = [
        f"{format_duration(2**at * 1e-6)}: {count}" for at, count in enumerate(seen["latency_histogram"]) if count
    ]
    median = f", median {format_duration(seen['median_latency_s'])}" if seen["faults"] else ""
    rows = [("demand faults", f"{seen['faults']}{median}"), ("blocktime", format_duration(seen["blocktime_s"]))]
    if bins:
        rows.append(("fault latency", ", ".join(bins)))
    if seen["recoveries"]:
        rows.append(("recoveries", f"{seen['recoveries']}, paused for {format_duration(seen['paused_s'])}"))
    return rows


def as_json(trace: Trace) -> str:
    """Return outcome and machine as JSON."""
    return json.dumps({"outcome": dataclasses.asdict(trace.outcome), "machine": dict(trace.machine)}, indent=2)
