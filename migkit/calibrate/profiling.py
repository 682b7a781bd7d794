"""The page classes of a guest that runs, measured before it moves, for no longer than its answer needs.

A pass lasts as long as the first pass of its migration. After each pass the migration is predicted from that pass
alone. The measurement stops when the 90 % interval of the mean of these predictions (Student's t) is narrow enough,
or its time is over.

A source that says which pages were written is followed in beats one behind the other, so that every window of whole
beats counts. From all of them together come phases, page classes over operational time, and growth. A source that
only counts is asked for windows from below the downtime limit on.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from migkit.calibrate.guest import readings
from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.curve import fit_curve
from migkit.calibrate.guest.followed import first_pass_s, guest_followed, unwritten
from migkit.calibrate.guest.readings import Reading
from migkit.calibrate.guest.rounds import Round
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.units import PAGE_BYTES, format_duration, format_size

__all__ = ["Answer", "Following", "Profiled", "Source", "guest_of", "profile"]

_LEAST_PASSES: Final = 3
_MOST_PASSES: Final = 50
_SHORTEST_S: Final = 0.01
_LONG_S: Final = 4.0  # that a pass takes even where the first pass is shorter
_SHARE: Final = 0.2  # of the time allowed: the longest window
_POINTS: Final = 7
_BEAT_S: Final = (0.05, 0.1)  # as short as a third of the downtime limit
_TIMING_S: Final = 0.001  # to which a window's length is known
_FITS: Final = 0.08  # a curve that is missed by no more is fitted
_DRIFT: Final = 0.15
_QUANTILES: Final = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83)  # of Student's t at 0.95, 1 to 9
_NORMAL: Final = 1.7


class Following(Protocol):
    """A guest that is followed beat by beat."""

    def until(self, end_s: float) -> History:
        """Return all beats since the beginning, the last of which ends at or after this moment [s]."""
        ...


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

    def follow(self, beat_s: float) -> Following | None:
        """Begin to follow the guest in beats of about this length; None where only counts are known."""
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
        What the measurement was to tell; as uncertain as the guest's phases make it.
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
    ...     def follow(self, beat_s): return None
    >>> found = profile(Known(), Scenario(guest=Guest(memory_bytes=2**30)))
    >>> found.passes, round(unique_dirty_pages(found.guest, 1.0), -2)
    (3, 5200.0)
    """
    began_s = time.monotonic()
    empty = unwritten(source.memory_bytes, source.zero_bytes())
    windows_s = windows_of(case, empty, limit_s)
    _tell([Reading(0.1, 100.0), Reading(1.0, 500.0)], empty, case)  # compiles what each pass needs
    shortest_s, longest_s = _BEAT_S
    following = source.follow(min(longest_s, max(shortest_s, windows_s[0])))
    history: History | None = None
    passes: list[list[Reading]] = []
    told: list[_Told] = []
    answer = Answer("", math.nan, math.inf)
    said: tuple[str, ...] = ()
    while not _enough(passes, answer, within, time.monotonic() - began_s, limit_s):
        if following is None:
            passes.append(source.once(windows_s))
        else:
            begun, begun_s = (history.beats, float(history.times_s[-1])) if history else (0, 0.0)
            history = following.until(begun_s + windows_s[-1])
            passes.append(_readings(history.part(begun, history.beats), windows_s))
        told.append(_tell(passes[-1], empty, case))
        answer = _answer(told)
        progress(len(passes), answer)
    if history is None:
        curve = _mean(passes)
        guest = dataclasses.replace(empty, dirty=_classes(curve, empty))
    else:
        curve = _readings(history, windows_s)
        guest, said, by_phase = guest_followed(history, source.memory_bytes, case)
        answer = _answer([_told(guest, case)])._replace(half_width=max(answer.half_width, by_phase))
    return Profiled(
        guest=guest,
        curve=tuple(curve),
        passes=len(passes),
        took_s=time.monotonic() - began_s,
        answer=answer,
        said=(*_drift(passes), *said),
    )


def _readings(history: History, windows_s: Sequence[float]) -> list[Reading]:
    """Return the mean curve at windows of whole beats."""
    beat_s = float(history.times_s[-1]) / history.beats
    return history.readings(sorted({min(history.beats, max(1, round(one / beat_s))) for one in windows_s}))


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
    first_s = first_pass_s(case, guest)
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
    return _told(dataclasses.replace(guest, dirty=_classes(row, guest)), case)


def _told(guest: Guest, case: Scenario) -> _Told:
    found = predict(dataclasses.replace(case, guest=guest), level=None, detail=False)
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
