"""``migkit watch``: when a migration under way will end, whether it will, and what would help."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.calibrate.forecast.looks import SHORTEST_S, Asked, Look, Looking, Source, measured, opened, pause_s
from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._outlook import as_changes, as_line, as_record, as_screen, is_unsure
from migkit.errors import InfeasibleError, RunError, UsageError
from migkit.units import DAY_S, duration, format_size

if TYPE_CHECKING:
    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.measuring import Meanwhile
    from migkit.calibrate.forecast.outlook import Outlook
    from migkit.qemu.follow import Followed
    from migkit.scenario import Scenario

__all__ = ["command"]

_APPLICABLE = ("max-bandwidth", "downtime-limit", "post-copy")
_HAS_LEFT = "QEMU ended after it had stopped the guest: the migration has completed"
_SURER = "--guest with a profile of the guest (migkit qemu profile); the counters alone tell little of it so far"
_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
_ALIKE = 2.0  # by which what is sent may differ from the memory of a profile, as after a hotplug
_DUMB = ("dumb", "unknown")
_ROUNDS_APART = 3  # between two changes: their effect must show first


@dataclass(frozen=True)
class Shown:
    """What shows a look, and what leaves the terminal to a question meanwhile."""

    look: Callable[[Look], None]
    aside: Callable[[], AbstractContextManager[None]]


@click.command("watch", cls=Command)
@click.argument("source")
@click.option("--every", default="1 s", show_default=True, help="Time between two looks, at least 50 ms.")
@click.option(
    "--guest", type=click.Path(path_type=Path), help="Scenario file of the guest, as profile or fit wrote it."
)
@click.option(
    "--measure/--no-measure",
    default=None,
    help="Measure the guest meanwhile: from outside, with --measure else by QEMU [from outside where permitted].",
)
@click.option("--vm", metavar="NAME", help="The machine, where metrics tell of several.")
@click.option("--once", is_flag=True, help="Look once; exit code 3: it does not converge as things stand.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a look.")
@click.option("--prometheus", type=click.IntRange(1, 65535), metavar="PORT", help="Serve the forecast on 127.0.0.1.")
@click.option(
    "--apply", "wanted", type=click.Choice(_APPLICABLE), help="Offer this change, and make it when confirmed."
)
def command(
    source: str,
    every: str,
    guest: Path | None,
    measure: bool | None,
    vm: str | None,
    once: bool,
    as_json: bool,
    prometheus: int | None,
    wanted: str | None,
) -> None:
    """Watch the migration at SOURCE and forecast its end, its downtime, and whether it converges.

    SOURCE is the socket of a QEMU monitor (-qmp unix:PATH,server=on,wait=off), or a log that grows: answers of
    query-migrate, virsh domjobinfo appended to a file, whatever `migkit import` reads; or the address of a Prometheus
    server or of a page of metrics, with the names of KubeVirt or of libvirt's exporter. For example:

    \b
      migkit watch /run/vm.qmp
      while sleep 1; do virsh domjobinfo vm; done >>job.log &
      migkit watch job.log
      migkit watch http://prometheus:9090 --vm vm1

    Nothing is changed unless --apply names a change. It asks first, and again if that was not enough. Until the
    first pass has ended the counters say nothing of what the guest writes. So the guest behind a socket is measured
    meanwhile from outside, through the page tables of QEMU's process, as root or QEMU's user. --once waits 5 s for
    that. Where it is not permitted, one line says so, and --measure has QEMU sample pages. --guest names a profile
    that was taken before; then nothing is measured.

    Exit codes: 0 the migration completed, 1 it failed or was cancelled or QEMU ended, 2 SOURCE is no such thing or
    the destination, 3 --once and it does not converge, 4 no permission or a version without the counters, 130 Ctrl-C;
    the migration goes on in each case.
    """
    from migkit.importers.endpoint import is_address

    every_s = duration(every, "--every", most_s=DAY_S)
    if every_s < SHORTEST_S:
        raise UsageError(f"--every: {every_s * 1e3:g} ms is too short; give at least 50 ms")
    base = _base(guest)
    if measure and guest is not None:
        raise UsageError("--measure: a guest is given as well; leave out one of the two")
    if vm is not None and not is_address(source):
        raise UsageError("--vm: only metrics tell of several machines; leave it out")
    with contextlib.ExitStack() as stack:
        looked_at = stack.enter_context(opened(source, vm))
        is_measured = measure is not False and guest is None
        meanwhile = stack.enter_context(measured(looked_at, measure is True)) if is_measured else None
        if measure and meanwhile is None:
            raise UsageError("--measure: a log has no guest to measure; watch the socket of a QEMU monitor")
        shown = stack.enter_context(_shown(as_json, once, prometheus, "" if guest is not None else _SURER, base))
        _watch(looked_at, Looking(looked_at, base, meanwhile), meanwhile, shown, every_s, once, wanted)


def _watch(
    looked_at: Source,
    looking: Looking,
    meanwhile: Meanwhile | None,
    shown: Shown,
    every_s: float,
    once: bool,
    wanted: str | None,
) -> None:
    """Look, show and wait until the migration is over."""
    if wanted is not None and not isinstance(looked_at, Asked):
        raise UsageError("--apply: a log cannot be told anything; watch the socket of a QEMU monitor")
    made_at: int | None = -_ROUNDS_APART  # None: just now, and rounds went by until somebody had answered
    while True:
        began_s = time.monotonic()
        look = looking.look()
        if once and meanwhile is not None and look is not None and look.is_measured:
            meanwhile.wait()
            look = looking.look()
        if look is None:
            return _output.narrate(_HAS_LEFT, False)
        shown.look(look)
        outlook = look.outlook
        if outlook.phase == "done":
            return _over(looked_at, outlook)
        chosen = next((one for one in look.changes if one.name == wanted), None)
        if made_at is None or made_at > outlook.iteration:  # the latter: another migration has begun
            made_at = outlook.iteration
        if chosen is not None and isinstance(looked_at, Asked) and outlook.iteration >= made_at + _ROUNDS_APART:
            made_at = None
            with shown.aside():
                wanted = wanted if _applied(looked_at, chosen) else None
        if once:
            return _judged(outlook)
        wait_s = pause_s(outlook, every_s) if isinstance(looked_at, Asked) else every_s
        time.sleep(max(0.0, wait_s - (time.monotonic() - began_s)))


def _over(looked_at: Source, outlook: Outlook) -> None:
    if outlook.verdict != "converges":
        because = f" ({outlook.reason})" if outlook.reason else ""
        where = _whereabouts(looked_at) if isinstance(looked_at, Asked) else ""
        raise RunError(f"the migration {_ENDED.get(outlook.outcome, 'failed or was cancelled')}{because}{where}")


def _whereabouts(asked: Asked) -> str:
    """Return in words whether the guest of a migration that was given up runs at the source."""
    from migkit.qemu.monitor import EndedError

    try:
        state = asked.run(asked.followed.state_afterwards())
    except EndedError:
        return "; QEMU has ended since"
    if state == "running":
        return "; the guest runs on at the source"
    return f"; the guest does not run at the source (QEMU's state is {state})"


def _judged(outlook: Outlook) -> None:
    if outlook.verdict == "does_not_converge":
        raise InfeasibleError("does not converge as things stand")


def _base(guest: Path | None) -> Scenario | None:
    from migkit.scenario.form import schema

    return None if guest is None else schema.load(guest)


def _applied(asked: Asked, change: Change) -> bool:
    """Ask whether a change is to be made, make it, and return whether it was."""
    from migkit.qemu.monitor import EndedError

    if not _confirmed(change):
        return False
    try:
        asked.run(_make(asked.followed, change))
    except EndedError:
        if asked.followed.has_left():
            return False
        raise
    _output.narrate(f"made: {change.words}", quiet=False)
    return True


def _confirmed(change: Change) -> bool:
    """Return whether somebody says yes; where nobody is there to answer, nobody does."""
    try:
        return click.confirm(f"Make this change now: {change.words}?", err=True)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)
        _output.narrate("nobody answered: nothing is changed", quiet=False)
        return False


async def _make(followed: Followed, change: Change) -> None:
    policy = change.case.policy
    if change.name == "post-copy":
        await followed.start_postcopy()
    elif change.name == "max-bandwidth":
        await followed.set_parameter("max-bandwidth", round(policy.max_bandwidth_bytes_per_s))
    else:
        await followed.set_parameter("downtime-limit", round(1e3 * policy.downtime_limit_s))


@contextlib.contextmanager
def _shown(as_json: bool, once: bool, port: int | None, hint: str, base: Scenario | None) -> Iterator[Shown]:
    """Yield what shows a look: a screen on a terminal that can write over what it shows, else a line each.

    The line of a single look is followed by what would change it. People are told once, or as long as it shows on a
    screen, what would make a forecast surer that is unsure while the guest is not measured; and once why it is not
    measured, or that the profile must be of another guest.
    """
    serve = _served(port)
    on_terminal = not as_json and sys.stdout.isatty() and os.environ.get("TERM") not in _DUMB
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(_Screen()) if on_terminal else None
        said: set[str] = set()

        def say(text: str) -> None:
            if text and text not in said:
                said.add(text)
                _output.narrate(text, quiet=False)

        def show(look: Look) -> None:
            serve(look.outlook)
            say(look.problem)
            say(_unlike(base, look))
            surer = "" if look.is_measured or look.problem or not is_unsure(look.outlook) else hint
            if screen is not None:
                screen.show(look, surer)
                return
            say(f"surer: {surer}" if surer and not as_json else "")
            click.echo(as_record(look) if as_json else as_line(look))
            if once and not as_json:
                click.echo("".join(f"{line}\n" for line in as_changes(look)), nl=False)

        yield Shown(show, contextlib.nullcontext if screen is None else screen.aside)


def _unlike(base: Scenario | None, look: Look) -> str:
    """Return what tells that a profile is of another guest than the one that moves; empty: nothing does."""
    if base is None or look.log is None or "total_bytes" not in look.log.frame:
        return ""
    held_bytes, moved_bytes = base.guest.memory_bytes, float(look.log.frame["total_bytes"].max())
    if not moved_bytes > 0.0 or 1.0 / _ALIKE <= moved_bytes / held_bytes <= _ALIKE:
        return ""
    return (
        f"--guest: the profile is of a guest of {format_size(held_bytes)}, and {format_size(moved_bytes)} are to be "
        "sent; give a profile of the guest that moves"
    )


class _Screen:
    """Lines written over those written before."""

    def __enter__(self) -> _Screen:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False)
        self._live.start()

    def show(self, look: Look, hint: str) -> None:
        from rich.text import Text

        self._live.update(Text(as_screen(look, hint)), refresh=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let somebody be asked below the lines; the next ones begin below the answer."""
        self._live.stop()
        yield
        self._begin()


def _served(port: int | None) -> Callable[[Outlook], None]:
    """Serve the forecast as gauges on this machine alone, and return what sets them; without a port, do nothing."""
    if port is None:
        return lambda outlook: None
    try:
        from prometheus_client import CollectorRegistry, Gauge, start_http_server
    except ImportError as error:
        raise UsageError(
            "--prometheus: the package prometheus-client is not installed; pip install 'migkit[prometheus]'"
        ) from error
    from migkit.cli._outlook import GAUGES

    registry = CollectorRegistry()
    gauges = {name: Gauge(f"migkit_watch_{name}", help_, registry=registry) for name, help_ in GAUGES.items()}
    try:
        start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise UsageError(f"--prometheus: port {port} cannot be served ({error.strerror}); choose another") from error

    def update(outlook: Outlook) -> None:
        for name, gauge in gauges.items():
            gauge.set(getattr(outlook, name))

    return update
