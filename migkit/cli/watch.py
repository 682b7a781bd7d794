"""``migkit watch``: when a migration under way will end, whether it will, and what would help."""

from __future__ import annotations

import contextlib
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migkit.cli import _output
from migkit.cli._command import Command
from migkit.cli._outlook import as_line, as_record, as_screen
from migkit.errors import InfeasibleError, RunError, UsageError
from migkit.units import duration

if TYPE_CHECKING:
    import asyncio

    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.outlook import Outlook
    from migkit.importers import Log
    from migkit.qemu.follow import Followed
    from migkit.scenario import Scenario

__all__ = ["command"]

_APPLICABLE = ("max-bandwidth", "downtime-limit", "post-copy")
_HAS_LEFT = "QEMU ended after it had stopped the guest: the migration has completed"
_NO_MORE = "the metrics tell no more of the migration: it has ended, and whether the guest moved they do not say"
_SHORTEST_S = 0.05
_ROUNDS_APART = 3  # between two changes: their effect must show first
Show = Callable[["Outlook", tuple["Change", ...]], None]


@click.command("watch", cls=Command)
@click.argument("source")
@click.option("--every", default="1 s", show_default=True, help="Time between two looks, at least 50 ms.")
@click.option(
    "--guest", type=click.Path(path_type=Path), help="Scenario file of the guest, as profile or fit wrote it."
)
@click.option(
    "--measure", is_flag=True, help="Measure the guest from outside first, for about 5 s; as root or QEMU's user."
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
    measure: bool,
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
    first pass has ended nothing is known of what the guest writes, unless --guest names a profile of it, or --measure
    takes one now.

    Exit codes: 0 the migration completed, 1 it failed or was cancelled or QEMU ended, 2 SOURCE is no such thing,
    3 --once and it does not converge, 4 no permission or a version without the counters, 130 Ctrl-C; the migration
    goes on in each case.
    """
    from migkit.importers.endpoint import is_address

    every_s = duration(every, "--every")
    if every_s < _SHORTEST_S:
        raise UsageError(f"--every: {every_s * 1e3:g} ms is too short; give at least 50 ms")
    base = _base(guest)
    if measure and guest is not None:
        raise UsageError("--measure: a guest is given as well; leave out one of the two")
    if vm is not None and not is_address(source):
        raise UsageError("--vm: only metrics tell of several machines; leave it out")
    with _opened(source, vm) as (looks, followed), _shown(as_json, prometheus) as show:
        if measure:
            base = _measured(Path(source), followed)
        _watch(looks, followed, base, show, every_s, once, wanted)


def _watch(
    looks: Callable[[], Log | None],
    followed: _Asked | None,
    base: Scenario | None,
    show: Show,
    every_s: float,
    once: bool,
    wanted: str | None,
) -> None:
    """Look, show and wait until the migration is over."""
    from migkit.calibrate.forecast.changes import changes
    from migkit.calibrate.forecast.outlook import Forecaster

    if wanted is not None and followed is None:
        raise UsageError("--apply: a log cannot be told anything; watch the socket of a QEMU monitor")
    forecaster = Forecaster(base)
    made_at, outlook = -_ROUNDS_APART, None
    while True:
        began_s = time.monotonic()
        log = looks()
        if log is None and followed is None:
            raise RunError(_NO_MORE)
        if log is None:
            return _output.narrate(_HAS_LEFT, False) if outlook is None else show(outlook.completed(), ())
        outlook = forecaster.outlook(log)
        offered = changes(forecaster.beliefs, outlook.verdict)
        show(outlook, offered)
        if outlook.phase == "done":
            return _over(outlook)
        chosen = next((one for one in offered if one.name == wanted), None)
        if chosen is not None and followed is not None and outlook.iteration >= made_at + _ROUNDS_APART:
            made_at = outlook.iteration
            wanted = wanted if followed.apply(chosen) else None
        if once:
            return _judged(outlook)
        pause_s = min(every_s, max(_SHORTEST_S, 0.5 * (outlook.end_s - outlook.t_s)))  # QEMU may be gone at the end
        time.sleep(max(0.0, pause_s - (time.monotonic() - began_s)))


def _over(outlook: Outlook) -> None:
    if outlook.verdict != "converges":
        raise RunError("the migration failed or was cancelled; the guest runs on at the source")


def _judged(outlook: Outlook) -> None:
    if outlook.verdict == "does_not_converge":
        raise InfeasibleError("does not converge as things stand")


def _base(guest: Path | None) -> Scenario | None:
    from migkit.scenario.form import schema

    return None if guest is None else schema.load(guest)


def _measured(source: Path, followed: _Asked | None) -> Scenario:
    """Return the guest that moves, measured from outside."""
    from migkit.cli._profiling import guest_that_moves
    from migkit.qemu.monitor import listener_of
    from migkit.scenario import Scenario

    if followed is None:
        raise UsageError("--measure: a log has no guest to measure; watch the socket of a QEMU monitor")
    return Scenario(guest=guest_that_moves(listener_of(source), followed.memory_bytes()))


@contextlib.contextmanager
def _opened(source: str, vm: str | None) -> Iterator[tuple[Callable[[], Log | None], _Asked | None]]:
    """Yield what looks at the source, and the QEMU behind it, if it is the socket of one."""
    from migkit.importers.endpoint import Endpoint, is_address

    if is_address(source):
        yield Endpoint(source, vm).log, None
        return
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}; name a monitor's socket, or a log") from error
    if stat.S_ISSOCK(mode):
        with _Asked.opened(path) as asked:
            yield asked.log, asked
    elif stat.S_ISREG(mode):
        yield lambda: _last_migration(path), None
    else:
        raise UsageError(f"{source}: is neither a socket nor a file; name a monitor's socket, or a log")


def _last_migration(source: Path | str) -> Log:
    from migkit.importers import read

    found = [log for log in read(source) if log.kind == "migration"]
    if not found:
        raise UsageError(f"{source}: holds no reading of a migration; log query-migrate or virsh domjobinfo")
    return found[-1]


class _Asked:
    """A QEMU that is asked."""

    def __init__(self, runner: asyncio.Runner, followed: Followed) -> None:
        self._runner, self._followed = runner, followed

    @classmethod
    @contextlib.contextmanager
    def opened(cls, source: Path) -> Iterator[_Asked]:
        import asyncio

        from migkit.qemu.follow import Followed

        with asyncio.Runner() as runner:
            followed = runner.run(Followed.connect(source))
            try:
                yield cls(runner, followed)
            finally:
                runner.run(followed.close())

    def memory_bytes(self) -> int:
        """Return what the guest has [B]."""
        return self._runner.run(self._followed.memory_bytes())

    def log(self) -> Log | None:
        """Ask once, and return all answers so far; None: QEMU has ended, as managers end it after a migration."""
        from migkit.qemu.monitor import EndedError

        try:
            self._runner.run(self._followed.look())
        except EndedError:
            if self._followed.has_left():
                return None
            raise
        return _last_migration(self._followed.text())

    def apply(self, change: Change) -> bool:
        """Ask whether a change is to be made, make it, and return whether it was."""
        from migkit.qemu.monitor import EndedError

        if not click.confirm(f"Make this change now: {change.words}?", err=True):
            return False
        try:
            self._runner.run(self._make(change))
        except EndedError:
            if self._followed.has_left():
                return False
            raise
        _output.narrate(f"made: {change.words}", quiet=False)
        return True

    async def _make(self, change: Change) -> None:
        policy = change.case.policy
        if change.name == "post-copy":
            await self._followed.start_postcopy()
        elif change.name == "max-bandwidth":
            await self._followed.set_parameter("max-bandwidth", round(policy.max_bandwidth_bytes_per_s))
        else:
            await self._followed.set_parameter("downtime-limit", round(1e3 * policy.downtime_limit_s))


@contextlib.contextmanager
def _shown(as_json: bool, port: int | None) -> Iterator[Show]:
    """Yield what shows an outlook: a screen on a terminal, else a line each."""
    serve = _served(port)
    on_terminal = not as_json and sys.stdout.isatty()
    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(_screen()) if on_terminal else None

        def show(outlook: Outlook, offered: tuple[Change, ...]) -> None:
            serve(outlook)
            if screen is not None:
                screen(as_screen(outlook, offered))
            else:
                click.echo(as_record(outlook, offered) if as_json else as_line(outlook))

        yield show


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[str], None]]:
    """Yield what writes lines over those written before."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda lines: live.update(Text(lines), refresh=True)


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
