"""A migration under way, looked at again and again: through QEMU's monitor, in a log that grows, or by metrics.

It only reads.
"""

from __future__ import annotations

import contextlib
import math
import stat
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from migkit.errors import RunError, UsageError, shown

if TYPE_CHECKING:
    import asyncio

    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.outlook import Outlook
    from migkit.importers import Log
    from migkit.models.result import Point
    from migkit.qemu.follow import Followed
    from migkit.scenario import Scenario
    from migkit.traces import Trace

__all__ = ["NO_MORE", "SHORTEST_S", "Asked", "Grown", "Look", "Source", "opened", "pause_s", "watch", "watched"]

SHORTEST_S: Final = 0.05
NO_MORE: Final = (
    "the metrics tell no more of the migration: it has ended, and whether the guest moved they do not say"
)
T = TypeVar("T")


class Source(Protocol):
    """What looks at a migration."""

    def log(self) -> Log | None:
        """Return all readings so far; None: there are no more."""
        ...


class Look(NamedTuple):
    """What one look at a migration told.

    Attributes
    ----------
    log
        All readings so far; None: QEMU ended after it had stopped the guest, as managers end it after a migration.
    outlook
        What is expected.
    changes
        What would change it.
    course
        What will remain from now on, as predicted; empty: not known.
    allowed_bytes
        At how much left the rule switches over [B]; NaN: not known.
    """

    log: Log | None
    outlook: Outlook
    changes: tuple[Change, ...] = ()
    course: tuple[Point, ...] = ()
    allowed_bytes: float = math.nan


class Asked:
    """A QEMU that is asked through its monitor."""

    def __init__(self, runner: asyncio.Runner, followed: Followed) -> None:
        self._runner, self.followed = runner, followed

    @classmethod
    @contextlib.contextmanager
    def opened(cls, source: Path) -> Iterator[Asked]:
        """Connect to the monitor at a UNIX socket, and disconnect afterwards; the migration goes on."""
        import asyncio

        from migkit.qemu.follow import Followed

        with asyncio.Runner() as runner:
            followed = runner.run(Followed.connect(source))
            try:
                yield cls(runner, followed)
            finally:
                runner.run(followed.close())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run what is asked of QEMU to its end."""
        return self._runner.run(work)

    def memory_bytes(self) -> int:
        """Return what the guest has [B]."""
        return self.run(self.followed.memory_bytes())

    def log(self) -> Log | None:
        """Ask once, and return all answers so far; None: QEMU has ended, as managers end it after a migration."""
        from migkit.qemu.monitor import EndedError

        try:
            self.run(self.followed.look())
        except EndedError:
            if self.followed.has_left():
                return None
            raise
        return _last_migration(self.followed.text())


class Grown:
    """A log that grows.

    Examples
    --------
    >>> from migkit.traces import data
    >>> Grown(data.data_path("kvm_database/precopy-4t-1.json.gz")).log().meta["outcome"]
    'completed'
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def log(self) -> Log:
        """Read the last migration in the log."""
        return _last_migration(self._path)


def _last_migration(source: Path | str) -> Log:
    from migkit.importers import read

    found = [log for log in read(source) if log.kind == "migration"]
    if not found:
        raise UsageError(f"{source}: holds no reading of a migration; log query-migrate or virsh domjobinfo")
    return found[-1]


@contextlib.contextmanager
def opened(source: Path | str, vm: str | None = None) -> Iterator[Source]:
    """Yield what looks at a migration.

    Parameters
    ----------
    source
        The socket of a QEMU monitor, a log that grows, or the address of a Prometheus server or of a page of metrics.
    vm
        The machine, where metrics tell of several.

    Raises
    ------
    UsageError
        It is none of these.

    Examples
    --------
    >>> from migkit.traces import data
    >>> with opened(data.data_path("kvm_database/precopy-4t-1.json.gz")) as looked_at:
    ...     looked_at.log().meta["outcome"]
    'completed'
    """
    from migkit.importers.endpoint import Endpoint, is_address

    if is_address(str(source)):
        yield Endpoint(str(source), vm)
        return
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}; name a monitor's socket, or a log") from error
    if stat.S_ISSOCK(mode):
        with Asked.opened(path) as asked:
            yield asked
    elif stat.S_ISREG(mode):
        yield Grown(path)
    else:
        named = shown(str(source))
        raise UsageError(f"source: {named} is neither a socket nor a file; name a monitor's socket, or a log")


