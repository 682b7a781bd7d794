"""Read any log of a migration: its pieces are recognised by what they say, never by the name of the file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from migkit.errors import TraceError
from migkit.importers import build
from migkit.importers.assemble import group
from migkit.importers.context import Context
from migkit.importers.findings import Item, Log, Rate
from migkit.importers.reading import blocks
from migkit.importers.reading.dressing import bare, undressed
from migkit.importers.reading.numbers import words
from migkit.importers.reading.objects import Found, Plain, pieces
from migkit.importers.reading.stamps import Stamp, split
from migkit.importers.reading.text import Text, decode, load
from migkit.importers.reading.walk import walk
from migkit.importers.tools import (
    commands,
    criu,
    dirtyrate,
    hypervisors,
    kubevirt,
    managers,
    metrics,
    trace_events,
    vdsm,
)

__all__ = ["read"]

_SHOWN: Final = 5
_MOST_ITEMS: Final = 200_000
_MOST_MIGRATIONS: Final = 10_000
_MOST_LINES: Final = 2_000_000
_MOST_LINE_CHARS: Final = 2048  # no line that is read is longer
_DEEPEST: Final = 3
_LIBVIRT_REPLY: Final = "QEMU_MONITOR_RECV_REPLY"
_LIBVIRT_AGAIN: Final = re.compile(r"QEMU_MONITOR_IO_PROCESS|: Line \[?$|QEMU_MONITOR_IO_WRITE|: Line $")
_COMMAND: Final = re.compile(
    r"\b(?:virsh\b.*\b)?(?:domjobinfo|domstats|domdirtyrate-calc|qemu-monitor-command)\s+(?:--?[\w-]+\s+)*([\w.-]{1,64})"
)
_FOREIGN: Final = re.compile(r"\s*[^\W\d_][^:=]{2,60}:\s+[\d.,]+\s+(?:[KMGT]iB(?:/s)?|ms|bytes|s|B)\s*")
_FORMS: Final = (
    "answers of query-migrate (JSON in any layout or envelope, Python dictionaries), libvirt's debug log, "
    "info migrate, QEMU's trace events, virsh domjobinfo and domstats --dirtyrate, task logs of Proxmox VE, logs of "
    "Nova, vdsm and KubeVirt, Prometheus samples, xl, Cloud Hypervisor, vMotion, guestperf reports, CRIU statistics"
)


def read(source: Path | str | bytes, *, name: str = "") -> list[Log]:
    """Return every migration and every set of dirty-rate readings in a log.

    Parameters
    ----------
    source
        A path (``-``: standard input), the text itself (a ``str`` with a line break, or of JSON), or the bytes of a
        file. Text may be UTF-8, UTF-16 or Windows-1252, with or without a byte order mark, packed with gzip or
        plain; at most 64 MiB, 2,000,000 lines and 200,000 readings.
    name
        What errors call it; empty: its path, or ``text`` or ``bytes``.

    Returns
    -------
    list of Log
        In the order in which they begin; never empty.

    Raises
    ------
    TraceError
        It cannot be read, is too large or binary, or says nothing of a migration.

    Examples
    --------
    >>> log = read("Migration status: completed\\ntotal time: 12950 ms\\ntransferred ram: 1642661 kbytes\\n")[0]
    >>> log.meta["source"], int(log.frame["sent_bytes"].iloc[0])
    ("QEMU's monitor, info migrate", 1682084864)
    """
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith(("{", "["))):
        return _Reader(Text(source, name or "text", "text")).logs()
    raw, name = (source, name or "bytes") if isinstance(source, bytes) else (load(source), name or str(source))
    if raw.startswith(b"PAR1"):
        from migkit.importers.traces import from_parquet

        return from_parquet(raw, name)
    return _Reader(decode(raw, name)).logs()


class _Reader:
    def __init__(self, text: Text) -> None:
        self._text = text
        self._items: list[Item] = []
        self._notes = list(text.notes)
        self._forms: dict[str, int] = {}
        self._skipped: list[tuple[int, str]] = []
        self._skipped_count = 0
        self._long = 0
        self._foreign = 0
        self._vm = ""
        self._stamp: Stamp | None = None
        self._replies = _LIBVIRT_REPLY in text.text
        self._parsers = _parsers(self._items.append)

    def logs(self) -> list[Log]:
        """Return the records in the text."""
        if self._text.text.count("\n") > _MOST_LINES:
            raise TraceError(f"log {self._text.name}: more than {_MOST_LINES} lines; split it by migration or by day")
        self._scan(self._text.text, None, 0)
        for parser in self._parsers:
            parser.end()
        migrations, rates = group(self._items)
        if len(migrations) > _MOST_MIGRATIONS:
            raise TraceError(f"log {self._text.name}: more than {_MOST_MIGRATIONS} migrations; split it by day")
        about = self._about()
        found = [build.migration_log(migration, about) for migration in migrations]
        found += [build.rate_log(readings, about) for readings in _by_machine(rates)]
        if not found:
            raise self._nothing()
        return found

    def _scan(self, text: str, around: Context | None, depth: int) -> None:
        text, notes = undressed(text)
        self._notes += [note for note in notes if note not in self._notes]
        for piece in pieces(text, self._notes):
            if len(self._items) > _MOST_ITEMS:
                raise TraceError(f"log {self._text.name}: more than {_MOST_ITEMS} readings; split it by migration")
            if isinstance(piece, Found):
                self._object(piece, around, depth)
            else:
                self._plain(piece, around)

    def _object(self, piece: Found, around: Context | None, depth: int) -> None:
        if self._replies and _LIBVIRT_AGAIN.search(piece.prefix):
            return  # libvirt logs each reply twice or thrice
        context = self._context(piece._replace(prefix=piece.prefix[-_MOST_LINE_CHARS:]), around)
        before = len(self._items)

        def read_text(text: str, inner: Context) -> None:
            if depth < _DEEPEST:
                self._scan(text, inner, depth + 1)

        told = walk(piece.value, context, self._items.append, read_text)
        if len(self._items) > before:
            form = "libvirt debug log" if "QEMU_MONITOR" in piece.prefix else piece.form
            self._forms[form] = self._forms.get(form, 0) + 1
        elif not told:
            self._skip(piece.line, words(piece.value))
        self._vm = context.vm if piece.prefix.strip() else self._vm

    def _context(self, piece: Found, around: Context | None) -> Context:
        found = Context.of(piece.line, piece.prefix, self._vm) if around is None else around
        return found if found.stamp is not None else dataclasses.replace(found, stamp=self._stamp)

    def _plain(self, piece: Plain, around: Context | None) -> None:
        at = piece.line if around is None else around.line
        if len(piece.text) > _MOST_LINE_CHARS:
            self._long += 1
            self._skip(at, piece.text[:_MOST_LINE_CHARS].strip())
            return
        stamp, rest = split(piece.text)
        if stamp is not None and not any(c.isalnum() for c in rest):
            self._stamp = stamp  # a line with nothing but the time dates those that follow
            return
        stamp = stamp or self._stamp
        if around is None:
            context = Context.named(piece.line, piece.text, self._vm, stamp)
        else:
            context = dataclasses.replace(around, stamp=stamp or around.stamp)
        taken, rest = False, bare(rest)
        for parser in self._parsers:  # each sees every line, since a block ends at a line of another
            if taken:
                parser.end()
            else:
                taken = parser.take(piece.text if parser.whole else rest, context)
        if taken:
            self._forms["text"] = self._forms.get("text", 0) + 1
            return
        command = _COMMAND.search(piece.text)
        if command:
            self._vm = words(command[1])
            return
        self._foreign += bool(_FOREIGN.fullmatch(piece.text))
        self._skip(at, piece.text.strip())

    def _skip(self, line: int, text: str) -> None:
        self._skipped_count += 1
        if len(self._skipped) < _SHOWN:
            self._skipped.append((line, words(text)))

    def _about(self) -> dict[str, Any]:
        form = max(self._forms, key=lambda name: self._forms[name]) if self._forms else "text"
        return {
            "file": self._text.name,
            "form": form,
            "forms": dict(self._forms),
            "encoding": self._text.encoding,
            "lines": self._text.text.count("\n") + (not self._text.text.endswith("\n")),
            "skipped_lines": self._skipped_count,
            "skipped_first": [f"{line}: {text}" for line, text in self._skipped],
            "notes": [*self._notes, *self._passed(), *self._language()],
        }

    def _passed(self) -> list[str]:
        said = (
            f"{self._long} lines of more than {_MOST_LINE_CHARS} characters, beside the objects in them, were passed"
        )
        return [said] if self._long else []

    def _language(self) -> list[str]:
        if self._foreign < _SHOWN - 2:
            return []
        return [
            "lines that look like virsh domjobinfo in another language are not understood: "
            "run it as LC_ALL=C virsh domjobinfo"
        ]

    def _nothing(self) -> TraceError:
        begun = self._text.text.strip().split("\n", 1)[0]
        first = f' (it begins "{words(begun)}")' if begun else " (it is empty)"
        hint = "; ".join([*self._notes, *self._passed(), *self._language()])
        return TraceError(
            f"log {self._text.name}: nothing in it is of a migration{first}; "
            f"{hint + '; ' if hint else ''}migkit reads {_FORMS}"
        )


def _parsers(emit: Any) -> tuple[Any, ...]:
    """Return the readers of text, in the order in which they may take a line; blocks end where others take one."""
    return (
        managers.Proxmox(emit),
        commands.Typed(emit),
        commands.Virsh(emit),
        commands.Events(emit),
        commands.Guest(emit),
        managers.Nova(emit),
        managers.KubeVirt(emit),
        kubevirt.Status(emit),
        trace_events.Traced(emit),
        vdsm.Vdsm(emit),
        hypervisors.CloudHypervisor(emit),
        hypervisors.Xen(emit),
        hypervisors.VMware(emit),
        hypervisors.HyperV(emit),
        hypervisors.Progress(emit),
        metrics.TextFormat(emit),
        criu.Printed(emit),
        dirtyrate.Statistics(emit),
        dirtyrate.Monitor(emit),
        blocks.Monitor(emit),
        blocks.JobInfo(emit),
        blocks.RawStatistics(emit),
        blocks.Parameters(emit),
        metrics.Table(emit),
    )


def _by_machine(rates: Iterable[Rate]) -> list[list[Rate]]:
    found: dict[str, list[Rate]] = {}
    for rate in rates:
        found.setdefault(rate.vm, []).append(rate)
    return list(found.values())
