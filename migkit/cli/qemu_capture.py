"""``migkit qemu capture``: one real migration of a real virtual machine, recorded as a trace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_from, scenario_options
from migkit.cli.capture import as_json, describe
from migkit.errors import CapabilityError
from migkit.harness import probe
from migkit.qemu.capture import Options, capture
from migkit.qemu.guests.booting import BARE_METAL, GUESTS
from migkit.qemu.guests.layout import PROCESSORS
from migkit.qemu.machine import ACCELERATORS, QEMU
from migkit.qemu.migration import Progress
from migkit.traces import Trace, io
from migkit.traces.place import check_place
from migkit.units import DAY_S, duration, format_duration, format_size

__all__ = ["command"]

_WITHHELD = 0.02  # of a migration's time: a hypervisor withheld a processor for longer


@click.command("capture", cls=Command)
@scenario_options
@click.option("-o", "--output", type=_output.PLACE, help="Write the trace to this Parquet file.")
@click.option("--force", is_flag=True, help="Overwrite that file.")
@click.option("--qemu", default=QEMU, show_default=True, help="A name, a path, or a folder with another Debian.")
@click.option(
    "--accelerator", type=click.Choice(ACCELERATORS), help="Default: kvm where it is fast, else tcg (emulation)."
)
@click.option(
    "--processors", type=click.IntRange(1, PROCESSORS), default=1, show_default=True, help="Of the virtual machine."
)
@click.option(
    "--guest",
    "boots",
    type=click.Choice(GUESTS),
    default=BARE_METAL,
    show_default=True,
    help="What runs in it: page classes of the scenario, or a Linux with this application.",
)
@click.option(
    "--operations", type=float, metavar="NUMBER", help="Operations of the application a second [all it can]."
)
@click.option("--scale", type=int, metavar="NUMBER", help="Of PostgreSQL's tables: 100,000 accounts, 16 MB, each.")
@click.option("--clients", type=int, metavar="NUMBER", help="Of PostgreSQL [4].")
@click.option(
    "--image", type=click.Path(path_type=Path), metavar="FOLDER", help="Where migkit qemu image has put the Linux."
)
@click.option("--seed", default=1, show_default=True, help="Of what the scenario leaves open.")
@click.option("--warm-up", default="0.5 s", show_default=True, help="How long the guest works before the move.")
@click.option("--return-path", is_flag=True, help="The source waits until the destination is ready, as with libvirt.")
@click.option(
    "--qmp",
    type=click.Path(path_type=Path),
    metavar="SOCKET",
    help="Give the source a second monitor there, for migkit watch or migkit qemu profile.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    scenario: Path | None,
    output: Path | None,
    force: bool,
    qemu: str,
    accelerator: str | None,
    processors: int,
    boots: str,
    operations: float | None,
    scale: int | None,
    clients: int | None,
    image: Path | None,
    seed: int,
    warm_up: str,
    return_path: bool,
    qmp: Path | None,
    form: str,
    **flags: str | bool | None,
) -> None:
    """Migrate a real virtual machine from one QEMU to another, and record the run.

    Two QEMU processes are started on this machine. A small guest, compiled from source the first time (gcc), writes
    its memory just as the scenario says, and is moved over TCP on the loopback interface while it writes. At the end
    it compares all of its memory with what it wrote; then both processes are ended. For example:

    \b
      migkit qemu capture --memory "256 MiB" --zero "128 MiB" \\
          --dirty 'region = "32 MiB", writes_per_s = 3000' \\
          --max-bandwidth "100 MiB/s" --time-limit "30 s" -o run.parquet
      migkit predict --memory "256 MiB" ... --platform qemu-tcg

    With the same flags, predict says what should have happened. Its --platform names what ran the guest, as the
    first line of the result does: qemu-tcg or qemu-kvm.

    SCENARIO is a TOML file (migkit schema lists its keys); each of its fields has a flag as well, listed below.
    What QEMU is asked for is in [strategy]: name = "precopy", "stopcopy", "postcopy" or "hybrid"
    (--postcopy-after, --postcopy-after-rounds), --auto-converge, --dirty-limit RATE, --xbzrle,
    --streams and --compression (multifd), --tls (a new pre-shared key). A migration that has not converged when its
    --time-limit is over (10 min if none is given) is cancelled and recorded as "timed_out".
    The link and the host are what they are.

    With --guest redis, stress-ng or postgresql a Debian Linux is moved instead, on whose memory that application
    works, with disk and network of virtio. Make it once: migkit qemu image. The scenario has no page classes then.
    The application compares its data at the end.

    The downtime is measured by the guest itself: it ticks every millisecond at the source and then at the
    destination. What QEMU says of the downtime stands beside it.

    Ctrl-C cancels the migration, ends both processes and exits with 130. Other exit codes: 1 the run failed, 2 wrong
    input, 4 there is no QEMU, no permission, or its version lacks what the scenario asks for.
    """
    options = Options(
        qemu=qemu,
        accelerator=accelerator or _best_accelerator(),
        processors=processors,
        guest=boots,
        image=image,
        operations_per_s=operations,
        loads={name: one for name, one in (("scale", scale), ("clients", clients)) if one is not None},
        seed=seed,
        warm_up_s=duration(warm_up, "--warm-up", DAY_S),
        return_path=return_path,
        monitor=qmp,
    )
    what = scenario_from(scenario, flags)
    check_place(output, "trace", force=force)
    trace = capture(what, options, _shown())
    with _output.printed_afterwards(as_json(trace) if form == "json" else as_table(trace, output)):
        if output is not None:
            io.write(trace, output, force=force)
    if trace.machine["withheld_s"] > _WITHHELD * trace.outcome.total_time_s:
        click.echo("migkit: a hypervisor withheld processors from this machine meanwhile; repeat the run", err=True)


def _state(check: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a guest found when it looked at what it holds."""
    what, done = ("application's data", "operations") if check.get("looked_at") else ("guest's memory", "writes")
    return what, f"intact after {check['writes']:,} {done}" if check["intact"] else "not looked at"


