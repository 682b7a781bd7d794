"""What a field of a scenario is, declared once beside the field.

A record gives each field a name, a type, a default and a :func:`rule`. All that is said or asked of a field anywhere
is made from these four by :func:`declared`: the checks of the constructor, the key and the text in a file, the flag
of a command, the column of a frame, the row of ``migkit schema`` and the line of the docstring.

The name carries the unit of the number: ``memory_bytes``, ``rtt_s``, ``bandwidth_bytes_per_s``.

The records are plain dataclasses. ``attrs``, ``msgspec`` and ``pydantic`` have fields with bounds as well, but their
messages name neither the unit nor the remedy, so the checks would stay ours.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from migkit.errors import UsageError, shown
from migkit.units import format_cost, format_rate, format_size

__all__ = [
    "Field",
    "Rule",
    "advice",
    "declared",
    "documented",
    "file_key",
    "hints",
    "is_unlimited",
    "rule",
    "show",
    "unit_kind",
]

T = TypeVar("T", bound=type)

_UNITS: Final = {  # ending of a name: kind of the text in a file, unit of the number in Python
    "_bytes_per_s": ("rate", "B/s"),
    "_per_s": (None, ""),
    "_bytes": ("size", "B"),
    "_s": ("time", "s"),
}
_KINDS: Final = {
    "float": "number",
    "int": "whole number",
    "str": "text",
    "bool": "true or false",
    "tuple[tuple[float, float], ...]": "steps",
    "tuple[tuple[str, float], ...]": "table",
}
_IN_COLUMNS: Final = ("size", "rate", "time", "number", "whole number", "text", "true or false")
_KEY: Final = "migkit"
_UNLIMITED: Final = "unlimited"
_NO_LIMIT: Final = ("0", "none", "no", "off", "inf", "infinite", "infinity", "no limit")  # in words of other tools


class Rule(NamedTuple):
    """What :func:`rule` says of a field.

    Attributes
    ----------
    meaning
        Sentences for whoever sets the field, without its unit.
    low, high
        Bounds of a number, inclusive, in the unit that the field's name says.
    above
        The number must be above ``low``, not equal to it.
    choices
        The only values allowed; None: any within the bounds.
    whole_pages
        The number must be a multiple of 4 KiB.
    """

    meaning: str
    low: float = 0.0
    high: float = math.inf
    above: bool = False
    choices: tuple[str | int, ...] | None = None
    whole_pages: bool = False


class Field(NamedTuple):
    """One declared field.

    Attributes
    ----------
    name
        In Python, with the unit.
    kind
        ``size``, ``rate`` or ``time`` (text with a unit in a file), ``number``, ``whole number``, ``text``,
        ``true or false``, ``steps`` (pairs of a time and a share), ``table`` (names and numbers), ``tables``
        (a list of records) or ``record``.
    is_int
        The value is a whole number.
    is_optional
        The value may be None.
    default
        The documented default; :data:`dataclasses.MISSING` where the field is required.
    rule
        Its bounds and its meaning.
    """

    name: str
    kind: str
    is_int: bool
    is_optional: bool
    default: Any
    rule: Rule

    @property
    def key(self) -> str:
        """The key in a file: the name without the unit that the text carries."""
        return file_key(self.name)

    @property
    def unit(self) -> str:
        """Unit of the number in Python, as ``B/s``; empty where the name says all."""
        return _unit(self.name)[1]

    @property
    def is_required(self) -> bool:
        """There is no default."""
        return self.default is dataclasses.MISSING

    @property
    def is_number(self) -> bool:
        """The value is one number."""
        return self.kind in ("size", "rate", "time", "number", "whole number")

    @property
    def is_column(self) -> bool:
        """The value is one number, name or switch, so that a column of a frame can hold it."""
        return self.kind in _IN_COLUMNS

    @property
    def may_be_unlimited(self) -> bool:
        """Infinity is a value: of capacities, and of whatever is unlimited by default."""
        return bool(self.default == math.inf or (self.kind == "rate" and self.rule.above))

    @property
    def default_text(self) -> str:
        """The default as a file writes it; ``required`` or ``none`` where there is none."""
        if self.is_required:
            return "required"
        if self.kind == "record":
            return "its defaults"
        if self.default == -math.inf:
            return "the policy's"
        if self.default is None or self.default == ():
            return "none"
        return str(self.default).lower() if isinstance(self.default, bool | str) else self.show(self.default)

    @property
    def allowed(self) -> str:
        """The choices or the bounds in words; empty where the type says all."""
        if self.rule.choices:
            return ", ".join(one if isinstance(one, str) else self.show(one) for one in self.rule.choices)
        if not self.is_number:
            return ""
        if math.isinf(self.rule.low):
            return (
                "any number that is finite" if math.isinf(self.rule.high) else f"at most {self.show(self.rule.high)}"
            )
        low = f"{'above' if self.rule.above else 'at least'} {self.show(self.rule.low)}"
        return low if math.isinf(self.rule.high) else f"{low}, at most {self.show(self.rule.high)}"

    def column(self, table: str) -> str:
        """Return the column of a frame that holds the field of a table; empty where none can.

        Examples
        --------
        >>> from migkit.scenario import Link, Policy
        >>> declared(Link)[0].column("link"), declared(Policy)[0].column("policy")
        ('bandwidth_bytes_per_s', 'policy')
        """
        return "" if not self.is_column else table if self.name == "name" else self.name

    def show(self, value: Any) -> str:
        """Return ``value`` as a message shows it, with its unit."""
        return show(self.name, value)


def rule(
    meaning: str,
    *,
    low: float = 0.0,
    high: float = math.inf,
    above: bool = False,
    choices: tuple[str | int, ...] | None = None,
    whole_pages: bool = False,
) -> Mapping[str, Rule]:
    """Return the metadata of a dataclass field: its meaning and its bounds, as :class:`Rule` names them.

    Examples
    --------
    >>> @documented
    ... @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Pause:
    ...     "A pause."
    ...     length_s: float = dataclasses.field(default=1.0, metadata=rule("How long it takes.", high=60.0))
    >>> declared(Pause)[0].kind, declared(Pause)[0].default_text, declared(Pause)[0].allowed
    ('time', '1 s', 'at least 0 s, at most 60 s')
    >>> inspect.getdoc(Pause).splitlines()[-2:]
    ['length_s : float [s], default 1 s, at least 0 s, at most 60 s', '    How long it takes.']
    """
    return {_KEY: Rule(meaning, low, high, above, choices, whole_pages)}


@functools.cache
def declared(cls: Any) -> tuple[Field, ...]:
    """Return the fields of a record class, in order.

    Parameters
    ----------
    cls
        A dataclass whose annotations are text, as in a module that postpones them.

    Examples
    --------
    >>> from migkit.scenario import Guest
    >>> [(field.key, field.kind, field.unit) for field in declared(Guest)][:3]
    [('memory', 'size', 'B'), ('zero', 'size', 'B'), ('dirty', 'tables', '')]
    """
    return tuple(map(_declared, dataclasses.fields(cls)))


def documented(cls: T) -> T:
    """Add the section ``Attributes``, made from the declared fields, to a record's docstring.

    Examples
    --------
    >>> from migkit.scenario import Link
    >>> inspect.getdoc(Link).splitlines()[4]
    'bandwidth_bytes_per_s : float [B/s], default unlimited, above 0 bit/s'
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    head, mark, rest = text.partition("\n\nExamples\n--------\n")
    kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    entries = [_entry(field, kinds[field.name]) for field in declared(cls)]
    cls.__doc__ = "\n".join([head, "", "Attributes", "----------", *entries]) + mark + rest
    return cls


