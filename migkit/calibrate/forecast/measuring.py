"""The guest of a migration under way, measured meanwhile: from outside in a thread, or by QEMU between two looks.

The forecast does not wait for the measurement. The guest is told anew each time that it was followed for longer. It
is followed for 10 s, and for up to 20 s while the first pass lasts. From outside nothing is asked of QEMU.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from migkit.calibrate.forecast.extents import turned
from migkit.calibrate.guest.followed import guest_followed, later
from migkit.calibrate.guest.outside import outside, planned
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.profiling import Following, Source, guest_of
from migkit.errors import MigkitError, RunError
from migkit.qemu.monitor import LackingError, QemuError
from migkit.qemu.resting import SAMPLED_FROM_BYTES, SAMPLES_PER_GIB
from migkit.scenario.form import schema
from migkit.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from migkit.calibrate.forecast.looks import Asked
    from migkit.calibrate.forecast.outlook import Outlook
    from migkit.scenario import Guest, Scenario

__all__ = ["ByQemu", "FromOutside", "Meanwhile", "Told"]

_BEAT_S: Final = 0.05
_STEP_S: Final = 0.25  # after which it is seen whether to go on
_TOLD_AT_S: Final = (*(0.5 * at for at in range(1, 11)), *range(6, 21))
_ENOUGH_S: Final = 5.0  # for a single look
_USUAL_S: Final = 10.0
_WINDOWS_S: Final = (1, 2, 4)  # QEMU before 8.2 knows whole seconds only
_CUT_OFF: Final = 0.5  # MiB/s in the mean: QEMU gives whole ones


class Told(NamedTuple):
    """A guest as it is now, and for how long it was followed [s]; infinite: its sweeps were seen to begin anew."""

    guest: Guest
    seen_s: float


class Meanwhile:
    """The guest behind a monitor, measured from the first look on that sees its migration in pre-copy.

    It is measured from outside. Where that cannot be, QEMU samples its pages if that is allowed; else it is not
    measured. Leave it as a context: that ends the measurement.

    Parameters
    ----------
    asked
        The monitor.
    by_qemu
        Whether QEMU may be told to sample pages.

    Attributes
    ----------
    problem
        Why the guest is not measured from outside; empty: it is, or it was not tried yet.
    """

    def __init__(self, asked: Asked, by_qemu: bool = False) -> None:
        self._asked, self._by_qemu = asked, by_qemu
        self._stack = contextlib.ExitStack()
        self._measuring: FromOutside | ByQemu | None = None
        self.problem = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def is_under_way(self) -> bool:
        """Whether the guest is measured."""
        return self._measuring is not None

    def see(self, outlook: Outlook) -> None:
        """Begin with a migration in pre-copy, and measure no longer than usual when its first pass is over."""
        if outlook.phase not in ("setup", "precopy"):
            return
        if self._measuring is None and not self.problem:
            self._begin()
        elif self._measuring is not None and outlook.iteration > 1:
            self._measuring.first_pass_is_over()

    def told(self) -> Told | None:
        """Return the guest as far as it is known now; None: not yet, or not at all.

        Call it as soon as QEMU has answered: what ends with QEMU is then no problem of the measurement.
        """
        told = self._measuring.told() if self._measuring is not None else None
        if isinstance(self._measuring, FromOutside) and self._measuring.problem is not None:
            self._cannot(self._measuring.problem)
        return told

    def wait(self) -> None:
        """Wait until the guest was followed from outside for 5 s, or cannot be."""
        if isinstance(self._measuring, FromOutside):
            self._measuring.wait()

    def _begin(self) -> None:
        followed = self._asked.followed
        try:
            pid, memory_bytes = followed.monitor.pid, self._asked.memory_bytes()
        except QemuError as error:
            self._cannot(error)
            return
        tables = planned(followed.monitor.version, followed.accelerator, followed.parameters)
        case = schema.from_mapping(tables | {"guest": {"memory": f"{memory_bytes} B"}})
        self._measuring = self._stack.enter_context(FromOutside(lambda: outside(pid, memory_bytes), case))

    def _cannot(self, problem: Exception) -> None:
        self._measuring = None
        self.problem = f"not measured from outside: {problem}"
        if not self._by_qemu:
            return
        try:
            self._measuring = ByQemu(self._asked, self._asked.memory_bytes())
            self.problem += "; QEMU samples pages instead"
        except QemuError as error:
            self.problem += f"; nor by QEMU: {error}"


class FromOutside:
    """A guest that is followed in a thread.

    Parameters
    ----------
    opened
        Gives what counts its pages; it is entered and left in the thread.
    case
        The migration; its guest is not looked at.

    Attributes
    ----------
    problem
        Why the measurement ended before its time; None: it did not.

    Examples
    --------
    >>> import contextlib
    >>> import numpy as np
    >>> from migkit import Guest, Scenario
    >>> from migkit.calibrate.guest.beats import History
    >>> draw = np.random.default_rng(1)
    >>> class Known:
    ...     name, memory_bytes = "by definition", 2**24
    ...     def follow(self, beat_s): return self
    ...     def until(self, end_s):
    ...         beats = round(end_s / 0.05)
    ...         return History(times_s=np.arange(beats + 1) * 0.05, memory_pages=4096, sample=np.arange(4096),
    ...                        pages=[np.unique(draw.integers(0, 2000, 100)) for _ in range(beats)],
    ...                        zero=np.tile(np.arange(4096) >= 3000, (beats + 1, 1)))
    >>> with FromOutside(lambda: contextlib.nullcontext(Known()), Scenario(guest=Guest(memory_bytes=2**24))) as found:
    ...     found.wait()
    ...     found.told().guest.zero_pages
    1096
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Source]], case: Scenario) -> None:
        self._opened, self._case = opened, case
        self._stop, self._short, self._enough = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._measure, name="migkit-measuring", daemon=True)
        self._found: tuple[float, Told] | None = None
        self.problem: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until the guest was followed for 5 s, or cannot be."""
        self._enough.wait()

    def told(self) -> Told | None:
        """Return the guest as it is now, its growths and phases carried on; None: not known yet."""
        if self._found is None:
            return None
        ended_s, told = self._found
        return told._replace(guest=later(told.guest, time.monotonic() - ended_s))

    def first_pass_is_over(self) -> None:
        """Measure no longer than usual."""
        self._short.set()

    def _measure(self) -> None:
        try:
            with self._opened() as source:
                following = source.follow(_BEAT_S)
                if following is None:
                    raise RunError(f"guest: {source.name} only counts; it cannot be followed")
                self._follow(following, source.memory_bytes)
        except (MigkitError, OSError) as error:
            self.problem = error
        finally:
            self._enough.set()

    def _follow(self, following: Following, memory_bytes: int) -> None:
        until_s = 0.0
        for at_s in _TOLD_AT_S:
            while until_s < at_s:
                until_s = min(until_s + _STEP_S, at_s)
                history = following.until(until_s)
                if self._stop.is_set() or (at_s > _USUAL_S and self._short.is_set()):
                    return
            ended_s = time.monotonic()
            guest = guest_followed(history, memory_bytes, self._case, moves=True).guest
            written = float(history.unique_pages([history.beats])[0, 0])
            self._found = ended_s, Told(*turned(guest, at_s, written))
            if at_s >= _ENOUGH_S:
                self._enough.set()


class ByQemu:
    """A guest whose pages QEMU samples between two looks, by ``calc-dirty-rate``; its zero pages are not told.

    Parameters
    ----------
    asked
        The monitor.
    memory_bytes
        What the guest has [B].

    Raises
    ------
    RefusedError, LackingError
        This QEMU cannot, or the memory is too small for it.
    """

    def __init__(self, asked: Asked, memory_bytes: int) -> None:
        if memory_bytes < SAMPLED_FROM_BYTES:
            raise LackingError(f"QEMU {asked.followed.monitor.version}: does not sample memory below 128 MiB")
        self._asked, self._memory_bytes = asked, memory_bytes
        self._windows_s = list(_WINDOWS_S)
        self._readings: list[Reading] = []
        self._begin()

    def told(self) -> Told | None:
        """Ask how far QEMU is, and return the guest as far as it is known; None: not yet."""
        if self._windows_s:
            answer = self._asked.run(self._asked.followed.monitor.do("query-dirty-rate"))
            if answer["status"] == "measured":
                self._take(float(self._windows_s.pop(0)), float(answer["dirty-rate"]))
        if not self._readings:
            return None
        return Told(guest_of(self._readings, self._memory_bytes), self._readings[-1].window_s)

    def first_pass_is_over(self) -> None:
        """Begin no further window."""
        del self._windows_s[1:]

    def _take(self, window_s: float, rate: float) -> None:
        most = max((one.pages for one in self._readings), default=0.0)
        pages = (rate + _CUT_OFF if rate else 0.0) * MIB * window_s / PAGE_BYTES
        self._readings.append(Reading(window_s, max(most, pages)))
        if self._windows_s:
            self._begin()

    def _begin(self) -> None:
        arguments = {"calc-time": self._windows_s[0], "mode": "page-sampling", "sample-pages": SAMPLES_PER_GIB}
        self._asked.run(self._asked.followed.monitor.do("calc-dirty-rate", arguments))
