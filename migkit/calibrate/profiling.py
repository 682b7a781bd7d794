"""The page classes of a guest that runs, measured before it moves, for no longer than its answer needs.

A pass counts distinct pages in windows from below the downtime limit up to the length of the first pass of its
migration. After each pass the migration is predicted from each pass alone. The measurement stops when the 90 %
interval of the mean of these predictions (Student's t) is narrow enough, or its time is over. Then short windows, one
behind the other, show whether the guest has phases.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from migkit.calibrate.guest import readings
from migkit.calibrate.guest.curve import fit_curve
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.guest.rounds import Round
from migkit.calibrate.guest.stationary import steps_of
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.units import PAGE_BYTES, format_duration, format_size

__all__ = ["Answer", "Profiled", "Source", "guest_of", "profile"]

_LEAST_PASSES: Final = 3
_MOST_PASSES: Final = 50
_SHORTEST_S: Final = 0.01
_LONG_S: Final = 4.0  # that a pass takes even where the first pass is shorter
_SHARE: Final = 0.2  # of the time allowed: the longest window
_POINTS: Final = 7
_BEAT_S: Final = 0.25
_BEATS: Final = 40
_TIMING_S: Final = 0.001  # to which a window's length is known
_FITS: Final = 0.08  # a curve that is missed by no more is fitted
_TURNS: Final = 20
_DRIFT: Final = 0.15
_QUANTILES: Final = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83)  # of Student's t at 0.95, 1 to 9
_NORMAL: Final = 1.7


class Source(Protocol):
    """What counts the pages that a guest writes; the example of :func:`profile` has one.

    Attributes
    ----------
    name
        How it counts, in words.
    memory_bytes
        What the guest has [B].
    """

    name: str
    memory_bytes: int

    def zero_bytes(self) -> int:
        """Return how much of the memory is zero [B]; 0 where that is not known."""
        ...

    def once(self, windows_s: Sequence[float]) -> list[Reading]:
        """Return one pass: distinct pages in windows of about these lengths."""
        ...

    def beats(self, window_s: float, count: int) -> list[float]:
        """Return the pages written in so many windows, one behind the other; none where it cannot."""
        ...


class Answer(NamedTuple):
    """What the migration will take, by the mean of the passes, and half of its 90 % interval, as a share of it."""

    what: str
    value_s: float
    half_width: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A guest as it was measured.

    Attributes
    ----------
    guest
        Its memory, zero pages and page classes.
    curve
        The mean of the passes.
    passes
        How many there were.
    took_s
        For how long it was measured [s].
    answer
        What the measurement was to tell.
    said
        What was found, in sentences.
    """

    guest: Guest
    curve: tuple[Reading, ...]
    passes: int
    took_s: float
    answer: Answer
    said: tuple[str, ...]


def profile(
    source: Source,
    case: Scenario,
    *,
    within: float = 0.05,
    limit_s: float = 30.0,
    progress: Callable[[int, Answer], object] = lambda passes, answer: None,
) -> Profiled:
    """Measure a guest until its migration is known well enough.

    Parameters
    ----------
    source
        What counts.
    case
        The migration that is planned: its link, cap and limit; its guest is not looked at.
    within
        Half of the 90 % interval of the answer, as a share of it, at which to stop.
    limit_s
        For how long to measure at most [s].
    progress
        Told the number of passes and the answer after each.

    Examples
    --------
    >>> class Known:
    ...     name, memory_bytes = "by definition", 2**30
    ...     def zero_bytes(self): return 2**29
    ...     def once(self, windows_s): return [Reading(w, 8192 * (1 - math.exp(-w))) for w in windows_s]
    ...     def beats(self, window_s, count): return []
    >>> found = profile(Known(), Scenario(guest=Guest(memory_bytes=2**30)))
    >>> found.passes, round(unique_dirty_pages(found.guest, 1.0), -2)
    (3, 5200.0)
    """
    began_s = time.monotonic()
    zero = min(source.zero_bytes(), source.memory_bytes - PAGE_BYTES) // PAGE_BYTES * PAGE_BYTES
    empty = Guest(memory_bytes=source.memory_bytes, zero_bytes=zero)
    windows_s = windows_of(case, empty, limit_s)
    passes: list[list[Reading]] = []
    told: list[_Told] = []
    answer = Answer("", math.nan, math.inf)
    while not _enough(passes, answer, within, time.monotonic() - began_s, limit_s):
        passes.append(source.once(windows_s))
        told.append(_tell(passes[-1], empty, case))
        answer = _answer(told)
        progress(len(passes), answer)
    curve = _mean(passes)
    dirty, said = _with_phases(source, _classes(curve, empty), empty, limit_s - (time.monotonic() - began_s))
    return Profiled(
        guest=dataclasses.replace(empty, dirty=dirty),
        curve=tuple(curve),
        passes=len(passes),
        took_s=time.monotonic() - began_s,
        answer=answer,
        said=(*_drift(passes), *said),
    )


