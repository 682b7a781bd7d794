"""Measure the dirty curve ``U(t)`` of a running program: distinct pages written within windows of many lengths.

One pass write-protects all memory once and counts at ever later times without protecting again, so
that a pass gives a whole curve, each point counted from the same clean start.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit import __version__
from migkit.errors import UsageError, printable
from migkit.harness.tracking.program import TrackedProcess
from migkit.scenario.profile import SCHEMA_VERSION, DirtyProfile
from migkit.units import PAGE_BYTES, format_duration, format_size

__all__ = ["DirtyMeasurement", "measure", "window_grid"]

_UNSTABLE: Final = 0.25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DirtyMeasurement:
    """Repeated dirty curves of one program.

    Attributes
    ----------
    elapsed_s
        When each count was taken, since its pass began: (repeats, windows) [s].
    unique_pages
        What was counted then: (repeats, windows) [pages].
    memory_bytes
        Writable memory that held something, at most over the passes [B].
    program
        Its command line.
    means
        How it was tracked.
    process
        What was measured; says what it cost once it is closed.
    """

    elapsed_s: npt.NDArray[np.float64]
    unique_pages: npt.NDArray[np.float64]
    memory_bytes: int
    program: str
    means: str
    process: TrackedProcess

    @property
    def cost(self) -> dict[str, Any]:
        """What tracking took of the program, by name and unit."""
        return self.process.cost

    def warnings(self) -> list[str]:
        """Return what lessens the worth of the curve, a line each."""
        found = []
        if not self.is_stable:
            found.append(
                f"unstable: the repeats differ by {self.spread:.0%}; measure longer windows, or more repeats"
            )
        if self.process.pinned_bytes:
            found.append(
                f"{format_size(self.process.pinned_bytes)} are pinned for devices or rings (io_uring, RDMA, VFIO), "
                "whose writes no page table shows; the curve is a lower bound"
            )
        return found

    @property
    def spread(self) -> float:
        """Standard deviation of the repeats over their mean, at the longest window; 0 for a single pass."""
        last = self.unique_pages[:, -1]
        return float(last.std(ddof=1) / max(1.0, last.mean())) if last.size > 1 else 0.0

    @property
    def is_stable(self) -> bool:
        """Whether the repeats agree within a quarter."""
        return self.spread <= _UNSTABLE

    def profile(self) -> DirtyProfile:
        """Return the mean curve, as a scenario takes it."""
        return DirtyProfile(
            windows_s=tuple(self.elapsed_s.mean(axis=0).tolist()),
            unique_pages=tuple(self.unique_pages.mean(axis=0).tolist()),
            memory_bytes=self.memory_bytes,
        )

    def to_record(self) -> dict[str, Any]:
        """Return the content of a profile file."""
        mean = self.profile()
        return {
            "schema_version": SCHEMA_VERSION,
            "migkit_version": __version__,
            "kind": "dirty profile",
            "program": self.program,
            "tracker": self.means,
            "memory_bytes": self.memory_bytes,
            "page_bytes": PAGE_BYTES,
            "windows_s": list(mean.windows_s),
            "unique_pages": list(mean.unique_pages),
            "pinned_bytes": self.process.pinned_bytes,
            "cost": self.cost,
            "repeats": {"elapsed_s": self.elapsed_s.tolist(), "unique_pages": self.unique_pages.tolist()},
        }


def window_grid(shortest_s: float, longest_s: float, per_decade: int = 4) -> tuple[float, ...]:
    """Return windows from the shortest to the longest, evenly spaced in their logarithm [s].

    Raises
    ------
    UsageError
        The shortest is 0 or not below the longest, or less than one a decade is asked for.

    Examples
    --------
    >>> [round(w, 3) for w in window_grid(0.01, 1.0, per_decade=2)]
    [0.01, 0.032, 0.1, 0.316, 1.0]
    """
    if not 0 < shortest_s < longest_s or per_decade < 1:
        raise UsageError(
            f"windows: {format_duration(shortest_s)} to {format_duration(longest_s)}, {per_decade} a decade, is no "
            "grid; the shortest must be above 0 s and below the longest, with at least 1 a decade"
        )
    count = max(2, round(np.log10(longest_s / shortest_s) * per_decade) + 1)
    return tuple(np.geomspace(shortest_s, longest_s, count).tolist())


def measure(
    process: TrackedProcess,
    windows_s: Sequence[float],
    repeats: int = 3,
    progress: Callable[[], object] = lambda: None,
) -> DirtyMeasurement:
    """Measure the dirty curve of a program that goes on running.

    Parameters
    ----------
    process
        The program's memory.
    windows_s
        Lengths of the windows, ascending [s]; a count that takes longer than the time to the next
        window makes that one later, and the time at which it was really taken is kept.
    repeats
        Passes, each as long as the longest window.
    progress
        Called after each count.

    Raises
    ------
    RunError
        The program ended.
    """
    passes = []
    memory_pages = process.populated_pages()  # loads what counts, before a window begins
    for _ in range(repeats):
        passes.append(_one_pass(process, windows_s, progress))
        memory_pages = max(memory_pages, process.populated_pages())
    curves = np.array(passes)
    unique_pages = np.maximum.accumulate(curves[:, :, 1], axis=1)
    memory_bytes = int(max(memory_pages, unique_pages.max())) * PAGE_BYTES
    return DirtyMeasurement(
        elapsed_s=curves[:, :, 0],
        unique_pages=unique_pages,
        memory_bytes=memory_bytes,
        program=_command_line(process.pid),
        means=process.means,
        process=process,
    )


def _one_pass(
    process: TrackedProcess, windows_s: Sequence[float], progress: Callable[[], object]
) -> list[tuple[float, int]]:
    """Return (time, pages) a window; times are from the middle of the arming to the middle of the count."""
    before_s = time.perf_counter()
    process.arm()
    start_s = (before_s + time.perf_counter()) / 2
    counts = []
    for window_s in windows_s:
        process.rest(start_s + window_s - time.perf_counter())
        before_s = time.perf_counter()
        pages = process.written_pages()
        counts.append(((before_s + time.perf_counter()) / 2 - start_s, pages))
        progress()
    return counts


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return printable(words.replace(b"\0", b" ").decode(errors="replace").strip())
