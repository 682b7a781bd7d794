"""A migration of QEMU that is under way: when it will end, whether it will, and what would change that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import ipywidgets as ipw

from migkit import viz
from migkit.calibrate.forecast.looks import Look, watch
from migkit.calibrate.forecast.wording import effect, expected, standing
from migkit.errors import MigkitError
from migkit.scenario import Scenario
from migkit.units import duration, format_duration
from migkit.viz import Figure
from migkit.widgets import controls
from migkit.widgets.dropped import listing
from migkit.widgets.live import LiveFigure
from migkit.widgets.python import literal
from migkit.widgets.running.slow_panel import SlowPanel

__all__ = ["WatchExplorer"]

_PERIODS: Final = ("100 ms", "200 ms", "500 ms", "1 s", "2 s", "5 s", "10 s")


class WatchExplorer(SlowPanel):
    """Follow a migration from the page; nothing is ever changed.

    The guest behind a monitor is measured from outside meanwhile, where that is permitted, as ``migkit watch`` does.

    Parameters
    ----------
    source
        Socket of a QEMU monitor that nobody else uses, or a log that grows, as for ``migkit watch``.
    base
        What is known beside its counters, above all the guest where it was measured before.

    Attributes
    ----------
    source, every
        The controls: what to look at, and how often.
    start, stop
        The buttons.
    figure
        What remained, and what is expected to remain.
    ends
        Which end was expected at each look.
    looks
        All looks so far.

    Examples
    --------
    >>> from migkit.traces import data
    >>> explorer = WatchExplorer(data.data_path("kvm_database/precopy-4t-1.json.gz"))
    >>> explorer.begin()
    >>> explorer.wait(), explorer.looks[-1].outlook.verdict
    (True, 'converges')
    """

    def __init__(self, source: Path | str = "", base: Scenario | None = None) -> None:
        super().__init__()
        self._base = base
        self.looks: list[Look] = []
        self._stopping = threading.Event()
        self.source = controls.text(
            "source",
            str(source),
            sentence="Socket of a QEMU monitor (-qmp unix:PATH,server=on,wait=off), a growing log, or metrics.",
        )
        self.every = controls.slider("look every", _PERIODS, "500 ms", sentence="Time between two looks.")
        self.start = ipw.Button(description="watch", tooltip="Begin to look; nothing is changed.")
        self.stop = ipw.Button(description="stop", tooltip="Stop looking; the migration goes on.", disabled=True)
        self.figure = LiveFigure(viz.forecast([], []), name="migkit-watch")
        self.ends = LiveFigure(viz.ends([]), name="migkit-watch-ends")
        self.helps = ipw.HTML()
        self.start.on_click(lambda _button: self.begin())
        self.stop.on_click(lambda _button: self.end())
        self._remains, self._expected = ipw.VBox([self.figure]), ipw.VBox([self.ends])
        self._show(ipw.HBox([self.start, self.stop]), self.status, self._remains, self._expected, self.helps)
        self._draw()
        self.widget.observe(self._closed, names="comm")

    def refresh(self) -> None:
        """Do nothing: what the controls say counts from the next start on."""

    def begin(self) -> None:
        """Begin to look, unless that is being done."""
        if self.start.disabled:
            return
        job = self._looking()
        self._set_running(True)
        self._stopping.clear()
        self.looks.clear()
        self._draw()
        self.status.value = "Beginning ..."
        for field in self.fields.values():
            field.complain("")
        self._work.ask(job)

    def end(self) -> None:
        """Stop looking; the migration goes on."""
        self._stopping.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the migration is over; if the kernel is interrupted meanwhile, stop looking."""
        try:
            return super().wait(timeout_s)
        except KeyboardInterrupt:
            self.end()
            raise

    def close(self) -> None:
        """Stop looking, and close the widgets."""
        self.end()
        self.wait()
        self.widget.close()

    def code(self) -> str:
        """Return Python that looks at the same source."""
        lines = [
            "import threading",
            "",
            "from migkit.calibrate.forecast.looks import watch",
            "",
            "looks = []",
            f"watch({literal(self.source.value)}, looks.append, stop=threading.Event())",
            "looks[-1].outlook",
        ]
        return "\n".join(lines) if self.source.value else ""

    def _controls(self) -> Sequence[ipw.Widget]:
        return [self.source, self.every]

    def _looking(self) -> Callable[[], Any]:
        """Return the work that looks, for what the controls say."""
        source, every_s = self.source.value, duration(self.every.value, "look every")
        return lambda: watch(source, self._see, stop=self._stopping, every_s=every_s, base=self._base)

    def _see(self, look: Look) -> None:
        """Show one look, in the thread that looks."""
        self.looks.append(look)
        outlook = look.outlook
        verdict, *others = (text for text in expected(outlook, look.is_measured) if text)
        self.headline.value = listing.paragraphs([verdict, "; ".join(others)])
        self.status.value = "; ".join(
            text for text in (f"{format_duration(outlook.t_s)}: {standing(outlook)}", escape(look.problem)) if text
        )
        self.helps.value = listing.rows(
            ["what would change it", "what it would do"], [[one.words, effect(one)] for one in look.changes]
        )
        self._draw()

    def _draw(self) -> None:
        """Draw what the looks have told; a figure without anything to show is hidden."""
        seen = [look for look in self.looks if look.log is not None]
        told = [one.outlook for one in self.looks if one.outlook.verdict != "not_known"]
        for box, there in ((self._remains, seen), (self._expected, told)):
            box.layout.display = None if there else "none"
        if seen:
            self.figure.follow(_drawn(seen[-1]))
        if told:
            self.ends.follow(viz.ends([(one.t_s, one.end_s, one.low_s, one.high_s) for one in told]))

    def _arrive(self, result: Any) -> None:
        self._set_running(False)

    def _fail(self, error: Exception) -> None:
        self._set_running(False)
        source = self.fields.get("source")
        if source is not None and isinstance(error, MigkitError):
            self.status.value = ""
            source.complain(str(error))
        else:
            self.status.value = listing.alert(str(error) if isinstance(error, MigkitError) else repr(error))

    def _closed(self, change: Any) -> None:
        if change.new is None:
            self.end()

    def _set_running(self, running: bool) -> None:
        self.start.disabled, self.stop.disabled = running, not running


def _drawn(look: Look) -> Figure:
    assert look.log is not None
    told: Any = look.log.frame.dropna(subset=["t_s", "remaining_bytes"])
    outlook = look.outlook
    known = outlook.verdict == "converges" and outlook.phase != "done"
    return viz.forecast(
        told["t_s"].tolist(),
        told["remaining_bytes"].tolist(),
        look.course,
        measured="as counted",
        allowed_bytes=look.allowed_bytes,
        interval_s=(outlook.low_s, outlook.high_s) if known else None,
    )