def pause_s(outlook: Outlook, every_s: float) -> float:
    """Return how long to wait for the next look [s]: less than ``every_s`` near the end, when QEMU may be gone.

    Examples
    --------
    >>> from migkit.calibrate.forecast.outlook import Outlook
    >>> near = Outlook(t_s=9.0, phase="precopy", verdict="converges", end_s=9.4, low_s=9.3, high_s=9.5, share=0.9)
    >>> pause_s(near, 1.0)
    0.2
    """
    return round(min(every_s, max(SHORTEST_S, 0.5 * (outlook.end_s - outlook.t_s))), 6)


def watch(
    source: Path | str,
    show: Callable[[Look], None],
    *,
    stop: threading.Event,
    every_s: float = 1.0,
    base: Scenario | None = None,
) -> None:
    """Look at a migration until it is over, or until ``stop`` is set; change nothing.

    Parameters
    ----------
    source
        As for :func:`opened`.
    show
        Is given each look.
    stop
        Set it from another thread to end this.
    every_s
        Time between two looks [s].
    base
        What is known beside the readings, see :class:`migkit.calibrate.forecast.outlook.Forecaster`.

    Raises
    ------
    UsageError
        It is none of these, or no migration is in it.
    RunError
        No migration is under way, or QEMU ended.

    Examples
    --------
    >>> from migkit.traces import data
    >>> path = data.data_path("kvm_database/precopy-4t-1.json.gz")
    >>> watch(path, lambda look: print(look.outlook.phase, look.outlook.verdict), stop=threading.Event())
    done converges
    """
    from migkit.calibrate.forecast.belief import allowed_bytes, course_of
    from migkit.calibrate.forecast.changes import changes
    from migkit.calibrate.forecast.outlook import Forecaster

    forecaster, outlook = Forecaster(base), None
    with opened(source) as looked_at:
        while not stop.is_set():
            log = looked_at.log()
            if log is None and not isinstance(looked_at, Asked):
                raise RunError(NO_MORE)
            if log is None:
                if outlook is not None:
                    show(Look(None, outlook.completed()))
                return
            outlook = forecaster.outlook(log)
            found = forecaster.beliefs
            show(Look(log, outlook, changes(found, outlook.verdict), course_of(found), allowed_bytes(found)))
            if outlook.phase == "done":
                return
            stop.wait(pause_s(outlook, every_s))


def watched(
    scenario: Scenario, show: Callable[[Look], None], *, stop: threading.Event, every_s: float = 0.25
) -> Trace:
    """Migrate a real virtual machine between two QEMU processes, look at it meanwhile, and return its record.

    The looks come through a second monitor of the source, as those of ``migkit watch`` do. They know nothing of the
    scenario: they forecast from QEMU's counters alone.

    Parameters
    ----------
    scenario
        As for :func:`migkit.qemu.capture.capture`.
    show, stop, every_s
        As for :func:`watch`; ``stop`` ends the looks, not the migration.

    Raises
    ------
    MigkitError
        As for :func:`migkit.qemu.capture.capture`.
    """
    from migkit.models import warm
    from migkit.qemu.capture import Options, capture

    warm.compile_now()  # else the first forecast takes longer than a short migration
    begun = threading.Event()
    with tempfile.TemporaryDirectory(prefix="migkit-watched-") as folder, ThreadPoolExecutor(1) as pool:
        socket = Path(folder) / "qmp"
        options = Options(monitor=socket)
        running = pool.submit(capture, scenario, options, lambda sample: begun.set())
        running.add_done_callback(lambda _: begun.set())
        begun.wait()
        if not running.done():
            try:
                watch(socket, show, stop=stop, every_s=every_s)
            except RunError:
                if running.exception() is None:  # QEMU ended between two looks: the run tells how
                    return running.result()
                raise
        return running.result()
