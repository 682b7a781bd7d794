"""Texts of ``key: value`` lines: QEMU's info migrate, old and new, and virsh domjobinfo."""

from __future__ import annotations

import re
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Sample, Setting
from migkit.importers.names import TABLES, Name
from migkit.importers.reading.numbers import number, quantity, words
from migkit.importers.reading.parameters import SETTINGS

__all__ = ["JobInfo", "Monitor", "Parameters", "RawStatistics"]

_LINE: Final = re.compile(r"\s*([A-Za-z][\w /().%-]{0,60}?):\s*(.*)")
_PROMPT: Final = re.compile(r"\s*\(qemu\)\s*")
_ASKED: Final = re.compile(r"info (?:migrate|dirty_rate|migrate_parameters|migrate_capabilities)\b|\s*$")
_JOBS: Final = {
    "Unbounded": "active",
    "Bounded": "active",
    "Completed": "completed",
    "Failed": "failed",
    "Cancelled": "cancelled",
    "None": "none",
}


class _Block:
    """A reading that takes several lines, from the line that starts it to the first that is no part of it."""

    family = ""
    whole = False  # it sees lines without their stamps

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._forget()

    def _forget(self) -> None:
        self._context: Context | None = None
        self._status: str | None = None
        self._values: dict[str, Any] = {}
        self._resolution: dict[str, float] = {}
        self._unknown: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._marks: list[str] = []
        self._group = ""
        self._held: list[tuple[str, str]] = []

    def end(self) -> None:
        """Emit the reading under way."""
        if self._context is not None and (self._values or self._status):
            self._finish()
            self._emit(
                Sample(
                    **self._context.item(self.family),
                    status=self._status,
                    values=self._values,
                    resolution=self._resolution,
                    unknown=self._unknown,
                    texts=self._texts,
                    marks=tuple(self._marks),
                )
            )
        self._forget()

    def _finish(self) -> None:
        """Set right what only the whole reading can tell."""

    def _begin(self, context: Context, status: str | None) -> None:
        held = self._held if status is None else []
        self.end()
        self._context, self._status = context, status
        for theirs, said in held:
            self._note(theirs, said)

    def _hold(self, theirs: str, said: str) -> bool:
        """Keep a field that other texts have too, until a later line tells that it belongs to this one."""
        name = TABLES[self.family].get(theirs)
        if name is None or said[-1:].isdigit() or quantity(said, self.family, name) is None:
            return False  # libvirt's raw statistics have such names too, but no units
        self._held.append((theirs, said))
        return True

    def _note(self, theirs: str, said: str) -> bool:
        """Keep a field; return whether the table knows it."""
        name = TABLES[self.family].get(theirs)
        found = quantity(said, self.family, name) if name is not None else None
        if name is None or found is None:
            self._unknown[words(theirs)] = words(said)
            return name is not None
        self._values[name.ours] = found.value
        if name.ours.endswith("_bytes") and found.resolution > 1:
            self._resolution[name.ours] = found.resolution
        return True


