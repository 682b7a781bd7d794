"""Which kind of file a text is, by its name and by what it says, and its entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from migkit import files
from migkit.errors import UsageError, printable
from migkit.planning.settings import commandlines, lines, trees
from migkit.planning.settings.document import Document, Entry

__all__ = ["documents_of", "load"]

_MOST_BYTES: Final = 1 << 20


class _Kind(NamedTuple):
    """A file of lines: its kind, how it is read, and patterns of its name and of a line that no other has."""

    kind: str
    read: Callable[[str], Iterable[Entry]]
    name: str
    line: str


_LINES: Final = (
    _Kind("datacenter.cfg", lines.colons, r"datacenter\.cfg", r"(bwlimit|migration|max_workers|migration_unsecure):"),
    _Kind("VM.conf", lines.colons, r"\d+\.conf", r"(migrate_speed|migrate_downtime|bootdisk|scsihw|ostype):"),
    _Kind("qemu.conf", lines.flat, r"qemu\.conf", r"(migrate_tls_\w+|stdio_handler|security_driver)\s*="),
    _Kind("libvirtd.conf", lines.flat, r"(libvirtd|virtqemud)\.conf", r"(listen_tls|max_clients|unix_sock_\w+)\s*="),
    _Kind("libvirt.conf", lines.flat, r"libvirt\.conf", r"(uri_aliases|uri_default)\s*="),
    _Kind("vdsm.conf", lines.sections, r"(.*[-_.])?vdsm.*\.conf", r"\[vars\]"),
    _Kind("watcher.conf", lines.sections, r"watcher.*\.conf", r"\[watcher_\w+\]"),
    _Kind("nova.conf", lines.sections, r"nova.*\.conf", r"\[libvirt\]|live_migration_\w+\s*=|\[DEFAULT\]"),
)
_OBJECTS: Final = ("HyperConverged", "KubeVirt", "MigrationPolicy", "DeschedulerPolicy")


def load(path: Path) -> list[Document]:
    """Return the documents of a file.

    Raises
    ------
    UsageError
        It cannot be read, or it is none that migkit knows.
    """
    try:
        raw = files.read(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(f"lint: {path} cannot be read ({error.strerror}); check the name") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"lint: {path} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    return documents_of(str(path), text)


def documents_of(file: str, text: str) -> list[Document]:
    """Return the documents of a text; what it is follows from the file's name, else from what it says.

    Raises
    ------
    UsageError
        It is none that migkit knows, or it is damaged.

    Examples
    --------
    >>> [one.kind for one in documents_of("settings", "[libvirt]\\nlive_migration_downtime = 500")]
    ['nova.conf']
    """
    try:
        found = list(_documents(file, text))
    except ValueError as error:
        raise UsageError(f"lint: {file} cannot be read: {printable(str(error))}; mend it") from error
    if not found:
        known = ", ".join([*(kind.kind for kind in _LINES), *_OBJECTS, *commandlines.PROGRAMS])
        raise UsageError(f"lint: {file} is none of the files that are known: {known}; name it as the product does")
    return found


def _documents(file: str, text: str) -> Iterator[Document]:
    name = Path(file).name
    for kind in _LINES:
        if re.fullmatch(kind.name, name):
            yield _lined(file, kind, text)
            return
    body = "\n".join(line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#;")
    first = body.split(maxsplit=1)[:1]
    if re.search(r'"execute"\s*:', body):
        yield Document(file=file, kind="QMP", entries=tuple(trees.qmp(text)))
    elif first and first[0].rpartition("/")[2] in (*commandlines.PROGRAMS, "sudo"):
        yield from _commands(file, text)
    elif re.search(r'^[\s{]*"?(apiVersion|kind|config)"?\s*:', body, re.MULTILINE):
        yield from _objects(file, text)
    else:
        for kind in _LINES:
            if re.search(f"^({kind.line})", body, re.MULTILINE):
                yield _lined(file, kind, text)
                return


def _lined(file: str, kind: _Kind, text: str) -> Document:
    entries = tuple(kind.read(text))
    read, unread = (tuple(one for one in entries if bool(one.path) == wanted) for wanted in (True, False))
    return Document(file=file, kind=kind.kind, entries=read, unread=unread)


def _commands(file: str, text: str) -> Iterator[Document]:
    """Yield one document a program, with all its commands."""
    found: dict[str, list[Entry]] = {}
    for program, entries in commandlines.commands(text):
        found.setdefault("audit" if program == "openstack" else program, []).extend(entries)
    yield from (Document(file=file, kind=kind, entries=tuple(entries)) for kind, entries in found.items())


def _objects(file: str, text: str) -> Iterator[Document]:
    for entries in trees.objects(text):
        said = {entry.path: entry.text for entry in entries}
        kind = said.get(("kind",), "")
        if kind == "HyperConverged" and said.get(("apiVersion",), "").endswith("/v1beta1"):
            yield Document(file=file, kind=f"{kind} v1beta1", entries=tuple(entries))
        elif kind in _OBJECTS:
            yield Document(file=file, kind=kind, entries=tuple(entries))
        elif any(entry.path[0] == "config" for entry in entries) and not kind:
            texts = tuple(entry._replace(type="") for entry in entries)  # Incus keeps every value as a text
            yield Document(file=file, kind="incus", entries=texts)