def guest_of(curve: Sequence[Reading], memory_bytes: int, zero_bytes: int = 0) -> Guest:
    """Return the guest that one pass shows.

    Examples
    --------
    >>> guest = guest_of([Reading(0.1, 100.0), Reading(1.0, 950.0)], 2**28)
    >>> round(unique_dirty_pages(guest, 1.0))
    950
    """
    empty = Guest(memory_bytes=memory_bytes, zero_bytes=zero_bytes)
    return dataclasses.replace(empty, dirty=_classes(curve, empty))


def windows_of(case: Scenario, guest: Guest, limit_s: float) -> tuple[float, ...]:
    """Return the windows of a pass: from a third of the downtime limit to the length of the migration's first pass.

    A pass of 4 s tells enough for caps other than the planned one, too.

    Examples
    --------
    >>> guest = Guest(memory_bytes=2**30)
    >>> [round(one, 2) for one in windows_of(Scenario(guest=guest), guest, limit_s=30.0)]
    [0.1, 0.2, 0.39, 0.77, 1.53, 3.03, 6.0]
    """
    speed = min(case.policy.max_bandwidth_bytes_per_s, case.link.bandwidth_bytes_per_s)
    first_s = (guest.memory_bytes - guest.zero_bytes) / speed
    shortest_s = max(_SHORTEST_S, case.policy.downtime_limit_s / 3.0)
    longest_s = max(min(max(first_s, _LONG_S), _SHARE * limit_s), 2.0 * shortest_s)
    return tuple(np.geomspace(shortest_s, longest_s, _POINTS).tolist())


def _enough(passes: Sequence[object], answer: Answer, within: float, took_s: float, limit_s: float) -> bool:
    if len(passes) < 2:
        return False
    each_s = took_s / len(passes)
    narrow = len(passes) >= _LEAST_PASSES and answer.half_width <= within
    return narrow or took_s + each_s > limit_s or len(passes) >= _MOST_PASSES


def _mean(passes: Sequence[Sequence[Reading]]) -> list[Reading]:
    windows = np.mean([[one.window_s for one in row] for row in passes], axis=0)
    pages = np.mean([[one.pages for one in row] for row in passes], axis=0)
    return [Reading(float(w), float(n)) for w, n in zip(windows, pages, strict=True)]


