"""One real migration between two QEMU processes of this machine, as a scenario says, recorded as a trace."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import platform
import secrets
import signal
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from migkit.errors import RunError, UsageError
from migkit.qemu import plan as plans
from migkit.qemu.guests import applications
from migkit.qemu.guests.booting import BARE_METAL, GUESTS, Bare, Booted, Linux
from migkit.qemu.machine import QEMU, Machine, Settings
from migkit.qemu.migration import UNTIL_S, Migration, Progress
from migkit.qemu.monitor import LONGEST_PATH_BYTES, Event, is_left
from migkit.qemu.recording import Sample
from migkit.qemu.versions import ask
from migkit.scenario import Guest, Link, Scenario
from migkit.traces import Outcome, Trace
from migkit.traces.provenance import provenance

__all__ = ["Options", "capture"]

_PATIENCE_S: Final = 0.5
_LONGEST_SAMPLE_S: Final = 0.05
_STEAL: Final = 8  # field of the first line of /proc/stat


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scenario is run, beside what it says.

    Attributes
    ----------
    qemu, accelerator, processors
        Of both machines, see :class:`migkit.qemu.machine.Settings`.
    guest
        One of :data:`migkit.qemu.guests.booting.GUESTS`: the bare-metal one, or a Linux with an application.
    image
        Folder of the Linux guest, as ``migkit qemu image`` makes it; None: the usual one.
    operations_per_s
        Pace of the application [1/s]; None: as fast as it can.
    loads
        What says how large its load is, see :attr:`migkit.qemu.guests.applications.Application.loads`.
    seed
        Of what the scenario leaves open: where sweeps stand.
    warm_up_s
        For how long the guest works before it is moved [s].
    sample_s
        Time between two questions to the source [s], at most 0.05.
    return_path
        Have the source wait until the destination has loaded everything, as libvirt does.
    monitor
        Where the source has a second monitor, a UNIX socket for ``migkit watch`` or ``migkit qemu profile``; None: it
        has none.
    """

    qemu: str = QEMU
    accelerator: str = "tcg"
    processors: int = 1
    guest: str = BARE_METAL
    image: Path | None = None
    operations_per_s: float | None = None
    loads: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seed: int = 1
    warm_up_s: float = 0.5
    sample_s: float = 0.02
    return_path: bool = False
    monitor: Path | None = None


def capture(
    scenario: Scenario,
    options: Options | None = None,
    progress: Progress | None = None,
    begun: Callable[[], object] | None = None,
) -> Trace:
    """Start two machines, migrate the guest from one to the other, have it prove its memory, and end both.

    Parameters
    ----------
    scenario
        What to move, by which rule. Of the link and the host nothing is read: they are what they are. The
        bare-metal guest keeps to ``capacity_writes_per_s``; None: it catches up as fast as this machine lets it, or
        not at all when it is to be throttled, as it then runs flat out.
    options
        How.
    progress
        Is given each sample as it comes.
    begun
        Is called when the guest begins to work, a warm-up before it moves.

    Returns
    -------
    Trace
        Its downtime is what the guest's own ticks show; what QEMU says stands in ``machine["pause"]``.

    Raises
    ------
    UsageError
        The scenario asks for what QEMU does not do.
    LackingError
        There is no such QEMU, or its version lacks something.
    QemuError, RunError
        QEMU refused something or ended, the migration failed, or the guest's memory is not what it wrote.
    """
    run = _Run(scenario, options or Options(), progress or (lambda sample: None), begun or (lambda: None))
    return _outside_loops(run.perform)


def _outside_loops(work: Callable[[], Coroutine[Any, Any, Trace]]) -> Trace:
    """Run to the end, in a thread of its own where this one already has a loop, as in a notebook."""
    if not _in_a_loop():
        return _to_the_end(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_to_the_end, work).result()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _to_the_end(work: Callable[[], Coroutine[Any, Any, Trace]]) -> Trace:
    try:
        return asyncio.run(work())
    except asyncio.CancelledError as error:  # SIGTERM is taken as Ctrl-C
        raise KeyboardInterrupt from error


