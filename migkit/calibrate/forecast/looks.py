"""A migration under way, looked at again and again: through QEMU's monitor, in a log that grows, or by metrics.

It changes nothing. The guest behind a monitor is measured from outside meanwhile, where that is permitted.
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

from migkit.calibrate.forecast.grown import Grown, last_migration
from migkit.errors import RunError, UsageError, shown
from migkit.units import format_size

if TYPE_CHECKING:
    import asyncio

    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.measuring import Meanwhile
    from migkit.calibrate.forecast.outlook import Outlook
    from migkit.importers import Log
    from migkit.models.result import Point
    from migkit.qemu.follow import Followed
    from migkit.scenario import Scenario
    from migkit.traces import Trace

__all__ = [
    "SHORTEST_S",
    "Asked",
    "Look",
    "Looking",
    "Source",
    "measured",
    "opened",
    "pause_s",
    "watch",
    "watched",
]

SHORTEST_S: Final = 0.05
_NEAR_S: Final = 1.0  # to the end of a post-copy, which may come before the next look
_NO_MORE: Final = (
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
    is_measured
        Whether the guest is being measured, so that a forecast that is not known yet will be.
    problem
        Why it is not measured though it was to be; empty: it is, or it was not to be.
    """

    log: Log | None
    outlook: Outlook
    changes: tuple[Change, ...] = ()
    course: tuple[Point, ...] = ()
    allowed_bytes: float = math.nan
    is_measured: bool = False
    problem: str = ""


class Asked:
    """A QEMU that is asked through its monitor at a UNIX socket."""

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
        return last_migration(self.followed.text(), "QEMU")


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
        raise UsageError(f"source: {shown(str(source))} is no socket and no file; name a monitor's socket, or a log")


def pause_s(outlook: Outlook, every_s: float) -> float:
    """Return how long to wait until QEMU is asked again [s]: less than ``every_s`` near the end, when it may be gone.

    Examples
    --------
    >>> from migkit.calibrate.forecast.outlook import Outlook
    >>> near = Outlook(t_s=9.0, phase="precopy", verdict="converges", end_s=9.4, low_s=9.3, high_s=9.5, share=0.9)
    >>> pause_s(near, 1.0)
    0.2
    """
    return round(min(every_s, max(SHORTEST_S, 0.5 * (outlook.end_s - outlook.t_s))), 6)


class Looking:
    """Looks at one migration, and forecasts it from look to look. It changes nothing.

    Parameters
    ----------
    looked_at
        What looks at it.
    base
        What is known beside the readings, see :class:`migkit.calibrate.forecast.outlook.Forecaster`.
    meanwhile
        What measures the guest; None: nothing does.

    Examples
    --------
    >>> from migkit.traces import data
    >>> from migkit.calibrate.forecast.grown import Grown
    >>> look = Looking(Grown(data.data_path("kvm_database/precopy-4t-1.json.gz"))).look()
    >>> look.outlook.phase, look.outlook.verdict
    ('done', 'converges')
    """

    def __init__(self, looked_at: Source, base: Scenario | None = None, meanwhile: Meanwhile | None = None) -> None:
        from migkit.calibrate.forecast.outlook import Forecaster

        self._looked_at, self._meanwhile = looked_at, meanwhile
        self._forecaster = Forecaster(base)
        self._outlook: Outlook | None = None

    def look(self) -> Look | None:
        """Look once; None: QEMU ended after it had stopped the guest, before anything was seen of the migration.

        Raises
        ------
        RunError
            No migration is under way, or QEMU ended, in post-copy with much to send yet, or the metrics tell no more.
        """
        from migkit.calibrate.forecast.belief import allowed_bytes, course_of
        from migkit.calibrate.forecast.changes import changes

        log = self._looked_at.log()
        if log is None:
            return self._left()
        outlook, problem, measured = self._forecast(log)
        found = self._forecaster.beliefs
        course, allowed = course_of(found), allowed_bytes(found)
        return Look(log, outlook, changes(found, outlook.verdict, log), course, allowed, measured, problem)

    def _left(self) -> Look | None:
        if not isinstance(self._looked_at, Asked):
            raise RunError(_NO_MORE)
        outlook = self._outlook
        if outlook is None:
            return None
        if outlook.phase == "postcopy" and not outlook.end_s - outlook.t_s < _NEAR_S:
            left = format_size(outlook.remaining_bytes)
            raise RunError(
                f"QEMU: ended in post-copy; at the last look {left} were left to send, without which the guest "
                "cannot run on; look after it at the destination"
            )
        return Look(None, outlook.completed())

    def _forecast(self, log: Log) -> tuple[Outlook, str, bool]:
        """Return the outlook, why the guest is not measured, and whether it is."""
        from migkit.scenario import Scenario

        meanwhile = self._meanwhile
        told = meanwhile.told() if meanwhile is not None else None
        if told is not None:
            self._forecaster.learn(Scenario(guest=told.guest), told.seen_s)
        self._outlook = outlook = self._forecaster.outlook(log)
        if meanwhile is None:
            return outlook, "", False
        meanwhile.see(outlook)
        return outlook, meanwhile.problem, meanwhile.is_under_way


def watch(
    source: Path | str,
    show: Callable[[Look], None],
    *,
    stop: threading.Event,
    every_s: float = 1.0,
    base: Scenario | None = None,
    measure: bool = True,
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
    measure
        Whether the guest behind a monitor is measured from outside meanwhile, unless ``base`` has page classes of it.

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
    with contextlib.ExitStack() as stack:
        looked_at = stack.enter_context(opened(source))
        measure = measure and (base is None or not base.guest.dirty)
        looking = Looking(looked_at, base, stack.enter_context(measured(looked_at)) if measure else None)
        while not stop.is_set():
            look = looking.look()
            if look is None:
                return
            show(look)
            if look.outlook.phase == "done":
                return
            stop.wait(pause_s(look.outlook, every_s) if isinstance(looked_at, Asked) else every_s)


@contextlib.contextmanager
def measured(looked_at: Source, by_qemu: bool = False) -> Iterator[Meanwhile | None]:
    """Yield what measures the guest of a migration while it is looked at; None: a log or metrics have no guest.

    Parameters
    ----------
    looked_at
        What looks at the migration.
    by_qemu
        Whether QEMU may be told to sample pages where the guest cannot be measured from outside.

    Examples
    --------
    >>> from migkit.calibrate.forecast.grown import Grown
    >>> with measured(Grown(Path("job.log"))) as meanwhile:
    ...     meanwhile is None
    True
    """
    from migkit.calibrate.forecast.measuring import Meanwhile

    if not isinstance(looked_at, Asked):
        yield None
        return
    with Meanwhile(looked_at, by_qemu) as meanwhile:
        yield meanwhile


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
                watch(socket, show, stop=stop, every_s=every_s, measure=False)
            except RunError:
                if running.exception() is None:  # QEMU ended between two looks: the run tells how
                    return running.result()
                raise
        return running.result()
