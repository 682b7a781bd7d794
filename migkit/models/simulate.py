"""A scenario in, page-level runs out: the reference that predictions are checked against."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from migkit import jit
from migkit.engine.records import Result, RoundRow, TimePoint
from migkit.errors import UsageError
from migkit.models import admission
from migkit.models import goodput as paths
from migkit.models.predict import verdict_of
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.form.given import Given, scenario_of
from migkit.simulator import alike_rounds, precopy, records
from migkit.simulator.film import STATES
from migkit.units import GIB, PAGE_BYTES, format_duration, format_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROUNDS_SHOWN", "STATES", "Frames", "Run", "Simulation", "simulate"]

ROUNDS_SHOWN: Final = 12
"""Of the frames of a run that does not converge."""

_MOST_FRAMES: Final = 2000
_MOST_CELLS: Final = 65_536
_MOST_REPEATS: Final = 1_000_000
_MOST_MEMORY_BYTES: Final = 256 * GIB
_GAVE_UP: Final = {
    alike_rounds.ALIKE: "the rounds are alike, far from what would end them, and the policy waits for nothing",
    alike_rounds.BY_SYNCS: f"not decided within {alike_rounds.MOST_SYNCS:,.0f} bitmap syncs",
    alike_rounds.BY_WORK: "not decided within the work that a run may cost",
    alike_rounds.BY_TIME: f"not over within {alike_rounds.MOST_S:g} s",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One simulated migration; names as in :class:`migkit.models.result.Prediction`.

    Attributes
    ----------
    verdict
        ``converges``, ``does_not_converge``, ``aborted`` or ``timed_out``.
    reason
        Why a run that does not converge was given up, or a migration was not admitted; empty for all others.
    total_time_s, downtime_s
        Request to source released, infinite for a run that does not converge; guest stopped to guest running [s].
    transferred_bytes
        Bytes on the wire; infinite for a run that does not converge.
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
    reason: str
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
    """What pages were at moments of one run, for animation.

    Attributes
    ----------
    times_s
        When each frame was taken, since the request [s].
    rounds
        How many bitmap syncs there were by then.
    states
        One row a frame, one column a cell, in the order of addresses: a number into :data:`STATES`. A cell is one
        page; of a guest with more pages than cells, the first of as many pages as a cell stands for.
    pages_a_cell
        How many pages a cell stands for.
    stopped_s, resumed_s
        When the guest stopped at the source and ran again, at the destination [s]; infinite for a run in which it
        stays.
    """

    times_s: np.ndarray
    rounds: np.ndarray
    states: np.ndarray
    pages_a_cell: float
    stopped_s: float
    resumed_s: float

    def shares(self) -> np.ndarray:
        """Return the share of the cells in each state: one row a frame, one column a state."""
        return np.stack([(self.states == number).mean(axis=1) for number in range(len(STATES))], axis=1)

    def packed(self) -> bytes:
        """Return what :func:`zlib.compress` makes of the states, each frame as what differs from the one before.

        Differences are those of exclusive or, which leads from a frame to the next one and back.
        """
        changes = self.states.copy()
        changes[1:] ^= self.states[:-1]
        return zlib.compress(changes.tobytes(), level=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        runs, first = self.runs, self.runs[0]
        verdicts = sorted({run.verdict for run in runs})
        total, down = format_duration(self.mean("total_time_s")), format_duration(self.mean("downtime_s"))
        what = f"{len(runs)} runs, {' or '.join(verdicts)}" if len(runs) > 1 else first.verdict
        return f"<Simulation: {what}, total {total}, downtime {down}>"

    def mean(self, name: str) -> float:
        """Return the mean of a number over the runs."""
        return math.fsum(getattr(run, name) for run in self.runs) / len(self.runs)

    def spread(self, name: str) -> float:
        """Return the standard deviation of a number over the runs; NaN for a single one, or where one is infinite."""
        if len(self.runs) < 2 or math.isinf(self.mean(name)):
            return math.nan
        mean = self.mean(name)
        return math.sqrt(math.fsum((getattr(run, name) - mean) ** 2 for run in self.runs) / (len(self.runs) - 1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a run."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(run) for run in self.runs])

    def summary(self) -> pd.DataFrame:
        """Return mean, spread, least and greatest of every number over the runs."""
        frame: pd.DataFrame = self.to_frame().drop(columns=["verdict", "reason"]).agg(["mean", "std", "min", "max"]).T
        return frame


def simulate(
    scenario: Given | None = None,
    *,
    guest: Guest | None = None,
    link: Link | None = None,
    host: Host | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
    seed: int = 0,
    repeats: int = 1,
    frames: int = 0,
    cells: int = 65_536,
) -> Simulation:
    """Simulate a migration page by page, ``repeats`` times.

    Every page is sent or not and every write goes to one page; the policy is asked at every window. The
    first call of a process compiles the kernels.

    A guest that does not converge is found out by its rounds, which are alike, and so the work is bounded, whatever
    the rates: about two seconds for guests up to 128 MiB and 16 s for larger ones, or 20 passes if these take longer.
    What is not decided by then does not converge either, and the run's ``reason`` says so.
    :mod:`migkit.simulator.precopy` says what is averaged.

    Parameters
    ----------
    scenario
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping.
    guest, link, host, policy, strategy
        What goes with a guest; each but the guest has a documented default.
    seed
        Of the generator from which each run gets a stream of its own.
    repeats
        Number of runs.
    frames, cells
        Record the first run as that many frames, evenly in time, and one more after each bitmap sync, of at most
        that many cells. Of a run that does not converge, the first ROUNDS_SHOWN rounds are recorded.

    Raises
    ------
    UsageError
        A count is out of range, the guest has too many pages to look at each of them, or a registered rule
        returned what is no action.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest, Policy, Scenario
    >>> guest = Guest(memory_bytes=2**26, dirty=(DirtyClass(region_bytes=2**24, writes_per_s=2000),))
    >>> result = simulate(guest, policy=Policy(max_bandwidth_bytes_per_s=5e7), seed=1, repeats=3)
    >>> result.runs[0].verdict, round(result.mean("total_time_s"), 1)
    ('converges', 1.2)
    """
    scenario = scenario_of(scenario, "simulate", guest=guest, link=link, host=host, policy=policy, strategy=strategy)
    _check_counts(repeats, frames, cells)
    _check_size(scenario)
    jit.compile_kernels()
    runs = [_run(scenario, _stream(seed, number), None) for number in range(repeats)]
    recorded = _frames(scenario, _stream(seed, 0), runs[0], frames, cells) if frames else None
    return Simulation(seed=seed, runs=tuple(one.run for one in runs), frames=recorded)


def _check_counts(repeats: int, frames: int, cells: int) -> None:
    if repeats < 1:
        raise UsageError(f"simulate: {repeats} repeats is too few; it must be at least 1")
    if repeats > _MOST_REPEATS:
        raise UsageError(f"simulate: {repeats} repeats are too many; it must be at most {_MOST_REPEATS}")
    if not 0 <= frames <= _MOST_FRAMES or not 1 <= cells <= _MOST_CELLS:
        raise UsageError(
            f"simulate: {frames} frames of {cells} cells; use at most {_MOST_FRAMES} frames, and 1 to {_MOST_CELLS} "
            "cells"
        )


def _check_size(scenario: Scenario) -> None:
    """Raise unless a run holds so many pages in memory and looks at them in bounded time."""
    size = _pages(scenario) * PAGE_BYTES
    if size > _MOST_MEMORY_BYTES:
        raise UsageError(
            f"simulate: a guest of {format_size(size)}, firmware included, is too large to look at each of its "
            f"pages; it must be at most {format_size(_MOST_MEMORY_BYTES)}; predict it, or simulate a smaller one"
        )


def _pages(scenario: Scenario) -> int:
    """Return the pages that a run moves."""
    firmware_bytes = scenario.host.firmware_bytes
    if firmware_bytes is None:
        firmware_bytes = scenario.policy.preset.firmware_bytes
    return scenario.guest.memory_pages - -firmware_bytes // PAGE_BYTES


def _stream(seed: int, number: int) -> np.random.Generator:
    """Return the generator of one run."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def _frames(scenario: Scenario, rng: np.random.Generator, before: _Simulated, frames: int, cells: int) -> Frames:
    """Return frames of a run that was made ``before``."""
    pages, rounds = _pages(scenario), before.run.iterations
    shown = min(rounds, ROUNDS_SHOWN) if before.run.verdict == "does_not_converge" else rounds
    until_s = before.lasted_s * shown / max(1, rounds)
    most, cells = frames + min(rounds, _MOST_FRAMES) + 2, min(cells, pages)
    film = records.new_film(pages, most, cells, max(until_s / frames, 1e-6))
    again = _run(scenario, rng, film)
    taken = int(film.shutter.taken)
    count = int(np.searchsorted(film.times_s[:taken], until_s, side="right"))
    return Frames(
        times_s=film.times_s[:count],
        rounds=film.rounds[:count].astype(np.int64),
        states=film.cells.reshape(most, cells)[:count],
        pages_a_cell=pages / cells,
        stopped_s=again.stopped_s,
        resumed_s=again.stopped_s + again.run.downtime_s,
    )