def unit_kind(name: str) -> str | None:
    """Return ``"rate"``, ``"size"`` or ``"time"`` for a field whose file value is text with a unit, else None.

    Examples
    --------
    >>> unit_kind("bandwidth_bytes_per_s"), unit_kind("memory_bytes"), unit_kind("rtt_s"), unit_kind("writes_per_s")
    ('rate', 'size', 'time', None)
    """
    return _unit(name)[0]


def file_key(name: str) -> str:
    """Return the key of a field in a scenario file: its name without the unit that the text carries.

    Examples
    --------
    >>> file_key("memory_bytes"), file_key("downtime_limit_s"), file_key("writes_per_s")
    ('memory', 'downtime_limit', 'writes_per_s')
    """
    ending = _ending(name)
    return name.removesuffix(ending) if _UNITS.get(ending, (None,))[0] else name


@functools.cache
def hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of a record class as types.

    Examples
    --------
    >>> from migkit.scenario import Link
    >>> hints(Link)["rtt_s"]
    <class 'float'>
    """
    return typing.get_type_hints(cls)


def is_unlimited(field: Field, value: Any, where: str) -> bool:
    """Return whether the value of a file says that a field has no limit.

    Raises
    ------
    UsageError
        It says so in the words of another tool, or the field must have a limit.

    Examples
    --------
    >>> from migkit.scenario import Link
    >>> is_unlimited(declared(Link)[0], "unlimited", "link.bandwidth")
    True
    """
    if value == _UNLIMITED and not field.may_be_unlimited and math.isfinite(field.rule.high):
        raise UsageError(f'{where}: "{_UNLIMITED}" is not allowed here; it must be {field.allowed}')
    if not field.may_be_unlimited or isinstance(value, bool):
        return False
    if value == 0 or str(value).strip().lower() in _NO_LIMIT:
        raise UsageError(f'{where}: {shown(value)} is no {field.kind}; write "{_UNLIMITED}" for no limit')
    return bool(value == _UNLIMITED)


def advice(key: str, known: Sequence[str], elsewhere: Sequence[str] = ()) -> str:
    """Return what to write in the place of a key that is not known: one spelt alike, or the place of that name.

    Parameters
    ----------
    key
        What somebody wrote.
    known
        The keys of the table that it stands in.
    elsewhere
        Keys with their place, such as ``strategy.tls``; a setting of a policy is also known by the end of its name.

    Examples
    --------
    >>> advice("memry", ["memory", "zero"])
    'did you mean "memory"?'
    >>> advice("downtime_steps", ["downtime_limit"], ["settings.steps"])
    'did you mean "settings.steps"?'
    """
    key = key[:40]
    near = [one for one in known if one == file_key(key)]
    for place in elsewhere:
        table, _, name = place.partition(".")
        if name in (key, file_key(key)) or (table == "settings" and key.endswith(f"_{name}")):
            near.append(place)
    if not near:
        import difflib  # 0.5 ms of each start, for those who misspell

        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(known)}"


def show(name: str, value: Any) -> str:
    """Return the value of the field ``name`` as a message shows it, with its unit.

    Examples
    --------
    >>> show("rtt_s", 0.2), show("memory_bytes", 2**30), show("streams", 4)
    ('200 ms', '1 GiB', '4')
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return shown(value)
    return _text(unit_kind(name), float(value))


