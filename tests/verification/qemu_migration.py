"""One real migration by :mod:`migkit.qemu` as verification looks at it: what QEMU itself said, undisturbed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from migkit.qemu.capture import Options, capture
from migkit.scenario import Scenario
from migkit.traces import Trace

PRIORITY = 10
TRIES = 3
DISTURBED = 0.02  # of a migration's time: a hypervisor withheld a processor for longer


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What ``query-migrate`` said of a migration when it ended, or when its time was over."""

    status: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: int
    normal_pages: int
    zero_pages: int
    dirty_sync_count: int
    postcopy_requests: int
    max_throttle_percent: int
    stolen_s: float
    pause_s: float

    @property
    def disturbed(self) -> bool:
        """Whether the machine's own hypervisor withheld its processors for long."""
        return self.stolen_s > DISTURBED * self.total_time_s


def outcome_of(trace: Trace) -> Outcome:
    """Return what QEMU said of a captured migration, with the pause that the guest measured."""
    said, machine = trace.machine["query_migrate"]["source"], trace.machine
    ram = said.get("ram", {})
    return Outcome(
        status="completed" if trace.outcome.verdict == "converges" else "timeout",
        total_time_s=trace.outcome.total_time_s,
        downtime_s=machine["pause"]["reported_s"],
        transferred_bytes=trace.outcome.transferred_bytes,
        normal_pages=ram.get("normal", 0),
        zero_pages=ram.get("duplicate", 0),
        dirty_sync_count=trace.outcome.iterations,
        postcopy_requests=ram.get("postcopy-requests", 0),
        max_throttle_percent=max(filter(None, machine["readings"]["cpu-throttle-percentage"]), default=0),
        stolen_s=machine["withheld_s"],
        pause_s=machine["pause"]["guest_s"],
    )


def migrate(qemu: str, scenario: Scenario, seed: int) -> tuple[Trace, Outcome]:
    """Run a migration; again if it was disturbed, at most ``TRIES`` times. Return the least disturbed run.

    The trace holds the scenario with the places at which its sweeps stood.
    """
    runs: list[tuple[Trace, Outcome]] = []
    while len(runs) < TRIES and all(outcome.disturbed for _, outcome in runs):
        trace = capture(scenario, Options(qemu=qemu, seed=seed, warm_up_s=1.0))
        runs.append((trace, outcome_of(trace)))
    return min(runs, key=lambda run: run[1].stolen_s / run[1].total_time_s)


@contextlib.contextmanager
def undisturbed() -> Iterator[bool]:
    """Go before other processes, with all that this one starts; yield whether that is permitted.

    So do the kernel's threads that take packets on the loopback interface, which the push of post-copy waits for.
    """
    before = {task: (os.sched_getscheduler(task), os.sched_getparam(task)) for task in (0, *_packet_threads())}
    try:
        for task in before:
            os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(PRIORITY))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        for task, scheduling in before.items():
            os.sched_setscheduler(task, *scheduling)


def _packet_threads() -> list[int]:
    return [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/comm") if _name(path).startswith("ksoftirqd")
    ]


def _name(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
