"""Readings of a dirty rate as points of the dirty curve, and the guests that one reading leaves open.

A rate ``D`` over a window ``w`` says ``U(w) = D w``, one point of a concave curve. Through one point go all guests
between two extremes: a set of just ``U(w)`` pages that is written over and over, and one that never writes a page
twice. They differ by any factor at other windows (Denning 1968 calls ``U`` the working set of the window).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from migkit.errors import UsageError, shown
from migkit.scenario import DirtyClass, Guest, curves
from migkit.units import PAGE_BYTES, duration, format_duration, format_size, rate

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Member", "Reading", "commands", "distinct", "family", "of_log", "of_text", "through"]

_APART: Final = 2.0  # windows must differ by this factor to say how the curve bends
_MEMBERS: Final = 5
_SATURATED: Final = 5.0  # writes a page and window of a set that is written over and over
_LONGEST_S: Final = 60.0  # libvirt and QEMU take no longer window
_TEXT: Final = re.compile(r"\s*(.+?)\s+(?:in|over|within)\s+(.+?)\s*", re.IGNORECASE)


class Reading(NamedTuple):
    """Distinct pages written in one window: its length [s] and their number."""

    window_s: float
    pages: float


class Member(NamedTuple):
    """One guest of those that a reading leaves open."""

    name: str
    guest: Guest


def of_text(text: str, name: str = "--scalar") -> Reading:
    """Return what text such as ``200 MiB/s in 1 s`` says; ``name`` is what an error calls it.

    Raises
    ------
    UsageError
        It is no rate and window.

    Examples
    --------
    >>> of_text("200 MiB/s in 1 s")
    Reading(window_s=1.0, pages=51200.0)
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise UsageError(f'{name}: {shown(text)} is no rate and window; write it as in "200 MiB/s in 1 s"')
    window_s, bytes_per_s = duration(found[2], name), rate(found[1], name)
    if not (0 < window_s < math.inf and 0 <= bytes_per_s < math.inf):
        raise UsageError(f"{name}: {shown(text)} has a window of 0 s or a rate without end; give both as measured")
    return Reading(window_s, window_s * bytes_per_s / PAGE_BYTES)


def of_log(log: Log) -> list[Reading]:
    """Return the readings of a whole guest that a log of dirty rates holds.

    Examples
    --------
    >>> from migkit.importers import read
    >>> of_log(read('{"status": "measured", "dirty-rate": 16, "start-time": 1, "calc-time": 2}')[0])
    [Reading(window_s=2.0, pages=8192.0)]
    """
    frame = log.frame
    whole = frame[(frame["vcpu"] < 0) & (frame["window_s"] > 0) & np.isfinite(frame["dirtied_bytes_per_s"])]
    rows = zip(whole["window_s"].tolist(), whole["dirtied_bytes_per_s"].tolist(), strict=True)
    return [Reading(window_s, window_s * bytes_per_s / PAGE_BYTES) for window_s, bytes_per_s in rows]


def distinct(readings: Iterable[Reading]) -> list[Reading]:
    """Return one reading a window, the median of its repeats, by length.

    Examples
    --------
    >>> distinct([Reading(1.0, 10.0), Reading(1.0, 30.0), Reading(1.0, 11.0)])
    [Reading(window_s=1.0, pages=11.0)]
    """
    by_window: dict[float, list[float]] = {}
    for reading in readings:
        by_window.setdefault(round(reading.window_s, 6), []).append(reading.pages)
    return [Reading(window_s, float(np.median(pages))) for window_s, pages in sorted(by_window.items())]


def bends(readings: Sequence[Reading]) -> bool:
    """Say whether readings are of windows far enough apart to tell how the curve bends."""
    return len(readings) > 1 and readings[-1].window_s >= _APART * readings[0].window_s


def through(readings: Sequence[Reading], limit_pages: float) -> tuple[DirtyClass, ...]:
    """Return the classes whose curve goes through several readings.

    A curve of distinct pages never falls. Readings that fall are of a guest that changed meanwhile, so that the
    larger count of a shorter window is taken for the longer one, too.

    Raises
    ------
    UsageError
        More pages than the memory has.

    Examples
    --------
    >>> [one.kind for one in through([Reading(1.0, 100.0), Reading(10.0, 1000.0)], 10_000)]
    ['sweep']
    """
    windows = [r.window_s for r in readings]
    pages = np.maximum.accumulate([r.pages for r in readings])
    if pages[-1] > limit_pages:
        raise _too_much(Reading(windows[-1], float(pages[-1])), limit_pages)
    return curves.measured(windows, pages, int(limit_pages) * PAGE_BYTES)


