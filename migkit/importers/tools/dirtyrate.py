"""Readings of a dirty rate: query-dirty-rate, the monitor's info dirty_rate, libvirt's domstats --dirtyrate.

QEMU and libvirt count in MiB/s and write MB/s. A page counts once in a window, so the rate falls as the window grows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Rate
from migkit.importers.reading.numbers import number, scaled, words
from migkit.units import MIB

__all__ = ["Monitor", "Statistics", "take"]

_STATES: Final = ("unstarted", "measuring", "measured")
_KNOWN: Final = frozenset(
    ("status", "dirty-rate", "start-time", "calc-time", "calc-time-unit", "sample-pages", "mode", "vcpu-dirty-rate")
)
_TIME_UNITS: Final = {"second": 1.0, "millisecond": 1e-3}


def take(value: Mapping[str, Any], context: Context, emit: Emit) -> bool:
    """Emit the reading if ``value`` is an answer of query-dirty-rate; return whether it is."""
    if "calc-time" not in value or not ({"dirty-rate", "start-time"} & value.keys()):
        return False
    unit = _TIME_UNITS.get(str(value.get("calc-time-unit", "second")), 1.0)
    values = {
        "status": words(value.get("status", "")),
        "mode": words(value.get("mode", "")),
        "window_s": _scaled(value.get("calc-time"), unit),
        "started_s": _scaled(value.get("start-time"), unit),
        "dirtied_bytes_per_s": _scaled(value.get("dirty-rate"), MIB),
        "sample_pages_per_gib": number(value.get("sample-pages")),
    }
    unknown = {words(key): words(held) for key, held in value.items() if key not in _KNOWN}
    emit(Rate(**context.item("dirty-rate"), values=values, vcpus=_vcpus(value), unknown=unknown))
    return True


def _vcpus(value: Mapping[str, Any]) -> dict[int, float]:
    found = {}
    listed = value.get("vcpu-dirty-rate")
    for entry in (listed if isinstance(listed, list) else [])[:4096]:
        at, rate = (
            (number(entry.get(key)) for key in ("id", "dirty-rate")) if isinstance(entry, Mapping) else (None,) * 2
        )
        if at is not None and rate is not None and at <= 1 << 20:
            found[int(at)] = rate * MIB
    return found


def _scaled(value: Any, factor: float) -> float | None:
    amount = number(value)
    return None if amount is None else scaled(amount, factor)


class _Block:
    """A reading that takes several lines: fields by our names until it is complete."""

    whole = False  # it sees lines without their stamps

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._context = Context(0)
        self._values: dict[str, Any] = {}
        self._vcpus: dict[int, float] = {}
        self._unknown: dict[str, Any] = {}

    def end(self) -> None:
        """Emit what is under way; the rate of the guest is the sum of those of its processors."""
        if self._vcpus and "dirtied_bytes_per_s" not in self._values:
            self._values["dirtied_bytes_per_s"] = sum(self._vcpus.values())
        if {"window_s", "dirtied_bytes_per_s"} & self._values.keys() or self._vcpus:
            self._emit(
                Rate(
                    **self._context.item("dirty-rate"),
                    values=self._values,
                    vcpus=self._vcpus,
                    unknown=self._unknown,
                )
            )
        self._values, self._vcpus, self._unknown = {}, {}, {}


class Monitor(_Block):
    """The text of ``info dirty_rate``."""

    _START: Final = re.compile(r"\s*Status:\s+(" + "|".join(_STATES) + r")\b")
    _FIELD: Final = re.compile(
        r"\s*(Start Time|Sample Pages|Period|Mode|Dirty rate|vcpu\[(\d{1,6})\], Dirty rate):\s*(.*)"
    )
    _VALUE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*\(?([\w/ ]*)\)?")
    _NAMES: Final = {
        "Start Time": "started_s",
        "Sample Pages": "sample_pages_per_gib",
        "Period": "window_s",
        "Dirty rate": "dirtied_bytes_per_s",
    }
    _STRONG: Final = ("Start Time", "Sample Pages")  # the others begin lines of other texts too
    _FACTORS: Final = {"ms": 1e-3, "MB/s": MIB, "sec": 1.0, "s": 1.0}

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such a text; return whether it is."""
        start = self._START.match(text)
        if start:
            self.end()
            self._context, self._values = context, {"status": start[1]}
            return True
        field = self._FIELD.match(text)
        if field is None:
            self.end()
            return False
        if not self._values:
            if field[1] not in self._STRONG and field[2] is None:
                return False
            self._context = context
        self._note(field)
        return True

    def _note(self, field: re.Match[str]) -> None:
        name, said = field[1], field[3].strip()
        if name == "Mode":
            self._values["mode"] = words(said)
            return
        found = self._VALUE.match(said)
        if said == "(not ready)":
            return
        if found is None:
            self._unknown[words(name)] = words(said)
            return
        factor = self._FACTORS.get(found[2].strip(), MIB if name.endswith("Dirty rate") else 1.0)
        value = scaled(float(found[1]), factor)
        if field[2] is not None:
            self._vcpus[int(field[2])] = value
        else:
            self._values[self._NAMES[name]] = value


class Statistics(_Block):
    """The lines of ``virsh domstats --dirtyrate``."""

    _DOMAIN: Final = re.compile(r"\s*Domain:\s*'?([^']{1,64})'?")
    _FIELD: Final = re.compile(r"\s*dirtyrate\.([\w.]{1,64})=(\S{1,40})")
    _VCPU: Final = re.compile(r"vcpu\.(\d{1,6})\.megabytes_per_second")
    _NAMES: Final = {
        "calc_start_time": ("started_s", 1.0),
        "calc_period": ("window_s", 1.0),
        "megabytes_per_second": ("dirtied_bytes_per_s", float(MIB)),
    }

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is part of such statistics; return whether it is."""
        domain = self._DOMAIN.fullmatch(text.rstrip())
        if domain:
            self.end()
            self._context = Context(context.line, words(domain[1]), context.stamp)
            return True
        field = self._FIELD.fullmatch(text.rstrip())
        if field is None:
            return False
        if field[1] == "calc_status" and self._values:
            vm = self._context.vm
            self.end()
            self._context = Context(context.line, vm, context.stamp)
        if not self._context.line:
            self._context = context
        self._note(field[1], field[2])
        return True

    def _note(self, theirs: str, said: str) -> None:
        vcpu, amount = self._VCPU.fullmatch(theirs), number(said)
        if theirs == "calc_mode":
            self._values["mode"] = words(said)
        elif theirs == "calc_status" and amount is not None and amount < len(_STATES):
            self._values["status"] = _STATES[int(amount)]
        elif vcpu and amount is not None:
            self._vcpus[int(vcpu[1])] = amount * MIB
        elif theirs in self._NAMES and amount is not None:
            ours, factor = self._NAMES[theirs]
            self._values[ours] = scaled(amount, factor)
        else:
            self._unknown[words(theirs)] = words(said)
