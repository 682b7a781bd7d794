"""The guest that was followed beat by beat: page classes, phases and growth, as it is at the end of its profile."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from migkit.calibrate.guest import addresses, operational
from migkit.calibrate.guest.beats import History
from migkit.calibrate.guest.pulses import Pulses
from migkit.calibrate.guest.superposed import patterns_of
from migkit.models.predict import predict
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.units import PAGE_BYTES, format_duration, format_size

__all__ = ["Found", "first_pass_s", "guest_followed", "later", "unwritten"]

_BEGINNINGS: Final = 16  # in a cycle of phases, of a migration
_GROWS_S: Final = 60.0  # for which a growth has room at least
_GOLDEN: Final = 0.6180339887498949
_FIRST_PASSES: Final = 4.0  # of a migration, for which it has room


def unwritten(memory_bytes: int, zero_bytes: float) -> Guest:
    """Return a guest that writes nothing, with whole zero pages and at least one that is not.

    Examples
    --------
    >>> unwritten(8192, 9000.0).zero_pages
    1
    """
    zero = int(min(zero_bytes, memory_bytes - PAGE_BYTES)) // PAGE_BYTES * PAGE_BYTES
    return Guest(memory_bytes=memory_bytes, zero_bytes=max(0, zero))


def first_pass_s(case: Scenario, guest: Guest) -> float:
    """Return how long the first pass of a migration takes [s].

    Examples
    --------
    >>> from migkit.scenario import Policy
    >>> guest = Guest(memory_bytes=2**30, zero_bytes=2**29)
    >>> first_pass_s(Scenario(guest=guest, policy=Policy(max_bandwidth_bytes_per_s=2.0**28)), guest)
    2.0
    """
    speed = min(case.policy.max_bandwidth_bytes_per_s, case.link.bandwidth_bytes_per_s)
    return (guest.memory_bytes - guest.zero_bytes) / speed


class Found(NamedTuple):
    """A guest as it was followed.

    Attributes
    ----------
    guest
        As it is at the end.
    said
        What was found, in sentences.
    half_width
        Half of what nine of ten migrations differ by, since each begins elsewhere in the guest's phases, as a share
        of the total time; infinite where some of them never end.
    """

    guest: Guest
    said: tuple[str, ...]
    half_width: float


def guest_followed(history: History, memory_bytes: int, case: Scenario, *, moves: bool = False) -> Found:
    """Return the guest that was followed.

    Parameters
    ----------
    history
        What it wrote.
    memory_bytes
        What it has [B].
    case
        The migration that is planned; its guest is not looked at.
    moves
        Whether it moves already: then its phases are where they stand at the end, and go on from there.

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> history = History(times_s=np.arange(101) * 0.1, memory_pages=4096, sample=np.arange(4096),
    ...                   pages=[np.unique(draw.integers(0, 2000, 100)) for _ in range(100)],
    ...                   zero=np.tile(np.arange(4096) >= 3000, (101, 1)))
    >>> guest, said, _ = guest_followed(history, 2**24, Scenario(guest=Guest(memory_bytes=2**24)))
    >>> guest.zero_pages, round(sum(one.region_pages for one in guest.dirty), -2), said
    (1096, 2000, ())
    """
    history = history.settled()
    empty = unwritten(memory_bytes, memory_bytes - history.full_pages * PAGE_BYTES)
    limit = (memory_bytes - empty.zero_bytes) / PAGE_BYTES
    patterns = patterns_of(history.rates, np.diff(history.times_s))
    dirty = operational.classes_of(history, patterns, limit)
    emptied = operational.classes_of(dataclasses.replace(history, counts_zero=True), patterns, empty.zero_pages)
    empty = dataclasses.replace(empty, zero_bytes=empty.zero_bytes - sum(one.region_bytes for one in emptied))
    dirty += tuple(dataclasses.replace(one, zero_share=1.0) for one in emptied)
    said: list[str] = [_emptied_said(emptied)] if emptied else []
    growth = operational.growth_of(
        history, patterns, empty.zero_pages, max(_GROWS_S, _FIRST_PASSES * first_pass_s(case, empty))
    )
    if growth:
        said.append(_growth_said(growth))
        dirty = (*dirty, growth)
        empty = dataclasses.replace(empty, zero_bytes=empty.zero_bytes - growth.region_bytes)
    guest, half_width = addresses.in_order(dataclasses.replace(empty, dirty=dirty), history), 0.0
    if any(one.phases for one in dirty):
        said += [_phases_said(guest, one, at) for at, one in enumerate(patterns) if _with(guest, one)]
        if moves:
            return Found(_standing(guest, patterns, np.diff(history.times_s)), tuple(said), 0.0)
        guest, half_width = _begun(guest, patterns, case)
    return Found(guest, tuple(said), half_width)


def _emptied_said(emptied: Sequence[DirtyClass]) -> str:
    size = format_size(sum(one.region_bytes for one in emptied))
    return f"It empties what it writes to: {size} are written again and again, and zero when they are sent."


def _growth_said(growth: DirtyClass) -> str:
    rate, busy = format_size(growth.writes_per_s * PAGE_BYTES), " while it is busy" if growth.phases else ""
    return (
        f"It grows: {rate} a second of its zero memory come to hold something{busy}. There is room for "
        f"{format_size(growth.region_bytes)} more from the end of the profile on."
    )


def _with(guest: Guest, pulses: Pulses) -> list[DirtyClass]:
    """Return the classes that follow a pattern, whose phases begin with it."""
    return [one for one in guest.dirty if one.phases and one.phases == pulses.phases(one.phases[-1][1])]


def _phases_said(guest: Guest, pulses: Pulses, number: int) -> str:
    rests = sum(one.writes_per_s for one in _with(guest, pulses))
    busy, rest, share = format_duration(pulses.busy_s), format_duration(pulses.rest_s), rests / guest.writes_per_s
    if number:
        return f"It has another pattern of phases: it is busy for {busy} and rests for {rest}, with {share:.0%}."
    return (
        f"It has phases: it is busy for {busy} and rests for {rest}; {share:.0%} of its writes rest. The time of a "
        "migration depends on the phase in which it begins."
    )


def _standing(guest: Guest, patterns: Sequence[Pulses], lengths_s: np.ndarray) -> Guest:
    """Return the guest with its phases where they stand at the end of its history."""
    dirty = guest.dirty
    for one in patterns:
        alike = _with(guest, one)
        stands_s = one.stands_s(lengths_s)
        dirty = tuple(dataclasses.replace(each, phase_offset_s=stands_s) if each in alike else each for each in dirty)
    return dataclasses.replace(guest, dirty=dirty)


def _begun(guest: Guest, patterns: Sequence[Pulses], case: Scenario) -> tuple[Guest, float]:
    """Return the guest with its cycles written down from where a migration that begins there takes the median time.

    Nobody knows where in its cycles the guest will be when it moves. So half of what these times differ by is
    returned, too, as a share of the median. Of a second pattern the beginnings follow by the golden ratio, so that
    all pairs of moments are met.
    """
    turned = []
    for at in range(_BEGINNINGS):
        shares = [(at + 0.5) / _BEGINNINGS, (at * _GOLDEN) % 1.0]
        dirty = guest.dirty
        for one, share in zip(patterns, shares, strict=False):
            begins_s, alike = share * (one.busy_s + one.rest_s), _with(guest, one)
            dirty = tuple(
                dataclasses.replace(each, phases=one.phases(each.phases[-1][1], begins_s)) if each in alike else each
                for each in dirty
            )
        turned.append(dataclasses.replace(guest, dirty=dirty))
    totals_s = np.array([_total_s(one, case) for one in turned])
    low_s, middle_s, high_s = np.quantile(totals_s, (0.05, 0.5, 0.95), method="nearest")
    half_width = 0.5 * (high_s - low_s) / middle_s if np.isfinite(totals_s).all() else math.inf
    return turned[int(np.argsort(totals_s)[_BEGINNINGS // 2])], float(half_width)


def _total_s(guest: Guest, case: Scenario) -> float:
    found = predict(dataclasses.replace(case, guest=guest), level=None, detail=False)
    return found.total_time_s if found.verdict == "converges" else math.inf


def later(guest: Guest, after_s: float) -> Guest:
    """Return a guest as it will be so much later: its growths have gone on, and so have phases that are known.

    Parameters
    ----------
    guest
        As it was found at the end of its profile.
    after_s
        From then until its migration [s]; negative: before.

    Examples
    --------
    >>> growth = DirtyClass(region_bytes=2**20, writes_per_s=10.0, kind="growth")
    >>> later(Guest(memory_bytes=2**21, dirty=(growth,)), 2.5).dirty[0].sweep_offset_bytes // PAGE_BYTES
    25
    """
    return dataclasses.replace(guest, dirty=tuple(_later(one, after_s) for one in guest.dirty))


def _later(one: DirtyClass, after_s: float) -> DirtyClass:
    cycle_s = sum(duration_s for duration_s, _ in one.phases)
    if one.phase_offset_s is not None and cycle_s > 0.0:
        one = dataclasses.replace(one, phase_offset_s=(one.phase_offset_s + after_s) % cycle_s)
    if one.kind != "growth":
        return one
    pages = (one.sweep_offset_bytes or 0) // PAGE_BYTES + round(one.writes_per_s * one.mean_intensity * after_s)
    return dataclasses.replace(one, sweep_offset_bytes=min(pages, one.region_pages) * PAGE_BYTES)
