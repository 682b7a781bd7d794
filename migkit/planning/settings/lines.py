"""Files of lines as entries: sections with ``key = value``, libvirt's flat files, Proxmox's ``key: value``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from migkit.planning.settings.document import Entry

__all__ = ["colons", "flat", "sections"]

_SECTION: Final = re.compile(r"\[([^\]]+)\]\s*")
_PAIR: Final = re.compile(r"([^\s=:\[][^=:]*?)\s*[=:]\s*(.*?)\s*")
_LISTS: Final = {"bwlimit": "default", "migration": "type", "ha": "", "crs": ""}  # and the key that needs no name


def sections(text: str) -> Iterator[Entry]:
    """Yield the entries of a file with sections, as oslo.config and vdsm read it.

    A line that begins with a blank goes on with the value before it. A comment fills its line. A section that has no
    end is the last entry, since nobody knows what belongs to it.

    Examples
    --------
    >>> [entry.path for entry in sections("[libvirt]\\nlive_migration_downtime = 500")]
    [('libvirt', 'live_migration_downtime')]
    """
    section = "DEFAULT"
    last: Entry | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        head = _SECTION.fullmatch(line)
        pair = _PAIR.fullmatch(line)
        if line[0] in " \t" and last is not None:
            last = last._replace(text=f"{last.text}\n{line.strip()}")
            continue
        if last is not None:
            yield last
        last = None
        if head:
            section = head[1].strip()
        elif pair and line[0] not in " \t":
            last = Entry((section, pair[1].strip()), _unquoted(pair[2]), number)
        else:
            yield Entry((), line.strip(), number)
            if line[0] == "[":
                return
    if last is not None:
        yield last


def flat(text: str) -> Iterator[Entry]:
    """Yield the entries of a file of libvirt: ``key = value``, text in quotes, a comment behind ``#``.

    Examples
    --------
    >>> list(flat('migration_host = "node1"  # storage network'))
    [Entry(path=('migration_host',), text='node1', line=1, group=0, type='')]
    """
    for number, line in enumerate(text.splitlines(), 1):
        pair = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*(\"[^\"]*\"|'[^']*'|[^#]*?)\s*(#.*)?", line)
        if pair:
            yield Entry((pair[1],), _unquoted(pair[2]), number)
        elif line.strip() and line.lstrip()[0] not in "#]\"'":  # a list goes on over lines
            yield Entry((), line.strip(), number)


def colons(text: str) -> Iterator[Entry]:
    """Yield the entries of a file of Proxmox, up to its first section, which holds a snapshot.

    Examples
    --------
    >>> [(entry.path, entry.text) for entry in colons("migration: insecure,network=10.1.0.0/24")]
    [(('migration', 'type'), 'insecure'), (('migration', 'network'), '10.1.0.0/24')]
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            return
        pair = re.fullmatch(r"([\w-]+):\s*(.*?)\s*", line)
        if pair and pair[1] in _LISTS:
            for at, part in enumerate(pair[2].split(",")):
                name, sign, value = part.partition("=")
                key = name.strip() if sign or at else _LISTS[pair[1]]
                yield Entry((pair[1], key), value.strip() if sign else name.strip(), number)
        elif pair:
            yield Entry((pair[1],), pair[2], number)
        elif line.strip() and line.lstrip()[0] != "#":
            yield Entry((), line.strip(), number)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
