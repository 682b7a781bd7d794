"""Several migrations at the same time over one cable, each begun when a plan says."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

from migkit.errors import UsageError
from migkit.harness.paths.namespaces import MOST_LANES, Lane, lane_address
from migkit.harness.processes.member import Member
from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs.options import Options, admit
from migkit.harness.runs.run import run
from migkit.harness.runs.settlement import InterruptedRunError
from migkit.scenario import Scenario
from migkit.traces.schema import Trace

__all__ = ["Cable", "Moved", "Start", "together"]


class Start(NamedTuple):
    """When a migration begins.

    Attributes
    ----------
    at_s
        Not before this time, from when all are set up [s].
    after
        Places of migrations that must have ended before.
    """

    at_s: float = 0.0
    after: Collection[int] = ()


class Moved(NamedTuple):
    """What came of one migration.

    Attributes
    ----------
    trace
        Its record; ``machine["others_share"]`` counts the migrations beside it as others.
    begun_s, ended_s
        From when all were set up [s].
    """

    trace: Trace
    begun_s: float
    ended_s: float


class Cable:
    """A cable between two hosts of this machine that several migrations share; a context manager.

    Parameters
    ----------
    nursery
        Where its process comes from.
    bandwidth_bytes_per_s
        Goodput of all migrations together, either way [B/s].
    lanes
        How many migrations it is for: those that have something to send get equal parts.

    Raises
    ------
    UsageError
        There are no lanes, or more than 64.
    CapabilityError
        Such hosts cannot be made here.
    """

    def __init__(self, nursery: Nursery, bandwidth_bytes_per_s: float, lanes: int) -> None:
        if not 1 <= lanes <= MOST_LANES:
            raise UsageError(f"cable: {lanes} lanes are out of range; use 1 to {MOST_LANES}")
        if not bandwidth_bytes_per_s > 0:
            raise UsageError(f"cable: {bandwidth_bytes_per_s:g} B/s carries nothing; give more than 0")
        config = {"bandwidth_bytes_per_s": bandwidth_bytes_per_s, "lanes": lanes}
        maker = Member(nursery, "network", config)
        try:
            self._hosts = maker.hear_with_descriptors("hosts")
        finally:
            maker.end()
        self._lanes = lanes

    @property
    def lanes(self) -> list[Lane]:
        """Its lanes, for the options of a run each."""
        return [Lane(self._hosts, lane_address(number)) for number in range(self._lanes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._hosts:
            os.close(self._hosts.popitem()[1])


class _Clock:
    """Says when each migration begins, and notes when each ends."""

    def __init__(self, starts: Sequence[Start]) -> None:
        self._starts = starts
        self._changed = threading.Condition()
        self._ready: set[int] = set()
        self._zero_s = math.nan
        self._is_stopped = False
        self.begun_s: dict[int, float] = {}
        self.ended_s: dict[int, float] = {}

    def begin(self, place: int) -> None:
        """Wait until all are set up and it is the turn of one."""
        start = self._starts[place]
        with self._changed:
            self._ready.add(place)
            self._go()
            self._await(lambda: not math.isnan(self._zero_s) and self.ended_s.keys() >= set(start.after))
            while (left_s := start.at_s - self._now_s()) > 0:
                self._await(lambda: False, left_s)
            self.begun_s[place] = self._now_s()

    def end(self, place: int) -> None:
        """Note that one has ended, or could not begin; only the first note counts."""
        with self._changed:
            self.ended_s.setdefault(place, self._now_s())
            self._go()
            self._changed.notify_all()

    def _go(self) -> None:
        """Start the clock once nobody has to be waited for."""
        if math.isnan(self._zero_s) and len(self._ready | self.ended_s.keys()) == len(self._starts):
            self._zero_s = time.monotonic()
            self._changed.notify_all()

    def wait_for_all(self) -> None:
        """Wait until the last one has ended."""
        with self._changed:
            self._await(lambda: len(self.ended_s) == len(self._starts))

    def stop(self) -> None:
        """Have nobody wait any longer."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def heed(self) -> None:
        """Raise when all are to end."""
        if self._is_stopped:
            raise InterruptedRunError("interrupted")

    def _await(self, holds: Callable[[], bool], timeout_s: float | None = None) -> None:
        self._changed.wait_for(lambda: self._is_stopped or holds(), timeout_s)
        self.heed()

    def _now_s(self) -> float:
        return time.monotonic() - self._zero_s


