"""A product as advice and lint see it: options, rules, what its settings come to, how people enter them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import Rule
from migkit.planning.settings.option import Option, Value, ValueTextError
from migkit.scenario import Policy, Scenario, Strategy

__all__ = ["LONGEST_LIMIT_S", "Manner", "Product", "Settlement", "Snippet", "Values", "text_of"]

LONGEST_LIMIT_S: Final = 2.0
"""The longest downtime limit that advice raises one to unasked [s]; people notice a longer pause as an outage."""
_OF_THE_GUEST: Final = ("tls", "storage_bytes", "storage_dirty_bytes_per_s")

Values = Mapping[str, Value]
"""Values by the names of their options, in migkit's units."""


class Manner(NamedTuple):
    """A way of moving that a product offers.

    Attributes
    ----------
    name
        What people call it.
    values
        What switches it on.
    at_timeout
        It is in the timeout that it acts.
    """

    name: str
    values: dict[str, Value]
    at_timeout: bool = False


class Snippet(NamedTuple):
    """A text to paste: of which kind of file, where it goes, the text itself."""

    kind: str
    place: str
    text: str


class Settlement(NamedTuple):
    """One set of values in force: whom it is for, the values, and the files and lines that set them."""

    name: str
    values: dict[str, Value]
    lines: dict[str, tuple[str, int]]


def _nothing(documents: Sequence[Document]) -> dict[str, Value]:
    return {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What people set in one product.

    Attributes
    ----------
    name
        What commands call it.
    title
        Product and versions.
    options
        Every option that is read or written.
    rules
        What can be wrong beyond the bounds and units of single options.
    settle
        Returns the scenario that values make of a scenario: its policy, its strategy, how many share the link.
    said
        Returns values that follow from documents as a whole, which no single option holds.
    write
        Returns texts that set some values, given beside all values in force.
    manners
        Ways of moving, the least intrusive first.
    cap, downtime_limit, streams, together, patience
        Names of the options for these; empty: it has none. A patience of 0 has no end.
    several
        What must be set beside a number of streams.
    cures
        Names of options whose number may be turned to make a guest converge, the least intrusive first; after them
        the manners.
    cannot
        What people ask of it and cannot set, in sentences.
    """

    name: str
    title: str
    options: tuple[Option, ...]
    settle: Callable[[Values, Scenario], Scenario]
    said: Callable[[Sequence[Document]], dict[str, Value]] = _nothing
    rules: tuple[Rule, ...] = ()
    write: Callable[[Values, Values], tuple[Snippet, ...]] | None = None
    manners: tuple[Manner, ...] = (Manner("as it is", {}),)
    cap: str = ""
    downtime_limit: str = ""
    streams: str = ""
    together: str = ""
    patience: str = ""
    several: Values = dataclasses.field(default_factory=dict)
    cures: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of documents that it reads."""
        return tuple(dict.fromkeys(option.kind for option in self.options))

    def option(self, name: str) -> Option:
        """Return the first option of a name."""
        return next(option for option in self.options if option.name == name)

    def scenario(self, values: Values, case: Scenario) -> Scenario:
        """Return what values make of a scenario; of its policy nothing stays, of its strategy disks and TLS."""
        kept = {name: getattr(case.strategy, name) for name in _OF_THE_GUEST}
        plain = dataclasses.replace(case, policy=Policy(), strategy=Strategy(**kept))
        return self.settle(values, plain)

    def defaults(self) -> dict[str, Value]:
        """Return every documented default."""
        found: dict[str, Value] = {}
        for option in self.options:
            if option.default is not None:
                found.setdefault(option.name, option.default)
        return found

    def in_force(self, documents: Sequence[Document], name: str = "") -> Settlement:
        """Return what documents set over the defaults; a later document, and a later line, has precedence.

        What cannot be read, or lies outside its bounds, is refused by the product and changes nothing here.
        """
        values, lines = self.defaults(), dict[str, tuple[str, int]]()
        for document in documents:
            for entry in document.entries:
                for option in self.options:
                    if (
                        option.kind == document.kind
                        and option.path == entry.path
                        and not option.outside(entry.text, entry.type)
                    ):
                        values[option.name] = option.read(entry.text)
                        lines[option.name] = (document.file, entry.line)
        return Settlement(name or self.title, values | self.said(documents), lines)


def text_of(product: Product, values: Values, name: str) -> str:
    """Return a value as the product's file takes it.

    Raises
    ------
    ValueTextError
        It cannot be written.
    """
    if name not in values:
        raise ValueTextError(f"{name}: it has no value")
    return product.option(name).write(values[name])
