"""A log of a migration: what it says, what the migration will do, and what helps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import ipywidgets as ipw

from migkit import viz
from migkit.calibrate.forecast.diagnosis import Diagnosis, diagnose, moments
from migkit.calibrate.forecast.wording import effect
from migkit.importers import Log, read
from migkit.scenario import Guest, Scenario
from migkit.units import format_duration, size
from migkit.viz import Figure
from migkit.widgets import controls
from migkit.widgets.dropped import listing
from migkit.widgets.dropped.upload import Upload
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import literal
from migkit.widgets.running.slow_panel import SlowPanel

__all__ = ["LogExplorer"]

_HELP: Final = (
    "Drop any log: answers of query-migrate, virsh domjobinfo, task logs of Proxmox VE, logs of Nova, KubeVirt, Xen, "
    "Cloud Hypervisor or CRIU, readings of a dirty rate; plain or gzip, at most 64 MiB. Only the kernel reads it."
)
_NONE: Final = (
    "No log yet. Drop one above: here will stand what it says, what its migration will do, what would help, and a "
    "picture of what remained to be sent."
)


class _Asked(NamedTuple):
    """Which record of which file, read up to which time [s], and the memory that a dirty rate does not tell."""

    name: str
    logs: Sequence[Log]
    at: int = 0
    until_s: float = math.inf
    memory: str = "8 GiB"

    def answer(self) -> _Read:
        """Return what the record tells."""
        log = self.logs[self.at]
        if log.kind == "dirty-rate":
            base = Scenario(guest=Guest(memory_bytes=size(self.memory, "memory")))
            return _Read(self, diagnose(log, base))
        return _Read(self, diagnose(log if math.isinf(self.until_s) else log.until(self.until_s)))


class _Read(NamedTuple):
    """What was asked, and what the record tells."""

    asked: _Asked
    diagnosis: Diagnosis


class LogExplorer(SlowPanel):
    """Drop a log; see what it says, what its migration will do, and what would help.

    Parameters
    ----------
    path
        Of a log to begin with; None: there is none.
    until_s
        Read it as it stood so long after the request [s].

    Attributes
    ----------
    upload, record, until, memory
        The widgets: the file, which of its records, up to which reading, and the memory that a dirty rate does not
        tell.
    figure
        What remained, and what is expected to remain.
    diagnosis
        What the record tells; None: there is none yet.

    Raises
    ------
    TraceError
        The log at ``path`` cannot be read.

    Examples
    --------
    >>> explorer = LogExplorer()
    >>> explorer.upload.take("vm.log", b"Migration status: active\\ntotal time: 900 ms\\n")
    >>> explorer.wait()
    True
    >>> explorer.diagnosis.log.meta["outcome"]
    'under way'
    """

    def __init__(self, path: Path | str | None = None, *, until_s: float = math.inf) -> None:
        super().__init__()
        self.diagnosis: Diagnosis | None = None
        self._asked: _Asked | None = None
        self.upload = Upload("log", _HELP, name="" if path is None else Path(path).name)
        self.record = controls.choice("record", [("none", "0")], "0", sentence="Which migration of the log.")
        self.until = controls.choice("read up to", [_moment(math.inf)], "inf", sentence="As if the log ended there.")
        self.memory = controls.slider(
            "memory", controls.MEMORIES, "8 GiB", sentence="Of the guest; only a dirty rate does not tell it."
        )
        self.helps, self.says = ipw.HTML(), ipw.HTML()
        self.figure = LiveFigure(_drawn(None), name="migkit-log")
        self._picture = ipw.VBox()  # holds the figure where there is something to draw
        self.headline.value = _NONE
        if path is not None:
            self._take(_Asked(str(path), read(Path(path)), until_s=until_s).answer())
        self._show(self.status, self.helps, self._picture, self.says)
        self.upload.observe(self._refused, names="message")

    def code(self) -> str:
        """Return Python that reads the record anew; empty where there is none."""
        asked = self._asked
        if asked is None:
            return ""
        imports = ["from migkit.calibrate.forecast.diagnosis import diagnose", "from migkit.importers import read"]
        record = f"read(Path({literal(asked.name)}))[{asked.at}]"
        if asked.logs[asked.at].kind == "dirty-rate":
            imports.append("from migkit import Guest, Scenario")
            record += f", Scenario(guest=Guest.parse(memory={literal(asked.memory)}))"
        elif math.isfinite(asked.until_s):
            record += f".until({asked.until_s!r})"
        lines = ["from pathlib import Path", "", *sorted(imports), "", f"found = diagnose({record})"]
        return "\n".join([*lines, "found.sentences, found.changes"])

    def _controls(self) -> Sequence[ipw.Widget]:
        return [self.upload, self.record, self.until, self.memory]

    def _job(self) -> Callable[[], _Read] | None:
        """Return the reading of a new file, or of what is chosen of the last one."""
        if self._moved is self.upload:
            name, content = self.upload.value
            return functools.partial(_read, name, content, self.memory.value)
        if self._asked is None:
            return None
        at = int(self.record.value)
        until_s = float(self.until.value) if at == self._asked.at else math.inf
        return self._asked._replace(at=at, until_s=until_s, memory=self.memory.value).answer

    def _refused(self, change: Any) -> None:
        if change.new:
            self._complain(self.upload, change.new)
            self.upload.message = ""

    def _take(self, result: _Read) -> None:
        self._asked, self.diagnosis = result
        asked, found = result
        log = asked.logs[asked.at]
        self._set(self.record, str(asked.at), _records(asked.logs))
        self._set(self.until, repr(asked.until_s), [*map(_moment, sorted({*moments(log), asked.until_s}))])
        self.headline.value = listing.paragraphs(found.sentences)
        self.helps.value = _helps(found)
        self.figure.follow(_drawn(found))
        self._picture.children = (self.figure,) if _is_drawn(found) else ()
        self.says.value = f"<details open><summary>what it says</summary>{listing.facts(found.facts)}</details>"


def _records(logs: Sequence[Log]) -> list[tuple[str, str]]:
    """Return what records are called, and their numbers."""
    return [(f"{at + 1}: {log.meta['vm'] or log.meta['source']}", str(at)) for at, log in enumerate(logs)]


def _moment(t_s: float) -> tuple[str, str]:
    """Return a time up to which a log can be read, in words and as a value [s]."""
    return format_duration(t_s) if math.isfinite(t_s) else "its end", repr(t_s)


def _read(name: str, content: bytes, memory: str) -> _Read:
    return _Asked(name, read(content, name=name), memory=memory).answer()


def _helps(found: Diagnosis) -> str:
    """Return what would help as a table, or what each guest that fits would take."""
    changes = listing.rows(["what helps", "what it would do"], [[one.words, effect(one)] for one in found.changes])
    answers = [
        [name, told.verdict, format_duration(told.total_time_s) if told.verdict == "converges" else "never"]
        for name, told in found.answers
    ]
    return changes + listing.rows(["the guest writes", "verdict", "total time"], answers)


def _is_drawn(found: Diagnosis) -> bool:
    """Return whether a record tells what remained, at one time at least."""
    return found.log.kind == "migration" and bool(
        found.log.frame[["t_s", "remaining_bytes"]].notna().all(axis=1).any()
    )


def _drawn(found: Diagnosis | None) -> Figure:
    """Return the picture of a record; an empty one where there is nothing to draw."""
    if found is None or not _is_drawn(found):
        return viz.forecast([], [])
    told: Any = found.log.frame.dropna(subset=["t_s", "remaining_bytes"])
    outlook = found.outlook
    interval_s = (outlook.low_s, outlook.high_s) if outlook is not None and outlook.verdict == "converges" else None
    return viz.forecast(
        told["t_s"].tolist(),
        told["remaining_bytes"].tolist(),
        found.course,
        allowed_bytes=found.allowed_bytes,
        interval_s=interval_s,
    )
