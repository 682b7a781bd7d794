"""The guest of a migration under way, measured meanwhile: from outside in a thread, or by QEMU between two looks.

The forecast does not wait for the whole measurement. The guest is told anew each time that it was followed for
longer. It is followed for 5 s, and for up to 10 s while the first pass lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from migkit.calibrate.guest.followed import guest_followed, later
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.profiling import Following, Source, guest_of
from migkit.errors import MigkitError, RunError
from migkit.qemu.monitor import LackingError
from migkit.qemu.resting import SAMPLED_FROM_BYTES, SAMPLES_PER_GIB
from migkit.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from migkit.calibrate.forecast.looks import Asked
    from migkit.scenario import Guest, Scenario

__all__ = ["ByQemu", "FromOutside", "Measuring"]

_BEAT_S: Final = 0.05
_STEP_S: Final = 0.25  # after which it is seen whether to go on
_TOLD_AT_S: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)
_USUAL_S: Final = 5.0
_WINDOWS_S: Final = (1, 2, 4)  # QEMU before 8.2 knows whole seconds only
_CUT_OFF: Final = 0.5  # MiB/s in the mean: QEMU gives whole ones


class Measuring(Protocol):
    """What measures a guest while it moves."""

    def guest(self) -> Guest | None:
        """Return the guest as far as it is known now; None: not yet."""
        ...

    def first_pass_is_over(self) -> None:
        """Measure no longer than usual."""
        ...


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
    ...     found.guest().zero_pages
    1096
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Source]], case: Scenario) -> None:
        self._opened, self._case = opened, case
        self._stop, self._short = threading.Event(), threading.Event()
        self._told, self._usual = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._measure, name="migkit-measuring", daemon=True)
        self._found: tuple[float, Guest] | None = None
        self.problem: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, whole: bool = False) -> None:
        """Wait until the guest is known for the first time, or was followed for as long as usual, or cannot be."""
        (self._usual if whole else self._told).wait()

    def guest(self) -> Guest | None:
        """Return the guest as it is now, its growths carried on; None: not known yet."""
        found = self._found
        return None if found is None else later(found[1], time.monotonic() - found[0])

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
            self._told.set()
            self._usual.set()

    def _follow(self, following: Following, memory_bytes: int) -> None:
        until_s = 0.0
        for at_s in _TOLD_AT_S:
            while until_s < at_s:
                until_s = min(until_s + _STEP_S, at_s)
                history = following.until(until_s)
                if self._stop.is_set() or (at_s > _USUAL_S and self._short.is_set()):
                    return
            ended_s = time.monotonic()
            self._found = ended_s, guest_followed(history, memory_bytes, self._case).guest
            self._told.set()
            if at_s >= _USUAL_S:
                self._usual.set()


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

    def guest(self) -> Guest | None:
        """Ask how far QEMU is, and return the guest as far as it is known; None: not yet."""
        if self._windows_s:
            answer = self._asked.run(self._asked.followed.monitor.do("query-dirty-rate"))
            if answer["status"] == "measured":
                self._take(float(self._windows_s.pop(0)), float(answer["dirty-rate"]))
        return guest_of(self._readings, self._memory_bytes) if self._readings else None

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
