"""The only place where units are parsed, converted and formatted.

Inside migkit everything is bytes, pages, seconds and bytes per second. Text such as
``"10 Gbit/s"`` is parsed at the edges (commands, widgets, files) by :func:`size`,
:func:`rate` and :func:`duration`; a bare number is refused there, naming the units
that would do. Decimal and binary prefixes are never confused: 1 Mbit = 1e6 bit,
1 MB = 1e6 B, 1 MiB = 2**20 B. A unit that is written out in full is taken where it can be
read in one way: "minutes", "gibibytes", "gigabits per second", but not "gigabytes", which some
tools count in powers of 1000 and others in powers of 1024.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from migkit.errors import UsageError, shown

__all__ = [
    "DAY_S",
    "GIB",
    "KIB",
    "MIB",
    "PAGE_BYTES",
    "duration",
    "format_cost",
    "format_duration",
    "format_rate",
    "format_size",
    "pages",
    "rate",
    "size",
]

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
PAGE_BYTES: Final = 4096
DAY_S: Final = 86400.0

_SIZES: Final[dict[str, float]] = {
    "B": 1,
    **{f"{p}B": 10.0 ** (3 * i) for i, p in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{f"{p}iB": 2.0 ** (10 * i) for i, p in enumerate(("K", "M", "G", "T", "P"), 1)},
}
_RATES: Final[dict[str, float]] = {
    **{f"{unit}/s": factor for unit, factor in _SIZES.items()},
    "bit/s": 1 / 8,
    **{f"{p}bit/s": 10.0 ** (3 * i) / 8 for i, p in enumerate(("k", "M", "G", "T"), 1)},
}
_DURATIONS: Final[dict[str, float]] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}
_IN_FULL: Final[dict[str, str]] = {  # names that can be read in one way only, in the singular
    "byte": "B",
    **{
        f"{name}byte": f"{p}iB"
        for name, p in (("kibi", "K"), ("mebi", "M"), ("gibi", "G"), ("tebi", "T"), ("pebi", "P"))
    },
    "bit": "bit",
    **{f"{name}bit": f"{p}bit" for name, p in (("kilo", "k"), ("mega", "M"), ("giga", "G"), ("tera", "T"))},
    **{f"{p.lower()}be": f"{p}bit/s" for p in ("M", "G", "T")},  # of Ethernet: GbE
    **{f"{name}second": unit for name, unit in (("nano", "ns"), ("micro", "us"), ("milli", "ms"), ("", "s"))},
    **{"usec": "us", "µs": "us", "μs": "us", "msec": "ms", "sec": "s"},
    **{"min": "min", "minute": "min", "hr": "h", "hour": "h"},
}


class _Kind(NamedTuple):
    noun: str
    units: dict[str, float]
    examples: str


_SIZE = _Kind("size", _SIZES, "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")
_RATE = _Kind("rate", _RATES, "bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s or GiB/s")
_DURATION = _Kind("time", _DURATIONS, "ns, us, ms, s, min or h")

_LEAST_S: Final = 1e-6 * (1.0 - 5e-4)  # what three digits do not round up to a microsecond
_LONGEST: Final = 500  # characters; the time to match a text grows with the square of them
_QUANTITY: Final = re.compile(
    r"\s*([+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([^\d\s].*?)?\s*", re.DOTALL
)


def size(text: str, name: str = "size", grain_bytes: int = 1) -> int:
    """Return the bytes that ``text`` says.

    Parameters
    ----------
    text
        A number and a unit: B, kB, MB, GB, TB, PB (powers of 1000) or KiB, MiB, GiB,
        TiB, PiB (powers of 1024).
    name
        What the value is, for the message of an error.
    grain_bytes
        Take a decimal fraction, which is how tools print a rounded size such as "12.6 GiB", to the next multiple of
        this. A whole number is meant as it stands.

    Raises
    ------
    UsageError
        No unit, an unknown unit, a negative value, or not a whole number of bytes.

    Examples
    --------
    >>> size("512 MiB")
    536870912
    >>> size("12.6 GiB", grain_bytes=4096) / 4096
    3303015.0
    >>> size("1.5GB")
    1500000000
    >>> size("64")
    Traceback (most recent call last):
    migkit.errors.UsageError: size: "64" has no unit; write it with one of B, kB, MB, GB, TB, KiB, MiB, GiB or TiB
    """
    value = _parse(text, name, _SIZE)
    if grain_bytes > 1 and "." in text:
        return -(-round(value) // grain_bytes) * grain_bytes
    if abs(value - round(value)) > 1e-6 * max(1.0, value):
        raise UsageError(f"{name}: {_shown(text)} is not a whole number of bytes; write it in B")
    return round(value)


def rate(text: str, name: str = "rate") -> float:
    """Return the bytes per second that ``text`` says.

    Parameters
    ----------
    text
        A number and a unit: bit/s, kbit/s, Mbit/s, Gbit/s, Tbit/s, or any size unit with ``/s``.
    name
        What the value is, for the message of an error.

    Raises
    ------
    UsageError
        No unit, an unknown unit, or a negative value.

    Examples
    --------
    >>> rate("10 Gbit/s")
    1250000000.0
    >>> rate("125 MB/s") == rate("1 Gbit/s") == rate("1 GbE")
    True
    """
    return _parse(text, name, _RATE)


def duration(text: str, name: str = "time", most_s: float = math.inf) -> float:
    """Return the seconds that ``text`` says.

    Parameters
    ----------
    text
        A number and a unit: ns, us, ms, s, min or h, or one of these written out in full.
    name
        What the value is, for the message of an error.
    most_s
        The longest that is allowed [s].

    Raises
    ------
    UsageError
        No unit, an unknown unit, a negative value, or one that is too long.

    Examples
    --------
    >>> duration("300 ms")
    0.3
    >>> duration("2 min"), duration("2 minutes")
    (120.0, 120.0)
    """
    found_s = _parse(text, name, _DURATION)
    if found_s > most_s:
        raise UsageError(f"{name}: {_shown(text)} is too long; it must be at most {format_duration(most_s)}")
    return found_s


def pages(memory_bytes: int, page_bytes: int = PAGE_BYTES) -> int:
    """Return how many pages hold ``memory_bytes``.

    Examples
    --------
    >>> pages(8193)
    3
    """
    return -(-memory_bytes // page_bytes)


def format_size(value_bytes: float) -> str:
    """Return bytes as a person reads them, in binary units.

    Examples
    --------
    >>> format_size(412 * MIB), format_size(1500), format_size(12)
    ('412 MiB', '1.46 KiB', '12 B')
    """
    return _scaled(
        value_bytes, [(2.0 ** (10 * i), u) for i, u in enumerate(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))]
    )


def format_rate(value_bytes_per_s: float) -> str:
    """Return bytes per second as network people read them, in bits.

    Examples
    --------
    >>> format_rate(125e6), format_rate(1.25e9)
    ('1 Gbit/s', '10 Gbit/s')
    """
    return _scaled(
        value_bytes_per_s * 8,
        [(10.0 ** (3 * i), u) for i, u in enumerate(("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"))],
    )


def format_duration(value_s: float) -> str:
    """Return seconds as a person reads them; no migration is known to less than a microsecond.

    Examples
    --------
    >>> format_duration(0.0123), format_duration(5.5), format_duration(754), format_duration(5.2e-8)
    ('12.3 ms', '5.5 s', '12.6 min', 'below 1 us')
    """
    if 0.0 < value_s < _LEAST_S:
        return "below 1 us"
    return format_cost(value_s)


def format_cost(value_s: float) -> str:
    """Return as a person reads it what one page or one call costs, down to nanoseconds.

    Examples
    --------
    >>> format_cost(2.1e-7), format_cost(0.05)
    ('210 ns', '50 ms')
    """
    if value_s == 0:
        return "0 s"
    return _scaled(value_s, [(1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"), (120.0, "min"), (7200.0, "h")])


def _parse(text: object, name: str, kind: _Kind) -> float:
    if isinstance(text, bool) or not isinstance(text, str):
        raise UsageError(f"{name}: {shown(text)} has no unit; write it as text with one of {kind.examples}")
    quoted = _shown(text)
    if len(text) > _LONGEST:
        raise UsageError(f"{name}: {quoted} is too long; write a number and one of {kind.examples}")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UsageError(f"{name}: {quoted} is not a {kind.noun}; write a number and one of {kind.examples}")
    number, unit = match.groups()
    if unit is None:
        raise UsageError(f"{name}: {quoted} has no unit; write it with one of {kind.examples}")
    unit = _in_short(unit, kind)
    if unit not in kind.units:
        hint = _hint(unit, kind)
        raise UsageError(f"{name}: {_shown(unit)} is not a unit of {kind.noun}; use one of {kind.examples}{hint}")
    value = float(number) * kind.units[unit]
    if not math.isfinite(value):
        raise UsageError(f"{name}: {quoted} is too large")
    if value < 0:
        raise UsageError(f"{name}: {quoted} is negative; it must be 0 or more")
    return value + 0.0


def _shown(text: str) -> str:
    """Return text as a one-line message quotes it."""
    text = text.strip()
    return f'"{text if len(text) <= 40 else text[:37] + "..."}"'


def _in_short(unit: str, kind: _Kind) -> str:
    """Return the unit that a name in full says, as "minutes" and "gigabits per second" do; else the text as it is."""
    if unit in kind.units:
        return unit
    said, per = unit.lower(), ""
    if kind is _RATE and (match := re.fullmatch(r"(\S+?) ?(?:/ ?|per )(?:s|sec|second)", said)):
        said, per = match[1], "/s"
    found = (_IN_FULL.get(word, "") + per for word in (said, said.removesuffix("s")))
    return next((short for short in found if short in kind.units), unit)


def _hint(unit: str, kind: _Kind) -> str:
    """Say what a misspelt unit may have meant; where bits and bytes are both possible, both."""
    if kind is _SIZE and re.fullmatch(r"([kMGTP]i?)?b(its?)?", unit):
        return "; sizes are in bytes, and 8 bit are 1 B"
    candidates = _meant(unit, kind)
    return f" (did you mean {' or '.join(f'{c!r}' for c in candidates)}?)".replace("'", '"') if candidates else ""


def _meant(unit: str, kind: _Kind) -> list[str]:
    if kind is _DURATION and unit.lower() == "m":
        return ["min", "ms"]
    plain = re.sub(r"(ps|/sec|/second| per second|/s)$", "", unit)
    plain = re.sub(r"(?i)^(kilo|mega|giga|tera|peta)(?=bi?[yt])", lambda word: word[0][0], plain)
    if both := re.fullmatch(r"(?i)([kmgtp])bytes?", plain):  # QEMU counts these in powers of 1024, others do not
        prefix = both[1].upper()
        plain_names = {f"{prefix}iB", f"{prefix.lower() if prefix == 'K' else prefix}B"}
        return [known for known in kind.units if known.removesuffix("/s") in plain_names][::-1]
    plain = re.sub(r"(?i)bytes?$", "B", re.sub(r"(?i)bits?$", "bit", plain))
    spellings = {known: _spellings(known.removesuffix("/s")) for known in kind.units}
    return [known for known, forms in spellings.items() if plain in forms] or [
        known for known, forms in spellings.items() if plain.lower() in {form.lower() for form in forms}
    ]


def _spellings(unit: str) -> set[str]:
    """Return how people write a unit: as it is, ``Gb`` for ``Gbit``, ``Gi`` for ``GiB``, ``G`` for each with that."""
    prefix = {unit[0]} if unit[0] in "kKMGTP" else set()
    return {unit, unit.replace("bit", "b"), unit.removesuffix("B") if unit.endswith("iB") else unit} | prefix


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    if not math.isfinite(value):
        return "never" if math.isinf(value) and steps[0][1] == "ns" else str(value)
    factor, unit = steps[0]
    for factor_, unit_ in steps:
        if abs(value) >= factor_ * (1 - 5e-4):
            factor, unit = factor_, unit_
    divisor = {"min": 60.0, "h": 3600.0}.get(unit, factor)
    return f"{_three_digits(value / divisor)} {unit}"


def _three_digits(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
