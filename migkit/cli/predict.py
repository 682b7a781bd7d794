"""``migkit predict``: what one migration will take, and whether it converges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import SEED, scenario_from, scenario_options, tables_from
from migkit.errors import InfeasibleError, UsageError
from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.models.result import Prediction, Round
    from migkit.scenario import Scenario

_ROUNDS_SHOWN = 12


@click.command(cls=Command)
@scenario_options
@click.option("--format", "kind", type=click.Choice(_output.FORMATS), help="How to print the result [table].")
@click.option("-o", "--output", type=_output.WRITTEN, help="File to write instead of stdout.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Calibrated constants of the hosts to use.")
@click.option("--host", type=click.Path(path_type=Path), help="Hosts as migkit calibrate wrote them.")
@click.option(
    "--qmp", type=click.Path(path_type=Path), metavar="SOCKET", help="Measure the guest behind this monitor."
)
@click.option("--level", type=float, default=0.9, help="Probability of the interval around the result [0.9].")
@click.option("--seed", type=SEED, default=0, show_default=True, help="From which the interval is drawn.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    scenario: Path | None,
    kind: str | None,
    output: Path | None,
    calibration: Path | None,
    host: Path | None,
    qmp: Path | None,
    level: float,
    seed: int,
    quiet: bool,
    **flags: Any,
) -> None:
    """Predict one migration from the file SCENARIO (TOML or JSON), from flags, or from both.

    Every field of a scenario has a flag, which has precedence over the file; values are
    written as in a file, e.g. --guest-memory "64 GiB" --link-bandwidth "10 Gbit/s".
    `migkit schema` lists the keys. Exit code 3: the migration does not converge.

    With --qmp the guest is the one that runs behind a QEMU monitor: it is measured first, for half a minute at most,
    as `migkit qemu profile` does. Cap, limit, the rule of its version and host.platform (KVM or QEMU's emulator) are
    those of that QEMU, unless they are given.
    """
    from migkit.models.predict import predict

    case = scenario_from(scenario, flags, quiet) if qmp is None else _measured(qmp, scenario, flags, quiet)
    if calibration is not None:
        from migkit.calibrate import store

        case = store.load(calibration).scenario(case)
    if host is not None:
        from migkit.calibrate import host_file

        case = host_file.on_host(case, tables_from(scenario, flags)[0], host)
    result = predict(case, level=level, seed=seed)
    _output.emit(_render(_output.choose_format(kind, output), case, result), output)
    if output is not None:
        _output.narrate(f"wrote {output}", quiet)
    if result.verdict != "converges":
        if quiet:
            raise SystemExit(InfeasibleError.exit_code)
        raise InfeasibleError(f"{result.verdict.replace('_', ' ')}; the reasons are in the result")


def _measured(qmp: Path, scenario: Path | None, flags: dict[str, Any], quiet: bool) -> Scenario:
    """Return the scenario with the guest that runs behind a monitor."""
    from migkit.cli.qemu_profile import measured

    given = scenario is not None or any(value not in (None, ()) for value in flags.values())
    tables = tables_from(scenario, flags)[0] if given else {}
    if "guest" in tables:
        raise UsageError("--qmp: a guest is given as well; leave out one of the two")
    found, name, case = measured(qmp, None, 0.05, 30.0, quiet, tables)
    _output.narrate(f"guest measured {name}: {found.passes} passes in {format_duration(found.took_s)}", quiet)
    _output.narrate(f"hosts taken for {case.host.platform}, the rule for that of {case.policy.name}", quiet)
    return case


def _render(kind: str, case: Scenario, result: Prediction) -> str | bytes:
    if kind == "table":
        return _table(case, result)
    if kind == "json":
        from migkit.scenario.form import schema

        return json.dumps(result.to_dict() | {"scenario": schema.to_record(case)}, indent=2, allow_nan=False)
    return _output.rows_as(kind, [_output.flat(result)])


def _table(case: Scenario, result: Prediction) -> str:
    from migkit.models import story

    summary = [
        ("verdict", result.verdict),
        *[("why" if at == 0 else "", reason) for at, reason in enumerate(result.reasons)],
        ("total time", format_duration(result.total_time_s) + _between(result, "total_time_s", format_duration)),
        ("downtime", _downtime(result)),
        *[("  " + name, format_duration(time_s)) for name, time_s in result.downtime_parts],
        ("sent", _or_endless(result.transferred_bytes) + _between(result, "transferred_bytes", format_size)),
        ("iterations", str(result.iterations)),
        ("left at switchover", format_size(result.remaining_at_switchover_bytes)),
        ("natural downtime", story.natural(result)),
        ("guest slowdown", f"{100 * result.guest_slowdown:.1f} %"),
    ]
    summary.append(("hosts", result.hosts))
    if result.interval is not None:
        summary.append(("intervals", result.interval.correction))
    if result.interval is not None and 0.0 < result.interval.converges < 1.0:
        summary.append(("converges in", f"{100 * result.interval.converges:.0f} % of runs"))
    if result.postcopy_faults:
        summary += [
            ("demand faults", f"{result.postcopy_faults:.0f}"),
            ("blocktime", format_duration(result.blocktime_s)),
            ("risk", story.risk(result)),
        ]
    if case.policy.name != "qemu" or case.strategy.name != "precopy":
        summary.insert(0, ("plan", f"{case.strategy.name} by the rule of {case.policy.name}"))
    width = max(len(name) for name, _ in summary)
    lines = "\n".join(f"{name:<{width}}  {value}" for name, value in summary)
    return f"{lines}\n\n{_rounds(result.rounds)}"


def _downtime(result: Prediction) -> str:
    if result.verdict != "converges":
        return "none: the guest stays"
    return format_duration(result.downtime_s) + _between(result, "downtime_s", format_duration)


def _or_endless(value_bytes: float) -> str:
    return "without end" if value_bytes == float("inf") else format_size(value_bytes)


def _between(result: Prediction, name: str, show: Any) -> str:
    if result.interval is None:
        return ""
    low, high = getattr(result.interval, name)
    if low == high:
        return ""
    return f"  ({show(low)} to {show(high)} at {100 * result.interval.level:g} %)"


def _rounds(rounds: tuple[Round, ...]) -> str:
    hidden = max(0, len(rounds) - _ROUNDS_SHOWN)
    shown = rounds if not hidden else (*rounds[: _ROUNDS_SHOWN - 3], *rounds[-3:])
    header = ["round", "start", "takes", "to send", "sent", "at", "throttle"]
    cells = [
        [
            str(r.iteration),
            format_duration(r.start_s),
            format_duration(r.duration_s),
            format_size(r.remaining_bytes),
            format_size(r.sent_bytes),
            format_rate(r.sent_bytes / r.duration_s) if r.duration_s > 0 else "",
            f"{100 * r.throttle:.0f} %",
        ]
        for r in shown
    ]
    if hidden:
        cells.insert(_ROUNDS_SHOWN - 3, [f"({hidden} more)", *[""] * (len(header) - 1)])
    return _output.columns(header, cells)
