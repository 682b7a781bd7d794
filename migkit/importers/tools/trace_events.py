"""Trace events of QEMU's migration (``-trace 'migrat*'``), of the backends log and simple.

Facts of migration/trace-events (7.2 to 11.1): what was transferred and for how many milliseconds, what is pending in
bytes, states, pages that a sync found dirty, and checkpoints of the downtime.
"""

from __future__ import annotations

import re
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Sample
from migkit.importers.reading.numbers import number, words
from migkit.importers.reading.stamps import Stamp
from migkit.units import PAGE_BYTES

__all__ = ["Traced"]

_FAMILY: Final = "trace-events"


class Traced:
    """Lines of trace events."""

    whole = False  # it sees lines without their stamps
    _LINE: Final = re.compile(r"(migrat[a-z]{1,8}_[a-z_]{2,60}|vmstate_downtime_checkpoint)(?:\s(.*))?")
    _SIMPLE: Final = re.compile(r"(\d{1,15}\.\d{1,3}) pid=\d{1,8}\b(.*)")
    _PAIR: Final = re.compile(r"\b([A-Za-z_]{2,20})[= ](0x[0-9a-f]{1,16}|\d{1,20})\b")
    _STATE: Final = re.compile(r"new(?:_state=| state )([a-z-]{2,40})")
    _PENDING: Final = re.compile(r"pending size (\d{1,20})")
    _CHANNELS: Final = ("qemu_file", "multifd", "RDMA", "rdma")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._passed_s = 0.0
        self._syncs = 0
        self._sent = self._counted = 0.0
        self._stopped: Stamp | None = None

    def end(self) -> None:
        """Nothing is under way between lines."""

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is such an event; return whether it is."""
        line = self._LINE.fullmatch(text)
        if line is None:
            return False
        name, rest, stamp = line[1], line[2] or "", context.stamp
        simple = self._SIMPLE.match(rest)
        if simple:
            self._passed_s += float(simple[1]) / 1e6
            stamp, rest = Stamp(self._passed_s, "time since the trace began"), simple[2]
        inner = Context(context.line, context.vm, stamp)
        if name == "migrate_set_state":
            self._state(rest, inner)
        elif name == "vmstate_downtime_checkpoint":
            self._checkpoint(rest, inner)
        else:
            values = self._counters(name, rest)
            if values:
                self._emit(Sample(**inner.item(_FAMILY), status="active", values=values))
        return True

    def _state(self, rest: str, context: Context) -> None:
        found = self._STATE.search(rest)
        state = words(found[1]) if found else ""
        begins = state == "setup"
        if begins:
            self._syncs, self._sent, self._counted = 0, 0.0, 0.0
        if state == "completed" and self._counted:
            self._emit(Sample(**context.item(_FAMILY), status=state, values={"sent_bytes": self._counted}))
        self._emit(Event(**context.item(_FAMILY), what="request" if begins else "state", status=state, begins=begins))

    def _counters(self, name: str, rest: str) -> dict[str, Any]:
        pairs = (
            (theirs, int(said, 16 if said.startswith("0x") else 10)) for theirs, said in self._PAIR.findall(rest)
        )
        said = {theirs: amount for theirs, value in pairs if (amount := number(value)) is not None}
        pending = self._PENDING.search(rest)
        if name == "migration_transferred_bytes":
            self._counted = sum(said.get(channel, 0.0) for channel in self._CHANNELS)
        elif name == "migrate_transferred" and said.get("time_spent"):
            sent = said.get("transferred", 0.0)
            self._sent += sent
            return {
                "bandwidth_bytes_per_s": sent / (said["time_spent"] / 1e3),
                "sent_bytes": self._counted or self._sent,
            }
        elif name.startswith("migrate_pending"):
            amount = number(pending[1]) if pending else said.get("size")
            return {} if amount is None else {"remaining_bytes": amount}
        elif name == "migration_bitmap_sync_end":
            self._syncs += 1
            return {"iteration": float(self._syncs), "page_bytes": float(PAGE_BYTES)}
        return {}

    def _checkpoint(self, rest: str, context: Context) -> None:
        what = words(rest.strip().removeprefix("checkpoint=").strip(" '\""))
        self._emit(Event(**context.item(_FAMILY), what=what))
        if what == "src-downtime-start":
            self._stopped = context.stamp
        elif what == "src-downtime-end" and self._stopped and context.stamp:
            passed_s = context.stamp.seconds - self._stopped.seconds
            self._emit(Sample(**context.item(_FAMILY), values={"downtime_s": max(0.0, passed_s)}))
