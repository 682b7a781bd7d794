"""A file of settings, or a list of commands, as one list of entries with their lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Document", "Entry"]


class Entry(NamedTuple):
    """One setting as it stands in a file.

    Attributes
    ----------
    path
        Section and name, the keys from the top, or command and flag; empty: the product cannot read the line.
    text
        The value as written; empty for a flag without one.
    line
        Where, from 1.
    group
        Of which command, from 0; 0 in a file of settings.
    type
        ``text``, ``number`` or ``switch`` where the product tells them apart, as in JSON; empty: it reads every text.
    """

    path: tuple[str, ...]
    text: str
    line: int
    group: int = 0
    type: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one file, or one of the documents in a file, says.

    Attributes
    ----------
    file
        Its name, for findings.
    kind
        What it is: ``nova.conf``, ``HyperConverged``, ``virsh`` and so on.
    entries
        In the order of the file.
    unread
        Lines that the product cannot read, with no path.
    """

    file: str
    kind: str
    entries: tuple[Entry, ...]
    unread: tuple[Entry, ...] = ()

    def all(self, *path: str) -> Iterator[Entry]:
        """Yield the entries whose path begins so."""
        return (entry for entry in self.entries if entry.path[: len(path)] == path)

    def get(self, *path: str) -> Entry | None:
        """Return the last entry of this path, which is the one in force; None: there is none."""
        found = [entry for entry in self.entries if entry.path == path]
        return found[-1] if found else None

    def text(self, *path: str) -> str:
        """Return the text of the last entry of this path, in small letters; empty where there is none."""
        entry = self.get(*path)
        return "" if entry is None else entry.text.strip().lower()

    def on(self, *path: str) -> bool:
        """Say whether a switch is on."""
        return self.text(*path) in ("true", "yes", "on", "1")

    @property
    def first_line(self) -> int:
        """Line of the first entry; 1 where there is none."""
        return min((entry.line for entry in self.entries), default=1)

    @property
    def name(self) -> str:
        """Name of a Kubernetes object, else that of the file."""
        entry = self.get("metadata", "name")
        return self.file if entry is None else entry.text