class _Run:
    def __init__(self, scenario: Scenario, options: Options, progress: Progress, begun: Callable[[], object]) -> None:
        if not 0.0 < options.sample_s <= _LONGEST_SAMPLE_S:
            raise UsageError(f"sample_s: {options.sample_s:g} s is out of range; it must be above 0, at most 0.05 s")
        self._options, self._progress, self._begun = options, progress, begun
        self._booted = _booted(scenario, options)
        self._scenario = dataclasses.replace(scenario, guest=self._booted.guest, link=Link())
        self._plan = plans.plan(self._scenario, return_path=options.return_path)

    async def perform(self) -> Trace:
        """Run the migration and return its trace."""
        with (
            _terminated_as_interrupted(),
            _gone_afterwards(self._options.monitor),
            self._booted.options(self._options.accelerator) as boot,
            _credentials(self._scenario.strategy.tls) as folder,
        ):
            async with (
                await self._start("source", boot, folder) as source,
                await self._start("destination", boot, folder, "-incoming", "defer") as destination,
            ):
                try:
                    return await self._move(source, destination)
                except RunError:
                    for machine in (source, destination):
                        machine.check_alive(_PATIENCE_S)  # its log tells more
                    raise

    async def _start(self, name: str, boot: tuple[str, ...], folder: Path | None, *more: str) -> Machine:
        options = self._options
        settings = Settings(
            qemu=options.qemu,
            accelerator=options.accelerator,
            memory_bytes=self._scenario.guest.memory_bytes,
            processors=options.processors,
            options=boot,
        )
        endpoint = "server" if name == "destination" else "client"
        tls = ("-object", f"tls-creds-psk,id=tls,endpoint={endpoint},dir={folder}") if folder else ()
        return await Machine.start(name, settings, *tls, *self._second_monitor(name), *more)

    def _second_monitor(self, name: str) -> tuple[str, ...]:
        path = self._options.monitor
        if path is None or name != "source":
            return ()
        return ("-qmp", f"unix:{str(path).replace(',', ',,')},server=on,wait=off")

    async def _move(self, source: Machine, destination: Machine) -> Trace:
        options, interface = self._options, await ask(source.monitor)
        self._plan.check(interface, source.monitor.version)
        migration = Migration(self._scenario, self._plan, (source, destination), options.sample_s, self._progress)
        await migration.configure("postcopy-blocktime" in interface.capabilities)
        await self._ready(source)
        guest_first = self._scenario.strategy.auto_converge and source.put_guest_first()
        source.console.begin()
        self._begun()
        await asyncio.sleep(options.warm_up_s)
        async with migration.listening():
            withheld_s = _withheld_s()
            last = await migration.run()
            withheld_s = _withheld_s() - withheld_s
            machine = await self._proved(migration, last)
        machine |= {"withheld_s": withheld_s, "guest_first": guest_first, "lacks": interface.lacks()}
        return self._trace(migration, last, machine)

    async def _ready(self, source: Machine) -> None:
        try:
            await source.console.wait_until_ready(self._booted.silence_s)
        except RunError as error:
            status = await source.monitor.do("query-status")
            said = f"QEMU's state is {status['status']}, its log begins: {source.first_line()}"
            raise RunError(f"{error} ({said})") from error

    async def _proved(self, migration: Migration, last: Sample) -> dict[str, Any]:
        """Have the guest prove its memory where it is; return the manifest."""
        source, destination = migration.source, migration.destination
        here = destination if last.phase == "postcopy" or last.answer["status"] == "completed" else source
        pause = await migration.pause() if here is destination else {"guest_s": 0.0, "events_s": 0.0, "lost_ticks": 0}
        migration.threads[here.name] |= here.threads()
        arrived = await destination.monitor.do("query-migrate") if here is destination else {}
        longest = {machine.name: machine.console.longest_s for machine in (source, destination)}
        return {
            "pause": pause
            | {"reported_s": 1e-3 * last.answer.get("downtime", 0), "longest_between_ticks_s": longest},
            "guest": await migration.checked(here, last),
            "query_migrate": {"source": dict(last.answer), "destination": arrived},
            **await self._manifest(migration),
        }

    async def _manifest(self, migration: Migration) -> dict[str, Any]:
        """Return what ran, what it could and what it said."""
        source, destination = migration.source, migration.destination
        said = await source.monitor.do("query-migrate-capabilities")
        on = sorted(one["capability"] for one in said if one["state"])
        return {
            "qemu_version": source.monitor.version,
            "accelerator": self._options.accelerator,
            "vcpus": self._options.processors,
            "boots": self._booted.facts(),
            "seed": self._options.seed,
            "capabilities": on,
            "parameters": await source.monitor.do("query-migrate-parameters"),
            "return_path": "return-path" in on,
            "threads": {side: _by_name(found) for side, found in migration.threads.items()},
            "logs": {machine.name: machine.log() for machine in (source, destination)},
            "events": [_told(migration, side, event) for side, event in migration.events],
            "readings": migration.recorder.readings(),
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
        }

    def _trace(self, migration: Migration, last: Sample, machine: dict[str, Any]) -> Trace:
        recorder, pause = migration.recorder, machine["pause"]
        moved = last.answer["status"] == "completed"
        total_s = 1e-3 * last.answer["total-time"] if moved else 1e-9 * (last.time_ns - recorder.start_ns)
        stopped_ns = migration.moments.stopped or last.time_ns
        resumed_ns = stopped_ns + round(1e9 * pause["guest_s"])
        rounds = recorder.rounds_table(recorder.start_ns + round(1e9 * total_s), (stopped_ns, resumed_ns))
        return Trace(
            scenario=self._scenario,
            kind="qemu",
            machine=machine,
            samples=recorder.samples_table(),
            rounds=rounds,
            outcome=Outcome(
                verdict="converges" if moved else "timed_out",
                total_time_s=total_s,
                downtime_s=pause["guest_s"],
                transferred_bytes=recorder.transferred_bytes,
                iterations=rounds.num_rows,
                remaining_at_switchover_bytes=recorder.left_at_last_sync_before(stopped_ns),
                downtime_parts_s={},
                guest_operations=-1,
                verified=moved,
                reason=self._reason(moved),
            ),
            provenance=provenance(self._options.seed),
        )

    def _reason(self, moved: bool) -> str:
        if moved:
            return f"QEMU completed it; {self._booted.proves} at the destination"
        limit_s = min(self._scenario.policy.time_limit_s, UNTIL_S)
        return f"it had not ended after {limit_s:g} s and was cancelled"


