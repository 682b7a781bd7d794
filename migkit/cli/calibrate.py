"""``migkit calibrate``: the constants of hosts from traces and logs of their migrations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import InfeasibleError, MigkitError, UsageError
from migkit.units import format_duration, format_rate

if TYPE_CHECKING:
    from migkit.calibrate.fit import Calibration
    from migkit.calibrate.host_file import Drift
    from migkit.importers import Log
    from migkit.traces import Trace

__all__ = ["command"]


class DriftError(MigkitError):
    """Constants that are no longer those of a file."""

    exit_code = 1


@click.command("calibrate", cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="TRACE|LOG...")
@click.option("-o", "--output", type=_output.WRITTEN, help="File of the hosts to write (TOML).")
@click.option("--check", type=click.Path(path_type=Path), help="Compare with this file; exit code 1 when it drifted.")
@click.option("--require", multiple=True, metavar="CONSTANT", help="Fail unless the runs tell this one.")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    sources: tuple[str, ...],
    output: Path | None,
    check: Path | None,
    require: tuple[str, ...],
    kind: str,
    quiet: bool,
) -> None:
    """Fit the constants of two hosts to migrations between them: traces of migkit, logs of any tool.

    Each constant comes with its standard error and what told it. What the runs cannot tell keeps its default, and
    the run to add is named. Use the file with `migkit predict --host FILE`.
    """
    from migkit.calibrate import host_file
    from migkit.calibrate.fit import fit

    traces, logs = _read(sources)
    found = fit(traces, logs=logs, require=require)
    if not found.constants:
        runs = "this run tells" if found.runs == 1 else f"these {found.runs} runs tell"
        raise InfeasibleError(f"calibration: {runs} no constant; {_first(found)}")
    changes = host_file.drift(host_file.load(check), found) if check is not None else ()
    click.echo(_json(found, changes) if kind == "json" else _text(found, changes, check is not None))
    if output is not None:
        host_file.write(output, found)
        _output.narrate(f"wrote {output}", quiet)
    drifted = [change.name for change in changes if change.drifted]
    if drifted:
        raise DriftError(f"calibration: {', '.join(drifted)} drifted from {check}; calibrate anew with -o")


def _first(found: Calibration) -> str:
    return next(iter(found.refused.values()), "add a trace or a log with more readings")


def _read(sources: Sequence[str]) -> tuple[list[Trace], list[Log]]:
    """Return the traces of migkit and the logs of others among the files."""
    from migkit.importers import read
    from migkit.traces import io

    traces: list[Trace] = []
    logs: list[Log] = []
    for source in sources:
        if source.endswith(".parquet"):
            try:
                traces.append(io.read(Path(source)))
                continue
            except MigkitError as error:
                if io.IMPORTED not in str(error):
                    raise
        found = [log for log in read(source if source == "-" else Path(source)) if log.kind == "migration"]
        if not found:
            raise UsageError(f"calibration: {source} holds no migration; it tells nothing of the hosts")
        logs += found
    return traces, logs


def _text(found: Calibration, changes: Sequence[Drift], checked: bool) -> str:
    rows = [
        [name, _shown(name, getattr(found.host, name)), _error(found, name), found.identified_by[name]]
        for name in found.constants
    ]
    parts = [f"{found.runs} run{'s' * (found.runs != 1)} ({found.kind})"]
    parts.append(_output.columns(["constant", "value", "standard error", "told by"], rows, left=4))
    if found.refused:
        by_reason: dict[str, list[str]] = {}
        for name, why in found.refused.items():
            by_reason.setdefault(why, []).append(name)
        untold = "\n".join(f"  {', '.join(names)}: {why}" for why, names in by_reason.items())
        parts.append(f"not told, so the default stays:\n{untold}")
    if checked:
        parts.append(_drift_table(changes))
    return "\n\n".join(parts)


def _drift_table(changes: Sequence[Drift]) -> str:
    rows = [
        [
            one.name,
            _shown(one.name, one.before),
            _shown(one.name, one.now),
            f"{one.standard_errors:.1f}",
            "drifted" if one.drifted else "",
        ]
        for one in changes
    ]
    return _output.columns(["constant", "then", "now", "standard errors apart", ""], rows, left=1)


def _error(found: Calibration, name: str) -> str:
    value, error = getattr(found.host, name), found.standard_errors[name]
    return f"{_shown(name, error)} ({100 * error / value:.1f} %)" if value > 0.1 * error else _shown(name, error)


def _shown(name: str, value: float) -> str:
    if name.endswith("_bytes_per_s"):
        return format_rate(value)
    return format_duration(value) if name.endswith("_s") and value >= 1e-3 else _small(name, value)


def _small(name: str, value: float) -> str:
    return f"{value * 1e6:.3g} us" if name.endswith("_s") else f"{value:.4g} B"


def _json(found: Calibration, changes: Sequence[Drift]) -> str:
    constants = {
        name: {
            "value": getattr(found.host, name),
            "standard_error": found.standard_errors[name],
            "told_by": found.identified_by[name],
        }
        for name in found.constants
    }
    drifts = [one._asdict() | {"drifted": one.drifted} for one in changes]
    record = {"runs": found.runs, "kind": found.kind, "constants": constants, "cannot_tell": dict(found.refused)}
    return json.dumps(record | {"drift": drifts}, indent=2, allow_nan=False)
