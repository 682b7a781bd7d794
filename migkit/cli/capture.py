"""``migkit capture``: one real migration, live on the terminal, recorded as a trace."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from migkit.cli._scenario import scenario_from, scenario_options
from migkit.errors import UsageError
from migkit.harness.run import Options, run
from migkit.traces import io
from migkit.traces.schema import Outcome, Trace
from migkit.units import format_duration, format_rate, format_size

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
    form: str,
    **flags: str | bool | None,
) -> None:
    """Migrate a real guest process, prove it bit for bit, and record the run.

    Every field of a scenario has a flag, which has precedence over the file, e.g.
    --memory "256 MiB" --dirty 'region = "64 MiB", writes_per_s = 5000' --max-bandwidth "1 Gbit/s".
    Of the link and the host nothing is read: they are what they are.
    """
    what = scenario_from(scenario, flags)
    options = Options(host=host, port=port, tracker=tracker, pacing=pacing, checkpoint=checkpoint)
    _check_output(output, force)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with _Display() as display:
        trace = run(what, seed=seed, options=options, progress=display.show)
    if output is not None:
        io.write(trace, output, force=force)
    click.echo(as_json(trace) if form == "json" else as_table(trace.outcome, output))


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

    def __enter__(self) -> _Display:
        from rich.status import Status

        if self._console.is_terminal:
            self._live = Status("setting up", console=self._console)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

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


def as_table(outcome: Outcome, output: Path | None) -> str:
    """Return an outcome as lines for a person."""
    rows = [
        ("verdict", f"{outcome.verdict} ({outcome.reason})"),
        ("total migration time", format_duration(outcome.total_time_s)),
        ("downtime", format_duration(outcome.downtime_s)),
        ("transferred", format_size(outcome.transferred_bytes)),
        ("rounds", str(outcome.iterations)),
        ("verified", "bit for bit" if outcome.verified else "no"),
    ]
    if output is not None:
        rows.append(("trace", str(output)))
    return "\n".join(f"{name:<21} {value}" for name, value in rows)


def as_json(trace: Trace) -> str:
    """Return outcome and machine as JSON."""
    return json.dumps({"outcome": dataclasses.asdict(trace.outcome), "machine": dict(trace.machine)}, indent=2)
