"""Commands that somebody typed for a migration, and what libvirt says of one beside its statistics."""

from __future__ import annotations

import re
from typing import Final

from migkit.importers.context import Context
from migkit.importers.reading.numbers import number, quantity, words
from migkit.importers.reading.parameters import SETTINGS
from migkit.importers.tools.managers import Lines
from migkit.units import MIB

__all__ = ["Events", "Guest", "Typed", "Virsh"]

_SIZES: Final = ("max-bandwidth", "max-postcopy-bandwidth", "avail-switchover-bandwidth")


class Typed(Lines):
    """Settings typed at QEMU's monitor, where a bandwidth without a unit is in MiB/s."""

    family = "hmp"
    hints = ("migrate_set_",)
    patterns = (
        (re.compile(r"migrate_set_parameter\s+([a-z-]{3,40})\s+([\d.]{1,20}[kKMmGgTt]?)\b"), "_parameter"),
        (re.compile(r"migrate_set_capability\s+([a-z-]{3,40})\s+(on|off)\b"), "_capability"),
        (re.compile(r"migrate_set_(speed)\s+([\d.]{1,20}[kKMmGgTt]?)\b"), "_old"),
        (re.compile(r"migrate_set_(downtime)\s+([\d.]{1,12})\b"), "_old"),
    )

    def _parameter(self, match: re.Match[str], context: Context) -> None:
        name, said = SETTINGS.get(match[1]), match[2].upper()
        if name is None:
            return self._setting(words(match[1]), words(match[2]), context)
        if match[1] in _SIZES and said[-1].isdigit():
            said += "M"
        found = quantity(said, self.family, name)
        self._setting(name.ours, words(match[2]) if found is None else found.value, context)
        return None

    def _capability(self, match: re.Match[str], context: Context) -> None:
        self._setting(f"capability {match[1]}", match[2] == "on", context)

    def _old(self, match: re.Match[str], context: Context) -> None:
        if match[1] == "downtime":
            return self._setting("downtime_limit_s", number(match[2]) or words(match[2]), context)
        said = match[2].upper()
        found = quantity(said + "M" * said[-1].isdigit(), self.family, SETTINGS["max-bandwidth"])
        return self._setting("max_bandwidth_bytes_per_s", words(said) if found is None else found.value, context)


class Virsh(Lines):
    """What virsh is told: bandwidth in MiB/s, downtime in ms."""

    family = "virsh"
    hints = ("migrate-set",)
    _AT: Final = r"\s+(?:--\S+\s+)*([\w.-]{1,64})\s+(?:--\S+\s+)*(\d{1,12})\b"
    patterns = (
        (re.compile(r"\bmigrate-setspeed" + _AT), "_speed"),
        (re.compile(r"\bmigrate-setmaxdowntime" + _AT), "_limit"),
    )

    def _speed(self, match: re.Match[str], context: Context) -> None:
        self._setting("max_bandwidth_bytes_per_s", float(match[2]) * MIB, _of(match, context))

    def _limit(self, match: re.Match[str], context: Context) -> None:
        self._setting("downtime_limit_s", int(match[2]) / 1000, _of(match, context))


class Events(Lines):
    """Events of libvirt as ``virsh event`` prints them; the statistics of a job follow them."""

    family = "jobstats"
    hints = ("event '",)
    _FOR: Final = r" for domain '?([\w.-]{1,64}?)'?:"
    patterns = (
        (re.compile("event 'migration-iteration'" + _FOR + r" iteration: '?(\d{1,6})'?"), "_pass"),
        (re.compile("event 'lifecycle'" + _FOR + " (Stopped Migrated)"), "_completed"),
        (
            re.compile("event 'lifecycle'" + _FOR + r" ((?:Suspended|Resumed) (?:Migrated|Post-copy.*|Failed.*))"),
            "_told",
        ),
        (re.compile("event 'job-completed'" + _FOR), "_job"),
    )

    def _pass(self, match: re.Match[str], context: Context) -> None:
        self._event(f"pass {int(match[2])}", _of(match, context))

    def _completed(self, match: re.Match[str], context: Context) -> None:
        self._event("state", _of(match, context), status="completed")

    def _told(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[2]), _of(match, context))

    def _job(self, match: re.Match[str], context: Context) -> None:
        self._event("job completed", _of(match, context))


class Guest(Lines):
    """libvirt's log of one guest, ``/var/log/libvirt/qemu/NAME.log``."""

    family = "libvirt-guest"
    hints = ("initiating migration", "reason=migrated", "migration")
    patterns = ((re.compile(r"\d: initiating migration\s*$"), "_request"),)
    alike = (
        (re.compile(r"\d: shutting down, reason=migrated"), "_completed"),
        (re.compile(r"(qemu\S{0,60}: .*migration.*fail.*)"), "_failed"),
    )


def _of(match: re.Match[str], context: Context) -> Context:
    return Context(context.line, words(match[1]), context.stamp)
