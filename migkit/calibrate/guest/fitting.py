"""A guest from what people have: logs and traces of migrations, readings of a dirty rate, dirty profiles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from migkit.calibrate.guest import readings as rates
from migkit.calibrate.guest.growth import Looks, looks_of, new_pages_per_s
from migkit.calibrate.guest.readings import Member, Reading
from migkit.calibrate.guest.rounds import Observed, Round
from migkit.calibrate.guest.stationary import Changes, fit_while_loaded
from migkit.calibrate.repeats import refuse_repeats
from migkit.errors import UsageError
from migkit.scenario import DirtyClass, Guest
from migkit.units import PAGE_BYTES, format_duration, format_size

__all__ = ["Fit", "fit_guest"]

_APART: Final = 2.0
_EMPTIES: Final = 0.1  # of what is sent again: a guest whose classes empty their pages
_MOST_EMPTIED: Final = 0.99


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A guest as measured, and what the measurements leave open.

    Attributes
    ----------
    guest
        The guest; of several that fit one reading, that which writes most to new pages.
    family
        The guests that fit a single reading; empty when more than one window was measured.
    said
        What was found, in sentences.
    cannot_tell
        What was not, in sentences.
    reading
        The single reading, if there was just one.
    downtime_limit_s, bandwidth_bytes_per_s
        As the logs say them; NaN where they do not.
    """

    guest: Guest
    family: tuple[Member, ...] = ()
    said: tuple[str, ...] = ()
    cannot_tell: tuple[str, ...] = ()
    reading: Reading | None = None
    downtime_limit_s: float = math.nan
    bandwidth_bytes_per_s: float = math.nan


def fit_guest(
    observed: Sequence[Observed],
    readings: Sequence[Reading] = (),
    *,
    memory_bytes: int | None = None,
    zero_bytes: int | None = None,
) -> Fit:
    """Return the guest that migrations and readings of a dirty rate describe.

    Parameters
    ----------
    observed
        Migrations of this guest, each as :func:`migkit.calibrate.guest.rounds.of_log` gives it.
    readings
        Windows of its dirty curve.
    memory_bytes, zero_bytes
        Memory and what of it is zero [B]; needed where only readings are given, else these win.

    Raises
    ------
    UsageError
        There is nothing to fit to, the same migration was given twice, or the parts contradict each other.

    Examples
    --------
    >>> fit = fit_guest([], [rates.of_text("200 MiB/s in 1 s")], memory_bytes=2**33)
    >>> len(fit.family), fit.guest.dirty[0].kind
    (6, 'sweep')
    """
    total, looks = _memory(observed, memory_bytes), looks_of(observed)
    zero = _zero(looks, zero_bytes)
    if zero >= total:
        raise UsageError(
            f"fit: zero pages ({format_size(zero)}) leave nothing of the memory ({format_size(total)}); check --zero"
        )
    found = [one for one in observed if one.rounds]
    refuse_repeats("fit", found, lambda one, other: one.rounds == other.rounds)
    windows = sorted(r.window_s for one in found for r in one.rounds)
    points = rates.distinct(readings)
    if windows and (len(windows) > 2 or windows[-1] >= _APART * windows[0]):
        return _growing(_of_rounds(found, total, zero), looks if zero_bytes is None else Looks(math.nan))
    open_ = () if points else tuple(dict.fromkeys(line for one in found for line in one.cannot_tell))
    points = points or rates.distinct(
        Reading(r.window_s, r.marked_pages + min(r.pending_pages, r.marked_pages))
        for one in found
        for r in one.rounds
    )
    if not points:
        raise UsageError(
            "fit: no log says what a bitmap sync marked (two readings around a sync, with remaining, normal and "
            "duplicate) or a dirty rate, and none was given; log query-migrate each second, or add "
            '--scalar "200 MiB/s in 1 s"'
        )
    return dataclasses.replace(_of_readings(points, total, zero), cannot_tell=open_)


def _memory(observed: Sequence[Observed], given: int | None) -> int:
    sizes = {one.memory_bytes for one in observed}
    if given is not None:
        return given
    if len(sizes) > 1:
        few = ", ".join(format_size(size) for size in sorted(sizes)[:4])
        raise UsageError(f"fit: the logs are of guests of unlike memory ({few}); fit each guest apart")
    if not sizes:
        raise UsageError('fit: a dirty rate does not tell the memory; add --memory, as in --memory "8 GiB"')
    return sizes.pop()


def _zero(looks: Looks, given: int | None) -> int:
    if given is not None:
        return given
    return int(looks.zero_pages) * PAGE_BYTES if math.isfinite(looks.zero_pages) else 0


