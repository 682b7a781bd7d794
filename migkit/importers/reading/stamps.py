"""Time stamps as logs begin their lines with them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final, NamedTuple

__all__ = ["UNIX", "Stamp", "from_value", "split"]

UNIX: Final = "unix"
_NO_YEAR: Final = "month and day without a year"
_DAY: Final = "time of day"
_UPTIME: Final = "time since the program started"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK: Final = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_ISO: Final = re.compile(r"\W{0,5}(\d{4})[-/](\d\d)[-/](\d\d)[T ]" + _CLOCK + r"\s*(Z\b|[+-]\d\d:?\d\d\b)?")
_SYSLOG: Final = re.compile(r"\W{0,5}(?:[A-Z][a-z]{2} )?(" + "|".join(_MONTHS) + r")\s+(\d{1,2})\s+" + _CLOCK)
_DATE: Final = re.compile(
    r"\W{0,5}[A-Z][a-z]{2} ("
    + "|".join(_MONTHS)
    + r")\s+(\d{1,2}) "
    + _CLOCK
    + r"(?: [AP]M)? [A-Z][A-Z0-9+:-]{0,8} (\d{4})\b"
)
_EPOCH: Final = re.compile(r"(?:\W{0,5}|\d{1,8}@)(\d{10}(?:\.\d{1,9})?|\d{13})(?=[\s:,;\]|])")
_TIME: Final = re.compile(r"\W{0,5}" + _CLOCK + r"(?=[\s\]:]|$)")
_SECONDS: Final = re.compile(r"(?:[\w-]+:)?\s*\[?\s*(\d{1,9}\.\d{3,9})(?:s:|\])")
_PROGRAM: Final = re.compile(r"[\]:,|\s]*(?:[\w.-]+\s+)?[\w.@/-]+\[\d+\]:\s+")


class Stamp(NamedTuple):
    """Seconds on a clock, and which clock: ``unix`` or words for one that starts elsewhere."""

    seconds: float
    clock: str
    zoned: bool = True


def split(line: str) -> tuple[Stamp | None, str]:
    """Return the time stamp that a line begins with, and the rest without the name of host and program.

    Examples
    --------
    >>> split("2025-11-14 21:47:43 migration active")
    (Stamp(seconds=1763156863.0, clock='unix', zoned=False), 'migration active')
    >>> split("May 10 14:25:31 host qemu[7]: total time: 5 ms")[1]
    'total time: 5 ms'
    >>> split("no time here")
    (None, 'no time here')
    """
    for pattern, read in _READERS:
        match = pattern.match(line)
        if match:
            stamp = read(match)
            rest = line[match.end() :]
            program = _PROGRAM.match(rest)
            return stamp, (rest[program.end() :] if program else rest).lstrip(" \t]:,|")
    return None, line


def from_value(key: str, value: Any) -> Stamp | None:
    """Return the stamp that an envelope's field holds: seconds, milliseconds or microseconds of Unix time, ISO text.

    Examples
    --------
    >>> from_value("ts", 1646650027807).seconds, from_value("t_monotonic", 7.5).clock
    (1646650027.807, 't_monotonic')
    """
    if isinstance(value, str) and re.fullmatch(r"\d{10,19}(?:\.\d{1,9})?", value):  # journald's fields
        value = float(value)
    if isinstance(value, str):
        stamp, _ = split(value[:80] + " ")
        return stamp
    if isinstance(value, dict) and isinstance(value.get("seconds"), int):  # events of QMP
        micro = value.get("microseconds", 0)
        value = value["seconds"] + (micro if isinstance(micro, int) else 0) * 1e-6
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e19:
        return None
    for scale in (1, 1e3, 1e6, 1e9):
        if 1e9 <= value / scale < 1e10:
            return Stamp(value / scale, UNIX)
    return Stamp(float(value), key)


def _iso(match: re.Match[str]) -> Stamp | None:
    year, month, day, hour, minute, second = (int(match[at]) for at in range(1, 7))
    zone = match[8]
    offset = 0 if zone in (None, "Z") else int(zone[0] + "1") * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return _unix((year, month, day, hour, minute, second), match[7], offset, UNIX, zone is not None)


def _date(match: re.Match[str]) -> Stamp | None:
    """Read what the command ``date`` prints; of the names of zones only UTC is sure."""
    hour, minute, second = (int(match[at]) for at in (3, 4, 5))
    when = (int(match[7]), _MONTHS.index(match[1]) + 1, int(match[2]), hour, minute, second)
    return _unix(when, match[6], 0, UNIX, " UTC " in match[0] or " GMT " in match[0])


def _syslog(match: re.Match[str]) -> Stamp | None:
    hour, minute, second = (int(match[at]) for at in (3, 4, 5))
    when = (2000, _MONTHS.index(match[1]) + 1, int(match[2]), hour, minute, second)
    return _unix(when, match[6], 0, _NO_YEAR, False)


def _unix(when: tuple[int, ...], fraction: str | None, offset_s: int, clock: str, zoned: bool) -> Stamp | None:
    try:
        moment = dt.datetime(when[0], when[1], when[2], when[3], when[4], tzinfo=dt.UTC)
    except ValueError:
        return None
    return Stamp(moment.timestamp() + when[5] + _share(fraction) - offset_s, clock, zoned)


def _share(fraction: str | None) -> float:
    return float(f"0.{fraction}") if fraction else 0.0


def _epoch(match: re.Match[str]) -> Stamp | None:
    return from_value("epoch", float(match[1]))


def _time(match: re.Match[str]) -> Stamp | None:
    hour, minute, second = (int(match[at]) for at in (1, 2, 3))
    return Stamp(hour * 3600 + minute * 60 + second + _share(match[4]), _DAY, False)


def _seconds(match: re.Match[str]) -> Stamp | None:
    return Stamp(float(match[1]), _UPTIME)


_READERS: Final = (
    (_ISO, _iso),
    (_DATE, _date),
    (_SYSLOG, _syslog),
    (_EPOCH, _epoch),
    (_TIME, _time),
    (_SECONDS, _seconds),
)
