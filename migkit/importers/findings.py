"""What a reader finds in a log, piece by piece, and the record that becomes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from migkit.importers.reading.stamps import Stamp

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Emit", "Event", "Item", "Log", "Rate", "Sample", "Setting"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a log says: by whose words, of which virtual machine, in which line, at what time."""

    family: str
    line: int
    vm: str = ""
    stamp: Stamp | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Item):
    """A reading of a migration's counters.

    Attributes
    ----------
    status
        As said; None when the source says none.
    values
        By our names, in our units; a list where the source gives one value a processor.
    resolution
        How finely sizes were printed, by our names [B].
    unknown
        Fields that are in no table, by their foreign names.
    texts
        Known fields that are words, e.g. ``error-desc``.
    marks
        Fields and layouts that tell which version wrote it.
    """

    status: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resolution: Mapping[str, float] = dataclasses.field(default_factory=dict)
    unknown: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Item):
    """A setting that was in force or was asked for, by our name if the table has one."""

    name: str
    value: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event(Item):
    """Something that happened: ``request`` begins a migration; a status ends or changes one; others are told."""

    what: str
    status: str | None = None
    begins: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Item):
    """A reading of a dirty rate; columns as in RATE_COLUMNS, ``vcpus`` by number."""

    values: Mapping[str, Any]
    vcpus: Mapping[int, float] = dataclasses.field(default_factory=dict)
    unknown: Mapping[str, Any] = dataclasses.field(default_factory=dict)


Emit = Callable[[Item], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One migration, or the readings of a dirty rate, as a log tells it.

    Attributes
    ----------
    kind
        ``migration`` or ``dirty-rate``.
    frame
        One row a reading; columns of :data:`migkit.importers.glossary.COLUMNS` (or ``RATE_COLUMNS``) that the log
        fills, and always ``t_s``, ``phase``, ``status``, ``iteration``, ``remaining_bytes``, ``sent_bytes``,
        ``normal_pages``, ``zero_pages``, ``dirtied_pages_per_s``, ``bandwidth_bytes_per_s``, ``throttle`` and
        ``postcopy_faults``; NaN where the log is silent.
    meta
        What the source is (``source``, ``family``, ``form``, ``encoding``, ``lines``), ``vm``, ``version``,
        ``outcome`` (completed, failed, cancelled, timed out, under way or not said), ``totals`` by our names,
        ``settings``, ``capabilities``, ``events``, ``texts``, ``clock``, ``started`` and ``ended`` (ISO 8601 where
        the log is stamped), ``resolution_bytes`` where sizes were rounded, ``meanings`` of totals, ``notes``.
    unknown
        Fields and states that migkit has no name for, by their own names: the last value of each.
    cannot_tell
        What the log does not say, in sentences.
    next_time
        What to log next time, in sentences.

    Examples
    --------
    >>> from migkit.importers import read
    >>> log = read('{"status": "completed", "total-time": 5500, "downtime": 12, "ram": {"transferred": 100}}\\n')[0]
    >>> log.meta["outcome"], log.meta["totals"]["downtime_s"]
    ('completed', 0.012)
    """

    kind: str
    frame: pd.DataFrame
    meta: Mapping[str, Any]
    unknown: Mapping[str, Any]
    cannot_tell: tuple[str, ...]
    next_time: tuple[str, ...]

    def until(self, t_s: float) -> Log:
        """Return a migration as its log stood ``t_s`` after the request [s]: later readings are left out.

        Examples
        --------
        >>> from migkit.importers import read_reference
        >>> log = read_reference("a1-q7-0").until(3.0)
        >>> log.meta["outcome"], bool(log.frame["t_s"].max() <= 3.0)
        ('under way', True)
        """
        frame = self.frame[~(self.frame["t_s"] > t_s) & (self.frame["phase"] != "done")]
        known = {name: self.meta["totals"][name] for name in ("total_bytes",) if name in self.meta["totals"]}
        if len(frame):
            known["total_time_s"] = float(frame["t_s"].max())
        meta = {**self.meta, "outcome": "under way", "totals": known, "events": ()}
        return dataclasses.replace(self, frame=frame, meta=meta)