class Monitor(_Block):
    """QEMU's ``info migrate``: one field a line, and from 10.1 groups of ``name=value``."""

    family = "hmp"
    _OLD: Final = re.compile(r"\s*Migration status:\s*([\w-]{1,40})(?:\s*\((.*)\))?\s*")
    _NEW: Final = re.compile(r"\s*Status:\s+([\w-]{1,40})(?:\s*\((.*)\))?\s*")
    _STRONG: Final = frozenset(("transferred ram", "remaining ram", "total ram", "dirty sync count", "Time (ms)"))
    _GLOBALS: Final = re.compile(
        r"\s*(store-global-state|only-migratable|send-configuration|send-section-footer|send-switchover-start"
        r"|decompress-error-check|clear-bitmap-shift|multifd-flush-after-each-section):\s*(\w{1,20})\s*"
    )
    _PAIR: Final = re.compile(r"([A-Za-z][\w ]{0,30})=([^,=]{1,40})")
    _SKIP: Final = re.compile(r"\s*(globals|Globals|RAM info|XBZRLE)\s*:?\s*")
    _OTHERS: Final = ("measured", "measuring", "unstarted")  # info dirty_rate begins alike

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a text; return whether it is."""
        bare = _PROMPT.sub("", text, count=1)
        if bare != text and _ASKED.match(bare):
            self.end()
            return True
        text = bare
        if self._starts(text, context):
            return True
        settled = self._GLOBALS.fullmatch(text)
        if settled:
            self._emit(Setting(**context.item(self.family), name=settled[1], value=settled[2]))
            return True
        line = _LINE.fullmatch(text)
        if self._SKIP.fullmatch(text) and (self._context is not None or "lobals" in text):
            return True
        if line is None:
            return self._goes_on(text)
        return self._field(line[1], line[2], context)

    def _goes_on(self, text: str) -> bool:
        """Take an indented line that goes on with the field before it, as the layout of QEMU 10.1 has them."""
        if self._context is None or "new-hmp" not in self._marks or not text[:1].isspace():
            self.end()
            return False
        pairs = self._PAIR.findall(text)
        for name, value in pairs:
            self._note(f"{self._group}.{name.strip()}", value.strip())
        if not pairs:
            known = self._texts.get(self._group)
            self._texts[self._group] = words(f"{known}; {text.strip()}" if known else text.strip())
        return True

    def _starts(self, text: str, context: Context) -> bool:
        for pattern, mark in ((self._OLD, ""), (self._NEW, "new-hmp")):
            start = pattern.fullmatch(text)
            if start and start[1] not in self._OTHERS:
                self._begin(context, start[1])
                self._marks += [mark] if mark else []
                if start[2]:
                    self._texts["error-desc"] = words(start[2])
                return True
        return False

    def _field(self, theirs: str, said: str, context: Context) -> bool:
        if self._context is None:
            if theirs not in self._STRONG:
                return self._hold(theirs, said.strip())
            self._begin(context, None)
        self._group = words(theirs)
        pairs = self._PAIR.findall(said)
        if pairs:
            for name, value in pairs:
                self._note(f"{theirs}.{name.strip()}", value.strip())
        elif said.strip():
            self._note(theirs, said.strip())
        return True


class JobInfo(_Block):
    """``virsh domjobinfo``, of a running job and with ``--completed``."""

    family = "virsh"
    _START: Final = re.compile(r"\s*Job type:\s*(\w{1,40})\s*")
    _STRONG: Final = frozenset(name for name in TABLES["virsh"] if name.startswith(("Data ", "Memory ", "Time el")))

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a text; return whether it is."""
        start = self._START.fullmatch(text)
        if start:
            self._begin(context, _JOBS.get(start[1], start[1].lower()))
            self._texts["Job type"] = start[1]
            return True
        line = _LINE.fullmatch(text)
        if line is None:
            self.end()
            return False
        if self._context is None:
            if line[1] not in self._STRONG:
                return self._hold(line[1], re.sub(r"\s+", " ", line[2].strip()))
            self._begin(context, None)
        if line[1] == "Operation":
            self._texts["Operation"] = words(line[2].strip())
        else:
            self._note(line[1], re.sub(r"\s+", " ", line[2].strip()))
        return True

    def _finish(self) -> None:
        if self._status in (None, "active") and "Job type" not in self._texts and "downtime_s" in self._values:
            self._status = "completed"