def _growing(fit: Fit, looks: Looks) -> Fit:
    """Return a guest that fills zero pages, where first passes of unlike times say that it does."""
    grows = looks.growth(new_pages_per_s(fit.guest.dirty, looks.slow_s))
    if not grows:
        return fit
    (one,) = grows
    zero = fit.guest.zero_bytes - one.region_bytes
    guest = dataclasses.replace(fit.guest, zero_bytes=zero, dirty=(*fit.guest.dirty, one))
    filled, speed = format_size(one.region_bytes), format_size(one.writes_per_s * PAGE_BYTES)
    said = f"it fills {filled} of zero pages, {speed} a second: a slower first pass found fewer of them"
    told = tuple(line for line in fit.cannot_tell if not line.startswith("growth"))
    return dataclasses.replace(fit, guest=guest, said=(*fit.said, said), cannot_tell=told)


def _of_rounds(observed: Sequence[Observed], total: int, zero: int) -> Fit:
    """Return the guest of all rounds together; what changed is said of each migration."""
    emptied = _emptied(observed)
    limit = _limit_pages(total, zero, emptied)
    kept, said, phases = [], [], []
    for one in observed:
        speeds = [1.0 - r.throttle for r in one.rounds]
        curve, rounds, changes = fit_while_loaded(_in_full(one, emptied), limit, speeds)
        kept += list(rounds)
        said += list(changes.said)
        phases.append(changes.phases)
    if len(observed) > 1:
        curve, _, _ = fit_while_loaded(kept, limit, [1.0 - r.throttle for r in kept])
    classes = curve.classes()
    steps = max(phases, key=len)
    if emptied:
        classes = tuple(dataclasses.replace(one, zero_share=emptied) for one in classes)
        zero = max(0, zero - sum(int(one.region_pages * emptied) for one in classes) * PAGE_BYTES)
        said.append(f"{emptied:.0%} of what is sent again is zero when it is sent")
    guest = Guest(memory_bytes=total, zero_bytes=zero, dirty=_phased(classes, steps))
    span = f"{format_duration(min(r.window_s for r in kept))} to {format_duration(max(r.window_s for r in kept))}"
    said.insert(0, f"{len(kept)} rounds of {_many(len(observed), 'migration')}, windows of {span}")
    return Fit(guest=guest, said=tuple(said), cannot_tell=_not_told(observed, zero, Changes((), steps, math.inf)))


def _emptied(observed: Sequence[Observed]) -> float:
    """Return which share of what is sent again is zero then; 0 where it is too small to move a round."""
    share = median(one.zero_again for one in observed)
    return min(share, _MOST_EMPTIED) if share > _EMPTIES else 0.0


def _limit_pages(total: int, zero: int, emptied: float) -> float:
    """Return what all classes may have [pages]: what of them is zero at any moment is part of the zero pages."""
    most = (total - zero) / PAGE_BYTES / (1.0 - emptied)
    if not emptied:
        return most
    return min(most, (zero / emptied if zero else total) / PAGE_BYTES)


def _in_full(one: Observed, emptied: float) -> list[Round]:
    """Return the rounds; those marks alone that are sent in full where no class of the guest empties its pages."""
    kept = 1.0 if emptied else 1.0 - one.zero_again
    return [dataclasses.replace(r, marked_pages=r.marked_pages * kept) for r in one.rounds]


def _of_readings(points: Sequence[Reading], total: int, zero: int) -> Fit:
    limit = (total - zero) / PAGE_BYTES
    if rates.bends(points):
        classes = rates.through(points, limit)
        guest = Guest(memory_bytes=total, zero_bytes=zero, dirty=tuple(classes))
        return Fit(guest=guest, said=(f"{len(points)} windows of the dirty curve",))
    members = rates.family(points[-1], total, zero)
    size = format_size(points[-1].pages * PAGE_BYTES)
    said = (
        f"one window: {size} written in {format_duration(points[-1].window_s)}. "
        f"{len(members)} guests that all fit it, from a small set written over and over to all memory in order",
    )
    return Fit(guest=members[-1].guest, family=members, said=said, reading=points[-1])


def _phased(classes: Sequence[DirtyClass], steps: tuple[tuple[float, float], ...]) -> tuple[DirtyClass, ...]:
    return tuple(dataclasses.replace(one, phases=steps) for one in classes) if steps else tuple(classes)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _not_told(observed: Sequence[Observed], zero: int, changes: Changes) -> tuple[str, ...]:
    told = [
        "what the guest could write flat out (capacity): a throttle is taken to slow it in full, which is what a "
        "guest does that already runs flat out",
        "growth: zero pages that were written ahead of the first pass count as not zero from the start",
    ]
    if not all(one.first_pass for one in observed):
        told.append("zero pages: the first pass was not logged to its end, the zero pages behind it are not counted")
    if not zero:
        told.append("zero pages: no log counts them; give them with --zero")
    return tuple(told)