def family(reading: Reading, memory_bytes: int, zero_bytes: int = 0) -> tuple[Member, ...]:
    """Return guests that all give ``reading``, from the smallest written set to one that sweeps all of memory.

    Raises
    ------
    UsageError
        More pages than the memory has.

    Examples
    --------
    >>> [m.guest.dirty[0].region_pages for m in family(Reading(1.0, 51200.0), 2**33)]
    [51548, 130186, 328790, 830375, 2097152, 2097152]
    """
    limit = (memory_bytes - zero_bytes) // PAGE_BYTES
    if reading.pages > limit:
        raise _too_much(reading, limit)
    if reading.pages < 1:
        return (Member("writes nothing", Guest(memory_bytes=memory_bytes, zero_bytes=zero_bytes)),)
    smallest = min(float(limit), reading.pages / -math.expm1(-_SATURATED))
    sets = np.unique(np.ceil(np.geomspace(smallest, limit, _MEMBERS)).astype(np.int64))
    return (
        *(_random(int(min(pages, limit)), reading, memory_bytes, zero_bytes) for pages in sets),
        _sweep(limit, reading, memory_bytes, zero_bytes),
    )


def _random(pages: int, reading: Reading, memory_bytes: int, zero_bytes: int) -> Member:
    share = min(reading.pages / pages, -math.expm1(-_SATURATED))
    writes_per_s = pages * -math.log1p(-share) / reading.window_s
    one = DirtyClass(region_bytes=pages * PAGE_BYTES, writes_per_s=writes_per_s)
    name = f"{format_size(pages * PAGE_BYTES)} at random"
    return Member(name, Guest(memory_bytes=memory_bytes, zero_bytes=zero_bytes, dirty=(one,)))


def _sweep(pages: int, reading: Reading, memory_bytes: int, zero_bytes: int) -> Member:
    writes_per_s = reading.pages / reading.window_s
    one = DirtyClass(region_bytes=pages * PAGE_BYTES, writes_per_s=writes_per_s, kind="sweep")
    name = f"{format_size(pages * PAGE_BYTES)} in order"
    return Member(name, Guest(memory_bytes=memory_bytes, zero_bytes=zero_bytes, dirty=(one,)))


def commands(reading: Reading, downtime_limit_s: float, first_pass_s: float) -> tuple[str, ...]:
    """Return the two windows to measure next, with the commands that do.

    The guests of the family differ most at the ends of what a migration asks of the curve: in windows as short as
    the downtime limit, of which switchover depends, and as long as the first pass.

    Examples
    --------
    >>> print(commands(Reading(1.0, 51200.0), 0.3, 64.0)[0])
    300 ms: QMP {"execute": "calc-dirty-rate", "arguments": {"calc-time": 300, "calc-time-unit": "millisecond", \
"mode": "dirty-bitmap"}}, then {"execute": "query-dirty-rate"} (QEMU 8.2 or later)
    """
    short_s = min(max(downtime_limit_s, 0.05), reading.window_s / _APART)
    long_s = float(round(min(max(first_pass_s, _APART * reading.window_s, 2.0), _LONGEST_S)))
    if long_s < _APART * reading.window_s:  # as long a window was read already
        long_s = float(max(2, round(min(math.sqrt(short_s * reading.window_s), _LONGEST_S))))
    return (
        f'{format_duration(short_s)}: QMP {{"execute": "calc-dirty-rate", "arguments": {{"calc-time": '
        f'{round(short_s * 1e3)}, "calc-time-unit": "millisecond", "mode": "dirty-bitmap"}}}}, then '
        '{"execute": "query-dirty-rate"} (QEMU 8.2 or later)',
        f"{format_duration(long_s)}: virsh domdirtyrate-calc DOMAIN --seconds {round(long_s)} --mode dirty-bitmap, "
        "then virsh domstats DOMAIN --dirtyrate",
        f'both from outside: migkit dirty --pid PID --shortest "{round(short_s * 1e3)} ms" '
        f'--longest "{round(long_s)} s" -o profile.json',
    )


def _too_much(reading: Reading, limit_pages: float) -> UsageError:
    return UsageError(
        f"fit: {format_size(reading.pages * PAGE_BYTES)} were written in {format_duration(reading.window_s)}, but "
        f"only {format_size(limit_pages * PAGE_BYTES)} of memory are not zero; check --memory and --zero"
    )
