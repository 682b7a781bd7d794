"""From pieces to records: samples of one source and machine in order, cut where another migration begins."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from migkit.importers.findings import Event, Item, Rate, Sample, Setting
from migkit.importers.meanings import OUTCOMES, PHASES

__all__ = ["Migration", "group"]

_COUNTERS: Final = (
    "sent_bytes",
    "remaining_bytes",
    "total_bytes",
    "normal_pages",
    "t_s",
    "iteration",
    "frozen_s",
    "done",
)
_SLACK_S: Final = 1e-3


@dataclasses.dataclass(slots=True)
class Migration:
    """What belongs to one migration, in the order of the log."""

    family: str
    vm: str
    samples: list[Sample] = dataclasses.field(default_factory=list)
    settings: list[Setting] = dataclasses.field(default_factory=list)
    events: list[Event] = dataclasses.field(default_factory=list)
    afterwards: list[Sample] = dataclasses.field(default_factory=list)
    repeated: int = 0
    ended: bool = False
    memory_bytes: float = math.nan
    latest: dict[str, float] = dataclasses.field(default_factory=dict)
    """The last of each value that its samples had."""

    @property
    def empty(self) -> bool:
        """Whether nothing tells that there was a migration."""
        return not self.samples and not self.afterwards and not any(e.status or e.begins for e in self.events)

    def keep(self, sample: Sample) -> None:
        """Take a reading of it."""
        self.samples.append(sample)
        self.latest |= sample.values


def group(items: Iterable[Item]) -> tuple[list[Migration], list[Rate]]:
    """Return the migrations and the dirty-rate readings among the pieces of a log."""
    rates: list[Rate] = []
    streams: dict[tuple[str, str], _Stream] = {}
    for item in _merged(items):
        if isinstance(item, Rate):
            rates.append(item)
            continue
        stream = streams.setdefault((item.family, item.vm), _Stream(item.family, item.vm))
        stream.take(item)
    whole = [m for stream in _joined(streams) for m in stream.done()]
    found = [m for m in whole if not m.empty]
    for lone in (m for m in whole if m.empty):  # settings that one tool was told, of a migration that another counts
        meant = [m for m in found if not (m.vm and lone.vm) or m.vm == lone.vm]
        if len(meant) == 1:
            meant[0].settings[:0] = lone.settings
    return sorted(found, key=_first_line), rates


def _first_line(migration: Migration) -> int:
    pieces: Sequence[Item] = (*migration.samples[:1], *migration.events[:1], *migration.afterwards[:1])
    return min(piece.line for piece in pieces)


def _joined(streams: Mapping[tuple[str, str], _Stream]) -> list[_Stream]:
    """Join what names no machine with what names the only one of its source, where just one of them counts."""
    kept = dict(streams)
    for (family, vm), stream in streams.items():
        others = [key for key in kept if key[0] == family and key[1] != vm]
        if vm or len(others) != 1:
            continue
        other = kept[others[0]]
        if not stream.counts:
            other.adopt(stream)
            del kept[family, vm]
        elif not other.counts:
            stream.adopt(other)
            stream.called(others[0][1])
            del kept[others[0]]
    return list(kept.values())


def _merged(items: Iterable[Item]) -> list[Item]:
    """Join samples of Prometheus that say one metric each of the same moment, in order of time."""
    kept: list[Item] = []
    moments: dict[tuple[str, Any], Sample] = {}
    times: Counter[tuple[str, str]] = Counter()
    for item in items:
        if isinstance(item, Sample) and item.family == "metrics":
            said = [(item.vm, name) for name in (*item.values, *item.unknown)]
            times.update(said)  # without a stamp, a metric that comes again is of the next moment
            at = item.stamp.seconds if item.stamp else f"time {max((times[name] for name in said), default=0)}"
            known = moments.get((item.vm, at))
            moments[item.vm, at] = item if known is None else _together(known, item)
        else:
            kept.append(item)
    late = sorted(moments.values(), key=lambda s: (s.stamp.seconds if s.stamp else 0.0, s.line))
    return kept + list(late)


def _together(first: Sample, second: Sample) -> Sample:
    return dataclasses.replace(
        first,
        status=first.status or second.status,
        values={**first.values, **second.values},
        unknown={**first.unknown, **second.unknown},
    )


class _Stream:
    """Pieces of one source about one machine."""

    def __init__(self, family: str, vm: str) -> None:
        self._family, self._vm = family, vm
        self._open: list[Migration] = []
        self._closed: list[Migration] = []
        self._pending: list[Setting | Event] = []

    @property
    def counts(self) -> bool:
        """Whether there is a reading of counters among them."""
        return any(m.samples for m in (*self._open, *self._closed))

    def adopt(self, other: _Stream) -> None:
        """Take over what another stream holds beside its readings, for the first migration."""
        first = (self._closed + self._open)[:1]
        for migration in other.done():
            for target in first:
                target.settings[:0] = migration.settings
                target.events[:0] = migration.events

    def called(self, vm: str) -> None:
        """Give its migrations the name of a machine."""
        for migration in (*self._closed, *self._open):
            migration.vm = vm

    def take(self, item: Item) -> None:
        """Take the next piece."""
        if isinstance(item, Sample):
            self._sample(item)
        elif isinstance(item, Event):
            self._event(item)
        elif isinstance(item, Setting):
            if self._between():
                self._pending.append(item)
            else:
                self._open[-1].settings.append(item)

    def done(self) -> list[Migration]:
        """Return the migrations, in the order in which they began."""
        if self._pending:
            latest = self._open[-1] if self._open else self._begin(math.nan)
            self._spend(latest)
        return self._closed + self._open

    def _between(self) -> bool:
        return not self._open or self._open[-1].ended

    def _event(self, event: Event) -> None:
        begins = event.begins or (bool(self._open) and self._between() and PHASES.get(event.status or "") == "setup")
        if begins and self._open and (self._open[-1].samples or self._open[-1].ended):
            self._close(self._open[-1])
        if self._between() and not (self._open and not begins):
            if begins:
                self._begin(math.nan).events.append(event)
            else:
                self._pending.append(event)
            return
        latest = self._open[-1]
        latest.events.append(event)
        if event.status in OUTCOMES:
            latest.ended = True

    def _sample(self, sample: Sample) -> None:
        if not any(name in sample.values for name in _COUNTERS):
            self._bare(sample)
            return
        memory = sample.values.get("total_bytes", math.nan)
        migration = self._of(memory)
        last = migration.samples[-1] if migration and migration.samples else None
        if migration and last and _same(last, sample):
            migration.repeated += 1
            return
        if migration is None or _restarts(migration, sample):
            if migration is not None:
                self._close(migration)
            migration = self._begin(memory)
        migration.keep(sample)
        migration.memory_bytes = memory if math.isfinite(memory) else migration.memory_bytes
        migration.ended = migration.ended or sample.status in OUTCOMES

    def _bare(self, sample: Sample) -> None:
        """Keep an answer without counters: a state of the migration under way, or of its other side afterwards."""
        if not self._open or (self._open[-1].ended and PHASES.get(sample.status or "") == "setup"):
            if self._open:
                self._close(self._open[-1])
            self._begin(math.nan)
        latest = self._open[-1]
        ending = bool(latest.samples) and latest.samples[-1].status in ("cancelling", "failing")
        if latest.ended and not ending:
            latest.afterwards.append(sample)
        else:
            latest.keep(sample)
        latest.ended = latest.ended or sample.status in OUTCOMES

    def _of(self, memory_bytes: float) -> Migration | None:
        """Return the open migration of a machine of that much memory: interleaved ones differ in it."""
        for migration in reversed(self._open):
            if (
                math.isnan(memory_bytes)
                or math.isnan(migration.memory_bytes)
                or memory_bytes == migration.memory_bytes
            ):
                return migration
            if self._family not in ("qmp", "hmp"):
                return migration
        return None

    def _begin(self, memory_bytes: float) -> Migration:
        migration = Migration(self._family, self._vm, memory_bytes=memory_bytes)
        self._open.append(migration)
        self._spend(migration)
        return migration

    def _spend(self, migration: Migration) -> None:
        for piece in self._pending:
            (migration.settings if isinstance(piece, Setting) else migration.events).append(piece)  # type: ignore[arg-type]
            if isinstance(piece, Event) and piece.status in OUTCOMES:
                migration.ended = True
        self._pending = []

    def _close(self, migration: Migration) -> None:
        self._open.remove(migration)
        self._closed.append(migration)


def _same(last: Sample, sample: Sample) -> bool:
    """Return whether a reading only repeats the last one, as when a finished migration is polled on."""
    return sample.status == last.status and sample.values == last.values and bool(last.values.get("t_s"))


def _restarts(migration: Migration, sample: Sample) -> bool:
    """Return whether ``sample`` belongs to another migration: its time or its bytes fall, or it runs after an end."""
    phase = PHASES.get(sample.status or "", "precopy")
    if migration.ended and phase in ("setup", "precopy", "stopcopy") and sample.status is not None:
        return True
    if migration.samples and phase == "setup" and sample.status not in (None, "none"):
        return PHASES.get(migration.samples[-1].status or "", "") not in ("setup", "")
    earlier = migration.latest.get("t_s")
    now = sample.values.get("t_s")
    if earlier is not None and now is not None:
        return bool(now < earlier - _SLACK_S)
    sent = migration.latest.get("sent_bytes")
    return sent is not None and sample.values.get("sent_bytes", sent) < sent and not _rounded(sample)


def _rounded(sample: Sample) -> bool:
    return "sent_bytes" in sample.resolution
