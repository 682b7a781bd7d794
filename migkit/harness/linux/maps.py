"""The mappings of a process, from ``/proc/PID/maps``; loads nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Mapping", "mappings", "parse_mapping"]


class Mapping(NamedTuple):
    """One mapping of a process's address space: a line of ``/proc/PID/maps``."""

    start: int
    end: int
    permissions: str
    path: str

    @property
    def writable(self) -> bool:
        """Whether the process may write to it."""
        return "w" in self.permissions

    @property
    def length_bytes(self) -> int:
        """Size [B]."""
        return self.end - self.start


def mappings(pid: int) -> list[Mapping]:
    """Return the mappings of a process, in order of address.

    Examples
    --------
    >>> import os
    >>> any(m.path == "[stack]" and m.writable for m in mappings(os.getpid()))
    True
    """
    return [
        parse_mapping(line) for line in Path(f"/proc/{pid}/maps").read_text(errors="surrogateescape").splitlines()
    ]


def parse_mapping(line: str) -> Mapping:
    """Return what one line of ``/proc/PID/maps`` says.

    Raises
    ------
    ValueError
        It is no such line.

    Examples
    --------
    >>> parse_mapping("7f00-8f00 rw-p 00000000 00:00 0          [heap]")
    Mapping(start=32512, end=36608, permissions='rw-p', path='[heap]')
    """
    extent, permissions, _offset, _device, _inode, *path = line.split(maxsplit=5)
    start, end = (int(part, 16) for part in extent.split("-"))
    return Mapping(start, end, permissions, path[0] if path else "")