class _Simulated(NamedTuple):
    """One run, how long it was simulated, and when the guest stopped [s]."""

    run: Run
    lasted_s: float
    stopped_s: float


def _run(scenario: Scenario, rng: np.random.Generator, film: records.Film | None) -> _Simulated:
    """Simulate one run and write frames into ``film``."""
    refusal = admission.refusal(scenario)
    if refusal:
        return _Simulated(_refused(refusal), 0.0, math.inf)
    packed, _ = paths.packed(scenario)
    result = Result.new()
    memory = np.zeros(_pages(scenario), dtype=np.uint16)
    precopy.pages_one(
        *packed.of_one(),
        records.room(packed, memory.size),
        records.new_film() if film is None else film,
        memory,
        rng,
        result,
        jit.rows(RoundRow, np.zeros(0)),
        jit.rows(TimePoint, np.zeros(0)),
        jit.callback(scenario.policy.decider),
    )
    stopped_s = float(result.stop_s) if result.downtime_s > 0.0 else math.inf
    return _Simulated(_summary(scenario, result), float(result.total_s), stopped_s)


def _refused(refusal: str) -> Run:
    """Return the run of a migration that is not admitted: nothing happens."""
    numbers = [f.name for f in dataclasses.fields(Run) if f.type in ("float", "int")]
    return Run(verdict="aborted", reason=refusal, **dict.fromkeys(numbers, 0))


def _reason(result: Result) -> str:
    """Say why a run was given up, and when."""
    why, syncs = _GAVE_UP[int(result.gave_up)], int(result.iterations)
    return f"{why}: {syncs} bitmap syncs, {result.normal_pages:,.0f} pages sent"


def _summary(scenario: Scenario, result: Result) -> Run:
    total_s = float(result.total_s)
    verdict = verdict_of(scenario, int(result.action))
    endless = verdict == "does_not_converge"
    return Run(
        verdict=verdict,
        reason=_reason(result) if endless else "",
        total_time_s=math.inf if endless else total_s,
        downtime_s=float(result.downtime_s),
        transferred_bytes=math.inf
        if endless
        else float(result.sent_bytes) + paths.storage_sent_bytes(scenario, total_s),
        iterations=int(result.iterations),
        remaining_at_switchover_bytes=float(result.switchover_pages) * PAGE_BYTES,
        normal_pages=int(result.normal_pages),
        zero_pages=int(result.zero_pages),
        postcopy_faults=int(result.faults),
        blocktime_s=float(result.blocktime_s),
        guest_slowdown=float(result.lost_s) / total_s if total_s > 0 else 0.0,
    )
