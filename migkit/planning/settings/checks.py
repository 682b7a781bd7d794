"""Rules that follow from the declarations of options: bounds, units, deprecation, the wrong place, twice."""

from __future__ import annotations

import dataclasses
import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from migkit.planning.settings.document import Document, Entry
from migkit.planning.settings.finding import Check, Rule, Trouble
from migkit.planning.settings.option import Option, Unit, ValueTextError
from migkit.units import format_duration, format_rate

__all__ = ["each", "elsewhere", "foreign", "of_options", "placed", "repeated", "unknown", "unread"]

_ETHERNET_MBIT: Final = (1000, 2500, 5000, 10_000, 25_000, 40_000, 50_000, 100_000, 200_000, 400_000)
_BANDWIDTHS: Final = ("B/s", "KiB/s", "MiB/s", "Mbit/s")


def of_options(options: Sequence[Option]) -> tuple[Rule, ...]:
    """Return what can be wrong with the value of each option.

    Examples
    --------
    >>> downtime = Option(kind="nova.conf", path=("libvirt", "live_migration_downtime"), source="", low=100)
    >>> [rule.name for rule in of_options([downtime])]
    ['nova.conf libvirt.live_migration_downtime: value']
    """
    rules: list[Rule] = []
    for option in options:
        if option.form != "text":
            rules.append(_rule(option, "value", "error", "The product refuses the value or ignores it.", _value))
        if option.likely is not None:
            rules.append(_rule(option, "unit", "warning", f"The unit is {option.unit.text}.", _unit))
        if option.deprecated:
            rules.append(_rule(option, "deprecated", "warning", "It is deprecated or gone.", _deprecated))
    return tuple(rules)


def _rule(
    option: Option, fault: str, level: str, why: str, check: Callable[[Option, Entry], Iterator[Trouble]]
) -> Rule:
    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        for entry in document.all(*option.path):
            if entry.path == option.path:
                yield from check(option, entry)

    return Rule(
        name=f"{option.kind} {'.'.join(option.path)}: {fault}",
        level=level,
        kinds=(option.kind,),
        why=why,
        source=option.source,
        check=found,
    )


def _value(option: Option, entry: Entry) -> Iterator[Trouble]:
    outside = option.outside(entry.text, entry.type)
    if outside:
        yield Trouble(entry.line, f"{option.name} = {entry.text}: {outside}", f"write {_example(option)}")


def _example(option: Option) -> str:
    if option.default is None or isinstance(option.default, str):
        return f"{option.name} within what is allowed"
    try:
        return f"{option.name} = {option.write(option.default)}, the default, or another value that is allowed"
    except ValueTextError:
        return f"{option.name} within what is allowed"


def _unit(option: Option, entry: Entry) -> Iterator[Trouble]:
    """Yield that a number makes more sense in another unit."""
    try:
        number = dataclasses.replace(option, form="number" if option.form == "whole" else option.form).written(
            entry.text
        )
    except ValueTextError:
        return
    assert option.likely is not None
    low, high = option.likely
    if number == 0.0 and option.zero_is_unlimited:
        return
    means = _shown(number * option.unit.factor, option.unit)
    for other in option.mistaken:
        meant = number * other.factor / option.unit.factor
        odd = not low <= number <= high
        speed_of_a_port = other.text == "Mbit/s" and number in _ETHERNET_MBIT and option.unit.text != "Mbit/s"
        if (odd or speed_of_a_port) and low <= meant <= high:
            right = _shown(number * other.factor, other)
            try:
                text = option.write(meant * option.unit.factor)
            except ValueTextError:
                continue
            what = f"{option.name} = {entry.text} is {means}; it looks like {other.text}"
            yield Trouble(entry.line, what, f"if {right} is meant, write {text}")
            return
    if not low <= number <= high and not option.outside(entry.text):
        usual = f"{low:g} to {high:g} {option.unit.text}"
        yield Trouble(entry.line, f"{option.name} = {entry.text} is {means}", f"check the unit; {usual} is usual")


