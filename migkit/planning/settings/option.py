"""One option of a product as its documentation states it: place, unit, bounds, default, source."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Final, NamedTuple

__all__ = ["Option", "Unit", "Value", "ValueTextError"]

Value = float | bool | str


class ValueTextError(ValueError):
    """A text is no value of its option; the message says what is allowed."""


class Unit(NamedTuple):
    """How a product writes a value.

    Attributes
    ----------
    text
        As its documentation calls it.
    factor
        How much one of it is in B/s, s, B or 1.
    """

    text: str
    factor: float


MIB_PER_S: Final = Unit("MiB/s", 2.0**20)
KIB_PER_S: Final = Unit("KiB/s", 2.0**10)
B_PER_S: Final = Unit("B/s", 1.0)
MBIT_PER_S: Final = Unit("Mbit/s", 125_000.0)
MS: Final = Unit("ms", 1e-3)
S: Final = Unit("s", 1.0)
S_PER_GIB: Final = Unit("s/GiB", 1.0)
PERCENT: Final = Unit("%", 0.01)
BYTES: Final = Unit("B", 1.0)
MB_PER_S: Final = Unit("MB/s", 2.0**20)  # QEMU's vcpu-dirty-limit counts 2^20 bytes as its MB
COUNT: Final = Unit("", 1.0)

_TYPES: Final = {"number": "number", "whole": "number", "switch": "switch"}  # of the value of each form
_TYPED: Final = {"number": "a number", "switch": "true or false"}
_LARGEST: Final = 2.0**63  # products keep whole numbers in 64 bits with a sign
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?")
_SUFFIXES: Final = {
    **{f"{prefix}i": 2.0 ** (10 * power) for power, prefix in enumerate("KMGTPE", 1)},
    **{prefix: 10.0 ** (3 * power) for power, prefix in enumerate("kMGTPE", 1)},
    **{"n": 1e-9, "u": 1e-6, "m": 1e-3},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option.

    Attributes
    ----------
    kind
        In which kind of file or command it stands (:class:`migkit.planning.settings.document.Document`).
    path
        Where in it: section and name, or the keys from the top.
    source
        Address of the public page that documents it.
    since
        Versions for which this holds; empty: all that are maintained.
    form
        ``number``, ``whole``, ``quantity`` (a number of bytes with a suffix, as in Kubernetes), ``switch``,
        ``word`` or ``text``.
    unit
        Of the written number.
    low, high
        Documented bounds of the written number, both allowed.
    default
        Documented default, in migkit's unit (B/s, s, B, 1); None: there is none.
    choices
        Words that it takes.
    zero_is_unlimited
        A written 0 means no limit.
    up
        A value that must be rounded is raised; else it is lowered.
    step
        Smallest step of the written number.
    likely
        Written numbers that make sense; what lies outside may be written in another unit. None: any.
    mistaken
        Units for which its own is mistaken.
    deprecated
        Since when, and what to use in its place; empty: it is not.
    """

    kind: str
    path: tuple[str, ...]
    source: str
    since: str = ""
    form: str = "whole"
    unit: Unit = COUNT
    low: float = -math.inf
    high: float = math.inf
    default: Value | None = None
    choices: tuple[str, ...] = ()
    zero_is_unlimited: bool = False
    up: bool = True
    step: float = 1.0
    likely: tuple[float, float] | None = None
    mistaken: tuple[Unit, ...] = ()
    deprecated: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path[-1]

    def read(self, text: str) -> Value:
        """Return what a text says, in migkit's unit; bounds are not looked at.

        Raises
        ------
        ValueTextError
            It says no value of this form.

        Examples
        --------
        >>> bandwidth = Option(kind="nova.conf", path=("libvirt", "live_migration_bandwidth"), source="",
        ...                    unit=MIB_PER_S, zero_is_unlimited=True)
        >>> bandwidth.read("100"), bandwidth.read("0")
        (104857600.0, inf)
        """
        text = text.strip()
        if self.form == "switch":
            return _switch(text)
        if self.form in ("word", "text"):
            return text
        number = self.written(text)
        return math.inf if self.zero_is_unlimited and number == 0.0 else number * self.unit.factor

    def written(self, text: str) -> float:
        """Return the number that a text holds, in the unit of the option.

        Raises
        ------
        ValueTextError
            It holds none.
        """
        return _quantity(text.strip()) if self.form == "quantity" else _number(text.strip(), self.form == "whole")

    def outside(self, text: str, type_: str = "") -> str:
        """Say how a text lies outside of what is documented; empty where it does not.

        Parameters
        ----------
        text
            As written.
        type_
            Of the value, as in :class:`migkit.planning.settings.document.Entry`.

        Examples
        --------
        >>> Option(kind="", path=("x",), source="", low=1).outside("5", "text")
        'it must be a number without quotes'
        """
        wanted = _TYPES.get(self.form, type_)
        if type_ and wanted != type_:
            return f"it must be {_TYPED[wanted]}{' without quotes' if type_ == 'text' else ''}"
        try:
            if self.form == "word":
                return "" if text.strip() in self.choices else f"it must be one of {', '.join(self.choices)}"
            if self.form == "text":
                return ""
            if self.form == "switch":
                _switch(text.strip())
                return ""
            number = self.written(text)
        except ValueTextError as error:
            return str(error)
        if self.low <= number <= self.high:
            beyond = self.form == "whole" and math.isinf(self.high) and number >= _LARGEST
            return "it is larger than any whole number of 64 bits" if beyond else ""
        return f"it must be {self.allowed()}"

    def allowed(self) -> str:
        """Return the documented bounds in words.

        Examples
        --------
        >>> Option(kind="", path=("x",), source="", unit=MS, low=100).allowed()
        'at least 100 ms'
        """
        unit = f" {self.unit.text}".rstrip()
        if math.isinf(self.high):
            return f"at least {self.low:.12g}{unit}"
        if math.isinf(self.low):
            return f"at most {self.high:.12g}{unit}"
        return f"{self.low:.12g} to {self.high:.12g}{unit}"

    def can_write(self, value: Value) -> bool:
        """Say whether the product can be told a value."""
        try:
            self.write(value)
        except ValueTextError:
            return False
        return True

    def write(self, value: Value) -> str:
        """Return a value as the product takes it, rounded to the side that holds and within the bounds.

        Raises
        ------
        ValueTextError
            The product cannot be told this value.

        Examples
        --------
        >>> Option(kind="", path=("downtime",), source="", unit=MS, low=100).write(0.1234)
        '124'
        >>> Option(kind="", path=("bandwidth",), source="", form="quantity", unit=B_PER_S).write(1e8)
        '96Mi'
        """
        if self.form == "switch":
            return "true" if value else "false"
        if self.form in ("word", "text"):
            text = "" if value is True else str(value)  # a flag without a value
            if self.outside(text):
                raise ValueTextError(f"{self.name}: {text} cannot be written; {self.outside(text)}")
            return text
        text = self._digits(float(value))
        if self.outside(text):
            raise ValueTextError(f"{self.name}: {text} {self.unit.text} cannot be written; {self.outside(text)}")
        return text

    def _digits(self, value: float) -> str:
        if math.isinf(value):
            if not self.zero_is_unlimited:
                raise ValueTextError(f"{self.name}: an unlimited value cannot be written; it takes {self.allowed()}")
            return "0"
        if self.form == "quantity":
            return f"{self._rounded(value / 2**20):.0f}Mi"
        steps = self._rounded(value / self.unit.factor / self.step)
        number = steps * self.step if self.step >= 1.0 else steps / round(1.0 / self.step)
        number = max(number, self.low) if self.up else number
        return f"{number:.0f}" if self.form == "whole" else f"{number:.12g}"

    def _rounded(self, steps: float) -> float:
        near = round(steps)
        if abs(steps - near) <= 1e-9 * max(1.0, abs(steps)):
            return float(near)
        return float(math.ceil(steps) if self.up else math.floor(steps))


def _switch(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueTextError("it must be true or false")


def _number(text: str, whole: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise ValueTextError("it must be a plain number, without a unit")
    if whole and not text.lstrip("+-").isdecimal():
        raise ValueTextError("it must be a whole number")
    return number


def _quantity(text: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueTextError("it must be a number with a suffix such as Mi or Gi, as in 64Mi")
    number, suffix = float(match[1]), match[2] or ""
    try:
        scaled = float(f"{match[1]}{suffix}") if suffix[:1] in ("e", "E") and suffix not in _SUFFIXES else None
        return scaled if scaled is not None else number * _SUFFIXES.get(suffix, 1.0)
    except (ValueError, OverflowError) as error:
        raise ValueTextError("it must be a number with a suffix such as Mi or Gi, as in 64Mi") from error
