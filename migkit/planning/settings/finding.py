"""What is wrong with a file of settings, and the rules that find it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from migkit.planning.settings.document import Document

__all__ = ["LEVELS", "Check", "Finding", "Rule", "Trouble"]

LEVELS: Final = ("error", "warning", "note")


class Trouble(NamedTuple):
    """What a check found: where, what it is, what to do."""

    line: int
    what: str
    do: str


Check = Callable[[Document, Sequence[Document]], Iterable[Trouble]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that can be wrong, declared once.

    Attributes
    ----------
    name
        What findings call it: product and fault.
    level
        ``error``: it is refused, does the opposite, or nothing can migrate; ``warning``: it does not do what it
        says; ``note``: worth knowing.
    kinds
        Kinds of documents that it looks at.
    why
        Why it matters, in one sentence.
    source
        Address of the public page that says so.
    check
        Yields what it finds in a document; it is given all documents, too.
    """

    name: str
    level: str
    kinds: tuple[str, ...]
    why: str
    source: str
    check: Check

    def findings(self, documents: Sequence[Document]) -> list[Finding]:
        """Return what the rule finds in documents."""
        return [
            Finding(
                file=document.file,
                line=trouble.line,
                level=self.level,
                rule=self.name,
                what=trouble.what,
                why=self.why,
                do=trouble.do,
                source=self.source,
            )
            for document in documents
            if document.kind in self.kinds
            for trouble in self.check(document, documents)
        ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes
    ----------
    file, line
        Where; line 0: the file as a whole.
    level, rule
        As in :class:`Rule`.
    what, why, do
        What is there, why it matters, what to do about it.
    source
        Address of the public page that says so.
    """

    file: str
    line: int
    level: str
    rule: str
    what: str
    why: str
    do: str
    source: str
