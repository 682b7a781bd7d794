"""``migkit fit``: a guest from logs of its migrations or readings of its dirty rate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.errors import MigkitError, UsageError
from migkit.units import PAGE_BYTES, duration, format_duration, format_size, rate, size

if TYPE_CHECKING:
    from migkit.calibrate.conditions import Conditions
    from migkit.calibrate.guest.fitting import Fit
    from migkit.calibrate.guest.readings import Reading
    from migkit.calibrate.guest.rounds import Observed
    from migkit.importers import Log
    from migkit.models.result import Prediction
    from migkit.scenario import Scenario
    from migkit.traces import Trace

__all__ = ["command"]

_WINDOWS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@click.command("fit", cls=Command)
@click.argument("sources", nargs=-1, metavar="[LOG|TRACE|READINGS]...")
@click.option("-o", "--output", type=_output.WRITTEN, help="Scenario file with the guest to write.")
@click.option("--scalar", multiple=True, metavar="RATE-IN-WINDOW", help='A dirty rate, as in "200 MiB/s in 1 s".')
@click.option("--memory", help="Memory of the guest [what the logs say].")
@click.option("--zero", help="Memory that is zero [what the logs say].")
@click.option("--max-bandwidth", help="Cap that the answer is for [the log's, else the policy's].")
@click.option("--link-bandwidth", help="Link that the answer is for.")
@click.option("--downtime-limit", help="Downtime limit that the answer is for [the log's, else the policy's].")
@click.option("--scenario", type=click.Path(path_type=Path), help="File whose link, host, policy and strategy count.")
@click.option("--format", "kind", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(
    sources: tuple[str, ...],
    output: Path | None,
    scalar: tuple[str, ...],
    memory: str | None,
    zero: str | None,
    scenario: Path | None,
    kind: str,
    quiet: bool,
    **asked: str | None,
) -> None:
    """Fit a guest to logs of its migrations, traces, dirty profiles or readings of its dirty rate.

    Whatever `migkit import` reads will do. All files are of one guest. The file written with -o is what
    `migkit predict` reads; cap, policy and platform stand in it as well, where all traces agree on them. A single
    reading leaves a family of guests open: the answer is an interval over all of them, the file holds the one that
    writes most, and the windows to measure next are named.
    """
    from migkit.calibrate.conditions import agreed
    from migkit.calibrate.guest.contradictions import without_contradicted
    from migkit.calibrate.guest.fitting import fit_guest

    if not sources and not scalar:
        raise UsageError('fit: nothing was given; name logs or traces, or add --scalar "200 MiB/s in 1 s"')
    found = _gather(sources, scalar)
    fit = fit_guest(
        found.observed,
        found.readings,
        memory_bytes=_size(memory, "--memory"),
        zero_bytes=_size(zero, "--zero"),
    )
    fit = without_contradicted(fit, found.logs)
    case = _asked(_case(scenario, found, fit), asked)
    checks = _checks(found, fit) if scenario is None else ()
    answers = _answers(case, fit)
    render = _json if kind == "json" else _text
    click.echo(render(fit, case, checks, answers))
    if output is not None:
        tables, differing = agreed(found.traces)
        _write(output, fit, [*(Path(source).name for source in sources), *scalar], tables, quiet)
        if differing:
            _output.narrate(f"the traces differ in {', '.join(differing)}, so the file leaves that open", quiet)


class _Found(NamedTuple):
    observed: list[Observed]
    readings: list[Reading]
    logs: list[tuple[Log, Conditions]]
    traces: list[Trace]


def _size(text: str | None, name: str) -> int | None:
    return None if text is None else size(text, name) // PAGE_BYTES * PAGE_BYTES


def _gather(sources: Sequence[str], scalar: Sequence[str]) -> _Found:
    """Return what all files and readings say; a file that says nothing of use is refused by name."""
    from migkit.calibrate.guest import readings

    found = _Found([], [readings.of_text(text) for text in scalar], [], [])
    for source in sources:
        before = len(found.observed) + len(found.readings)
        _gather_one(source, found)
        if len(found.observed) + len(found.readings) == before:
            raise UsageError(
                f"fit: {source} says nothing of how its guest writes; it needs readings with remaining and the count "
                "of syncs, or a dirty rate. `migkit import` says what it holds"
            )
    return found


def _gather_one(source: str, found: _Found) -> None:
    from migkit.calibrate import conditions
    from migkit.calibrate.guest import readings, rounds
    from migkit.importers import read

    trace = _trace(source)
    if trace is not None:
        found.observed.append(rounds.of_trace(trace))
        found.traces.append(trace)
        return
    profile = _profile(source)
    if profile is not None:
        found.readings.extend(profile)
        return
    for log in read(source if source == "-" else Path(source)):
        if log.kind == "dirty-rate":
            found.readings.extend(readings.of_log(log))
            continue
        observed = rounds.of_log(log)
        if observed is not None:
            found.observed.append(observed)
            found.logs.append((log, conditions.of_log(log)))


def _trace(source: str) -> Any:
    """Return the trace of migkit in a file, None when it is something else."""
    from migkit.traces import io

    if not source.endswith(".parquet"):
        return None
    try:
        return io.read(Path(source))
    except MigkitError as error:
        if io.IMPORTED in str(error):
            return None
        raise


def _profile(source: str) -> list[Reading] | None:
    """Return the windows of a dirty profile, None when the file is something else."""
    from migkit import files
    from migkit.calibrate.guest.readings import Reading
    from migkit.scenario import profile
    from migkit.units import MIB

    if source == "-" or not source.endswith(".json"):
        return None
    try:
        record = files.parse_json(files.read(source, MIB))
    except (OSError, ValueError):
        return None  # the importers say what is wrong with it, or read it as something else
    if not isinstance(record, dict) or "unique_pages" not in record:
        return None
    measured = profile.load(source)
    scale = measured.page_bytes / PAGE_BYTES
    rows = zip(measured.windows_s, measured.unique_pages, strict=True)
    return [Reading(window_s, pages * scale) for window_s, pages in rows]


def _case(path: Path | None, found: _Found, fit: Fit) -> Scenario:
    """Return what the answer is computed with: the file's link and rule, else the log's or traces', else QEMU's."""
    import dataclasses

    from migkit.calibrate import conditions
    from migkit.scenario import Host, Scenario
    from migkit.scenario.form import schema

    if path is not None:
        tables = schema.read(path) | {"guest": {"memory": f"{fit.guest.memory_bytes} B"}}
        return dataclasses.replace(schema.from_mapping(tables, path.parent), guest=fit.guest)
    if found.logs:
        return conditions.scenario(fit.guest, found.logs[0][1])
    if found.traces:
        tables = conditions.agreed(found.traces)[0] | {"guest": {"memory": f"{fit.guest.memory_bytes} B"}}
        tables["host"]["firmware"] = "0 B"
        return dataclasses.replace(schema.from_mapping(tables), guest=fit.guest)
    return Scenario(guest=fit.guest, host=Host(firmware_bytes=0))


def _asked(case: Scenario, asked: Mapping[str, str | None]) -> Scenario:
    """Return the scenario with the cap, the link and the limit that flags ask for."""
    import dataclasses

    cap, link, limit = (asked[name] for name in ("max_bandwidth", "link_bandwidth", "downtime_limit"))
    rule: dict[str, Any] = {}
    if cap is not None:
        rule["max_bandwidth_bytes_per_s"] = math.inf if cap == "unlimited" else rate(cap, "--max-bandwidth")
    if limit is not None:
        rule["downtime_limit_s"] = duration(limit, "--downtime-limit")
    path: dict[str, Any] = {} if link is None else {"bandwidth_bytes_per_s": rate(link, "--link-bandwidth")}
    return dataclasses.replace(
        case, policy=dataclasses.replace(case.policy, **rule), link=dataclasses.replace(case.link, **path)
    )


def _checks(found: _Found, fit: Fit) -> tuple[str, ...]:
    from migkit.calibrate import conditions

    if fit.family:
        return ()
    return tuple(line for log, held in found.logs for line in conditions.self_check(fit.guest, held, log))


def _answers(case: Scenario, fit: Fit) -> list[tuple[str, Prediction]]:
    """Return what each guest of the family takes, all of them with the same link and rule."""
    from migkit.calibrate.conditions import with_guest
    from migkit.models.predict import predict

    return [(m.name, predict(with_guest(case, m.guest), level=None, detail=False)) for m in fit.family]


def _text(fit: Fit, case: Scenario, checks: Sequence[str], answers: Sequence[tuple[str, Prediction]]) -> str:
    guest = fit.guest
    lines = [("memory", f"{format_size(guest.memory_bytes)}, {format_size(guest.zero_bytes)} of it zero")]
    lines += _labelled("fitted to", fit.said)
    lines += _labelled("as logged", checks)
    lines += _labelled("cannot tell", fit.cannot_tell)
    width = max(len(name) for name, _ in lines)
    parts = ["\n".join(f"{name:<{width}}  {value}" for name, value in lines)]
    if answers:
        parts += [_answer_table(answers), _interval(answers), _next(fit, case)]
    else:
        parts.append(_curve(fit))
    return "\n\n".join(parts)


def _labelled(name: str, sentences: Sequence[str]) -> list[tuple[str, str]]:
    return [(name if at == 0 else "", sentence) for at, sentence in enumerate(sentences)]


def _curve(fit: Fit) -> str:
    from migkit.models.dirty import unique_dirty_pages

    rows = [
        [format_duration(window_s), f"{pages:.0f}", format_size(pages * PAGE_BYTES)]
        for window_s in _WINDOWS_S
        for pages in [unique_dirty_pages(fit.guest, window_s)]
    ]
    return _output.columns(["window", "unique pages", "size"], rows, left=0)


def _answer_table(answers: Sequence[tuple[str, Prediction]]) -> str:
    rows = [
        [name, told.verdict, format_duration(told.total_time_s), _output.downtime(told)] for name, told in answers
    ]
    return _output.columns(["the guest writes", "verdict", "total time", "downtime"], rows, left=2)


def _interval(answers: Sequence[tuple[str, Prediction]]) -> str:
    totals = [told.total_time_s for _, told in answers]
    ends = [told.verdict == "converges" for _, told in answers]
    if not any(ends):
        return "does not converge, whichever of them it is"
    low, high = format_duration(min(totals)), format_duration(max(totals))
    if all(ends):
        return f"converges, whichever of them it is: total time {low} to {high}"
    return f"whether it converges is open: total time {low} to {'without end' if math.isinf(max(totals)) else high}"


def _next(fit: Fit, case: Scenario) -> str:
    from migkit.calibrate.guest.readings import commands
    from migkit.models.goodput import goodput

    assert fit.reading is not None
    speed = min(goodput(case), case.policy.max_bandwidth_bytes_per_s)
    first_s = (fit.guest.memory_bytes - fit.guest.zero_bytes) / speed
    lines = commands(fit.reading, case.policy.downtime_limit_s, first_s)
    return "\n".join(["Measure two more windows, and fit all three together:", *(f"  {line}" for line in lines)])


def _json(fit: Fit, case: Scenario, checks: Sequence[str], answers: Sequence[tuple[str, Prediction]]) -> str:
    import dataclasses

    record: dict[str, Any] = {
        "guest": dataclasses.asdict(fit.guest),
        "said": [*fit.said, *checks],
        "cannot_tell": list(fit.cannot_tell),
        "family": [
            {
                "name": name,
                "guest": dataclasses.asdict(member.guest),
                "verdict": told.verdict,
                "total_time_s": None if math.isinf(told.total_time_s) else told.total_time_s,
                "downtime_s": told.downtime_s if told.verdict == "converges" else None,
            }
            for member, (name, told) in zip(fit.family, answers, strict=True)
        ],
        "measure_next": _next(fit, case).splitlines()[1:] if answers else [],
    }
    return json.dumps(record, indent=2, allow_nan=False)


def _write(output: Path, fit: Fit, origins: Sequence[str], known: Mapping[str, Any], quiet: bool) -> None:
    """Write the guest, and of a family the one that writes least beside it."""
    from migkit.calibrate.guest import scenario_file as guest_file

    tables = {name: table for name, table in known.items() if table}
    tables["host"] = {"firmware": "0 B"} | known["host"]  # traces and logs count firmware as memory
    comments = [f"fitted to {', '.join(origins)}", *fit.said, *(f"cannot tell {line}" for line in fit.cannot_tell)]
    if len(fit.family) > 1:
        least = output.with_name(f"{output.stem}-least{output.suffix}")
        comments.append(f"One of {len(fit.family)} guests that fit: this one writes most. {least.name} writes least.")
        guest_file.write(least, fit.family[0].guest, comments[:-1], tables)
        _output.narrate(f"wrote {least}", quiet)
    guest_file.write(output, fit.guest, comments, tables)
    _output.narrate(f"wrote {output}; predict it with migkit predict {output}", quiet)