class RawStatistics(_Block):
    """``virsh domjobinfo --rawstats``: libvirt's typed parameters, one a line."""

    family = "jobstats"
    _FIELD: Final = re.compile(r"\s*([a-z_]{2,40}):\s*(\d{1,20})\s*")

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a text; return whether it is."""
        field = self._FIELD.fullmatch(text)
        strong = field is not None and (field[1] in TABLES["jobstats"] and "_" in field[1])
        if field is not None and field[1] == "operation":
            return True  # which job it is; statistics begin with it
        if field is None or (self._context is None and not strong):
            self.end()
            return False
        if self._context is None or (strong and TABLES["jobstats"][field[1]].ours in self._values):
            self._begin(context, None)
        self._note(field[1], field[2])
        return True

    def _finish(self) -> None:
        if "downtime_net_s" in self._values:
            self._status = "completed"
        elif "downtime_s" in self._values:
            self._values["expected_downtime_s"] = self._values.pop("downtime_s")


class Parameters:
    """The monitor's ``info migrate_parameters`` and ``info migrate_capabilities``."""

    whole = False
    _LISTED: Final = re.compile(r"\s*capabilities: ((?:[a-z-]{3,40}: (?:on|off)\s*){1,40})")  # of old QEMU
    _PAIR: Final = re.compile(r"([a-z-]{3,40}): (on|off)")
    _PARAMETER: Final = re.compile(r"\s*([a-z][a-z-]{3,40}):\s*(\S{1,40})(?: ([\w/]{1,20}))?\s*")
    _CAPABILITIES: Final = frozenset(
        (
            *(
                "xbzrle",
                "rdma-pin-all",
                "auto-converge",
                "zero-blocks",
                "compress",
                "events",
                "postcopy-ram",
                "x-colo",
            ),
            *("release-ram", "return-path", "pause-before-switchover", "multifd", "dirty-bitmaps"),
            *("postcopy-blocktime", "late-block-activate", "x-ignore-shared", "validate-uuid", "background-snapshot"),
            *("zero-copy-send", "postcopy-preempt", "switchover-ack", "dirty-limit", "mapped-ram"),
        )
    )

    _OTHERS: Final = frozenset(
        (
            *("announce-initial", "announce-max", "announce-rounds", "announce-step", "block-incremental"),
            *(
                "compress-level",
                "compress-threads",
                "compress-wait-thread",
                "decompress-threads",
                "direct-io",
                "mode",
            ),
            *("cpu-throttle-tailslow", "multifd-compression", "multifd-zlib-level", "multifd-zstd-level"),
            *("multifd-qatzip-level", "tls-authz", "tls-creds", "tls-hostname", "x-checkpoint-delay"),
            *("x-rdma-chunk-size", "zero-page-detection"),
        )
    )
    _GREETING: Final = re.compile(
        r"(?:QEMU (\d{1,3}\.\d{1,3}\.\d{1,3}) monitor - type|Connected to QEMU (\d{1,3}\.\d{1,3}\.\d{1,3})).*"
    )

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is a parameter, a capability or the version in a greeting; return whether it is."""
        greeting = self._GREETING.fullmatch(text)
        if greeting:
            family = "hmp" if greeting[1] else "qmp"  # the monitor itself, or qmp-shell
            self._emit(Setting(**context.item(family), name="version", value=greeting[1] or greeting[2]))
            return True
        listed = self._LISTED.fullmatch(text)
        if listed:
            for name, state in self._PAIR.findall(listed[1]):
                self._emit(Setting(**context.item("hmp"), name=f"capability {name}", value=state == "on"))
            return True
        found = self._PARAMETER.fullmatch(_PROMPT.sub("", text, count=1))
        if found is None:
            return False
        if found[1] in self._CAPABILITIES and found[2] in ("on", "off"):
            self._emit(Setting(**context.item("hmp"), name=f"capability {found[1]}", value=found[2] == "on"))
            return True
        name = SETTINGS.get(found[1])
        if name is None and found[1] in self._OTHERS:
            self._emit(
                Setting(**context.item("hmp"), name=found[1], value=words(" ".join(found.groups("")[1:]).strip()))
            )
            return True
        if name is None:
            return False
        self._emit(Setting(**context.item("hmp"), name=name.ours, value=_setting(name, found[2], found[3])))
        return True

    def end(self) -> None:
        """Nothing is under way between lines."""


def _setting(name: Name, said: str, unit: str | None) -> Any:
    found = quantity(f"{said} {unit or ''}", "hmp", name)
    return found.value if found is not None and number(found.value) is not None else words(said)