@functools.lru_cache(256)  # a few bounds and defaults are those of most fields
def _text(kind: str | None, value: float) -> str:
    if math.isinf(value):
        return "unlimited" if value > 0 else "-inf"
    match kind:
        case "rate":
            return format_rate(value)
        case "size":
            return format_size(value)
        case "time":
            return format_cost(value)
        case _:
            return f"{value:g}"


def _ending(name: str) -> str:
    return next((ending for ending in _UNITS if name.endswith(ending)), "")


def _unit(name: str) -> tuple[str | None, str]:
    return _UNITS.get(_ending(name), (None, ""))


def _declared(field: dataclasses.Field[Any]) -> Field:
    """Return what a dataclass field and its annotation say."""
    base = str(field.type).removesuffix(" | None")
    kind = unit_kind(field.name) or _KINDS.get(base) or ("tables" if base.startswith("tuple[") else "record")
    optional = base != field.type
    return Field(field.name, kind, base == "int", optional, field.default, field.metadata.get(_KEY, Rule("")))


def _entry(field: Field, annotation: str) -> str:
    """Return the lines of one field in a docstring: type, unit, default and bounds, then what it means."""
    default = "required" if field.is_required else f"default {field.default_text}"
    unit = f" [{field.unit}]" if field.unit else ""
    allowed = f"one of {field.allowed}" if field.rule.choices else field.allowed
    facts = ", ".join(filter(None, (annotation + unit, default, allowed)))
    return f"{field.name} : {facts}\n    {field.rule.meaning}"
