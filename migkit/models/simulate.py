"""A scenario in, page-level runs out: the reference that predictions are checked against."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.errors import UsageError
from migkit.kernels import _jit, layout, pages, policy
from migkit.models import goodput as paths
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Frames", "Run", "Simulation", "simulate"]

_VERDICTS: Final = {
    policy.SWITCHOVER: "converges",
    policy.POSTCOPY: "converges",
    policy.ABORT: "aborted",
    policy.TIME_OUT: "timed_out",
    layout.SETTLED: "does_not_converge",
}
_MOST_FRAMES: Final = 2000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One simulated migration; names as in :class:`migkit.models.result.Prediction`.

    Attributes
    ----------
    verdict
        ``converges``, ``does_not_converge``, ``aborted`` or ``timed_out``.
    total_time_s, downtime_s
        Request to source released; guest stopped to guest running [s].
    transferred_bytes
        Bytes on the wire.
    iterations
        Bitmap syncs, the first one included.
    remaining_at_switchover_bytes
        Page bytes left by the last sync before the stop [B].
    normal_pages, zero_pages
        Pages sent in full, and as zero pages.
    postcopy_faults, blocktime_s
        Demand faults, and the time for which the guest waited for them [s].
    guest_slowdown
        Share of its progress that the guest lost between request and end; downtime is apart.
    """

    verdict: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    iterations: int
    remaining_at_switchover_bytes: float
    normal_pages: int
    zero_pages: int
    postcopy_faults: int
    blocktime_s: float
    guest_slowdown: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The bitmaps of one run over time, down-sampled, for animation.

    Attributes
    ----------
    times_s
        When each frame was taken [s].
    pending, dirty
        One row a frame, one column a bin of addresses: share of its pages that are to be sent, and that
        were written since the last sync.
    """

    times_s: np.ndarray
    pending: np.ndarray
    dirty: np.ndarray


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Frozen result of :func:`simulate`.

    Attributes
    ----------
    seed
        From which every run can be made again.
    runs
        The runs, in order.
    frames
        Of the first run; None unless asked for.
    """

    seed: int
    runs: tuple[Run, ...]
    frames: Frames | None = None

    def mean(self, name: str) -> float:
        """Return the mean of a number over the runs."""
        return math.fsum(getattr(run, name) for run in self.runs) / len(self.runs)

    def spread(self, name: str) -> float:
        """Return the standard deviation of a number over the runs; NaN for a single one."""
        if len(self.runs) < 2:
            return math.nan
        mean = self.mean(name)
        return math.sqrt(math.fsum((getattr(run, name) - mean) ** 2 for run in self.runs) / (len(self.runs) - 1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a run."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(run) for run in self.runs])

    def summary(self) -> pd.DataFrame:
        """Return mean, spread, least and greatest of every number over the runs."""
        frame: pd.DataFrame = self.to_frame().drop(columns="verdict").agg(["mean", "std", "min", "max"]).T
        return frame


def simulate(scenario: Scenario, *, seed: int = 0, repeats: int = 1, frames: int = 0, bins: int = 256) -> Simulation:
    """Simulate a migration page by page, ``repeats`` times.

    Every page is sent or not and every write goes to one page; the policy is asked at every window. The
    first call of a process compiles the kernels.

    Parameters
    ----------
    scenario
        What is moved, over what, by which rule.
    seed
        Of the generator from which each run gets a stream of its own.
    repeats
        Number of runs.
    frames, bins
        Record the first run as that many frames of that many bins of addresses each.

    Raises
    ------
    UsageError
        A count is out of range.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy, Scenario
    >>> guest = Guest(memory_bytes=2**26, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=2000),))
    >>> result = simulate(Scenario(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=5e7)), seed=1, repeats=3)
    >>> result.runs[0].verdict, round(result.mean("total_time_s"), 1)
    ('converges', 1.2)
    """
    if repeats < 1:
        raise UsageError(f"simulate: {repeats} repeats is too few; it must be at least 1")
    if not 0 <= frames <= _MOST_FRAMES or bins < 1:
        raise UsageError(
            f"simulate: {frames} frames of {bins} bins; use at most {_MOST_FRAMES} frames, at least 1 bin"
        )
    _jit.compile_kernels()
    streams = np.random.SeedSequence(seed).spawn(repeats)
    runs = [_run(scenario, np.random.default_rng(stream), None)[0] for stream in streams]
    recorded = None
    if frames:
        every_s = max(runs[0].total_time_s / frames, 1e-6)
        room = (every_s, np.full(frames + 2, math.nan), np.zeros((frames + 2) * bins), np.zeros((frames + 2) * bins))
        _, count = _run(scenario, np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0]), room)
        pending, dirty = (array.reshape(-1, bins)[:count] for array in room[2:])
        recorded = Frames(times_s=room[1][:count], pending=pending, dirty=dirty)
    return Simulation(seed=seed, runs=tuple(runs), frames=recorded)


_NO_FRAMES: Final = (math.inf, np.zeros(0), np.zeros(0), np.zeros(0))


def _run(scenario: Scenario, rng: np.random.Generator, room: Any) -> tuple[Run, int]:
    """Return one run, and how many frames it wrote into ``room``."""
    packed, _ = paths.packed(scenario)
    result = np.zeros(layout.RESULT_SLOTS)
    regions = sum(one.region_pages for one in scenario.guest.dirty)
    rest = packed.record[layout.NORMAL_PAGES] + packed.record[layout.ZERO_PAGES]
    memory = np.zeros(regions + int(rest), dtype=np.uint16)
    every_s, times, pending, dirty = room or _NO_FRAMES
    pages.pages_one(
        packed.record,
        packed.steps,
        packed.parameters,
        memory,
        rng,
        result,
        np.zeros(0),
        np.zeros(0),
        every_s,
        times,
        pending,
        dirty,
        _jit.callback(scenario.policy.rule),
    )
    return _summary(scenario, result), int(np.count_nonzero(~np.isnan(times)))


def _summary(scenario: Scenario, result: np.ndarray) -> Run:
    total_s = float(result[layout.TOTAL_S])
    return Run(
        verdict=_VERDICTS[int(result[layout.ACTION])],
        total_time_s=total_s,
        downtime_s=float(result[layout.DOWNTIME_S]),
        transferred_bytes=float(result[layout.SENT]) + paths.storage_sent_bytes(scenario, total_s),
        iterations=int(result[layout.ITERATIONS]),
        remaining_at_switchover_bytes=float(result[layout.SWITCHOVER_PAGES]) * PAGE_BYTES,
        normal_pages=int(result[layout.SENT_NORMAL]),
        zero_pages=int(result[layout.SENT_ZERO]),
        postcopy_faults=int(result[layout.FAULTS]),
        blocktime_s=float(result[layout.BLOCKTIME_S]),
        guest_slowdown=float(result[layout.LOST_S]) / total_s if total_s > 0 else 0.0,
    )