def _booted(scenario: Scenario, options: Options) -> Booted:
    if options.guest == BARE_METAL:
        if options.operations_per_s is not None:
            raise UsageError("operations: the guest bare-metal writes as its page classes say; leave it out")
        for name in options.loads:
            raise UsageError(f"{name}: the guest bare-metal writes as its page classes say; leave it out")
        return Bare(_with_capacity(scenario), options.seed, options.processors, options.warm_up_s)
    if options.guest not in GUESTS:
        raise UsageError(f"guest: there is no {options.guest}; use one of {', '.join(GUESTS)}")
    image = options.image or applications.usual_folder()
    return Linux(scenario.guest, options.guest, image, options.operations_per_s, options.loads)


def _with_capacity(scenario: Scenario) -> Guest:
    """Return the guest; one to be throttled that is given no capacity runs flat out: no sleep is caught up."""
    guest = scenario.guest
    if guest.capacity_writes_per_s is None and scenario.strategy.auto_converge and guest.writes_per_s:
        return dataclasses.replace(guest, capacity_writes_per_s=guest.writes_per_s)
    return guest


def _told(migration: Migration, side: str, event: Event) -> dict[str, Any]:
    at_s = 1e-9 * (event.time_ns - migration.wall_ns - migration.recorder.start_ns)
    return {"side": side, "name": event.name, "at_s": at_s, "data": dict(event.data)}


def _by_name(threads: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    """Return the processor time of threads by their name [s]."""
    found: dict[str, float] = {}
    for name, used_s in threads.values():
        found[name] = found.get(name, 0.0) + used_s
    return found


@contextlib.contextmanager
def _credentials(wanted: bool) -> Iterator[Path | None]:
    """Lend a folder with a new pre-shared key, in QEMU's form; it is gone afterwards."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="migkit-qemu-") as folder:
        (Path(folder) / "keys.psk").write_text(f"qemu:{secrets.token_hex(32)}\n")
        yield Path(folder)


def _check_place(socket: Path) -> None:
    length = len(os.fsencode(socket))
    if length > LONGEST_PATH_BYTES:
        raise UsageError(
            f"monitor {socket}: its path has {length} bytes, and that of a socket has at most {LONGEST_PATH_BYTES}; "
            "name a shorter one"
        )
    if not socket.parent.is_dir():
        raise UsageError(
            f"monitor {socket}: the folder {socket.parent} does not exist; create it or name another path"
        )
    if is_left(socket):
        socket.unlink(missing_ok=True)
    elif socket.is_socket():
        raise UsageError(f"monitor {socket}: another program listens there; name a new path, or end that program")
    elif os.path.lexists(socket):
        raise UsageError(f"monitor {socket}: exists already; name a new path, or remove it")


@contextlib.contextmanager
def _gone_afterwards(socket: Path | None) -> Iterator[None]:
    """Remove the socket that a QEMU which was killed leaves behind."""
    if socket is not None:
        _check_place(socket)
    try:
        yield
    finally:
        if socket is not None:
            socket.unlink(missing_ok=True)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM and a closed terminal end a run as Ctrl-C does, in order."""
    task, kinds = asyncio.current_task(), (signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread() or task is None:
        yield
        return
    loop = asyncio.get_running_loop()
    for kind in kinds:
        loop.add_signal_handler(kind, task.cancel)
    try:
        yield
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


def _withheld_s() -> float:
    """Return for how long a hypervisor has withheld this machine's processors from it, all together [s]."""
    return int(Path("/proc/stat").read_text().split()[_STEAL]) / os.sysconf("SC_CLK_TCK")
