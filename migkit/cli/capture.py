"""``migkit capture``: one real migration, live on the terminal, recorded as a trace."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from migkit.cli._scenario import scenario_options, tables_from
from migkit.errors import UsageError
from migkit.harness.disturbance import DISTURBED
from migkit.harness.nursery import Nursery
from migkit.harness.options import PATHS
from migkit.harness.run import Options, run
from migkit.harness.run import moves as journey
from migkit.scenario import Scenario, schema
from migkit.traces import io
from migkit.traces.schema import Outcome, Trace
from migkit.units import duration, format_duration, format_rate, format_size

__all__ = ["command"]


@click.command("capture")
@scenario_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the trace to this Parquet file.")
@click.option("--force", is_flag=True, help="Overwrite that file.")
@click.option("--seed", default=1, show_default=True, help="Of the guest's content and writes.")
@click.option("--tracker", help="How dirty pages are found; default: the best that works here.")
@click.option("--pacing", help="running_time or wall_clock; default: as the guest's capacity says.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the destination listens.")
@click.option("--port", default=0, show_default=True, help="Port there; 0: any that is free.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Save the guest to this file before the move.")
@click.option(
    "--path", type=click.Choice(PATHS), default=PATHS[0], show_default=True, help="Whether [link] is emulated."
)
@click.option(
    "--recovery", default="60 s", show_default=True, help="How long post-copy may go on without a connection."
)
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Runs, behind one warm-up.")
@click.option(
    "--moves", type=click.IntRange(min=1), default=1, show_default=True, help="Moves of one and the same guest."
)
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
    warm-up, into the folder -o with an index.csv; what is there already is not run again. A design has
    lists of values, all combined, as in [grid.policy] max_bandwidth = ["50 MB/s", "100 MB/s"], or [[points]].
    """
    tables, folder = tables_from(scenario, flags)
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
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    if grid is not None:
        _perform(grid, repeat, output, tables=tables, base=folder, options=options, seed=seed)
        return
    what = schema.from_mapping(tables, folder)
    count = _count(repeat, moves)
    outputs = [_numbered(output, number, count) for number in range(1, count + 1)]
    for each in outputs:
        _check_output(each, force)
    with _Display() as display, Nursery() as nursery:
        common: dict[str, Any] = {"options": options, "progress": display.show, "nursery": nursery}
        traces = journey(what, moves, seed=seed, **common) if moves > 1 else _runs(what, repeat, seed, **common)
        for each, trace in zip(outputs, traces, strict=True):
            if each is not None:
                io.write(trace, each, force=force)
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


def _perform(grid: Path, repeat: int, output: Path | None, **experiment: Any) -> None:
    """Run a design into the folder ``output``."""
    from migkit.cli._experiment import perform
    from migkit.harness.experiment import read

    if output is None:
        raise UsageError("grid: no folder was given; name one for the traces with -o FOLDER")
    with _Display() as display:
        say = functools.partial(click.echo, err=True)
        index = perform(read(grid), repeat, folder=output, say=say, progress=display.show, **experiment)
    click.echo(index)


def _numbered(output: Path | None, number: int, repeat: int) -> Path | None:
    return output if output is None or repeat == 1 else output.with_stem(f"{output.stem}-{number}")


def disagreement(times_s: Sequence[float], most: float = 0.05) -> str:
    """Return a warning when total times of repeats [s] spread over more than ``most`` of their median.

    Examples
    --------
    >>> disagreement([1.00, 1.02, 1.01])
    ''
    >>> disagreement([1.0, 1.0, 1.2])
    'migkit: the 3 runs disagree by 20 % in total time; close other programs or repeat more often'
    """
    spread = (max(times_s) - min(times_s)) / statistics.median(times_s)
    if spread <= most:
        return ""
    return (
        f"migkit: the {len(times_s)} runs disagree by {spread:.0%} in total time; "
        "close other programs or repeat more often"
    ).replace("%", " %")


def disturbed(share: float) -> str:
    """Return a warning when others had more than a fifth of the processors during a run.

    Examples
    --------
    >>> disturbed(0.02)
    ''
    >>> disturbed(0.31)
    'migkit: other programs had 31 % of the processors during a run; close them and repeat it'
    """
    if share <= DISTURBED:
        return ""
    taken = f"{share:.0%}".replace("%", " %")
    return f"migkit: other programs had {taken} of the processors during a run; close them and repeat it"


def _check_output(output: Path | None, force: bool) -> None:
    """Refuse a place where the trace could not be written, before the run."""
    if output is None:
        return
    if not output.parent.is_dir():
        raise UsageError(f"trace {output}: the folder {output.parent} does not exist; create it or write elsewhere")
    if output.exists() and not force:
        raise UsageError(f"trace {output}: it exists; write elsewhere or overwrite it with --force")


class _Display:
    """Live progress on stderr: a line that changes on a terminal, a line a round elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live: Any = None
        self._last: Mapping[str, Any] | None = None
        self.outcomes: list[Outcome] = []
        self.others_shares: list[float] = []

    def __enter__(self) -> _Display:
        from rich.status import Status

        if self._console.is_terminal:
            self._live = Status("setting up", console=self._console)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def done(self, text: str, trace: Trace) -> None:
        """Print the result of one run."""
        self.outcomes.append(trace.outcome)
        self.others_shares.append(trace.machine["others_share"])
        if self._live is not None:
            self._live.stop()
        click.echo(text)

    def show(self, sample: Mapping[str, Any]) -> None:
        """Show one sample of the migration."""
        last, self._last = self._last, sample
        text = describe(sample, last)
        if self._live is not None:
            self._live.update(text)
        elif last is None or (sample["phase"], sample["iteration"]) != (last["phase"], last["iteration"]):
            print(text, file=sys.stderr, flush=True)


def describe(sample: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """Return a sample in words: round, what remains, rate, and the forecast that follows from them.

    Examples
    --------
    >>> before = {"monotonic_ns": 0, "sent_bytes": 0}
    >>> describe({"monotonic_ns": 10**8, "sent_bytes": 12_500_000, "phase": "precopy", "iteration": 2,
    ...           "remaining_bytes": 25 * 2**20}, before)
    'precopy, round 2: 25 MiB remain, 1 Gbit/s, 210 ms to go if nothing more is written'
    """
    text = f"{sample['phase']}, round {sample['iteration']}: {format_size(sample['remaining_bytes'])} remain"
    if last is None or sample["monotonic_ns"] == last["monotonic_ns"]:
        return text
    rate = (sample["sent_bytes"] - last["sent_bytes"]) / (sample["monotonic_ns"] - last["monotonic_ns"]) * 1e9
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
