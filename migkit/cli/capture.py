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

from migkit.errors import UsageError
from migkit.harness.run import Options, run
from migkit.scenario import Scenario, schema
from migkit.traces import io
from migkit.traces.schema import Outcome, Trace
from migkit.units import format_duration, format_rate, format_size

__all__ = ["command"]


@click.command("capture")
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the trace to this Parquet file.")
@click.option("--force", is_flag=True, help="Overwrite that file.")
@click.option("--memory", help='RAM of the guest, e.g. "256 MiB".')
@click.option("--zero", help="RAM that is zero at the start.")
@click.option("--fill", help="Content of the rest: random, constant or zero.")
@click.option(
    "--dirty",
    multiple=True,
    metavar="REGION,WRITES_PER_S[,KIND]",
    help='A page class, e.g. "64 MiB,5000,random"; may be given several times.',
)
@click.option("--max-bandwidth", help='Cap on the migration, e.g. "1 Gbit/s".')
@click.option("--downtime-limit", help='Pause that may be planned for, e.g. "300 ms".')
@click.option("--time-limit", help="Give up after this time.")
@click.option("--policy", help="Named rule of a hypervisor or manager.")
@click.option("--strategy", help="precopy or stopcopy.")
@click.option("--auto-converge", is_flag=True, help="Throttle a guest that dirties too fast.")
@click.option("--seed", default=1, show_default=True, help="Of the guest's content and writes.")
@click.option("--tracker", help="How dirty pages are found; default: the best that works here.")
@click.option("--pacing", help="running_time or wall_clock; default: as the guest's capacity says.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the destination listens.")
@click.option("--port", default=0, show_default=True, help="Port there; 0: any that is free.")
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
    form: str,
    **flags: Any,
) -> None:
    """Migrate a real guest process, prove it bit for bit, and record the run.

    SCENARIO is a TOML or JSON file; flags take the place of its values.
    """
    what = read_scenario(scenario, flags)
    options = Options(host=host, port=port, tracker=tracker, pacing=pacing)
    _check_output(output, force)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with _Display() as display:
        trace = run(what, seed=seed, options=options, progress=display.show)
    if output is not None:
        io.write(trace, output, force=force)
    click.echo(as_json(trace) if form == "json" else as_table(trace.outcome, output))


def read_scenario(path: Path | None, flags: Mapping[str, Any]) -> Scenario:
    """Return the scenario of a file with flags in place of its values.

    Raises
    ------
    UsageError
        Neither says the guest's memory, or a value is wrong.
    """
    if path is None and flags["memory"] is None:
        raise UsageError('capture: no guest; give a scenario file, or at least --memory "256 MiB"')
    tables: dict[str, dict[str, Any]] = {"guest": {}, "policy": {}, "strategy": {}}
    for table, key, flag in _FLAGS:
        if flags[flag] not in (None, False):
            tables[table][key] = flags[flag]
    if flags["dirty"]:
        tables["guest"]["dirty"] = [_page_class(text) for text in flags["dirty"]]
    if path is None:
        return schema.from_mapping({name: table for name, table in tables.items() if table})
    return _changed(schema.load(path), tables)


_FLAGS = (
    ("guest", "memory", "memory"),
    ("guest", "zero", "zero"),
    ("guest", "fill", "fill"),
    ("policy", "name", "policy"),
    ("policy", "max_bandwidth", "max_bandwidth"),
    ("policy", "downtime_limit", "downtime_limit"),
    ("policy", "time_limit", "time_limit"),
    ("strategy", "name", "strategy"),
    ("strategy", "auto_converge", "auto_converge"),
)


def _page_class(text: str) -> dict[str, Any]:
    region, _, rest = text.partition(",")
    writes, _, kind = rest.partition(",")
    try:
        rate = float(writes)
    except ValueError:
        raise UsageError(
            f'--dirty: "{text}" is not a page class; write REGION,WRITES_PER_S[,KIND] as in "64 MiB,5000,random"'
        ) from None
    return {"region": region, "writes_per_s": rate, "kind": kind.strip() or "random"}


def _changed(base: Scenario, tables: Mapping[str, Mapping[str, Any]]) -> Scenario:
    """Return ``base`` with the values of file-like ``tables`` in it."""
    memory = {"memory": f"{base.guest.memory_bytes} B"}
    given = schema.from_mapping({**tables, "guest": {**memory, **tables["guest"]}})
    for name, table in tables.items():
        record = getattr(given, name)
        names = {schema.file_key(field.name): field.name for field in dataclasses.fields(record)}
        changes = {names[key]: getattr(record, names[key]) for key in table}
        base = dataclasses.replace(base, **{name: dataclasses.replace(getattr(base, name), **changes)})
    return base


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