def _classes(curve: Sequence[Reading], guest: Guest) -> tuple[DirtyClass, ...]:
    """Return classes of random writes with this curve, or where these do not fit, such as go through its points."""
    limit = (guest.memory_bytes - guest.zero_bytes) / PAGE_BYTES
    held = [one._replace(pages=min(one.pages, limit)) for one in curve]
    if held[-1].pages < 1.0:
        return ()
    alike = [
        Round(
            start_s=0.0,
            window_s=one.window_s,
            window_error_s=_TIMING_S,
            marked_pages=one.pages,
            to_send_pages=1.0,
            pending_pages=0.0,
        )
        for one in held
    ]
    random = fit_curve(alike, limit).classes()
    through = readings.through(held, limit)
    return min((random, through), key=lambda classes: _misfit(classes, held, guest) // _FITS)


def _misfit(classes: tuple[DirtyClass, ...], curve: Sequence[Reading], guest: Guest) -> float:
    """Return by how much classes miss the curve where they miss it most, as a share.

    A hundredth of its highest point is added to each point: few pages more or less do not matter where there are few.
    """
    told = dataclasses.replace(guest, dirty=classes)
    slack = 0.01 * curve[-1].pages + 1.0
    return max(abs(unique_dirty_pages(told, one.window_s) - one.pages) / (one.pages + slack) for one in curve)


class _Told(NamedTuple):
    """What one pass says of the migration: its total time, infinite where it never ends, and where it settles."""

    total_time_s: float
    natural_downtime_s: float


def _tell(row: Sequence[Reading], guest: Guest, case: Scenario) -> _Told:
    planned = dataclasses.replace(case, guest=dataclasses.replace(guest, dirty=_classes(row, guest)))
    found = predict(planned, level=None, detail=False)
    ends = found.verdict == "converges"
    return _Told(found.total_time_s if ends else math.inf, found.natural_downtime_s)


def _answer(told: Sequence[_Told]) -> Answer:
    """Return the total time where each pass says that it converges, else the natural downtime."""
    what, values = "total time", [one.total_time_s for one in told]
    if not np.isfinite(values).all():
        what, values = "natural downtime", [one.natural_downtime_s for one in told]
    mean = float(np.mean(values))
    if len(values) < 2 or mean <= 0.0:
        return Answer(what, mean, math.inf if len(values) < 2 else 0.0)
    count = len(values) - 1
    student = _QUANTILES[count - 1] if count <= len(_QUANTILES) else _NORMAL
    return Answer(what, mean, student * float(np.std(values, ddof=1)) / math.sqrt(len(values)) / mean)


def _drift(passes: Sequence[Sequence[Reading]]) -> tuple[str, ...]:
    last = np.array([row[-1].pages for row in passes])
    if last.size < 2 * _LEAST_PASSES or last.mean() < 1.0:
        return ()
    early, late = last[: last.size // 2].mean(), last[last.size // 2 :].mean()
    if abs(late / max(early, 1.0) - 1.0) < _DRIFT:
        return ()
    word = "more" if late > early else "less"
    longest = format_duration(passes[0][-1].window_s)
    return (
        f"Not stationary: in {longest} it wrote {format_size(early * PAGE_BYTES)} at first and "
        f"{format_size(late * PAGE_BYTES)} in the end, {word} and {word}. The curve is that of the whole time.",
    )


def _with_phases(
    source: Source, dirty: tuple[DirtyClass, ...], guest: Guest, left_s: float
) -> tuple[tuple[DirtyClass, ...], tuple[str, ...]]:
    """Return the classes with the phases that short windows show, and what is said of them.

    The passes saw the guest in some phase or other. So its write rates are set to what the busy windows show.
    """
    count = min(_BEATS, int(left_s / _BEAT_S))
    pages = np.array(source.beats(_BEAT_S, count) if dirty and count >= _BEATS // 2 else [])
    if not pages.size or pages.mean() < 1.0:
        return dirty, ()
    steps = steps_of(np.arange(pages.size) * _BEAT_S, pages / pages.mean())
    if not steps:
        return dirty, ()
    (high_s, high), (low_s, low) = steps
    busy = dataclasses.replace(guest, dirty=_as_busy(dirty, guest, high, high * float(pages.mean())))
    phased = tuple(dataclasses.replace(one, phases=steps) for one in busy.dirty)
    return phased, (
        f"It has phases: it writes {high:.2f} of its mean for {format_duration(high_s)}, then {low:.2f} for "
        f"{format_duration(low_s)}. The time of a migration depends on the phase in which it begins.",
    )


def _as_busy(dirty: tuple[DirtyClass, ...], guest: Guest, high: float, pages: float) -> tuple[DirtyClass, ...]:
    """Return the classes with the rates at which they write ``pages`` in a window of the busy phase."""
    factor = 1.0
    for _ in range(_TURNS):
        scaled = dataclasses.replace(guest, dirty=_faster(dirty, factor))
        factor *= pages / max(1.0, unique_dirty_pages(scaled, high * _BEAT_S))
    return _faster(dirty, factor)


def _faster(dirty: tuple[DirtyClass, ...], factor: float) -> tuple[DirtyClass, ...]:
    return tuple(dataclasses.replace(one, writes_per_s=one.writes_per_s * factor) for one in dirty)