class _Turn:
    """The time of one migration between its beginning and its end; its proof waits until others have ended, too."""

    def __init__(self, clock: _Clock, place: int) -> None:
        self._clock, self._place = clock, place

    def __enter__(self) -> None:
        self._clock.begin(self._place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.end(self._place)
        if kind is None:
            self._clock.wait_for_all()


def together(
    scenarios: Sequence[Scenario],
    starts: Sequence[Start],
    bandwidth_bytes_per_s: float,
    *,
    seed: int = 1,
    options: Options | None = None,
    progress: Callable[[int, Mapping[str, Any]], object] | None = None,
    nursery: Nursery | None = None,
) -> list[Moved]:
    """Migrate real guest processes over one shaped cable, each when its start says, and prove all of them afterwards.

    Parameters
    ----------
    scenarios
        One for each guest; of their links nothing is read but round-trip time and steps.
    starts
        When each begins.
    bandwidth_bytes_per_s
        Goodput of the cable, either way [B/s].
    seed
        Of the first guest; the next one has the next seed.
    options, nursery
        As for :func:`migkit.harness.runs.run.run`; the path is the cable, whatever they say.
    progress
        Called with the place of a migration and each of its samples, from several threads.

    Raises
    ------
    UsageError
        There are not as many starts as scenarios, or one waits for itself or for what does not exist.
    MigkitError
        One of them failed; the others have been called off.
    InterruptedRunError
        Ctrl-C.
    """
    _check(scenarios, starts)
    admit(*scenarios)
    clock = _Clock(starts)
    with contextlib.ExitStack() as stack:
        nursery = nursery or stack.enter_context(Nursery())
        cable = stack.enter_context(Cable(nursery, bandwidth_bytes_per_s, len(scenarios)))

        def heed(place: int, sample: Mapping[str, Any]) -> None:
            clock.heed()
            if progress is not None:
                progress(place, sample)

        def move(place: int) -> Trace:
            lane = dataclasses.replace(options or Options(), path="namespaces", lane=cable.lanes[place])
            try:
                return run(
                    scenarios[place],
                    seed=seed + place,
                    options=lane,
                    progress=functools.partial(heed, place),
                    nursery=nursery,
                    turn=_Turn(clock, place),
                )
            finally:
                clock.end(place)

        with ThreadPoolExecutor(len(scenarios)) as pool:
            futures = [pool.submit(move, place) for place in range(len(scenarios))]
            try:
                traces = [future.result() for future in futures]
            except BaseException:
                clock.stop()
                raise
    return [Moved(trace, clock.begun_s[at], clock.ended_s[at]) for at, trace in enumerate(traces)]


def _check(scenarios: Sequence[Scenario], starts: Sequence[Start]) -> None:
    """Refuse starts that are not those of the scenarios, or that no order of migrations fulfils."""
    if len(starts) != len(scenarios):
        raise UsageError(f"starts: {len(starts)} were given for {len(scenarios)} migrations; give one for each")
    for place, start in enumerate(starts):
        if not 0 <= start.at_s < math.inf:
            raise UsageError(f"starts: migration {place} begins at {start.at_s:g} s; give a time from 0 on")
    left = dict(enumerate(starts))
    while left:
        free = [place for place, start in left.items() if not left.keys() & set(start.after)]
        if not free or not all(0 <= place < len(starts) for place in left[free[0]].after):
            raise UsageError(
                f"starts: migration {min(left)} waits for itself or for one that does not exist; name earlier ones"
            )
        del left[free[0]]
