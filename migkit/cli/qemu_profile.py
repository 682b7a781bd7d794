"""``migkit qemu profile``: how a running virtual machine writes its memory, before it moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migkit.cli import _output, _profiling
from migkit.cli._command import Command
from migkit.errors import UsageError
from migkit.traces.place import check_place
from migkit.units import DAY_S, PAGE_BYTES, duration, format_duration, format_size

if TYPE_CHECKING:
    from migkit.calibrate.profiling import Profiled
    from migkit.scenario import Scenario

__all__ = ["command"]


@click.command("profile", cls=Command)
@click.argument("socket", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Scenario file of the guest to write.")
@click.option("--means", type=click.Choice(_profiling.MEANS), help="How to count [process, else monitor].")
@click.option("--within", default=5.0, show_default=True, help="Stop when the answer is known so well, in percent.")
@click.option("--longest", default="30 s", show_default=True, help="Measure for so long at most.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the result.")
def command(socket: Path, output: Path | None, means: str | None, within: float, longest: str, quiet: bool) -> None:
    """Measure how the guest behind the monitor at SOCKET writes its memory, while it runs.

    It stops as soon as the predicted time of its migration, under the cap and the limit that QEMU has, is known to
    within the percentage. The file written with -o is what `migkit predict` and `migkit watch --guest` read. It holds
    the guest, the rule of this version of QEMU, and whether KVM or QEMU's emulator runs it (host.platform).

    Means `process` counts from outside, through the page tables of QEMU's process, as `migkit dirty --pid` does: it
    needs the right to trace it. Means `monitor` has QEMU count (calc-dirty-rate).

    Exit codes: 1 the guest does not run, was stopped or reset meanwhile, is migrating already or QEMU ended, 2 SOCKET
    is no monitor, 4 no permission or a QEMU that cannot count; the guest is left as it is in each case.
    """
    if not 0.0 < within <= 100.0:
        raise UsageError(f"--within: {within:g} % is out of range; it must be above 0, at most 100")
    check_place(output, "profile", force=True)
    limit_s = duration(longest, "--longest", DAY_S)
    found, name, case = measured(socket, means, within / 100.0, limit_s, quiet)
    with _output.printed_afterwards(_text(found, name, case)):
        if output is not None:
            _write(output, found, name, case)
    if output is not None:
        _output.narrate(f"wrote {output}; predict it with migkit predict {output}", quiet)


def _write(output: Path, found: Profiled, name: str, case: Scenario) -> None:
    from migkit.calibrate.guest import scenario_file

    comments = [f"measured {name}, {found.passes} passes in {format_duration(found.took_s)}", *found.said]
    tables = {"policy": {"name": case.policy.name}, "host": {"platform": case.host.platform or ""}}
    scenario_file.write(output, found.guest, comments, tables)


def measured(
    socket: Path, means: str | None, within: float, limit_s: float, quiet: bool, tables: dict[str, Any] | None = None
) -> tuple[Profiled, str, Scenario]:
    """Return the guest behind a monitor, how it was counted, and the migration that its QEMU plans.

    ``tables`` of a scenario have precedence over what QEMU says.
    """
    import dataclasses

    from migkit.calibrate.guest.outside import planned
    from migkit.calibrate.profiling import profile
    from migkit.scenario.form import schema

    if limit_s <= 0.0:
        raise UsageError("--longest: it must be above 0 s")
    with _profiling.opened(socket, means) as (source, resting):
        given = dict(tables or {})
        plan = planned(resting.monitor.version, resting.accelerator, resting.parameters)
        told = {name: table | given.get(name, {}) for name, table in plan.items()}
        case = schema.from_mapping(given | told | {"guest": {"memory": f"{resting.memory_bytes} B"}})
        tell = (lambda *what: None) if quiet else _profiling.tell
        found = profile(source, case, within=within, limit_s=limit_s, progress=tell)
        found = dataclasses.replace(found, guest=dataclasses.replace(found.guest, **resting.restart._asdict()))
        return found, source.name, dataclasses.replace(case, guest=found.guest)


def _text(found: Profiled, name: str, case: Scenario) -> str:
    guest, answer = found.guest, found.answer
    rows = [
        [format_duration(one.window_s), f"{one.pages:.0f}", format_size(one.pages * PAGE_BYTES)]
        for one in found.curve
    ]
    known = f"{answer.what} {format_duration(answer.value_s)}, give or take {answer.half_width:.1%}"
    devices = ", ".join(f"{number:g} {kind}" for kind, number in guest.devices)
    lines = [
        ("memory", f"{format_size(guest.memory_bytes)}, {format_size(guest.zero_bytes)} of it zero"),
        ("measured", f"{name}: {found.passes} passes in {format_duration(found.took_s)}"),
        ("its QEMU", f"rule {case.policy.name}, platform {case.host.platform}"),
        *([("its devices", devices)] if devices else []),
        ("its migration", known),
        *(("found" if at == 0 else "", sentence) for at, sentence in enumerate(found.said)),
    ]
    head = "\n".join(f"{label:<13}  {value}" for label, value in lines)
    return f"{head}\n\n{_output.columns(['window', 'unique pages', 'size'], rows, left=0)}"
