"""Trackers side by side: what each costs, misses and finds too much, on one and the same workload."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from migkit.errors import CapabilityError
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.proof import guest_process
from migkit.harness.linux.channel import Channel
from migkit.harness.processes.nursery import Nursery
from migkit.harness.tracking.trackers import EXACT, TRACKERS, Tracker
from migkit.scenario import Scenario

__all__ = ["TrackerCost", "compare"]

_NONE: Final = "none"
_WINDOW_TIMEOUT_S: Final = 300.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrackerCost:
    """What one tracker did over all windows of the workload.

    Attributes
    ----------
    tracker
        Its name; ``none`` is the workload without any.
    exact
        Whether it promises to miss no page.
    available
        Whether it works here; if not, ``reason`` says why and all else is 0.
    written_pages
        Pages that the guest wrote, summed over the windows, as its writers marked them.
    missed_pages, extra_pages
        Written and not found; found and not written.
    arm_s, collect_s
        Time to begin; median time of a collection [s].
    tracker_cpu_s
        Processor time of the tracking process [s].
    guest_cpu_s
        Processor time of the guest [s]; the difference to that of ``none`` is what tracking costs it.
    """

    tracker: str
    exact: bool
    available: bool = True
    reason: str = ""
    written_pages: int = 0
    missed_pages: int = 0
    extra_pages: int = 0
    arm_s: float = 0.0
    collect_s: float = 0.0
    tracker_cpu_s: float = 0.0
    guest_cpu_s: float = 0.0


def compare(
    scenario: Scenario,
    windows: int,
    operations_per_window: int,
    *,
    seed: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> list[TrackerCost]:
    """Run the same guest, write for write, under each tracker and under none.

    The guest is stopped at each end of a window, so that what it wrote and what was found can be
    compared page by page.

    Parameters
    ----------
    scenario
        The guest and its page classes.
    windows, operations_per_window
        How often to collect, and after how many operations.
    seed
        Of the guest.
    progress
        Called after each window.
    """
    with Nursery() as nursery:
        return [
            _one(nursery, scenario, name, windows, operations_per_window, seed, progress)
            for name in (_NONE, *TRACKERS)
        ]


def _one(
    nursery: Nursery,
    scenario: Scenario,
    name: str,
    windows: int,
    operations: int,
    seed: int,
    progress: Callable[[], object],
) -> TrackerCost:
    exact = EXACT.get(name, True)
    with guest_process(nursery, scenario, "running_time", seed) as channel:
        attached = Attached(channel, scenario.guest.memory_bytes)
        try:
            with _opened(attached, name) as tracker:
                measured = _Windows(attached, channel, tracker)
                for window in range(1, windows + 1):
                    measured.run_to(window * operations)
                    progress()
                return measured.cost(name, exact)
        except CapabilityError as error:
            return TrackerCost(tracker=name, exact=exact, available=False, reason=str(error))
        finally:
            attached.close()


@contextlib.contextmanager
def _opened(attached: Attached, name: str) -> Iterator[Tracker | None]:
    if name == _NONE:
        yield None
        return
    tracker = attached.open_tracker(name)
    try:
        yield tracker
    finally:
        tracker.close()


class _Windows:
    """The windows of one tracker, and their sums."""

    def __init__(self, attached: Attached, channel: Channel, tracker: Tracker | None) -> None:
        self._channel, self._tracker = channel, tracker
        written = attached.written()
        assert written is not None
        self._written: npt.NDArray[np.uint8] = written
        self._guest_cpu = attached.cpu_s
        self._pages = np.zeros(3, np.int64)
        self._collect_s: list[float] = []
        self._before = time.process_time(), attached.cpu_s()
        start_s = time.perf_counter()
        if tracker is not None:
            tracker.arm()
        self._arm_s = time.perf_counter() - start_s

    def run_to(self, operation: int) -> None:
        """Let the guest run to an operation, then collect and compare."""
        self._channel.send({"do": "run_to", "operation": operation})
        self._channel.receive(_WINDOW_TIMEOUT_S)
        truth = self._written.astype(np.bool_)
        found = np.zeros_like(truth)
        start_s = time.perf_counter()
        ranges = self._tracker.collect() if self._tracker is not None else ()
        self._collect_s.append(time.perf_counter() - start_s)
        for first, last in ranges:
            found[first:last] = True
        self._written[:] = 0
        self._pages += truth.sum(), (truth & ~found).sum(), (found & ~truth).sum()

    def cost(self, name: str, exact: bool) -> TrackerCost:
        """Return the sums; without a tracker nothing counts as missed."""
        written, missed, extra = self._pages.tolist()
        process_s, guest_s = self._before
        return TrackerCost(
            tracker=name,
            exact=exact,
            written_pages=written,
            missed_pages=missed if self._tracker is not None else 0,
            extra_pages=extra,
            arm_s=self._arm_s,
            collect_s=statistics.median(self._collect_s),
            tracker_cpu_s=time.process_time() - process_s,
            guest_cpu_s=self._guest_cpu() - guest_s,
        )