def _shown(value: float, unit: Unit) -> str:
    return format_rate(value) if unit.text in _BANDWIDTHS else format_duration(value)


def _deprecated(option: Option, entry: Entry) -> Iterator[Trouble]:
    yield Trouble(entry.line, f"{option.name} is {option.deprecated.partition(';')[0]}", _instead(option))


def _instead(option: Option) -> str:
    return option.deprecated.partition(";")[2].strip() or "remove it"


def placed(options: Sequence[Option]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the path of each option by kind and name."""
    found: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for option in options:
        found[option.kind].setdefault(option.name, option.path)
    return found


def elsewhere(options: Sequence[Option]) -> Check:
    """Return a check for options that stand in the wrong section of the right file."""
    places = placed(options)
    paths = {(option.kind, option.path) for option in options}

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        known = places.get(document.kind, {})
        for entry in document.entries:
            right = known.get(entry.path[-1])
            if right is not None and (document.kind, entry.path) not in paths:
                here, there = ".".join(entry.path[:-1]) or "the top", ".".join(right[:-1]) or "the top"
                what = f"{entry.path[-1]} stands in {here}, where it does nothing"
                yield Trouble(entry.line, what, f"move it to {there}")

    return found


def unknown(options: Sequence[Option], below: Callable[[Document, Entry], bool]) -> Check:
    """Return a check for names that the product does not know, where ``below`` says that one of its own belongs."""
    places = placed(options)

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        known = places.get(document.kind, {})
        paths = set(known.values())
        said: set[str] = set()
        for entry in document.entries:
            instead = _in_the_place_of_settings(entry, paths)
            if instead and instead not in said:
                yield Trouble(entry.line, instead, "write each setting below it, as name: value")
            if instead:
                said.add(instead)
                continue
            inside = any(entry.path[: len(path)] == path for path in paths)
            if inside or entry.path[-1] in known or not below(document, entry):
                continue
            yield Trouble(
                entry.line, f"{entry.path[-1]} is no setting of migrations", _nearest(entry.path[-1], known)
            )

    return found


def _in_the_place_of_settings(entry: Entry, paths: Iterable[tuple[str, ...]]) -> str:
    """Say that a value, or an item of a list, stands where settings have their names; empty: it does not."""
    above = {path[:depth] for path in paths for depth in range(1, len(path))}
    if entry.path in above:
        return f"{entry.path[-1]} = {entry.text} is a value, and settings belong there"
    is_item = entry.path[:-1] in above and entry.path[-1].isdigit()
    return f"{entry.path[-2]} is a list, and settings belong there" if is_item else ""


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else "remove it"


def foreign(known: Sequence[str]) -> Check:
    """Return a check for names at the top of a file that are none of all that the product knows there.

    A number behind a name counts its devices, so that ``net`` stands for ``net0`` and so on.
    """
    names = frozenset(known)

    def found(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
        for entry in document.entries:
            name = entry.path[0]
            if name not in names and name.rstrip("0123456789") not in names:
                yield Trouble(entry.line, f"{name} is not known in {document.kind}", _nearest(name, known))

    return found


def unread(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield the lines that the product cannot read."""
    for entry in document.unread:
        section = entry.text.startswith("[")
        what = "a section without its end" if section else "no name with a value"
        yield Trouble(entry.line, f"{entry.text} is {what}", "write [name]" if section else "write name and value")


def repeated(document: Document, documents: Sequence[Document]) -> Iterator[Trouble]:
    """Yield settings that a later line of the same file overrides."""
    last: dict[tuple[tuple[str, ...], int], Entry] = {}
    for entry in document.entries:
        before = last.get((entry.path, entry.group))
        if before is not None:
            what = f"{entry.path[-1]} = {before.text} is overridden by line {entry.line} ({entry.text})"
            yield Trouble(before.line, what, "keep one of the two")
        last[entry.path, entry.group] = entry


def each(documents: Sequence[Document], *kinds: str) -> Iterator[Document]:
    """Yield the documents of some kinds."""
    return (document for document in documents if document.kind in kinds)
