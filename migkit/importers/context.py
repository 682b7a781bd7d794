"""Where in a log something stands: its line, the time stamp above it, the virtual machine that it is about."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.reading.numbers import words
from migkit.importers.reading.stamps import UNIX, Stamp, from_value, split

__all__ = ["Context"]

_CLOCKS: Final = (
    "timestamp", "@timestamp", "time", "ts", "t", "date", "datetime", "when", "now", "wall", "wall_time",
    "timestamp_unix", "epoch", "__REALTIME_TIMESTAMP", "t_monotonic", "monotonic", "t_since_run_start", "elapsed",
)  # fmt: skip
_MACHINES: Final = (
    "vm",
    "vm_name",
    "vmid",
    "vmi",
    "domain",
    "dom",
    "instance",
    "instance_uuid",
    "guest",
    "uid",
    "mon",
    "domain_name",
    "vmName",
    "vm-name",
    "name",
)
_PROGRAMS: Final = ("component", "SYSLOG_IDENTIFIER", "program", "programname", "container_name", "ident", "service")
_MONITOR: Final = re.compile(r"\b(?:mon|monitor)=(0x[0-9a-fA-F]{4,16})\b")
_INSTANCE: Final = re.compile(r"\[instance: ([0-9A-Za-z-]{4,64})\]")
_NAMED: Final = re.compile(
    r"\b(?:vm|vmId|domain|dom|guest|instance|name)(?:[=:]\s*['\"]?|\s+['\"](?=[\w.-]+['\"]))([\w.-]{1,64})"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The line, the stamp, the virtual machine and the program that hold for something in a log."""

    line: int
    vm: str = ""
    stamp: Stamp | None = None
    program: str = ""
    """What wrote it, where an envelope says so."""

    def item(self, family: str) -> Any:
        """Return the fields of an item said here."""
        return {"family": family, "line": self.line, "vm": self.vm, "stamp": self.stamp}

    def at(self, value: Any) -> Context:
        """Return this context at the time that ``value`` says, if it says one."""
        stamp = from_value("timestamp", value)
        return self if stamp is None else dataclasses.replace(self, stamp=stamp)

    def within(self, envelope: Mapping[str, Any]) -> Context:
        """Return the context of what ``envelope`` holds: its own clock and machine where it names them."""
        program = next(
            (words(envelope[key]) for key in _PROGRAMS if isinstance(envelope.get(key), str)), self.program
        )
        vm, stamp = _machine(envelope) or self.vm, _clock(envelope) or self.stamp
        return dataclasses.replace(self, stamp=stamp, vm=vm, program=program)

    @classmethod
    def of(cls, line: int, prefix: str, vm: str = "") -> Context:
        """Return the context that the beginning of a line tells.

        Examples
        --------
        >>> Context.of(3, "1646650027.807 mon=0x7f00aa12 reply=").vm
        '0x7f00aa12'
        """
        return cls.named(line, prefix, vm, split(prefix)[0])

    @classmethod
    def named(cls, line: int, prefix: str, vm: str, stamp: Stamp | None) -> Context:
        """Return the context of a line whose stamp is known: the machine is the one that it names, else ``vm``."""
        for pattern in (_MONITOR, _INSTANCE, _NAMED):
            found = pattern.search(prefix)
            if found:
                return cls(line, found[1], stamp)
        return cls(line, vm, stamp)


def _clock(envelope: Mapping[str, Any]) -> Stamp | None:
    """Return the envelope's stamp; Unix time goes before a clock that starts elsewhere."""
    stamps = [s for key in _CLOCKS if key in envelope and (s := from_value(key, envelope[key])) is not None]
    return next((s for s in stamps if s.clock == UNIX), stamps[0] if stamps else None)


def _machine(envelope: Mapping[str, Any]) -> str:
    for key in _MACHINES:
        value = envelope.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return words(value)
    return ""