def _best_accelerator() -> str:
    """Return ``kvm`` where it runs guests at full speed; under nested virtualisation it may crawl."""
    try:
        return "kvm" if probe.probe("kvm").available else "tcg"
    except CapabilityError:
        return "tcg"


def _shown() -> Progress:
    """Return what prints a line to stderr at each new round or phase."""
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}

    def show(sample: Mapping[str, Any]) -> None:
        if not first:
            first.update(sample)
        new = not last or (sample["phase"], sample["iteration"]) != (last["phase"], last["iteration"])
        if new and sample["phase"] != "done":
            _output.narrate(describe(sample, first), quiet=False)
            last.update(sample)

    return show


def as_table(trace: Trace, output: Path | None) -> str:
    """Return what a run came to as lines for a person."""
    outcome, machine = trace.outcome, trace.machine
    pause, check = machine["pause"], machine["guest"]
    rows = [
        ("QEMU", f"{machine['qemu_version']}, {machine['accelerator']}"),
        ("verdict", f"{outcome.verdict} ({outcome.reason})"),
        ("total migration time", format_duration(outcome.total_time_s)),
        ("downtime", f"{format_duration(outcome.downtime_s)} by the guest's ticks"),
        ("", f"{format_duration(pause['reported_s'])} by QEMU's own count"),
        ("transferred", format_size(outcome.transferred_bytes)),
        ("rounds", str(outcome.iterations)),
        _state(check),
        *(("looked at", what) for what in check.get("looked_at", ())),
    ]
    rows += [("this QEMU lacks", f"{kind} {', '.join(names)}") for kind, names in machine["lacks"].items()]
    if output is not None:
        rows.append(("trace", str(output)))
    return "\n".join(f"{name:<21} {value}" for name, value in rows)
